/* SPDX-License-Identifier: Apache-2.0
 * prefix.c - the tree itself: finding, keeping, forgetting.
 *
 * Children are a plain list. A hash of each block would find a full one faster, but a block that
 * agrees only in its first tokens has to be found, too, and the list is walked once for each node
 * on the way: never more looks in all than there are nodes. Nodes are numbers in one array, so that
 * a later copy on disk can name them. */
#include "engine/prefix.h"

#include "base/alloc.h"
#include "engine/internal.h"
#include "engine/prefix_tree.h"

#include <assert.h>
#include <string.h>

sb_status sb_prefix_new(sb_prefix **out, sb_engine *e, uint64_t max_bytes, sb_error *err)
{
    sb_prefix *p = sb_calloc(1, sizeof *p);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "prefix tree: out of memory");
    /* Each node but a root has a page, or had one and still has children or a mark. */
    p->n_nodes = 1;
    for (int32_t g = 0; g < e->n_groups; g++)
        if (e->groups[g].n_pages >= p->n_nodes) p->n_nodes = e->groups[g].n_pages + 1;
    p->n_nodes += e->opts.n_sessions + p->n_nodes / 2;
    p->e = e;
    p->max_bytes = max_bytes;
    p->nodes = sb_calloc((size_t)p->n_nodes, sizeof *p->nodes);
    p->ids = sb_alloc((size_t)p->n_nodes, sizeof *p->ids);
    p->path = sb_alloc((size_t)e->groups[0].n_blocks + 1, sizeof *p->path);
    if (!p->nodes || !p->ids || !p->path) {
        sb_prefix_free(p);
        return SB_FAIL(err, SB_NO_MEMORY, "prefix tree: out of memory");
    }
    p->roots = -1;
    p->spare = -1;
    for (int32_t i = p->n_nodes; i-- > 0;) {
        p->nodes[i].next = p->spare;
        p->spare = i;
    }
    e->prefix = p;
    *out = p;
    return SB_OK;
}

void sb_prefix_free(sb_prefix *p)
{
    if (!p) return;
    for (int32_t i = 0; p->nodes && i < p->n_nodes; i++)
        for (int32_t g = 0; p->nodes[i].in_use && g < p->e->n_groups; g++)
            if (p->nodes[i].page[g] >= 0) sb_kv_tree_release(&p->e->groups[g], p->nodes[i].page[g]);
    if (p->e->prefix == p) p->e->prefix = NULL;
    sb_free(p->path);
    sb_free(p->ids);
    sb_free(p->nodes);
    sb_free(p);
}

static int32_t *list_of(sb_prefix *p, int32_t parent)
{
    return parent < 0 ? &p->roots : &p->nodes[parent].child;
}

/* A new node at the head of its siblings, without pages; -1: every node stands on the way of
 * something. */
static int32_t add_node(sb_prefix *p, int32_t parent, uint64_t scope)
{
    if (p->spare < 0 && !sb_prefix_drop_leaf(p)) return -1;
    const int32_t i = p->spare;
    sb_prefix_node *x = &p->nodes[i];
    int32_t *list = list_of(p, parent);
    p->spare = x->next;
    *x = (sb_prefix_node){.scope = scope,
                          .parent = parent,
                          .child = -1,
                          .next = *list,
                          .prev = -1,
                          .depth = parent < 0 ? 0 : p->nodes[parent].depth + 1,
                          .in_use = true,
                          .used = p->clock};
    for (int32_t g = 0; g < SB_MAX_KV_GROUPS; g++)
        x->page[g] = -1;
    if (x->next >= 0) p->nodes[x->next].prev = i;
    *list = i;
    return i;
}

void sb_prefix_strip(sb_prefix *p, int32_t i_node, int32_t group)
{
    int32_t *page = &p->nodes[i_node].page[group];
    if (*page >= 0) sb_kv_tree_release(&p->e->groups[group], *page);
    *page = -1;
}

void sb_prefix_remove(sb_prefix *p, int32_t i_node)
{
    while (i_node >= 0) {
        sb_prefix_node *x = &p->nodes[i_node];
        const int32_t parent = x->parent;
        assert(x->in_use && x->child < 0 && x->n_marks == 0);
        for (int32_t g = 0; g < p->e->n_groups; g++)
            sb_prefix_strip(p, i_node, g);
        *(x->prev >= 0 ? &p->nodes[x->prev].next : list_of(p, parent)) = x->next;
        if (x->next >= 0) p->nodes[x->next].prev = x->prev;
        x->in_use = false;
        x->next = p->spare;
        p->spare = i_node;
        /* A root without children is of no use. */
        const sb_prefix_node *up = parent >= 0 ? &p->nodes[parent] : NULL;
        i_node = up && up->parent < 0 && up->child < 0 && up->n_marks == 0 ? parent : -1;
    }
}

