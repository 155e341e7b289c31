/* SPDX-License-Identifier: Apache-2.0
 * decoder.c - see decoder.h. */
#include "model/decoder.h"

/* The layer's weight of a slot, or -1. */
static int32_t weight(const sb_decoder *d, sb_tensor_slot slot)
{
    return sb_model_weight(d->m, slot, d->layer);
}

static void norm(const sb_decoder *d, int32_t in, sb_tensor_slot slot, int32_t out)
{
    const int32_t w = weight(d, slot);
    if (w >= 0) sb_plan_norm(d->p, d->layer, in, w, d->m->hp.eps, out);
}

/* out = W in + bias. */
static void product(const sb_decoder *d, int32_t in, sb_tensor_slot w, sb_tensor_slot bias,
                    int32_t out)
{
    sb_plan_matmul(d->p, d->layer, in, 1, (int32_t[]){weight(d, w)}, (int32_t[]){weight(d, bias)},
                   (int32_t[]){out});
}

sb_decoder sb_decoder_begin(const sb_model *m, sb_plan *p, float scale)
{
    const sb_hparams *h = &m->hp;
    const int32_t n_q = h->n_head * h->head_dim, n_kv = h->n_kv_head * h->head_dim;
    const sb_decoder d = {.m = m,
                          .p = p,
                          .layer = -1,
                          .x = sb_plan_buf_get(p, "x", h->n_embd),
                          .n = sb_plan_buf_get(p, "n", h->n_embd),
                          .y = sb_plan_buf_get(p, "y", h->n_embd),
                          .q = sb_plan_buf_get(p, "q", n_q),
                          .k = sb_plan_buf_get(p, "k", n_kv),
                          .v = sb_plan_buf_get(p, "v", n_kv),
                          .a = sb_plan_buf_get(p, "a", n_q),
                          .g = sb_plan_buf_get(p, "g", h->n_ff),
                          .u = sb_plan_buf_get(p, "u", h->n_ff)};
    sb_plan_embed(p, weight(&d, SB_T_TOKEN_EMBD), scale, d.x);
    return d;
}

bool sb_decoder_next(sb_decoder *d)
{
    return ++d->layer < d->m->hp.n_layer;
}

void sb_decoder_qkv(const sb_decoder *d)
{
    norm(d, d->x, SB_T_ATTN_NORM, d->n);
    sb_plan_matmul(
        d->p, d->layer, d->n, 3,
        (int32_t[]){weight(d, SB_T_ATTN_Q), weight(d, SB_T_ATTN_K), weight(d, SB_T_ATTN_V)},
        (int32_t[]){weight(d, SB_T_ATTN_Q_BIAS), weight(d, SB_T_ATTN_K_BIAS),
                    weight(d, SB_T_ATTN_V_BIAS)},
        (int32_t[]){d->q, d->k, d->v});
}

void sb_decoder_head_norms(const sb_decoder *d)
{
    const sb_hparams *h = &d->m->hp;
    sb_plan_head_norm(d->p, d->layer, d->q, weight(d, SB_T_ATTN_Q_NORM), h->eps, h->n_head,
                      h->head_dim);
    sb_plan_head_norm(d->p, d->layer, d->k, weight(d, SB_T_ATTN_K_NORM), h->eps, h->n_kv_head,
                      h->head_dim);
}

void sb_decoder_rope(const sb_decoder *d, int32_t rope)
{
    const sb_hparams *h = &d->m->hp;
    sb_plan_rope(d->p, d->layer, rope, d->q, h->n_head, h->head_dim);
    sb_plan_rope(d->p, d->layer, rope, d->k, h->n_kv_head, h->head_dim);
}

void sb_decoder_attend(const sb_decoder *d, float scale, int32_t window)
{
    const sb_hparams *h = &d->m->hp;
    sb_step s = sb_step_none(SB_OP_ATTEND, d->layer);
    s.in[0] = d->q, s.in[1] = d->k, s.in[2] = d->v, s.out[0] = d->a;
    s.n_head = h->n_head, s.n_kv_head = h->n_kv_head, s.head_dim = h->head_dim;
    s.window = window, s.scale = scale, s.softcap = h->attn_softcap;
    sb_plan_attend(d->p, &s);
    product(d, d->a, SB_T_ATTN_OUTPUT, SB_T_ATTN_OUTPUT_BIAS, d->y);
    norm(d, d->y, SB_T_POST_ATTN_NORM, d->y);
    sb_plan_residual(d->p, d->layer, d->y, d->x);
}

void sb_decoder_ffn(const sb_decoder *d, sb_gate gate)
{
    norm(d, d->x, SB_T_FFN_NORM, d->n);
    sb_plan_matmul(d->p, d->layer, d->n, 2,
                   (int32_t[]){weight(d, SB_T_FFN_GATE), weight(d, SB_T_FFN_UP)},
                   (int32_t[]){weight(d, SB_T_FFN_GATE_BIAS), weight(d, SB_T_FFN_UP_BIAS)},
                   (int32_t[]){d->g, d->u});
    sb_plan_gate(d->p, d->layer, gate, d->g, d->u, d->g);
    product(d, d->g, SB_T_FFN_DOWN, SB_T_FFN_DOWN_BIAS, d->y);
    norm(d, d->y, SB_T_POST_FFW_NORM, d->y);
    sb_plan_residual(d->p, d->layer, d->y, d->x);
}

void sb_decoder_end(sb_decoder *d)
{
    d->layer = -1;
    norm(d, d->x, SB_T_OUTPUT_NORM, d->n);
    const int32_t head = weight(d, SB_T_OUTPUT);
    sb_plan_head(d->p, d->n, head >= 0 ? head : weight(d, SB_T_TOKEN_EMBD), d->m->hp.logit_softcap);
}

void sb_decoder_plan(const sb_model *m, sb_plan *p, sb_rope_layout layout)
{
    const int32_t rope = sb_arch_rope_add(m, p, layout);
    sb_decoder d = sb_decoder_begin(m, p, 1);
    while (sb_decoder_next(&d)) {
        sb_decoder_qkv(&d);
        sb_decoder_rope(&d, rope);
        sb_decoder_attend(&d, sb_arch_score_scale(m), 0);
        sb_decoder_ffn(&d, SB_GATE_SILU);
    }
    sb_decoder_end(&d);
}
