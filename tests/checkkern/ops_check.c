/* SPDX-License-Identifier: Apache-2.0
 * ops_check.c - the element-wise slots: levels against ref, ref against doubles. */
#include "checkkern.h"
#include "kernels/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_SHORT = 40, N_BENCH = 2048 };

/* Lengths to try: every one up to N_SHORT, then a few that models have. */
static const int64_t long_lengths[] = {64, 127, 576, 1000, 1536};

static int64_t length_at(int64_t i)
{
    return i < N_SHORT ? i + 1 : long_lengths[i - N_SHORT];
}

static const int64_t n_lengths = N_SHORT + (int64_t)SB_ARRAY_LEN(long_lengths);

static float *floats(ck *c, int64_t n, ck_fill kind)
{
    float *p = ck_alloc(c, (size_t)n * sizeof *p);
    ck_fill_f32(c, p, (size_t)n, kind);
    return p;
}

static float *copy(ck *c, const float *src, int64_t n)
{
    float *p = ck_alloc(c, (size_t)n * sizeof *p);
    memcpy(p, src, (size_t)n * sizeof *p);
    return p;
}

/* Calls of one slot on (g, u, y, n), so that one loop serves all element-wise slots. */
typedef void (*map_fn)(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n);

static void map_silu(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    k->silu_mul(g, u, y, n);
}

static void map_gelu(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    k->gelu_mul(g, u, y, n);
}

static void map_exp(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    (void)u;
    k->exp_f32(g, y, n);
}

static void map_add(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    memmove(y, g, (size_t)n * sizeof *y);
    k->add(y, u, n);
}

static void map_scale(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    memmove(y, g, (size_t)n * sizeof *y);
    k->scale(y, u[0], n);
}

static void map_softcap(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    (void)u;
    memmove(y, g, (size_t)n * sizeof *y);
    k->softcap(y, 30.0f, n);
}

static void map_rms(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    k->rms_norm(g, u, n, 1e-5f, y);
}

static void map_hadamard(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    (void)u;
    memmove(y, g, (size_t)n * sizeof *y);
    k->hadamard(y, n);
}

static void check_map(ck *c, map_fn fn)
{
    for (int kind = 0; kind < CK_FILL_COUNT; kind++) {
        for (int64_t i = 0; i < n_lengths; i++) {
            const int64_t n = length_at(i);
            float *g = floats(c, n, (ck_fill)kind), *u = floats(c, n, (ck_fill)kind);
            float *want = ck_alloc(c, (size_t)n * sizeof *want);
            float *got = ck_alloc(c, (size_t)n * sizeof *got);
            fn(c->ref, g, u, want, n);
            fn(c->k, g, u, got, n);
            ck_same_f32(c, got, want, (size_t)n, "%s, n %d", ck_fill_name((ck_fill)kind), (int)n);
            fn(c->k, g, u, g, n);
            ck_same_f32(c, g, want, (size_t)n, "%s in place, n %d", ck_fill_name((ck_fill)kind),
                        (int)n);
            ck_case_end(c);
        }
    }
}

/* Floats in order of their bits, sparsely: every exponent, both signs. */
static void check_exp_sweep(ck *c)
{
    enum { N = 1 << 14 };
    float *x = ck_alloc(c, N * sizeof *x), *got = ck_alloc(c, N * sizeof *x);
    float *want = ck_alloc(c, N * sizeof *x);
    for (uint32_t start = 0; start < 64; start++) {
        for (uint32_t i = 0; i < N; i++) {
            const uint32_t u = i * (1u << 18) + start * 4099u;
            memcpy(&x[i], &u, sizeof u);
        }
        c->ref->exp_f32(x, want, N);
        c->k->exp_f32(x, got, N);
        ck_same_f32(c, got, want, N, "sweep %u", start);
    }
    ck_case_end(c);
}

/* The greatest at each place, and what is not finite at each. */
static void run_greatest(ck *c)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN, -NAN};
    for (int64_t i = 0; i < n_lengths; i++) {
        const int64_t n = length_at(i);
        float *x = floats(c, n, CK_NORMAL);
        const float top = 1e30f;
        for (int64_t at = 0; at < n; at++) {
            const float was = x[at], a = c->k->greatest(x, n), b = c->ref->greatest(x, n);
            ck_same_f32(c, &a, &b, 1, "n %d", (int)n);
            x[at] = top;
            ck_true(c, c->k->greatest(x, n) == top, "the greatest of %d at %d", (int)n, (int)at);
            for (size_t k = 0; k < SB_ARRAY_LEN(odd); k++) {
                x[at] = odd[k];
                ck_true(c, isnan(c->k->greatest(x, n)) && isnan(c->ref->greatest(x, n)),
                        "odd %d at %d of %d", (int)k, (int)at, (int)n);
            }
            x[at] = was;
        }
        ck_case_end(c);
    }
}

