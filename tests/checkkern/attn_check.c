/* SPDX-License-Identifier: Apache-2.0
 * attn_check.c - attention: levels against ref, a row alone against a crowd, ref against doubles.
 * */
#include "checkkern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_PAGE = SB_KV_SEGMENT / SB_KV_PAGE, MAX_ROWS = 64 };

/* One segment with its queries. Keys and values: [256][head_dim] as given, before rounding. */
typedef struct attn_case {
    sb_attn a;
    sb_kv_type type;
    float *keys, *vals;
    int32_t *lo, *hi;
    float *m, *l, *acc; /* the state before */
    size_t n_state;     /* floats of acc */
} attn_case;

/* Fills pages: positions inside the span get keys and values, the rest stays NaN; pages that the
 * span does not reach are absent. */
static void put_pages(ck *c, attn_case *t)
{
    sb_attn *a = &t->a;
    const size_t n = (size_t)a->head_dim, bytes = sb_kv_page_bytes(t->type, a->head_dim);
    int32_t lo = SB_KV_SEGMENT, hi = 0;
    for (int32_t r = 0; r < a->n_row; r++) {
        if (t->lo[r] >= t->hi[r]) continue;
        lo = t->lo[r] < lo ? t->lo[r] : lo;
        hi = t->hi[r] > hi ? t->hi[r] : hi;
    }
    for (int32_t i = 0; i < N_PAGE; i++) {
        a->k_page[i] = a->v_page[i] = NULL;
        if ((i + 1) * SB_KV_PAGE <= lo || i * SB_KV_PAGE >= hi) continue;
        void *k = memset(ck_alloc(c, bytes), 0xff, bytes),
             *v = memset(ck_alloc(c, bytes), 0xff, bytes);
        for (int32_t p = 0; p < SB_KV_PAGE; p++) {
            const int32_t pos = i * SB_KV_PAGE + p;
            if (pos < lo || pos >= hi) continue;
            sb_kv_put_k(t->type, k, p, t->keys + (size_t)pos * n, a->head_dim);
            sb_kv_put_v(t->type, v, p, t->vals + (size_t)pos * n, a->head_dim);
        }
        a->k_page[i] = k;
        a->v_page[i] = v;
    }
}

static float *floats(ck *c, size_t n, ck_fill kind)
{
    float *p = ck_alloc(c, n * sizeof *p);
    ck_fill_f32(c, p, n, kind);
    return p;
}

enum { SEE_ALL = 0, SEE_ANY = -1 };

/* A random case. group: SEE_ALL; SEE_ANY: each row anything; else causal, as a prompt's rows: so
 * many queries of a token, one after the other, share a key. */
static attn_case make_case(ck *c, sb_kv_type type, int32_t head_dim, int32_t n_row, int32_t group,
                           ck_fill kind)
{
    const size_t n = (size_t)head_dim, rows = (size_t)n_row,
                 stride = n + (size_t)ck_range(c, 0, 3) * 4;
    attn_case t = {.type = type, .n_state = rows * n};
    float *q = floats(c, rows * stride, kind);
    t.keys = floats(c, SB_KV_SEGMENT * n, kind);
    t.vals = floats(c, SB_KV_SEGMENT * n, kind);
    t.lo = ck_alloc(c, rows * sizeof *t.lo);
    t.hi = ck_alloc(c, rows * sizeof *t.hi);
    t.m = floats(c, rows, CK_NORMAL);
    t.l = floats(c, rows, CK_NORMAL);
    t.acc = floats(c, t.n_state, CK_NORMAL);
    const int32_t first = (int32_t)ck_range(c, 0, 200);
    for (int32_t r = 0; r < n_row; r++) {
        t.lo[r] = group == SEE_ANY ? (int32_t)ck_range(c, 0, 256) : 0;
        t.hi[r] = group == SEE_ALL   ? 256
                  : group == SEE_ANY ? (int32_t)ck_range(c, 0, 256)
                                     : first + r / group + 1;
        t.l[r] = ck_rand(c) % 2 ? 0.0f : fabsf(t.l[r]) + 1.0f; // half of the states are empty
        if (t.l[r] == 0.0f) ck_fill_f32(c, t.acc + (size_t)r * n, n, CK_SPECIAL);
    }
    t.a = (sb_attn){.q = q,
                    .q_stride = stride,
                    .lo = t.lo,
                    .hi = t.hi,
                    .n_row = n_row,
                    .head_dim = head_dim,
                    .scale = 1.0f / sqrtf((float)n),
                    .softcap = ck_rand(c) % 4 ? 0.0f : 20.0f};
    t.a.scratch = ck_alloc(c, sb_attn_scratch_floats(n_row, head_dim) * sizeof(float));
    put_pages(c, &t);
    return t;
}

