/* SPDX-License-Identifier: Apache-2.0
 * crowd.c - many streams through the scheduler on a real model: each equals itself alone, and how
 * long everybody waits.
 *
 * Usage: crowd MODEL.gguf [STREAMS [TOKENS [THREADS [LONG_PROMPT]]]]
 * Prints tokens a second, times to the first token and gaps between tokens, these also while the
 * last 1000 tokens of a long prompt are read beside four streams; ends with "N passed, N failed".
 * Exit status 1: a stream differs, sixteen streams of one share slow another one's by more than a
 * tenth, or the long prompt more than doubles the 95th of 100 gaps of the same tokens. LONG_PROMPT
 * 0: time is not judged. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "seqs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 64, BESIDE = 4, GREEDY = 16, FAIR_TOKENS = 150, LONG_END = 1000, MAX_GAPS = 8192 };

typedef struct crowd {
    sb_rig rig;
    sb_sched *sched;
    int32_t n, n_tokens, n_threads, n_long, n_vocab;
    int32_t *ids;   /* [n][PROMPT] */
    int32_t *alone; /* [n][n_tokens] */
    int32_t *n_alone;
    sb_rig_seq *seqs; /* [n] */
    double *ns;       /* scratch for percentiles */
    int n_passed, n_failed;
} crowd;

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double *v, size_t n, int pct)
{
    if (n == 0) return 0;
    qsort(v, n, sizeof *v, compare);
    return v[(n - 1) * (size_t)pct / 100] * 1e-6;
}

static void judge(crowd *c, bool ok, const char *what)
{
    *(ok ? &c->n_passed : &c->n_failed) += 1;
    if (!ok) printf("FAILED %s\n", what);
}

static sb_seq_opts options(crowd *c, int32_t i)
{
    sb_seq_opts o =
        sb_rig_seq_opts(&c->seqs[i], c->ids + (size_t)i * PROMPT, PROMPT - i % 7, c->n_tokens);
    if (i % 2) o.sampling = (sb_sampling){.temp = 0.8f, .top_p = 0.95f, .seed = (uint64_t)i};
    return o;
}

static sb_status run_alone(crowd *c, sb_error *err)
{
    const uint64_t begin = sb_now_ns();
    int64_t n = 0;
    for (int32_t i = 0; i < c->n; i++) {
        const sb_seq_opts o = options(c, i);
        SB_TRY(sb_rig_alone(c->rig.engine, &o, c->alone + (size_t)i * (size_t)c->n_tokens,
                            &c->n_alone[i], err));
        n += c->n_alone[i];
    }
    printf("one by one: %.1f tokens/s\n", (double)n * 1e9 / (double)(sb_now_ns() - begin));
    return SB_OK;
}

static sb_status run_crowd(crowd *c, sb_error *err)
{
    const uint64_t begin = sb_now_ns(), cpu = sb_process_cpu_ns();
    int64_t n = 0;
    size_t n_gaps = 0;
    for (int32_t i = 0; i < c->n; i++) {
        const sb_seq_opts o = options(c, i);
        SB_TRY(sb_rig_seq_begin(&c->seqs[i], c->sched, &o, err));
        c->seqs[i].gaps_ns = sb_calloc((size_t)c->n_tokens, sizeof(double));
    }
    sb_rig_drain(c->sched);
    const double s = (double)(sb_now_ns() - begin) * 1e-9;
    for (int32_t i = 0; i < c->n; i++) {
        sb_rig_seq *r = &c->seqs[i];
        judge(c,
              r->n_out == c->n_alone[i] &&
                  memcmp(r->out, c->alone + (size_t)i * (size_t)c->n_tokens,
                         (size_t)r->n_out * sizeof *r->out) == 0,
              "a stream differs from itself alone");
        n += r->n_out;
        for (int32_t k = 0; k + 1 < r->n_out && r->gaps_ns; k++)
            c->ns[n_gaps++] = r->gaps_ns[k];
    }
    printf("%d streams: %.1f tokens/s, %.2f CPU-s each\n", c->n, (double)n / s,
           (double)(sb_process_cpu_ns() - cpu) * 1e-9 / c->n);
    const double p50 = percentile(c->ns, n_gaps, 50), p95 = percentile(c->ns, n_gaps, 95);
    printf("gap: median %.1f ms, 95 %% %.1f ms\n", p50, p95);
    for (int32_t i = 0; i < c->n; i++)
        c->ns[i] = (double)(c->seqs[i].first_ns - c->seqs[i].submit_ns);
    const double f50 = percentile(c->ns, (size_t)c->n, 50);
    printf("first token: median %.1f ms, 95 %% %.1f ms\n", f50,
           percentile(c->ns, (size_t)c->n, 95));
    for (int32_t i = 0; i < c->n; i++) {
        sb_free(c->seqs[i].gaps_ns);
        sb_rig_seq_end(&c->seqs[i]);
    }
    return SB_OK;
}

