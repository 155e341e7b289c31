/* SPDX-License-Identifier: Apache-2.0
 * run.c - from an ask to its end.
 *
 * A run passes from thread to thread and belongs to one at a time: whoever began it, the registry
 * while it waits for its model, a worker that begins the turns, the model's stepper that tells what
 * they say, and a worker again that ends it. Only the turns of several choices overlap with the
 * worker that still begins the rest: `tell` keeps the sink's calls apart there. */
#include "server/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "chat/live.h"
#include "server/server_in.h"

typedef struct choice {
    sb_run *run;
    int32_t i;
    sb_live *live;
    uint64_t told_ns; /* the last event */
} choice;

struct sb_run {
    atomic_int refs;
    sb_server *sv;
    sb_run *prev, *next; /* of the server's runs */
    sb_ask ask;
    sb_caller who;
    sb_run_sink sink;
    char id[SB_DB_ID_BYTES], request_id[SB_MAX_REQUEST_ID_BYTES + 1];
    uint64_t begin_ns;
    sb_waiter waiter;
    sb_held *held;
    sb_quota_hold quota;
    choice *choices;   /* [n_turns] */
    sb_turn *turns;    /* [n_turns] */
    atomic_int n_live; /* of choices: have a live turn */
    atomic_int n_open; /* live turns that have not ended, and one while turns are being begun */
    atomic_bool cancelled, paused, ended;
    pthread_mutex_t tell; /* the sink's calls; begun, failed, why */
    bool begun, failed;
    sb_wire_error why;
    sb_task task;
};

/* ---- holds ---- */

static void free_run(sb_run *r)
{
    const int n = atomic_load(&r->n_live);
    for (int i = 0; i < n; i++)
        sb_live_release(r->choices[i].live);
    for (size_t i = 0; r->turns && i < r->ask.n_turns; i++)
        sb_turn_deinit(&r->turns[i]);
    sb_free(r->turns);
    sb_free(r->choices);
    sb_ask_deinit(&r->ask);
    (void)pthread_mutex_destroy(&r->tell);
    sb_free(r);
}

void sb_run_hold(sb_run *r)
{
    atomic_fetch_add(&r->refs, 1);
}

void sb_run_release(sb_run *r)
{
    if (r && atomic_fetch_sub(&r->refs, 1) == 1) free_run(r);
}

static void link_run(sb_run *r)
{
    sb_server *sv = r->sv;
    (void)pthread_mutex_lock(&sv->runs_lock);
    r->next = sv->runs;
    if (r->next) r->next->prev = r;
    sv->runs = r;
    (void)pthread_mutex_unlock(&sv->runs_lock);
    atomic_fetch_add(&sv->n_runs, 1);
    atomic_fetch_add(&sv->metrics.n_running, 1);
}

static void unlink_run(sb_run *r)
{
    sb_server *sv = r->sv;
    (void)pthread_mutex_lock(&sv->runs_lock);
    if (r->next) r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        sv->runs = r->next;
    r->prev = r->next = NULL;
    (void)pthread_mutex_unlock(&sv->runs_lock);
    atomic_fetch_sub(&sv->metrics.n_running, 1);
    atomic_store(&r->ended, true);
    if (atomic_exchange(&r->paused, false)) atomic_fetch_sub(&sv->n_paused, 1);
    atomic_fetch_sub(&sv->n_runs, 1);
    if (atomic_load(&sv->draining)) sb_server_wake(sv);
}

/* ---- the end ---- */

/* Its requests say how long a model stays, and mean the model they name. */
static bool is_ollama(const sb_ask *a)
{
    return a->dialect == &sb_dialect_ollama_chat || a->dialect == &sb_dialect_ollama_generate;
}

static void settle(sb_run *r)
{
    sb_server *sv = r->sv;
    int64_t used = 0;
    for (size_t i = 0; i < r->ask.n_turns; i++) {
        const sb_turn *t = &r->turns[i];
        used += (int64_t)(t->prompt_ids.n + t->ids.n);
        if (t->prompt_ids.n == 0) continue; /* it never began */
        sb_metrics_turn(&sv->metrics, t);
        sb_server_sum(sv, r->who.owner, r->held ? sb_held_id(r->held) : "", t);
    }
    if (r->held) {
        const char *model = sb_held_id(r->held);
        sb_server_receipt(sv, r->who.owner, (sb_str){r->id, strlen(r->id)},
                          (sb_str){model, strlen(model)}, r->turns, r->ask.n_turns);
    }
    sb_quota_end(sv->quotas, &r->quota, used, sb_now_ns());
}

