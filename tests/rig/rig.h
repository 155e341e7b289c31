/* SPDX-License-Identifier: Apache-2.0
 * rig.h - an engine under test: one model, one way to run it, and what came out.
 *
 * Purpose     Runs the same tokens with any number of threads, any chunk, alone or in a crowd, and
 *             keeps the logits, so that tests can compare them bit for bit.
 * Ownership   sb_rig_run fills a caller's array; sb_rig_close accepts NULL. */
#ifndef SB_TESTS_RIG_H
#define SB_TESTS_RIG_H
#include "base/pool.h"
#include "engine/engine.h"

typedef struct sb_rig {
    sb_model *model;
    sb_pool *pool;
    sb_engine *engine;
} sb_rig;

sb_status sb_rig_open(sb_rig *r, const char *path, int n_threads, const sb_engine_opts *o,
                      sb_error *err) SB_MUST_USE;
void sb_rig_close(sb_rig *r);
/* Fast mode, bf16 keys and values, strongest level, three sessions of n_ctx positions. */
sb_engine_opts sb_rig_opts(int32_t n_ctx);

typedef struct sb_rig_way {
    int32_t chunk; /* prompt tokens of one step */
    bool crowd;    /* two other sessions step beside, before and behind */
} sb_rig_way;

/* Feeds ids[n] by chunks, then n_more greedy tokens one by one. Writes the logits after the prompt
 * and after each of them: out[(1 + n_more)][n_vocab]. */
sb_status sb_rig_run(sb_rig *r, const int32_t *ids, int32_t n, int32_t n_more, sb_rig_way way,
                     float *out, sb_error *err) SB_MUST_USE;
/* Fills ids[n] with repeatable tokens below n_vocab. */
void sb_rig_ids(int32_t *ids, int32_t n, int32_t n_vocab, uint64_t seed);
#endif
