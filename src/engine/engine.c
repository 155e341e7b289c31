/* SPDX-License-Identifier: Apache-2.0
 * engine.c - making and freeing an engine and its sessions. Every buffer of a step is cut from one
 * arena by layout(), which the memory plan runs on a measuring arena. */
#include "engine/engine.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/machine.h"
#include "engine/pack_cache.h"
#include "kernels/pack.h"

#include <string.h>

enum { TILE_ROWS = 48 }; /* query rows (tokens x heads) of one attention tile */

static sb_status check_opts(const sb_engine_opts *o, sb_error *err)
{
    const struct {
        const char *name;
        int32_t v, max;
    } range[] = {
        {"context", o->n_ctx, SB_MAX_CTX},
        {"sessions", o->n_sessions, SB_MAX_SESSIONS},
        {"rows", o->n_rows, SB_MAX_BATCH_ROWS},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(range); i++)
        if (range[i].v < 1 || range[i].v > range[i].max)
            return SB_FAIL(err, SB_INVALID, "%s: %d is outside 1..%d", range[i].name, range[i].v,
                           range[i].max);
    if (o->cache > SB_CACHE_WRITE) return SB_FAIL(err, SB_INVALID, "unknown use of packed weights");
    if (o->weights > SB_WEIGHTS_MAPPED)
        return SB_FAIL(err, SB_INVALID, "unknown way to keep weights");
    if (o->kv > SB_KV_AUTO) return SB_FAIL(err, SB_INVALID, "unknown KV type");
    return SB_OK;
}

/* Largest query group and head of any attention. */
static void attention_sizes(const sb_model *m, int32_t *group, int32_t *head_dim)
{
    *group = *head_dim = 1;
    for (int32_t i = 0; i < m->plan.n_steps; i++) {
        const sb_step *s = &m->plan.steps[i];
        if (s->op != SB_OP_ATTEND) continue;
        if (s->n_head / s->n_kv_head > *group) *group = s->n_head / s->n_kv_head;
        if (s->head_dim > *head_dim) *head_dim = s->head_dim;
    }
}

static void layout_batch(sb_engine *e, sb_arena *a)
{
    const size_t n = (size_t)e->opts.n_rows;
    sb_batch *b = &e->batch;
    b->spans = sb_arena_take(a, n, sizeof *b->spans);
    b->token = sb_arena_take(a, n, sizeof *b->token);
    b->pos = sb_arena_take(a, n, sizeof *b->pos);
    b->span_of = sb_arena_take(a, n, sizeof *b->span_of);
    b->logit_row = sb_arena_take(a, n, sizeof *b->logit_row);
    b->n_top = sb_arena_take(a, n, sizeof *b->n_top);
    b->span_row0 = sb_arena_take(a, n, sizeof *b->span_row0);
    b->tiles = sb_arena_take(a, n, sizeof *b->tiles);
    for (int32_t i = 0; i < e->model->plan.n_ropes; i++) {
        const size_t n_pair = (size_t)e->model->plan.ropes[i].n_pair;
        b->cos[i] = sb_arena_take(a, n * n_pair, sizeof(float));
        b->sin[i] = sb_arena_take(a, n * n_pair, sizeof(float));
    }
    e->parts = sb_arena_take(a, n, sizeof *e->parts);
    e->head_parts = sb_arena_take(a, n, sizeof *e->head_parts);
}

