/* SPDX-License-Identifier: Apache-2.0
 * sched_draw.c - runs the step that was made, draws its tokens and hands them out.
 *
 * A step that ends in a number that is not finite says nothing about who brought it: its parts are
 * then run one by one, which gives the same numbers, and only the guilty one fails. */
#include "engine/sched_state.h"

static void fail_seq(sb_seq *q, const sb_error *err)
{
    q->err = *err;
    q->why = SB_SEQ_FAILED;
    q->is_ending = true;
}

static void end_seq(sb_seq *q, sb_seq_end why)
{
    q->why = why;
    q->is_ending = true;
}

static sb_span span_of(const sb_seq_part *t)
{
    const sb_seq *q = t->q;
    const int32_t pos = q->session->n_pos;
    const bool last = t->n == sb_seq_left(q);
    const int32_t again = q->n_high - pos, n_sure = t->n - t->n_guess;
    const int32_t n_barred = q->o.ignore_end ? q->sched->n_end : 0;
    return (sb_span){.s = q->session,
                     .ids = q->ids + pos,
                     .n = t->n,
                     .want = t->n_guess                     ? SB_WANT_ALL
                             : last && q->o.max_tokens != 0 ? SB_WANT_LAST
                                                            : SB_WANT_NONE,
                     .n_top = q->o.n_logprobs >= 0 ? 0 : sb_sampler_n_top(q->sampler, n_barred),
                     .is_decode = pos + t->n > q->o.n_ids,
                     .n_again = again < 0        ? 0
                                : again < n_sure ? again
                                                 : n_sure,
                     .n_guess = t->n_guess};
}

/* What the step taught about time: attention apart, per kind of row. Processor time is learned:
 * what other programs take would else be taken for the price of rows. */
static void learn(sb_sched *s, const sb_seq_part *parts, int32_t n, const sb_work_record *r)
{
    sb_load l = {0};
    double attend_ns[2] = {0, 0};
    const double wall = (double)(r->end_ns - r->begin_ns);
    const double cpu = (double)r->cpu_ns / r->n_threads;
    const double own =
        cpu < wall && wall > 0 ? cpu / wall : 1; /* share of the time that was ours */
    for (int32_t i = 0; i < n; i++) {
        const bool decodes = &parts[i] < s->parts + s->n_decode_parts;
        l.rows += (double)r->parts[i].n_ops / s->row_ops;
        l.kv_bytes[decodes] += (double)r->parts[i].kv_bytes;
        attend_ns[decodes] += own * (double)r->parts[i].own_ns / r->n_threads;
    }
    sb_pace_learn(&s->pace, &l, cpu, attend_ns);
}

