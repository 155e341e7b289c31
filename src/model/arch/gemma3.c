/* SPDX-License-Identifier: Apache-2.0
 * gemma3.c - Gemma 3 text models, as a plan.
 *
 * Norms stand before and after each sublayer (the file stores w + 1); q and k are normalised per
 * head before rope; five of six layers see a sliding window and turn with their own rope base; the
 * embedding is scaled by sqrt(n_embd); the head is tied. */
#include "base/limits.h"
#include "model/decoder.h"

#include <math.h>

static const sb_arch_key keys[] = {
    SB_ARCH_COMMON_KEYS,
    SB_KEY_I("attention.sliding_window", window, 1, SB_MAX_CTX, 0),
    SB_KEY_I("attention.sliding_window_pattern", window_period, 1, SB_MAX_LAYERS, 6),
    SB_KEY_F("rope.freq_base_swa", rope_base_local, 1, 1e12, 10000),
};

static const sb_arch_tensor tensors[] = {
    SB_ARCH_COMMON_TENSORS,
    SB_ARCH_HEAD_NORMS,
    {SB_T_POST_ATTN_NORM, {SB_DIM_EMBD}, true},
    {SB_T_POST_FFW_NORM, {SB_DIM_EMBD}, true},
};

/* The 27B model divides scores by sqrt(n_embd / n_head) instead of sqrt(head_dim); no key says so,
 * its 62 layers do. */
static float score_scale(const sb_model *m)
{
    const sb_hparams *h = &m->hp;
    return h->n_layer == 62 ? 1 / sqrtf((float)(h->n_embd / h->n_head)) : sb_arch_score_scale(m);
}

/* Layers that see a window turn with a base of their own and are never scaled. */
static int32_t local_rope_add(const sb_model *m, sb_plan *p)
{
    const sb_rope_spec s = {.layout = SB_ROPE_HALVES,
                            .n_rot = m->hp.n_rot,
                            .base = m->hp.rope_base_local,
                            .factor = 1,
                            .attn_factor = 1};
    return sb_plan_rope_add(p, &s);
}

static void plan(const sb_model *m, sb_plan *p)
{
    const sb_hparams *h = &m->hp;
    const int32_t local = local_rope_add(m, p), global = sb_arch_rope_add(m, p, SB_ROPE_HALVES);
    sb_decoder d = sb_decoder_begin(m, p, sqrtf((float)h->n_embd));
    while (sb_decoder_next(&d)) {
        const bool is_global = h->window == 0 || (d.layer + 1) % h->window_period == 0;
        sb_decoder_qkv(&d);
        sb_decoder_head_norms(&d);
        sb_decoder_rope(&d, is_global ? global : local);
        sb_decoder_attend(&d, score_scale(m), is_global ? 0 : h->window);
        sb_decoder_ffn(&d, SB_GATE_GELU);
    }
    sb_decoder_end(&d);
}

const sb_arch sb_arch_gemma3 = {"gemma3", SB_ARCH_TABLES, .plan = plan};
