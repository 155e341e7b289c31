/* SPDX-License-Identifier: Apache-2.0
 * cmd_bench.c - `sobre bench`: tokens per second of prefill and decode, as a median of runs.
 *
 * Tokens are drawn from the vocabulary with a fixed generator; what they say does not change the
 * work, and none of them ends a run. Each run starts at --depth tokens, by default in an empty
 * context, so decode is measured at its shortest, as the peers do. With --streams, as many
 * sequences decode in each step, each from its own place of the text; tokens are then those of all
 * of them. Beside each run stands what the machine gave at that moment: a speed alone says little
 * on a machine that is shared. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cli/bench_limits.h"
#include "cli/bench_trace.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"
#include "engine/rest.h"

typedef struct bench {
    const sb_cli *c;
    sb_buf path, record;
    sb_pool *pool;
    sb_rest rest;
    sb_model *model;
    sb_engine *engine;
    int32_t *ids; /* [n_ids] */
    int32_t n_ids, n_streams, depth;
    sb_bench_limits limits;
    sb_session **sessions; /* [n_streams], open during a run */
    sb_span *spans;        /* [n_streams] */
    int n_runs;
} bench;

typedef struct bench_run {
    double seconds, cpu_seconds;
    double read_gbps, int8_gops; /* of the machine: the mean of n_probes */
    int n_probes;
    uint64_t n_ops;        /* multiply-adds */
    uint64_t weight_bytes; /* read by the last step */
    int n_threads;         /* that computed it */
} bench_run;

static void bench_deinit(bench *b)
{
    sb_bench_limits_deinit(&b->limits);
    sb_engine_free(b->engine);
    sb_rest_deinit(&b->rest);
    sb_model_close(b->model);
    sb_pool_free(b->pool);
    sb_free(b->spans);
    sb_free(b->sessions);
    sb_free(b->ids);
    sb_buf_deinit(&b->record);
    sb_buf_deinit(&b->path);
}

static sb_status bench_open(bench *b, sb_error *err)
{
    const sb_opt_value *v = b->c->args->v;
    const int32_t p = (int32_t)v[SB_OPT_prompt].i, n = (int32_t)v[SB_OPT_gen].i;
    b->n_runs = (int)v[SB_OPT_repeat].i;
    b->depth = (int32_t)v[SB_OPT_depth].i;
    b->n_ids = p > n ? p : n;
    if (b->depth > b->n_ids) b->n_ids = b->depth;
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
    sb_rest_init(&b->rest, (int)v[SB_OPT_power].i, sb_pool_n_threads(b->pool));
    const int32_t most = b->n_ids > b->n_streams ? b->n_ids : b->n_streams;
    const int32_t n_ctx = b->depth + (p > n ? p : n) + 1;
    if (n_ctx > SB_MAX_CTX)
        return SB_FAIL(err, SB_LIMIT, "--depth: with what follows %d tokens, at most %d", n_ctx,
                       SB_MAX_CTX);
    sb_engine_opts o =
        sb_cli_engine_opts(b->c->args, n_ctx, most < SB_MAX_BATCH_ROWS ? most : SB_MAX_BATCH_ROWS);
    o.n_sessions = b->n_streams;
    SB_TRY(sb_cli_pack_cache(b->c->args, v[SB_OPT_model].s, &b->record, &o, err));
    SB_TRY(sb_engine_new(&b->engine, b->model, b->pool, &o, err));
    sb_cli_weights_note(b->c->args, b->engine);
    sb_engine_join_pages(b->engine); // measured is a model that has been up for a while
    return sb_bench_limits_init(&b->limits, b->pool, err);
}

/* The pause behind a step, which counts as its time. */
static void rest(bench *b)
{
    for (int64_t due; (due = sb_rest_due_ns(&b->rest)) > 0 && !sb_stop_asked(NULL);) {
        if (due > SB_REST_LOOK_NS) due = SB_REST_LOOK_NS;
        const struct timespec t = {.tv_nsec = (long)due};
        (void)nanosleep(&t, NULL);
    }
}

