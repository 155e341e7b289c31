/* SPDX-License-Identifier: Apache-2.0
 * sched.c - making a scheduler, handing sequences to it, and its loop.
 *
 * One lock guards what several threads see; it is never held while a step computes or a hook runs.
 * Whoever has something new for the stepper counts an event and signals it; the stepper sleeps only
 * if it has seen every event and found nothing to do. */
#include "engine/sched.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "engine/sched_state.h"

#include <string.h>
#include <time.h>

enum { PAST_SHARES = 64 }; /* that are gone, but whose work is remembered */

static sb_status check_opts(const sb_engine *e, const sb_sched_opts *o, sb_error *err)
{
    if (o->max_queue < 1 || o->max_queue > SB_MAX_QUEUE)
        return SB_FAIL(err, SB_INVALID, "queue: %d is outside 1..%d", o->max_queue, SB_MAX_QUEUE);
    if (o->stall_pct != 0 && (o->stall_pct < 100 || o->stall_pct > 10000))
        return SB_FAIL(err, SB_INVALID, "stall: %d %% is outside 100..10000", o->stall_pct);
    if (o->batch_wait_ns > SB_MAX_BATCH_WAIT_MS * UINT64_C(1000000))
        return SB_FAIL(err, SB_INVALID, "batch wait: more than %d ms", SB_MAX_BATCH_WAIT_MS);
    if (e->n_open)
        return SB_FAIL(err, SB_BUSY, "the scheduler needs all sessions; %d are open", e->n_open);
    return SB_OK;
}

/* The ids that end no answer, as a mask for the sampler. */
static void fill_mask(sb_sched *s)
{
    const int32_t n = s->e->model->hp.n_vocab;
    s->n_end = n;
    for (int32_t id = 0; id < n; id++) {
        if (sb_tokenizer_is_end(s->e->model->tok, id)) continue;
        s->not_end[id / 32] |= 1u << id % 32;
        s->n_end--;
    }
}

static bool take_memory(sb_sched *s)
{
    const size_t n_slots = (size_t)s->n_slots, n_rows = (size_t)s->e->opts.n_rows;
    s->cap_shares = s->o.max_queue + s->n_slots + PAST_SHARES;
    s->run = sb_alloc(n_slots, sizeof(sb_seq *));
    s->order = sb_alloc(n_slots, sizeof(sb_seq *));
    s->idle = sb_alloc(n_slots, sizeof(sb_session *));
    s->shares = sb_alloc((size_t)s->cap_shares, sizeof *s->shares);
    s->parts = sb_alloc(n_rows, sizeof *s->parts);
    s->spans = sb_alloc(n_rows, sizeof *s->spans);
    s->not_end = sb_calloc((size_t)s->e->model->hp.n_vocab / 32 + 1, sizeof *s->not_end);
    s->rooms = sb_calloc((size_t)s->e->n_threads, sizeof(sb_sampler_room *));
    return s->rooms && s->run && s->order && s->idle && s->shares && s->parts && s->spans &&
           s->not_end;
}

/* One whose deadlines do not move when somebody sets the clock. */
static bool make_wake(pthread_cond_t *out)
{
    pthread_condattr_t a;
    if (pthread_condattr_init(&a) != 0) return false;
    const bool ok =
        pthread_condattr_setclock(&a, CLOCK_MONOTONIC) == 0 && pthread_cond_init(out, &a) == 0;
    (void)pthread_condattr_destroy(&a);
    return ok;
}

