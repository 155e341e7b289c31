/* SPDX-License-Identifier: Apache-2.0
 * history.h - how often each id stands among the last tokens; for the sampler.
 *
 * Cost        O(1) an id; memory for one count of each id, and the ids of the window. Nothing is
 *             allocated after _new. */
#ifndef SB_ENGINE_HISTORY_H
#define SB_ENGINE_HISTORY_H
#include "base/base.h"

typedef struct sb_history_count {
    int32_t n_all;    /* in prompt and answer */
    int32_t n_answer; /* of them, in the answer */
} sb_history_count;

typedef struct sb_history sb_history;

/* window: tokens that count, 0 = all. False: out of memory. */
bool sb_history_new(sb_history **out, int32_t n_vocab, int32_t window) SB_MUST_USE;
void sb_history_free(sb_history *h);
/* Ids outside the vocabulary are passed over. */
void sb_history_add(sb_history *h, int32_t id, bool in_answer);
sb_history_count sb_history_get(const sb_history *h, int32_t id);
#endif