static void count(sb_sched *s, const sb_work_record *r)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stats.n_steps++;
    for (int32_t i = 0; i < r->n_part; i++) {
        s->stats.n_prefill_tok += (uint64_t)r->parts[i].n_prefill;
        s->stats.n_decode_tok += (uint64_t)r->parts[i].n_decode;
        s->stats.n_recomputed_tok += (uint64_t)r->parts[i].n_recomputed;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* What may be drawn: NULL when all. */
static const uint32_t *mask_of(const sb_sched *s, const sb_seq *q)
{
    return q->o.ignore_end ? s->not_end : NULL;
}

/* Draws the next token of a sequence from all logits. */
static void draw(const sb_sched *s, sb_seq *q, const float *logits, int i_thread)
{
    const int32_t n_vocab = s->e->model->hp.n_vocab;
    const int32_t id = sb_sampler_draw_in(q->sampler, s->rooms[i_thread], logits, mask_of(s, q));
    sb_sampler_accept(q->sampler, id);
    q->drawn = id;
    if (q->o.n_logprobs < 0) return;
    sb_token_logprob *lp = &q->lp;
    *lp = (sb_token_logprob){.n_top = q->o.n_logprobs};
    sb_top_logprobs(logits, n_vocab, lp->n_top, lp->top_ids, lp->top);
    /* The first one's is what all have in common: minus the logarithm of the mass. */
    lp->logprob = lp->n_top ? (double)logits[id] - (double)logits[lp->top_ids[0]] + lp->top[0]
                            : sb_logprob(logits, n_vocab, id);
}

/* The draws of a step, which threads take in turn. */
typedef struct draws {
    sb_sched *s;
    const sb_seq_part *parts;
    int32_t n;
    atomic_int next;
} draws;

/* The token of row i_row of a part. */
static void draw_row(sb_sched *s, sb_seq *q, int32_t i_part, int32_t i_row, int i_thread)
{
    const float *logits = sb_engine_logits(s->e, i_part, i_row);
    const sb_top *top = sb_engine_top(s->e, i_part, i_row);
    if (atomic_load(&q->cancelled)) return;
    if (top)
        q->drawn = sb_sampler_draw_top(q->sampler, top, mask_of(s, q)); /* no history matters */
    else if (logits)
        draw(s, q, logits, i_thread);
}

static void draw_some(void *ctx, int i_thread, int n_threads)
{
    draws *d = ctx;
    (void)n_threads;
    for (;;) {
        const int32_t i = atomic_fetch_add(&d->next, 1);
        if (i >= d->n) return;
        draw_row(d->s, d->parts[i].q, i, 0, i_thread);
    }
}

static void draw_all(sb_sched *s, const sb_seq_part *parts, int32_t n)
{
    draws d = {.s = s, .parts = parts, .n = n};
    atomic_init(&d.next, 0);
    int32_t n_slow = 0; /* greedy draws, and those of a few, are not worth a second thread */
    for (int32_t i = 0; i < n; i++) {
        const sb_seq *q = parts[i].q;
        const bool is_greedy = q->o.sampling.temp == 0 && q->o.n_logprobs < 0;
        n_slow += sb_engine_logits(s->e, i, 0) && !is_greedy;
    }
    if (n_slow > 1)
        sb_pool_run(s->e->pool, draw_some, &d);
    else
        draw_some(&d, 0, 1);
}

static void hand_out(const sb_sched *s, sb_seq *q, int32_t id)
{
    if (!q->o.ignore_end && sb_tokenizer_is_end(s->e->model->tok, id)) {
        end_seq(q, SB_SEQ_END_TOKEN);
        return;
    }
    q->ids[q->n_all++] = id;
    const sb_token_logprob *lp = q->o.n_logprobs >= 0 ? &q->lp : NULL;
    if (q->o.on_token && !q->o.on_token(q->o.ctx, id, lp))
        end_seq(q, SB_SEQ_STOPPED);
    else if (q->n_all == q->n_most)
        end_seq(q, SB_SEQ_LENGTH);
}

/* Draws on while guesses come true, and puts into the record how many did. */
static void draw_ahead(sb_sched *s, sb_seq_part *t)
{
    sb_seq *q = t->q;
    while (t->n_true < t->n_guess && q->drawn == q->ids[q->n_all + t->n_true]) {
        if (!q->o.ignore_end && sb_tokenizer_is_end(s->e->model->tok, q->drawn)) break;
        q->drawn = -1;
        draw_row(s, q, 0, ++t->n_true, 0);
    }
    sb_work_part *p = &s->e->parts[0];
    p->n_decode += t->n_true;
    p->n_rejected = t->n_guess - t->n_true;
    sb_guess_seen(q, t->n_guess, t->n_true);
}

/* Hands out the guesses that came true, also to one that is told to sleep meanwhile: they are
 * drawn. What was computed behind them is forgotten. */
static void follow(sb_sched *s, sb_seq_part *t)
{
    sb_seq *q = t->q;
    int32_t i = 0;
    while (i < t->n_true && !q->is_ending) {
        hand_out(s, q, q->ids[q->n_all]); /* it stands where it is put */
        i++;
    }
    if (q->is_ending) q->drawn = -1;
    const int32_t n_good = q->n_all - (q->drawn < 0 && !q->is_ending);
    t->n -= t->n_guess - i;
    t->n_guess = t->n_true = 0;
    /* Nothing of a window is gone that was there when the step began, so this cannot fail. */
    if (sb_session_rewind(q->session, n_good, &q->err) != SB_OK) fail_seq(q, &q->err);
}

/* One sequence after a step that computed n of its tokens. */
static void go_on(sb_sched *s, sb_seq *q, int32_t n)
{
    const int32_t n_pos = q->session->n_pos;
    const bool in_prompt = n_pos - n < q->o.n_ids && q->n_all == q->o.n_ids;
    if (n_pos > q->n_high) q->n_high = n_pos;
    sb_prefix_keep(s->prefix, q->session, q->ids, &q->mark);
    if (q->is_wanted && n_pos >= q->o.n_ids) {
        sb_prefix_keep_tail(s->prefix, q->session, q->ids, &q->mark);
        q->is_wanted = false;
    }
    if (in_prompt && q->o.on_prefill && !atomic_load(&q->cancelled))
        q->o.on_prefill(q->o.ctx, q->n_cached, n_pos, q->o.n_ids);
    const int32_t id = q->drawn;
    q->drawn = -1;
    if (id >= 0)
        hand_out(s, q, id);
    else if (n_pos == q->n_all && !q->is_ending &&
             !atomic_load(&q->cancelled)) /* nothing was to be drawn */
        end_seq(q, SB_SEQ_LENGTH);
}

/* Runs the parts as one step; false: it failed. */
static bool run_parts(sb_sched *s, sb_seq_part *parts, int32_t n, sb_error *err)
{
    for (int32_t i = 0; i < n; i++)
        s->spans[i] = span_of(&parts[i]);
    if (sb_engine_step(s->e, s->spans, n, err) != SB_OK) return false;
    const sb_work_record *r = sb_engine_record(s->e);
    const bool ahead = parts[0].n_guess > 0; /* then it is the only one */
    if (ahead) {
        draw_all(s, parts, n);
        draw_ahead(s, parts);
    }
    learn(s, parts, n, r);
    count(s, r);
    sb_rest_step(s->o.rest, r->cpu_ns);
    if (s->o.on_step) s->o.on_step(s->o.ctx, r);
    (void)pthread_mutex_lock(&s->lock);
    for (int32_t i = 0; i < n; i++) {
        const double work = ((double)r->parts[i].n_ops + (double)r->parts[i].kv_bytes) / s->row_ops;
        sb_sched_serve(parts[i].q, work);
        parts[i].q->last_step = r->i_step;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (ahead)
        follow(s, parts);
    else
        draw_all(s, parts, n);
    for (int32_t i = 0; i < n; i++)
        go_on(s, parts[i].q, parts[i].n);
    return true;
}

/* The model's file is gone: everybody fails, those that wait, too. */
static void fail_all(sb_sched *s, const sb_error *err)
{
    (void)pthread_mutex_lock(&s->lock);
    for (int32_t i = 0; i < s->n_run; i++)
        if (!s->run[i]->is_ending) fail_seq(s->run[i], err);
    for (sb_seq *q = s->first; q; q = q->next)
        fail_seq(q, err);
    (void)pthread_mutex_unlock(&s->lock);
}

void sb_sched_compute(sb_sched *s)
{
    sb_error err = {0};
    sb_prefix_tick(s->prefix);
    if (run_parts(s, s->parts, s->n_parts, &err)) return;
    if (err.code == SB_IO) {
        fail_all(s, &err);
        return;
    }
    for (int32_t i = 0; i < s->n_parts; i++) {
        sb_seq *q = s->parts[i].q;
        const int32_t n_guess = s->parts[i].n_guess; /* a guess may be to blame */
        s->parts[i].n -= n_guess;
        s->parts[i].n_guess = 0;
        if ((s->n_parts == 1 && !n_guess) || !run_parts(s, &s->parts[i], 1, &err))
            fail_seq(q, &err);
    }
}
