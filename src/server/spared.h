/* SPDX-License-Identifier: Apache-2.0
 * spared.h - what tokens that were kept from before would have cost.
 *
 * Purpose     Who computed a prefix paid for it; who finds it is told what it spared. That is an
 *             estimate, by what prompt tokens of the same model cost lately, and stands outside
 *             every sum. Short prompts teach nothing: reading the weights for a few tokens costs as
 *             much as for many.
 * Ownership   Plain memory of the caller's, zero at first.
 * Threads     One caller at a time.
 * Errors      None: what is not known is 0. */
#ifndef SB_SERVER_SPARED_H
#define SB_SERVER_SPARED_H
#include "base/base.h"

enum { SB_SPARED_MODELS = 8, SB_SPARED_NAME_BYTES = 128, SB_SPARED_LEAST_TOK = 32 };

typedef struct sb_spared {
    struct sb_spared_model {
        char model[SB_SPARED_NAME_BYTES];
        int64_t uj, n_tok;
        uint64_t used; /* the greatest learned last */
    } v[SB_SPARED_MODELS];
    uint64_t n_learned;
} sb_spared;

/* Computing n_tok tokens of a prompt took uj. */
void sb_spared_learn(sb_spared *s, const char *model, int64_t uj, int64_t n_tok);
/* Microjoules that computing n_tok would have taken; 0: not known. */
int64_t sb_spared_uj(const sb_spared *s, const char *model, int64_t n_tok);
#endif
