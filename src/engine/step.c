/* SPDX-License-Identifier: Apache-2.0
 * step.c - one step: spans checked, rows laid out, run, recorded. */
#include "base/clock.h"
#include "engine/pack_cache.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static sb_status check_span(const sb_engine *e, const sb_span *s, sb_error *err)
{
    if (!s->s || s->s->e != e || s->s->in_step || s->n < 1 || s->n_again < 0 || s->n_guess < 0 ||
        s->n_again > s->n - s->n_guess || s->n_top < 0 || s->n_top > SB_TOP_MOST)
        return SB_FAIL(err, SB_INVALID, "step: a span without tokens or session, or one twice");
    if (s->n > sb_session_room(s->s))
        return SB_FAIL(err, SB_LIMIT, "context is full: %d positions, %d more asked", s->s->n_pos,
                       s->n);
    for (int32_t i = 0; i < s->n; i++)
        if (s->ids[i] < 0 || s->ids[i] >= e->model->hp.n_vocab)
            return SB_FAIL(err, SB_INVALID, "token id %d is outside 0..%d", s->ids[i],
                           e->model->hp.n_vocab - 1);
    return SB_OK;
}

static void release_pages(const sb_span *spans, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        sb_kv_drop_from(spans[i].s, spans[i].s->n_pos);
}

static sb_status check_and_acquire(sb_engine *e, const sb_span *spans, int32_t n_spans,
                                   sb_error *err)
{
    int64_t n_rows = 0;
    sb_status status = n_spans > 0 ? SB_OK : SB_FAIL(err, SB_INVALID, "step: no span");
    int32_t n = 0;
    for (; n < n_spans && status == SB_OK; n++) {
        status = check_span(e, &spans[n], err);
        if (status != SB_OK) break;
        spans[n].s->in_step = true;
        n_rows += spans[n].n;
        if (n_rows > e->opts.n_rows)
            status = SB_FAIL(err, SB_LIMIT, "step: more than %d rows", e->opts.n_rows);
    }
    for (int32_t i = 0; i < n; i++)
        spans[i].s->in_step = false;
    for (n = 0; n < n_spans && status == SB_OK; n++) {
        status = sb_kv_acquire(spans[n].s, spans[n].n, err);
        if (status != SB_OK) release_pages(spans, n);
    }
    return status;
}

/* Cosines and sines of every row's position, from double angles. */
static void fill_ropes(sb_engine *e)
{
    sb_batch *b = &e->batch;
    for (int32_t i = 0; i < e->model->plan.n_ropes; i++) {
        const sb_rope *r = &e->model->plan.ropes[i];
        for (int32_t row = 0; row < b->n_rows; row++)
            for (int32_t p = 0; p < r->n_pair; p++) {
                const double angle = (double)b->pos[row] * (double)r->inv_freq[p];
                const size_t at = (size_t)row * (size_t)r->n_pair + (size_t)p;
                b->cos[i][at] = (float)cos(angle) * r->amplitude;
                b->sin[i][at] = (float)sin(angle) * r->amplitude;
            }
    }
}

static void fill_rows(sb_engine *e, const sb_span *spans, int32_t n_spans)
{
    sb_batch *b = &e->batch;
    memcpy(b->spans, spans, (size_t)n_spans * sizeof *spans);
    b->n_spans = n_spans;
    b->n_rows = b->n_logits = b->n_tiles = 0;
    b->n_whole = 0;
    bool decodes = true;
    for (int32_t i = 0; i < n_spans; i++) {
        const sb_span *s = &spans[i];
        b->span_row0[i] = b->n_rows;
        decodes = decodes && s->is_decode;
        for (int32_t t = 0; t < s->n; t++) {
            const int32_t r = b->n_rows++;
            const bool want = s->want == SB_WANT_ALL || (s->want == SB_WANT_LAST && t == s->n - 1);
            b->token[r] = s->ids[t];
            b->pos[r] = s->s->n_pos + t;
            b->span_of[r] = i;
            b->logit_row[r] = want ? b->n_logits : -1;
            if (want) {
                b->n_top[b->n_logits++] = s->n_top;
                b->n_whole += s->n_top == 0;
            }
            if (t % e->tile_rows == 0)
                b->tiles[b->n_tiles++] = (sb_tile){.span = i, .row0 = r, .n = 0};
            b->tiles[b->n_tiles - 1].n++;
        }
    }
    e->n_now = decodes && b->n_rows <= e->few_rows ? e->n_few : e->n_threads;
    sb_engine_clear_tops(e);
    fill_ropes(e);
    memset(e->own_ns, 0, (size_t)e->n_threads * (size_t)e->opts.n_rows * sizeof *e->own_ns);
}