static int32_t find_root(const sb_prefix *p, uint64_t scope)
{
    int32_t i = p->roots;
    while (i >= 0 && p->nodes[i].scope != scope)
        i = p->nodes[i].next;
    return i;
}

static int32_t n_common(const int32_t *a, const int32_t *b, int32_t n)
{
    int32_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* The child that agrees with most of ids[n], and in how many. */
static int32_t best_child(const sb_prefix *p, int32_t node, const int32_t *ids, int32_t n,
                          int32_t *n_agree)
{
    int32_t best = -1;
    *n_agree = 0;
    for (int32_t i = p->nodes[node].child; i >= 0 && *n_agree < n; i = p->nodes[i].next) {
        const int32_t m = n_common(p->ids[i], ids, p->nodes[i].n < n ? p->nodes[i].n : n);
        if (m > *n_agree) best = i, *n_agree = m;
    }
    return best;
}

/* The last position <= at from which every layer finds what it looks back at. */
static int32_t resumable(const sb_prefix *p, int32_t at)
{
    for (int32_t g = 0; g < p->e->n_groups;) {
        const int32_t window = p->e->groups[g].window;
        if (!window || at == 0) {
            g++;
            continue;
        }
        const int32_t first = at - window + 1 > 0 ? (at - window + 1) / SB_KV_PAGE : 0;
        int32_t b = (at - 1) / SB_KV_PAGE;
        while (b >= first && p->nodes[p->path[b]].page[g] >= 0)
            b--;
        if (b < first)
            g++;
        else
            at = b * SB_KV_PAGE, g = 0;
    }
    return at;
}

/* Fills p->path with the nodes of the way and returns the position to go on from. */
static int32_t find_way(sb_prefix *p, int32_t root, const int32_t *ids, int32_t n)
{
    int32_t at = 0, n_path = 0, node = root;
    while (node >= 0 && at < n && at % SB_KV_PAGE == 0) {
        int32_t m = 0;
        const int32_t left = n - at < SB_KV_PAGE ? n - at : SB_KV_PAGE;
        node = best_child(p, node, ids + at, left, &m);
        if (m == 0) break;
        p->path[n_path++] = node;
        at += m;
    }
    return resumable(p, at);
}

int32_t sb_prefix_find(sb_prefix *p, uint64_t scope, const int32_t *ids, int32_t n)
{
    return find_way(p, find_root(p, scope), ids, n - 1);
}

static void set_mark(sb_prefix *p, sb_prefix_mark *mark, int32_t node)
{
    if (node >= 0) p->nodes[node].n_marks++;
    if (mark->node >= 0) p->nodes[mark->node].n_marks--;
    mark->node = node;
}

int32_t sb_prefix_resume(sb_prefix *p, uint64_t scope, const int32_t *ids, int32_t n, sb_session *s,
                         sb_prefix_mark *mark)
{
    assert(s->n_pos == 0 && s->e == p->e);
    int32_t root = find_root(p, scope);
    const int32_t at = find_way(p, root, ids, n - 1);
    const int32_t n_full = at / SB_KV_PAGE, n_path = (at + SB_KV_PAGE - 1) / SB_KV_PAGE;
    for (int32_t b = 0; b < n_path; b++) {
        p->nodes[p->path[b]].used = p->clock;
        p->nodes[p->path[b]].hits++;
    }
    for (int32_t g = 0; g < p->e->n_groups; g++) {
        sb_kv_group *group = &p->e->groups[g];
        const int32_t seen = group->window ? at - group->window + 1 : 0;
        s->first[g] = seen > 0 ? seen / SB_KV_PAGE : 0;
        for (int32_t b = s->first[g]; b < n_path; b++) {
            s->pages[g][b] = p->nodes[p->path[b]].page[g];
            sb_kv_hold(group, s->pages[g][b]);
        }
    }
    s->n_pos = at;
    *mark = (sb_prefix_mark){.node = -1, .n_kept = n_full * SB_KV_PAGE};
    if (root < 0) root = add_node(p, -1, scope);
    set_mark(p, mark, n_full ? p->path[n_full - 1] : root);
    return at;
}

/* A node takes what the session has and it lacks; the session takes the node's page where both have
 * one: their bits are the same. */
static void merge(sb_prefix *p, int32_t i_node, sb_session *s, int32_t block)
{
    for (int32_t g = 0; g < p->e->n_groups; g++) {
        sb_kv_group *group = &p->e->groups[g];
        int32_t *own = &s->pages[g][block], *kept = &p->nodes[i_node].page[g];
        if (*own < 0 || *own == *kept) continue;
        if (*kept < 0) {
            sb_kv_tree_hold(group, *own, i_node);
            *kept = *own;
            continue;
        }
        sb_kv_hold(group, *kept);
        sb_kv_release(group, *own);
        *own = *kept;
    }
}

/* A node takes the session's pages and tokens for its own shorter ones. */
static void replace(sb_prefix *p, int32_t i_node, sb_session *s, int32_t block, const int32_t *ids,
                    int32_t n)
{
    for (int32_t g = 0; g < p->e->n_groups; g++) {
        const int32_t own = s->pages[g][block];
        int32_t *kept = &p->nodes[i_node].page[g];
        if (own >= 0 && own == *kept) continue;
        sb_prefix_strip(p, i_node, g);
        if (own >= 0) sb_kv_tree_hold(&p->e->groups[g], own, i_node);
        *kept = own;
    }
    memcpy(p->ids[i_node], ids, (size_t)n * sizeof *ids);
    p->nodes[i_node].n = n;
}

/* Keeps ids[n] of one block below `parent`; returns its node, or -1: there is no place. */
static int32_t keep_block(sb_prefix *p, int32_t parent, sb_session *s, int32_t block,
                          const int32_t *ids, int32_t n)
{
    int32_t m = 0, i = best_child(p, parent, ids, n, &m);
    if (i >= 0 && m == n) { /* there already */
        if (p->nodes[i].n == n && n == SB_KV_PAGE) merge(p, i, s, block);
    } else if (i >= 0 && m == p->nodes[i].n) { /* the end of an earlier session: it goes on now */
        replace(p, i, s, block, ids, n);
    } else {
        i = add_node(p, parent, p->nodes[parent].scope);
        if (i < 0) return -1;
        replace(p, i, s, block, ids, n);
    }
    p->nodes[i].used = p->clock;
    return i;
}

void sb_prefix_keep(sb_prefix *p, sb_session *s, const int32_t *ids, sb_prefix_mark *mark)
{
    while (mark->node >= 0 && mark->n_kept + SB_KV_PAGE <= s->n_pos) {
        const int32_t i =
            keep_block(p, mark->node, s, mark->n_kept / SB_KV_PAGE, ids + mark->n_kept, SB_KV_PAGE);
        set_mark(p, mark, i);
        mark->n_kept += SB_KV_PAGE;
    }
}

void sb_prefix_keep_tail(sb_prefix *p, sb_session *s, const int32_t *ids,
                         const sb_prefix_mark *mark)
{
    const int32_t n = s->n_pos - mark->n_kept;
    if (mark->node < 0 || n <= 0 || n >= SB_KV_PAGE) return;
    (void)keep_block(p, mark->node, s, mark->n_kept / SB_KV_PAGE, ids + mark->n_kept, n);
}

void sb_prefix_leave(sb_prefix *p, sb_prefix_mark *mark)
{
    const int32_t i = mark->node;
    set_mark(p, mark, -1);
    if (i < 0) return;
    const sb_prefix_node *x = &p->nodes[i];
    if (x->parent < 0 && x->child < 0 && x->n_marks == 0) sb_prefix_remove(p, i);
}

void sb_prefix_forget(sb_prefix *p, uint64_t scope)
{
    for (int32_t i = 0; i < p->n_nodes; i++) {
        int32_t at = i;
        /* Up from each leaf, as far as nobody stands or branches off there. */
        while (at >= 0) {
            const sb_prefix_node *x = &p->nodes[at];
            const bool goes =
                x->in_use && x->child < 0 && x->n_marks == 0 && (!scope || x->scope == scope);
            if (!goes || x->parent < 0) break;
            const int32_t parent = x->parent;
            sb_prefix_remove(p, at);
            at = parent;
        }
    }
}

void sb_prefix_tick(sb_prefix *p)
{
    p->clock++;
}
