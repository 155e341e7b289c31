/* SPDX-License-Identifier: Apache-2.0
 * avx2_ops.c - norms, activations, rope and quantisation for the avx2 level. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/x86/avx2_vec.h"
#include "kernels/x86/ops_body.h"

/* Bits of the greatest magnitude of 32 values, as integers: NaN is above infinity. */
static uint32_t block_amax_bits(const vec x[4])
{
    __m256i m = _mm256_castps_si256(v_abs(x[0]));
    for (int j = 1; j < 4; j++)
        m = _mm256_max_epi32(m, _mm256_castps_si256(v_abs(x[j])));
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(h);
}

static int32_t sum_of(__m256i v)
{
    __m128i h = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0xb1));
    return _mm_cvtsi128_si32(h);
}

/* Where the four tables of a row start, and how many blocks each has. */
typedef struct quant_tables {
    unsigned char *p;
    int64_t n_block;
} quant_tables;

/* Quantises one block to integers q[4] in [-top, top] and writes its row of the tables. */
static void quant_block(const float *x, float top, __m256i q[4], const quant_tables *t,
                        int64_t i_block)
{
    const vec v[4] = {v_load(x), v_load(x + 8), v_load(x + 16), v_load(x + 24)};
    const uint32_t amax_bits = block_amax_bits(v);
    float d = 0.0f, s = 0.0f;
    int32_t sum = 0, half = 0;
    for (int j = 0; j < 4; j++)
        q[j] = _mm256_setzero_si256();
    if (amax_bits >= 0x7f800000u) {
        d = s = sb_bits_float(0x7fc00000u);
    } else if (amax_bits >= sb_float_bits(SB_ACT_TINY)) {
        const float amax = sb_bits_float(amax_bits);
        const vec inv = v_set(top / amax);
        for (int j = 0; j < 4; j++)
            q[j] = _mm256_cvtps_epi32(v_mul(v[j], inv));
        half = sum_of(_mm256_add_epi32(q[0], q[1]));
        sum = half + sum_of(_mm256_add_epi32(q[2], q[3]));
        d = amax / top;
        s = d * (float)sum;
    }
    unsigned char *at = t->p + (size_t)i_block * sizeof d;
    const size_t step = (size_t)t->n_block * sizeof d;
    memcpy(at, &d, sizeof d);
    memcpy(at + step, &s, sizeof s);
    memcpy(at + 2 * step, &sum, sizeof sum);
    memcpy(at + 3 * step, &half, sizeof half);
}

static void quant_a8(const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst)
{
    const quant_tables t = {dst + k_total, k_total / SB_ACT_BLOCK};
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); // packs work by 128-bit halves
    for (int64_t i = 0; i < n; i += SB_ACT_BLOCK) {
        __m256i q[4];
        quant_block(x + i, 127.0f, q, &t, (k0 + i) / SB_ACT_BLOCK);
        const __m256i a = _mm256_packs_epi32(q[0], q[1]), b = _mm256_packs_epi32(q[2], q[3]);
        const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
        _mm256_storeu_si256((__m256i *)(void *)(dst + k0 + i), bytes);
    }
}

