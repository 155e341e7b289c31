/* SPDX-License-Identifier: Apache-2.0
 * cmd_bench.c - `sobre bench`: tokens per second of prefill and decode, as a median of runs.
 *
 * Tokens are drawn from the vocabulary with a fixed generator; what they say does not change the
 * work. Each run starts in an empty context, so decode is measured at its shortest, as the peers
 * do. With --streams, as many sequences decode in each step, each from its own place of the text;
 * tokens are then those of all of them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"

typedef struct bench {
    const sb_cli *c;
    sb_buf path;
    sb_pool *pool;
    sb_model *model;
    sb_engine *engine;
    int32_t *ids; /* [n_ids] */
    int32_t n_ids, n_streams;
    sb_session **sessions; /* [n_streams], open during a run */
    sb_span *spans;        /* [n_streams] */
    int n_runs;
} bench;

typedef struct bench_run {
    double seconds, cpu_seconds;
} bench_run;

static void bench_deinit(bench *b)
{
    sb_engine_free(b->engine);
    sb_model_close(b->model);
    sb_pool_free(b->pool);
    sb_free(b->spans);
    sb_free(b->sessions);
    sb_free(b->ids);
    sb_buf_deinit(&b->path);
}

static sb_status bench_open(bench *b, sb_error *err)
{
    const sb_opt_value *v = b->c->args->v;
    const int32_t p = (int32_t)v[SB_OPT_prompt].i, n = (int32_t)v[SB_OPT_gen].i;
    b->n_runs = (int)v[SB_OPT_repeat].i;
    b->n_ids = p > n ? p : n;
    SB_TRY(sb_cli_model_path(v[SB_OPT_model].s, &b->path, err));
    SB_TRY(sb_model_open(&b->model, b->path.p, err));
    b->n_streams = (int32_t)v[SB_OPT_streams].i;
    b->ids = sb_alloc((size_t)b->n_ids, sizeof *b->ids);
    b->sessions = sb_calloc((size_t)b->n_streams, sizeof(sb_session *));
    b->spans = sb_calloc((size_t)b->n_streams, sizeof *b->spans);
    if (!b->ids || !b->sessions || !b->spans) return SB_FAIL(err, SB_NO_MEMORY, "bench: no memory");
    uint32_t x = 1;
    for (int32_t i = 0; i < b->n_ids; i++) {
        x = x * 1664525u + 1013904223u;
        b->ids[i] = (int32_t)((x >> 8) % (uint32_t)b->model->hp.n_vocab);
    }
    SB_TRY(sb_cli_pool(b->c->args, &b->pool, err));
    const int32_t most = b->n_ids > b->n_streams ? b->n_ids : b->n_streams;
    sb_engine_opts o = sb_cli_engine_opts(b->c->args, b->n_ids + 1,
                                          most < SB_MAX_BATCH_ROWS ? most : SB_MAX_BATCH_ROWS);
    o.n_sessions = b->n_streams;
    return sb_engine_new(&b->engine, b->model, b->pool, &o, err);
}

/* n tokens of n_streams fresh sessions each, in steps of at most n_step rows of each. */
static sb_status run_steps(bench *b, int32_t n, int32_t n_step, int32_t n_streams, sb_error *err)
{
    for (int32_t at = 0, k; at < n; at += k) {
        k = n - at < n_step ? n - at : n_step;
        for (int32_t i = 0; i < n_streams; i++) {
            const int32_t from = n_step == 1 ? (at + i) % b->n_ids : at;
            b->spans[i] = (sb_span){.s = b->sessions[i],
                                    .ids = b->ids + from,
                                    .n = k,
                                    .want = SB_WANT_LAST,
                                    .is_decode = n_step == 1};
        }
        if (sb_stop_asked(NULL)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
        SB_TRY(sb_engine_step(b->engine, b->spans, n_streams, err));
    }
    return SB_OK;
}

static sb_status run_once(bench *b, int32_t n, int32_t n_step, int32_t n_streams, bench_run *out,
                          sb_error *err)
{
    sb_status st = SB_OK;
    for (int32_t i = 0; st == SB_OK && i < n_streams; i++)
        st = sb_session_open(&b->sessions[i], b->engine, 1, err);
    const uint64_t begin_ns = sb_now_ns(), cpu_ns = sb_process_cpu_ns();
    if (st == SB_OK) st = run_steps(b, n, n_step, n_streams, err);
    out->seconds = (double)(sb_now_ns() - begin_ns) / 1e9;
    out->cpu_seconds = (double)(sb_process_cpu_ns() - cpu_ns) / 1e9;
    for (int32_t i = 0; i < n_streams; i++) {
        sb_session_close(b->sessions[i]);
        b->sessions[i] = NULL;
    }
    return st;
}

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const bench_run *)a)->seconds, y = ((const bench_run *)b)->seconds;
    return (x > y) - (x < y);
}