/* Four streams until `other` has its first token, or till the first has n_most tokens. Returns the
 * number of gaps in c->ns. */
static size_t watch(crowd *c, sb_rig_seq *r, const sb_rig_seq *other, int32_t n_most)
{
    size_t n = 0;
    uint64_t last[BESIDE] = {0};
    int32_t had[BESIDE] = {0};
    for (int i = 0; i < BESIDE; i++)
        had[i] = r[i].n_out;
    while (other ? !other->n_out && !atomic_load(&other->n_ends) : r[0].n_out < n_most) {
        bool did = false;
        sb_sched_step(c->sched, &did);
        for (int i = 0; i < BESIDE; i++) {
            if (r[i].n_out == had[i]) continue;
            had[i] = r[i].n_out;
            if (last[i]) c->ns[n++] = (double)(r[i].last_ns - last[i]);
            last[i] = r[i].last_ns;
        }
    }
    return n;
}

/* Begins the four streams and goes on until each draws. */
static sb_status begin_beside(crowd *c, sb_rig_seq *r, sb_error *err)
{
    for (int i = 0; i < BESIDE; i++) {
        sb_seq_opts o = sb_rig_seq_opts(&r[i], c->ids + (size_t)i * PROMPT, PROMPT, MAX_GAPS);
        o.ignore_end = true;
        SB_TRY(sb_rig_seq_begin(&r[i], c->sched, &o, err));
    }
    (void)watch(c, r, NULL, 10);
    return SB_OK;
}

static void end_beside(crowd *c, sb_rig_seq *r)
{
    for (int i = 0; i < BESIDE; i++)
        sb_seq_cancel(r[i].q);
    sb_rig_drain(c->sched);
    for (int i = 0; i < BESIDE; i++)
        sb_rig_seq_end(&r[i]);
}

/* Reads all but the end of the long prompt alone: it is the end whose rows cost most. */
static sb_status read_most(crowd *c, const int32_t *ids, sb_error *err)
{
    sb_rig_seq r;
    if (c->n_long <= LONG_END) return SB_OK;
    sb_seq_opts o = sb_rig_seq_opts(&r, ids, c->n_long - LONG_END, 0);
    o.scope = o.share = 7;
    SB_TRY(sb_rig_seq_begin(&r, c->sched, &o, err));
    sb_rig_drain(c->sched);
    sb_rig_seq_end(&r);
    return SB_OK;
}

/* Beside a long prompt, and then the same tokens of the same streams undisturbed. */
static sb_status run_long(crowd *c, sb_error *err)
{
    sb_rig_seq r[BESIDE], big;
    int32_t *ids = sb_alloc((size_t)c->n_long, sizeof *ids);
    if (!ids) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    sb_rig_ids(ids, c->n_long, c->n_vocab, 99);
    SB_TRY(read_most(c, ids, err));
    SB_TRY(begin_beside(c, r, err));
    sb_seq_opts o = sb_rig_seq_opts(&big, ids, c->n_long, 1);
    o.scope = o.share = 7;
    SB_TRY(sb_rig_seq_begin(&big, c->sched, &o, err));
    size_t n = watch(c, r, &big, 0);
    const int32_t n_out = r[0].n_out;
    const double busy50 = percentile(c->ns, n, 50), busy = percentile(c->ns, n, 95);
    end_beside(c, r);
    SB_TRY(begin_beside(c, r, err));
    n = watch(c, r, NULL, n_out);
    const double calm = percentile(c->ns, n, 95), calm50 = percentile(c->ns, n, 50);
    printf("gap beside the end of a prompt of %d: median %.1f -> %.1f ms, 95 %% %.1f -> %.1f ms "
           "(%.2f times), "
           "%zu gaps, first token after %.1f s\n",
           c->n_long, calm50, busy50, calm, busy, busy / calm, n,
           (double)(big.first_ns - big.submit_ns) * 1e-9);
    judge(c, busy <= 2 * calm, "the gaps beside a long prompt");
    end_beside(c, r);
    sb_rig_seq_end(&big);
    sb_free(ids);
    return SB_OK;
}

