/* SPDX-License-Identifier: Apache-2.0
 * ops_body.h - the slots that read the same at every vector width, for one level's file to
 * include.
 *
 * The last vector of an array is loaded and stored in part, so that every element, in whatever
 * place, goes through the same lanes' arithmetic. */
#ifndef SB_KERNELS_OPS_BODY_H
#define SB_KERNELS_OPS_BODY_H
#include "kernels/vec/vec_math.h"

static void rms_norm(const float *x, const float *w, int64_t n, float eps, float *y)
{
    vec sum[16 / LANES];
    float lane[16];
    for (int j = 0; j < 16 / LANES; j++)
        sum[j] = v_zero();
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int j = 0; j < 16 / LANES; j++) {
            const vec v = v_load(x + i + j * LANES);
            sum[j] = v_fma(v, v, sum[j]);
        }
    }
    for (int j = 0; i < n; j++, i += LANES) { // absent lanes add 0 * 0
        const vec v = n - i < LANES ? v_load_n(x + i, n - i) : v_load(x + i);
        sum[j] = v_fma(v, v, sum[j]);
    }
    for (int j = 0; j < 16 / LANES; j++)
        v_store(lane + j * LANES, sum[j]);
    for (int half = 8; half > 0; half /= 2) {
        for (int j = 0; j < half; j++)
            lane[j] = lane[j] + lane[j + half];
    }
    const vec r = v_set(1.0f / sqrtf(lane[0] / (float)n + eps));
    for (i = 0; i + LANES <= n; i += LANES) {
        v_store(y + i, v_mul(v_mul(v_load(x + i), r), v_load(w + i)));
    }
    if (i < n)
        v_store_n(y + i, v_mul(v_mul(v_load_n(x + i, n - i), r), v_load_n(w + i, n - i)), n - i);
}

static void softcap(float *y, float c, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_softcap(v_load(y + i), c));
    if (i < n) v_store_n(y + i, v_softcap(v_load_n(y + i, n - i), c), n - i);
}

static void silu_mul(const float *g, const float *u, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_mul(v_silu(v_load(g + i)), v_load(u + i)));
    if (i < n)
        v_store_n(y + i, v_mul(v_silu(v_load_n(g + i, n - i)), v_load_n(u + i, n - i)), n - i);
}

static void gelu_mul(const float *g, const float *u, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_mul(v_gelu(v_load(g + i)), v_load(u + i)));
    if (i < n)
        v_store_n(y + i, v_mul(v_gelu(v_load_n(g + i, n - i)), v_load_n(u + i, n - i)), n - i);
}

static void exp_f32(const float *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_exp(v_load(x + i)));
    if (i < n) v_store_n(y + i, v_exp(v_load_n(x + i, n - i)), n - i);
}

/* x - x is 0 where x is finite, NaN elsewhere. */
static float greatest(const float *x, int64_t n)
{
    enum { CHAINS = 4 };
    vec most[CHAINS], odd[CHAINS];
    float lane[LANES];
    for (int c = 0; c < CHAINS; c++) {
        most[c] = v_set(-INFINITY);
        odd[c] = v_zero();
    }
    int64_t i = 0;
    for (; i + CHAINS * LANES <= n; i += CHAINS * LANES) {
        for (int c = 0; c < CHAINS; c++) {
            const vec v = v_load(x + i + c * LANES);
            most[c] = v_max(most[c], v);
            odd[c] = v_add(odd[c], v_sub(v, v));
        }
    }
    for (int c = 1; c < CHAINS; c++) {
        most[0] = v_max(most[0], most[c]);
        odd[0] = v_add(odd[0], odd[c]);
    }
    v_store(lane, odd[0]);
    float best = v_greatest(most[0]), rest = 0.0f;
    for (int l = 0; l < LANES; l++)
        rest += lane[l];
    for (; i < n; i++) {
        best = x[i] > best ? x[i] : best;
        rest += x[i] - x[i];
    }
    return best + rest;
}

static void fill_common(sb_kernels *k)
{
    k->rms_norm = rms_norm;
    k->softcap = softcap;
    k->silu_mul = silu_mul;
    k->gelu_mul = gelu_mul;
    k->exp_f32 = exp_f32;
    k->greatest = greatest;
}
#endif