static void fill_record(sb_engine *e, uint64_t begin_ns, uint64_t begin_cpu_ns)
{
    sb_work_record *r = &e->record;
    const sb_batch *b = &e->batch;
    e->head_work = (sb_work_shared){.bytes = e->head_bytes, .parts = e->head_parts};
    for (int32_t i = 0; i < b->n_spans; i++) {
        const sb_span *s = &b->spans[i];
        const uint64_t n_wanted = s->want == SB_WANT_ALL ? (uint64_t)s->n : s->want == SB_WANT_LAST;
        sb_work_part *p = &e->parts[i];
        if (n_wanted) e->head_parts[e->head_work.n_part++] = i;
        *p = (sb_work_part){.owner = s->s->owner,
                            .kv_bytes = sb_kv_bytes_read(e, s->s->n_pos, s->n),
                            .n_ops = (uint64_t)s->n * e->ops_per_row + n_wanted * e->head_ops};
        p->n_recomputed = s->n_again;
        *(s->is_decode ? &p->n_decode : &p->n_prefill) = s->n - s->n_again - s->n_guess;
        for (int t = 0; t < e->n_threads; t++)
            p->own_ns += e->own_ns[(size_t)t * (size_t)e->opts.n_rows + (size_t)i];
    }
    *r = (sb_work_record){.i_step = r->i_step + 1,
                          .begin_ns = begin_ns,
                          .end_ns = sb_now_ns(),
                          .cpu_ns = sb_pool_cpu_ns(e->pool) - begin_cpu_ns,
                          .n_threads = e->n_now,
                          .dense_bytes = e->body_bytes,
                          .n_shared = e->head_work.n_part > 0,
                          .shared = &e->head_work,
                          .n_part = b->n_spans,
                          .parts = e->parts};
}

static sb_status fail_broken(const sb_model *m, sb_error *err)
{
    const sb_weight *w = sb_model_find_broken(m);
    if (!w)
        return SB_FAIL(err, SB_CORRUPT,
                       "numeric error: the model gave a number that is not finite");
    return SB_FAIL(err, SB_CORRUPT,
                   "numeric error: tensor '%.*s' holds a number that is not finite", (int)w->name.n,
                   w->name.p);
}

sb_status sb_engine_step(sb_engine *e, const sb_span *spans, int32_t n_spans, sb_error *err)
{
    const uint64_t begin_ns = sb_now_ns(), begin_cpu_ns = sb_pool_cpu_ns(e->pool);
    SB_TRY(check_and_acquire(e, spans, n_spans, err));
    fill_rows(e, spans, n_spans);
    sb_engine_exec(e);
    if (e->cache && sb_pack_cache_settle(e)) {
        sb_engine_clear_tops(e);
        sb_engine_exec(e);
    }
    sb_status unchanged = sb_gguf_check(e->model->gguf, err);
    if (unchanged == SB_OK && atomic_load(&e->unread))
        unchanged = SB_FAIL(err, SB_IO, "the model's file cannot be read");
    if (unchanged != SB_OK) { /* rows of the embedding are read from the file; mapped, all are */
        release_pages(spans, n_spans);
        return unchanged;
    }
    if (atomic_load(&e->broken)) { /* a broken weight ends its answer, not the process */
        release_pages(spans, n_spans);
        return fail_broken(e->model, err);
    }
    sb_engine_join_tops(e);
    fill_record(e, begin_ns, begin_cpu_ns);
    sb_pages_step(&e->pages, e->record.end_ns - begin_ns);
    for (int32_t i = 0; i < n_spans; i++)
        spans[i].s->n_pos += spans[i].n;
    return SB_OK;
}

/* Where row i of a span has its logits; -1 when none are wanted. */
static int32_t logit_row(const sb_batch *b, int32_t i_span, int32_t i)
{
    if (i_span < 0 || i_span >= b->n_spans) return -1;
    const sb_span *s = &b->spans[i_span];
    if (s->want == SB_WANT_NONE || i < 0 || i >= (s->want == SB_WANT_ALL ? s->n : 1)) return -1;
    return b->logit_row[b->span_row0[i_span] + (s->want == SB_WANT_LAST ? s->n - 1 : i)];
}

const float *sb_engine_logits(const sb_engine *e, int32_t i_span, int32_t i)
{
    const int32_t r = logit_row(&e->batch, i_span, i);
    return r < 0 || e->batch.n_top[r] > 0 ? NULL : e->logits + (size_t)r * e->logits_stride;
}

const sb_top *sb_engine_top(const sb_engine *e, int32_t i_span, int32_t i)
{
    const int32_t r = logit_row(&e->batch, i_span, i);
    return r < 0 || e->batch.n_top[r] == 0 ? NULL : &e->tops[r];
}

const sb_work_record *sb_engine_record(const sb_engine *e)
{
    return &e->record;
}