/* n: tokens of all n_streams. */
static sb_status report(const bench *b, const char *kind, int32_t n, int32_t n_streams,
                        const bench_run *runs, sb_error *err)
{
    const bench_run *mid = &runs[b->n_runs / 2], *low = &runs[(b->n_runs - 1) / 2];
    const double seconds = (mid->seconds + low->seconds) / 2;
    const double cpu = (mid->cpu_seconds + low->cpu_seconds) / 2;
    const char *level = sb_level_name(sb_engine_level(b->engine));
    const double rate = seconds > 0 ? n / seconds : 0;
    if (!b->c->args->v[SB_OPT_json].set) {
        sb_out_addf(b->c->out,
                    "%-8s %5d tokens  %10.2f tokens/s  %8.3f CPU s  (best %.2f tokens/s)", kind, n,
                    rate, cpu, runs[0].seconds > 0 ? n / runs[0].seconds : 0.0);
        if (n_streams > 1) sb_out_addf(b->c->out, ", %d streams", n_streams);
        sb_out_addf(b->c->out, "\n");
        sb_out_flush(b->c->out);
        return SB_OK;
    }
    json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:s, s:s, s:s}", "kind", kind,
                          "tokens_per_second", rate, "seconds", seconds, "cpu_seconds", cpu,
                          "tokens", (int)n, "n_streams", (int)n_streams, "threads",
                          sb_pool_n_threads(b->pool), "runs", b->n_runs, "precision",
                          b->c->args->v[SB_OPT_precision].i ? "exact" : "fast", "kv",
                          sb_kv_name(sb_cli_kv(b->c->args)), "kernels", level);
    return sb_json_print(b->c->out, o, err);
}

/* One warm-up and n_runs runs of n tokens each stream. */
static sb_status measure(bench *b, const char *kind, int32_t n, int32_t n_step, int32_t n_streams,
                         sb_error *err)
{
    if (n == 0) return SB_OK;
    bench_run *runs = sb_alloc((size_t)b->n_runs, sizeof *runs);
    if (!runs) return SB_FAIL(err, SB_NO_MEMORY, "bench: no memory");
    bench_run warm;
    sb_status s = run_once(b, n, n_step, n_streams, &warm, err);
    for (int i = 0; s == SB_OK && i < b->n_runs; i++)
        s = run_once(b, n, n_step, n_streams, &runs[i], err);
    if (s == SB_OK) {
        qsort(runs, (size_t)b->n_runs, sizeof *runs, by_seconds);
        s = report(b, kind, n * n_streams, n_streams, runs, err);
    }
    sb_free(runs);
    return s;
}

sb_status sb_cmd_bench(const sb_cli *c, sb_error *err)
{
    bench b = {.c = c};
    sb_buf_init(&b.path, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = bench_open(&b, err);
    if (s == SB_OK)
        s = measure(&b, "prefill", (int32_t)c->args->v[SB_OPT_prompt].i, SB_MAX_BATCH_ROWS, 1, err);
    if (s == SB_OK)
        s = measure(&b, "decode", (int32_t)c->args->v[SB_OPT_gen].i, 1, b.n_streams, err);
    bench_deinit(&b);
    return s;
}
