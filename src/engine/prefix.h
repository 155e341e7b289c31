/* SPDX-License-Identifier: Apache-2.0
 * prefix.h - what was computed before, as a tree of pages that new sessions start from.
 *
 * Purpose     One root for each scope; under it one node for each block of 64 absolute positions,
 *             with its tokens and a page of every group of layers. A session whose tokens begin as
 *             a way down the tree does takes the pages of that way instead of computing them.
 * Invariants  A node is found by its scope and by all tokens from position 0 on, never by a hash.
 *             Only full nodes have children, and no child's tokens begin with those of another. The
 *             pages that the tree alone holds can be taken back at any time, so what it keeps costs
 *             nobody a page.
 * Windows     A layer with a window needs only the pages that reach into it: a node may have lost
 *             such a page, and then sessions start further up or down, where all pages are left.
 * Ownership   The tree borrows the engine, which asks it for pages from then on.
 * Threads     As the engine: one caller at a time.
 * Cost        Nothing is allocated after _new. Finding takes one look at each sibling of the nodes
 *             on the way, keeping one at each child; taking a page back looks at every node. */
#ifndef SB_ENGINE_PREFIX_H
#define SB_ENGINE_PREFIX_H
#include "engine/engine.h"

typedef struct sb_prefix sb_prefix;

/* Where a session stands in the tree: the node of its last block kept. A node with a mark stays. */
typedef struct sb_prefix_mark {
    int32_t node;   /* -1: nowhere, nothing of this session is kept any more */
    int32_t n_kept; /* positions on the way to it, a multiple of 64 */
} sb_prefix_mark;

/* max_bytes: of pages that the tree alone holds; 0: as many as are free. */
sb_status sb_prefix_new(sb_prefix **out, sb_engine *e, uint64_t max_bytes,
                        sb_error *err) SB_MUST_USE;
void sb_prefix_free(sb_prefix *p);

/* How many of ids[n] a session would not have to compute; less than n. */
int32_t sb_prefix_find(sb_prefix *p, uint64_t scope, const int32_t *ids, int32_t n);
/* Puts an empty session there and says where it is. */
int32_t sb_prefix_resume(sb_prefix *p, uint64_t scope, const int32_t *ids, int32_t n, sb_session *s,
                         sb_prefix_mark *mark);
/* Keeps the session's full blocks, once each; ids: its tokens from position 0 on. Pages that the
 * tree has already take the place of the session's own. */
void sb_prefix_keep(sb_prefix *p, sb_session *s, const int32_t *ids, sb_prefix_mark *mark);
/* Keeps the last block, too, as far as it is filled. The session copies it when it goes on. */
void sb_prefix_keep_tail(sb_prefix *p, sb_session *s, const int32_t *ids,
                         const sb_prefix_mark *mark);
/* The session goes; the mark is nowhere after. */
void sb_prefix_leave(sb_prefix *p, sb_prefix_mark *mark);

/* Frees a page of a group: the least valuable goes. False: the tree alone holds none. */
bool sb_prefix_reclaim(sb_prefix *p, int32_t group);
/* Gives up a page that a session shares with it. False: the tree has more below it. */
bool sb_prefix_yield(sb_prefix *p, int32_t group, int32_t page);
/* Gives back what is above max_bytes; and of the ways that end before position n_quick, which are
 * computed again before anybody notices, what is above quick_bytes (0: no such limit). */
void sb_prefix_trim(sb_prefix *p, int32_t n_quick, uint64_t quick_bytes);
/* Forgets what no session stands on, of a scope or (0) of all. */
void sb_prefix_forget(sb_prefix *p, uint64_t scope);
/* Bytes of the pages that the tree alone holds. */
uint64_t sb_prefix_bytes(const sb_prefix *p);
/* Time goes on for the ages: once each step. */
void sb_prefix_tick(sb_prefix *p);
#endif
