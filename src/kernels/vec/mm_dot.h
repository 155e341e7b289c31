/* SPDX-License-Identifier: Apache-2.0
 * mm_dot.h - dot() where one instruction multiplies four codes by four activations and adds them
 * up.
 *
 * Purpose     Included after mm_codes.h by the LEVEL_mm.c that have such an instruction; of their
 *             words it also takes v_dot(acc, w, a), and CHAINS(mr), one or two: the chains of sums
 *             of each output, where few rows would wait for the instruction. */
#ifndef SB_KERNELS_MM_DOT_H
#define SB_KERNELS_MM_DOT_H

/* Integer products of one block, or of its half h, of all rows; with_codes: and the sums of its
 * codes. */
// NOLINTNEXTLINE(readability-function-size): its loops are unrolled
FLAT void dot(const mm_shape *o, const mm_block *t, int h, bool with_codes,
              VI sum[MR_MAX][V_PER_LINE], VI code_sum[V_PER_LINE])
{
    const int n = h < 0 ? 8 : 4, n_chain = CHAINS(o->mr);
    VI acc[2][MR_MAX][V_PER_LINE], w[V_PER_LINE], bytes[V_PER_LINE];
    UNROLL
    for (int s = 0; s < n; s++) {
        const int j = step_of(o, h, s), i = s % n_chain;
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
            for (int v = 0; v < o->nv; v++)
                acc[i][r][v] = v_dot(s < n_chain ? v_zero() : acc[i][r][v], w[v], a);
        }
    }
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        UNROLL
        for (int v = 0; v < o->nv; v++)
            sum[r][v] = n_chain == 2 ? v_add32(acc[0][r][v], acc[1][r][v]) : acc[0][r][v];
    }
}
#endif