/* On a worker: everything has ended. */
static void finish(sb_task *task)
{
    sb_run *r = (sb_run *)(void *)((char *)task - offsetof(sb_run, task));
    sb_server *sv = r->sv;
    const double keep_s = is_ollama(&r->ask) ? r->ask.keep_alive_s : (double)NAN;
    settle(r);
    if (r->failed) {
        atomic_fetch_add(&sv->metrics.n_failed, 1);
        sb_wire_status(&r->why);
        r->sink.fail(r->sink.ctx, &r->why, &r->ask, r->begun ? r->turns : NULL);
    } else {
        r->sink.end(r->sink.ctx, &r->ask, r->ask.n_turns ? r->turns : NULL);
    }
    sb_held_release(r->held, keep_s);
    r->held = NULL;
    unlink_run(r);
    if (atomic_load(&sv->n_runs) == 0) sb_server_sum_flush(sv);
    sb_run_release(r);
}

static void to_finish(sb_run *r)
{
    r->task.fn = finish;
    sb_server_work_first(r->sv, &r->task);
}

/* One that was open is not any more. */
static void close_one(sb_run *r)
{
    if (atomic_fetch_sub(&r->n_open, 1) == 1) to_finish(r);
}

static void cancel_turns(sb_run *r)
{
    const int n = atomic_load(&r->n_live);
    for (int i = 0; i < n; i++)
        sb_live_cancel(r->choices[i].live);
}

/* The first reason counts. */
static void note_failure(sb_run *r, const sb_error *err)
{
    (void)pthread_mutex_lock(&r->tell);
    if (!r->failed) {
        r->failed = true;
        r->why.err = *err;
    }
    (void)pthread_mutex_unlock(&r->tell);
}

/* ---- what the turns tell, on the model's stepper ---- */

/* With `tell` held. */
static void tell_begin(sb_run *r)
{
    if (r->begun || r->failed) return;
    r->begun = true;
    if (!r->sink.begin) return;
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const sb_model *model = sb_chat_model(sb_held_chat(r->held));
    const sb_voice_facts f = {.id = r->id,
                              .request_id = r->request_id,
                              .model = sb_held_id(r->held),
                              .created_s = (int64_t)now.tv_sec,
                              .created_ns = (int64_t)now.tv_nsec,
                              .fingerprint = r->sv->fingerprint,
                              .tok = model->tok,
                              .load_ns = r->waiter.load_ns,
                              .begin_ns = r->begin_ns};
    r->sink.begin(r->sink.ctx, &f, &r->ask);
}

static void on_prefill(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all)
{
    choice *c = ctx;
    sb_run *r = c->run;
    (void)pthread_mutex_lock(&r->tell);
    tell_begin(r);
    if (r->sink.progress && !r->failed)
        r->sink.progress(r->sink.ctx, c->i, n_cached, n_done, n_all);
    (void)pthread_mutex_unlock(&r->tell);
}

static bool on_event(void *ctx, const sb_output_event *e, const sb_turn *t)
{
    choice *c = ctx;
    sb_run *r = c->run;
    const uint64_t now = sb_now_ns();
    if (c->told_ns)
        sb_hist_add(&r->sv->metrics.gap, now - c->told_ns);
    else
        sb_hist_add(&r->sv->metrics.ttft, now - r->begin_ns);
    c->told_ns = now;
    (void)pthread_mutex_lock(&r->tell);
    tell_begin(r);
    const bool go_on = !r->failed && (!r->sink.event || r->sink.event(r->sink.ctx, c->i, e, t));
    (void)pthread_mutex_unlock(&r->tell);
    if (!go_on) sb_run_cancel(r);
    return go_on;
}

