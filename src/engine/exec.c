/* SPDX-License-Identifier: Apache-2.0
 * exec.c - runs the jobs of a batch: every thread walks the list, each job in pieces.
 *
 * Which thread computes a row, a panel or a tile may vary; what it computes does not. So each
 * thread begins with a share of a job's pieces, one stretch of weights, and then helps others with
 * theirs: a thread whose core is stolen does fewer. The next job begins when all pieces of this one
 * are done, whoever did them. A barrier was refused: it waits for every thread, also for one that
 * still sleeps or has nothing to do, and a worker that overslept the gap between two steps cost an
 * eighth of a step of one row. */
#include "engine/pack_cache.h"
#include "kernels/pack.h"

#include <string.h>

static float *row_at(const sb_rows *b, int32_t r)
{
    return b->f + (size_t)r * b->stride;
}

static void run_heads(const sb_engine *e, const sb_step *s, int32_t r)
{
    float *x = row_at(&e->rows[s->in[0]], r);
    const sb_kernels *k = &e->kern;
    for (int32_t h = 0; h < s->n_head; h++, x += s->head_dim) {
        if (s->op == SB_OP_HEAD_NORM) {
            k->rms_norm(x, e->packed[s->w[0]].vec, s->head_dim, s->eps, x);
            continue;
        }
        const sb_rope *rope = &e->model->plan.ropes[s->rope];
        const size_t at = (size_t)r * (size_t)rope->n_pair;
        const float *c = e->batch.cos[s->rope] + at, *sn = e->batch.sin[s->rope] + at;
        if (rope->layout == SB_ROPE_PAIRS)
            k->rope_pairs(x, c, sn, rope->n_pair);
        else
            k->rope_halves(x, c, sn, rope->n_pair);
    }
}

/* One row-local step for one row. */
static void run_row(const sb_engine *e, const sb_step *s, int32_t r)
{
    const sb_kernels *k = &e->kern;
    const sb_plan_buf *bufs = e->model->plan.bufs;
    float *out = row_at(&e->rows[s->out[0]], r);
    const int64_t n = bufs[s->out[0]].width;
    switch (s->op) {
    case SB_OP_EMBED: {
        const sb_weight *w = &e->model->weights[s->w[0]];
        const size_t row_bytes = sb_format_row_bytes(w->format, w->k);
        sb_unpack_row(w->format, w->data + (size_t)e->batch.token[r] * row_bytes, out, w->k);
        if (s->scale != 1) k->scale(out, s->scale, w->k);
        return;
    }
    case SB_OP_NORM:
        k->rms_norm(row_at(&e->rows[s->in[0]], r), e->packed[s->w[0]].vec, n, s->eps, out);
        return;
    case SB_OP_HEAD_NORM:
    case SB_OP_ROPE:
        run_heads(e, s, r);
        return;
    case SB_OP_GATE: {
        const float *g = row_at(&e->rows[s->in[0]], r), *u = row_at(&e->rows[s->in[1]], r);
        if (s->gate == SB_GATE_SILU)
            k->silu_mul(g, u, out, n);
        else
            k->gelu_mul(g, u, out, n);
        return;
    }
    case SB_OP_ADD:
        k->add(out, row_at(&e->rows[s->in[0]], r), n);
        return;
    case SB_OP_MATMUL:
    case SB_OP_ATTEND:
    case SB_OP_HEAD:
    case SB_OP_COUNT:
        break;
    }
    sb_unreachable("only row-local steps are gathered");
}

/* Keys of int8 pages are spread over their head first, and so are the queries that meet them
 * (attend.c): a dot product stays what it is, but no few large dims set the scale of all others.
 * Gemma 3 270M, 6 windows: the KL divergence from float32 falls from 0.0027 to 0.0014 (bf16:
 * 0.0010); values gain nothing from it. A key has no other reader, so it is done in place. */
static void store_kv(const sb_engine *e, const sb_step *s, int32_t r)
{
    const sb_session *ses = e->batch.spans[e->batch.span_of[r]].s;
    const int32_t pos = e->batch.pos[r];
    float *k = row_at(&e->rows[s->in[1]], r);
    const float *v = row_at(&e->rows[s->in[2]], r);
    for (int32_t h = 0; h < s->n_kv_head; h++) {
        if (e->opts.kv == SB_KV_I8) e->kern.hadamard(k + h * s->head_dim, s->head_dim);
        unsigned char *page = sb_kv_page(ses, s->kv, h, pos / SB_KV_PAGE);
        sb_kv_put_k(e->opts.kv, page, pos % SB_KV_PAGE, k + h * s->head_dim, s->head_dim);
        sb_kv_put_v(e->opts.kv, page + e->places[s->kv].v_offset, pos % SB_KV_PAGE,
                    v + h * s->head_dim, s->head_dim);
    }
}

