/* SPDX-License-Identifier: Apache-2.0
 * trace_replay.c - users as threads, each with a connection of its own.
 *
 * The caller's thread reads the meter meanwhile, once a second, so that no counter wraps unseen.
 * Streams would tell first tokens, too (tools/bench-server does); here the whole answer counts. */
#include "cli/trace_replay.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cli/json_out.h"
#include "store/json_in.h"

typedef struct crowd {
    const sb_trace_job *job;
    pthread_mutex_t lock;
    pthread_cond_t left; /* a user is through */
    size_t next;         /* chat that nobody has; under the lock, as are those below */
    int n_here;
    sb_status failed;
    sb_error err; /* of the first who failed */
} crowd;

static int64_t number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    const double x = json_is_number(v) ? json_number_value(v) : 0;
    return fabs(x) < 9e15 ? (int64_t)llround(x) : 0;
}

static int32_t count(const json_t *o, const char *key)
{
    const int64_t n = number(o, key);
    return n < 0 || n > INT32_MAX ? 0 : (int32_t)n;
}

static sb_status add_question(const sb_trace_job *j, json_t *history, sb_buf *out, sb_error *err)
{
    json_t *o =
        json_pack("{s:O, s:i, s:i, s:b, s:b}", "messages", history, "max_tokens", (int)j->n_tokens,
                  "temperature", 0, "ignore_eos", 1, "cache_prompt", !j->no_cache);
    const bool ok = o && sb_json_add(out, o);
    json_decref(o);
    return ok ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
}

static void take_receipt(sb_trace_answer *out, const json_t *energy)
{
    const char *source = json_string_value(json_object_get(energy, "source"));
    if (!source || !json_is_number(json_object_get(energy, "energy_uj"))) return;
    out->source = strcmp(source, "measured") == 0 ? SB_ENERGY_MEASURED : SB_ENERGY_ESTIMATED;
    out->energy_uj = number(energy, "energy_uj");
}

