/* SPDX-License-Identifier: Apache-2.0
 * route_answer.c - routes that answer: a body to an ask, a run, and a voice on the exchange.
 *
 * Two ends meet in an answer: the exchange, which is over when the client has everything or is gone
 * (told on the loop's thread), and the run, which is over when its sink says so (on a worker). Each
 * has a hold of it. What the loop's log wants to know is copied once both agree that it is there.
 * */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "server/route_answer.h"
#include "server/server_in.h"
#include "server/wire/respond.h"
#include "store/responses.h"

enum { PING_MS = 10000 };

typedef struct answer {
    sb_task task;
    atomic_int refs;
    sb_server *sv;
    sb_x *x;
    const sb_dialect *d;
    sb_caller who;
    uint64_t begin_ns;
    sb_run *_Atomic run;
    atomic_bool gone;    /* the client is */
    atomic_bool full;    /* it is too slow just now */
    atomic_bool counted; /* it has a place in n_runs that no run has taken yet */
    atomic_bool noted;   /* the fields for the log are there */
    bool stream, begun, broken;
    sb_voice *voice;
    sb_buf out;
    const char *id, *model; /* the run's, and the registry's */
    int64_t n_prompt, n_cached, n_generated, energy_uj;
} answer;

static void release(answer *a)
{
    if (atomic_fetch_sub(&a->refs, 1) != 1) return;
    sb_run *r = atomic_load(&a->run);
    sb_run_release(r);
    sb_buf_deinit(&a->out);
    sb_x_release(a->x);
    sb_free(a);
}

static void give_place_back(answer *a)
{
    if (atomic_exchange(&a->counted, false)) atomic_fetch_sub(&a->sv->n_runs, 1);
}

/* ---- the exchange's end, on the loop ---- */

static void on_full(void *ctx, bool full)
{
    answer *a = ctx;
    atomic_store(&a->full, full);
    sb_run *r = atomic_load(&a->run);
    if (r) sb_run_pause(r, full);
}

static void on_gone(void *ctx)
{
    answer *a = ctx;
    atomic_store(&a->gone, true);
    sb_run *r = atomic_load(&a->run);
    if (r) sb_run_cancel(r);
}

static void on_done(void *ctx)
{
    answer *a = ctx;
    sb_visit *v = sb_visit_of(a->x);
    if (v && atomic_load(&a->noted)) {
        v->model = a->model;
        v->n_prompt = a->n_prompt;
        v->n_cached = a->n_cached;
        v->n_generated = a->n_generated;
        v->energy_uj = a->energy_uj;
    }
    release(a);
}

/* ---- the run's end, on workers and the stepper ---- */

/* Sends what the voice has said; without a stream that waits for the end. */
static void say(answer *a, sb_status s)
{
    if (s != SB_OK) a->broken = true;
    if (!a->stream || a->broken || a->out.n == 0) return;
    sb_x_write(a->x, (sb_str){a->out.p, a->out.n});
    sb_buf_clear(&a->out);
}

/* For keys that have a budget of a day. */
static void put_budget(const answer *a)
{
    char text[32];
    const sb_budget_state st = sb_server_budget(a->sv, &a->who);
    if (st.limit_uj == 0) return;
    (void)snprintf(text, sizeof text, "%.3f", (double)st.limit_uj / 1e6);
    sb_x_header(a->x, "x-energy-budget-limit-j", text);
    (void)snprintf(text, sizeof text, "%.3f", (double)st.left_uj / 1e6);
    sb_x_header(a->x, "x-energy-budget-remaining-j", text);
}

static void on_begin(void *ctx, const sb_voice_facts *f, const sb_ask *ask)
{
    answer *a = ctx;
    a->id = f->id;
    a->model = f->model;
    a->stream = ask->stream;
    a->voice = sb_voice_new(ask, f);
    if (!a->voice) {
        a->broken = true;
        return;
    }
    sb_x_header(a->x, "x-sobre-receipt", f->id); /* where a dialect's answers have no id */
    if (ask->nonce_removed) sb_x_header(a->x, "x-sobre-nonce-removed", ask->nonce_removed);
    if (a->stream) {
        put_budget(a);
        sb_x_begin(a->x, 200, a->d->stream_type, (sb_str){a->d->ping, strlen(a->d->ping)}, PING_MS);
        a->begun = true;
    }
    say(a, a->d->begin(a->voice, &a->out, NULL));
}

static void on_progress(void *ctx, int32_t i, int32_t n_cached, int32_t n_done, int32_t n_all)
{
    answer *a = ctx;
    if (a->voice && a->d->progress)
        say(a, a->d->progress(a->voice, i, n_cached, n_done, n_all, &a->out, NULL));
}

