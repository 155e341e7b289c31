/* SPDX-License-Identifier: Apache-2.0
 * region.h - memory that only grows, up to a cap, and is freed at once; inside the template room.
 *
 * Purpose     Values of one render (or one parsed template) live and die together, so nothing in
 *             the evaluator frees. Text and its marks lie in pools of their own, where the last
 *             piece can grow in place: s = s + x costs O(x).
 * Errors      NULL when the cap or memory is used up; sb_region_fail() says which. */
#ifndef SB_TEMPLATE_REGION_H
#define SB_TEMPLATE_REGION_H
#include "base/base.h"

typedef struct sb_region_pool {
    struct sb_chunk *chunks;
    char *cur, *end;
} sb_region_pool;

typedef struct sb_region {
    sb_region_pool objects, text, marks;
    size_t used, cap; /* bytes */
    bool over_cap;
} sb_region;

void sb_region_init(sb_region *r, size_t cap);
void sb_region_deinit(sb_region *r);
/* Zeroed, aligned for any type. */
void *sb_region_take(sb_region *r, size_t n, size_t size);
/* Bytes without alignment, from the text or the marks pool. */
void *sb_region_bytes(sb_region *r, sb_region_pool *pool, size_t n);
/* p[n] with n_more bytes after it: in place when p ends the pool, else a copy. */
void *sb_region_extend(sb_region *r, sb_region_pool *pool, const void *p, size_t n, size_t n_more);
/* Counts memory held elsewhere on the region's behalf; false when that passes the cap. */
bool sb_region_charge(sb_region *r, size_t bytes);
sb_status sb_region_fail(const sb_region *r, sb_error *err);
#endif