/* The median gap of one stream beside n_greedy of another share, in ms. */
static sb_status gap_beside(crowd *c, int n_greedy, double *out, sb_error *err)
{
    sb_rig_seq one, greedy[GREEDY];
    sb_seq_opts o;
    for (int i = 0; i < n_greedy; i++) {
        o = sb_rig_seq_opts(&greedy[i], c->ids + (size_t)(i % c->n) * PROMPT, PROMPT, MAX_GAPS);
        o.ignore_end = true;
        o.share = 2;
        o.scope = (uint64_t)i;
        SB_TRY(sb_rig_seq_begin(&greedy[i], c->sched, &o, err));
    }
    for (int i = 0; i < n_greedy; i++)
        while (greedy[i].n_out < 2) {
            bool did = false;
            sb_sched_step(c->sched, &did);
        }
    o = sb_rig_seq_opts(&one, c->ids, PROMPT, FAIR_TOKENS);
    o.ignore_end = true;
    one.gaps_ns = c->ns;
    SB_TRY(sb_rig_seq_begin(&one, c->sched, &o, err));
    while (!atomic_load(&one.n_ends)) {
        bool did = false;
        sb_sched_step(c->sched, &did);
    }
    *out = percentile(c->ns, (size_t)one.n_out - 1, 50);
    for (int i = 0; i < n_greedy; i++)
        sb_seq_cancel(greedy[i].q);
    sb_rig_drain(c->sched);
    for (int i = 0; i < n_greedy; i++)
        sb_rig_seq_end(&greedy[i]);
    sb_rig_seq_end(&one);
    return SB_OK;
}

static sb_status run_fair(crowd *c, sb_error *err)
{
    double fair = 0, greedy = 0;
    SB_TRY(gap_beside(c, 1, &fair, err));
    SB_TRY(gap_beside(c, GREEDY, &greedy, err));
    printf("median gap of one stream: %.2f ms beside one of another share, %.2f beside %d\n", fair,
           greedy, GREEDY);
    judge(c, greedy <= 1.1 * fair, "a greedy share costs another one more than a tenth");
    return SB_OK;
}

static sb_status run(crowd *c, const char *path, sb_error *err)
{
    sb_engine_opts eo = sb_rig_opts(c->n_long + 600);
    eo.n_sessions = GREEDY + 1;
    if (c->n_long && c->n > eo.n_sessions) eo.n_sessions = c->n < 64 ? c->n : 64;
    SB_TRY(sb_rig_open(&c->rig, path, c->n_threads, &eo, err));
    c->n_vocab = c->rig.model->hp.n_vocab;
    const size_t n = (size_t)c->n, n_tokens = (size_t)c->n_tokens;
    c->ids = sb_alloc(n * PROMPT, sizeof *c->ids);
    c->alone = sb_alloc(n * n_tokens, sizeof *c->alone);
    c->n_alone = sb_alloc(n, sizeof *c->n_alone);
    c->seqs = sb_calloc(n, sizeof *c->seqs);
    c->ns = sb_alloc(n * n_tokens + MAX_GAPS * BESIDE, sizeof *c->ns);
    if (!c->ids || !c->alone || !c->n_alone || !c->seqs || !c->ns)
        return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    for (int32_t i = 0; i < c->n; i++)
        sb_rig_ids(c->ids + (size_t)i * PROMPT, PROMPT, c->n_vocab, (uint64_t)i + 1);
    SB_TRY(run_alone(c, err));
    const sb_sched_opts so = {.max_queue = SB_MAX_QUEUE};
    SB_TRY(sb_sched_new(&c->sched, c->rig.engine, &so, err));
    SB_TRY(run_crowd(c, err));
    if (c->n_long == 0) return SB_OK; /* only what does not depend on a quiet machine */
    SB_TRY(run_fair(c, err));
    return run_long(c, err);
}

static int32_t number(int argc, char **argv, int i, int32_t otherwise)
{
    return argc > i ? (int32_t)strtol(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr,
                      "usage: crowd MODEL.gguf [STREAMS [TOKENS [THREADS [LONG_PROMPT]]]]\n");
        return 2;
    }
    crowd c = {.n = number(argc, argv, 2, 8),
               .n_tokens = number(argc, argv, 3, 64),
               .n_threads = number(argc, argv, 4, 2),
               .n_long = number(argc, argv, 5, 7500)};
    sb_error err = {0};
    const sb_status s = run(&c, argv[1], &err);
    if (s != SB_OK) (void)fprintf(stderr, "crowd: %s\n", err.msg);
    printf("%d passed, %d failed\n", c.n_passed, c.n_failed + (s != SB_OK));
    sb_sched_free(c.sched);
    sb_free(c.ns);
    sb_free(c.seqs);
    sb_free(c.n_alone);
    sb_free(c.alone);
    sb_free(c.ids);
    sb_rig_close(&c.rig);
    return s == SB_OK && c.n_failed == 0 ? 0 : 1;
}