/* Fills out and, with a new reference, the answer's text. */
static sb_status take_answer(sb_trace_answer *out, json_t **out_text, const sb_trace_ask *a,
                             long http, sb_error *err)
{
    char line[160] = "";
    json_t *o = NULL;
    const sb_status s = sb_json_in(&o, a->body.p ? a->body.p : "", a->body.n, "answer", err);
    if (s != SB_OK) return s;
    const json_t *usage = json_object_get(o, "usage");
    const json_t *cached =
        json_object_get(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    const json_t *said = json_object_get(
        json_object_get(json_array_get(json_object_get(o, "choices"), 0), "message"), "content");
    const bool good = http == 200 && json_is_object(usage) && json_is_string(said);
    if (good) {
        out->words_sum = sb_checksum(json_string_value(said), json_string_length(said));
        out->n_prompt = count(usage, "prompt_tokens");
        out->n_new = count(usage, "completion_tokens");
        out->n_cached =
            cached ? count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens")
                   : count(json_object_get(o, "timings"), "cache_n");
        take_receipt(out, json_object_get(usage, "energy"));
        *out_text = json_incref((json_t *)(uintptr_t)said);
    } else {
        sb_json_copy(json_object_get(o, "error"), "message", line, sizeof line);
    }
    json_decref(o);
    if (good) return SB_OK;
    return SB_FAIL(err, SB_IO, "status %ld: %.150s", http, line[0] ? line : "no answer of a chat");
}

static sb_status ask_turn(const sb_trace_job *j, sb_trace_ask *a, json_t *history,
                          sb_trace_answer *out, json_t **out_text, sb_error *err)
{
    long http = 0;
    sb_buf text;
    sb_buf_init(&text, SB_MAX_BODY_BYTES, "a question");
    sb_status s = add_question(j, history, &text, err);
    const uint64_t begin_ns = sb_now_ns();
    if (s == SB_OK) s = sb_trace_ask_do(a, j->base, "/v1/chat/completions", text.p, &http, err);
    out->wait_ns = sb_now_ns() - begin_ns;
    sb_buf_deinit(&text);
    if (s == SB_OK) s = take_answer(out, out_text, a, http, err);
    if (s == SB_OK && out->n_new != j->n_tokens) {
        json_decref(*out_text);
        *out_text = NULL;
        return SB_FAIL(err, SB_INVALID,
                       "an answer of %d tokens where %d were asked for: that is not equal work",
                       (int)out->n_new, (int)j->n_tokens);
    }
    return s;
}

static bool is_role(const json_t *m, const char *role)
{
    const char *have = json_string_value(json_object_get(m, "role"));
    return have && strcmp(have, role) == 0;
}

/* The messages of a chat in their order; after each question the server answers, and its words go
 * into the history unless the trace has those of somebody else. */
static sb_status run_chat(const sb_trace_job *j, sb_trace_ask *a, const sb_trace_chat *c,
                          sb_error *err)
{
    size_t i_turn = c->i_first;
    json_t *history = json_array();
    sb_status s = history ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    for (size_t i = 0; s == SB_OK && i < json_array_size(c->messages); i++) {
        json_t *m = json_array_get(c->messages, i), *text = NULL;
        bool ok = json_array_append(history, m) == 0;
        if (ok && is_role(m, "user")) {
            s = ask_turn(j, a, history, &j->answers[i_turn], &text, err);
            if (s == SB_OK && !is_role(json_array_get(c->messages, i + 1), "assistant"))
                ok = json_array_append_new(history, json_pack("{s:s, s:O}", "role", "assistant",
                                                              "content", text)) == 0;
            json_decref(text);
            i_turn++;
        }
        if (!ok) s = SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    }
    json_decref(history);
    if (s == SB_OK) return s;
    return sb_error_prefix(err, s, "chat %zu", (size_t)(c - j->trace->chats) + 1);
}

/* The next chat, or `to` when there is none or somebody failed. */
static size_t take_chat(crowd *w)
{
    (void)pthread_mutex_lock(&w->lock);
    const size_t i = w->failed == SB_OK && w->next < w->job->to ? w->next++ : w->job->to;
    (void)pthread_mutex_unlock(&w->lock);
    return i;
}

static void *be_user(void *ctx)
{
    crowd *w = ctx;
    const sb_trace_job *j = w->job;
    sb_error err = {0};
    sb_trace_ask a;
    sb_status s = sb_trace_ask_open(&a, j->lib, &err);
    if (s == SB_OK) {
        for (size_t i = take_chat(w); s == SB_OK && i < j->to; i = take_chat(w))
            s = run_chat(j, &a, &j->trace->chats[i], &err);
        sb_trace_ask_close(&a);
    }
    (void)pthread_mutex_lock(&w->lock);
    if (s != SB_OK && w->failed == SB_OK) {
        w->failed = s;
        w->err = err;
    }
    w->n_here--;
    (void)pthread_cond_signal(&w->left);
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Of the packages, so far. */
typedef struct metered {
    sb_meter_mark mark;
    int64_t sum_uj;
    bool has, lost;
} metered;

static void read_meter(sb_meter *m, metered *x)
{
    const sb_stretch t = sb_meter_stretch(m, &x->mark);
    if (t.is_short) return; /* the mark has not moved; a last one is less than the meter can tell */
    x->has = true;
    x->lost |= t.source != SB_ENERGY_MEASURED;
    x->sum_uj += t.all_uj;
}

/* Until all users are through. */
static void watch(crowd *w, sb_trace_sum *out)
{
    metered x = {.mark = sb_meter_begin(w->job->meter)};
    const uint64_t begin_ns = sb_now_ns();
    (void)pthread_mutex_lock(&w->lock);
    while (w->n_here > 0) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        (void)pthread_cond_timedwait(&w->left, &w->lock, &until);
        (void)pthread_mutex_unlock(&w->lock);
        read_meter(w->job->meter, &x);
        (void)pthread_mutex_lock(&w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    out->wall_ns = sb_now_ns() - begin_ns;
    read_meter(w->job->meter, &x);
    out->package_uj = x.has && !x.lost ? x.sum_uj : -1;
}

sb_status sb_trace_replay(const sb_trace_job *job, sb_trace_sum *out, sb_error *err)
{
    crowd w = {.job = job, .next = job->from};
    sb_trace_sum sum = {0};
    pthread_t users[SB_TRACE_MAX_USERS];
    int n = 0;
    if (pthread_mutex_init(&w.lock, NULL) != 0)
        return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    if (pthread_cond_init(&w.left, NULL) != 0) {
        (void)pthread_mutex_destroy(&w.lock);
        return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    }
    w.n_here = job->n_users;
    for (; n < job->n_users; n++) {
        if (pthread_create(&users[n], NULL, be_user, &w) == 0) continue;
        (void)pthread_mutex_lock(&w.lock);
        w.n_here -= job->n_users - n;
        if (w.failed == SB_OK)
            w.failed = SB_FAIL(&w.err, SB_NO_MEMORY, "trace: no thread for user %d", n + 1);
        (void)pthread_mutex_unlock(&w.lock);
        break;
    }
    watch(&w, &sum);
    for (int i = 0; i < n; i++)
        (void)pthread_join(users[i], NULL);
    (void)pthread_cond_destroy(&w.left);
    (void)pthread_mutex_destroy(&w.lock);
    if (w.failed != SB_OK) {
        if (err) *err = w.err;
        return w.failed;
    }
    *out = sum;
    return SB_OK;
}