/* All memory a step touches besides weights, pages and logits. */
static void layout(sb_engine *e, sb_arena *a)
{
    const sb_plan *p = &e->model->plan;
    const size_t n = (size_t)e->opts.n_rows;
    layout_batch(e, a);
    for (int32_t i = 0; i < p->n_bufs; i++) {
        sb_rows *b = &e->rows[i];
        const int64_t width = SB_ALIGN_UP(p->bufs[i].width, SB_PANEL);
        b->stride = (size_t)width;
        b->f = sb_arena_take(a, n * b->stride, sizeof *b->f);
        b->act_stride = sb_act_row_bytes(SB_ACT_A8, width);
        b->act = sb_arena_take(a, n, b->act_stride);
    }
    const int32_t k = p->bufs[p->steps[p->n_steps - 1].in[0]].width;
    e->head_stride = sb_act_row_bytes(e->head_kind, k);
    e->head_act = sb_arena_take(a, n, e->head_stride);
    e->head_y = sb_arena_take(a, (size_t)e->n_threads, sizeof *e->head_y);
    for (int i = 0; i < e->n_threads; i++) {
        float *y = sb_arena_take(a, sb_engine_head_floats(e), sizeof *y);
        if (e->head_y) e->head_y[i] = y;
    }
    e->tops = sb_arena_take(a, (size_t)e->n_threads * n, sizeof *e->tops);
    int32_t group = 1, head_dim = 1;
    attention_sizes(e->model, &group, &head_dim);
    e->tile_rows = group < TILE_ROWS ? TILE_ROWS / group : 1;
    const size_t rows = (size_t)SB_ALIGN_UP(e->tile_rows * group, 16);
    e->scratch_floats =
        rows * (size_t)(2 * head_dim + 4) + sb_attn_scratch_floats((int32_t)rows, head_dim);
    e->scratch = sb_arena_take(a, (size_t)e->n_threads, sizeof *e->scratch);
    for (int i = 0; i < e->n_threads; i++) {
        float *s = sb_arena_take(a, e->scratch_floats, sizeof *s);
        if (e->scratch) e->scratch[i] = s;
    }
    e->split_segments = (e->opts.n_ctx + SB_KV_SEGMENT - 1) / SB_KV_SEGMENT;
    e->split_floats = sb_engine_split_floats(group, head_dim);
    const size_t n_split = SB_SPLIT_UNITS * (size_t)e->split_segments;
    e->split = sb_arena_take(a, n_split, e->split_floats * sizeof *e->split);
    e->split_done = sb_arena_take(a, SB_SPLIT_UNITS, sizeof *e->split_done);
    sb_engine_layout_benches(e, a);
    e->own_ns = sb_arena_take(a, (size_t)e->n_threads * n, sizeof *e->own_ns);
    e->next = sb_arena_take(a, (size_t)e->n_jobs * (size_t)(e->n_threads + 1), sizeof *e->next);
}

/* Tables that depend on model and options only; shared by the real engine and the memory plan. */
static sb_status prepare(sb_engine *e, sb_error *err)
{
    const sb_model *m = e->model;
    SB_TRY(check_opts(&e->opts, err));
    e->packed = sb_calloc((size_t)m->n_weights, sizeof *e->packed);
    e->places = sb_calloc((size_t)m->plan.n_kvs, sizeof *e->places);
    if (!e->packed || !e->places) return SB_FAIL(err, SB_NO_MEMORY, "engine: out of memory");
    sb_engine_mark_weights(e);
    SB_TRY(sb_engine_make_jobs(e, err));
    SB_TRY(sb_kv_plan(e, err));
    e->logits_stride = (size_t)SB_ALIGN_UP((int64_t)m->hp.n_vocab, SB_PANEL);
    e->logits_bytes = e->logits_stride * (size_t)e->opts.n_rows * sizeof(float);
    return SB_OK;
}

static void free_tables(sb_engine *e)
{
    sb_free(e->jobs);
    sb_free(e->places);
    sb_free(e->packed);
}

/* Bytes of the two arenas. */
typedef struct sizes {
    size_t panels, work;
} sizes;

static sizes measure(sb_engine *e)
{
    sb_arena panels, work;
    sb_arena_measure(&panels);
    sb_arena_measure(&work);
    sb_engine_layout_weights(e, &panels);
    layout(e, &work);
    return (sizes){panels.used, work.used};
}

sb_status sb_engine_plan_memory(const sb_model *m, const sb_engine_opts *o, int n_threads,
                                sb_memory_plan *out, sb_error *err)
{
    sb_engine e = {.model = m, .opts = *o, .n_threads = n_threads};
    const sb_status s = prepare(&e, err);
    if (s == SB_OK) {
        e.mapped = o->weights == SB_WEIGHTS_MAPPED;
        const sizes z = measure(&e);
        *out = (sb_memory_plan){.packed_bytes = z.panels,
                                .kv = e.opts.kv,
                                .work_bytes = z.work,
                                .logits_bytes = e.logits_bytes};
        for (int32_t i = 0; i < e.n_groups; i++)
            out->kv_bytes += e.groups[i].bytes;
    }
    free_tables(&e);
    return s;
}

