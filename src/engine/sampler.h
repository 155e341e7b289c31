/* SPDX-License-Identifier: Apache-2.0
 * sampler.h - logits to a token id.
 *
 * Purpose     One id from one row of logits, in this order: penalties for what was said, bias,
 *             mask; then greedy (temperature 0: the largest, the lower id on a tie) or drawn:
 *             temperature, top-k, typical-p, top-p, min-p, one draw. The same seed, parameters,
 *             history and logits give the same ids anywhere.
 * Invariants  What is off costs nothing and changes nothing, so zero is off wherever it can be.
 * Ownership   A sampler copies what it is given; made for one vocabulary size. Samplers may
 *             share the rooms they draw in; else each has its own.
 * Errors      sb_sampler_new: SB_INVALID or SB_LIMIT naming the parameter and its range,
 *             SB_NO_MEMORY.
 * Cost        A few passes over the logits for a draw, times their logarithm for typical-p without
 *             a top-k; no allocation after _new. */
#ifndef SB_ENGINE_SAMPLER_H
#define SB_ENGINE_SAMPLER_H
#include "base/base.h"
#include "engine/top.h"

/* Added to the logit of one token. */
typedef struct sb_logit_bias {
    int32_t id;
    float bias; /* -100..100, or -INFINITY: never */
} sb_logit_bias;

typedef struct sb_sampling {
    float temp;      /* 0 = greedy, up to 100 */
    int32_t top_k;   /* 0 = all */
    float typical_p; /* 0 or 1 = all; else the ids whose surprise is nearest to the expected one, up
                        to this mass (locally typical sampling) */
    float top_p;     /* 1 = all */
    float min_p;     /* 0 = all; else p >= min_p * largest p */
    uint64_t seed;
    /* Penalties look at the last tokens of the history; ids that are not in it are left alone. */
    int32_t repeat_last_n;  /* tokens looked back at, 0 = all */
    float repeat_penalty;   /* 0 or 1 = off, up to 100: of ids in prompt and answer a positive logit
                                is divided by it, a negative one multiplied */
    float presence_penalty; /* -2..2: taken once from ids in the answer */
    float frequency_penalty;   /* -2..2: taken as often as the id stands in the answer */
    const sb_logit_bias *bias; /* [n_bias] each id once */
    int32_t n_bias;
} sb_sampling;

typedef struct sb_sampler sb_sampler;
typedef struct sb_sampler_room sb_sampler_room;

/* Room for one draw at a time: some 20 bytes for each id, of which most draws touch few. */
sb_status sb_sampler_room_new(sb_sampler_room **out, int32_t n_vocab, sb_error *err) SB_MUST_USE;
void sb_sampler_room_free(sb_sampler_room *r);
/* A sampler without a room: only for sb_sampler_draw_in(). Without penalties it needs memory only
 * for itself and its bias. */
sb_status sb_sampler_new_bare(sb_sampler **out, int32_t n_vocab, const sb_sampling *p,
                              sb_error *err) SB_MUST_USE;
sb_status sb_sampler_new(sb_sampler **out, int32_t n_vocab, const sb_sampling *p,
                         sb_error *err) SB_MUST_USE;
void sb_sampler_free(sb_sampler *s);
/* The history, in order: the prompt, then each id of the answer. Not needed without penalties. */
void sb_sampler_prompt(sb_sampler *s, const int32_t *ids, size_t n);
void sb_sampler_accept(sb_sampler *s, int32_t id);
/* mask: bit i of word i / 32 set where id i is allowed; NULL = all. Returns the id. */
int32_t sb_sampler_draw(sb_sampler *s, const float *logits, const uint32_t *mask);
/* The same in a room of the same vocabulary that nobody else draws in meanwhile. */
int32_t sb_sampler_draw_in(sb_sampler *s, sb_sampler_room *r, const float *logits,
                           const uint32_t *mask);

/* How many of the largest logits are all that a draw needs whose mask bars n_barred ids; 0: it
 * needs all. */
int32_t sb_sampler_n_top(const sb_sampler *s, int32_t n_barred);
/* The id that sb_sampler_draw() would return for the logits that these are the first of. */
int32_t sb_sampler_draw_top(sb_sampler *s, const sb_top *top, const uint32_t *mask);

/* Natural log of the probability of `id` at temperature 1. */
double sb_logprob(const float *logits, int32_t n_vocab, int32_t id);
/* The n largest logits, largest first (lower id on a tie): ids and log probabilities. */
void sb_top_logprobs(const float *logits, int32_t n_vocab, int32_t n, int32_t *ids,
                     double *logprobs);
int32_t sb_argmax(const float *logits, int32_t n_vocab);
#endif
