/* SPDX-License-Identifier: Apache-2.0
 * page_live.c - an answer under way: what its run says goes to the feeds at once and to the data
 * base about once a second.
 *
 * Nobody needs to look: the run belongs to the message, not to a connection. Saving each token
 * would flush the disk a hundred times a second; saving only the end would lose minutes to a power
 * cut. No timer is set for it: the next word after a second takes the save along. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "server/page/page_in.h"

enum { MS = 1000000, PHASE_MS = 200 };

/* ---- telling ---- */

/* The head that every event of an answer begins with. */
static void open_event(sb_jw *w, const sb_page_answer *a, sb_buf *out)
{
    char id[SB_PAGE_ID_TEXT_BYTES];
    (void)snprintf(id, sizeof id, "%lld", (long long)a->msg);
    sb_buf_init(out, SB_MAX_REPLY_BYTES, "event");
    sb_jw_begin(w, out, NULL);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "conversation", a->conv);
    sb_jw_put_word(w, "message", id);
}

static void tell_piece(sb_page_answer *a, const char *kind, size_t at, sb_str text)
{
    sb_jw w;
    sb_buf out;
    open_event(&w, a, &out);
    sb_jw_put_word(&w, "kind", kind);
    sb_jw_put_int(&w, "at", (int64_t)at);
    sb_jw_put_text(&w, "text", text);
    sb_jw_close(&w, '}');
    // A piece that could not be told shows as a gap, and the browser asks for the message.
    if (sb_jw_end(&w) == SB_OK)
        sb_page_tell(a->page, a->who.owner, a->conv, "delta", (sb_str){out.p, out.n}, false);
    sb_buf_deinit(&out);
}

void sb_page_tell_phase(sb_page_answer *a, sb_page_feed *only)
{
    static const char *const words[] = {"queued", "loading", "prefill", "answer"};
    sb_jw w;
    sb_buf out;
    open_event(&w, a, &out);
    sb_jw_put_word(&w, "phase", words[a->phase]);
    if (a->phase == SB_PAGE_QUEUED) sb_jw_put_int(&w, "place", a->place);
    if (a->phase == SB_PAGE_PREFILL) {
        sb_jw_put_int(&w, "cached", a->n_cached);
        sb_jw_put_int(&w, "done", a->n_done);
        sb_jw_put_int(&w, "all", a->n_all);
    }
    sb_jw_close(&w, '}');
    if (sb_jw_end(&w) == SB_OK)
        sb_page_tell_to(a->page, only, a->who.owner, a->conv, "phase", (sb_str){out.p, out.n});
    sb_buf_deinit(&out);
}

/* Whoever waits may have moved up when something else began or ended. */
static void tell_places(sb_page *p)
{
    for (sb_page_answer *a = p->answers; a; a = a->next) {
        if (a->phase != SB_PAGE_QUEUED || !a->run) continue;
        const int32_t place = sb_run_place(a->run);
        if (place < 0 || place == a->place) continue;
        a->place = place;
        sb_page_tell_phase(a, NULL);
    }
}

/* ---- saving ---- */

static void free_answer(sb_page_answer *a)
{
    if (a->run) sb_run_release(a->run);
    sb_buf_deinit(&a->text);
    sb_buf_deinit(&a->reasoning);
    sb_free(a);
}

/* A copy of what is not saved yet, so that the disk is waited for without the lock. */
static sb_status take_unsaved(sb_buf *out, const sb_buf *all, size_t *saved)
{
    sb_buf_init(out, SB_MAX_MESSAGE_BYTES, "answer");
    SB_TRY(sb_buf_add(out, all->p ? all->p + *saved : "", all->n - *saved, NULL));
    *saved = all->n;
    return SB_OK;
}

static void save(sb_task *t)
{
    sb_page_answer *a = (sb_page_answer *)(void *)((char *)t - offsetof(sb_page_answer, save_task));
    sb_buf text = {0}, reasoning = {0};
    pthread_mutex_lock(&a->page->lock);
    const bool good = !a->ended && take_unsaved(&text, &a->text, &a->text_saved) == SB_OK &&
                      take_unsaved(&reasoning, &a->reasoning, &a->reasoning_saved) == SB_OK;
    pthread_mutex_unlock(&a->page->lock);
    // What a failure leaves out is written with the end of the message, which holds all of it.
    sb_error err;
    sb_status st = SB_OK;
    if (good && text.n + reasoning.n)
        st = sb_msg_more(sb_server_db(a->page->sv), a->who.owner, a->conv, a->msg,
                         (sb_str){text.p, text.n}, (sb_str){reasoning.p, reasoning.n}, &err);
    (void)st;
    sb_buf_deinit(&text);
    sb_buf_deinit(&reasoning);
    pthread_mutex_lock(&a->page->lock);
    a->saving = false;
    const bool ended = a->ended;
    pthread_mutex_unlock(&a->page->lock);
    if (ended) free_answer(a);
}

/* ---- the run's sink ---- */

