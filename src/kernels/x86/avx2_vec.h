/* SPDX-License-Identifier: Apache-2.0
 * avx2_vec.h - the words of the bodies in kernels/vec, for 8 lanes.
 *
 * Each function is one instruction, or the fewest. A _n load gives 0 in the lanes from n on, a _n
 * store leaves them alone. */
#ifndef SB_KERNELS_AVX2_VEC_H
#define SB_KERNELS_AVX2_VEC_H
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vec;
enum { LANES = 8, REGISTERS = 16 };

static inline vec v_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline vec v_zero(void)
{
    return _mm256_setzero_ps();
}
static inline vec v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}

static inline __m256i v_iota(void)
{
    return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}

static inline __m256i v_first(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), v_iota());
}

static inline vec v_load_n(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, v_first(n));
}
static inline void v_store_n(float *p, vec v, int64_t n)
{
    _mm256_maskstore_ps(p, v_first(n), v);
}

static inline vec v_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}
static inline vec v_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}
static inline vec v_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}
static inline vec v_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}
static inline vec v_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}
static inline vec v_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
} /* ab + c */
static inline vec v_fms(vec a, vec b, vec c)
{
    return _mm256_fmsub_ps(a, b, c);
} /* ab - c */
static inline vec v_fnma(vec a, vec b, vec c)
{
    return _mm256_fnmadd_ps(a, b, c);
} /* c - ab */
static inline vec v_neg(vec a)
{
    return _mm256_xor_ps(a, v_set(-0.0f));
}
static inline vec v_abs(vec a)
{
    return _mm256_andnot_ps(v_set(-0.0f), a);
}

/* The magnitude of a with the sign of s; a is not negative. */
static inline vec v_signed(vec a, vec s)
{
    return _mm256_or_ps(a, _mm256_and_ps(v_set(-0.0f), s));
}

/* a < b ? x : y, and 0 where a < b, else y; a NaN is not less. */
static inline vec v_if_less(vec a, vec b, vec x, vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline vec v_zero_if_less(vec a, vec b, vec y)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), y);
}

static inline vec v_if_nan(vec a, vec x, vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* The bits of p plus the low bits of t moved to the exponent. */
static inline vec v_add_exponent(vec p, vec t)
{
    const __m256i e = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), e));
}

/* v in the lanes i with lo <= at + i < hi, else x. */
static inline vec v_inside(vec v, int32_t at, int32_t lo, int32_t hi, vec x)
{
    const __m256i i = _mm256_add_epi32(_mm256_set1_epi32(at), v_iota());
    const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo), i);
    const __m256i in = _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), i));
    return _mm256_blendv_ps(x, v, _mm256_castsi256_ps(in));
}

static inline float v_greatest(vec v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

/* Pairs at distance h inside a vector: a + c in the place of a, a - c in that of c. */
static inline vec v_butterfly(vec v, int h)
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

/* Of LANES pairs of elements (bf16 or f32) starting at element `at`: the firsts, or the seconds. */
static inline vec v_half(const void *page, size_t at, bool bf16, bool second)
{
    if (bf16) {
        const uint16_t *p = (const uint16_t *)page + at;
        const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)p);
        const __m256i high = _mm256_set1_epi32((int)0xffff0000u);
        return _mm256_castsi256_ps(second ? _mm256_and_si256(high, w) : _mm256_slli_epi32(w, 16));
    }
    const float *p = (const float *)page + at;
    const vec a = v_load(p), b = v_load(p + LANES);
    const vec s = second ? _mm256_shuffle_ps(a, b, 0xdd) : _mm256_shuffle_ps(a, b, 0x88);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(s), 0xd8));
}

/* The same for n < LANES pairs: does not happen with 8 lanes, head_dim being a multiple of 8. */
static inline vec v_half_n(const void *page, size_t at, bool bf16, bool second, int64_t n)
{
    (void)n;
    return v_half(page, at, bf16, second);
}

/* LANES codes of an I8 page; the _n form is never asked for fewer. */
static inline vec v_codes(const signed char *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}

static inline vec v_codes_n(const signed char *p, int64_t n)
{
    (void)n;
    return v_codes(p);
}
#endif