static void quant_a16(const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst)
{
    const quant_tables t = {dst + 2 * k_total, k_total / SB_ACT_BLOCK};
    for (int64_t i = 0; i < n; i += SB_ACT_BLOCK) {
        __m256i q[4];
        quant_block(x + i, 32767.0f, q, &t, (k0 + i) / SB_ACT_BLOCK);
        for (int j = 0; j < 2; j++) {
            const __m256i h = _mm256_packs_epi32(q[2 * j], q[2 * j + 1]);
            _mm256_storeu_si256((__m256i *)(void *)(dst + 2 * (k0 + i + 16 * j)),
                                _mm256_permute4x64_epi64(h, 0xd8));
        }
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
    for (; i < n_pair; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = fmaf(a, cos[i], -(b * sin[i]));
        x[2 * i + 1] = fmaf(a, sin[i], b * cos[i]);
    }
}

static void rope_halves(float *x, const float *cos, const float *sin, int64_t n_pair)
{
    int64_t i = 0;
    for (; i + LANES <= n_pair; i += LANES) {
        const vec a = v_load(x + i), b = v_load(x + n_pair + i);
        const vec c = v_load(cos + i), s = v_load(sin + i);
        v_store(x + i, _mm256_fmsub_ps(a, c, v_mul(b, s)));
        v_store(x + n_pair + i, v_fma(a, s, v_mul(b, c)));
    }
    for (; i < n_pair; i++) {
        const float a = x[i], b = x[n_pair + i];
        x[i] = fmaf(a, cos[i], -(b * sin[i]));
        x[n_pair + i] = fmaf(a, sin[i], b * cos[i]);
    }
}

static void add(float *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    for (; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, float s, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_mul(v_load(y + i), v_set(s)));
    for (; i < n; i++)
        y[i] = y[i] * s;
}

/* Pairs at distance h inside a vector: a + c in the place of a, a - c in that of c. */
static vec butterfly(vec v, int h)
{
    if (h == 1) {
        const vec w = _mm256_permute_ps(v, 0xb1);
        return _mm256_blend_ps(v_add(w, v), v_sub(w, v), 0xaa);
    }
    if (h == 2) {
        const vec w = _mm256_permute_ps(v, 0x4e);
        return _mm256_blend_ps(v_add(w, v), v_sub(w, v), 0xcc);
    }
    const vec w = _mm256_permute2f128_ps(v, v, 1);
    return _mm256_blend_ps(v_add(w, v), v_sub(w, v), 0xf0);
}

/* The distances below 8 of a run of b values; shorter runs fill a part of the vector only. */
static void butterflies_near(float *x, int64_t b)
{
    const int64_t n = b < LANES ? b : LANES;
    for (int64_t i = 0; i < b; i += LANES) {
        vec v = v_load_n(x + i, n);
        for (int h = 1; h < n; h *= 2)
            v = butterfly(v, h);
        v_store_n(x + i, v, n);
    }
}

static void hadamard(float *x, int64_t n)
{
    const int64_t b = n & -n;
    const float s = 1.0f / sqrtf((float)b);
    for (int64_t i0 = 0; i0 < n; i0 += b, x += b) {
        butterflies_near(x, b);
        for (int64_t h = LANES; h < b; h *= 2) {
            for (int64_t i = 0; i < b; i += LANES) {
                if (i & h) continue; // the second of its pair
                const vec a = v_load(x + i), c = v_load(x + i + h);
                v_store(x + i, v_add(a, c));
                v_store(x + i + h, v_sub(a, c));
            }
        }
        scale(x, s, b);
    }
}

/* Eight chains would not leave registers for the factors; six hide the latency as well. */
static uint64_t int8_peak(int64_t n)
{
    enum { CHAINS = 6, PAIRS = 32 };
    const __m256i b = _mm256_set1_epi8(5), one = _mm256_set1_epi16(1);
    __m256i a[CHAINS], sum[CHAINS];
    for (int c = 0; c < CHAINS; c++) {
        a[c] = _mm256_set1_epi8(3);
        sum[c] = _mm256_setzero_si256();
    }
    for (int64_t i = 0; i < n; i++) {
        for (int c = 0; c < CHAINS; c++) {
            __asm__ volatile("" : "+x"(a[c])); // else one product would do for all rounds
            sum[c] =
                _mm256_add_epi32(sum[c], _mm256_madd_epi16(_mm256_maddubs_epi16(a[c], b), one));
        }
    }
    __asm__ volatile("" : : "m"(sum));
    return (uint64_t)n * CHAINS * PAIRS;
}

void sb_kernels_fill_avx2_ops(sb_kernels *k)
{
    fill_common(k);
    k->quant_a8 = quant_a8;
    k->quant_a16 = quant_a16;
    k->rope_pairs = rope_pairs;
    k->rope_halves = rope_halves;
    k->add = add;
    k->scale = scale;
    k->hadamard = hadamard;
    k->attn_merge = sb_avx2_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_avx2_attn_f32;
    k->attn[SB_KV_BF16] = sb_avx2_attn_bf16;
    k->attn[SB_KV_I8] = sb_avx2_attn_i8;
}
