/* SPDX-License-Identifier: Apache-2.0
 * attend.c - attention of one tile: a few consecutive tokens of one session, all query heads of one
 * KV head, over segments of 256 absolute positions in order.
 *
 * A decoded token is one tile a KV head, and small models have few of those: three heads on two
 * threads leave one idle for a third of the time. Long ones are cut into parts then. The first part
 * goes on as ever; of the others each segment is computed into a state of its own, and whoever is
 * last joins them in order: the same additions, the same bits. */
#include "base/clock.h"
#include "engine/internal.h"

#include <string.h>

enum { PART_SEGMENTS = 2 }; /* fewer are not worth a part */

/* A thread's scratch, cut up: queries, state and limits of the tile's rows, then the kernel's
 * own. */
typedef struct tile_mem {
    float *q, *m, *l, *acc, *kernel;
    int32_t *lo, *hi;
} tile_mem;

static tile_mem cut_scratch(float *p, int32_t n_row, int32_t head_dim)
{
    const size_t n = (size_t)SB_ALIGN_UP(n_row, 16), nd = n * (size_t)head_dim;
    tile_mem t = {.q = p, .acc = p + nd, .m = p + 2 * nd, .l = p + 2 * nd + n};
    t.lo = (int32_t *)(void *)(p + 2 * nd + 2 * n);
    t.hi = t.lo + n;
    t.kernel = p + 2 * nd + 4 * n;
    return t;
}

