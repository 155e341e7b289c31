/* SPDX-License-Identifier: Apache-2.0
 * kv.c - keys and values in pages of 64 absolute positions.
 *
 * Layers that see everything share one group of pages, layers with the same window another: a page
 * of a group holds the 64 positions of all its layers. A window group gives pages back as the
 * window moves on. Fresh pages are zero and reused ones are cleared, so that a masked position is a
 * finite number whoever used the page before.
 *
 * Windows move when the next step begins, not when one ends: in between, the prefix tree may keep
 * every block that the step filled. Copying on write was preferred to copying when a session begins
 * in the middle of a page: who ends before it writes copies nothing. */
#include "base/alloc.h"
#include "engine/internal.h"
#include "engine/prefix.h"
#include "engine/weights.h"
#include "kernels/pack.h"

#include <assert.h>
#include <string.h>

static int32_t find_group(sb_engine *e, int32_t window)
{
    for (int32_t g = 0; g < e->n_groups; g++)
        if (e->groups[g].window == window) return g;
    if (e->n_groups == SB_MAX_KV_GROUPS) return -1;
    e->groups[e->n_groups].window = window;
    return e->n_groups++;
}

/* Bytes of a session that holds all it may. */
static size_t session_bytes(const sb_engine *e)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < e->n_groups; i++)
        bytes += (size_t)e->groups[i].n_worst * e->groups[i].page_bytes;
    return bytes;
}

/* Shares out the bytes for keys and values: each group gets as many full sessions. */
static sb_status size_groups(sb_engine *e, sb_error *err)
{
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_kv_group *g = &e->groups[i];
        g->n_blocks = (e->opts.n_ctx + SB_KV_PAGE - 1) / SB_KV_PAGE;
        /* A window needs its own pages, those of one step's rows, and one at either ragged end. */
        const int32_t held = (g->window + e->opts.n_rows) / SB_KV_PAGE + 2;
        g->n_worst = g->window && held < g->n_blocks ? held : g->n_blocks;
    }
    const size_t one = session_bytes(e);
    size_t all = e->opts.kv_bytes;
    if ((!all && ckd_mul(&all, one, (size_t)e->opts.n_sessions)) ||
        ckd_add(&all, all, e->opts.cache_bytes))
        return SB_FAIL(err, SB_LIMIT, "keys and values: %d sessions of %zu bytes do not fit",
                       e->opts.n_sessions, one);
    if (all < one)
        return SB_FAIL(err, SB_LIMIT,
                       "keys and values: %zu bytes are less than the %zu of one session of %d "
                       "positions",
                       all, one, e->opts.n_ctx);
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_kv_group *g = &e->groups[i];
        const double rest = (double)g->n_worst * (double)(all % one) / (double)one;
        size_t n = 0;
        if (ckd_mul(&n, all / one, (size_t)g->n_worst) || ckd_add(&n, n, (size_t)rest) ||
            n > INT32_MAX || ckd_mul(&g->bytes, n, g->page_bytes))
            return SB_FAIL(err, SB_LIMIT, "keys and values: pages for %zu bytes do not fit", all);
        g->n_pages = (int32_t)n;
    }
    return SB_OK;
}

/* What SB_KV_AUTO stands for. The head is left out: nothing is kept of its product. */
static sb_kv_type choose_type(const sb_engine *e)
{
    const sb_plan *p = &e->model->plan;
    for (int32_t i = 0; i < p->n_steps; i++) {
        const sb_step *s = &p->steps[i];
        for (int c = 0; s->op == SB_OP_MATMUL && c < 3; c++)
            if (s->w[c] >= 0 && sb_engine_act(e, &e->model->weights[s->w[c]]) != SB_ACT_F32)
                return SB_KV_BF16;
    }
    return SB_KV_F32;
}

sb_status sb_kv_plan(sb_engine *e, sb_error *err)
{
    const sb_plan *p = &e->model->plan;
    if (e->opts.kv == SB_KV_AUTO) e->opts.kv = choose_type(e);
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
    return size_groups(e, err);
}

sb_status sb_kv_open(sb_engine *e, sb_error *err)
{
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_kv_group *g = &e->groups[i];
        g->base = sb_big_alloc(g->bytes);
        const size_t n = (size_t)g->n_pages;
        g->free_ids = sb_alloc(n, sizeof *g->free_ids);
        g->n_holders = sb_calloc(n, sizeof *g->n_holders);
        g->node = sb_alloc(n, sizeof *g->node);
        if (!g->base || !g->free_ids || !g->n_holders || !g->node)
            return SB_FAIL(err, SB_NO_MEMORY,
                           "keys and values: %zu bytes cannot be had; a smaller "
                           "--ctx needs less",
                           g->bytes);
        for (int32_t p = 0; p < g->n_pages; p++) {
            g->free_ids[p] = ~(g->n_pages - 1 - p); /* fresh */
            g->node[p] = -1;
        }
        g->n_free = g->n_pages;
    }
    return SB_OK;
}

void sb_kv_close(sb_engine *e)
{
    for (int32_t i = 0; i < e->n_groups; i++) {
        sb_big_free(e->groups[i].base, e->groups[i].bytes);
        sb_free(e->groups[i].free_ids);
        sb_free(e->groups[i].n_holders);
        sb_free(e->groups[i].node);
    }
}

