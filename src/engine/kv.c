/* SPDX-License-Identifier: Apache-2.0
 * kv.c - keys and values in pages of 64 absolute positions.
 *
 * Layers that see everything share one group of pages, layers with the same window another: a page
 * of a group holds the 64 positions of all its layers. A window group gives pages back as the
 * window moves on. Fresh pages are zero and reused ones are cleared, so that a masked position is a
 * finite number whoever used the page before. */
#include "base/alloc.h"
#include "engine/internal.h"
#include "kernels/pack.h"

#include <inttypes.h>
#include <string.h>

static int32_t find_group(sb_engine *e, int32_t window)
{
    for (int32_t g = 0; g < e->n_groups; g++)
        if (e->groups[g].window == window) return g;
    if (e->n_groups == SB_MAX_KV_GROUPS) return -1;
    e->groups[e->n_groups].window = window;
    return e->n_groups++;
}

sb_status sb_kv_plan(sb_engine *e, sb_error *err)
{
    const sb_plan *p = &e->model->plan;
    for (int32_t i = 0; i < p->n_kvs; i++) {
        const sb_kv_state *k = &p->kvs[i];
        const int32_t g = find_group(e, k->window);
        if (g < 0)
            return SB_FAIL(err, SB_UNSUPPORTED, "more than %d different windows", SB_MAX_KV_GROUPS);
        const size_t half = sb_kv_page_bytes(e->opts.kv, k->head_dim);
        e->places[i] = (sb_kv_place){.group = g,
                                     .offset = e->groups[g].page_bytes,
                                     .head_bytes = 2 * half,
                                     .v_offset = half};
        e->groups[g].page_bytes += (size_t)k->n_head * 2 * half;
    }
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_kv_group *g = &e->groups[i];
        g->n_blocks = (e->opts.n_ctx + SB_KV_PAGE - 1) / SB_KV_PAGE;
        /* A window needs its own pages, those of one step's rows, and one at either ragged end. */
        const int32_t held = (g->window + e->opts.n_rows) / SB_KV_PAGE + 2;
        const int32_t per_session = g->window && held < g->n_blocks ? held : g->n_blocks;
        g->n_pages = per_session * e->opts.n_sessions;
        if (ckd_mul(&g->bytes, (size_t)g->n_pages, g->page_bytes))
            return SB_FAIL(err, SB_LIMIT, "keys and values: %d pages of %zu bytes do not fit",
                           g->n_pages, g->page_bytes);
    }
    return SB_OK;
}

sb_status sb_kv_open(sb_engine *e, sb_error *err)
{
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_kv_group *g = &e->groups[i];
        g->base = sb_big_alloc(g->bytes);
        g->free_ids = sb_alloc((size_t)g->n_pages, sizeof *g->free_ids);
        if (!g->base || !g->free_ids)
            return SB_FAIL(err, SB_NO_MEMORY,
                           "keys and values: %zu bytes cannot be had; a smaller "
                           "--ctx needs less",
                           g->bytes);
        for (int32_t p = 0; p < g->n_pages; p++)
            g->free_ids[p] = ~(g->n_pages - 1 - p); /* fresh */
        g->n_free = g->n_pages;
    }
    return SB_OK;
}

void sb_kv_close(sb_engine *e)
{
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_big_free(e->groups[i].base, e->groups[i].bytes);
        sb_free(e->groups[i].free_ids);
    }
}

/* Takes a free page; a page used before carries its plain number and is cleared. */
static int32_t take_page(sb_kv_group *g)
{
    const int32_t id = g->free_ids[--g->n_free];
    if (id < 0) return ~id;
    memset(g->base + (size_t)id * g->page_bytes, 0, g->page_bytes);
    return id;
}

static void give_page(sb_kv_group *g, int32_t *slot)
{
    if (*slot >= 0) g->free_ids[g->n_free++] = *slot;
    *slot = -1;
}

sb_status sb_kv_acquire(sb_session *s, int32_t n, sb_error *err)
{
    sb_engine *e = s->e;
    const int32_t first = s->n_pos / SB_KV_PAGE, last = (s->n_pos + n - 1) / SB_KV_PAGE;
    for (int32_t i = 0; i < e->n_groups; i++)
        for (int32_t b = first; b <= last; b++) {
            if (s->pages[i][b] >= 0) continue;
            if (e->groups[i].n_free == 0) {
                sb_kv_drop_from(s, s->n_pos);
                return SB_FAIL(err, SB_NO_MEMORY, "keys and values: no free page");
            }
            s->pages[i][b] = take_page(&e->groups[i]);
        }
    return SB_OK;
}

void sb_kv_drop_from(sb_session *s, int32_t n_pos)
{
    const int32_t from = (n_pos + SB_KV_PAGE - 1) / SB_KV_PAGE;
    for (int32_t i = 0; i < s->e->n_groups; i++)
        for (int32_t b = from; b < s->e->groups[i].n_blocks; b++)
            give_page(&s->e->groups[i], &s->pages[i][b]);
}

void sb_kv_slide(sb_session *s)
{
    for (int32_t i = 0; i < s->e->n_groups; i++) {
        sb_kv_group *g = &s->e->groups[i];
        if (!g->window) continue;
        /* The next query is at n_pos and sees positions > n_pos - window. */
        while ((s->first[i] + 1) * SB_KV_PAGE <= s->n_pos - g->window + 1)
            give_page(g, &s->pages[i][s->first[i]++]);
    }
}

unsigned char *sb_kv_page(const sb_session *s, int32_t kv, int32_t head, int32_t block)
{
    const sb_kv_place *place = &s->e->places[kv];
    const sb_kv_group *g = &s->e->groups[place->group];
    const int32_t id = s->pages[place->group][block];
    if (id < 0) return NULL;
    return g->base + (size_t)id * g->page_bytes + place->offset + (size_t)head * place->head_bytes;
}
