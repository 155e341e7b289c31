/* SPDX-License-Identifier: Apache-2.0
 * avx512_ops.c - norms and activations for the avx512 level.
 *
 * Quantisation, rope, add and scale stay with avx2: they wait for memory or are a thousandth of the
 * time. No figure of this level yet: it is proved by emulation where no such CPU is at hand. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/x86/avx512_vec.h"
#include "kernels/vec/ops_body.h"

static uint64_t int8_peak(int64_t n)
{
    enum { CHAINS = 16, PAIRS = 64 };
    const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
    __m512i sum[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
    __asm__ volatile("" : : "m"(sum));
    return (uint64_t)n * CHAINS * PAIRS;
}

void sb_kernels_fill_avx512_ops(sb_kernels *k)
{
    fill_common(k);
    k->attn_merge = sb_avx512_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_avx512_attn_f32;
    k->attn[SB_KV_BF16] = sb_avx512_attn_bf16;
    k->attn[SB_KV_I8] = sb_avx512_attn_i8;
}
