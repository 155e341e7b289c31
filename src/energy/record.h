/* SPDX-License-Identifier: Apache-2.0
 * record.h - what one engine step did, for whom: the only thing the ledger learns from the engine.
 *
 * Ownership   The engine fills a record it owns; readers copy what they keep before the next step.
 */
#ifndef SB_ENERGY_RECORD_H
#define SB_ENERGY_RECORD_H
#include "base/base.h"

/* One owner's part of a step. */
typedef struct sb_work_part {
    uint64_t owner;       /* session id given by the caller; 0 = the system (load, warm-up) */
    int32_t n_prefill;    /* prompt tokens computed for the first time */
    int32_t n_decode;     /* generated tokens fed */
    int32_t n_recomputed; /* tokens computed again after preemption */
    int32_t n_rejected;   /* guessed tokens thrown away */
    uint64_t kv_bytes;    /* key/value bytes read */
    uint64_t n_ops;       /* multiply-adds of its own rows */
    uint64_t own_ns;      /* time of all threads on its own rows only (attention) */
} sb_work_part;

/* Weights that some of a step's parts read and others do not: the output head, an expert. */
typedef struct sb_work_shared {
    uint64_t bytes;
    const int32_t *parts; /* [n_part] of the record's */
    int32_t n_part;
} sb_work_shared;

typedef struct sb_work_record {
    uint64_t i_step;
    uint64_t begin_ns, end_ns; /* monotonic */
    uint64_t cpu_ns;           /* all threads */
    int32_t n_threads;
    uint64_t dense_bytes; /* weight bytes read once for everyone */
    int32_t n_shared;
    const sb_work_shared *shared; /* [n_shared] further ones */
    int32_t n_part;
    const sb_work_part *parts; /* [n_part] */
} sb_work_record;

/* Weight bytes that a step read. */
static inline uint64_t sb_work_weight_bytes(const sb_work_record *r)
{
    uint64_t n = r->dense_bytes;
    for (int32_t i = 0; i < r->n_shared; i++)
        n += r->shared[i].bytes;
    return n;
}
#endif
