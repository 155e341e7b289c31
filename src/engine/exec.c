/* SPDX-License-Identifier: Apache-2.0
 * exec.c - runs the jobs of a batch: every thread walks the list, a barrier after each job.
 *
 * Which thread computes a row, a panel or a tile may vary; what it computes does not. So pieces are
 * taken from a counter, and a thread whose core is stolen does fewer of them. */
#include "engine/internal.h"
#include "kernels/pack.h"

#include <assert.h>
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

static void store_kv(const sb_engine *e, const sb_step *s, int32_t r)
{
    const sb_session *ses = e->batch.spans[e->batch.span_of[r]].s;
    const int32_t pos = e->batch.pos[r];
    const float *k = row_at(&e->rows[s->in[1]], r), *v = row_at(&e->rows[s->in[2]], r);
    for (int32_t h = 0; h < s->n_kv_head; h++) {
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
    else if (e->head_kind == SB_ACT_A8)
        e->kern.quant_a8(row_at(b, r), 0, k, k, dst);
    else
        e->kern.quant_a16(row_at(b, r), 0, k, k, dst);
}

void sb_engine_quantise(const sb_engine *e, const sb_job *j, int32_t r, int64_t k0, int64_t n)
{
    const sb_rows *b = &e->rows[j->q_buf];
    const int64_t k = e->model->plan.bufs[j->q_buf].width;
    if (j->q_acts & 1u << SB_ACT_A8)
        e->kern.quant_a8(row_at(b, r) + k0, k0, n, k,
                         b->act[SB_ACT_A8] + (size_t)r * b->act_stride[SB_ACT_A8]);
    if (j->q_acts & 1u << SB_ACT_A16)
        e->kern.quant_a16(row_at(b, r) + k0, k0, n, k,
                          b->act[SB_ACT_A16] + (size_t)r * b->act_stride[SB_ACT_A16]);
}

static void run_rows(sb_engine *e, const sb_job *j, int i_thread, int n_threads)
{
    const sb_plan *p = &e->model->plan;
    const int64_t n = e->batch.n_rows;
    const int32_t r1 = (int32_t)(n * (i_thread + 1) / n_threads);
    for (int32_t r = (int32_t)(n * i_thread / n_threads); r < r1; r++) {
        if (j->for_head && e->batch.logit_row[r] < 0) continue;
        for (int32_t i = 0; i < j->n; i++)
            run_row(e, &p->steps[j->first + i], r);
        if (j->store >= 0) store_kv(e, &p->steps[j->store], r);
        if (j->q_buf >= 0) quantise_row(e, j, r);
    }
}

/* Panels [first, first + n) of one weight for n_row rows, into y, with its bias. */
typedef struct product {
    const unsigned char *x;
    size_t x_stride;
    float *y;
    size_t y_stride;
    int32_t n_row, first, n;
    sb_act act;
} product;

static void run_product(const sb_engine *e, int32_t w, int32_t bias, const product *d)
{
    const sb_packed *p = &e->packed[w];
    const size_t c0 = (size_t)d->first * SB_PANEL;
    const sb_mm mm = {.w = p->panels + (size_t)d->first * p->panel_bytes,
                      .x = d->x,
                      .x_stride_bytes = d->x_stride,
                      .y = d->y + c0,
                      .y_stride = d->y_stride,
                      .k = (int32_t)e->model->weights[w].k,
                      .n_row = d->n_row,
                      .n_panel = d->n};
    e->kern.matmul[p->format][d->act](&mm);
    if (bias < 0) return;
    const sb_weight *b = &e->model->weights[bias];
    const int64_t left = b->k - (int64_t)c0,
                  n = (int64_t)d->n * SB_PANEL < left ? (int64_t)d->n * SB_PANEL : left;
    for (int32_t r = 0; r < d->n_row; r++)
        e->kern.add(mm.y + (size_t)r * mm.y_stride, e->packed[bias].vec + c0, n);
}

/* Few rows read weights as fast as memory gives them: one long stream a thread, cut where a piece
 * is long enough not to hurt, so that a thread whose core is stolen does fewer. */
static int32_t n_pieces(const sb_engine *e, size_t bytes)
{
    enum { FEW_ROWS = 4, PIECE_BYTES = 128 * 1024 };
    if (e->batch.n_rows > FEW_ROWS) return e->n_threads * 6;
    const size_t n = bytes / PIECE_BYTES, least = (size_t)e->n_threads;
    return (int32_t)(n < least ? least : n > 16 * least ? 16 * least : n);
}

/* The next run of panels out of `total`. Returns false when all are taken. */
static bool take_panels(sb_engine *e, int32_t i_job, int32_t pieces, int32_t total, int32_t *first,
                        int32_t *n)
{
    assert(pieces > 0);
    const int32_t run = (total + pieces - 1) / pieces;
    const int32_t i = atomic_fetch_add_explicit(&e->next[i_job], 1, memory_order_relaxed);
    if ((int64_t)i * run >= total) return false;
    *first = i * run;
    *n = total - *first < run ? total - *first : run;
    return true;
}

/* Walks the panels of a step's weights as one list. */
static void run_matmul(sb_engine *e, const sb_job *j, int32_t i_job)
{
    const sb_step *s = &e->model->plan.steps[j->first];
    int32_t total = 0, first = 0, n = 0;
    size_t bytes = 0;
    for (int32_t c = 0; c < s->n; c++) {
        total += e->packed[s->w[c]].n_panel;
        bytes += (size_t)e->packed[s->w[c]].n_panel * e->packed[s->w[c]].panel_bytes;
    }
    const int32_t pieces = n_pieces(e, bytes);
    const sb_rows *in = &e->rows[s->in[0]];
    while (take_panels(e, i_job, pieces, total, &first, &n)) {
        int32_t base = 0;
        for (int32_t c = 0; c < s->n; c++) {
            const sb_packed *p = &e->packed[s->w[c]];
            const int32_t a = first > base ? first - base : 0;
            const int32_t b = first + n - base < p->n_panel ? first + n - base : p->n_panel;
            base += p->n_panel;
            if (a >= b) continue;
            const sb_act act = sb_engine_act(e, &e->model->weights[s->w[c]], s->fine[c]);
            const bool f = act == SB_ACT_F32;
            const sb_rows *out = &e->rows[s->out[c]];
            const product d = {.x = f ? (const unsigned char *)in->f : in->act[act],
                               .x_stride = f ? in->stride * sizeof(float) : in->act_stride[act],
                               .y = out->f,
                               .y_stride = out->stride,
                               .n_row = e->batch.n_rows,
                               .first = a,
                               .n = b - a,
                               .act = act};
            run_product(e, s->w[c], s->b[c], &d);
        }
    }
}

/* True when every value of a run is a finite number. */
static bool all_finite(const float *x, int64_t n)
{
    uint32_t broken = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        broken |= (bits & 0x7f800000u) + 0x00800000u; /* the sign bit: exponent all ones */
    }
    return broken >> 31 == 0;
}

