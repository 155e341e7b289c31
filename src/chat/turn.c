/* SPDX-License-Identifier: Apache-2.0
 * turn.c - a turn from request to answer: what the scheduler tells becomes text, events and an end.
 *
 * sb_chat_turn() is a live turn whose caller does the stepping, so that there is one way from
 * prompt to answer for the command and the server alike. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "chat/internal.h"

#include <string.h>

void sb_turn_init(sb_turn *o)
{
    memset(o, 0, sizeof *o);
    o->i_stop = -1;
    sb_buf_init(&o->text, SB_MAX_PROMPT_BYTES, "answer");
    sb_buf_init(&o->content, SB_MAX_PROMPT_BYTES, "answer");
    sb_buf_init(&o->reasoning, SB_MAX_PROMPT_BYTES, "reasoning");
    sb_ids_init(&o->prompt_ids, SB_MAX_PROMPT_BYTES);
    sb_ids_init(&o->ids, SB_MAX_CTX);
}

void sb_turn_deinit(sb_turn *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->n_calls; i++) {
        sb_free((char *)t->calls[i].id.p);
        sb_free((char *)t->calls[i].name.p);
        sb_free((char *)t->calls[i].arguments.p);
    }
    sb_free(t->calls);
    sb_free(t->logprobs);
    sb_ids_deinit(&t->ids);
    sb_ids_deinit(&t->prompt_ids);
    sb_buf_deinit(&t->reasoning);
    sb_buf_deinit(&t->content);
    sb_buf_deinit(&t->text);
    memset(t, 0, sizeof *t);
}

/* ---- what the scheduler tells, on the stepper ---- */

static void on_prefill(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all)
{
    sb_live *l = ctx;
    if (!l->prefilling) l->turn.started_ns = l->chat->step_begin_ns - l->begin_ns;
    l->prefilling = true;
    l->turn.n_cached = n_cached;
    if (n_done == n_all && !l->prefilled_ns) l->prefilled_ns = sb_now_ns();
    if (l->hooks.prefill) l->hooks.prefill(l->hooks.ctx, n_cached, n_done, n_all);
}

/* Keeps the log probabilities of the id that is about to be added. */
static sb_status keep_logprobs(sb_turn *o, const sb_token_logprob *lp, sb_error *err)
{
    if (!lp) return SB_OK;
    if (o->ids.n >= o->cap_logprobs) {
        const size_t cap = o->cap_logprobs ? 2 * o->cap_logprobs : 64;
        sb_token_logprob *p = sb_realloc(o->logprobs, cap, sizeof *p);
        if (!p) return SB_FAIL(err, SB_NO_MEMORY, "logprobs: out of memory");
        o->logprobs = p;
        o->cap_logprobs = cap;
    }
    o->logprobs[o->ids.n] = *lp;
    return SB_OK;
}

static sb_status take(sb_live *l, int32_t id, const sb_token_logprob *lp, sb_error *err)
{
    SB_TRY(keep_logprobs(&l->turn, lp, err));
    SB_TRY(sb_ids_add(&l->turn.ids, id, err));
    return sb_answer_take(&l->answer, id, err);
}

static bool on_token(void *ctx, int32_t id, const sb_token_logprob *lp)
{
    sb_live *l = ctx;
    /* The prompt took it all, in a step that was over before its caller knew the sequence's name.
     * */
    if (l->is_spent && l->turn.ids.n == 0) return false;
    if (take(l, id, lp, &l->err) != SB_OK) return false;
    return !l->is_spent && !sb_answer_is_stopped(&l->answer) && !l->answer.stopped_by_reader;
}

/* An answer's events go to whoever began the turn. */
static bool pass_event(void *ctx, const sb_output_event *e)
{
    sb_live *l = ctx;
    return !l->hooks.event || l->hooks.event(l->hooks.ctx, e, &l->turn);
}

/* ---- budgets of energy ---- */

