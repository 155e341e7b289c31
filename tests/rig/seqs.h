/* SPDX-License-Identifier: Apache-2.0
 * seqs.h - sequences under test: what a scheduler told of each, and what it would get alone.
 *
 * Ownership   sb_rig_seq_begin's result owns its tokens; _end releases it, the sequence too. */
#ifndef SB_TESTS_SEQS_H
#define SB_TESTS_SEQS_H
#include "engine/sched.h"
#include "rig.h"

#include <stdatomic.h>

typedef struct sb_rig_seq {
    sb_seq *q;
    const int32_t *ids; /* [n_ids] the prompt, borrowed */
    int32_t n_ids;
    int32_t *out; /* [cap] tokens handed out */
    int32_t n_out, cap;
    int32_t n_cached, n_prefilled; /* of the last on_prefill */
    int32_t stop_after;            /* on_token says no at this token, 0: never */
    atomic_int n_ends;
    sb_seq_end why;
    sb_error err;
    uint64_t submit_ns, first_ns, last_ns;
    double *gaps_ns; /* [cap] between tokens, or NULL */
} sb_rig_seq;

/* Options for this prompt with hooks that fill r: greedy, scope 1, share 1, owner 1. */
sb_seq_opts sb_rig_seq_opts(sb_rig_seq *r, const int32_t *ids, int32_t n, int32_t max_tokens);
/* Submits; o as made by sb_rig_seq_opts(), changed at will. */
sb_status sb_rig_seq_begin(sb_rig_seq *r, sb_sched *s, const sb_seq_opts *o,
                           sb_error *err) SB_MUST_USE;
void sb_rig_seq_end(sb_rig_seq *r);
/* Steps until nothing is left to do. */
void sb_rig_drain(sb_sched *s);
/* The tokens of a plain session for the same options: out[max_tokens], *n_out of them. The engine
 * must have no scheduler. */
sb_status sb_rig_alone(sb_engine *e, const sb_seq_opts *o, int32_t *out, int32_t *n_out,
                       sb_error *err) SB_MUST_USE;
#endif
