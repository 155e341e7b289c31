/* SPDX-License-Identifier: Apache-2.0
 * metrics_text.c - GET /metrics: Prometheus' text format, put together when it is asked for. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "server/server_in.h"

static sb_status head(sb_buf *b, const char *name, const char *type, const char *help,
                      sb_error *err)
{
    return sb_buf_addf(b, err, "# HELP sobre_%s %s\n# TYPE sobre_%s %s\n", name, help, name, type);
}

static sb_status one(sb_buf *b, const char *name, const char *type, const char *help, double v,
                     sb_error *err)
{
    SB_TRY(head(b, name, type, help, err));
    return sb_buf_addf(b, err, "sobre_%s %.17g\n", name, v);
}

/* name: whole, with its prefix. */
static sb_status hist_of(sb_buf *b, const char *name, const char *help, const sb_hist *h,
                         sb_error *err)
{
    uint64_t sum = 0;
    SB_TRY(sb_buf_addf(b, err, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name));
    for (int i = 0; i <= SB_HIST_BUCKETS; i++) {
        sum += atomic_load_explicit(&h->n[i], memory_order_relaxed);
        if (i < SB_HIST_BUCKETS)
            SB_TRY(sb_buf_addf(b, err, "%s_bucket{le=\"%g\"} %llu\n", name,
                               (double)sb_hist_bound(i) / 1e9, (unsigned long long)sum));
        else
            SB_TRY(sb_buf_addf(b, err, "%s_bucket{le=\"+Inf\"} %llu\n", name,
                               (unsigned long long)sum));
    }
    return sb_buf_addf(b, err, "%s_sum %.9g\n%s_count %llu\n", name,
                       (double)atomic_load(&h->sum_ns) / 1e9, name, (unsigned long long)sum);
}

static sb_status hist(sb_buf *b, const char *name, const char *help, const sb_hist *h,
                      sb_error *err)
{
    char full[64];
    (void)snprintf(full, sizeof full, "sobre_%s", name);
    return hist_of(b, full, help, h, err);
}

static sb_status requests(sb_buf *b, const sb_metrics *m, sb_error *err)
{
    SB_TRY(head(b, "requests_total", "counter", "HTTP requests by the first digit of the status",
                err));
    for (int i = 1; i < 6; i++)
        SB_TRY(sb_buf_addf(b, err, "sobre_requests_total{status=\"%dxx\"} %llu\n", i,
                           (unsigned long long)atomic_load(&m->n_requests[i])));
    SB_TRY(
        head(b, "refused_total", "counter", "requests refused before their handler, by why", err));
    const struct {
        const char *why;
        uint64_t n;
    } refused[] = {{"host", atomic_load(&m->n_refused_host)},
                   {"key", atomic_load(&m->n_refused_key)},
                   {"limit", atomic_load(&m->n_refused_limit)},
                   {"queue", atomic_load(&m->n_refused_queue)}};
    for (size_t i = 0; i < SB_ARRAY_LEN(refused); i++)
        SB_TRY(sb_buf_addf(b, err, "sobre_refused_total{why=\"%s\"} %llu\n", refused[i].why,
                           (unsigned long long)refused[i].n));
    SB_TRY(head(b, "answers_total", "counter", "answers by how they ended", err));
    for (int i = 0; i < SB_FINISH_COUNT; i++)
        SB_TRY(sb_buf_addf(b, err, "sobre_answers_total{finish=\"%s\"} %llu\n",
                           sb_finish_word((sb_finish)i),
                           (unsigned long long)atomic_load(&m->n_ended[i])));
    return one(b, "answers_failed_total", "counter", "runs that ended with an error",
               (double)atomic_load(&m->n_failed), err);
}

static sb_status tokens(sb_buf *b, const sb_metrics *m, sb_error *err)
{
    SB_TRY(head(b, "tokens_total", "counter", "tokens of answers that have ended", err));
    SB_TRY(sb_buf_addf(b, err,
                       "sobre_tokens_total{kind=\"prompt\"} %llu\n"
                       "sobre_tokens_total{kind=\"cached\"} %llu\n"
                       "sobre_tokens_total{kind=\"generated\"} %llu\n",
                       (unsigned long long)atomic_load(&m->n_prompt),
                       (unsigned long long)atomic_load(&m->n_cached),
                       (unsigned long long)atomic_load(&m->n_generated)));
    SB_TRY(head(b, "energy_joules_total", "counter", "energy of answers, by how it is known", err));
    for (int i = SB_ENERGY_MEASURED; i < SB_ENERGY_SOURCE_COUNT; i++)
        SB_TRY(sb_buf_addf(b, err, "sobre_energy_joules_total{source=\"%s\"} %.6f\n",
                           sb_energy_source_name((sb_energy_source)i),
                           (double)atomic_load(&m->energy_uj[i]) / 1e6));
    return one(b, "energy_cancelled_joules_total", "counter", "of that, for cancelled answers",
               (double)atomic_load(&m->cancelled_uj) / 1e6, err);
}

typedef struct models_text {
    sb_buf *b;
    sb_error *err;
    sb_status s;
    int n_loaded;
} models_text;

