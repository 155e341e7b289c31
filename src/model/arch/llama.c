/* SPDX-License-Identifier: Apache-2.0
 * llama.c - Llama 2 and 3, Mistral, SmolLM2, DeepSeek-LLM, R1-Distill-Llama and their kin, as a
 * plan.
 *
 * Pre-norm layers: x += Wo attention(rope(Wq n), rope(Wk n), Wv n); x += Wdown(silu(Wgate n) * Wup
 * n). The converter permuted the rows of Wq and Wk, so rope turns neighbouring pairs; Llama 3's
 * scaling of long wavelengths comes as a table of divisors, rope_freqs. */
#include "model/decoder.h"

static const sb_arch_key keys[] = {SB_ARCH_COMMON_KEYS};

static const sb_arch_tensor tensors[] = {
    SB_ARCH_COMMON_TENSORS,
    SB_ARCH_BIASES(false),
    {SB_T_ROPE_FREQS, {SB_DIM_ROT_HALF}, false},
};

static void plan(const sb_model *m, sb_plan *p)
{
    sb_decoder_plan(m, p, SB_ROPE_PAIRS);
}

const sb_arch sb_arch_llama = {"llama", SB_ARCH_TABLES, .plan = plan};