/* A copy of the state before, for one run. */
static void fresh_state(ck *c, attn_case *t)
{
    const size_t rows = (size_t)t->a.n_row * sizeof(float), acc = t->n_state * sizeof(float);
    t->a.m = memcpy(ck_alloc(c, rows), t->m, rows);
    t->a.l = memcpy(ck_alloc(c, rows), t->l, rows);
    t->a.acc = memcpy(ck_alloc(c, acc), t->acc, acc);
}

static void same_state(ck *c, const sb_attn *got, const sb_attn *want, const char *what)
{
    const size_t rows = (size_t)got->n_row;
    const int n = got->n_row, d = got->head_dim;
    ck_same_f32(c, got->m, want->m, rows, "%s, %d rows of %d: m", what, n, d);
    ck_same_f32(c, got->l, want->l, rows, "%s, %d rows of %d: l", what, n, d);
    ck_same_f32(c, got->acc, want->acc, rows * (size_t)d, "%s, %d rows of %d: acc", what, n, d);
}

static void check_level(ck *c, sb_kv_type type, int32_t head_dim, int32_t n_row, int32_t group,
                        ck_fill kind)
{
    attn_case t = make_case(c, type, head_dim, n_row, group, kind);
    fresh_state(c, &t);
    const sb_attn want = t.a;
    c->ref->attn[type](&want);
    fresh_state(c, &t);
    c->k->attn[type](&t.a);
    same_state(c, &t.a, &want, ck_fill_name(kind));
    ck_case_end(c);
}

/* Each row of a crowd with different limits has the bits it has alone. */
static void check_alone(ck *c, sb_kv_type type, int32_t head_dim)
{
    attn_case t = make_case(c, type, head_dim, 9, SEE_ANY, CK_NORMAL);
    fresh_state(c, &t);
    const sb_attn crowd = t.a;
    c->k->attn[type](&crowd);
    fresh_state(c, &t);
    for (int32_t r = 0; r < crowd.n_row; r++) {
        sb_attn one = t.a;
        one.n_row = 1;
        one.q += (size_t)r * one.q_stride;
        one.lo += r;
        one.hi += r;
        one.m += r;
        one.l += r;
        one.acc += (size_t)r * (size_t)head_dim;
        c->k->attn[type](&one);
    }
    same_state(c, &t.a, &crowd, "one by one");
    ck_case_end(c);
}

/* A segment computed apart and joined has the bits of one computed into the state. */
static void check_merge(ck *c, sb_kv_type type, int32_t head_dim)
{
    attn_case t = make_case(c, type, head_dim, 7, SEE_ANY, CK_NORMAL);
    fresh_state(c, &t);
    const sb_attn whole = t.a;
    c->ref->attn[type](&whole);
    fresh_state(c, &t);
    sb_attn apart = t.a;
    apart.m = floats(c, 7, CK_SPECIAL);
    apart.l = memset(ck_alloc(c, 7 * sizeof(float)), 0, 7 * sizeof(float));
    apart.acc = floats(c, t.n_state, CK_SPECIAL);
    c->ref->attn[type](&apart);
    for (int32_t r = 0; r < 7; r++) {
        const size_t off = (size_t)r * (size_t)head_dim;
        c->k->attn_merge(t.a.m + r, t.a.l + r, t.a.acc + off, apart.m[r], apart.l[r],
                         apart.acc + off, head_dim);
    }
    same_state(c, &t.a, &whole, "joined");
    ck_case_end(c);
}

/* Head sizes of the models there are. */
static const int32_t model_dims[] = {64, 80, 96, 112, 128, 192, 256};

/* As many queries to a key as models have, one token and a tile of them: 48 rows at most, as the
 * engine cuts them, which is more than a level takes at once. */
static void check_groups(ck *c, sb_kv_type type, int32_t head_dim)
{
    static const int32_t groups[] = {1, 2, 3, 4, 5, 7, 8, 16};
    for (size_t i = 0; i < SB_ARRAY_LEN(groups); i++) {
        const int32_t g = groups[i];
        check_level(c, type, head_dim, g, SEE_ALL, CK_NORMAL);
        check_level(c, type, head_dim, 48 / g * g, g, CK_NORMAL);
        check_level(c, type, head_dim, (1 + 16 / g) * g, g, CK_NORMAL);
    }
}

