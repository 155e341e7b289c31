/* SPDX-License-Identifier: Apache-2.0
 * avx512_vec.h - the words of the bodies in kernels/vec, for 16 lanes.
 *
 * Each function is one instruction, or the fewest; meanings as in avx2_vec.h. */
#ifndef SB_KERNELS_AVX512_VEC_H
#define SB_KERNELS_AVX512_VEC_H
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec;
enum { LANES = 16, REGISTERS = 32 };

static inline vec v_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vec v_zero(void)
{
    return _mm512_setzero_ps();
}
static inline vec v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}
static inline __mmask16 v_first(int64_t n)
{
    return (__mmask16)((1u << n) - 1u);
}
static inline vec v_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}
static inline void v_store_n(float *p, vec v, int64_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), v);
}

static inline vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}
static inline vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}
static inline vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}
static inline vec v_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}
static inline vec v_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}
static inline vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vec v_fnma(vec a, vec b, vec c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
static inline vec v_neg(vec a)
{
    return _mm512_xor_ps(a, v_set(-0.0f));
}
static inline vec v_abs(vec a)
{
    return _mm512_andnot_ps(v_set(-0.0f), a);
}

static inline vec v_signed(vec a, vec s)
{
    return _mm512_or_ps(a, _mm512_and_ps(v_set(-0.0f), s));
}

static inline vec v_if_less(vec a, vec b, vec x, vec y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}

static inline vec v_zero_if_less(vec a, vec b, vec y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), v_zero());
}

static inline vec v_if_nan(vec a, vec x, vec y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), x);
}

static inline vec v_add_exponent(vec p, vec t)
{
    const __m512i e = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), e));
}

static inline vec v_inside(vec v, int32_t at, int32_t lo, int32_t hi, vec x)
{
    const int32_t first = lo - at < 0 ? 0 : lo - at < 16 ? lo - at : 16;
    const int32_t last = hi - at < 0 ? 0 : hi - at < 16 ? hi - at : 16;
    const uint32_t in = ((1u << last) - 1u) & ~((1u << first) - 1u);
    return _mm512_mask_mov_ps(x, (__mmask16)in, v);
}

static inline float v_greatest(vec v)
{
    const __m256 h = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
    const __m256 w = _mm256_max_ps(_mm512_castps512_ps256(v), h);
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

static inline vec v_half_of_words(__m512i w, bool second)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_castsi512_ps(second ? _mm512_and_si512(high, w) : _mm512_slli_epi32(w, 16));
}

static inline vec v_half_of_floats(vec a, vec b, bool second)
{
    const __m512i firsts =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i i = second ? _mm512_add_epi32(firsts, _mm512_set1_epi32(1)) : firsts;
    return _mm512_permutex2var_ps(a, i, b);
}

static inline vec v_half(const void *page, size_t at, bool bf16, bool second)
{
    if (bf16) return v_half_of_words(_mm512_loadu_si512((const uint16_t *)page + at), second);
    const float *p = (const float *)page + at;
    return v_half_of_floats(v_load(p), v_load(p + LANES), second);
}

/* n is 8: what a head_dim that is no multiple of 16 leaves. */
static inline vec v_half_n(const void *page, size_t at, bool bf16, bool second, int64_t n)
{
    if (bf16) {
        const float *words = (const float *)(const void *)((const uint16_t *)page + at);
        return v_half_of_words(_mm512_castps_si512(v_load_n(words, n)), second);
    }
    return v_half_of_floats(v_load((const float *)page + at), v_zero(), second);
}

static inline vec v_codes(const signed char *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}

/* n is 8. */
static inline vec v_codes_n(const signed char *p, int64_t n)
{
    (void)n;
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}
#endif