static void set_phase(sb_page_answer *a, sb_page_phase phase, bool tell)
{
    if (a->phase == phase && !tell) return;
    a->phase = phase;
    a->told_ns = sb_now_ns();
    sb_page_tell_phase(a, NULL);
}

static void on_loading(void *ctx, double done)
{
    (void)done;
    sb_page_answer *a = ctx;
    pthread_mutex_lock(&a->page->lock);
    set_phase(a, SB_PAGE_LOADING, false);
    pthread_mutex_unlock(&a->page->lock);
}

static void on_begin(void *ctx, const sb_voice_facts *f, const sb_ask *ask)
{
    (void)ask;
    sb_page_answer *a = ctx;
    pthread_mutex_lock(&a->page->lock);
    (void)snprintf(a->model, sizeof a->model, "%s", f->model);
    (void)snprintf(a->receipt, sizeof a->receipt, "%s", f->id);
    a->phase = SB_PAGE_QUEUED;
    tell_places(a->page);
    pthread_mutex_unlock(&a->page->lock);
}

static void on_progress(void *ctx, int32_t i_choice, int32_t n_cached, int32_t n_done,
                        int32_t n_all)
{
    (void)i_choice;
    sb_page_answer *a = ctx;
    pthread_mutex_lock(&a->page->lock);
    const bool first = a->phase != SB_PAGE_PREFILL;
    a->n_cached = n_cached;
    a->n_done = n_done;
    a->n_all = n_all;
    if (first || sb_now_ns() - a->told_ns > (uint64_t)PHASE_MS * MS)
        set_phase(a, SB_PAGE_PREFILL, true);
    if (first) tell_places(a->page);
    pthread_mutex_unlock(&a->page->lock);
}

/* What comes is kept before it is told, so that a feed that opens meanwhile misses nothing. */
static bool take(sb_page_answer *a, sb_buf *all, const char *kind, sb_str text)
{
    const size_t at = all->n;
    if (sb_buf_add(all, text.p, text.n, NULL) != SB_OK) return false;
    const uint64_t now = sb_now_ns();
    if (a->phase != SB_PAGE_ANSWER) {
        a->phase = SB_PAGE_ANSWER;
        a->first_ns = a->saved_ns = now;
    }
    tell_piece(a, kind, at, text);
    if (!a->saving && now - a->saved_ns > (uint64_t)SB_PAGE_SAVE_MS * MS) {
        a->saving = true;
        a->saved_ns = now;
        sb_server_work(a->page->sv, &a->save_task);
    }
    return true;
}

/* A stop cancels the run and is not heeded here: a piece under way when it came, and what the
 * parser still holds back, are in the turn, so they are told. */
static bool on_event(void *ctx, int32_t i_choice, const sb_output_event *e, const sb_turn *t)
{
    (void)i_choice, (void)t;
    sb_page_answer *a = ctx;
    pthread_mutex_lock(&a->page->lock);
    bool kept = true;
    if (e->kind == SB_OUTPUT_CONTENT) kept = take(a, &a->text, "text", e->text);
    if (e->kind == SB_OUTPUT_REASONING) kept = take(a, &a->reasoning, "reasoning", e->text);
    pthread_mutex_unlock(&a->page->lock);
    return kept;
}

/* Out of the list: nothing is told of it any more. What a save holds is freed by the save. */
static void forget(sb_page_answer *a)
{
    pthread_mutex_lock(&a->page->lock);
    sb_page_answer **at = &a->page->answers;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    tell_places(a->page);
    a->ended = true;
    const bool saving = a->saving;
    pthread_mutex_unlock(&a->page->lock);
    if (!saving) free_answer(a);
}

/* The end could not be written (the conversation is gone, the disk is full): whoever looks asks. */
static void tell_over(sb_page *p, sb_owner owner, const char *conv, int64_t msg)
{
    char text[64 + SB_DB_ID_BYTES + SB_PAGE_ID_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "{\"conversation\":\"%s\",\"message\":\"%lld\"}", conv,
                   (long long)msg);
    pthread_mutex_lock(&p->lock);
    sb_page_tell(p, owner, conv, "ended", (sb_str){text, strlen(text)}, true);
    pthread_mutex_unlock(&p->lock);
}

/* The end, as the message keeps it, and then as everyone is told. */
static void conclude(sb_page_answer *a, const sb_turn *t, sb_msg_state state, const char *why)
{
    const sb_caller who = a->who;
    sb_page *p = a->page;
    char conv[SB_DB_ID_BYTES];
    memcpy(conv, a->conv, sizeof conv);
    const int64_t msg = a->msg;
    sb_error err;
    const sb_status st = sb_page_write_end(a, t, state, why, &err);
    forget(a);
    if (st != SB_OK) {
        tell_over(p, who.owner, conv, msg);
        return;
    }
    if (sb_page_msg_news(p, who.owner, conv, msg, &err) != SB_OK) return;
    const sb_status told = sb_page_conv_news(p, who.owner, conv, NULL, &err);
    (void)told;
}