static void run_silu(ck *c)
{
    check_map(c, map_silu);
}
static void run_gelu(ck *c)
{
    check_map(c, map_gelu);
}
static void run_add(ck *c)
{
    check_map(c, map_add);
}
static void run_scale(ck *c)
{
    check_map(c, map_scale);
}
static void run_softcap(ck *c)
{
    check_map(c, map_softcap);
}
static void run_rms(ck *c)
{
    check_map(c, map_rms);
}
static void run_hadamard(ck *c)
{
    check_map(c, map_hadamard);
}
static void run_exp(ck *c)
{
    check_map(c, map_exp);
    check_exp_sweep(c);
}

static void check_rope(ck *c, bool halves)
{
    for (int kind = 0; kind < CK_FILL_COUNT; kind++) {
        for (int64_t i = 0; i < n_lengths; i++) {
            const int64_t n = length_at(i);
            float *want = floats(c, 2 * n, (ck_fill)kind), *got = copy(c, want, 2 * n);
            const float *cs = floats(c, n, CK_NORMAL), *sn = floats(c, n, CK_NORMAL);
            (halves ? c->ref->rope_halves : c->ref->rope_pairs)(want, cs, sn, n);
            (halves ? c->k->rope_halves : c->k->rope_pairs)(got, cs, sn, n);
            ck_same_f32(c, got, want, (size_t)(2 * n), "%s, %d pairs", ck_fill_name((ck_fill)kind),
                        (int)n);
            ck_case_end(c);
        }
    }
}

static void run_rope_pairs(ck *c)
{
    check_rope(c, false);
}
static void run_rope_halves(ck *c)
{
    check_rope(c, true);
}

/* One block of 32 values by ref and by the level, the same bytes. */
static const unsigned char *quant_block(ck *c, const float x[32])
{
    const size_t bytes = sb_act_row_bytes(SB_ACT_A8, 32);
    unsigned char *want = ck_alloc(c, bytes), *got = ck_alloc(c, bytes);
    c->ref->quant_a8(x, 0, 32, 32, want);
    c->k->quant_a8(x, 0, 32, 32, got);
    ck_same_bytes(c, got, want, bytes, "a block from %g to %g", (double)x[0], (double)x[1]);
    return got;
}

/* Values between two codes go to the even one; a block of one sign has all 254 steps; no code is
 * -128, whatever the rounding of both ends; what cannot be a number shows as NaN; a span counts
 * from SB_ACT_TINY on. */
static void check_quant_edges(ck *c)
{
    float x[32];
    for (int i = 0; i < 32; i++)
        x[i] = (float)i - 15.5f;
    x[0] = -126.0f;
    x[1] = 127.0f;
    const unsigned char *row = quant_block(c, x);
    for (int i = 0; i < 32; i++) {
        const int v = (int8_t)row[i] + act_z(act_zq(row, 32, 0)[0]);
        ck_true(c, v == (int)nearbyint((double)x[i]), "%g became %d", (double)x[i], v);
    }
    for (int i = 0; i < 32; i++)
        x[i] = 5.0f - (float)i / 31.0f;
    row = quant_block(c, x);
    ck_true(c, act_d(row, 32)[0] == 5.0f / 253.0f, "one sign: d %g", (double)act_d(row, 32)[0]);
    for (int i = 0; i < 2000; i++) {
        for (int j = 0; j < 32; j++)
            x[j] = 0.0f;
        x[0] = -(float)ck_range(c, 0, 1000) / 253.0f;
        x[1] = (float)ck_range(c, 0, 1000) / 253.0f;
        row = quant_block(c, x);
        ck_true(c, (int8_t)row[0] != -128 && (int8_t)row[1] >= (int8_t)row[0], "%g and %g",
                (double)x[0], (double)x[1]);
        ck_case_end(c);
    }
    x[0] = -3e38f;
    x[1] = 3e38f;
    row = quant_block(c, x);
    ck_true(c, isnan(act_d(row, 32)[0]) && isnan(act_s(row, 32, 0)[0]) && row[0] == 0, "overflow");
    for (int just = 0; just < 2; just++) { // the least span that counts, and the next below
        x[0] = 0.0f;
        x[1] = just ? SB_ACT_TINY : nextafterf(SB_ACT_TINY, 0.0f);
        row = quant_block(c, x);
        ck_true(c, (act_d(row, 32)[0] > 0.0f) == (just == 1), "a span of %a", (double)x[1]);
    }
    ck_case_end(c);
}