static void on_end(void *ctx, sb_turn *t, const sb_error *err)
{
    choice *c = ctx;
    sb_run *r = c->run;
    r->turns[c->i] = *t;
    *t = (sb_turn){0};
    if (err) {
        note_failure(r, err);
        cancel_turns(r);
    } else {
        (void)pthread_mutex_lock(&r->tell);
        tell_begin(r);
        if (r->sink.choice && !r->failed) r->sink.choice(r->sink.ctx, c->i, &r->turns[c->i]);
        (void)pthread_mutex_unlock(&r->tell);
    }
    close_one(r);
}

/* ---- beginning the turns, on a worker ---- */

static sb_status draw_seeds(sb_run *r, sb_error *err)
{
    uint64_t drawn = 0;
    if (r->ask.has_seed) return SB_OK;
    if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return SB_FAIL(err, SB_IO, "no random number for the seed");
    drawn >>= 11; /* 53 bits: every JSON reader keeps them */
    for (size_t i = 0; i < r->ask.n_turns; i++)
        r->ask.turns[i].sampling.seed = drawn + i;
    return SB_OK;
}

/* Ids of the conversation before go in front of the prompt's own. */
static sb_status put_context(sb_run *r, sb_turn_request *t, sb_error *err)
{
    sb_ask *a = &r->ask;
    sb_chat *chat = sb_held_chat(r->held);
    const sb_model *model = sb_chat_model(chat);
    sb_ids ids;
    if (!a->n_context) return SB_OK;
    for (size_t i = 0; i < a->n_context; i++)
        if (a->context[i] < 0 || a->context[i] >= model->hp.n_vocab)
            return SB_FAIL(err, SB_INVALID, "context: %d is no token of this model", a->context[i]);
    sb_ids_init(&ids, SB_MAX_CTX);
    sb_status s = sb_chat_prompt_ids(chat, t, (uint64_t)r->who.owner + 1, &ids, err);
    const size_t skip = s == SB_OK && ids.n && ids.v[0] == sb_tokenizer_bos(model->tok);
    const size_t n = s == SB_OK ? a->n_context + ids.n - skip : 0;
    int32_t *all = n ? sb_ask_take(a, n, sizeof *all) : NULL;
    if (s == SB_OK && !all) s = SB_FAIL(err, SB_NO_MEMORY, "context: out of memory");
    if (s == SB_OK) {
        memcpy(all, a->context, a->n_context * sizeof *all);
        memcpy(all + a->n_context, ids.v + skip, (ids.n - skip) * sizeof *all);
        t->raw_ids = all;
        t->n_raw_ids = n;
        t->prompt = (sb_prompt_request){0};
    }
    sb_ids_deinit(&ids);
    return s;
}

static sb_status begin_turn(sb_run *r, int32_t i, sb_error *err)
{
    choice *c = &r->choices[i];
    const sb_caller *w = &r->who;
    const int32_t own = r->ask.priority;
    const sb_live_who who = {.scope = (uint64_t)w->owner + 1,
                             .share = (uint64_t)w->owner + 1,
                             /* A request may step back, not push in. */
                             .priority = w->priority + (own < 0 || w->owner == 0 ? own : 0)};
    const sb_live_hooks hooks = {.prefill = on_prefill, .event = on_event, .end = on_end, .ctx = c};
    *c = (choice){.run = r, .i = i};
    SB_TRY(put_context(r, &r->ask.turns[i], err));
    atomic_fetch_add(&r->n_open, 1);
    const sb_status s =
        sb_live_begin(&c->live, sb_held_chat(r->held), &r->ask.turns[i], &who, &hooks, err);
    if (s != SB_OK) {
        atomic_fetch_sub(&r->n_open, 1); /* never the last: turns are being begun */
        return s;
    }
    atomic_store(&r->n_live, i + 1);
    if (atomic_load(&r->paused)) sb_live_pause(c->live, true);
    if (atomic_load(&r->cancelled)) sb_live_cancel(c->live);
    return SB_OK;
}

