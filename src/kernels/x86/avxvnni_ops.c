/* SPDX-License-Identifier: Apache-2.0
 * avxvnni_ops.c - what the avxvnni level has beside its products: their peak. The rest is avx2's.
 */
#include <immintrin.h>

#include "kernels/internal.h"

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Twelve chains: two instructions a cycle of latency four, with room for the factors. */
static uint64_t int8_peak(int64_t n)
{
    enum { CHAINS = 12, PAIRS = 32 };
    const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
    __m256i sum[CHAINS];
    UNROLL
    for (int c = 0; c < CHAINS; c++) {
        sum[c] = _mm256_setzero_si256();
        __asm__("" : "+x"(sum[c])); // else all chains would be one
    }
    for (int64_t i = 0; i < n; i++) {
        UNROLL
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm256_dpbusd_avx_epi32(sum[c], a, b);
    }
    UNROLL
    for (int c = 0; c < CHAINS; c++)
        __asm__ volatile("" : : "x"(sum[c])); // as registers: as an array it would live in memory
    return (uint64_t)n * CHAINS * PAIRS;
}

void sb_kernels_fill_avxvnni_ops(sb_kernels *k)
{
    k->int8_peak = int8_peak;
}