static void run_attn(ck *c, sb_kv_type type)
{
    static const int32_t dims[] = {64, 8, 16, 24, 72, 80, 96, 112, 128, 192, 256, 576};
    for (size_t i = 0; i < SB_ARRAY_LEN(dims); i++) {
        const int32_t most = dims[i] <= 64 ? 20 : 4;
        for (int32_t n_row = 1; n_row <= most; n_row++)
            check_level(c, type, dims[i], n_row, SEE_ANY, CK_NORMAL);
        check_level(c, type, dims[i], 6, 3, CK_NORMAL);
        check_alone(c, type, dims[i]);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(model_dims); i++)
        check_groups(c, type, model_dims[i]);
    for (int i = 0; i < 20; i++) {
        check_level(c, type, 16, (int32_t)ck_range(c, 1, 13), SEE_ANY, CK_ZERO);
        check_level(c, type, 16, (int32_t)ck_range(c, 1, 13), SEE_ANY, CK_WIDE);
        check_level(c, type, 16, (int32_t)ck_range(c, 1, 13), SEE_ANY, CK_TINY);
        check_level(c, type, 40, (int32_t)ck_range(c, 1, 13), i % 3 - 1, CK_NORMAL);
        check_alone(c, type, 16);
    }
}

static void run_attn_f32(ck *c)
{
    run_attn(c, SB_KV_F32);
}
static void run_attn_bf16(ck *c)
{
    run_attn(c, SB_KV_BF16);
}

static void run_attn_i8(ck *c)
{
    run_attn(c, SB_KV_I8);
}

static void run_attn_merge(ck *c)
{
    enum { N_SMALL = 8 };
    for (int i = 0; i < N_SMALL + (int)SB_ARRAY_LEN(model_dims); i++) {
        const int32_t n = i < N_SMALL ? 8 * (i + 1) : model_dims[i - N_SMALL];
        check_merge(c, SB_KV_I8, n);
        check_merge(c, SB_KV_BF16, n);
        check_merge(c, SB_KV_F32, n);
    }
}

/* What a page of type t keeps of x[d], a position's n values. */
static double stored(sb_kv_type t, const float *x, size_t n, size_t d)
{
    float amax = 0.0f;
    if (t == SB_KV_F32) return (double)x[d];
    if (t == SB_KV_BF16) return (double)sb_bf16_to_f32(sb_f32_to_bf16(x[d]));
    for (size_t i = d - d % SB_KV_GROUP; i < n && i / SB_KV_GROUP == d / SB_KV_GROUP; i++)
        amax = fmaxf(amax, fabsf(x[i]));
    return (double)rintf(x[d] * (127.0f / amax)) * (double)amax / 127.0;
}

/* What ref should give for row r of an empty state, in doubles. */

static void softmax_row(const attn_case *t, int32_t r, double *out)
{
    const sb_attn *a = &t->a;
    const size_t n = (size_t)a->head_dim;
    double sum = 0.0;
    memset(out, 0, n * sizeof *out);
    for (int32_t p = t->lo[r]; p < t->hi[r]; p++) {
        double s = 0.0;
        for (size_t d = 0; d < n; d++) {
            s += (double)a->q[(size_t)r * a->q_stride + d] *
                 stored(t->type, t->keys + (size_t)p * n, n, d);
        }
        s *= (double)a->scale;
        if (a->softcap != 0.0f) s = (double)a->softcap * tanh(s / (double)a->softcap);
        const double e = exp(s);
        sum += e;
        for (size_t d = 0; d < n; d++)
            out[d] += e * stored(t->type, t->vals + (size_t)p * n, n, d);
    }
    for (size_t d = 0; d < n; d++)
        out[d] /= sum;
}

/* Bound: 4e-6 absolute for values of deviation 1 (24-bit sums of 256 terms, scores below 8). */
static void oracle_attn(ck *c, sb_kv_type type)
{
    enum { N_SMALL = 16, MAX_DIM = 256 };
    double worst = 0.0, exact[MAX_DIM];
    for (int i = 0; i < N_SMALL + 2 * (int)SB_ARRAY_LEN(model_dims); i++) {
        const int32_t n = i < N_SMALL ? 8 * (i + 1) : model_dims[(i - N_SMALL) / 2];
        attn_case t = make_case(c, type, n, 3, SEE_ANY, CK_NORMAL);
        fresh_state(c, &t);
        memset(t.a.l, 0, 3 * sizeof(float));
        c->ref->attn[type](&t.a);
        for (int32_t r = 0; r < 3; r++) {
            if (t.lo[r] >= t.hi[r]) continue;
            softmax_row(&t, r, exact);
            for (int32_t d = 0; d < n; d++) {
                const double got = (double)t.a.acc[r * n + d] / (double)t.a.l[r],
                             e = fabs(got - exact[d]);
                if (e > worst) worst = e;
                ck_true(c, e <= 4e-6, "row %d dim %d of %d: %g, exactly %g", r, d, n, got,
                        exact[d]);
            }
        }
        ck_case_end(c);
    }
    printf("# ref %s: worst error %.2g of 4e-06\n", c->slot, worst);
}

