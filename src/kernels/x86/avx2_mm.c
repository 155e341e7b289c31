/* SPDX-License-Identifier: Apache-2.0
 * avx2_mm.c - matmul on packed panels for CPUs with AVX2, FMA and F16C.
 *
 * How: without a dot-product instruction, vpmaddubsw multiplies unsigned codes by signed
 * activations into pairs of int16, and as many steps are added there as cannot overflow (2 * 127 *
 * largest code each: 8 steps of four bits, 4 of five, 2 of six) before one vpmaddwd widens them.
 * Eight-bit codes fit only once, so they go signed: |w| times the activation with w's sign.
 * Refused: widening every step (half as fast). */
#include "kernels/x86/avx2_mm_words.h"

enum { SIGNED_BYTES = 1 };
#define v_size _mm256_abs_epi8

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
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            w[v] = code_step(o, t, j, v);
            if (with_codes) code_sum_add(o->p, s, n, w[v], &bytes[v], &code_sum[v]);
        }
        ask_ahead(o, t, h < 0 ? s : 4 * h + s, &w[0]);
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            const VI a = v_bcast32(t->q[r] + 4 * j);
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

/* Magnitudes of the codes w of step j, vector v: a tile has them behind the codes. */
FLAT VI size_step(const mm_shape *o, const mm_block *t, int j, int v, VI w)
{
    const unsigned char *sizes = t->codes + BLOCK_CODES + LINE * j;
    return o->way == WAY_TILED ? v_load(sizes + V_BYTES * (t->v0 + v)) : v_size(w);
}

/* Signed codes. */
FLAT void dot_signed(const mm_shape *o, const mm_block *t, bool with_codes,
                     VI sum[MR_MAX][V_PER_LINE], VI code_sum[V_PER_LINE])
{
    const VI one = _mm256_set1_epi16(1);
    UNROLL
    for (int s = 0; s < 8; s++) {
        const int j = step_of(o, -1, s);
        VI w[V_PER_LINE], size[V_PER_LINE];
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            w[v] = code_step(o, t, j, v);
            size[v] = size_step(o, t, j, v, w[v]);
            if (with_codes) code_sum_add(o->p, s, 8, w[v], NULL, &code_sum[v]);
        }
        ask_ahead(o, t, s, &w[0]);
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            const VI a = v_bcast32(t->q[r] + 4 * j);
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
