/* SPDX-License-Identifier: Apache-2.0
 * qwen2.c - Qwen2, Qwen2.5 and R1-Distill-Qwen, as a plan.
 *
 * Llama's layers with biases on q, k and v. Rows of Wq and Wk are the model's own: rope turns the
 * halves of a head. */
#include "model/decoder.h"

static const sb_arch_key keys[] = {SB_ARCH_COMMON_KEYS};

static const sb_arch_tensor tensors[] = {
    SB_ARCH_COMMON_TENSORS,
    SB_ARCH_BIASES(true),
};

static void plan(const sb_model *m, sb_plan *p)
{
    sb_decoder_plan(m, p, SB_ROPE_HALVES);
}

const sb_arch sb_arch_qwen2 = {"qwen2", SB_ARCH_TABLES, .plan = plan};
