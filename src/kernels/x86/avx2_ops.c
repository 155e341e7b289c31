/* SPDX-License-Identifier: Apache-2.0
 * avx2_ops.c - norms, activations, rope and quantisation for the avx2 level. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/x86/avx2_vec.h"
#include "kernels/vec/ops_body.h"
#include "kernels/vec/plain_body.h"

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The least and the greatest of 32 values and zero; false if one is not finite (0 * x is NaN). */
static bool block_range(const vec x[4], float *lo, float *hi)
{
    vec least = v_zero(), most = v_zero(), odd = v_zero();
    for (int j = 0; j < 4; j++) {
        least = _mm256_min_ps(least, x[j]);
        most = _mm256_max_ps(most, x[j]);
        odd = v_fma(x[j], v_zero(), odd);
    }
    // Least and most together: in each half of two vectors, then of one.
    const __m256 a = _mm256_permute2f128_ps(least, v_sub(v_zero(), most), 0x20);
    const __m256 b = _mm256_permute2f128_ps(least, v_sub(v_zero(), most), 0x31);
    __m256 m = _mm256_min_ps(a, b); // four of least, four of -most
    m = _mm256_min_ps(m, _mm256_permute_ps(m, 0x4e));
    m = _mm256_min_ps(m, _mm256_permute_ps(m, 0xb1));
    *lo = _mm_cvtss_f32(_mm256_castps256_ps128(m));
    *hi = 0.0f - _mm_cvtss_f32(_mm256_extractf128_ps(m, 1)); // never -0
    return _mm256_movemask_ps(_mm256_cmp_ps(odd, odd, _CMP_UNORD_Q)) == 0;
}

/* The sums of a's and of b's lanes. */
static void sums_of(__m256i a, __m256i b, int32_t sum[2])
{
    const __m256i h = _mm256_hadd_epi32(a, b);
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    sum[0] = _mm_cvtsi128_si32(s);
    sum[1] = _mm_extract_epi32(s, 2);
}

/* Quantises one block to integers q[4] and writes its entries of the tables, of n_block each, the
 * first at `at`. */
static void quant_block(const float *x, __m256i q[4], unsigned char *at, size_t n_block)
{
    const vec v[4] = {v_load(x), v_load(x + 8), v_load(x + 16), v_load(x + 24)};
    float lo, hi, d = 0.0f;
    int32_t z = 0, half[2] = {0, 0};
    const bool finite = block_range(v, &lo, &hi);
    const float span = hi - lo;
    for (int j = 0; j < 4; j++)
        q[j] = _mm256_setzero_si256();
    if (!finite || sb_float_bits(span) >= 0x7f800000u) {
        d = sb_bits_float(0x7fc00000u);
    } else if (span >= SB_ACT_TINY) {
        const float t = 253.0f / span;
        d = span / 253.0f;
        z = _mm_cvtss_si32(_mm_set_ss(lo * t)) + 127;
        for (int j = 0; j < 4; j++)
            q[j] =
                _mm256_sub_epi32(_mm256_cvtps_epi32(v_mul(v[j], v_set(t))), _mm256_set1_epi32(z));
        sums_of(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]), half);
    }
    tables_put(at, n_block, d, z, half);
}

static void quant_a8(const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); // packs work by 128-bit halves
    for (int64_t i = 0; i < n; i += SB_ACT_BLOCK) {
        __m256i q[4];
        quant_block(x + i, q, dst + k_total + (size_t)((k0 + i) / SB_ACT_BLOCK) * sizeof(float),
                    (size_t)(k_total / SB_ACT_BLOCK));
        const __m256i a = _mm256_packs_epi32(q[0], q[1]), b = _mm256_packs_epi32(q[2], q[3]);
        const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
        _mm256_storeu_si256((__m256i *)(void *)(dst + k0 + i), bytes);
    }
}

/* One vector of pairs (a, b): x is a0 b0 a1 b1 ..., cs is c0 s0 c1 s1 ..., sc is s0 c0 s1 c1 ... */
static inline vec rotate_pairs(vec x, vec cs, vec sc)
{
    const vec rounded = v_mul(_mm256_movehdup_ps(x), sc); // b * s, b * c
    return _mm256_fmaddsub_ps(_mm256_moveldup_ps(x), cs, rounded);
}

static void rope_pairs(float *x, const float *cos, const float *sin, int64_t n_pair)
{
    int64_t i = 0;
    for (; i + 4 <= n_pair; i += 4) {
        const __m128 c = _mm_loadu_ps(cos + i), s = _mm_loadu_ps(sin + i);
        const vec cs = _mm256_set_m128(_mm_unpackhi_ps(c, s), _mm_unpacklo_ps(c, s));
        v_store(x + 2 * i, rotate_pairs(v_load(x + 2 * i), cs, _mm256_permute_ps(cs, 0xb1)));
    }
    rope_pairs_rest(x, cos, sin, i, n_pair);
}

/* Eight chains would not leave registers for the factors; six hide the latency as well. */
static uint64_t int8_peak(int64_t n)
{
    enum { CHAINS = 6, PAIRS = 32 };
    const __m256i one = _mm256_set1_epi16(1);
    __m256i a[CHAINS], b = _mm256_set1_epi8(5), sum[CHAINS];
    UNROLL
    for (int c = 0; c < CHAINS; c++) {
        a[c] = _mm256_set1_epi8(3);
        sum[c] = _mm256_setzero_si256();
        __asm__("" : "+x"(a[c])); // else one product would do for all chains
    }
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+x"(b)); // and for all rounds
        UNROLL
        for (int c = 0; c < CHAINS; c++)
            sum[c] =
                _mm256_add_epi32(sum[c], _mm256_madd_epi16(_mm256_maddubs_epi16(a[c], b), one));
    }
    UNROLL
    for (int c = 0; c < CHAINS; c++)
        __asm__ volatile("" : : "x"(sum[c])); // as registers: as an array it would live in memory
    return (uint64_t)n * CHAINS * PAIRS;
}

void sb_kernels_fill_avx2_ops(sb_kernels *k)
{
    fill_common(k);
    fill_plain(k);
    k->quant_a8 = quant_a8;
    k->rope_pairs = rope_pairs;
    k->attn_merge = sb_avx2_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_avx2_attn_f32;
    k->attn[SB_KV_BF16] = sb_avx2_attn_bf16;
    k->attn[SB_KV_I8] = sb_avx2_attn_i8;
}