static bool on_event(void *ctx, int32_t i, const sb_output_event *e, const sb_turn *t)
{
    answer *a = ctx;
    if (a->voice) say(a, a->d->event(a->voice, i, e, t, &a->out, NULL));
    return !a->broken && !atomic_load(&a->gone);
}

static void on_choice(void *ctx, int32_t i, const sb_turn *t)
{
    answer *a = ctx;
    if (a->voice) say(a, a->d->choice(a->voice, i, t, &a->out, NULL));
}

static void note_turns(answer *a, const sb_ask *ask, const sb_turn *turns)
{
    for (size_t i = 0; turns && i < ask->n_turns; i++) {
        a->n_prompt += (int64_t)turns[i].prompt_ids.n;
        a->n_cached += turns[i].n_cached;
        a->n_generated += (int64_t)turns[i].ids.n;
        if (turns[i].energy.source != SB_ENERGY_UNAVAILABLE)
            a->energy_uj += turns[i].energy.energy_uj;
    }
    atomic_store(&a->noted, true);
}

/* What the store keeps is there before the client is told of it. */
static sb_status keep(answer *a, sb_error *err)
{
    sb_respond_record rec;
    char id[SB_CALL_ID_BYTES * 2];
    SB_TRY(sb_respond_get_record(a->voice, &rec, err));
    sb_respond_id(id, "resp_", a->id, NULL, -1);
    const sb_response r = {
        .id = {id, strlen(id)}, .previous = rec.previous, .object = rec.object, .items = rec.items};
    SB_TRY(sb_response_add(a->sv->db, a->who.owner, &r, err));
    // A few go with each that comes, so there is never much to do at once. One that stays for want
    // of a disk goes the next time.
    enum { MOST = 4 };
    const int64_t keep_ms = INT64_C(86400000) * SB_RESPONSE_KEEP_DAYS;
    int32_t n = 0;
    sb_error lost;
    const sb_status expired = sb_response_expire(a->sv->db, keep_ms, 0, MOST, &n, &lost);
    (void)expired;
    return SB_OK;
}

static void refuse(answer *a, const sb_wire_error *w)
{
    put_budget(a);
    sb_reply_error_as(a->x, a->d, w);
}

static void refuse_error(answer *a, const sb_error *err)
{
    sb_wire_error w = {.err = *err};
    sb_wire_status(&w);
    refuse(a, &w);
}

/* For who reads no body; a stream's head went before anybody knew. */
static void note_spent(answer *a, const sb_ask *ask, const sb_turn *turns)
{
    for (size_t i = 0; !a->begun && turns && i < ask->n_turns; i++)
        if (turns[i].finish == SB_FINISH_ENERGY_BUDGET) {
            sb_x_header(a->x, "x-sobre-finish", sb_finish_word(SB_FINISH_ENERGY_BUDGET));
            return;
        }
}

/* After the voice's last word. */
static void send_last(answer *a)
{
    sb_error err;
    if (a->broken && a->begun) {
        sb_x_abort(a->x);
    } else if (a->broken) {
        (void)SB_FAIL(&err, SB_NO_MEMORY, "the answer does not fit into memory");
        refuse_error(a, &err);
    } else if (a->stream) {
        sb_x_end(a->x);
    } else {
        put_budget(a);
        sb_x_reply(a->x, 200, a->d->type, (sb_str){a->out.p, a->out.n});
    }
}

static void close_run(answer *a)
{
    sb_voice_free(a->voice, a->d);
    a->voice = NULL;
    give_place_back(a);
    release(a);
}

static void on_end(void *ctx, const sb_ask *ask, const sb_turn *turns)
{
    answer *a = ctx;
    sb_error err;
    note_turns(a, ask, turns);
    if (a->voice && !a->broken) {
        if (a->d->end(a->voice, turns, &a->out, NULL) != SB_OK) a->broken = true;
        if (!a->broken && ask->store && a->d == &sb_dialect_responses && keep(a, &err) != SB_OK) {
            sb_journal_line l; /* the answer is right; it cannot be asked for again */
            sb_journal_begin(&l, "response-not-stored");
            sb_journal_text(&l, "why", (sb_str){err.msg, strlen(err.msg)});
            sb_journal_end(a->sv->journal, &l);
        }
        say(a, SB_OK);
        note_spent(a, ask, turns);
        send_last(a);
    } else if (a->broken) {
        send_last(a);
    } else { /* cancelled before it began: by the client, who is gone, or through a route */
        (void)SB_FAIL(&err, SB_CANCELLED, "cancelled");
        refuse_error(a, &err);
    }
    close_run(a);
}