/* Row r of a buffer as the next products read it. */
static void quantise_row(const sb_engine *e, const sb_job *j, int32_t r)
{
    const sb_rows *b = &e->rows[j->q_buf];
    const int64_t k = e->model->plan.bufs[j->q_buf].width;
    if (!j->for_head) {
        sb_engine_quantise(e, j, r, 0, k);
        return;
    }
    unsigned char *dst = e->head_act + (size_t)e->batch.logit_row[r] * e->head_stride;
    if (e->head_kind == SB_ACT_F32)
        memcpy(dst, row_at(b, r), (size_t)k * sizeof(float));
    else
        e->kern.quant_a8(row_at(b, r), 0, k, k, dst);
}

void sb_engine_quantise(const sb_engine *e, const sb_job *j, int32_t r, int64_t k0, int64_t n)
{
    const sb_rows *b = &e->rows[j->q_buf];
    const int64_t k = e->model->plan.bufs[j->q_buf].width;
    e->kern.quant_a8(row_at(b, r) + k0, k0, n, k, b->act + (size_t)r * b->act_stride);
}

/* Rows [r0, r1). */
static void run_rows(const sb_engine *e, const sb_job *j, int32_t r0, int32_t r1)
{
    const sb_plan *p = &e->model->plan;
    for (int32_t r = r0; r < r1; r++) {
        if (j->for_head && e->batch.logit_row[r] < 0) continue;
        for (int32_t i = 0; i < j->n; i++)
            run_row(e, &p->steps[j->first + i], r);
        if (j->store >= 0) store_kv(e, &p->steps[j->store], r);
        if (j->q_buf >= 0) quantise_row(e, j, r);
    }
}

/* The same panels, packed as many at a time as the thread's bench holds. What the file does not
 * give is left out: the step fails. */
static void run_mapped(sb_engine *e, int32_t w, sb_mm *mm, const sb_product *d, const sb_bench *b)
{
    const sb_packed *p = &e->packed[w];
    const int32_t most = (int32_t)(e->bench_bytes / p->panel_bytes);
    mm->w = b->panels;
    for (int32_t at = 0, n; at < d->n; at += n) {
        n = d->n - at < most ? d->n - at : most;
        for (int32_t j = 0; j < n; j++)
            if (!sb_engine_pack_panel(e, w, d->first + at + j, b,
                                      b->panels + (size_t)j * p->panel_bytes))
                atomic_store(&e->unread, true);
        if (atomic_load_explicit(&e->unread, memory_order_relaxed)) return;
        mm->y = d->y + (size_t)at * SB_PANEL;
        mm->n_panel = n;
        e->kern.matmul[p->format][d->act](mm);
    }
}

/* The same panels from a file that has not been looked at everywhere: run by run, so that a product
 * finds in its cache what was just summed. */
static void run_unseen(sb_engine *e, int32_t w, sb_mm *mm, const sb_product *d)
{
    const sb_packed *p = &e->packed[w];
    const int32_t end = d->first + d->n;
    for (int32_t at = d->first, to; at < end; at = to) {
        to = sb_pack_cache_touch(e, w, at);
        if (to > end) to = end;
        if (atomic_load_explicit(&e->unread, memory_order_relaxed)) return;
        mm->w = p->panels + (size_t)at * p->panel_bytes;
        mm->y = d->y + (size_t)(at - d->first) * SB_PANEL;
        mm->n_panel = to - at;
        e->kern.matmul[p->format][d->act](mm);
    }
}

void sb_engine_product(sb_engine *e, int32_t w, int32_t bias, const sb_product *d, int i_thread)
{
    const sb_packed *p = &e->packed[w];
    const size_t c0 = (size_t)d->first * SB_PANEL;
    sb_mm mm = {.x = d->x,
                .x_stride_bytes = d->x_stride,
                .y_stride = d->y_stride,
                .k = (int32_t)e->model->weights[w].k,
                .n_row = d->n_row};
    if (e->mapped) {
        run_mapped(e, w, &mm, d, &e->benches[i_thread]);
    } else if (e->cache && !sb_pack_cache_all_seen(e->cache)) {
        run_unseen(e, w, &mm, d);
    } else {
        mm.w = p->panels + (size_t)d->first * p->panel_bytes;
        mm.next = d->next;
        mm.y = d->y;
        mm.n_panel = d->n;
        e->kern.matmul[p->format][d->act](&mm);
    }
    if (bias < 0) return;
    const sb_weight *b = &e->model->weights[bias];
    const int64_t left = b->k - (int64_t)c0,
                  n = (int64_t)d->n * SB_PANEL < left ? (int64_t)d->n * SB_PANEL : left;
    for (int32_t r = 0; r < d->n_row; r++)
        e->kern.add(d->y + (size_t)r * d->y_stride, e->packed[bias].vec + c0, n);
}