/* What a turn under way has used so far. */
static int64_t used_uj(const sb_live *l)
{
    return sb_ledger_used_uj(l->chat->ledger, &l->account);
}

static bool has_budget(const sb_live *l)
{
    return l->r.max_energy_uj > 0 || l->r.pot;
}

/* Takes what it used since the last time out of its pot; true: a budget is used up. */
static bool charge(sb_live *l, int64_t used)
{
    bool spent = l->r.max_energy_uj > 0 && used >= l->r.max_energy_uj;
    if (l->r.pot) {
        const int64_t now = used - l->taken_uj;
        spent = atomic_fetch_sub(&l->r.pot->left_uj, now) - now <= 0 || spent;
        l->taken_uj = used;
    }
    return spent;
}

/* The step's part of an owner, or NULL: it was not in it. */
static const sb_work_part *part_of(const sb_work_record *r, uint64_t owner)
{
    for (int32_t i = 0; i < r->n_part; i++)
        if (r->parts[i].owner == owner) return &r->parts[i];
    return NULL;
}

/* A turn that decoded gets the token it has paid for, and on_token ends it; one that computed its
 * prompt, or computes again what it lost, would go on for steps without drawing: it is taken out */
void sb_turns_check_budgets(sb_chat *c, const sb_work_record *r)
{
    (void)pthread_mutex_lock(&c->lock);
    for (sb_live *l = c->first; l; l = l->next) {
        const sb_work_part *p = has_budget(l) ? part_of(r, l->account.owner) : NULL;
        if (!p) continue;
        if (charge(l, used_uj(l))) l->is_spent = true;
        if (l->is_spent && p->n_decode == 0 && l->seq) sb_seq_cancel(l->seq);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static sb_finish finish_of(const sb_live *l, sb_seq_end why)
{
    switch (why) {
    case SB_SEQ_END_TOKEN:
        return l->turn.n_calls ? SB_FINISH_TOOL_CALLS : SB_FINISH_STOP;
    case SB_SEQ_STOPPED:
        if (!sb_answer_is_stopped(&l->answer))
            return l->is_spent && !l->answer.stopped_by_reader ? SB_FINISH_ENERGY_BUDGET
                                                               : SB_FINISH_CANCELLED;
        return l->turn.n_calls ? SB_FINISH_TOOL_CALLS : SB_FINISH_STOP;
    case SB_SEQ_LENGTH:
        return SB_FINISH_LENGTH;
    case SB_SEQ_CANCELLED: /* by whoever asked, or in a step that drew nothing */
        return l->is_spent ? SB_FINISH_ENERGY_BUDGET : SB_FINISH_CANCELLED;
    case SB_SEQ_FAILED:
        return l->err.code == SB_CORRUPT ? SB_FINISH_NUMERIC_ERROR : SB_FINISH_ERROR;
    case SB_SEQ_END_COUNT:
        break;
    }
    sb_unreachable("every end is named");
}

/* A turn that may come back as history: its text is all that its ids say. */
static void remember(sb_live *l, bool is_whole)
{
    if (l->err.code != SB_OK || !is_whole || !l->prompt.text) return;
    sb_replay_keep(l->chat->replay, l->who.scope, &l->prompt, &l->turn);
}

static void set_times(sb_live *l, sb_seq_end why)
{
    sb_turn *o = &l->turn;
    const uint64_t now = sb_now_ns(), prefilled = l->prefilled_ns ? l->prefilled_ns : now;
    o->prefill_ns = prefilled - l->begin_ns - o->started_ns;
    o->decode_ns = now - prefilled;
    const size_t n_drawn = o->ids.n + (why == SB_SEQ_END_TOKEN);
    o->n_decoded = n_drawn ? (int32_t)n_drawn - 1 : 0;
}

/* Off the list of turns under way. */
static void leave(sb_live *l)
{
    sb_chat *c = l->chat;
    (void)pthread_mutex_lock(&c->lock);
    *(l->prev ? &l->prev->next : &c->first) = l->next;
    if (l->next) l->next->prev = l->prev;
    if (has_budget(l)) atomic_fetch_sub(&c->n_budgets, 1);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Whose cached prefixes a turn finds and leaves: one without a cache has a scope of its own. */
static uint64_t prefix_scope(const sb_live *l)
{
    return l->r.no_cache ? (UINT64_C(1) << 63 | l->account.owner) : l->who.scope;
}

static void on_end(void *ctx, sb_seq_end why, const sb_error *err)
{
    sb_live *l = ctx;
    if (why == SB_SEQ_FAILED && err) l->err = *err;
    if (l->err.code != SB_OK)
        why = SB_SEQ_FAILED; /* the answer broke off, whatever else ended it */
    const bool is_cut = why != SB_SEQ_END_TOKEN && !sb_answer_is_stopped(&l->answer);
    const bool is_whole = !sb_answer_is_stopped(&l->answer) && l->answer.detok.n_held == 0;
    set_times(l, why);
    if (why != SB_SEQ_FAILED && sb_answer_finish(&l->answer, is_cut, &l->err) != SB_OK)
        why = SB_SEQ_FAILED;
    l->turn.finish = finish_of(l, why);
    l->turn.i_stop = l->answer.stops.i_hit;
    remember(l, is_whole);
    if (l->r.no_cache) sb_sched_forget(l->chat->sched, prefix_scope(l));
    if (l->chat->ledger) {
        l->turn.energy = sb_ledger_end(l->chat->ledger, &l->account);
        l->turn.owner = l->account.owner;
    }
    if (l->r.pot) (void)charge(l, l->turn.energy.energy_uj);
    sb_answer_deinit(&l->answer);
    sb_rendered_deinit(&l->prompt);
    leave(l);
    l->hooks.end(l->hooks.ctx, &l->turn, why == SB_SEQ_FAILED ? &l->err : NULL);
    sb_live_release(l);
}

/* ---- beginning ---- */

static void enter(sb_live *l)
{
    sb_chat *c = l->chat;
    (void)pthread_mutex_lock(&c->lock);
    l->next = c->first;
    if (c->first) c->first->prev = l;
    if (has_budget(l)) atomic_fetch_add(&c->n_budgets, 1);
    c->first = l;
    (void)pthread_mutex_unlock(&c->lock);
}

static sb_status submit(sb_live *l, sb_error *err)
{
    sb_chat *c = l->chat;
    const sb_turn_request *r = &l->r;
    if (c->ledger)
        sb_ledger_begin(c->ledger, &l->account);
    else
        l->account.owner = atomic_fetch_add(&c->n_turns, 1) + 1;
    enter(l);
    const sb_seq_opts o = {.ids = l->turn.prompt_ids.v,
                           .n_ids = (int32_t)l->turn.prompt_ids.n,
                           .sampling = r->sampling,
                           .max_tokens = r->max_tokens,
                           .n_logprobs = r->n_logprobs,
                           .ignore_end = r->ignore_end,
                           .scope = prefix_scope(l),
                           .share = l->who.share,
                           .priority = l->who.priority,
                           .owner = l->account.owner,
                           .on_prefill = on_prefill,
                           .on_token = on_token,
                           .on_end = on_end,
                           .ctx = l};
    sb_seq *seq = NULL;
    const sb_status s = sb_sched_submit(c->sched, &o, &seq, err);
    (void)pthread_mutex_lock(&c->lock); /* sb_chat_stop() may be looking */
    l->seq = seq;
    (void)pthread_mutex_unlock(&c->lock);
    if (s == SB_OK) return SB_OK;
    leave(l);
    if (c->ledger) (void)sb_ledger_end(c->ledger, &l->account);
    return s;
}

static sb_status begin(sb_live *l, sb_error *err)
{
    sb_chat *c = l->chat;
    if (has_budget(l) && !c->ledger)
        return SB_FAIL(err, SB_UNSUPPORTED, "max_energy_j: nobody counts energy here");
    SB_TRY(sb_turn_prompt(c, &l->r, l->who.scope, &l->turn.prompt_ids, &l->prompt, err));
    l->r.on_event = pass_event;
    l->r.ctx = l;
    SB_TRY(sb_answer_init(&l->answer, c->model->tok, c->format, &l->r, &l->turn, err));
    return submit(l, err);
}

sb_status sb_live_begin(sb_live **out, sb_chat *c, const sb_turn_request *r, const sb_live_who *w,
                        const sb_live_hooks *h, sb_error *err)
{
    sb_live *l = sb_calloc(1, sizeof *l);
    if (!l) return SB_FAIL(err, SB_NO_MEMORY, "turn: out of memory");
    l->chat = c;
    l->r = *r;
    l->who = *w;
    l->hooks = *h;
    l->begin_ns = sb_now_ns();
    atomic_init(&l->holds, 2); /* the caller's, and the scheduler's until on_end */
    sb_turn_init(&l->turn);
    const sb_status s = begin(l, err);
    if (s == SB_OK) {
        *out = l;
        return SB_OK;
    }
    sb_answer_deinit(&l->answer);
    sb_rendered_deinit(&l->prompt);
    atomic_store(&l->holds, 1);
    sb_live_release(l);
    return s;
}

void sb_live_release(sb_live *l)
{
    if (!l || atomic_fetch_sub(&l->holds, 1) > 1) return;
    if (l->seq) sb_seq_release(l->seq);
    sb_turn_deinit(&l->turn);
    sb_free(l);
}

void sb_live_cancel(sb_live *l)
{
    sb_seq_cancel(l->seq);
}

void sb_live_pause(sb_live *l, bool paused)
{
    sb_seq_pause(l->seq, paused);
}

int32_t sb_live_place(const sb_live *l)
{
    return sb_seq_place(l->seq);
}

/* ---- a turn whose caller waits for it ---- */

typedef struct waiter {
    const sb_turn_request *r;
    sb_turn *out;
    sb_error err;
    bool ended;
} waiter;

static void tell_prefill(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all)
{
    const waiter *w = ctx;
    (void)n_cached;
    if (w->r->on_prefill) w->r->on_prefill(w->r->ctx, n_done, n_all);
}

static bool tell_event(void *ctx, const sb_output_event *e, const sb_turn *t)
{
    const waiter *w = ctx;
    (void)t;
    return !w->r->on_event || w->r->on_event(w->r->ctx, e);
}

static void tell_end(void *ctx, sb_turn *t, const sb_error *err)
{
    waiter *w = ctx;
    w->ended = true;
    if (err) {
        w->err = *err;
        return;
    }
    *w->out = *t;
    memset(t, 0, sizeof *t);
}

sb_status sb_chat_turn(sb_chat *c, const sb_turn_request *r, sb_turn *out, sb_error *err)
{
    waiter w = {.r = r, .out = out};
    sb_live *l = NULL;
    const sb_live_hooks hooks = {
        .prefill = tell_prefill, .event = tell_event, .end = tell_end, .ctx = &w};
    const sb_live_who who = {.scope = 1, .share = 1};
    if (c->is_started)
        return SB_FAIL(err, SB_BUSY, "this chat steps by itself: begin a live turn instead");
    SB_TRY(sb_live_begin(&l, c, r, &who, &hooks, err));
    while (!w.ended) {
        bool did = false;
        if (r->cancel && atomic_load(r->cancel)) sb_live_cancel(l);
        sb_sched_step(c->sched, &did);
    }
    sb_live_release(l);
    if (w.err.code != SB_OK && err) *err = w.err;
    return w.err.code;
}