static void run_head(sb_engine *e, const sb_job *j, int32_t i_job)
{
    const sb_step *s = &e->model->plan.steps[j->first];
    if (e->batch.n_logits == 0) return;
    int32_t first = 0, n = 0;
    const sb_packed *w = &e->packed[s->w[0]];
    const int32_t pieces = n_pieces(e, (size_t)w->n_panel * w->panel_bytes);
    while (take_panels(e, i_job, pieces, w->n_panel, &first, &n)) {
        const product d = {.x = e->head_act,
                           .x_stride = e->head_stride,
                           .y = e->logits,
                           .y_stride = e->logits_stride,
                           .n_row = e->batch.n_logits,
                           .first = first,
                           .n = n,
                           .act = e->head_kind};
        run_product(e, s->w[0], -1, &d);
        for (int32_t r = 0; r < d.n_row; r++) {
            float *y = e->logits + (size_t)r * e->logits_stride + (size_t)first * SB_PANEL;
            if (s->softcap != 0) e->kern.softcap(y, s->softcap, (int64_t)n * SB_PANEL);
            if (!all_finite(y, (int64_t)n * SB_PANEL)) atomic_store(&e->broken, true);
        }
    }
}

static void run_attend(sb_engine *e, const sb_job *j, int32_t i_job, int i_thread)
{
    const sb_step *s = &e->model->plan.steps[j->first];
    const int32_t total = e->batch.n_tiles * s->n_kv_head;
    for (;;) {
        /* From the last tile down: the longest ones first. */
        const int32_t i = atomic_fetch_add_explicit(&e->next[i_job], 1, memory_order_relaxed);
        if (i >= total) return;
        sb_engine_attend(e, j, total - 1 - i, i_thread);
    }
}

static void exec_thread(void *arg, int i_thread, int n_threads)
{
    sb_engine *e = arg;
    for (int32_t i = 0; i < e->n_jobs; i++) {
        const sb_job *j = &e->jobs[i];
        switch (j->kind) {
        case SB_JOB_ROWS:
            run_rows(e, j, i_thread, n_threads);
            break;
        case SB_JOB_MATMUL:
            run_matmul(e, j, i);
            break;
        case SB_JOB_ATTEND:
            run_attend(e, j, i, i_thread);
            break;
        case SB_JOB_HEAD:
            run_head(e, j, i);
            break;
        }
        if (i + 1 < e->n_jobs) sb_pool_barrier(e->pool, i_thread);
    }
}

void sb_engine_exec(sb_engine *e)
{
    for (int32_t i = 0; i < e->n_jobs; i++)
        atomic_store_explicit(&e->next[i], 0, memory_order_relaxed);
    atomic_store(&e->broken, false);
    sb_pool_run(e->pool, exec_thread, e);
}