enum { FEW_ROWS = 4, MANY_ROWS = 64 };

/* A job in pieces [0, n), each of `run` of its rows, panels or tiles but the last. */
typedef struct pieces {
    sb_engine *e;
    const sb_job *job;
    atomic_int *taken; /* [n_threads] of each thread's share */
    atomic_int *done;  /* of all */
    int32_t total, run, n;
    int32_t n_parts; /* ATTEND: of each tile and head */
    int i_thread;
} pieces;

/* Few rows read weights as fast as memory gives them: one long stream a thread, cut where a piece
 * is long enough not to hurt. With more rows a piece is work enough when it is shorter. */
static int32_t n_panel_pieces(const sb_engine *e, size_t bytes)
{
    enum { PIECE_BYTES = 128 * 1024, MOST = 16, MANY = 6 };
    const size_t n = bytes / PIECE_BYTES, n_threads = (size_t)e->n_now;
    const size_t least = e->batch.n_rows > FEW_ROWS ? MANY * n_threads : n_threads;
    return (int32_t)(n < least ? least : n > MOST * n_threads ? MOST * n_threads : n);
}

static pieces cut(sb_engine *e, int32_t i_job, int i_thread)
{
    enum { ROW_PIECES = 4 };
    const sb_job *j = &e->jobs[i_job];
    const sb_step *s = &e->model->plan.steps[j->first];
    pieces p = {.e = e, .job = j, .run = 1, .i_thread = i_thread};
    p.taken = e->next + (size_t)i_job * (size_t)(e->n_threads + 1);
    p.done = p.taken + e->n_threads;
    size_t bytes = 0;
    int32_t most = 0;
    switch (j->kind) {
    case SB_JOB_ROWS:
        p.total = e->batch.n_rows;
        most = ROW_PIECES * e->n_now;
        break;
    case SB_JOB_ATTEND:
        p.n_parts = sb_engine_attend_parts(e, s);
        p.total = most = e->batch.n_tiles * s->n_kv_head * p.n_parts;
        break;
    case SB_JOB_MATMUL:
    case SB_JOB_HEAD:
        for (int c = 0; c < 3; c++) {
            if (s->w[c] < 0) continue;
            p.total += e->packed[s->w[c]].n_panel;
            bytes += (size_t)e->packed[s->w[c]].n_panel * e->packed[s->w[c]].panel_bytes;
        }
        if (j->kind == SB_JOB_HEAD && e->batch.n_logits == 0) p.total = 0;
        most = n_panel_pieces(e, bytes);
        break;
    }
    if (p.total == 0) return p;
    p.run = (p.total + most - 1) / most;
    p.n = (p.total + p.run - 1) / p.run;
    return p;
}

/* The first piece of a thread's share. Of one piece it is the caller's, which is awake. */
static int32_t share(const pieces *p, int i_thread)
{
    const int32_t n = p->e->n_now;
    return (int32_t)(((int64_t)p->n * i_thread + n - 1) / n);
}

/* Panel `at` of a step's weights as one list; NULL where there is none in memory. */
static const unsigned char *panel_of(const sb_engine *e, const sb_step *s, int32_t at)
{
    for (int c = 0; c < 3 && s->w[c] >= 0; c++) {
        const sb_packed *w = &e->packed[s->w[c]];
        if (at < w->n_panel) return w->panels ? w->panels + (size_t)at * w->panel_bytes : NULL;
        at -= w->n_panel;
    }
    return NULL;
}

/* What a thread reads after the panel before `at`: the panel itself, or behind the thread's share
 * the first one of its share of the next product. Fetched in time, that one costs nothing; what
 * lies behind the share would be fetched for nobody. Few rows ask only a few KB ahead, many wait
 * for nothing. */
static const unsigned char *panel_next(const pieces *p, int32_t at)
{
    sb_engine *e = p->e;
    const sb_step *steps = e->model->plan.steps;
    if (e->batch.n_rows <= FEW_ROWS || e->batch.n_rows > MANY_ROWS) return NULL;
    if (at < p->run * share(p, p->i_thread + 1)) return panel_of(e, &steps[p->job->first], at);
    const pieces then = cut(e, p->job->then, p->i_thread);
    return panel_of(e, &steps[then.job->first], then.run * share(&then, p->i_thread));
}