void sb_kv_hold(sb_kv_group *g, int32_t page)
{
    if (g->n_holders[page] == 1 && g->node[page] >= 0) g->n_tree--;
    g->n_holders[page]++;
}

void sb_kv_release(sb_kv_group *g, int32_t page)
{
    assert(g->n_holders[page] > 0);
    if (--g->n_holders[page] == 0)
        g->free_ids[g->n_free++] = page;
    else if (g->n_holders[page] == 1 && g->node[page] >= 0)
        g->n_tree++;
}

void sb_kv_tree_hold(sb_kv_group *g, int32_t page, int32_t node)
{
    assert(g->node[page] < 0 && g->n_holders[page] > 0);
    g->node[page] = node;
    g->n_holders[page]++;
}

void sb_kv_tree_release(sb_kv_group *g, int32_t page)
{
    assert(g->node[page] >= 0);
    if (g->n_holders[page] == 1) g->n_tree--;
    g->node[page] = -1;
    sb_kv_release(g, page);
}

/* Takes a free page, or one from the tree; -1: there is none. A page used before carries its plain
 * number and is cleared unless all of it will be written. */
static int32_t take_page(sb_engine *e, int32_t i_group, bool clear)
{
    sb_kv_group *g = &e->groups[i_group];
    if (g->n_free == 0 && !(e->prefix && sb_prefix_reclaim(e->prefix, i_group))) return -1;
    const int32_t id = g->free_ids[--g->n_free];
    const int32_t page = id < 0 ? ~id : id;
    if (id >= 0 && clear) memset(g->base + (size_t)page * g->page_bytes, 0, g->page_bytes);
    g->n_holders[page] = 1;
    return page;
}

/* Gives the session a page of its own where it shares one; false: there is none. */
static bool own_page(sb_session *s, int32_t i_group, int32_t block)
{
    sb_engine *e = s->e;
    sb_kv_group *g = &e->groups[i_group];
    const int32_t old = s->pages[i_group][block];
    if (g->n_holders[old] == 1) return true;
    const int32_t own = take_page(e, i_group, false);
    if (own < 0) /* then the tree is the only other holder */
        return e->prefix && sb_prefix_yield(e->prefix, i_group, old) && g->n_holders[old] == 1;
    memcpy(g->base + (size_t)own * g->page_bytes, g->base + (size_t)old * g->page_bytes,
           g->page_bytes);
    s->pages[i_group][block] = own;
    sb_kv_release(g, old);
    return true;
}

/* The next query is at n_pos and sees positions > n_pos - window. */
static void slide(sb_session *s)
{
    for (int32_t i = 0; i < s->e->n_groups; i++) {
        sb_kv_group *g = &s->e->groups[i];
        while (g->window && (s->first[i] + 1) * SB_KV_PAGE <= s->n_pos - g->window + 1) {
            int32_t *page = &s->pages[i][s->first[i]++];
            if (*page >= 0) sb_kv_release(g, *page);
            *page = -1;
        }
    }
}

sb_status sb_kv_acquire(sb_session *s, int32_t n, sb_error *err)
{
    sb_engine *e = s->e;
    const int32_t first = s->n_pos / SB_KV_PAGE, last = (s->n_pos + n - 1) / SB_KV_PAGE;
    slide(s);
    for (int32_t i = 0; i < e->n_groups; i++)
        for (int32_t b = first; b <= last; b++) {
            int32_t *page = &s->pages[i][b];
            const bool had = *page >= 0;
            const bool ok = had ? own_page(s, i, b) : (*page = take_page(e, i, true)) >= 0;
            if (ok) continue;
            sb_kv_drop_from(s, s->n_pos);
            return SB_FAIL(err, SB_NO_MEMORY, "keys and values: no free page");
        }
    return SB_OK;
}

void sb_kv_drop_from(sb_session *s, int32_t n_pos)
{
    const int32_t from = (n_pos + SB_KV_PAGE - 1) / SB_KV_PAGE;
    for (int32_t i = 0; i < s->e->n_groups; i++)
        for (int32_t b = from; b < s->e->groups[i].n_blocks; b++) {
            int32_t *page = &s->pages[i][b];
            if (*page >= 0) sb_kv_release(&s->e->groups[i], *page);
            *page = -1;
        }
}

uint64_t sb_kv_bytes_read(const sb_engine *e, int32_t n_pos, int32_t n)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < e->n_groups; i++) {
        const int64_t window = e->groups[i].window ? e->groups[i].window : INT32_MAX;
        /* Rows before the window is full see one position more each. */
        const int64_t first = (int64_t)n_pos + 1, last = (int64_t)n_pos + n;
        const int64_t grow = last <= window ? n : first > window ? 0 : window - first + 1;
        const int64_t seen = grow * (2 * first + grow - 1) / 2 + (n - grow) * window;
        bytes += (uint64_t)seen * (e->groups[i].page_bytes / SB_KV_PAGE);
    }
    return bytes;
}

unsigned char *sb_kv_page(const sb_session *s, int32_t kv, int32_t head, int32_t block)
{
    const sb_kv_place *place = &s->e->places[kv];
    const sb_kv_group *g = &s->e->groups[place->group];
    const int32_t id = s->pages[place->group][block];
    if (id < 0) return NULL;
    return g->base + (size_t)id * g->page_bytes + place->offset + (size_t)head * place->head_bytes;
}
