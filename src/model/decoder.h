/* SPDX-License-Identifier: Apache-2.0
 * decoder.h - the pieces that decoder families put their layers together from.
 *
 * Purpose     An architecture's plan is a few lines: which pieces, in which order, with which rope,
 *             window and gate. What two families do alike is written here once.
 * Invariants  A weight that the architecture's table does not name, or that an optional row of it
 *             did not find, is left out of the step: no bias, no norm behind a sublayer.
 * Ownership   Borrows the model and the plan it appends to.
 * Errors      Kept in the plan, as those of its builders are. */
#ifndef SB_MODEL_DECODER_H
#define SB_MODEL_DECODER_H
#include "model/arch.h"

typedef struct sb_decoder {
    const sb_model *m;
    sb_plan *p;
    int32_t layer;   /* the one being written; -1 outside the layers */
    int32_t x, n, y; /* buffers: residual stream, its norm, what a sublayer adds */
    int32_t q, k, v, a, g, u;
} sb_decoder;

/* x = the token's embedding, times scale. */
sb_decoder sb_decoder_begin(const sb_model *m, sb_plan *p, float scale);
/* Goes on to the next layer; false behind the last one. */
bool sb_decoder_next(sb_decoder *d);
/* n = norm(x); q, k, v = Wq n, Wk n, Wv n, plus biases. */
void sb_decoder_qkv(const sb_decoder *d);
/* Every head of q and of k: its norm. */
void sb_decoder_head_norms(const sb_decoder *d);
/* Turns every head of q and of k. */
void sb_decoder_rope(const sb_decoder *d, int32_t rope);
/* x += norm(Wo attention(q, k, v) + bias): scores times `scale`; window 0 sees everything. */
void sb_decoder_attend(const sb_decoder *d, float scale, int32_t window);
/* n = norm(x); x += norm(Wdown (gate(Wgate n) * Wup n)). */
void sb_decoder_ffn(const sb_decoder *d, sb_gate gate);
/* logits = W norm(x); W is the embedding where the file has no head of its own. */
void sb_decoder_end(sb_decoder *d);

/* The whole of a plain decoder, Llama's: in every layer q, k, v, rope, attention that sees
 * everything, and a feed-forward part with SiLU. Families differ in how rope pairs values. */
void sb_decoder_plan(const sb_model *m, sb_plan *p, sb_rope_layout layout);
#endif
