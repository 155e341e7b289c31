/* SPDX-License-Identifier: Apache-2.0
 * plain_body.h - slots that wait for memory or are a thousandth of the time, for the weakest level
 * of a family of processors to include; the stronger ones leave them to it.
 *
 * Beside the words of ops_body.h it needs v_fms and v_butterfly. */
#ifndef SB_KERNELS_PLAIN_BODY_H
#define SB_KERNELS_PLAIN_BODY_H
#include "kernels/internal.h"

#include <math.h>
#include <string.h>

/* Writes a quantised block's entries of the tables, of n_block each, the first at `at`. half: sums
 * of q of its halves. */
static inline void tables_put(unsigned char *at, size_t n_block, float d, int32_t z,
                              const int32_t half[2])
{
    const int32_t sum[3] = {half[0] + half[1], half[0], half[1]};
    memcpy(at, &d, sizeof d);
    for (size_t part = 0; part < 3; part++) {
        const float s = d * (float)(sum[part] + (part == 0 ? 32 : 16) * z);
        const int32_t zq = act_zq_of(z, sum[part]);
        memcpy(at + (ACT_S + part) * n_block * sizeof s, &s, sizeof s);
        memcpy(at + (ACT_ZQ + part) * n_block * sizeof zq, &zq, sizeof zq);
    }
}

/* The pairs (2i, 2i + 1) from i on that are no whole vector. */
static inline void rope_pairs_rest(float *x, const float *cos, const float *sin, int64_t i,
                                   int64_t n_pair)
{
    for (; i < n_pair; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = fmaf(a, cos[i], -(b * sin[i]));
        x[2 * i + 1] = fmaf(a, sin[i], b * cos[i]);
    }
}

static void rope_halves(float *x, const float *cos, const float *sin, int64_t n_pair)
{
    int64_t i = 0;
    for (; i + LANES <= n_pair; i += LANES) {
        const vec a = v_load(x + i), b = v_load(x + n_pair + i);
        const vec c = v_load(cos + i), s = v_load(sin + i);
        v_store(x + i, v_fms(a, c, v_mul(b, s)));
        v_store(x + n_pair + i, v_fma(a, s, v_mul(b, c)));
    }
    for (; i < n_pair; i++) {
        const float a = x[i], b = x[n_pair + i];
        x[i] = fmaf(a, cos[i], -(b * sin[i]));
        x[n_pair + i] = fmaf(a, sin[i], b * cos[i]);
    }
}

static void add(float *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    for (; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, float s, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_mul(v_load(y + i), v_set(s)));
    for (; i < n; i++)
        y[i] = y[i] * s;
}

/* The distances below LANES of a run of b values; shorter runs fill a part of the vector only. */
static void butterflies_near(float *x, int64_t b)
{
    const int64_t n = b < LANES ? b : LANES;
    for (int64_t i = 0; i < b; i += LANES) {
        vec v = v_load_n(x + i, n);
        for (int h = 1; h < n; h *= 2)
            v = v_butterfly(v, h);
        v_store_n(x + i, v, n);
    }
}

static void hadamard(float *x, int64_t n)
{
    const int64_t b = n & -n;
    const float s = 1.0f / sqrtf((float)b);
    for (int64_t i0 = 0; i0 < n; i0 += b, x += b) {
        butterflies_near(x, b);
        for (int64_t h = LANES; h < b; h *= 2) {
            for (int64_t i = 0; i < b; i += LANES) {
                if (i & h) continue; // the second of its pair
                const vec a = v_load(x + i), c = v_load(x + i + h);
                v_store(x + i, v_add(a, c));
                v_store(x + i + h, v_sub(a, c));
            }
        }
        scale(x, s, b);
    }
}

static void fill_plain(sb_kernels *k)
{
    k->rope_halves = rope_halves;
    k->add = add;
    k->scale = scale;
    k->hadamard = hadamard;
}
#endif