static sb_status open_sched(sb_sched *s, sb_error *err)
{
    if (!take_memory(s)) return SB_FAIL(err, SB_NO_MEMORY, "scheduler: out of memory");
    fill_mask(s);
    for (int i = 0; i < s->e->n_threads; i++)
        SB_TRY(sb_sampler_room_new(&s->rooms[i], s->e->model->hp.n_vocab, err));
    SB_TRY(sb_prefix_new(&s->prefix, s->e, s->o.cache_bytes, err));
    for (; s->n_idle < s->n_slots; s->n_idle++)
        SB_TRY(sb_session_open(&s->idle[s->n_idle], s->e, 0, err));
    s->has_lock = pthread_mutex_init(&s->lock, NULL) == 0;
    s->has_wake = make_wake(&s->wake);
    if (!s->has_lock || !s->has_wake)
        return SB_FAIL(err, SB_NO_MEMORY, "scheduler: no lock can be had");
    return SB_OK;
}

static void free_parts(sb_sched *s)
{
    while (s->n_idle > 0)
        sb_session_close(s->idle[--s->n_idle]);
    sb_prefix_free(s->prefix);
    for (int i = 0; s->rooms && i < s->e->n_threads; i++)
        sb_sampler_room_free(s->rooms[i]);
    sb_free(s->rooms);
    if (s->has_wake) (void)pthread_cond_destroy(&s->wake);
    if (s->has_lock) (void)pthread_mutex_destroy(&s->lock);
    sb_free(s->not_end);
    sb_free(s->spans);
    sb_free(s->parts);
    sb_free(s->shares);
    sb_free(s->idle);
    sb_free(s->order);
    sb_free(s->run);
    sb_free(s);
}

static void publish(sb_sched *s);

sb_status sb_sched_new(sb_sched **out, sb_engine *e, const sb_sched_opts *o, sb_error *err)
{
    SB_TRY(check_opts(e, o, err));
    sb_sched *s = sb_calloc(1, sizeof *s);
    if (!s) return SB_FAIL(err, SB_NO_MEMORY, "scheduler: out of memory");
    s->e = e;
    s->o = *o;
    s->n_slots = e->opts.n_sessions;
    s->row_ops = (double)(e->ops_per_row + e->head_ops);
    s->gap_ns = (double)o->batch_wait_ns;
    const sb_status st = open_sched(s, err);
    if (st != SB_OK) {
        free_parts(s);
        return st;
    }
    publish(s);
    *out = s;
    return SB_OK;
}

/* ---- sequences ---- */

static sb_status check_seq(const sb_sched *s, const sb_seq_opts *o, sb_error *err)
{
    const int32_t n_vocab = s->e->model->hp.n_vocab, n_ctx = s->e->opts.n_ctx;
    if (!o->on_end || !o->owner || o->n_ids < 1 || !o->ids)
        return SB_FAIL(err, SB_INVALID, "sequence: no prompt, owner or on_end");
    if (o->n_ids >= n_ctx)
        return SB_FAIL(err, SB_LIMIT,
                       "context_length: the prompt has %d tokens and the context "
                       "holds %d with the answer",
                       o->n_ids, n_ctx);
    for (int32_t i = 0; i < o->n_ids; i++)
        if (o->ids[i] < 0 || o->ids[i] >= n_vocab)
            return SB_FAIL(err, SB_INVALID, "token id %d is outside 0..%d", o->ids[i], n_vocab - 1);
    if (o->max_tokens < -1)
        return SB_FAIL(err, SB_INVALID, "max_tokens: %d is negative", o->max_tokens);
    if (o->n_logprobs < -1 || o->n_logprobs > SB_MAX_LOGPROBS)
        return SB_FAIL(err, SB_INVALID, "logprobs: %d is outside 0..%d", o->n_logprobs,
                       SB_MAX_LOGPROBS);
    return SB_OK;
}

static void free_seq(sb_seq *q)
{
    sb_sampler_free(q->sampler);
    sb_free(q->ids);
    sb_free(q);
}

