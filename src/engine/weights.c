/* SPDX-License-Identifier: Apache-2.0
 * weights.c - the model's weights as the kernels want them: matrices in panels, vectors in float32.
 *
 * Packing is a pure copy in another order (exact mode unpacks to float32 first), cut into panels
 * that the pool's threads take in turn. A panel's rows lie together in the file: a thread reads
 * them in one call into a buffer of its own, where packing finds them in its cache. Taken from the
 * mapping, 32 rows at once were 32 streams of cache misses and a page fault every few of them:
 * twice the time, and both copies in memory. */
#include "base/alloc.h"
#include "engine/pack_cache.h"
#include "kernels/pack.h"

#include <string.h>

static bool is_float(sb_format f)
{
    return f == SB_F_F32 || f == SB_F_F16 || f == SB_F_BF16;
}

sb_format sb_engine_panel_format(const sb_engine *e, const sb_weight *w)
{
    return e->opts.precision == SB_EXACT ? SB_F_F32 : w->format;
}

sb_act sb_engine_act(const sb_engine *e, const sb_weight *w)
{
    return is_float(sb_engine_panel_format(e, w)) ? SB_ACT_F32 : SB_ACT_A8;
}

void sb_engine_mark_weights(sb_engine *e)
{
    const sb_plan *p = &e->model->plan;
    for (int32_t i = 0; i < p->n_steps; i++) {
        const sb_step *s = &p->steps[i];
        if (s->op != SB_OP_MATMUL && s->op != SB_OP_HEAD) continue;
        for (int c = 0; c < 3; c++)
            if (s->w[c] >= 0) e->packed[s->w[c]].is_matrix = true;
    }
}

void sb_engine_layout_weights(sb_engine *e, sb_arena *a)
{
    for (int32_t i = 0; i < e->model->n_weights; i++) {
        const sb_weight *w = &e->model->weights[i];
        sb_packed *p = &e->packed[i];
        if (p->is_matrix) {
            p->format = sb_engine_panel_format(e, w);
            p->panel_bytes = sb_pack_panel_bytes(p->format, w->k);
            p->n_panel = (int32_t)((w->n_row + SB_PANEL - 1) / SB_PANEL);
            if (!e->mapped && !e->cache)
                p->panels = sb_arena_take(a, (size_t)p->n_panel, p->panel_bytes);
        } else if (w->n_row == 1) {
            p->vec = sb_arena_take(a, (size_t)w->k, sizeof(float));
        }
    }
}

/* The most that any matrix has of each. */
typedef struct widest {
    int64_t k;
    size_t row_bytes, panel_bytes, bytes; /* bytes: of all its panels */
} widest;

static widest widest_of(const sb_engine *e)
{
    widest m = {1, 1, 1, 1};
    for (int32_t i = 0; i < e->model->n_weights; i++) {
        const sb_weight *w = &e->model->weights[i];
        if (!e->packed[i].is_matrix) continue;
        const size_t row = sb_format_row_bytes(w->format, w->k), panel = e->packed[i].panel_bytes;
        if (w->k > m.k) m.k = w->k;
        if (row > m.row_bytes) m.row_bytes = row;
        if (panel > m.panel_bytes) m.panel_bytes = panel;
        if (panel * (size_t)e->packed[i].n_panel > m.bytes)
            m.bytes = panel * (size_t)e->packed[i].n_panel;
    }
    return m;
}

size_t sb_engine_row_bytes(const sb_engine *e)
{
    return widest_of(e).row_bytes;
}

void sb_engine_layout_benches(sb_engine *e, sb_arena *a)
{
    enum { RUN_BYTES = 192 * 1024 }; /* panels enough for a product; with their rows they fit L2 */
    const widest w = widest_of(e);
    if (!e->mapped) return;
    e->bench_bytes = w.bytes < RUN_BYTES ? w.bytes : RUN_BYTES;
    if (e->bench_bytes < w.panel_bytes) e->bench_bytes = w.panel_bytes;
    e->benches = sb_arena_take(a, (size_t)e->n_threads, sizeof *e->benches);
    for (int t = 0; t < e->n_threads; t++) {
        sb_bench b = {.rows = sb_arena_take(a, SB_PANEL, w.row_bytes)};
        if (e->opts.precision == SB_EXACT)
            b.f32 = sb_arena_take(a, SB_PANEL, (size_t)w.k * sizeof(float));
        b.panels = sb_arena_take(a, e->bench_bytes, 1);
        if (e->benches) e->benches[t] = b;
    }
}

/* Panels of all matrices, numbered through; each thread takes the next run. */
typedef struct pack_ctx {
    sb_engine *e;
    atomic_long next;
    long n_panels;
    uint64_t all_bytes; /* that are reported: twice the panels' when they are written, too */
    atomic_bool no_memory, unread, given_up;
} pack_ctx;

enum { PACK_RUN = 16 }; /* panels a thread takes at once */

