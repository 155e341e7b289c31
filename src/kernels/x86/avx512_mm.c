/* SPDX-License-Identifier: Apache-2.0
 * avx512_mm.c - matmul on packed panels for CPUs with AVX-512 BW, DQ, VL and VNNI.
 *
 * How: vpdpbusd multiplies unsigned codes by signed 8-bit activations and adds four products to
 * each 32-bit lane, so every format is unsigned bytes and one integer correction. Refused: one
 * vector of 16 columns (a broadcast for every product), and shuffling activations instead of
 * broadcasting them (10 % slower). */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#ifdef SB_EMULATED /* for tests: functions once, with their arguments, instead of 150 copies */
#define FLAT static
#define UNROLL
#define SHIFT unsigned
#elif defined(__clang__)
#define FLAT static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define SHIFT unsigned /* the type of a 16-bit shift's count differs */
#else
#define FLAT static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define SHIFT int
#endif
/* Keeps a sum as written; asks for a line no sooner than v is made. */
#ifdef SB_EMULATED
#define KEEP(v) (void)(v)
#define ASK(p, v) (__builtin_prefetch(p), (void)(v))
#else
#define KEEP(v) __asm__("" : "+v"(v))
#define ASK(p, v) __asm__ volatile("prefetcht0 %1" : "+v"(v) : "m"(*(const unsigned char *)(p)))
#endif
#define Y_IN_MEMORY(y) __asm__ volatile("" : : "r"(y) : "memory")

#define NV_OF(mr) 2
/* Up to four rows: the instruction takes four cycles and two begin in each, so the eight chains of
 * four rows are just enough; with sixteen, two groups of four rows of Q4_0 are 2.4 % faster. */
#define CHAINS(mr) ((mr) <= 4 ? 2 : 1)
#define ROWS_TILED_MORE(name) ROWS(name##_tiled5, name, WAY_TILED, 5)
#define ROWS_TILED_NAMES(name) , name##_tiled5
#define ROWS_ALONE_MORE(name)                                                                      \
    ROWS(name##_alone3, name, WAY_ALONE, 3)                                                        \
    ROWS(name##_alone4, name, WAY_ALONE, 4)                                                        \
    ROWS(name##_alone5, name, WAY_ALONE, 5)                                                        \
    ROWS(name##_alone6, name, WAY_ALONE, 6)
#define ROWS_DEAR_MORE(name)                                                                       \
    ROWS(name##_alone7, name, WAY_ALONE, 7)                                                        \
    ROWS(name##_alone8, name, WAY_ALONE, 8)
#define ROWS_GROUPS(name)                                                                          \
    ROWS(name##_first3, name, WAY_FIRST, 3)                                                        \
    ROWS(name##_first4, name, WAY_FIRST, 4)                                                        \
    ROWS(name##_first5, name, WAY_FIRST, 5)                                                        \
    ROWS(name##_first6, name, WAY_FIRST, 6)                                                        \
    ROWS(name##_again3, name, WAY_AGAIN, 3)                                                        \
    ROWS(name##_again4, name, WAY_AGAIN, 4)                                                        \
    ROWS(name##_again5, name, WAY_AGAIN, 5)                                                        \
    ROWS(name##_again6, name, WAY_AGAIN, 6)
#define ROWS_ALONE_NAMES(name) , name##_alone3, name##_alone4, name##_alone5, name##_alone6
#define ROWS_DEAR_NAMES(name) , name##_alone7, name##_alone8
#define ROWS_FIRST_NAMES(name) , name##_first3, name##_first4, name##_first5, name##_first6
#define ROWS_AGAIN_NAMES(name) , name##_again3, name##_again4, name##_again5, name##_again6
#define CLASS_CHEAP(name) static const mm_rows_fn name##_tiled[1];

typedef __m512i VI;
typedef __m512 VF;
enum {
    LANES = 16,
    V_BYTES = 64,
    V_PER_LINE = 2,
    DIRECT_IS_BEST = 1,
    GROUP_MOST = 6,
    SIGNED_BYTES = 0,
    MR_MAX = 8,
    MR_ELEMENTS = 6,
    NV_ELEMENTS = 2,
    Y_REGISTERS = 12,
    Y_HALVES = 6
};

FLAT VI v_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

FLAT void v_store(void *p, VI v)
{
    _mm512_storeu_si512(p, v);
}

FLAT VI v_set1_8(int x)
{
    return _mm512_set1_epi8((char)x);
}

FLAT VI v_bcast32(const void *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}

#define v_and _mm512_and_si512
#define v_or _mm512_or_si512
#define v_sll16(v, n) _mm512_slli_epi16((v), (SHIFT)(n))
#define v_srl16(v, n) _mm512_srli_epi16((v), (SHIFT)(n))
#define v_zero _mm512_setzero_si512
#define v_set1_32 _mm512_set1_epi32
#define v_add8 _mm512_add_epi8
#define v_sub8 _mm512_sub_epi8
#define v_add32 _mm512_add_epi32
#define v_dot _mm512_dpbusd_epi32
#define v_pair_add _mm512_dpwssd_epi32
#define vf_load _mm512_loadu_ps
#define vf_store _mm512_storeu_ps
#define vf_zero _mm512_setzero_ps
#define vf_mul _mm512_mul_ps
#define vf_fma _mm512_fmadd_ps
#define vf_from_i32 _mm512_cvtepi32_ps

FLAT VF vf_bcast(const float *p)
{
    return _mm512_set1_ps(*p);
}

FLAT VI v_sum4(VI acc, VI w, bool is_signed)
{
    (void)is_signed; // never: SIGNED_BYTES
    return _mm512_dpbusd_epi32(acc, w, v_set1_8(1));
}

FLAT VI v_table(const unsigned char *values, VI i)
{
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)values)), i);
}

FLAT VI v_u8(const unsigned char *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
}

FLAT VI v_s8(const unsigned char *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p));
}

FLAT VF vf_neg(VF v)
{
    return _mm512_castsi512_ps(
        _mm512_xor_si512(_mm512_castps_si512(v), _mm512_set1_epi32((int)0x80000000u)));
}

FLAT VF vf_half(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

FLAT VF vf_bf16(const unsigned char *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}

/* 2^(e - 128) of exponent bytes; e of 0 and 1 are subnormal numbers. */
FLAT VF vf_exp8(const unsigned char *p)
{
    const VI e = v_u8(p), one = _mm512_set1_epi32(1);
    const VI normal = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
    const VI tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(
        _mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(e, one), tiny, normal));
}

#include "kernels/vec/mm_codes.h"

#include "kernels/vec/mm_dot.h"
#include "kernels/vec/mm_body.h"

void sb_kernels_fill_avx512_mm(sb_kernels *k)
{
    slots_fill(k);
}