/* A row whole, and in pieces, is ref's row; bytes of padding are never written. */
static void run_quant_a8(ck *c)
{
    for (int kind = 0; kind < CK_FILL_COUNT; kind++) {
        for (int64_t k = 32; k <= 608; k += k < 128 ? 32 : 96) {
            const size_t bytes = sb_act_row_bytes(SB_ACT_A8, k);
            const float *x = floats(c, k, (ck_fill)kind);
            unsigned char *want = ck_alloc(c, bytes), *got = ck_alloc(c, bytes);
            unsigned char *piecewise = ck_alloc(c, bytes);
            c->ref->quant_a8(x, 0, k, k, want);
            c->k->quant_a8(x, 0, k, k, got);
            ck_same_bytes(c, got, want, bytes, "%s, k %d", ck_fill_name((ck_fill)kind), (int)k);
            for (int64_t k0 = 0; k0 < k;) {
                const int64_t n = 32 * ck_range(c, 1, (k - k0) / 32);
                c->k->quant_a8(x + k0, k0, n, k, piecewise);
                k0 += n;
            }
            ck_same_bytes(c, piecewise, want, bytes, "%s in pieces, k %d",
                          ck_fill_name((ck_fill)kind), (int)k);
            ck_case_end(c);
        }
    }
    check_quant_edges(c);
}

/* Distance of got from exact in units of the last place of a float of exact's size. */
static double ulps(float got, double exact)
{
    int e;
    if ((double)got == exact) return 0.0;
    frexp(exact, &e);
    return fabs((double)got - exact) / ldexp(1.0, e - 24 < -149 ? -149 : e - 24);
}

static double exact_silu(double g)
{
    return g / (1.0 + exp(-g));
}

static double gelu_arg(double g)
{
    return 2.0 * sqrt(2.0 / acos(-1.0)) * (g + 0.044715 * g * g * g);
}

static double exact_gelu(double g)
{
    return g / (1.0 + exp(-gelu_arg(g)));
}

typedef enum oracle_kind { ORACLE_EXP, ORACLE_TANH, ORACLE_SILU, ORACLE_GELU } oracle_kind;

/* The error's bound in ulps: what an argument's own rounding does to exp is part of it. */
static double exact_and_bound(oracle_kind kind, double x, double *out_bound)
{
    *out_bound = kind == ORACLE_EXP ? 1.0 : kind == ORACLE_TANH ? 2.0 : 3.0;
    switch (kind) {
    case ORACLE_EXP:
        return exp(x);
    case ORACLE_TANH:
        return tanh(x);
    case ORACLE_SILU:
        return exact_silu(x);
    case ORACLE_GELU:
        *out_bound += 3.0 * fabs(gelu_arg(x));
        return exact_gelu(x);
    }
    sb_unreachable("all kinds are above");
}

static void check_oracle(ck *c, oracle_kind kind, float lo, float hi)
{
    enum { N = 200000 };
    double worst = 0.0;
    for (int i = 0; i <= N; i++) {
        const float x = lo + (hi - lo) * ((float)i / (float)N), one = 1.0f;
        float y = x;
        double bound;
        if (kind == ORACLE_EXP) c->ref->exp_f32(&x, &y, 1);
        if (kind == ORACLE_TANH) c->ref->softcap(&y, one, 1);
        if (kind == ORACLE_SILU) c->ref->silu_mul(&x, &one, &y, 1);
        if (kind == ORACLE_GELU) c->ref->gelu_mul(&x, &one, &y, 1);
        const double exact = exact_and_bound(kind, (double)x, &bound);
        const double d =
            fabs(exact) < 0x1p-126 ? fabs((double)y - exact) / 0x1p-126 : ulps(y, exact);
        if (d / bound > worst) worst = d / bound;
        ck_true(c, d <= bound, "%a gave %a, exactly %a: %g ulp", (double)x, (double)y, exact, d);
    }
    printf("# ref %s: worst error %.3f of its bound\n", c->slot, worst);
    ck_case_end(c);
}

static void oracle_exp(ck *c)
{
    const float x[] = {-INFINITY, INFINITY, -100.0f, 89.0f, 0.0f, -0.0f};
    const float want[] = {0.0f, INFINITY, 0.0f, INFINITY, 1.0f, 1.0f};
    float y[6], nan = NAN;
    check_oracle(c, ORACLE_EXP, -87.3f, 88.7f);
    check_oracle(c, ORACLE_EXP, -1.0f, 1.0f);
    c->ref->exp_f32(x, y, 6);
    ck_same_bytes(c, y, want, sizeof y, "limits");
    c->ref->exp_f32(&nan, y, 1);
    ck_true(c, isnan(y[0]), "NaN gave %g", (double)y[0]);
    ck_case_end(c);
}

