/* SPDX-License-Identifier: Apache-2.0
 * avx2_mm.c - matmul on packed panels for CPUs with AVX2, FMA and F16C.
 *
 * How: without a dot-product instruction, vpmaddubsw multiplies unsigned codes by signed
 * activations into pairs of int16, and as many steps are added there as cannot overflow (2 * 127 *
 * largest code each: 8 steps of four bits, 4 of five, 2 of six) before one vpmaddwd widens them.
 * Eight-bit codes fit only once, so they go signed: |w| times the activation with w's sign.
 * Refused: widening every step (half as fast). */
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
#define Y_IN_MEMORY(y) __asm__ volatile("" : : "r"(y) : "memory")

#define ROWS_DEAR_MORE(name)
#define ROWS_DEAR_NAMES(name)
#define ROWS_DIRECT_MORE(name)
#define ROWS_FIRST_NAMES(name)
#define ROWS_AGAIN_NAMES(name)
#define ROWS_TILED_MORE(name)
#define ROWS_TILED_NAMES(name)
#define CLASS_CHEAP(name) CLASS(name)

typedef __m256i VI;
typedef __m256 VF;
enum {
    LANES = 8,
    V_BYTES = 32,
    V_PER_LINE = 4,
    DIRECT_IS_BEST = 0,
    GROUP_MOST = 2,
    SIGNED_BYTES = 1,
    MR_MAX = 4,
    MR_ELEMENTS = 6,
    NV_ELEMENTS = 2,
    Y_REGISTERS = 4,
    Y_HALVES = 4
};
/* Vectors taken at a time with mr rows, for sixteen registers. */
#define NV_OF(mr) ((mr) == 1 ? 4 : 2)

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

FLAT VI v_sum4(VI acc, VI w, bool is_signed)
{
    const VI one = v_set1_8(1);
    const VI twos = is_signed ? _mm256_maddubs_epi16(one, w) : _mm256_maddubs_epi16(w, one);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)));
}

FLAT VI v_pair_add(VI acc, VI a, VI b)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
}

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

#include "kernels/vec/mm_codes.h"

/* Steps whose products of codes with 8-bit activations can be added in int16. */
FLAT int steps_in_int16(panel_codes kind)
{
    switch (kind) {
    case CODES_N4P2:
        return 2;
    case CODES_N4P1:
    case CODES_MX4:
        return 4;
    default:
        return 8;
    }
}

FLAT VI code_step(const mm_shape *o, const mm_block *t, int j, int v)
{
    if (o->way == WAY_TILED) return v_load(t->codes + LINE * j + V_BYTES * (t->v0 + v));
    const VI u = code_get(o->p->codes, t->codes, j, t->v0 + v);
    return dot_is_signed(o->p) ? v_sub8(u, v_set1_8(o->p->zero)) : u;
}

/* The s-th step to take of half h, or of the whole block (h < 0): whole blocks take both nibbles of
 * a line together. */
FLAT int step_of(const mm_shape *o, int h, int s)
{
    if (h >= 0) return 4 * h + s;
    return o->way == WAY_TILED || o->p->codes == CODES_P8 ? s : 4 * (s % 2) + s / 2;
}

/* Unsigned codes. */
// NOLINTNEXTLINE(readability-function-size): its loops are unrolled
FLAT void dot_unsigned(const mm_shape *o, const mm_block *t, int h, bool with_codes,
                       VI sum[MR_MAX][V_PER_LINE], VI code_sum[V_PER_LINE])
{
    const VI one = _mm256_set1_epi16(1);
    const int n = h < 0 ? 8 : 4, fit = steps_in_int16(o->p->codes), group = fit < n ? fit : n;
    VI acc[MR_MAX][V_PER_LINE], w[V_PER_LINE], bytes[V_PER_LINE];
    UNROLL
    for (int s = 0; s < n; s++) {
        const int j = step_of(o, h, s);
        ask_ahead(o, t, j);
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            w[v] = code_step(o, t, j, v);
            if (with_codes) code_sum_add(o->p->codes, false, s, n, w[v], &bytes[v], &code_sum[v]);
        }
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            const VI a = v_bcast32(t->q + (size_t)r * t->q_stride + 4 * j);
            UNROLL
            for (int v = 0; v < o->nv; v++) {
                const VI x = _mm256_maddubs_epi16(w[v], a);
                acc[r][v] = s % group == 0 ? x : _mm256_add_epi16(acc[r][v], x);
                KEEP(acc[r][v]);
            }
        }
        if (s % group < group - 1) continue;
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            UNROLL
            for (int v = 0; v < o->nv; v++) {
                const VI wide = _mm256_madd_epi16(acc[r][v], one);
                sum[r][v] = s < group ? wide : _mm256_add_epi32(sum[r][v], wide);
            }
        }
    }
}

/* Signed codes. */
FLAT void dot_signed(const mm_shape *o, const mm_block *t, bool with_codes,
                     VI sum[MR_MAX][V_PER_LINE], VI code_sum[V_PER_LINE])
{
    const VI one = _mm256_set1_epi16(1);
    UNROLL
    for (int s = 0; s < 8; s++) {
        const int j = step_of(o, -1, s);
        ask_ahead(o, t, j);
        VI w[V_PER_LINE], size[V_PER_LINE];
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            w[v] = code_step(o, t, j, v);
            size[v] = _mm256_abs_epi8(w[v]);
            if (with_codes) code_sum_add(o->p->codes, true, s, 8, w[v], NULL, &code_sum[v]);
        }
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            const VI a = v_bcast32(t->q + (size_t)r * t->q_stride + 4 * j);
            UNROLL
            for (int v = 0; v < o->nv; v++) {
                const VI x = _mm256_maddubs_epi16(size[v], _mm256_sign_epi8(a, w[v]));
                const VI wide = _mm256_madd_epi16(x, one);
                sum[r][v] = s == 0 ? wide : _mm256_add_epi32(sum[r][v], wide);
                KEEP(sum[r][v]);
            }
        }
    }
}

/* Integer products of one block, or of its half h, of all rows; with_codes: and the sums of its
 * codes. */
FLAT void dot(const mm_shape *o, const mm_block *t, int h, bool with_codes,
              VI sum[MR_MAX][V_PER_LINE], VI code_sum[V_PER_LINE])
{
    if (dot_is_signed(o->p))
        dot_signed(o, t, with_codes, sum, code_sum);
    else
        dot_unsigned(o, t, h, with_codes, sum, code_sum);
}

#include "kernels/vec/mm_body.h"

void sb_kernels_fill_avx2_mm(sb_kernels *k)
{
    slots_fill(k);
}
