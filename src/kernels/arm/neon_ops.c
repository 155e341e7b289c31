/* SPDX-License-Identifier: Apache-2.0
 * neon_ops.c - norms, activations, rope and quantisation for the neon level.
 *
 * Proved under an emulator alone: no figure of this level yet. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/arm/neon_vec.h"
#include "kernels/vec/ops_body.h"
#include "kernels/vec/plain_body.h"

/* The least and the greatest of 32 values and zero; false if one is not finite. */
static bool block_range(const vec x[8], float *lo, float *hi)
{
    vec least = v_zero(), most = v_zero();
    uint32x4_t size = vdupq_n_u32(0);
    for (int j = 0; j < 8; j++) {
        least = vminq_f32(least, x[j]);
        most = vmaxq_f32(most, x[j]);
        size = vmaxq_u32(size, vreinterpretq_u32_f32(v_abs(x[j])));
    }
    *lo = vminvq_f32(least);
    *hi = vmaxvq_f32(most);
    return vmaxvq_u32(size) < 0x7f800000u;
}

/* Quantises one block to integers q[8] and writes its entries of the tables, of n_block each, the
 * first at `at`. */
static void quant_block(const float *x, int32x4_t q[8], unsigned char *at, size_t n_block)
{
    vec v[8];
    float lo, hi, d = 0.0f;
    int32_t z = 0, half[2] = {0, 0};
    for (int j = 0; j < 8; j++) {
        v[j] = v_load(x + j * LANES);
        q[j] = vdupq_n_s32(0);
    }
    const bool finite = block_range(v, &lo, &hi);
    const float span = hi - lo;
    if (!finite || sb_float_bits(span) >= 0x7f800000u) {
        d = sb_bits_float(0x7fc00000u);
    } else if (span >= SB_ACT_TINY) {
        const float t = 253.0f / span;
        d = span / 253.0f;
        z = vcvtns_s32_f32(lo * t) + 127;
        for (int j = 0; j < 8; j++) {
            q[j] = vsubq_s32(vcvtnq_s32_f32(v_mul(v[j], v_set(t))), vdupq_n_s32(z));
            half[j / 4] += vaddvq_s32(q[j]);
        }
    }
    tables_put(at, n_block, d, z, half);
}

static void quant_a8(const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst)
{
    for (int64_t i = 0; i < n; i += SB_ACT_BLOCK) {
        int32x4_t q[8];
        quant_block(x + i, q, dst + k_total + (size_t)((k0 + i) / SB_ACT_BLOCK) * sizeof(float),
                    (size_t)(k_total / SB_ACT_BLOCK));
        for (int j = 0; j < 8; j += 4) {
            const int16x8_t a = vmovn_high_s32(vmovn_s32(q[j]), q[j + 1]);
            const int16x8_t b = vmovn_high_s32(vmovn_s32(q[j + 2]), q[j + 3]);
            vst1q_s8((int8_t *)dst + k0 + i + j * LANES, vmovn_high_s16(vmovn_s16(a), b));
        }
    }
}

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
    rope_pairs_rest(x, cos, sin, i, n_pair);
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
    k->quant_a8 = quant_a8;
    k->rope_pairs = rope_pairs;
    k->attn_merge = sb_neon_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_neon_attn_f32;
    k->attn[SB_KV_BF16] = sb_neon_attn_bf16;
    k->attn[SB_KV_I8] = sb_neon_attn_i8;
}