static void oracle_attn_f32(ck *c)
{
    oracle_attn(c, SB_KV_F32);
}
static void oracle_attn_bf16(ck *c)
{
    oracle_attn(c, SB_KV_BF16);
}

static void oracle_attn_i8(ck *c)
{
    oracle_attn(c, SB_KV_I8);
}

typedef struct bench_arg {
    sb_attn a;
    sb_attn_fn fn;
    unsigned char *pages; /* all segments, keys then values of each page */
    size_t page_bytes, n_segment, at;
} bench_arg;

static void bench_call(void *arg)
{
    bench_arg *b = arg;
    for (size_t i = 0; i < N_PAGE; i++) {
        unsigned char *p = b->pages + (b->at * N_PAGE + i) * 2 * b->page_bytes;
        b->a.k_page[i] = p;
        b->a.v_page[i] = p + b->page_bytes;
    }
    b->at = (b->at + 1) % b->n_segment;
    b->fn(&b->a);
}

/* n_segment 1: the segment stays in cache, as for a prompt; many: it comes from memory. */
static void bench_attn(ck *c, sb_kv_type type, int32_t head_dim, int32_t n_row, size_t bytes)
{
    const size_t n = (size_t)head_dim, rows = (size_t)n_row;
    const size_t page = sb_kv_page_bytes(type, head_dim), segment = 2 * N_PAGE * page;
    const size_t n_segment = bytes < segment ? 1 : bytes / segment;
    int32_t lo[MAX_ROWS] = {0}, hi[MAX_ROWS];
    for (size_t r = 0; r < rows; r++)
        hi[r] = SB_KV_SEGMENT;
    bench_arg b = {.fn = c->k->attn[type], .page_bytes = page, .n_segment = n_segment};
    b.pages = memset(ck_alloc(c, n_segment * segment), 0x3c, n_segment * segment);
    b.a =
        (sb_attn){.q = floats(c, rows * n, CK_NORMAL),
                  .q_stride = n,
                  .lo = lo,
                  .hi = hi,
                  .n_row = n_row,
                  .head_dim = head_dim,
                  .scale = 0.1f,
                  .m = floats(c, rows, CK_ZERO),
                  .l = floats(c, rows, CK_ZERO),
                  .acc = floats(c, rows * n, CK_ZERO),
                  .scratch = ck_alloc(c, sb_attn_scratch_floats(n_row, head_dim) * sizeof(float))};
    const double flops = 4.0 * (double)rows * SB_KV_SEGMENT * (double)n;
    ck_time(c, bench_call, &b, n_segment > 1 ? (double)segment : 0, flops,
            "%-7s head_dim %3d rows %2d", n_segment > 1 ? "decode" : "prefill", head_dim, n_row);
    ck_case_end(c);
}

static void bench_type(ck *c, sb_kv_type type)
{
    static const int32_t dims[] = {64, 80, 128, 256};
    const size_t big = (size_t)128 << 20;
    for (size_t i = 0; i < SB_ARRAY_LEN(dims); i++)
        bench_attn(c, type, dims[i], 48, 0);
    for (int32_t rows = 1; rows <= 6; rows++)
        bench_attn(c, type, 64, rows, big);
    bench_attn(c, type, 256, 4, big);
}

static void bench_attn_f32(ck *c)
{
    bench_type(c, SB_KV_F32);
}
static void bench_attn_bf16(ck *c)
{
    bench_type(c, SB_KV_BF16);
}

static void bench_attn_i8(ck *c)
{
    bench_type(c, SB_KV_I8);
}

CK_SLOT_FILLED(attn_merge)

static bool filled_attn_f32(const sb_kernels *weaker, const sb_kernels *k)
{
    return k->attn[SB_KV_F32] != weaker->attn[SB_KV_F32];
}

static bool filled_attn_bf16(const sb_kernels *weaker, const sb_kernels *k)
{
    return k->attn[SB_KV_BF16] != weaker->attn[SB_KV_BF16];
}

static bool filled_attn_i8(const sb_kernels *weaker, const sb_kernels *k)
{
    return k->attn[SB_KV_I8] != weaker->attn[SB_KV_I8];
}

const ck_check ck_attn_checks[] = {
    {"attn_f32", filled_attn_f32, run_attn_f32, bench_attn_f32, oracle_attn_f32},
    {"attn_bf16", filled_attn_bf16, run_attn_bf16, bench_attn_bf16, oracle_attn_bf16},
    {"attn_i8", filled_attn_i8, run_attn_i8, bench_attn_i8, oracle_attn_i8},
    {"attn_merge", filled_attn_merge, run_attn_merge, NULL, NULL},
};
const size_t ck_n_attn_checks = SB_ARRAY_LEN(ck_attn_checks);
