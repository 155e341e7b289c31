/* SPDX-License-Identifier: Apache-2.0
 * prefix_evict.c - which pages of the prefix tree go first.
 *
 * A block is worth what it would cost to compute again, times the sessions that started from it,
 * divided by its age. Leaves go first: what is above them serves more ways. Before a leaf goes, a
 * page of a window that no leaf looks back at goes: it only lets a session begin in the middle of a
 * way. Every node is looked at each time; an order kept up to date would have to be moved at each
 * use, and a page is taken back once in 64 tokens.
 *
 * Ways that are computed again before anybody notices have a small room of their own: a day of
 * short questions would else fill the memory with what saves nobody anything. */
#include "base/alloc.h"
#include "engine/internal.h"
#include "engine/prefix.h"
#include "engine/prefix_tree.h"

#include <assert.h>

enum { ANY = -1 };

static double value(const sb_prefix *p, const sb_prefix_node *x)
{
    const int32_t pos = (x->depth - 1) * SB_KV_PAGE;
    const double cost =
        (double)x->n * (double)p->e->ops_per_row + (double)sb_kv_bytes_read(p->e, pos, x->n);
    return cost * (1 + (double)x->hits) / (double)(p->clock - x->used + 1);
}

/* The tree alone holds a page of the node in this group, or in any. */
static bool frees(const sb_prefix *p, const sb_prefix_node *x, int32_t group)
{
    for (int32_t g = 0; g < p->e->n_groups; g++) {
        if (group != ANY && g != group) continue;
        if (x->page[g] >= 0 && p->e->groups[g].n_holders[x->page[g]] == 1) return true;
    }
    return false;
}

static bool is_loose_leaf(const sb_prefix_node *x)
{
    return x->in_use && x->child < 0 && x->n_marks == 0;
}

/* Marks what each leaf looks back at through the window of a group. */
static void mark_needed(sb_prefix *p, int32_t group)
{
    const int32_t reach = (p->e->groups[group].window + SB_KV_PAGE - 1) / SB_KV_PAGE + 1;
    p->n_searches++;
    for (int32_t i = 0; i < p->n_nodes; i++) {
        if (!p->nodes[i].in_use || p->nodes[i].child >= 0) continue;
        for (int32_t at = i, n = 0; at >= 0 && n < reach; n++, at = p->nodes[at].parent)
            p->nodes[at].needed = p->n_searches;
    }
}

/* Lets go of the least valuable page of a window that no leaf needs, or (all) of any. */
static bool strip_one(sb_prefix *p, int32_t group, bool all)
{
    int32_t best = -1;
    double least = 0;
    if (!p->e->groups[group].window || p->e->groups[group].n_tree == 0) return false;
    if (!all) mark_needed(p, group);
    for (int32_t i = 0; i < p->n_nodes; i++) {
        const sb_prefix_node *x = &p->nodes[i];
        if (!x->in_use || !frees(p, x, group)) continue;
        if (!all && x->needed == p->n_searches) continue;
        const double v = value(p, x);
        if (best < 0 || v < least) best = i, least = v;
    }
    if (best >= 0) sb_prefix_strip(p, best, group);
    return best >= 0;
}

/* Removes the least valuable leaf whose end frees a page of the group; any_leaf: or frees none. */
static bool drop_one(sb_prefix *p, int32_t group, bool any_leaf)
{
    int32_t best = -1;
    double least = 0;
    for (int32_t i = 0; i < p->n_nodes; i++) {
        const sb_prefix_node *x = &p->nodes[i];
        if (!is_loose_leaf(x) || x->parent < 0 || (!any_leaf && !frees(p, x, group))) continue;
        const double v = value(p, x);
        if (best < 0 || v < least) best = i, least = v;
    }
    if (best >= 0) sb_prefix_remove(p, best);
    return best >= 0;
}

bool sb_prefix_drop_leaf(sb_prefix *p)
{
    return drop_one(p, ANY, true);
}

bool sb_prefix_reclaim(sb_prefix *p, int32_t group)
{
    sb_kv_group *g = &p->e->groups[group];
    while (g->n_free == 0 && g->n_tree > 0)
        if (!strip_one(p, group, false) && !drop_one(p, group, false) && !strip_one(p, group, true))
            return false;
    return g->n_free > 0;
}

bool sb_prefix_yield(sb_prefix *p, int32_t group, int32_t page)
{
    const int32_t i = p->e->groups[group].node[page];
    if (i < 0) return false;
    if (p->e->groups[group].window)
        sb_prefix_strip(p, i, group);
    else if (is_loose_leaf(&p->nodes[i]))
        sb_prefix_remove(p, i);
    else
        return false;
    return true;
}

uint64_t sb_prefix_bytes(const sb_prefix *p)
{
    uint64_t bytes = 0;
    for (int32_t g = 0; g < p->e->n_groups; g++)
        bytes += (uint64_t)p->e->groups[g].n_tree * p->e->groups[g].page_bytes;
    return bytes;
}

/* What stands in the middle of a way and serves no end, in any group. */
static bool strip_any(sb_prefix *p)
{
    for (int32_t g = 0; g < p->e->n_groups; g++)
        if (strip_one(p, g, false)) return true;
    return false;
}

/* Marks every node on a way that goes on to position n_quick. */
static void mark_long(sb_prefix *p, int32_t n_quick)
{
    p->n_searches++;
    for (int32_t i = 0; i < p->n_nodes; i++) {
        const sb_prefix_node *x = &p->nodes[i];
        if (!x->in_use || (x->depth - 1) * SB_KV_PAGE + x->n < n_quick) continue;
        for (int32_t at = i; at >= 0 && p->nodes[at].needed != p->n_searches;
             at = p->nodes[at].parent)
            p->nodes[at].needed = p->n_searches;
    }
}

/* Bytes of the ways that are not marked, and the least valuable of their leaves (-1: none). */
static uint64_t count_quick(const sb_prefix *p, int32_t *out_least)
{
    uint64_t bytes = 0;
    double least = 0;
    *out_least = -1;
    for (int32_t i = 0; i < p->n_nodes; i++) {
        const sb_prefix_node *x = &p->nodes[i];
        if (!x->in_use || x->needed == p->n_searches || !frees(p, x, ANY)) continue;
        for (int32_t g = 0; g < p->e->n_groups; g++)
            if (frees(p, x, g)) bytes += p->e->groups[g].page_bytes;
        if (!is_loose_leaf(x) || x->parent < 0) continue;
        const double v = value(p, x);
        if (*out_least < 0 || v < least) *out_least = i, least = v;
    }
    return bytes;
}

/* Looked at when the tree has grown only: what was within the limit stays so. */
static void trim_quick(sb_prefix *p, int32_t n_quick, uint64_t quick_bytes)
{
    uint64_t held = sb_prefix_bytes(p);
    if (held <= quick_bytes || held <= p->looked_bytes) {
        p->looked_bytes = held;
        return;
    }
    mark_long(p, n_quick);
    int32_t least = -1;
    while (count_quick(p, &least) > quick_bytes && least >= 0)
        sb_prefix_remove(p, least);
    p->looked_bytes = sb_prefix_bytes(p);
}

void sb_prefix_trim(sb_prefix *p, int32_t n_quick, uint64_t quick_bytes)
{
    while (p->max_bytes && sb_prefix_bytes(p) > p->max_bytes)
        if (!strip_any(p) && !drop_one(p, ANY, false)) break;
    if (n_quick > 0 && quick_bytes) trim_quick(p, n_quick, quick_bytes);
}
