/* SPDX-License-Identifier: Apache-2.0
 * avx2_attn.c - attention for the avx2 level: attn_body.h with 8 lanes. */
#include "kernels/x86/avx2_vec.h"

#include "kernels/vec/attn_body.h"

void sb_avx2_attn_f32(const sb_attn *a)
{
    attn_segment(a, group_f32);
}

void sb_avx2_attn_bf16(const sb_attn *a)
{
    attn_segment(a, group_bf16);
}

void sb_avx2_attn_i8(const sb_attn *a)
{
    attn_segment(a, group_i8);
}

void sb_avx2_attn_merge(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                        int64_t n)
{
    attn_join(m, l, acc, m2, l2, acc2, n);
}