/* Panels [first, first + n) of a step's weights as one list. */
static void run_matmul(const pieces *p, int32_t first, int32_t n)
{
    sb_engine *e = p->e;
    const sb_step *s = &e->model->plan.steps[p->job->first];
    const sb_rows *in = &e->rows[s->in[0]];
    int32_t base = 0;
    for (int32_t c = 0; c < s->n; c++) {
        const sb_packed *w = &e->packed[s->w[c]];
        const int32_t a = first > base ? first - base : 0;
        const int32_t b = first + n - base < w->n_panel ? first + n - base : w->n_panel;
        base += w->n_panel;
        if (a >= b) continue;
        const sb_act act = sb_engine_act(e, &e->model->weights[s->w[c]]);
        const bool f = act == SB_ACT_F32;
        const sb_rows *out = &e->rows[s->out[c]];
        const sb_product d = {.x = f ? (const unsigned char *)in->f : in->act,
                              .x_stride = f ? in->stride * sizeof(float) : in->act_stride,
                              .y = out->f + (size_t)a * SB_PANEL,
                              .y_stride = out->stride,
                              .n_row = e->batch.n_rows,
                              .first = a,
                              .n = b - a,
                              .act = act,
                              .next = panel_next(p, base - w->n_panel + b)};
        sb_engine_product(e, s->w[c], s->b[c], &d, p->i_thread);
    }
}

/* A piece nobody has taken, of the thread's own share first; -1 when there is none. */
static int32_t take(const pieces *p)
{
    const int n_threads = p->e->n_now;
    for (int k = 0; k < n_threads; k++) {
        const int t = (p->i_thread + k) % n_threads;
        const int32_t first = share(p, t), n = share(p, t + 1) - first;
        if (atomic_load_explicit(&p->taken[t], memory_order_relaxed) >= n) continue;
        const int32_t i = atomic_fetch_add_explicit(&p->taken[t], 1, memory_order_relaxed);
        if (i < n) return first + i;
    }
    return -1;
}

static void run_piece(const pieces *p, int32_t i)
{
    const int32_t first = i * p->run, n = p->total - first < p->run ? p->total - first : p->run;
    switch (p->job->kind) {
    case SB_JOB_ROWS:
        run_rows(p->e, p->job, first, first + n);
        return;
    case SB_JOB_MATMUL:
        run_matmul(p, first, n);
        return;
    case SB_JOB_ATTEND: /* from the last tile down: the longest ones first */
        sb_engine_attend(p->e, p->job, p->total - 1 - i, p->n_parts, p->i_thread);
        return;
    case SB_JOB_HEAD:
        sb_engine_head(p->e, p->job, first, n, p->i_thread);
        return;
    }
    sb_unreachable("every kind of job is listed");
}

/* Waits for the pieces that other threads still work on. */
static void settle(const pieces *p)
{
    for (;;) {
        const uint32_t mark = sb_pool_mark(p->e->pool);
        if (atomic_load_explicit(p->done, memory_order_acquire) == p->n) return;
        sb_pool_wait(p->e->pool, mark);
    }
}

static void exec_thread(void *arg, int i_thread, int n_threads)
{
    sb_engine *e = arg;
    (void)n_threads;
    for (int32_t i = 0; i < e->n_jobs; i++) {
        const pieces p = cut(e, i, i_thread);
        int32_t n = 0;
        for (int32_t k = take(&p); k >= 0; k = take(&p), n++)
            run_piece(&p, k);
        if (n && atomic_fetch_add_explicit(p.done, n, memory_order_acq_rel) + n == p.n)
            sb_pool_signal(e->pool);
        settle(&p);
    }
}

void sb_engine_exec(sb_engine *e)
{
    for (int32_t i = 0; i < e->n_jobs * (e->n_threads + 1); i++)
        atomic_store_explicit(&e->next[i], 0, memory_order_relaxed);
    atomic_store(&e->broken, false);
    atomic_store(&e->unread, false);
    if (e->n_now == e->n_threads) {
        sb_pool_run(e->pool, exec_thread, e);
    } else if (e->n_now == 1) {
        sb_pool_run_alone(e->pool, exec_thread, e);
    } else {
        sb_pool_set_few(e->pool, e->n_now); /* nothing, unless another engine had the pool */
        sb_pool_run_few(e->pool, exec_thread, e);
    }
}
