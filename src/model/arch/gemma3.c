/* SPDX-License-Identifier: Apache-2.0
 * gemma3.c - Gemma 3 text models, as a plan.
 *
 * Norms stand before and after each sublayer (the file stores w + 1); q and k are normalised per
 * head before rope; five of six layers see a sliding window and turn with their own rope base; the
 * embedding is scaled by sqrt(n_embd); the head is tied. */
#include "base/limits.h"
#include "model/arch.h"

#include <math.h>

static const sb_arch_key keys[] = {
    SB_ARCH_COMMON_KEYS,
    SB_KEY_I("attention.sliding_window", window, 1, SB_MAX_CTX, 0),
    SB_KEY_I("attention.sliding_window_pattern", window_period, 1, SB_MAX_LAYERS, 6),
    SB_KEY_F("rope.freq_base_swa", rope_base_local, 1, 1e12, 10000),
};

static const sb_arch_tensor tensors[] = {
    {SB_T_TOKEN_EMBD, {SB_DIM_EMBD, SB_DIM_VOCAB}, true},
    {SB_T_OUTPUT_NORM, {SB_DIM_EMBD}, true},
    {SB_T_OUTPUT, {SB_DIM_EMBD, SB_DIM_VOCAB}, false},
    {SB_T_ATTN_NORM, {SB_DIM_EMBD}, true},
    {SB_T_ATTN_Q, {SB_DIM_EMBD, SB_DIM_Q}, true},
    {SB_T_ATTN_K, {SB_DIM_EMBD, SB_DIM_KV}, true},
    {SB_T_ATTN_V, {SB_DIM_EMBD, SB_DIM_KV}, true},
    {SB_T_ATTN_Q_NORM, {SB_DIM_HEAD}, true},
    {SB_T_ATTN_K_NORM, {SB_DIM_HEAD}, true},
    {SB_T_ATTN_OUTPUT, {SB_DIM_Q, SB_DIM_EMBD}, true},
    {SB_T_POST_ATTN_NORM, {SB_DIM_EMBD}, true},
    {SB_T_FFN_NORM, {SB_DIM_EMBD}, true},
    {SB_T_FFN_GATE, {SB_DIM_EMBD, SB_DIM_FF}, true},
    {SB_T_FFN_UP, {SB_DIM_EMBD, SB_DIM_FF}, true},
    {SB_T_FFN_DOWN, {SB_DIM_FF, SB_DIM_EMBD}, true},
    {SB_T_POST_FFW_NORM, {SB_DIM_EMBD}, true},
};

/* The 27B model divides scores by sqrt(n_embd / n_head) instead of sqrt(head_dim); no key says so,
 * its 62 layers do. */
static float score_scale(const sb_hparams *h)
{
    const int32_t d = h->n_layer == 62 ? h->n_embd / h->n_head : h->head_dim;
    return 1 / sqrtf((float)d);
}

static void plan(const sb_model *m, sb_plan *p)
{
    const sb_hparams *h = &m->hp;
    const int32_t n_q = h->n_head * h->head_dim, n_kv = h->n_kv_head * h->head_dim;
    const int32_t x = sb_plan_buf_get(p, "x", h->n_embd), n = sb_plan_buf_get(p, "n", h->n_embd);
    const int32_t q = sb_plan_buf_get(p, "q", n_q), k = sb_plan_buf_get(p, "k", n_kv);
    const int32_t v = sb_plan_buf_get(p, "v", n_kv), a = sb_plan_buf_get(p, "a", n_q);
    const int32_t y = sb_plan_buf_get(p, "y", h->n_embd);
    const int32_t g = sb_plan_buf_get(p, "g", h->n_ff), u = sb_plan_buf_get(p, "u", h->n_ff);
    const sb_rope_spec global = sb_arch_rope_spec(m, SB_ROPE_HALVES);
    sb_rope_spec local = global;
    local.base = h->rope_base_local, local.factor = 1, local.yarn = false;
    const int32_t ropes[2] = {sb_plan_rope_add(p, &local), sb_plan_rope_add(p, &global)};
#define W(slot) sb_model_weight(m, SB_T_##slot, l)
    int32_t l = -1;
    sb_plan_embed(p, W(TOKEN_EMBD), sqrtf((float)h->n_embd), x);
    for (l = 0; l < h->n_layer; l++) {
        const bool is_global = h->window == 0 || (l + 1) % h->window_period == 0;
        sb_plan_norm(p, l, x, W(ATTN_NORM), h->eps, n);
        sb_plan_matmul(p, l, n, 3, (int32_t[]){W(ATTN_Q), W(ATTN_K), W(ATTN_V)}, NULL,
                       (int32_t[]){q, k, v});
        sb_plan_fine(p, 0, 3); /* small matrices, nearly a third of the rounding error */
        sb_plan_head_norm(p, l, q, W(ATTN_Q_NORM), h->eps, h->n_head, h->head_dim);
        sb_plan_head_norm(p, l, k, W(ATTN_K_NORM), h->eps, h->n_kv_head, h->head_dim);
        sb_plan_rope(p, l, ropes[is_global], q, h->n_head, h->head_dim);
        sb_plan_rope(p, l, ropes[is_global], k, h->n_kv_head, h->head_dim);
        sb_step attend = sb_step_none(SB_OP_ATTEND, l);
        attend.in[0] = q, attend.in[1] = k, attend.in[2] = v, attend.out[0] = a;
        attend.n_head = h->n_head, attend.n_kv_head = h->n_kv_head, attend.head_dim = h->head_dim;
        attend.window = is_global ? 0 : h->window;
        attend.scale = score_scale(h), attend.softcap = h->attn_softcap;
        sb_plan_attend(p, &attend);
        sb_plan_matmul(p, l, a, 1, (int32_t[]){W(ATTN_OUTPUT)}, NULL, (int32_t[]){y});
        sb_plan_norm(p, l, y, W(POST_ATTN_NORM), h->eps, y);
        sb_plan_residual(p, l, y, x);
        sb_plan_norm(p, l, x, W(FFN_NORM), h->eps, n);
        sb_plan_matmul(p, l, n, 2, (int32_t[]){W(FFN_GATE), W(FFN_UP)}, NULL, (int32_t[]){g, u});
        sb_plan_gate(p, l, SB_GATE_GELU, g, u, g);
        sb_plan_matmul(p, l, g, 1, (int32_t[]){W(FFN_DOWN)}, NULL, (int32_t[]){y});
        sb_plan_norm(p, l, y, W(POST_FFW_NORM), h->eps, y);
        sb_plan_residual(p, l, y, x);
    }
    l = -1;
    sb_plan_norm(p, l, x, W(OUTPUT_NORM), h->eps, n);
    sb_plan_head(p, n, W(OUTPUT) >= 0 ? W(OUTPUT) : W(TOKEN_EMBD), h->logit_softcap);
#undef W
}

const sb_arch sb_arch_gemma3 = {
    .name = "gemma3",
    .keys = keys,
    .n_keys = SB_ARRAY_LEN(keys),
    .tensors = tensors,
    .n_tensors = SB_ARRAY_LEN(tensors),
    .plan = plan,
};
