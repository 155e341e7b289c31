/* SPDX-License-Identifier: Apache-2.0
 * qwen3.c - Qwen3, the dense models, as a plan.
 *
 * Llama's layers with every head of q and k normalised before rope, which turns the halves of a
 * head. Heads have a width of their own: n_head * head_dim may differ from n_embd. */
#include "model/decoder.h"

static const sb_arch_key keys[] = {SB_ARCH_COMMON_KEYS};

static const sb_arch_tensor tensors[] = {
    SB_ARCH_COMMON_TENSORS,
    SB_ARCH_BIASES(false), /* no published model has them; the configuration can ask for them */
    SB_ARCH_HEAD_NORMS,
};

static void plan(const sb_model *m, sb_plan *p)
{
    const int32_t rope = sb_arch_rope_add(m, p, SB_ROPE_HALVES);
    sb_decoder d = sb_decoder_begin(m, p, 1);
    while (sb_decoder_next(&d)) {
        sb_decoder_qkv(&d);
        sb_decoder_head_norms(&d);
        sb_decoder_rope(&d, rope);
        sb_decoder_attend(&d, sb_arch_score_scale(m), 0);
        sb_decoder_ffn(&d, SB_GATE_SILU);
    }
    sb_decoder_end(&d);
}

const sb_arch sb_arch_qwen3 = {"qwen3", SB_ARCH_TABLES, .plan = plan};
