/* SPDX-License-Identifier: Apache-2.0
 * ref_math.h - exp, tanh, silu and gelu of one float: the formulas every level repeats lane by
 * lane.
 *
 * Purpose     The constants' only home, and the scalar functions that specify their use. Vector
 *             levels include this file for the constants and spell the same operations in the
 *             same order, so their lanes have the same bits.
 * Accuracy    exp: below 1 ulp where the result is normal; a result below FLT_MIN is +0 (so that
 *             nothing depends on the denormal mode); above FLT_MAX it is inf; NaN gives one quiet
 *             NaN. tanh: 2 ulp. silu: 3 ulp. gelu (the tanh form): 3 ulp, and 3 |arg| ulp more
 *             from the rounding of exp's argument, so large errors are relative ones of numbers
 *             near 0. Checked against doubles by tests/checkkern. */
#ifndef SB_KERNELS_REF_MATH_H
#define SB_KERNELS_REF_MATH_H
#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp(x) = 2^n * exp(r), n = round(x / ln 2), r = x - n * ln 2 with ln 2 in two parts. */
#define SB_EXP_LOG2E 0x1.715476p+0f
#define SB_EXP_MAGIC 0x1.8p+23f /* adding it rounds to integer, half to even, into the low bits */
#define SB_EXP_LN2_HI 0x1.62e430p-1f
#define SB_EXP_LN2_LO -0x1.05c610p-29f
#define SB_EXP_LO -0x1.5d589ep+6f /* least float above ln(FLT_MIN) */
#define SB_EXP_HI 0x1.62e42ep+6f  /* greatest float below 128 ln 2: the sum of exponents fits */
/* (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2, least maximal error (3e-9 of exp). */
#define SB_EXP_C2 0x1.fffffcp-2f
#define SB_EXP_C3 0x1.555492p-3f
#define SB_EXP_C4 0x1.5558f2p-5f
#define SB_EXP_C5 0x1.1239e2p-7f
#define SB_EXP_C6 0x1.6a2434p-10f
/* (tanh(z) / z - 1) / z^2 as a polynomial in z^2, |z| <= SB_TANH_SMALL (4e-9). */
#define SB_TANH_SMALL 0.625f
#define SB_TANH_C0 -0x1.555534p-2f
#define SB_TANH_C1 0x1.110768p-3f
#define SB_TANH_C2 -0x1.b8444ap-5f
#define SB_TANH_C3 0x1.5256dcp-6f
#define SB_TANH_C4 -0x1.76ac30p-8f
/* gelu's argument: 2 sqrt(2 / pi) (g + 0.044715 g^3) = g * fma(g * g, C3, C1). */
#define SB_GELU_C1 0x1.988454p+0f
#define SB_GELU_C3 0x1.2444f2p-4f

static inline uint32_t sb_float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float sb_bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float sb_ref_exp(float x)
{
    if (x != x) return sb_bits_float(0x7fc00000u);
    if (x < SB_EXP_LO) return 0.0f;
    if (x > SB_EXP_HI) return sb_bits_float(0x7f800000u);
    const float t = fmaf(x, SB_EXP_LOG2E, SB_EXP_MAGIC);
    const float n = t - SB_EXP_MAGIC;
    float r = fmaf(-n, SB_EXP_LN2_HI, x);
    r = fmaf(-n, SB_EXP_LN2_LO, r);
    float p = fmaf(SB_EXP_C6, r, SB_EXP_C5);
    p = fmaf(p, r, SB_EXP_C4);
    p = fmaf(p, r, SB_EXP_C3);
    p = fmaf(p, r, SB_EXP_C2);
    p = fmaf(p, r * r, r);
    p = p + 1.0f;
    return sb_bits_float(sb_float_bits(p) + (sb_float_bits(t) << 23)); /* p * 2^n */
}

static inline float sb_ref_tanh(float x)
{
    const uint32_t sign = sb_float_bits(x) & 0x80000000u;
    const float a = sb_bits_float(sb_float_bits(x) & 0x7fffffffu);
    float y;
    if (a < SB_TANH_SMALL) {
        const float z = a * a;
        float p = fmaf(SB_TANH_C4, z, SB_TANH_C3);
        p = fmaf(p, z, SB_TANH_C2);
        p = fmaf(p, z, SB_TANH_C1);
        p = fmaf(p, z, SB_TANH_C0);
        y = fmaf(p, z * a, a);
    } else {
        y = 1.0f - 2.0f / (sb_ref_exp(a + a) + 1.0f);
    }
    return sb_bits_float(sb_float_bits(y) | sign);
}

static inline float sb_ref_softcap(float x, float c)
{
    return c * sb_ref_tanh(x / c);
}

static inline float sb_ref_silu(float g)
{
    return g / (1.0f + sb_ref_exp(-g));
}

static inline float sb_ref_gelu(float g)
{
    return g / (1.0f + sb_ref_exp(-(g * fmaf(g * g, SB_GELU_C3, SB_GELU_C1))));
}
#endif