static void on_fail(void *ctx, const sb_wire_error *w, const sb_ask *ask, const sb_turn *turns)
{
    answer *a = ctx;
    note_turns(a, ask, turns);
    if (a->begun && a->voice) {
        say(a, a->d->fail(a->voice, w, &a->out, NULL));
        send_last(a);
    } else {
        refuse(a, w);
    }
    close_run(a);
}

/* ---- the beginning, on a worker ---- */

typedef struct row_ctx {
    sb_wire_row row;
    void *ctx;
} row_ctx;

static sb_status pass_row(void *ctx, const sb_response *r, sb_error *err)
{
    const row_ctx *c = ctx;
    return c->row(c->ctx, r->object, r->items, err);
}

sb_status sb_answer_stored(void *ctx, sb_str id, bool chain, sb_wire_row row, void *rows_ctx,
                           sb_error *err)
{
    const sb_answer_owner *o = ctx;
    row_ctx c = {row, rows_ctx};
    return chain ? sb_response_chain(o->sv->db, o->owner, id, pass_row, &c, err)
                 : sb_response_get(o->sv->db, o->owner, id, pass_row, &c, err);
}

static void begin_run(answer *a, sb_ask *ask)
{
    static const sb_run_sink sink = {.begin = on_begin,
                                     .progress = on_progress,
                                     .event = on_event,
                                     .choice = on_choice,
                                     .end = on_end,
                                     .fail = on_fail};
    sb_run_sink mine = sink;
    sb_run *r = NULL;
    sb_error err;
    mine.ctx = a;
    const sb_run_opts o = {.who = &a->who, .request_id = sb_x_id(a->x), .begin_ns = a->begin_ns};
    atomic_fetch_add(&a->refs, 1); /* both ends may be over before this function is */
    if (sb_run_begin(&r, a->sv, ask, &o, &mine, &err) != SB_OK) {
        refuse_error(a, &err);
        give_place_back(a);
        release(a);
        release(a);
        return;
    }
    give_place_back(a); /* the run has its own */
    atomic_store(&a->run, r);
    if (atomic_load(&a->gone)) sb_run_cancel(r);
    if (atomic_load(&a->full)) sb_run_pause(r, true);
    release(a);
}

/* Ollama's request that a model be unloaded, when it is not in memory: nothing is to be done. */
static bool is_unloaded(const answer *a, const sb_ask *ask)
{
    sb_model_info info;
    return ask->only_unload && sb_models_find(a->sv->models, ask->model, &info) &&
           info.state == SB_MODEL_ABSENT;
}

static void answer_unloaded(answer *a, sb_ask *ask)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const sb_voice_facts f = {.id = sb_x_id(a->x),
                              .request_id = sb_x_id(a->x),
                              .model = ask->model,
                              .created_s = (int64_t)now.tv_sec,
                              .created_ns = (int64_t)now.tv_nsec,
                              .fingerprint = a->sv->fingerprint,
                              .begin_ns = a->begin_ns};
    on_begin(a, &f, ask);
    a->model = NULL; /* the ask's */
    on_end(a, ask, NULL);
    sb_ask_deinit(ask);
}

static void read_body(sb_task *task)
{
    answer *a = (answer *)(void *)task;
    const sb_answer_owner owner = {.sv = a->sv, .owner = a->who.owner};
    sb_ask ask = {.opts = {.strict = a->sv->o.strict,
                           .keep_nonces = a->sv->o.keep_nonces,
                           .stored = sb_answer_stored,
                           .stored_ctx = (void *)(uintptr_t)&owner}};
    sb_wire_error w = {0};
    if (sb_wire_read(&ask, a->d, sb_x_request(a->x)->body, &w) != SB_OK) {
        sb_wire_status(&w);
        refuse(a, &w);
        give_place_back(a);
        release(a);
        return;
    }
    ask.opts.stored = NULL; /* owner is about to go */
    if (is_unloaded(a, &ask))
        answer_unloaded(a, &ask);
    else
        begin_run(a, &ask);
}

void sb_route_answer(sb_server *sv, sb_x *x, const sb_caller *who)
{
    answer *a = sb_calloc(1, sizeof *a);
    if (!a) {
        sb_error err;
        (void)SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
        sb_reply_failure(x, &err);
        sb_x_release(x);
        return;
    }
    sb_visit *v = sb_visit_of(x);
    atomic_store(&a->refs, 2);
    a->sv = sv;
    a->x = x;
    a->d = v->route->dialect;
    a->who = *who;
    a->begin_ns = sb_x_begin_ns(x);
    a->task.fn = read_body;
    sb_buf_init(&a->out, SB_MAX_REPLY_BYTES, "answer");
    atomic_store(&a->counted, v->counted);
    v->counted = false;
    sb_server_at_done(x, on_done, a);
    sb_x_watch(x, on_full, on_gone, a);
    sb_server_work(sv, &a->task);
}
