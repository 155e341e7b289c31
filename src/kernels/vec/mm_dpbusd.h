/* SPDX-License-Identifier: Apache-2.0
 * mm_dpbusd.h - dot() where one instruction multiplies unsigned codes by signed activations.
 *
 * Purpose     Included after mm_codes.h by the LEVEL_mm.c that have vpdpbusd; of their words it
 *             also takes v_dpbusd(acc, w, a). One or two rows use two chains of sums, for the
 *             instruction's latency of four cycles. */
#ifndef SB_KERNELS_MM_DPBUSD_H
#define SB_KERNELS_MM_DPBUSD_H

/* Integer products of one block, or of its half h, of all rows; with_codes: and the sums of its
 * codes. */
// NOLINTNEXTLINE(readability-function-size): its loops are unrolled
FLAT void dot(const mm_shape *o, const mm_block *t, int h, bool with_codes,
              VI sum[MR_MAX][V_PER_LINE], VI code_sum[V_PER_LINE])
{
    const int n = h < 0 ? 8 : 4, n_chain = o->mr <= 2 ? 2 : 1;
    VI acc[2][MR_MAX][V_PER_LINE], w[V_PER_LINE], bytes[V_PER_LINE];
    UNROLL
    for (int s = 0; s < n; s++) {
        const int j = step_of(o, h, s), i = s % n_chain;
        ask_ahead(o, t, j);
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            w[v] = code_step(o, t, j, v);
            if (with_codes) code_sum_add(o->p, s, n, w[v], &bytes[v], &code_sum[v]);
        }
        UNROLL
        for (int r = 0; r < o->mr; r++) {
            const VI a = v_bcast32(t->q[r] + 4 * j);
            UNROLL
            for (int v = 0; v < o->nv; v++)
                acc[i][r][v] = v_dpbusd(s < n_chain ? v_zero() : acc[i][r][v], w[v], a);
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
