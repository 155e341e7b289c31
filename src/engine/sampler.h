/* SPDX-License-Identifier: Apache-2.0
 * sampler.h - logits to a token id.
 *
 * Purpose     Greedy (temperature 0: the largest logit, the lower id on a tie) or drawn:
 *             temperature, then top-k, then top-p, then min-p, then one draw. The same seed,
 *             parameters and logits give the same ids anywhere.
 * Ownership   A sampler owns its workspace; made for one vocabulary size.
 * Errors      sb_sampler_new: SB_INVALID naming the parameter and its range, SB_NO_MEMORY.
 * Cost        O(n_vocab) a draw; no allocation after _new. */
#ifndef SB_ENGINE_SAMPLER_H
#define SB_ENGINE_SAMPLER_H
#include "base/base.h"

typedef struct sb_sampling {
    float temp;    /* 0 = greedy, up to 100 */
    int32_t top_k; /* 0 = all */
    float top_p;   /* 1 = all */
    float min_p;   /* 0 = all; else p >= min_p * largest p */
    uint64_t seed;
} sb_sampling;

typedef struct sb_sampler sb_sampler;

sb_status sb_sampler_new(sb_sampler **out, int32_t n_vocab, const sb_sampling *p,
                         sb_error *err) SB_MUST_USE;
void sb_sampler_free(sb_sampler *s);
/* mask: bit i of word i / 32 set where id i is allowed; NULL = all. Returns the id. */
int32_t sb_sampler_draw(sb_sampler *s, const float *logits, const uint32_t *mask);

/* Natural log of the probability of `id` at temperature 1. */
double sb_logprob(const float *logits, int32_t n_vocab, int32_t id);
/* The n largest logits, largest first (lower id on a tie): ids and log probabilities. */
void sb_top_logprobs(const float *logits, int32_t n_vocab, int32_t n, int32_t *ids,
                     double *logprobs);
int32_t sb_argmax(const float *logits, int32_t n_vocab);
#endif