static void begin_turns(sb_task *task)
{
    sb_run *r = (sb_run *)(void *)((char *)task - offsetof(sb_run, task));
    sb_error err;
    atomic_store(&r->n_open, 1);
    sb_hist_add(&r->sv->metrics.wait, sb_now_ns() - r->begin_ns);
    sb_status s = draw_seeds(r, &err);
    for (size_t i = 0; s == SB_OK && i < r->ask.n_turns && !atomic_load(&r->cancelled); i++) {
        s = begin_turn(r, (int32_t)i, &err);
        (void)pthread_mutex_lock(&r->tell);
        if (r->failed) s = r->why.err.code; /* an earlier one ended already */
        (void)pthread_mutex_unlock(&r->tell);
    }
    if (s != SB_OK) {
        note_failure(r, &err);
        cancel_turns(r);
    } else if (!atomic_load(&r->cancelled)) {
        (void)pthread_mutex_lock(&r->tell);
        tell_begin(r);
        (void)pthread_mutex_unlock(&r->tell);
    }
    close_one(r);
}

/* ---- waiting for the model ---- */

static void on_loading(sb_waiter *w, double part)
{
    sb_run *r = (sb_run *)(void *)((char *)w - offsetof(sb_run, waiter));
    if (r->sink.loading) r->sink.loading(r->sink.ctx, part);
}

static void on_model(sb_waiter *w, sb_held *h, const sb_error *err)
{
    sb_run *r = (sb_run *)(void *)((char *)w - offsetof(sb_run, waiter));
    r->held = h;
    if (!h) {
        note_failure(r, err);
        if (err->code == SB_NOT_FOUND) {
            r->why.status = 404;
            r->why.code = "model_not_found";
            memcpy(r->why.param, "model", 6);
        }
        to_finish(r);
        return;
    }
    r->task.fn = begin_turns;
    sb_server_work(r->sv, &r->task);
}

static int64_t tokens_asked(const sb_ask *a)
{
    int64_t n = 0;
    for (size_t i = 0; i < a->n_turns; i++)
        if (a->turns[i].max_tokens > 0) n += a->turns[i].max_tokens;
    return n;
}

/* False, and why is set: a limit of the key is met. */
static bool take_quota(sb_run *r)
{
    int retry_s = 0;
    const sb_quota_bound b =
        sb_quota_begin(r->sv->quotas, r->who.owner, &r->who.limits, tokens_asked(&r->ask),
                       sb_now_ns(), &r->quota, &retry_s);
    if (b == SB_QUOTA_FREE) return true;
    sb_wire_error *w = &r->why;
    w->status = 429;
    w->code = "rate_limit_exceeded";
    w->retry_after_s = retry_s;
    (void)(b == SB_QUOTA_ANSWERS
               ? SB_FAIL(&w->err, SB_BUSY, "this key may have %d answers at once",
                         (int)r->who.limits.concurrent)
               : SB_FAIL(&w->err, SB_BUSY,
                         "this key may use %lld tokens a minute: try again in %d s",
                         (long long)r->who.limits.tpm, retry_s));
    r->failed = true;
    atomic_fetch_add(&r->sv->metrics.n_refused_limit, 1);
    return false;
}

/* The same for a day's energy: all turns of the key take from one pot. */
static bool take_budget(sb_run *r)
{
    sb_budget_state st;
    sb_energy_pot *pot = NULL;
    sb_wire_error *w = &r->why;
    const int64_t now_s = sb_db_now_ms() / 1000;
    r->failed = sb_budget_begin(r->sv->budgets, r->who.owner, &r->who.budget, now_s, &pot, &st,
                                &w->err) != SB_OK;
    for (size_t i = 0; pot && i < r->ask.n_turns; i++)
        r->ask.turns[i].pot = pot;
    if (r->failed || !pot || st.left_uj > 0) return !r->failed;
    r->failed = true;
    w->status = 429;
    w->code = "energy_budget";
    w->retry_after_s = st.retry_s;
    (void)SB_FAIL(&w->err, SB_BUSY,
                  "this key may use %.3f J a day and has: the next day, of UTC, begins in %d s",
                  (double)st.limit_uj / 1e6, st.retry_s);
    atomic_fetch_add(&r->sv->metrics.n_refused_limit, 1);
    return false;
}

