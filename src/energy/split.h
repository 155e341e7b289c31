/* SPDX-License-Identifier: Apache-2.0
 * split.h - what each part of a step cost, and whole microjoules by such weights.
 *
 * Purpose     The arithmetic of the ledger, without meter, clock or memory of its own.
 * Method      A step's cost has a part that all share (time and bytes of the weights, read once),
 *             one for each further set of weights, shared by those that read it, and one of each
 *             alone (its multiply-adds, its keys and values, its time). The Shapley value of such a
 *             game is an equal share of each set among its readers plus one's own; no sampling is
 *             needed.
 * Invariants  Only the ratios of weights matter: rates that are wrong change the split, never the
 * sum.
 * Threads     Pure functions. */
#ifndef SB_ENERGY_SPLIT_H
#define SB_ENERGY_SPLIT_H
#include "energy/record.h"

/* What things cost; one picojoule is a nanosecond of a milliwatt. */
typedef struct sb_split_rates {
    uint64_t thread_mw;   /* a thread at work */
    uint64_t pj_per_byte; /* read from memory */
    uint64_t fj_per_op;   /* multiply-add, in 10^-15 J */
    uint64_t ps_per_byte; /* how long reading takes: what of a step is reading weights */
} sb_split_rates;

extern const sb_split_rates sb_split_usual;

/* The weight of each part, in picojoules; out[r->n_part]. Parts without tokens weigh nothing. */
void sb_split_step(const sb_work_record *r, const sb_split_rates *rates, uint64_t *out_pj);

typedef struct sb_split_item {
    uint64_t owner, weight;
    int64_t uj;         /* out */
    uint64_t remainder; /* scratch */
} sb_split_item;

/* Gives `whole` to items by their weights: each the whole units of its share, and what is left one
 * each to the largest remainders, ties to the smaller owner. The order of items may change.
 * whole >= 0; no weight at all: nothing is given, and false. */
bool sb_split_whole(int64_t whole, sb_split_item *items, size_t n);
#endif
