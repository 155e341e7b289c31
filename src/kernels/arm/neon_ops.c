/* SPDX-License-Identifier: Apache-2.0
 * neon_ops.c - norms, activations, rope and quantisation for the neon level.
 *
 * Proved under an emulator alone: no figure of this level yet. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/arm/neon_vec.h"
#include "kernels/vec/ops_body.h"
#include "kernels/vec/plain_body.h"

static void rope_pairs(float *x, const float *cos, const float *sin, int64_t n_pair)
{
    int64_t i = 0;
    for (; i + LANES <= n_pair; i += LANES) {
        const vec c = v_load(cos + i), s = v_load(sin + i);
        float32x4x2_t p = vld2q_f32(x + 2 * i);
        const vec a = p.val[0], b = p.val[1];
        p.val[0] = v_fms(a, c, v_mul(b, s));
        p.val[1] = v_fma(a, s, v_mul(b, c));
        vst2q_f32(x + 2 * i, p);
    }
    for (; i < n_pair; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = fmaf(a, cos[i], -(b * sin[i]));
        x[2 * i + 1] = fmaf(a, sin[i], b * cos[i]);
    }
}

static uint64_t int8_peak(int64_t n)
{
    enum { CHAINS = 16, PAIRS = 16 };
    const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(5);
    int32x4_t sum[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        sum[c] = vdupq_n_s32(0);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = vdotq_s32(sum[c], a, b);
    __asm__ volatile("" : : "m"(sum));
    return (uint64_t)n * CHAINS * PAIRS;
}

void sb_kernels_fill_neon_ops(sb_kernels *k)
{
    fill_common(k);
    fill_plain(k);
    k->rope_pairs = rope_pairs;
    k->attn_merge = sb_neon_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_neon_attn_f32;
    k->attn[SB_KV_BF16] = sb_neon_attn_bf16;
    k->attn[SB_KV_I8] = sb_neon_attn_i8;
}
