/* SPDX-License-Identifier: Apache-2.0
 * avx2_mm.c - matmul on packed panels for CPUs with AVX2, FMA and F16C.
 *
 * How: without a dot-product instruction, vpmaddubsw multiplies unsigned codes by signed activations
 * into pairs of int16, and as many steps are added there as cannot overflow (2 * 127 * largest code
 * each: 8 steps of four bits, 4 of five, 2 of six) before one vpmaddwd widens them. Eight-bit codes
 * fit only once, so they go signed: |w| times the activation with w's sign. 16-bit activations meet
 * codes widened to even and odd int16. Refused: widening every step (half the speed). */
#include <immintrin.h>
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

typedef __m256i VI;
typedef __m256 VF;
enum { LANES = 8, V_BYTES = 32, V_PER_LINE = 4, MR_MAX = 4, MR_ELEMENTS = 6, Y_REGISTERS = 4 };

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
#define v_sll32 _mm256_slli_epi32
#define v_sub8 _mm256_sub_epi8
#define v_sub32 _mm256_sub_epi32
#define vf_load _mm256_loadu_ps
#define vf_store _mm256_storeu_ps
#define vf_bcast _mm256_broadcast_ss
#define vf_zero _mm256_setzero_ps
#define vf_mul _mm256_mul_ps
#define vf_fma _mm256_fmadd_ps
#define vf_from_i32 _mm256_cvtepi32_ps

FLAT VI v_mul32(VI v, int32_t x)
{
    return _mm256_mullo_epi32(v, _mm256_set1_epi32(x));
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

#include "kernels/x86/mm_codes.h"

/* Steps whose products of codes with 8-bit activations can be added in int16. */
FLAT int steps_in_int16(panel_codes kind)
{
    switch (kind) {
    case CODES_N4P2: return 2;
    case CODES_N4P1:
    case CODES_MX4: return 4;
    default: return 8;
    }
}

/* Whether codes are taken signed, and no zero is left to correct. */
FLAT bool dot_is_signed(const panel_info *p, int qb)
{
    return qb == 1 && (p->codes == CODES_P8 || p->codes == CODES_NL4);
}

FLAT VI code_step(const panel_info *p, bool tiled, int qb, const mm_block *t, int j, int v)
{
    if (tiled) return v_load(t->codes + LINE * j + V_BYTES * (t->v0 + v));
    const VI u = code_get(p->codes, t->codes, j, t->v0 + v);
    return dot_is_signed(p, qb) ? v_sub8(u, v_set1_8(p->zero)) : u;
}

/* The s-th step to take of half h, or of the whole block (h < 0): whole blocks take both nibbles of
 * a line together. */
FLAT int step_of(bool tiled, int h, int s)
{
    if (h >= 0) return 4 * h + s;
    return tiled ? s : 4 * (s % 2) + s / 2;
}

/* Eight-bit activations. */
FLAT void dot_a8(const panel_info *p, bool tiled, int mr, int nv, const mm_block *t, int h,
                 VI sum[MR_MAX][V_PER_LINE])
{
    const VI one = _mm256_set1_epi16(1);
    const int n = h < 0 ? 8 : 4, group = steps_in_int16(p->codes) < n ? steps_in_int16(p->codes) : n;
    VI acc[MR_MAX][V_PER_LINE], w[V_PER_LINE];
    UNROLL for (int s = 0; s < n; s++) {
        const int j = step_of(tiled, h, s);
        UNROLL for (int v = 0; v < nv; v++)
            w[v] = code_step(p, tiled, 1, t, j, v);
        UNROLL for (int r = 0; r < mr; r++) {
            const VI a = v_bcast32(t->q + (size_t)r * t->q_stride + 4 * j);
            UNROLL for (int v = 0; v < nv; v++) {
                const VI x = _mm256_maddubs_epi16(w[v], a);
                acc[r][v] = s % group == 0 ? x : _mm256_add_epi16(acc[r][v], x);
                KEEP(acc[r][v]);
            }
        }
        if (s % group < group - 1) continue;
        UNROLL for (int r = 0; r < mr; r++)
            UNROLL for (int v = 0; v < nv; v++) {
                const VI wide = _mm256_madd_epi16(acc[r][v], one);
                sum[r][v] = s < group ? wide : _mm256_add_epi32(sum[r][v], wide);
            }
    }
}

/* Eight-bit activations and signed eight-bit codes. */
FLAT void dot_a8_signed(const panel_info *p, bool tiled, int mr, int nv, const mm_block *t,
                        VI sum[MR_MAX][V_PER_LINE])
{
    const VI one = _mm256_set1_epi16(1);
    UNROLL for (int s = 0; s < 8; s++) {
        const int j = step_of(tiled || p->codes == CODES_P8, -1, s);
        VI w[V_PER_LINE], size[V_PER_LINE];
        UNROLL for (int v = 0; v < nv; v++) {
            w[v] = code_step(p, tiled, 1, t, j, v);
            size[v] = _mm256_abs_epi8(w[v]);
        }
        UNROLL for (int r = 0; r < mr; r++) {
            const VI a = v_bcast32(t->q + (size_t)r * t->q_stride + 4 * j);
            UNROLL for (int v = 0; v < nv; v++) {
                const VI x = _mm256_maddubs_epi16(size[v], _mm256_sign_epi8(a, w[v]));
                const VI wide = _mm256_madd_epi16(x, one);
                sum[r][v] = s == 0 ? wide : _mm256_add_epi32(sum[r][v], wide);
                KEEP(sum[r][v]);
            }
        }
    }
}

/* A row's 32 16-bit q, each four as even ones, then odd ones. */
FLAT void pairs_put(unsigned char *pairs, const unsigned char *q)
{
    const VI order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    v_store(pairs, _mm256_shuffle_epi8(v_load(q), order));
    v_store(pairs + V_BYTES, _mm256_shuffle_epi8(v_load(q + V_BYTES), order));
}

/* Sixteen-bit activations, in pairs. */
FLAT void dot_a16(const panel_info *p, bool tiled, int mr, int nv, const mm_block *t, int h,
                  VI sum[MR_MAX][V_PER_LINE])
{
    const int n = h < 0 ? 8 : 4;
    UNROLL for (int s = 0; s < n; s++) {
        const int j = step_of(tiled || p->codes == CODES_P8, h, s);
        VI even[V_PER_LINE], odd[V_PER_LINE];
        UNROLL for (int v = 0; v < nv; v++) {
            const VI w = code_step(p, tiled, 2, t, j, v);
            even[v] = v_and(w, _mm256_set1_epi16(255));
            odd[v] = v_srl16(w, 8);
        }
        UNROLL for (int r = 0; r < mr; r++) {
            const unsigned char *q = t->q + (size_t)r * t->q_stride + 8 * j;
            const VI a0 = v_bcast32(q), a1 = v_bcast32(q + 4);
            UNROLL for (int v = 0; v < nv; v++) {
                const VI x = _mm256_madd_epi16(even[v], a0);
                sum[r][v] = s == 0 ? x : _mm256_add_epi32(sum[r][v], x);
                KEEP(sum[r][v]);
                sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(odd[v], a1));
                KEEP(sum[r][v]);
            }
        }
    }
}