static int32_t clamp(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Sets what each row sees of the segment at position seg0, and the pages. */
static void aim(const sb_engine *e, const sb_step *s, const sb_tile *t, int32_t head, int32_t seg0,
                sb_attn *a, tile_mem *mem)
{
    const sb_session *ses = e->batch.spans[t->span].s;
    const int32_t group = s->n_head / s->n_kv_head;
    for (int32_t i = 0; i < t->n; i++) {
        const int32_t pos = e->batch.pos[t->row0 + i];
        const int32_t first = s->window && pos - s->window + 1 > 0 ? pos - s->window + 1 : 0;
        for (int32_t h = 0; h < group; h++) {
            mem->lo[i * group + h] = clamp(first - seg0, 0, SB_KV_SEGMENT);
            mem->hi[i * group + h] = clamp(pos + 1 - seg0, 0, SB_KV_SEGMENT);
        }
    }
    for (int32_t b = 0; b < SB_KV_SEGMENT / SB_KV_PAGE; b++) {
        const int32_t block = seg0 / SB_KV_PAGE + b;
        const int32_t n_blocks = e->groups[e->places[s->kv].group].n_blocks;
        unsigned char *page = block < n_blocks ? sb_kv_page(ses, s->kv, head, block) : NULL;
        a->k_page[b] = page;
        a->v_page[b] = page ? page + e->places[s->kv].v_offset : NULL;
    }
}

/* Divides by the sum of weights into the output rows, and quantises them where the job says so. */
static void finish(const sb_engine *e, const sb_job *j, const sb_tile *t, int32_t head,
                   const tile_mem *mem)
{
    const sb_step *s = &e->model->plan.steps[j->first];
    const int32_t group = s->n_head / s->n_kv_head, d = s->head_dim;
    const sb_rows *out = &e->rows[s->out[0]];
    const int64_t c0 = (int64_t)head * group * d;
    for (int32_t i = 0; i < t->n; i++) {
        const size_t r = (size_t)(t->row0 + i);
        float *y = out->f + r * out->stride + c0;
        memcpy(y, mem->acc + (size_t)(i * group * d), (size_t)(group * d) * sizeof *y);
        for (int32_t h = 0; h < group; h++)
            e->kern.scale(y + h * d, 1 / mem->l[i * group + h], d);
        if (j->q_buf >= 0) sb_engine_quantise(e, j, (int32_t)r, c0, group * d);
    }
}

/* The segments a step's attention sees of a tile: [*first, *end). */
static void segments_of(const sb_engine *e, const sb_step *s, const sb_tile *t, int32_t *first,
                        int32_t *end)
{
    const int32_t pos0 = e->batch.pos[t->row0], pos1 = pos0 + t->n - 1;
    const int32_t seen = s->window && pos0 - s->window + 1 > 0 ? pos0 - s->window + 1 : 0;
    *first = seen / SB_KV_SEGMENT;
    *end = pos1 / SB_KV_SEGMENT + 1;
}

int32_t sb_engine_attend_parts(const sb_engine *e, const sb_step *s)
{
    enum { PIECES_PER_THREAD = 4 };
    const sb_batch *b = &e->batch;
    const int32_t n_unit = b->n_tiles * s->n_kv_head, wanted = PIECES_PER_THREAD * e->n_now;
    if (b->n_tiles != b->n_rows || n_unit > SB_SPLIT_UNITS || n_unit >= wanted ||
        n_unit % e->n_now == 0)
        return 1;
    int32_t most = 0;
    for (int32_t i = 0; i < b->n_tiles; i++) {
        int32_t first, end;
        segments_of(e, s, &b->tiles[i], &first, &end);
        if (end - first > most) most = end - first;
    }
    const int32_t parts = (wanted + n_unit - 1) / n_unit, longest = most / PART_SEGMENTS;
    return parts < longest ? parts : longest > 1 ? longest : 1;
}

size_t sb_engine_split_floats(int32_t group, int32_t head_dim)
{
    return (size_t)SB_ALIGN_UP(group, 16) * 2 + (size_t)group * (size_t)head_dim;
}

/* Where a segment of a tile that is cut keeps what it found. */
static void use_slot(const sb_engine *e, const sb_step *s, int32_t unit, int32_t i_segment,
                     tile_mem *mem)
{
    const int32_t group = s->n_head / s->n_kv_head;
    const size_t at = (size_t)unit * (size_t)e->split_segments + (size_t)i_segment;
    mem->m = e->split + at * e->split_floats;
    mem->l = mem->m + SB_ALIGN_UP(group, 16);
    mem->acc = mem->l + SB_ALIGN_UP(group, 16);
}

static void forget(const tile_mem *mem, int32_t n_row, int32_t d)
{
    memset(mem->l, 0, (size_t)n_row * sizeof *mem->l);
    memset(mem->m, 0, (size_t)n_row * sizeof *mem->m);
    memset(mem->acc, 0, (size_t)(n_row * d) * sizeof *mem->acc);
}

/* A piece of attention: one tile, one KV head, and of its segments all or a part. */
typedef struct attend {
    sb_engine *e;
    const sb_job *j;
    const sb_step *s;
    const sb_tile *t;
    int32_t head, n_row;
    int32_t unit, part, n_parts;
    int32_t first, end; /* segments of the tile */
    sb_attn a;
    tile_mem mem;
} attend;

static void run_segment(attend *x, int32_t segment)
{
    aim(x->e, x->s, x->t, x->head, segment * SB_KV_SEGMENT, &x->a, &x->mem);
    x->a.m = x->mem.m;
    x->a.l = x->mem.l;
    x->a.acc = x->mem.acc;
    x->e->kern.attn[x->e->opts.kv](&x->a);
}

/* Where part p begins, in segments of the tile. The first is never empty: it holds the sum. */
static int32_t part_at(const attend *x, int32_t p)
{
    const int32_t at = (x->end - x->first) * p / x->n_parts;
    return p > 0 && at == 0 ? 1 : at;
}

/* The part's segments: one after the other in the first part, apart in the others. */
static void run_part(attend *x)
{
    const int32_t begin = part_at(x, x->part), end = part_at(x, x->part + 1);
    for (int32_t i = begin; i < end; i++) {
        if (x->n_parts > 1) use_slot(x->e, x->s, x->unit, x->part == 0 ? 0 : i, &x->mem);
        if (i == begin || x->part > 0) forget(&x->mem, x->n_row, x->s->head_dim);
        run_segment(x, x->first + i);
    }
}

/* All parts joined to the first, in order. False while others are under way. */
static bool join_parts(attend *x)
{
    if (x->n_parts == 1) return true;
    atomic_int *done = &x->e->split_done[x->unit];
    if (atomic_fetch_add_explicit(done, 1, memory_order_acq_rel) + 1 < x->n_parts) return false;
    atomic_store_explicit(done, 0, memory_order_relaxed);
    const int32_t n = x->end - x->first, d = x->s->head_dim;
    tile_mem later = x->mem;
    use_slot(x->e, x->s, x->unit, 0, &x->mem);
    for (int32_t i = part_at(x, 1); i < n; i++) {
        use_slot(x->e, x->s, x->unit, i, &later);
        for (int32_t r = 0; r < x->n_row; r++)
            x->e->kern.attn_merge(&x->mem.m[r], &x->mem.l[r], x->mem.acc + (size_t)(r * d),
                                  later.m[r], later.l[r], later.acc + (size_t)(r * d), d);
    }
    return true;
}

/* The tile's queries, and the state and scratch of a thread. */
static void aim_queries(attend *x, int i_thread)
{
    const sb_engine *e = x->e;
    const sb_step *s = x->s;
    const sb_tile *t = x->t;
    const int32_t group = s->n_head / s->n_kv_head, d = s->head_dim;
    x->n_row = t->n * group;
    x->mem = cut_scratch(e->scratch[i_thread], x->n_row, d);
    const sb_rows *q = &e->rows[s->in[0]];
    for (int32_t i = 0; i < t->n; i++)
        memcpy(x->mem.q + (size_t)(i * group * d),
               q->f + (size_t)(t->row0 + i) * q->stride + (size_t)(x->head * group * d),
               (size_t)(group * d) * sizeof *x->mem.q);
    for (int32_t i = 0; e->opts.kv == SB_KV_I8 && i < x->n_row; i++)
        e->kern.hadamard(x->mem.q + (size_t)i * (size_t)d, d); /* as keys were, see exec.c */
    x->a = (sb_attn){.q = x->mem.q,
                     .q_stride = (size_t)d,
                     .lo = x->mem.lo,
                     .hi = x->mem.hi,
                     .n_row = x->n_row,
                     .head_dim = d,
                     .scale = s->scale,
                     .softcap = s->softcap,
                     .scratch = x->mem.kernel};
}

void sb_engine_attend(sb_engine *e, const sb_job *j, int32_t piece, int32_t n_parts, int i_thread)
{
    const uint64_t begin_ns = sb_now_ns();
    attend x = {.e = e,
                .j = j,
                .s = &e->model->plan.steps[j->first],
                .unit = piece / n_parts,
                .part = piece % n_parts,
                .n_parts = n_parts};
    x.t = &e->batch.tiles[x.unit / x.s->n_kv_head];
    x.head = x.unit % x.s->n_kv_head;
    segments_of(e, x.s, x.t, &x.first, &x.end);
    aim_queries(&x, i_thread);
    run_part(&x);
    if (join_parts(&x)) finish(e, j, x.t, x.head, &x.mem);
    e->own_ns[(size_t)i_thread * (size_t)e->opts.n_rows + (size_t)x.t->span] +=
        sb_now_ns() - begin_ns;
}