/* One step of n_streams sessions, k rows of each from token `at` on. */
static sb_status run_step(bench *b, int32_t at, int32_t k, bool is_decode, int32_t n_streams,
                          bench_run *out, sb_error *err)
{
    for (int32_t i = 0; i < n_streams; i++)
        b->spans[i] = (sb_span){.s = b->sessions[i],
                                .ids = b->ids + (is_decode ? (at + i) % b->n_ids : at),
                                .n = k,
                                .want = SB_WANT_LAST,
                                .is_decode = is_decode};
    if (sb_stop_asked(NULL)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
    sb_rest_skip(&b->rest);
    SB_TRY(sb_engine_step(b->engine, b->spans, n_streams, err));
    const sb_work_record *r = sb_engine_record(b->engine);
    out->weight_bytes = sb_work_weight_bytes(r);
    sb_rest_step(&b->rest, r->cpu_ns);
    rest(b);
    out->n_threads = r->n_threads;
    for (int32_t i = 0; i < r->n_part; i++)
        out->n_ops += r->parts[i].n_ops;
    return SB_OK;
}

/* n tokens of n_streams sessions each, in steps of at most n_step rows of each. */
static sb_status run_steps(bench *b, int32_t n, int32_t n_step, int32_t n_streams, sb_error *err)
{
    bench_run unused = {0};
    for (int32_t at = 0, k; at < n; at += k) {
        k = n - at < n_step ? n - at : n_step;
        SB_TRY(run_step(b, at, k, n_step == 1, n_streams, &unused, err));
    }
    return SB_OK;
}

static void probe(const bench *b, bench_run *out)
{
    out->read_gbps += sb_bench_read_gbps(&b->limits);
    out->int8_gops += sb_bench_int8_gops(&b->limits);
    out->n_probes++;
}

/* The same, timed, with a probe of the machine before, behind and a few times a second between:
 * memory that is shared gives now one figure, now half of it. Their time does not count. */
static sb_status run_timed(bench *b, int32_t n, int32_t n_step, int32_t n_streams, bench_run *out,
                           sb_error *err)
{
    enum { PROBE_NS = 250000000 };
    uint64_t lap_ns = 0, took_ns = 0, took_cpu_ns = 0;
    probe(b, out);
    for (int32_t at = 0, k; at < n; at += k) {
        k = n - at < n_step ? n - at : n_step;
        const uint64_t begin_ns = sb_now_ns(), cpu_ns = sb_process_cpu_ns();
        SB_TRY(run_step(b, at, k, n_step == 1, n_streams, out, err));
        const uint64_t step_ns = sb_now_ns() - begin_ns;
        took_cpu_ns += sb_process_cpu_ns() - cpu_ns;
        took_ns += step_ns;
        lap_ns += step_ns;
        if (lap_ns < PROBE_NS || at + k == n) continue;
        probe(b, out);
        lap_ns = 0;
    }
    probe(b, out);
    out->seconds = (double)took_ns / 1e9;
    out->cpu_seconds = (double)took_cpu_ns / 1e9;
    out->read_gbps /= out->n_probes;
    out->int8_gops /= out->n_probes;
    return SB_OK;
}

static sb_status run_once(bench *b, int32_t n, int32_t n_step, int32_t n_streams, bench_run *out,
                          sb_error *err)
{
    *out = (bench_run){0};
    sb_status st = SB_OK;
    for (int32_t i = 0; st == SB_OK && i < n_streams; i++)
        st = sb_session_open(&b->sessions[i], b->engine, 1, err);
    // One after the other: a step has room for the rows of one prefill.
    for (int32_t i = 0; st == SB_OK && i < n_streams; i++) {
        sb_session *first = b->sessions[0];
        b->sessions[0] = b->sessions[i];
        st = run_steps(b, b->depth, SB_MAX_BATCH_ROWS, 1, err);
        b->sessions[0] = first;
    }
    if (st == SB_OK) st = run_timed(b, n, n_step, n_streams, out, err);
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

/* The middle of the runs by time; of two middles, their mean. */
static bench_run middle(const bench *b, const bench_run *runs)
{
    const bench_run *x = &runs[b->n_runs / 2], *y = &runs[(b->n_runs - 1) / 2];
    return (bench_run){.seconds = (x->seconds + y->seconds) / 2,
                       .cpu_seconds = (x->cpu_seconds + y->cpu_seconds) / 2,
                       .read_gbps = (x->read_gbps + y->read_gbps) / 2,
                       .int8_gops = (x->int8_gops + y->int8_gops) / 2,
                       .n_ops = x->n_ops,
                       .weight_bytes = x->weight_bytes,
                       .n_threads = x->n_threads};
}

/* What a kind of work came to. n: tokens of all n_streams; n_steps: how often weights were read. */
typedef struct outcome {
    const char *kind;
    int32_t n, n_streams, n_steps;
    bench_run mid;
    double best_seconds;
} outcome;

static double rate_of(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

static double weight_gbps(const outcome *o)
{
    return rate_of((double)o->mid.weight_bytes * o->n_steps, o->mid.seconds) / 1e9;
}

static double int8_peak_pct(const outcome *o)
{
    const double gops = rate_of(2 * (double)o->mid.n_ops, o->mid.seconds) / 1e9;
    return 100 * rate_of(gops, o->mid.int8_gops);
}

static void report_text(const bench *b, const outcome *o)
{
    sb_out *out = b->c->out;
    sb_out_addf(out, "%-8s %5d tokens  %10.2f tokens/s  %8.3f CPU s  (best %.2f tokens/s)", o->kind,
                o->n, rate_of(o->n, o->mid.seconds), o->mid.cpu_seconds,
                rate_of(o->n, o->best_seconds));
    if (o->n_streams > 1) sb_out_addf(out, ", %d streams", o->n_streams);
    if (b->depth) sb_out_addf(out, ", at %d tokens", b->depth);
    sb_out_addf(out,
                "\n         weights %.1f GB/s of %.1f GB/s a plain read gives; %.0f %% of %.0f "
                "GOPS of bytes\n",
                weight_gbps(o), o->mid.read_gbps, int8_peak_pct(o), o->mid.int8_gops);
    sb_out_flush(out);
}

static sb_status report(const bench *b, const outcome *o, sb_error *err)
{
    if (!b->c->args->v[SB_OPT_json].set) {
        report_text(b, o);
        return SB_OK;
    }
    json_t *j = json_pack(
        "{s:s, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:I, s:f, s:f, s:s, s:s, s:s, "
        "s:s}",
        "kind", o->kind, "tokens_per_second", rate_of(o->n, o->mid.seconds), "seconds",
        o->mid.seconds, "cpu_seconds", o->mid.cpu_seconds, "tokens", (int)o->n, "n_streams",
        (int)o->n_streams, "depth", (int)b->depth, "threads", o->mid.n_threads, "runs", b->n_runs,
        "best_tokens_per_second", rate_of(o->n, o->best_seconds), "read_gbps", o->mid.read_gbps,
        "weight_bytes", (json_int_t)o->mid.weight_bytes, "weight_gbps", weight_gbps(o),
        "int8_peak_pct", int8_peak_pct(o), "precision",
        b->c->args->v[SB_OPT_precision].i ? "exact" : "fast", "kv",
        sb_kv_name(sb_engine_kv(b->engine)), "kernels", sb_level_name(sb_engine_level(b->engine)),
        "weights",
        sb_engine_has_cache(b->engine)   ? "cached"
        : sb_engine_is_mapped(b->engine) ? "mapped"
                                         : "packed");
    return sb_json_print(b->c->out, j, err);
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
        const outcome o = {.kind = kind,
                           .n = n * n_streams,
                           .n_streams = n_streams,
                           .n_steps = (n + n_step - 1) / n_step,
                           .mid = middle(b, runs),
                           .best_seconds = runs[0].seconds};
        s = report(b, &o, err);
    }
    sb_free(runs);
    return s;
}

sb_status sb_cmd_bench(const sb_cli *c, sb_error *err)
{
    if (c->args->verb == SB_VERB_bench_trace) return sb_bench_trace(c, err);
    bench b = {.c = c};
    sb_buf_init(&b.path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&b.record, SB_MAX_PATH_BYTES * 32, "hashes of a model");
    sb_status s = bench_open(&b, err);
    if (s == SB_OK)
        s = measure(&b, "prefill", (int32_t)c->args->v[SB_OPT_prompt].i, SB_MAX_BATCH_ROWS, 1, err);
    if (s == SB_OK)
        s = measure(&b, "decode", (int32_t)c->args->v[SB_OPT_gen].i, 1, b.n_streams, err);
    bench_deinit(&b);
    return s;
}