/* Integer products of one block, or of its half h, with mr rows: nv vectors from t->v0. */
FLAT void dot(const panel_info *p, bool tiled, int qb, int mr, int nv, const mm_block *t, int h,
              VI sum[MR_MAX][V_PER_LINE])
{
    if (qb == 2)
        dot_a16(p, tiled, mr, nv, t, h, sum);
    else if (dot_is_signed(p, qb))
        dot_a8_signed(p, tiled, mr, nv, t, sum);
    else
        dot_a8(p, tiled, mr, nv, t, h, sum);
}

#include "kernels/x86/mm_body.h"

#define MICRO(name, kind, act, qb)                                                                 \
    static void name##_##act##_direct1(const mm_rows *m)                                           \
    {                                                                                              \
        rows_add(&panel_##name, false, qb, 1, 4, m);                                               \
    }                                                                                              \
    static void name##_##act##_direct2(const mm_rows *m)                                           \
    {                                                                                              \
        rows_add(&panel_##name, false, qb, 2, 4, m);                                               \
    }                                                                                              \
    static void name##_##act##_tiled1(const mm_rows *m)                                            \
    {                                                                                              \
        rows_add(&panel_##name, true, qb, 1, 4, m);                                                \
    }                                                                                              \
    static void name##_##act##_tiled2(const mm_rows *m)                                            \
    {                                                                                              \
        rows_add(&panel_##name, true, qb, 2, 4, m);                                                \
    }                                                                                              \
    static void name##_##act##_tiled3(const mm_rows *m)                                            \
    {                                                                                              \
        rows_add(&panel_##name, true, qb, 3, 2, m);                                                \
    }                                                                                              \
    static void name##_##act##_tiled4(const mm_rows *m)                                            \
    {                                                                                              \
        rows_add(&panel_##name, true, qb, 4, 2, m);                                                \
    }                                                                                              \
    static void name##_##act##_fill(const unsigned char *w, int32_t b0, int32_t n, mm_tile *t)     \
    {                                                                                              \
        tile_fill(&panel_##name, qb, w, b0, n, t);                                                 \
    }                                                                                              \
    static void name##_##act##_mm(const sb_mm *m)                                                  \
    {                                                                                              \
        static const mm_kind k = {&panel_##name,                                                   \
                                  {name##_##act##_direct1, name##_##act##_direct2},                \
                                  {name##_##act##_tiled1, name##_##act##_tiled2,                   \
                                   name##_##act##_tiled3, name##_##act##_tiled4},                  \
                                  name##_##act##_fill};                                            \
        mm_run(m, &k);                                                                             \
    }
#define X(name, codes, scales, zero, blocks, so, ss, co, cs, bytes)                                \
    MICRO(name, codes, a8, 1)                                                                      \
    MICRO(name, codes, a16, 2)
#include "kernels/panel.def"
#undef X

static void mm_f32(const sb_mm *m)
{
    elements_run(m, SB_F_F32);
}

static void mm_f16(const sb_mm *m)
{
    elements_run(m, SB_F_F16);
}

static void mm_bf16(const sb_mm *m)
{
    elements_run(m, SB_F_BF16);
}

void sb_kernels_fill_avx2_mm(sb_kernels *k)
{
#define X(name, codes, scales, zero, blocks, so, ss, co, cs, bytes)                                \
    k->matmul[SB_F_##name][SB_ACT_A8] = name##_a8_mm;                                              \
    k->matmul[SB_F_##name][SB_ACT_A16] = name##_a16_mm;
#include "kernels/panel.def"
#undef X
    k->matmul[SB_F_F32][SB_ACT_F32] = mm_f32;
    k->matmul[SB_F_F16][SB_ACT_F32] = mm_f16;
    k->matmul[SB_F_BF16][SB_ACT_F32] = mm_bf16;
}