static void add_model(void *ctx, const char *id, sb_chat *chat)
{
    models_text *t = ctx;
    const sb_sched_stats s = sb_sched_get_stats(sb_chat_sched(chat));
    t->n_loaded++;
    if (t->s != SB_OK) return;
    t->s = sb_buf_addf(t->b, t->err,
                       "sobre_sequences{model=\"%s\",state=\"waiting\"} %d\n"
                       "sobre_sequences{model=\"%s\",state=\"prefilling\"} %d\n"
                       "sobre_sequences{model=\"%s\",state=\"decoding\"} %d\n"
                       "sobre_sequences{model=\"%s\",state=\"paused\"} %d\n"
                       "sobre_kv_pages{model=\"%s\",state=\"all\"} %llu\n"
                       "sobre_kv_pages{model=\"%s\",state=\"held\"} %llu\n"
                       "sobre_kv_pages{model=\"%s\",state=\"cached\"} %llu\n"
                       "sobre_steps{model=\"%s\"} %llu\n"
                       "sobre_preempted{model=\"%s\"} %llu\n"
                       "sobre_batch_waits{model=\"%s\"} %llu\n",
                       id, (int)s.n_waiting, id, (int)s.n_prefilling, id, (int)s.n_decoding, id,
                       (int)s.n_paused, id, (unsigned long long)s.pages, id,
                       (unsigned long long)s.pages_held, id, (unsigned long long)s.pages_cached, id,
                       (unsigned long long)s.n_steps, id, (unsigned long long)s.n_preempted, id,
                       (unsigned long long)s.n_held);
}

static sb_status process(sb_buf *b, sb_server *sv, sb_error *err)
{
    const sb_http_stats h = sb_http_get_stats(sv->http);
    SB_TRY(one(b, "answers_running", "gauge", "answers under way, waiting ones too",
               (double)atomic_load(&sv->metrics.n_running), err));
    SB_TRY(one(b, "connections", "gauge", "open connections", (double)h.n_connections, err));
    SB_TRY(one(b, "connections_total", "counter", "connections taken", (double)h.n_accepted, err));
    SB_TRY(one(b, "slow_readers_total", "counter", "clients dropped because they did not read",
               (double)h.n_dropped_slow, err));
    SB_TRY(one(b, "timed_out_total", "counter", "requests that missed a deadline",
               (double)h.n_timed_out, err));
    SB_TRY(one(b, "buffered_bytes", "gauge", "bodies, and replies that wait to be taken",
               (double)h.buffered_bytes, err));
    SB_TRY(one(b, "resident_bytes", "gauge", "resident memory", (double)sb_resident_bytes(), err));
    SB_TRY(one(b, "cpu_seconds_total", "counter", "processor time of this process",
               (double)sb_process_cpu_ns() / 1e9, err));
    SB_TRY(one(b, "start_time_seconds", "gauge", "when it started, since 1970", (double)sv->start_s,
               err));
    return one(b, "data_base_good", "gauge", "1 while the data base takes writes",
               sb_db_state_of(sv->db) == SB_DB_GOOD, err);
}

static sb_status all(sb_buf *b, sb_server *sv, sb_error *err)
{
    models_text t = {.b = b, .err = err};
    SB_TRY(requests(b, &sv->metrics, err));
    SB_TRY(tokens(b, &sv->metrics, err));
    const sb_ledger_totals ledger = sb_ledger_get_totals(sv->ledger);
    SB_TRY(sb_metrics_ledger(b, &ledger, err));
    sb_grid_account grams[SB_GRID_ACCOUNTS];
    const int64_t used_uj = sb_metrics_answers_uj(&sv->metrics);
    const size_t n = sb_grid_watch_sums(sv->grid, used_uj, grams);
    SB_TRY(sb_metrics_footprint(b, used_uj, grams, n, sv->o.tariff, err));
    SB_TRY(hist(b, "time_to_first_token_seconds", "from the request to the first words",
                &sv->metrics.ttft, err));
    SB_TRY(hist(b, "token_gap_seconds", "between the words of one answer", &sv->metrics.gap, err));
    // The same by the names of OpenTelemetry's GenAI conventions, for dashboards that know them.
    SB_TRY(hist_of(b, "gen_ai_server_time_to_first_token_seconds",
                   "as sobre_time_to_first_token_seconds", &sv->metrics.ttft, err));
    SB_TRY(hist_of(b, "gen_ai_server_time_per_output_token_seconds", "as sobre_token_gap_seconds",
                   &sv->metrics.gap, err));
    SB_TRY(hist(b, "prepare_seconds", "from the request to its place in the queue",
                &sv->metrics.wait, err));
    SB_TRY(process(b, sv, err));
    SB_TRY(head(b, "sequences", "gauge", "sequences of each model in memory", err));
    SB_TRY(head(b, "kv_pages", "gauge", "pages of keys and values", err));
    SB_TRY(head(b, "steps", "counter", "engine steps since the model was loaded", err));
    SB_TRY(head(b, "preempted", "counter", "sequences that gave way to more urgent ones", err));
    sb_models_each(sv->models, add_model, &t);
    SB_TRY(t.s);
    return one(b, "models_loaded", "gauge", "models in memory", t.n_loaded, err);
}

void sb_route_metrics(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf b;
    sb_error err;
    (void)who;
    sb_buf_init(&b, SB_MAX_REPLY_BYTES, "metrics");
    if (all(&b, sv, &err) == SB_OK)
        sb_x_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", (sb_str){b.p, b.n});
    else
        sb_reply_failure(x, &err);
    sb_buf_deinit(&b);
    sb_x_release(x);
}