/* Multiply-adds and bytes of the products, for the record. */
static void count_work(sb_engine *e)
{
    const sb_plan *p = &e->model->plan;
    for (int32_t i = 0; i < p->n_steps; i++) {
        const sb_step *s = &p->steps[i];
        if (s->op != SB_OP_MATMUL && s->op != SB_OP_HEAD) continue;
        for (int c = 0; c < 3; c++) {
            if (s->w[c] < 0) continue;
            const sb_weight *w = &e->model->weights[s->w[c]];
            const uint64_t ops = (uint64_t)w->k * (uint64_t)w->n_row;
            const uint64_t bytes =
                e->packed[s->w[c]].panel_bytes * (uint64_t)e->packed[s->w[c]].n_panel;
            *(s->op == SB_OP_HEAD ? &e->head_ops : &e->ops_per_row) += ops;
            *(s->op == SB_OP_HEAD ? &e->head_bytes : &e->body_bytes) += bytes;
        }
    }
}

/* False when nobody chose and the packed copy would take more than there is. Counted are the pages
 * of all sessions, too: they fill later, when nothing can be done about it any more. */
static bool fits(const sb_engine *e, const sizes *packed)
{
    if (e->opts.weights != SB_WEIGHTS_AUTO) return true;
    uint64_t room = e->opts.memory_bytes, need = (uint64_t)packed->panels + packed->work;
    if (!room) {
        sb_machine_memory m;
        if (sb_machine_memory_read(NULL, &m, NULL) != SB_OK) return true;
        room = sb_machine_spare_bytes(&m);
    }
    for (int32_t i = 0; i < e->n_groups; i++)
        need += e->groups[i].bytes;
    return need <= room;
}

static sb_status open_engine(sb_engine *e, sb_error *err)
{
    SB_TRY(prepare(e, err));
    sb_kernels_init(&e->kern, e->opts.cap);
    sizes z = measure(e);
    sb_pack_cache_open(e); // pages of a file: memory that the kernel may take back
    e->mapped = !e->cache && (e->opts.weights == SB_WEIGHTS_MAPPED || !fits(e, &z));
    if (e->mapped || e->cache) z = measure(e);
    SB_TRY(sb_arena_init(&e->panels, z.panels, err));
    SB_TRY(sb_arena_init(&e->work, z.work, err));
    sb_pages_init(&e->pages, e->panels.p, e->panels.cap);
    sb_engine_layout_weights(e, &e->panels);
    layout(e, &e->work);
    e->logits = sb_big_alloc(e->logits_bytes);
    if (!e->logits) return SB_FAIL(err, SB_NO_MEMORY, "logits: out of memory");
    SB_TRY(sb_kv_open(e, err));
    SB_TRY(sb_engine_pack(e, err));
    e->opts.pulled_as = NULL; // borrowed until here
    count_work(e);
    return sb_gguf_check(e->model->gguf, err);
}

sb_status sb_engine_new(sb_engine **out, const sb_model *m, sb_pool *pool, const sb_engine_opts *o,
                        sb_error *err)
{
    sb_engine *e = sb_calloc(1, sizeof *e);
    if (!e) return SB_FAIL(err, SB_NO_MEMORY, "engine: out of memory");
    e->model = m;
    e->pool = pool;
    e->opts = *o;
    e->n_threads = sb_pool_n_threads(pool);
    sb_engine_set_decode_threads(e, o->n_decode_threads, 0);
    const sb_status s = open_engine(e, err);
    if (s == SB_OK)
        *out = e;
    else
        sb_engine_free(e);
    return s;
}

void sb_engine_free(sb_engine *e)
{
    if (!e) return;
    sb_kv_close(e);
    sb_big_free(e->logits, e->logits_bytes);
    sb_arena_deinit(&e->work);
    sb_arena_deinit(&e->panels);
    sb_pack_cache_close(e->cache);
    free_tables(e);
    sb_free(e);
}

void sb_engine_join_pages(sb_engine *e)
{
    sb_pages_finish(&e->pages);
}

void sb_engine_set_decode_threads(sb_engine *e, int n, int32_t max_rows)
{
    e->few_rows = max_rows > 0 ? max_rows : SB_MAX_BATCH_ROWS;
    e->n_few = n < 1 || n > e->n_threads ? e->n_threads : n;
}

int sb_engine_n_threads(const sb_engine *e)
{
    return e->n_threads;
}

sb_level sb_engine_level(const sb_engine *e)
{
    return e->kern.level;
}

sb_kv_type sb_engine_kv(const sb_engine *e)
{
    return e->opts.kv;
}

const sb_model *sb_engine_model(const sb_engine *e)
{
    return e->model;
}

bool sb_engine_has_cache(const sb_engine *e)
{
    return e->cache != NULL;
}

bool sb_engine_is_mapped(const sb_engine *e)
{
    return e->mapped;
}
