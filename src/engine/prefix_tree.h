/* SPDX-License-Identifier: Apache-2.0
 * prefix_tree.h - the nodes of the prefix tree, for the two files that know them. */
#ifndef SB_ENGINE_PREFIX_TREE_H
#define SB_ENGINE_PREFIX_TREE_H
#include "engine/internal.h"
#include "engine/prefix.h"

typedef struct sb_prefix_node {
    uint64_t scope;
    uint64_t used;                     /* the clock when it was of use last */
    int32_t parent, child, next, prev; /* -1: none; next also links the spare ones */
    int32_t depth;                     /* 0: a root, which has no tokens and no pages */
    int32_t n;                         /* tokens */
    int32_t n_marks;                   /* sessions whose last block kept this is */
    uint32_t hits;                     /* sessions that started from it */
    uint32_t needed; /* the search for which a resumable end was seen to need it */
    bool in_use;
    int32_t page[SB_MAX_KV_GROUPS]; /* -1: lost, or never there */
} sb_prefix_node;

struct sb_prefix {
    sb_engine *e;
    uint64_t max_bytes, clock;
    uint64_t looked_bytes;      /* held when quick ways were counted last */
    sb_prefix_node *nodes;      /* [n_nodes] */
    int32_t (*ids)[SB_KV_PAGE]; /* [n_nodes] */
    int32_t n_nodes, roots, spare;
    int32_t *path; /* [blocks of a session] the way found last */
    uint32_t n_searches;
};

/* Lets go of one page of a node. */
void sb_prefix_strip(sb_prefix *p, int32_t i_node, int32_t group);
/* Removes a leaf without marks, and its root with the last one. */
void sb_prefix_remove(sb_prefix *p, int32_t i_node);
/* Removes the least valuable leaf; false: there is none without a mark. */
bool sb_prefix_drop_leaf(sb_prefix *p);
#endif
