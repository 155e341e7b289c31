/* SPDX-License-Identifier: Apache-2.0
 * vec_math.h - ref_math.h lane by lane: the same operations in the same order, so the same bits.
 *
 * Written in the words of avx2_vec.h, avx512_vec.h or neon_vec.h, whichever the file that includes
 * this has included before. */
#ifndef SB_KERNELS_VEC_MATH_H
#define SB_KERNELS_VEC_MATH_H
#include "kernels/ref_math.h"

/* exp of what is at most 0 or NaN, where NaN need only stay NaN for the CPU's own NaN. */
static inline vec v_exp_down(vec x)
{
    const vec t = v_fma(x, v_set(SB_EXP_LOG2E), v_set(SB_EXP_MAGIC));
    const vec n = v_sub(t, v_set(SB_EXP_MAGIC));
    vec r = v_fnma(n, v_set(SB_EXP_LN2_HI), x);
    r = v_fnma(n, v_set(SB_EXP_LN2_LO), r);
    vec p = v_fma(v_set(SB_EXP_C6), r, v_set(SB_EXP_C5));
    p = v_fma(p, r, v_set(SB_EXP_C4));
    p = v_fma(p, r, v_set(SB_EXP_C3));
    p = v_fma(p, r, v_set(SB_EXP_C2));
    p = v_fma(p, v_mul(r, r), r);
    p = v_add(p, v_set(1.0f));
    return v_zero_if_less(x, v_set(SB_EXP_LO), v_add_exponent(p, t));
}

static inline vec v_exp(vec x)
{
    const vec y = v_if_less(v_set(SB_EXP_HI), x, v_set(sb_bits_float(0x7f800000u)), v_exp_down(x));
    return v_if_nan(x, v_set(sb_bits_float(0x7fc00000u)), y);
}

static inline vec v_tanh(vec x)
{
    const vec a = v_abs(x), z = v_mul(a, a);
    vec p = v_fma(v_set(SB_TANH_C4), z, v_set(SB_TANH_C3));
    p = v_fma(p, z, v_set(SB_TANH_C2));
    p = v_fma(p, z, v_set(SB_TANH_C1));
    p = v_fma(p, z, v_set(SB_TANH_C0));
    const vec small = v_fma(p, v_mul(z, a), a);
    const vec e = v_add(v_exp(v_add(a, a)), v_set(1.0f));
    const vec large = v_sub(v_set(1.0f), v_div(v_set(2.0f), e));
    return v_signed(v_if_less(a, v_set(SB_TANH_SMALL), small, large), x);
}

static inline vec v_softcap(vec x, float c)
{
    return v_mul(v_set(c), v_tanh(v_div(x, v_set(c))));
}

static inline vec v_silu(vec g)
{
    return v_div(g, v_add(v_set(1.0f), v_exp(v_neg(g))));
}

static inline vec v_gelu(vec g)
{
    const vec arg = v_mul(g, v_fma(v_mul(g, g), v_set(SB_GELU_C3), v_set(SB_GELU_C1)));
    return v_div(g, v_add(v_set(1.0f), v_exp(v_neg(arg))));
}
#endif
