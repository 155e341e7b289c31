/* SPDX-License-Identifier: Apache-2.0
 * ref_ops.c - the specification of every slot but the products and attention: plain loops.
 *
 * Built for the weakest CPU; fmaf() is the C library's, correctly rounded with or without hardware.
 * Order of additions: only rms_norm adds across elements, in 16 lanes by i % 16, then halved. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/ref_math.h"

#include <string.h>

/* One quantised block: what kernels.h says of A8. */
typedef struct quant {
    int32_t q[SB_ACT_BLOCK], z;
    float d;
} quant;

/* From zero down and up to the block's least and greatest value; false if one is not finite. */
static bool block_range(const float *x, float *lo, float *hi)
{
    *lo = *hi = 0.0f;
    for (int i = 0; i < SB_ACT_BLOCK; i++) {
        if ((sb_float_bits(x[i]) & 0x7fffffffu) >= 0x7f800000u) return false;
        if (x[i] < *lo) *lo = x[i];
        if (x[i] > *hi) *hi = x[i];
    }
    return *hi - *lo < sb_bits_float(0x7f800000u);
}

static void quant_block(const float *x, quant *b)
{
    float lo, hi;
    memset(b, 0, sizeof *b);
    if (!block_range(x, &lo, &hi)) {
        b->d = sb_bits_float(0x7fc00000u);
        return;
    }
    const float span = hi - lo;
    if (span < SB_ACT_TINY) return;
    const float t = 253.0f / span;
    b->d = span / 253.0f;
    b->z = (int32_t)lrintf(lo * t) + 127;
    for (int i = 0; i < SB_ACT_BLOCK; i++)
        b->q[i] = (int32_t)lrintf(x[i] * t) - b->z;
}

/* Writes the tables' entries of one part, [first, first + n) of the block. */
static void put_part(const quant *b, int first, int n, float *s, int32_t *zq)
{
    int32_t sum = 0;
    for (int i = first; i < first + n; i++)
        sum += b->q[i];
    *s = b->d * (float)(sum + n * b->z);
    *zq = act_zq_of(b->z, sum);
}

static void quant_a8(const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst)
{
    const size_t n_block = (size_t)(k_total / SB_ACT_BLOCK);
    for (int64_t i = 0; i < n; i += SB_ACT_BLOCK) {
        unsigned char *at = dst + k_total + (size_t)((k0 + i) / SB_ACT_BLOCK) * sizeof(float);
        quant b;
        quant_block(x + i, &b);
        for (int j = 0; j < SB_ACT_BLOCK; j++)
            dst[k0 + i + j] = (unsigned char)(b.q[j] & 0xff);
        memcpy(at, &b.d, sizeof b.d);
        for (int part = 0; part < 3; part++) {
            float s;
            int32_t zq;
            put_part(&b, part == 2 ? 16 : 0, part == 0 ? 32 : 16, &s, &zq);
            memcpy(at + (size_t)(ACT_S + part) * n_block * sizeof s, &s, sizeof s);
            memcpy(at + (size_t)(ACT_ZQ + part) * n_block * sizeof zq, &zq, sizeof zq);
        }
    }
}

static void rms_norm(const float *x, const float *w, int64_t n, float eps, float *y)
{
    float lane[16] = {0};
    for (int64_t i = 0; i < n; i++)
        lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] + lane[i + half];
    }
    const float r = 1.0f / sqrtf(lane[0] / (float)n + eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * r * w[i];
}

/* Rotates the pair (*a, *b) by the angle of cosine c and sine s. */
static void rotate(float *a, float *b, float c, float s)
{
    const float a0 = *a, b0 = *b;
    *a = fmaf(a0, c, -(b0 * s));
    *b = fmaf(a0, s, b0 * c);
}

static void rope_pairs(float *x, const float *cos, const float *sin, int64_t n_pair)
{
    for (int64_t i = 0; i < n_pair; i++)
        rotate(&x[2 * i], &x[2 * i + 1], cos[i], sin[i]);
}

static void rope_halves(float *x, const float *cos, const float *sin, int64_t n_pair)
{
    for (int64_t i = 0; i < n_pair; i++)
        rotate(&x[i], &x[i + n_pair], cos[i], sin[i]);
}

static void add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, float s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] * s;
}

static void softcap(float *y, float c, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = sb_ref_softcap(y[i], c);
}

static void silu_mul(const float *g, const float *u, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = sb_ref_silu(g[i]) * u[i];
}

static void gelu_mul(const float *g, const float *u, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = sb_ref_gelu(g[i]) * u[i];
}

static void exp_f32(const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = sb_ref_exp(x[i]);
}

static float greatest(const float *x, int64_t n)
{
    float best = -INFINITY, rest = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        best = x[i] > best ? x[i] : best;
        rest += x[i] - x[i];
    }
    return best + rest;
}

static void hadamard(float *x, int64_t n)
{
    const int64_t b = n & -n;
    const float s = 1.0f / sqrtf((float)b);
    for (int64_t h = 1; h < b; h *= 2) {
        for (int64_t i = 0; i < n; i++) {
            if (i & h) continue; // the second of its pair
            const float a = x[i], c = x[i + h];
            x[i] = a + c;
            x[i + h] = a - c;
        }
    }
    scale(x, s, n);
}

static uint64_t int8_peak(int64_t n)
{
    enum { PAIRS = 64 };
    volatile int8_t a[PAIRS] = {3};
    volatile uint8_t b[PAIRS] = {5};
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < PAIRS; j++)
            sum += a[j] * b[j];
    a[0] = (int8_t)sum;
    return (uint64_t)n * PAIRS;
}

void sb_kernels_fill_ref_ops(sb_kernels *k)
{
    k->quant_a8 = quant_a8;
    k->rms_norm = rms_norm;
    k->rope_pairs = rope_pairs;
    k->rope_halves = rope_halves;
    k->add = add;
    k->scale = scale;
    k->softcap = softcap;
    k->silu_mul = silu_mul;
    k->gelu_mul = gelu_mul;
    k->exp_f32 = exp_f32;
    k->greatest = greatest;
    k->hadamard = hadamard;
    k->attn_merge = sb_ref_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_ref_attn_f32;
    k->attn[SB_KV_BF16] = sb_ref_attn_bf16;
    k->attn[SB_KV_I8] = sb_ref_attn_i8;
}
