/* SPDX-License-Identifier: Apache-2.0
 * smollm3.c - SmolLM3, as a plan.
 *
 * Llama's layers, rows of Wq and Wk permuted as there, but every fourth layer knows no positions:
 * it is left without rope. No key says so; all published models do it. */
#include "model/decoder.h"

enum { NO_ROPE_PERIOD = 4 };

static const sb_arch_key keys[] = {SB_ARCH_COMMON_KEYS};

static const sb_arch_tensor tensors[] = {
    SB_ARCH_COMMON_TENSORS,
    SB_ARCH_BIASES(false),
};

static void plan(const sb_model *m, sb_plan *p)
{
    const int32_t rope = sb_arch_rope_add(m, p, SB_ROPE_PAIRS);
    sb_decoder d = sb_decoder_begin(m, p, 1);
    while (sb_decoder_next(&d)) {
        sb_decoder_qkv(&d);
        if ((d.layer + 1) % NO_ROPE_PERIOD) sb_decoder_rope(&d, rope);
        sb_decoder_attend(&d, sb_arch_score_scale(m), 0);
        sb_decoder_ffn(&d, SB_GATE_SILU);
    }
    sb_decoder_end(&d);
}

const sb_arch sb_arch_smollm3 = {"smollm3", SB_ARCH_TABLES, .plan = plan};
