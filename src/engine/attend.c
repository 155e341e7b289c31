/* SPDX-License-Identifier: Apache-2.0
 * attend.c - attention of one tile: a few consecutive tokens of one session, all query heads of one
 * KV head, over segments of 256 absolute positions in order. */
#include "base/clock.h"
#include "engine/internal.h"

#include <string.h>

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

void sb_engine_attend(sb_engine *e, const sb_job *j, int32_t piece, int i_thread)
{
    const uint64_t begin_ns = sb_now_ns();
    const sb_step *s = &e->model->plan.steps[j->first];
    const sb_tile *t = &e->batch.tiles[piece / s->n_kv_head];
    const int32_t head = piece % s->n_kv_head, group = s->n_head / s->n_kv_head, d = s->head_dim;
    const int32_t n_row = t->n * group;
    tile_mem mem = cut_scratch(e->scratch[i_thread], n_row, d);
    const sb_rows *q = &e->rows[s->in[0]];
    for (int32_t i = 0; i < t->n; i++)
        memcpy(mem.q + (size_t)(i * group * d),
               q->f + (size_t)(t->row0 + i) * q->stride + (size_t)(head * group * d),
               (size_t)(group * d) * sizeof *mem.q);
    for (int32_t i = 0; e->opts.kv == SB_KV_I8 && i < n_row; i++)
        e->kern.hadamard(mem.q + (size_t)i * (size_t)d, d); /* as keys were, see exec.c */
    memset(mem.l, 0, (size_t)n_row * sizeof *mem.l);
    memset(mem.m, 0, (size_t)n_row * sizeof *mem.m);
    memset(mem.acc, 0, (size_t)(n_row * d) * sizeof *mem.acc);
    sb_attn a = {.q = mem.q,
                 .q_stride = (size_t)d,
                 .lo = mem.lo,
                 .hi = mem.hi,
                 .n_row = n_row,
                 .head_dim = d,
                 .scale = s->scale,
                 .softcap = s->softcap,
                 .m = mem.m,
                 .l = mem.l,
                 .acc = mem.acc,
                 .scratch = mem.kernel};
    const int32_t pos0 = e->batch.pos[t->row0], pos1 = pos0 + t->n - 1;
    const int32_t first = s->window && pos0 - s->window + 1 > 0 ? pos0 - s->window + 1 : 0;
    for (int32_t seg = first / SB_KV_SEGMENT; seg <= pos1 / SB_KV_SEGMENT; seg++) {
        aim(e, s, t, head, seg * SB_KV_SEGMENT, &a, &mem);
        e->kern.attn[e->opts.kv](&a);
    }
    finish(e, j, t, head, &mem);
    e->own_ns[(size_t)i_thread * (size_t)e->opts.n_rows + (size_t)t->span] +=
        sb_now_ns() - begin_ns;
}
