/* SPDX-License-Identifier: Apache-2.0
 * top.h - the few largest logits of a row, gathered piece by piece.
 *
 * Purpose     Most draws need one logit or some dozens of a whole vocabulary. They are picked where
 *             logits are computed, so that the others are never written to memory.
 * Invariants  A list is in order: the larger logit first, the lower id on a tie; so it is the same
 *             whoever gathered which piece, and when.
 * Ownership   Plain values.
 * Cost        A pass over the logits, most of them looked at 16 at a time. */
#ifndef SB_ENGINE_TOP_H
#define SB_ENGINE_TOP_H
#include "base/base.h"

enum { SB_TOP_MOST = 64 };

typedef struct sb_logit {
    float logit;
    int32_t id;
} sb_logit;

typedef struct sb_top {
    sb_logit at[SB_TOP_MOST];
    int32_t n;
} sb_top;

/* Whether a piece with this greatest logit may hold any of the k first. An equal one may still
 * stand before the last: pieces do not come in order. */
bool sb_top_wants(const sb_top *t, int32_t k, float greatest);
/* Takes what belongs to the k (1..SB_TOP_MOST) first of x[n], whose first is the logit of id0. All
 * are finite; no id comes twice. */
void sb_top_gather(sb_top *t, int32_t k, const float *x, int32_t n, int32_t id0);
/* Takes what belongs to the k first of another list. */
void sb_top_join(sb_top *t, int32_t k, const sb_top *other);
/* Largest of n >= 1 values. */
float sb_max_of(const float *x, int32_t n);
#endif
