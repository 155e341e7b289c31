/* SPDX-License-Identifier: Apache-2.0
 * avx512_mm.c - matmul on packed panels for CPUs with AVX-512 BW, DQ, VL and VNNI.
 *
 * How: vpdpbusd multiplies unsigned codes by signed 8-bit activations and adds four products to
 * each 32-bit lane, so every format is unsigned bytes and one integer correction. One or two rows
 * use two chains of sums, for the instruction's latency of four cycles. 16-bit activations meet
 * codes widened to even and odd int16 (vpdpwssd). Refused: one vector of 16 columns (a broadcast
 * for every product), and shuffling activations instead of broadcasting them (10 % slower). */
#include <immintrin.h>
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
#define Y_IN_MEMORY(y) (void)(y)
#define PAIRS_IN_MEMORY(p) __asm__ volatile("" : : "r"(p) : "memory")

#define NV_OF(mr) 2
#define ROWS_A8_MORE(name) ROWS(name##_a8_tiled5, name, true, 1, 5)
#define ROWS_A8_MORE_NAMES(name) , name##_a8_tiled5

#define ROWS_DIRECT_MORE(name)                                                                     \
    ROWS(name##_a8_direct3, name, false, 1, 3)                                                     \
    ROWS(name##_a8_direct4, name, false, 1, 4)                                                     \
    ROWS(name##_a8_direct5, name, false, 1, 5)                                                     \
    ROWS(name##_a8_direct6, name, false, 1, 6)                                                     \
    ROWS(name##_a16_direct2, name, false, 2, 2)                                                    \
    ROWS(name##_a16_direct3, name, false, 2, 3)                                                    \
    ROWS(name##_a16_direct4, name, false, 2, 4)                                                    \
    ROWS(name##_a16_direct5, name, false, 2, 5)
#define ROWS_A8_DIRECT_NAMES(name)                                                                 \
    , name##_a8_direct3, name##_a8_direct4, name##_a8_direct5, name##_a8_direct6
#define ROWS_A16_DIRECT_NAMES(name)                                                                \
    , name##_a16_direct2, name##_a16_direct3, name##_a16_direct4, name##_a16_direct5
#define CLASS_CHEAP(name) static const mm_rows_fn name##_a8_tiled[1], name##_a16_tiled[1];

typedef __m512i VI;
typedef __m512 VF;
enum {
    LANES = 16,
    V_BYTES = 64,
    V_PER_LINE = 2,
    DIRECT_IS_BEST = 1,
    MR_MAX = 6,
    MR_ELEMENTS = 6,
    NV_ELEMENTS = 2,
    Y_REGISTERS = 16
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
#define v_sll32(v, n) _mm512_slli_epi32((v), (unsigned)(n))
#define v_sub8 _mm512_sub_epi8
#define v_sub32 _mm512_sub_epi32
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

FLAT VI v_mul32(VI v, int32_t x)
{
    return _mm512_mullo_epi32(v, _mm512_set1_epi32(x));
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

#include "kernels/x86/mm_codes.h"

FLAT bool dot_is_signed(const panel_info *p, int qb)
{
    (void)p;
    (void)qb;
    return false;
}

FLAT VI code_step(const mm_shape *o, const mm_block *t, int j, int v)
{
    return o->tiled ? v_load(t->codes + LINE * j + V_BYTES * (t->v0 + v))
                    : code_get(o->p->codes, t->codes, j, t->v0 + v);
}

/* The s-th step to take of half h, or of the whole block (h < 0): nibbles of a line together. */
FLAT int step_of(const mm_shape *o, int h, int s)
{
    if (h >= 0) return 4 * h + s;
    return o->tiled || o->p->codes == CODES_P8 ? s : 4 * (s % 2) + s / 2;
}

/* A row's 32 16-bit q, each four as even ones, then odd ones. */
FLAT void pairs_put(unsigned char *pairs, const unsigned char *q)
{
    const VI order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    v_store(pairs, _mm512_shuffle_epi8(v_load(q), order));
}

/* Integer products of one block, or of its half h, of all rows. */
// NOLINTNEXTLINE(readability-function-size): its loops are unrolled
FLAT void dot(const mm_shape *o, const mm_block *t, int h, VI sum[MR_MAX][V_PER_LINE])
{
    const int n = h < 0 ? 8 : 4, n_chain = o->mr <= 2 ? 2 : 1;
    VI acc[2][MR_MAX][V_PER_LINE], w[V_PER_LINE];
    UNROLL
    for (int s = 0; s < n; s++) {
        const int j = step_of(o, h, s), i = s % n_chain;
        UNROLL
        for (int v = 0; v < o->nv; v++)
            w[v] = code_step(o, t, j, v);
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            const unsigned char *q = t->q + (size_t)r * t->q_stride + 4 * j * o->qb;
            const VI a = v_bcast32(q);
            UNROLL
            for (int v = 0; v < o->nv; v++) {
                const VI old = s < n_chain ? _mm512_setzero_si512() : acc[i][r][v];
                if (o->qb == 1) {
                    acc[i][r][v] = _mm512_dpbusd_epi32(old, w[v], a);
                    continue;
                }
                const VI even = v_and(w[v], _mm512_set1_epi16(255)), odd = v_srl16(w[v], 8);
                acc[i][r][v] =
                    _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(old, even, a), odd, v_bcast32(q + 4));
            }
        }
    }
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        UNROLL
        for (int v = 0; v < o->nv; v++)
            sum[r][v] = n_chain == 2 ? _mm512_add_epi32(acc[0][r][v], acc[1][r][v]) : acc[0][r][v];
    }
}

#include "kernels/x86/mm_body.h"

void sb_kernels_fill_avx512_mm(sb_kernels *k)
{
    slots_fill(k);
}