bool sb_engine_pack_panel(const sb_engine *e, int32_t i, int32_t panel, const sb_bench *b,
                          unsigned char *dst)
{
    const sb_weight *w = &e->model->weights[i];
    const sb_packed *p = &e->packed[i];
    const size_t row_bytes = sb_format_row_bytes(w->format, w->k);
    const int64_t row0 = (int64_t)panel * SB_PANEL;
    const int32_t n = (int32_t)(w->n_row - row0 < SB_PANEL ? w->n_row - row0 : SB_PANEL);
    const sb_map *file = sb_gguf_map(e->model->gguf, w->i_shard);
    const size_t at = (size_t)w->offset + (size_t)row0 * row_bytes;
    if (!sb_map_read(file, at, b->rows, (size_t)n * row_bytes)) return false;
    if (p->format == w->format) {
        sb_pack_panel(p->format, b->rows, row_bytes, n, w->k, dst);
        return true;
    }
    for (int32_t r = 0; r < n; r++)
        sb_unpack_row(w->format, b->rows + (size_t)r * row_bytes, b->f32 + (size_t)r * (size_t)w->k,
                      w->k);
    sb_pack_panel(SB_F_F32, (const unsigned char *)b->f32, (size_t)w->k * sizeof(float), n, w->k,
                  dst);
    return true;
}

static bool writes_cache(const sb_engine *e)
{
    return e->opts.cache == SB_CACHE_WRITE && e->opts.precision == SB_FAST && !e->mapped &&
           !e->cache && e->model->gguf && sb_gguf_map(e->model->gguf, 0)->fd >= 0;
}

/* False when nobody waits for the rest. */
static bool report(const pack_ctx *c, long n_done)
{
    const sb_engine_opts *o = &c->e->opts;
    if (!o->on_pack) return true;
    const double share = (double)n_done / (double)c->n_panels;
    const double done = share * (double)c->e->matrix_bytes;
    return o->on_pack(o->pack_ctx, (uint64_t)done, c->all_bytes);
}

/* Panels [first, first + PACK_RUN) of all. */
static bool pack_run(const sb_engine *e, long first, const sb_bench *b)
{
    long base = 0;
    for (int32_t i = 0; i < e->model->n_weights && base < first + PACK_RUN; i++) {
        const sb_packed *p = &e->packed[i];
        if (!p->is_matrix) continue;
        const long end = base + p->n_panel;
        for (long j = first > base ? first : base; j < end && j < first + PACK_RUN; j++) {
            unsigned char *dst = p->panels + (size_t)(j - base) * p->panel_bytes;
            if (!sb_engine_pack_panel(e, i, (int32_t)(j - base), b, dst)) return false;
        }
        base = end;
    }
    return true;
}

static void pack_job(void *arg, int i_thread, int n_threads)
{
    (void)n_threads;
    pack_ctx *c = arg;
    const widest w = widest_of(c->e);
    const bool exact = c->e->opts.precision == SB_EXACT;
    const sb_bench b = {.rows = sb_alloc(w.row_bytes, SB_PANEL),
                        .f32 = exact ? sb_alloc((size_t)w.k, SB_PANEL * sizeof(float)) : NULL};
    if (!b.rows || (exact && !b.f32)) atomic_store(&c->no_memory, true);
    for (;;) {
        const long first = atomic_fetch_add(&c->next, PACK_RUN);
        if (first >= c->n_panels || atomic_load(&c->no_memory) || atomic_load(&c->unread) ||
            atomic_load(&c->given_up))
            break;
        if (i_thread == 0 && !report(c, first)) {
            atomic_store(&c->given_up, true);
            break;
        }
        if (!pack_run(c->e, first, &b)) atomic_store(&c->unread, true);
    }
    sb_free(b.rows);
    sb_free(b.f32);
}

/* False when the file did not give them. */
static bool copy_vectors(const sb_engine *e)
{
    for (int32_t i = 0; i < e->model->n_weights; i++) {
        const sb_weight *w = &e->model->weights[i];
        const sb_packed *p = &e->packed[i];
        if (p->is_matrix || !p->vec) continue;
        const sb_map *file = sb_gguf_map(e->model->gguf, w->i_shard);
        if (!sb_map_read(file, (size_t)w->offset, (float *)(uintptr_t)p->vec, w->bytes))
            return false;
    }
    return true;
}

sb_status sb_engine_pack(sb_engine *e, sb_error *err)
{
    pack_ctx c = {.e = e};
    for (int32_t i = 0; i < e->model->n_weights; i++) {
        const sb_packed *p = &e->packed[i];
        c.n_panels += p->is_matrix ? p->n_panel : 0;
        e->matrix_bytes += p->is_matrix ? (uint64_t)p->n_panel * p->panel_bytes : 0;
    }
    c.all_bytes = e->matrix_bytes * (writes_cache(e) ? 2 : 1);
    atomic_store(&c.unread, !copy_vectors(e));
    if (!e->mapped && !e->cache) sb_pool_run(e->pool, pack_job, &c);
    if (atomic_load(&c.no_memory))
        return SB_FAIL(err, SB_NO_MEMORY, "packing weights: out of memory");
    if (atomic_load(&c.given_up)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
    if (!atomic_load(&c.unread)) return writes_cache(e) ? sb_pack_cache_write(e, err) : SB_OK;
    SB_TRY(sb_gguf_check(e->model->gguf, err)); // says which file, when it was cut short
    return SB_FAIL(err, SB_IO, "packing weights: the model's file cannot be read");
}