static sb_status make_seq(sb_seq **out, sb_sched *s, const sb_seq_opts *o, sb_error *err)
{
    SB_TRY(check_seq(s, o, err));
    sb_seq *q = sb_calloc(1, sizeof *q);
    if (!q) return SB_FAIL(err, SB_NO_MEMORY, "sequence: out of memory");
    /* The last token that fits is drawn and not fed. */
    const int32_t room = s->e->opts.n_ctx + 1 - o->n_ids;
    const bool open = o->max_tokens < 0 || o->max_tokens > room;
    q->sched = s;
    q->o = *o;
    q->n_all = o->n_ids;
    q->n_most = o->n_ids + (open ? room : o->max_tokens);
    q->mark.node = -1;
    q->drawn = -1;
    sb_guess_begin(q);
    q->ids = sb_alloc((size_t)q->n_most, sizeof *q->ids);
    const sb_status st =
        q->ids ? sb_sampler_new_bare(&q->sampler, s->e->model->hp.n_vocab, &o->sampling, err)
               : SB_FAIL(err, SB_NO_MEMORY, "sequence: out of memory");
    if (st != SB_OK) {
        free_seq(q);
        return st;
    }
    memcpy(q->ids, o->ids, (size_t)o->n_ids * sizeof *q->ids);
    q->o.ids = NULL;
    q->o.sampling.bias = NULL;
    sb_sampler_prompt(q->sampler, q->ids, (size_t)o->n_ids);
    atomic_init(&q->n_holds, 2);
    q->info = (sb_seq_info){
        .owner = o->owner, .n_prompt = o->n_ids, .priority = o->priority, .waiting = true};
    *out = q;
    return SB_OK;
}

sb_status sb_sched_submit(sb_sched *s, const sb_seq_opts *o, sb_seq **out, sb_error *err)
{
    sb_seq *q = NULL;
    SB_TRY(make_seq(&q, s, o, err));
    (void)pthread_mutex_lock(&s->lock);
    /* Whoever finds a place in the next step does not wait. */
    const bool full = s->n_waiting + s->n_run >= s->o.max_queue + s->n_slots;
    if (!full) {
        q->arrival = s->n_arrived++;
        if (s->o.batch_wait_ns) sb_hold_arrival(s, sb_now_ns());
        q->share = sb_sched_share(s, o->share, o->weight);
        sb_sched_enqueue(s, q);
        s->n_events++;
        *out = q;
        (void)pthread_cond_signal(&s->wake);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!full) return SB_OK;
    free_seq(q);
    return SB_FAIL(err, SB_BUSY, "the queue is full: %d wait", s->o.max_queue);
}

/* Tells the stepper that something is new. */
static void wake(sb_sched *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->n_events++;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}

void sb_seq_cancel(sb_seq *q)
{
    if (!q || atomic_exchange(&q->cancelled, true)) return;
    if (atomic_load(&q->state) != SB_SEQ_OVER) wake(q->sched);
}

void sb_seq_pause(sb_seq *q, bool paused)
{
    if (atomic_exchange(&q->paused, paused) == paused) return;
    if (atomic_load(&q->state) != SB_SEQ_OVER) wake(q->sched);
}

void sb_seq_release(sb_seq *q)
{
    if (q && atomic_fetch_sub(&q->n_holds, 1) == 1) free_seq(q);
}

