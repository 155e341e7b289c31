/* SPDX-License-Identifier: Apache-2.0
 * immintrin.h - stands in front of the compiler's: 512-bit intrinsics by SIMDe, the rest native.
 *
 * What SIMDe 0.7.4 lacks is added at the end, as the instruction manual defines it. */
#ifndef SB_CHECKKERN_IMMINTRIN_H
#define SB_CHECKKERN_IMMINTRIN_H
#pragma GCC system_header
#include_next <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

/* Masked lanes are never touched in memory: a kernel may count on that at the end of a page. */
static inline simde__m512 ck_maskz_loadu_ps(unsigned int mask, const float *p)
{
    float lane[16] = {0};
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1u) lane[i] = p[i];
    }
    return simde_mm512_loadu_ps(lane);
}
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, p) ck_maskz_loadu_ps((mask), (p))

static inline void ck_mask_storeu_ps(float *p, unsigned int mask, simde__m512 v)
{
    float lane[16];
    simde_mm512_storeu_ps(lane, v);
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1u) p[i] = lane[i];
    }
}
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(p, mask, v) ck_mask_storeu_ps((p), (mask), (v))

static inline simde__m512i ck_cvtepu8_epi32(__m128i v)
{
    unsigned char from[16];
    int to[16];
    __builtin_memcpy(from, &v, sizeof from);
    for (int i = 0; i < 16; i++)
        to[i] = from[i];
    return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32 ck_cvtepu8_epi32

static inline simde__m512i ck_cvtepi8_epi32(__m128i v)
{
    signed char from[16];
    int to[16];
    __builtin_memcpy(from, &v, sizeof from);
    for (int i = 0; i < 16; i++)
        to[i] = from[i];
    return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32 ck_cvtepi8_epi32

static inline simde__m512i ck_cvtepu16_epi32(__m256i v)
{
    unsigned short from[16];
    int to[16];
    __builtin_memcpy(from, &v, sizeof from);
    for (int i = 0; i < 16; i++)
        to[i] = from[i];
    return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32 ck_cvtepu16_epi32

static inline simde__m512 ck_cvtepi32_ps(simde__m512i v)
{
    int from[16];
    float to[16];
    simde_mm512_storeu_si512(from, v);
    for (int i = 0; i < 16; i++)
        to[i] = (float)from[i];
    return simde_mm512_loadu_ps(to);
}
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps ck_cvtepi32_ps

/* Rounded to nearest, as MXCSR has it. */
static inline simde__m512i ck_cvtps_epi32(simde__m512 v)
{
    float from[16];
    int to[16];
    simde_mm512_storeu_ps(from, v);
    for (int i = 0; i < 16; i++)
        to[i] = _mm_cvtss_si32(_mm_set_ss(from[i]));
    return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32 ck_cvtps_epi32

static inline simde__m512 ck_cvtph_ps(__m256i v)
{
    float to[16];
    _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm256_castsi256_si128(v)));
    _mm256_storeu_ps(to + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1)));
    return simde_mm512_loadu_ps(to);
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps ck_cvtph_ps

#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4 simde_mm512_shuffle_f32x4
#endif