static void oracle_softcap(ck *c)
{
    check_oracle(c, ORACLE_TANH, -12.0f, 12.0f);
    check_oracle(c, ORACLE_TANH, -0.7f, 0.7f);
}

static void oracle_silu(ck *c)
{
    check_oracle(c, ORACLE_SILU, -80.0f, 80.0f);
}
static void oracle_gelu(ck *c)
{
    check_oracle(c, ORACLE_GELU, -10.0f, 10.0f);
}

static void oracle_rms(ck *c)
{
    for (int64_t n = 1; n <= 4096; n = 2 * n + n / 3 + 1) {
        const float *x = floats(c, n, CK_NORMAL), *w = floats(c, n, CK_NORMAL);
        float *y = ck_alloc(c, (size_t)n * sizeof *y);
        double ss = 0.0;
        c->ref->rms_norm(x, w, n, 1e-6f, y);
        for (int64_t i = 0; i < n; i++)
            ss += (double)x[i] * (double)x[i];
        for (int64_t i = 0; i < n; i++) {
            const double exact = (double)x[i] * (double)w[i] / sqrt(ss / (double)n + 1e-6);
            const double e = fabs((double)y[i] - exact);
            ck_true(c, e <= 1e-6 * fabs(exact), "n %d: %g, exactly %g", (int)n, (double)y[i],
                    exact);
        }
        ck_case_end(c);
    }
}

/* Against the matrix itself: the sign of an element is the parity of its indices' common bits. */
static void oracle_hadamard(ck *c)
{
    static const int64_t sizes[] = {1, 2, 8, 64, 80, 96, 112, 128, 192, 256};
    for (size_t s = 0; s < SB_ARRAY_LEN(sizes); s++) {
        const int64_t n = sizes[s], b = n & -n;
        float *x = floats(c, n, CK_NORMAL), *y = copy(c, x, n);
        c->ref->hadamard(y, n);
        for (int64_t i = 0; i < n; i++) {
            double exact = 0.0;
            for (int64_t j = 0; j < b; j++) {
                const double v = (double)x[i / b * b + j];
                exact += __builtin_parityll((unsigned long long)(i % b & j)) ? -v : v;
            }
            exact /= sqrt((double)b);
            ck_true(c, fabs((double)y[i] - exact) <= 2e-6, "n %d: %g, exactly %g", (int)n,
                    (double)y[i], exact);
        }
        ck_case_end(c);
    }
}

/* What was quantised comes back within half a step (and the rounding of d), and the tables hold
 * what they say. */
static void oracle_quant_a8(ck *c)
{
    enum { K = 256 };
    const float *x = floats(c, K, CK_WIDE);
    unsigned char *row = ck_alloc(c, sb_act_row_bytes(SB_ACT_A8, K));
    c->ref->quant_a8(x, 0, K, K, row);
    for (int b = 0; b < K / 32; b++) {
        const float d = act_d(row, K)[b];
        const int32_t z = act_z(act_zq(row, K, 0)[b]);
        int32_t sums[3] = {0, 0, 0};
        for (int i = 0; i < 32; i++) {
            const int q = (int8_t)row[b * 32 + i];
            sums[0] += q;
            sums[1 + i / 16] += q;
            const double back = (double)d * (q + z), limit = (double)d * (0.5 + 254 * 0x1p-22);
            ck_true(c, fabs(back - (double)x[b * 32 + i]) <= limit, "block %d: %g came back as %g",
                    b, (double)x[b * 32 + i], back);
        }
        for (int part = 0; part < 3; part++) {
            const int32_t n = part == 0 ? 32 : 16;
            ck_true(c, act_zq(row, K, part)[b] == act_zq_of(z, sums[part]), "block %d: zq", b);
            ck_true(c, act_s(row, K, part)[b] == d * (float)(sums[part] + n * z), "block %d: s", b);
        }
    }
    ck_case_end(c);
}

/* One call to time. */
typedef struct bench_arg {
    const sb_kernels *k;
    map_fn fn;
    float *g, *u, *y;
} bench_arg;

static void bench_call(void *arg)
{
    const bench_arg *b = arg;
    b->fn(b->k, b->g, b->u, b->y, N_BENCH);
}