void sb_sched_forget(sb_sched *s, uint64_t scope)
{
    (void)pthread_mutex_lock(&s->lock);
    /* Too many at once: forgetting all of them is right, too. */
    if (s->n_forget == SB_MAX_FORGET) s->n_forget = 0, scope = 0;
    s->forget[s->n_forget++] = scope;
    s->n_events++;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- the loop ---- */

void sb_sched_end(sb_sched *s, sb_seq *q, sb_seq_end why)
{
    if (q->session)
        sb_sched_take_place(s, q, why != SB_SEQ_FAILED);
    else
        sb_sched_dequeue(s, q);
    q->why = why;
    q->is_ending = true;
    q->share->n_seqs--;
    atomic_store(&q->state, SB_SEQ_OVER);
    s->stats.n_ended++;
    s->stats.n_cancelled += why == SB_SEQ_CANCELLED;
    q->next = s->ended;
    s->ended = q;
}

/* Takes out who is cancelled or through, waiting or running. */
static void end_those_over(sb_sched *s, bool all)
{
    for (int32_t i = s->n_run; i-- > 0;) {
        sb_seq *q = s->run[i];
        if (q->is_ending)
            sb_sched_end(s, q, q->why);
        else if (all || atomic_load(&q->cancelled))
            sb_sched_end(s, q, SB_SEQ_CANCELLED);
    }
    for (sb_seq *q = s->first, *next; q; q = next) {
        next = q->next;
        if (q->is_ending)
            sb_sched_end(s, q, q->why);
        else if (all || atomic_load(&q->cancelled))
            sb_sched_end(s, q, SB_SEQ_CANCELLED);
    }
}

/* Copies what others may read. */
static void publish(sb_sched *s)
{
    sb_sched_stats *t = &s->stats;
    t->n_prefilling = t->n_decoding = t->n_paused = 0;
    for (int32_t i = 0; i < s->n_run; i++) {
        sb_seq *q = s->run[i];
        const bool paused = atomic_load(&q->paused), decodes = sb_seq_decodes(q);
        t->n_paused += paused;
        t->n_decoding += !paused && decodes;
        t->n_prefilling += !paused && !decodes;
        q->info.n_cached = q->n_cached;
        q->info.n_done = q->session->n_pos < q->o.n_ids ? q->session->n_pos : q->o.n_ids;
        q->info.n_drawn = q->n_all - q->o.n_ids;
        q->info.waiting = false;
        q->info.prefilling = !decodes;
        q->info.paused = paused;
    }
    t->pages = t->pages_held = t->pages_cached = 0;
    for (int32_t g = 0; g < s->e->n_groups; g++) {
        const sb_kv_group *x = &s->e->groups[g];
        t->pages += (uint64_t)x->n_pages;
        t->pages_cached += (uint64_t)x->n_tree;
        t->pages_held += (uint64_t)(x->n_pages - x->n_free - x->n_tree);
    }
    t->cached_bytes = sb_prefix_bytes(s->prefix);
}

/* Hooks are called without the lock. */
static void tell_ended(sb_sched *s)
{
    while (s->ended) {
        sb_seq *q = s->ended;
        s->ended = q->next;
        q->o.on_end(q->o.ctx, q->why, q->why == SB_SEQ_FAILED ? &q->err : NULL);
        sb_seq_release(q);
    }
}

/* Tokens of a prompt that are computed while nobody notices, 0: not known. */
static int32_t quick_tokens(const sb_sched *s)
{
    enum { ROWS = 128, QUICK_NS = 100000000 };
    const sb_load l = {.rows = ROWS * (double)s->e->ops_per_row / s->row_ops, .kv_bytes = {1, 0}};
    const double ns = sb_pace_predict(&s->pace, &l);
    const double n = ns > 0 ? ROWS * (double)QUICK_NS / ns : 0;
    return n < s->e->opts.n_ctx ? (int32_t)n : s->e->opts.n_ctx;
}

/* Brings everything up to date: before a step, and after it. */
static void settle(sb_sched *s, bool all)
{
    for (int32_t i = 0; i < s->n_forget; i++)
        sb_prefix_forget(s->prefix, s->forget[i]);
    s->n_forget = 0;
    end_those_over(s, all);
    sb_prefix_trim(s->prefix, quick_tokens(s), s->o.quick_bytes);
}

void sb_sched_sleep(sb_sched *s, uint64_t until_ns)
{
    const struct timespec t = {.tv_sec = (time_t)(until_ns / 1000000000),
                               .tv_nsec = (long)(until_ns % 1000000000)};
    (void)pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

/* Lock held. True while the processors rest and no step may begin; some of that time is slept here.
 * Whatever is new ends the sleep, so that who is cancelled need not wait for the end of a pause. */
static bool rest(sb_sched *s)
{
    const bool idle = s->n_run == 0 && !s->first;
    const int64_t due = idle ? 0 : sb_rest_due_ns(s->o.rest);
    if (due == 0) {
        s->rest_ns = 0;
        return false;
    }
    const uint64_t now = sb_now_ns();
    if (!s->rest_ns) {
        s->rest_ns = now;
        s->rest_arrived = s->n_arrived;
    }
    if (now - s->rest_ns >= SB_REST_PAUSE_NS && s->n_arrived != s->rest_arrived) {
        s->rest_ns = 0; /* who came has waited long enough; what is owed stays owed */
        return false;
    }
    if (s->ended || s->stop) return true;
    const uint64_t until = now + (uint64_t)(due < SB_REST_LOOK_NS ? due : SB_REST_LOOK_NS);
    sb_sched_sleep(s, until);
    return true;
}

void sb_sched_step(sb_sched *s, bool *out_did)
{
    (void)pthread_mutex_lock(&s->lock);
    settle(s, false);
    if (rest(s) || sb_sched_hold(s)) {
        (void)pthread_mutex_unlock(&s->lock);
        *out_did = true;
        tell_ended(s);
        return;
    }
    sb_sched_admit(s);
    sb_sched_build(s);
    publish(s);
    (void)pthread_mutex_unlock(&s->lock);
    *out_did = s->n_parts > 0 || s->ended;
    tell_ended(s);
    if (s->n_parts == 0) return;
    if (s->o.enter) s->o.enter(s->o.ctx);
    sb_sched_compute(s);
    if (s->o.leave) s->o.leave(s->o.ctx);
    (void)pthread_mutex_lock(&s->lock);
    settle(s, false);
    publish(s);
    (void)pthread_mutex_unlock(&s->lock);
    tell_ended(s);
}

/* Lock held. Makes later steps faster while nothing is to be done: who comes meanwhile waits for
 * one page. */
static void join_pages(sb_sched *s)
{
    (void)pthread_mutex_unlock(&s->lock);
    if (s->o.enter) s->o.enter(s->o.ctx);
    sb_pages_join(&s->e->pages);
    if (s->o.leave) s->o.leave(s->o.ctx);
    (void)pthread_mutex_lock(&s->lock);
}

/* Lock held. Until something is new. */
static void idle(sb_sched *s, uint64_t seen)
{
    enum { QUIET_NS = 20000000 }; /* answers that follow each other leave gaps, too */
    const uint64_t quiet_ns = sb_now_ns() + QUIET_NS;
    while (!s->stop && s->n_events == seen) {
        if (!sb_pages_due(&s->e->pages)) {
            (void)pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        const uint64_t now = sb_now_ns(), rested_ns = now + (uint64_t)sb_rest_due_ns(s->o.rest);
        const uint64_t until = rested_ns > quiet_ns ? rested_ns : quiet_ns;
        if (now < until)
            sb_sched_sleep(s, until);
        else
            join_pages(s);
    }
}

void sb_sched_run(sb_sched *s)
{
    for (bool stop = false; !stop;) {
        (void)pthread_mutex_lock(&s->lock);
        const uint64_t seen = s->n_events;
        (void)pthread_mutex_unlock(&s->lock);
        bool did = false;
        sb_sched_step(s, &did);
        (void)pthread_mutex_lock(&s->lock);
        if (!did) idle(s, seen);
        stop = s->stop;
        s->stop = false;
        (void)pthread_mutex_unlock(&s->lock);
    }
}

void sb_sched_stop(sb_sched *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_cond_broadcast(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}

void sb_sched_free(sb_sched *s)
{
    if (!s) return;
    (void)pthread_mutex_lock(&s->lock);
    settle(s, true);
    (void)pthread_mutex_unlock(&s->lock);
    tell_ended(s);
    free_parts(s);
}