static sb_status fill(sb_run *r, const sb_run_opts *o, sb_error *err)
{
    const size_t n = r->ask.n_turns;
    (void)pthread_mutex_init(&r->tell, NULL);
    r->choices = sb_calloc(n ? n : 1, sizeof *r->choices);
    r->turns = sb_calloc(n ? n : 1, sizeof *r->turns);
    if (!r->choices || !r->turns) return SB_FAIL(err, SB_NO_MEMORY, "run: out of memory");
    for (size_t i = 0; i < n; i++)
        r->turns[i].finish = SB_FINISH_CANCELLED; /* until it says otherwise */
    r->who = *o->who;
    r->begin_ns = o->begin_ns ? o->begin_ns : sb_now_ns();
    if (o->id)
        (void)snprintf(r->id, sizeof r->id, "%s", o->id);
    else
        SB_TRY(sb_db_new_id(r->id, err));
    (void)snprintf(r->request_id, sizeof r->request_id, "%s",
                   o->request_id ? o->request_id : r->id);
    r->waiter.loading = on_loading;
    r->waiter.done = on_model;
    return SB_OK;
}

sb_status sb_run_begin(sb_run **out, sb_server *sv, sb_ask *ask, const sb_run_opts *o,
                       const sb_run_sink *sink, sb_error *err)
{
    sb_run *r = sb_calloc(1, sizeof *r);
    if (!r) {
        sb_ask_deinit(ask);
        return SB_FAIL(err, SB_NO_MEMORY, "run: out of memory");
    }
    r->ask = *ask;
    *ask = (sb_ask){0};
    r->sv = sv;
    r->sink = *sink;
    atomic_store(&r->refs, 2); /* the caller's, and the run's own until it has ended */
    const sb_status s = fill(r, o, err);
    if (s != SB_OK) {
        free_run(r);
        return s;
    }
    link_run(r);
    *out = r;
    if (atomic_load(&sv->draining)) {
        sb_error why;
        (void)SB_FAIL(&why, SB_BUSY, "the server is shutting down");
        r->why.status = 503;
        note_failure(r, &why);
        to_finish(r);
    } else if (!take_quota(r) || !take_budget(r)) {
        to_finish(r);
    } else {
        sb_models_want(sv->models, r->ask.model, sv->o.strict_models || is_ollama(&r->ask),
                       &r->waiter);
    }
    return SB_OK;
}

void sb_run_cancel(sb_run *r)
{
    if (atomic_exchange(&r->cancelled, true)) return;
    if (sb_models_leave(r->sv->models, &r->waiter))
        to_finish(r);
    else
        cancel_turns(r);
}

/* Who is paused gives its place at the door to others; the count must come out even, whichever of
 * pause and end is first. */
void sb_run_pause(sb_run *r, bool paused)
{
    sb_server *sv = r->sv;
    if (atomic_load(&r->ended) || atomic_exchange(&r->paused, paused) == paused) return;
    atomic_fetch_add(&sv->n_paused, paused ? 1 : -1);
    if (paused && atomic_load(&r->ended) && atomic_exchange(&r->paused, false))
        atomic_fetch_sub(&sv->n_paused, 1);
    const int n = atomic_load(&r->n_live);
    for (int i = 0; i < n; i++)
        sb_live_pause(r->choices[i].live, paused);
}

int32_t sb_run_place(const sb_run *r)
{
    return atomic_load(&r->n_live) > 0 ? sb_live_place(r->choices[0].live) : -1;
}

bool sb_runs_cancel(sb_server *sv, int64_t owner, sb_str id)
{
    bool found = false;
    (void)pthread_mutex_lock(&sv->runs_lock);
    for (sb_run *r = sv->runs; r && !found; r = r->next) {
        found = r->who.owner == owner && strlen(r->id) == id.n && memcmp(r->id, id.p, id.n) == 0;
        if (found) sb_run_cancel(r);
    }
    (void)pthread_mutex_unlock(&sv->runs_lock);
    return found;
}

void sb_runs_end_all(sb_server *sv, const sb_error *err)
{
    (void)pthread_mutex_lock(&sv->runs_lock);
    for (sb_run *r = sv->runs; r; r = r->next) {
        note_failure(r, err);
        sb_run_cancel(r);
    }
    (void)pthread_mutex_unlock(&sv->runs_lock);
}