static void on_end(void *ctx, const sb_ask *ask, const sb_turn *turns)
{
    (void)ask;
    sb_page_answer *a = ctx;
    const bool stopped = turns && turns[0].finish == SB_FINISH_CANCELLED;
    conclude(a, turns, stopped || !turns ? SB_MSG_STOPPED : SB_MSG_DONE, "");
}

static void begin_again(sb_task *t);

/* A conversation that is too long is begun again with the half of it. */
static void on_fail(void *ctx, const sb_wire_error *w, const sb_ask *ask, const sb_turn *turns)
{
    (void)ask;
    sb_page_answer *a = ctx;
    pthread_mutex_lock(&a->page->lock);
    const bool stop = a->stop;
    pthread_mutex_unlock(&a->page->lock);
    if (!turns && w->code && strcmp(w->code, "context_length_exceeded") == 0 &&
        a->budget_bytes > 256 && !stop) {
        a->budget_bytes /= 2;
        a->begin_task.fn = begin_again;
        sb_server_work_first(a->page->sv, &a->begin_task);
        return;
    }
    conclude(a, turns, stop ? SB_MSG_STOPPED : SB_MSG_ERROR, w->err.msg);
}

/* ---- beginning ---- */

static void start(sb_page_answer *a)
{
    static const sb_run_sink parts = {.loading = on_loading,
                                      .begin = on_begin,
                                      .progress = on_progress,
                                      .event = on_event,
                                      .end = on_end,
                                      .fail = on_fail};
    sb_run_sink sink = parts;
    sink.ctx = a;
    sb_ask ask = {0};
    sb_wire_error w = {0};
    if (sb_page_ask(a, &ask, &w) != SB_OK) {
        conclude(a, NULL, SB_MSG_ERROR, w.err.msg);
        return;
    }
    const sb_run_opts o = {.who = &a->who, .begin_ns = a->begin_ns};
    sb_run *run = NULL;
    sb_page *p = a->page;
    const int64_t msg = a->msg;
    const int n_begun = ++a->n_begun;
    if (sb_run_begin(&run, p->sv, &ask, &o, &sink, &w.err) != SB_OK) {
        conclude(a, NULL, SB_MSG_ERROR, w.err.msg);
        return;
    }
    // The answer may be over and freed by now, or begun again: then this run is not its own.
    sb_run *spare = run;
    bool stop = false;
    pthread_mutex_lock(&p->lock);
    for (sb_page_answer *b = p->answers; b; b = b->next) {
        if (b != a || b->msg != msg || b->n_begun != n_begun) continue;
        spare = b->run;
        b->run = run;
        stop = b->stop;
        if (stop) sb_run_hold(run);
    }
    tell_places(p);
    pthread_mutex_unlock(&p->lock);
    sb_run_release(spare);
    if (!stop) return;
    sb_run_cancel(run);
    sb_run_release(run);
}

static void begin_again(sb_task *t)
{
    start((sb_page_answer *)(void *)((char *)t - offsetof(sb_page_answer, begin_task)));
}

sb_status sb_page_answer_begin(sb_page *p, const sb_caller *who, const char *conv, int64_t msg,
                               int64_t parent, bool parent_is_new, sb_error *err)
{
    sb_page_answer *a = sb_calloc(1, sizeof *a);
    if (!a) return SB_FAIL(err, SB_NO_MEMORY, "answer: no memory");
    a->page = p;
    a->who = *who;
    (void)snprintf(a->conv, sizeof a->conv, "%s", conv);
    a->msg = msg;
    a->parent = parent;
    a->begin_ns = sb_now_ns();
    a->place = -1;
    a->save_task.fn = save;
    sb_buf_init(&a->text, SB_MAX_MESSAGE_BYTES, "answer");
    sb_buf_init(&a->reasoning, SB_MAX_MESSAGE_BYTES, "reasoning");
    pthread_mutex_lock(&p->lock);
    a->next = p->answers;
    p->answers = a;
    pthread_mutex_unlock(&p->lock);
    // Before its first word, so that every browser knows whose word that is.
    sb_error lost;
    if ((parent_is_new && sb_page_msg_news(p, who->owner, conv, parent, &lost) != SB_OK) ||
        sb_page_msg_news(p, who->owner, conv, msg, &lost) != SB_OK)
        tell_over(p, who->owner, conv, msg);
    start(a);
    return SB_OK;
}

void sb_page_answers_stop(sb_page *p, sb_owner owner, const char *conv, int64_t msg)
{
    for (;;) {
        sb_run *run = NULL;
        pthread_mutex_lock(&p->lock);
        for (sb_page_answer *a = p->answers; a && !run; a = a->next) {
            if (a->who.owner != owner || strcmp(a->conv, conv) != 0 || (msg && a->msg != msg))
                continue;
            if (a->stop) continue;
            a->stop = true;
            run = a->run;
            if (run) sb_run_hold(run);
        }
        pthread_mutex_unlock(&p->lock);
        if (!run) return;
        sb_run_cancel(run);
        sb_run_release(run);
    }
}
