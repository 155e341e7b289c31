/* SPDX-License-Identifier: Apache-2.0
 * avx2_mm_words.h - the words of matmul on packed panels, in vectors of 256 bits.
 *
 * Purpose     Included by the LEVEL_mm.c of avx2 and avxvnni, with their numbers of rows; they add
 *             SIGNED_BYTES, v_sum4, v_pair_add and their dot(). All is static: nothing of a level
 *             leaks. */
#ifndef SB_KERNELS_AVX2_MM_WORDS_H
#define SB_KERNELS_AVX2_MM_WORDS_H
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#define FLAT static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
/* Keeps a sum as written: gcc 12 else reorders additions and loads operands again. */
#define KEEP(v) __asm__("" : "+x"(v))
/* Asks for a line no sooner than v is made. */
#define ASK(p, v) __asm__ volatile("prefetcht0 %1" : "+x"(v) : "m"(*(const unsigned char *)(p)))
#define Y_IN_MEMORY(y) __asm__ volatile("" : : "r"(y) : "memory")

typedef __m256i VI;
typedef __m256 VF;
enum {
    LANES = 8,
    V_BYTES = 32,
    V_PER_LINE = 4,
    DIRECT_IS_BEST = 0,
    GROUP_MOST = 2,
    MR_MAX = 4,
    MR_ELEMENTS = 6,
    NV_ELEMENTS = 2,
    Y_REGISTERS = 4,
    Y_HALVES = 4
};

/* Sixteen registers: vectors taken at a time with mr rows, and one or two rows directly, more by
 * tiles. */
#define NV_OF(mr) ((mr) == 1 ? 4 : 2)
#define ROWS_ALONE_MORE(name)
#define ROWS_DEAR_MORE(name)
#define ROWS_GROUPS(name)
#define ROWS_ALONE_NAMES(name)
#define ROWS_DEAR_NAMES(name)
#define ROWS_FIRST_NAMES(name)
#define ROWS_AGAIN_NAMES(name)
#define ROWS_TILED_MORE(name)
#define ROWS_TILED_NAMES(name)
#define CLASS_CHEAP(name) CLASS(name)

FLAT VI v_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

FLAT void v_store(void *p, VI v)
{
    _mm256_storeu_si256(p, v);
}

FLAT VI v_set1_8(int x)
{
    return _mm256_set1_epi8((char)x);
}

FLAT VI v_bcast32(const void *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}

#define v_and _mm256_and_si256
#define v_or _mm256_or_si256
#define v_sll16 _mm256_slli_epi16
#define v_srl16 _mm256_srli_epi16
#define v_zero _mm256_setzero_si256
#define v_set1_32 _mm256_set1_epi32
#define v_add8 _mm256_add_epi8
#define v_sub8 _mm256_sub_epi8
#define v_add32 _mm256_add_epi32
#define vf_load _mm256_loadu_ps
#define vf_store _mm256_storeu_ps
#define vf_bcast _mm256_broadcast_ss
#define vf_zero _mm256_setzero_ps
#define vf_mul _mm256_mul_ps
#define vf_fma _mm256_fmadd_ps
#define vf_from_i32 _mm256_cvtepi32_ps

FLAT VI v_table(const unsigned char *values, VI i)
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)values)),
                               i);
}

FLAT VI v_u8(const unsigned char *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p));
}

FLAT VI v_s8(const unsigned char *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p));
}

FLAT VF vf_neg(VF v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

FLAT VF vf_half(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

FLAT VF vf_bf16(const unsigned char *p)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}

/* 2^(e - 128) of exponent bytes; e of 0 and 1 are subnormal numbers. */
FLAT VF vf_exp8(const unsigned char *p)
{
    const VI e = v_u8(p), one = _mm256_set1_epi32(1);
    const VI normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    const VI tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(tiny, normal, _mm256_cmpgt_epi32(e, one)));
}
#endif