/* bytes: moved per element, as a model's row would be: read and written once. */
static void bench_map(ck *c, map_fn fn, double bytes)
{
    bench_arg b = {c->k, fn, floats(c, N_BENCH, CK_NORMAL), floats(c, N_BENCH, CK_NORMAL),
                   floats(c, N_BENCH, CK_ZERO)};
    ck_time(c, bench_call, &b, bytes * N_BENCH, 0, "n %d", N_BENCH);
    ck_case_end(c);
}

static void map_quant_a8(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    (void)u;
    k->quant_a8(g, 0, n, n, (unsigned char *)y);
}

static void map_rope(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    k->rope_halves(y, g, u, n / 2);
}

static void map_rope_pairs(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    k->rope_pairs(y, g, u, n / 2);
}

static void bench_silu(ck *c)
{
    bench_map(c, map_silu, 12);
}
static void bench_gelu(ck *c)
{
    bench_map(c, map_gelu, 12);
}
static void bench_exp(ck *c)
{
    bench_map(c, map_exp, 8);
}
static void bench_rms(ck *c)
{
    bench_map(c, map_rms, 12);
}
static void bench_softcap(ck *c)
{
    bench_map(c, map_softcap, 8);
}
static void map_greatest(const sb_kernels *k, const float *g, const float *u, float *y, int64_t n)
{
    (void)u;
    y[0] = k->greatest(g, n);
}

static void bench_greatest(ck *c)
{
    bench_map(c, map_greatest, 4);
}
static void bench_quant_a8(ck *c)
{
    bench_map(c, map_quant_a8, 5.9);
}
static void bench_rope_halves(ck *c)
{
    bench_map(c, map_rope, 12);
}
static void bench_hadamard(ck *c)
{
    bench_map(c, map_hadamard, 8);
}
static void run_int8_peak(ck *c)
{
    const uint64_t one = c->k->int8_peak(1), many = c->k->int8_peak(1000);
    ck_true(c, one >= 32 && many == 1000 * one, "%llu of one round, %llu of 1000",
            (unsigned long long)one, (unsigned long long)many);
    ck_case_end(c);
}

enum { PEAK_ROUNDS = 100000 };

static void peak_once(void *arg)
{
    const ck *c = arg;
    (void)c->k->int8_peak(PEAK_ROUNDS);
}

static void bench_int8_peak(ck *c)
{
    ck_time(c, peak_once, c, 0, 2.0 * (double)c->k->int8_peak(PEAK_ROUNDS), "%d rounds",
            PEAK_ROUNDS);
}

static void bench_rope_pairs(ck *c)
{
    bench_map(c, map_rope_pairs, 12);
}

CK_SLOT_FILLED(quant_a8)
CK_SLOT_FILLED(rms_norm)
CK_SLOT_FILLED(rope_pairs)
CK_SLOT_FILLED(rope_halves)
CK_SLOT_FILLED(add)
CK_SLOT_FILLED(scale)
CK_SLOT_FILLED(softcap)
CK_SLOT_FILLED(silu_mul)
CK_SLOT_FILLED(gelu_mul)
CK_SLOT_FILLED(greatest)
CK_SLOT_FILLED(hadamard)
CK_SLOT_FILLED(exp_f32)
CK_SLOT_FILLED(int8_peak)

const ck_check ck_ops_checks[] = {
    {"quant_a8", filled_quant_a8, run_quant_a8, bench_quant_a8, oracle_quant_a8},
    {"rms_norm", filled_rms_norm, run_rms, bench_rms, oracle_rms},
    {"rope_pairs", filled_rope_pairs, run_rope_pairs, bench_rope_pairs, NULL},
    {"rope_halves", filled_rope_halves, run_rope_halves, bench_rope_halves, NULL},
    {"add", filled_add, run_add, NULL, NULL},
    {"scale", filled_scale, run_scale, NULL, NULL},
    {"softcap", filled_softcap, run_softcap, bench_softcap, oracle_softcap},
    {"silu_mul", filled_silu_mul, run_silu, bench_silu, oracle_silu},
    {"gelu_mul", filled_gelu_mul, run_gelu, bench_gelu, oracle_gelu},
    {"greatest", filled_greatest, run_greatest, bench_greatest, NULL},
    {"hadamard", filled_hadamard, run_hadamard, bench_hadamard, oracle_hadamard},
    {"exp_f32", filled_exp_f32, run_exp, bench_exp, oracle_exp},
    {"int8_peak", filled_int8_peak, run_int8_peak, bench_int8_peak, NULL},
};
const size_t ck_n_ops_checks = SB_ARRAY_LEN(ck_ops_checks);
