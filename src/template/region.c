/* SPDX-License-Identifier: Apache-2.0
 * region.c - chunks in a list, bytes cut from the newest. */
#include "template/region.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <string.h>

enum { CHUNK_BYTES = 16384, CHUNK_MAX_BYTES = 1 << 20, ALIGN = alignof(max_align_t) };

typedef struct sb_chunk {
    struct sb_chunk *next;
    size_t bytes;
    alignas(max_align_t) char data[];
} sb_chunk;

void sb_region_init(sb_region *r, size_t cap)
{
    *r = (sb_region){.cap = cap};
}

static void free_pool(sb_region_pool *p)
{
    for (sb_chunk *c = p->chunks; c;) {
        sb_chunk *next = c->next;
        sb_free(c);
        c = next;
    }
    *p = (sb_region_pool){0};
}

void sb_region_deinit(sb_region *r)
{
    if (!r) return;
    free_pool(&r->objects);
    free_pool(&r->text);
    free_pool(&r->marks);
    r->used = 0;
}

bool sb_region_charge(sb_region *r, size_t bytes)
{
    size_t sum;
    if (ckd_add(&sum, r->used, bytes) || sum > r->cap) {
        r->over_cap = true;
        return false;
    }
    r->used = sum;
    return true;
}

/* A new chunk with room for n bytes; chunks double so that their number stays small. */
static bool grow(sb_region *r, sb_region_pool *pool, size_t n)
{
    size_t want = pool->chunks ? pool->chunks->bytes * 2 : CHUNK_BYTES;
    if (want > CHUNK_MAX_BYTES) want = CHUNK_MAX_BYTES;
    if (want < n) want = n;
    size_t total;
    if (ckd_add(&total, want, sizeof(sb_chunk)) || !sb_region_charge(r, total)) {
        r->over_cap = true;
        return false;
    }
    sb_chunk *c = sb_alloc(1, total);
    if (!c) return false;
    c->next = pool->chunks;
    c->bytes = want;
    pool->chunks = c;
    pool->cur = c->data;
    pool->end = c->data + want;
    return true;
}

void *sb_region_bytes(sb_region *r, sb_region_pool *pool, size_t n)
{
    if ((size_t)(pool->end - pool->cur) < n || !pool->cur)
        if (!grow(r, pool, n)) return NULL;
    void *p = pool->cur;
    pool->cur += n;
    return p;
}

void *sb_region_take(sb_region *r, size_t n, size_t size)
{
    size_t bytes;
    if (ckd_mul(&bytes, n, size) || bytes > r->cap) {
        r->over_cap = true;
        return NULL;
    }
    void *p = sb_region_bytes(r, &r->objects, SB_ALIGN_UP(bytes, (size_t)ALIGN));
    return p ? memset(p, 0, bytes) : NULL;
}

void *sb_region_extend(sb_region *r, sb_region_pool *pool, const void *p, size_t n, size_t n_more)
{
    if (pool->cur && (const char *)p + n == pool->cur &&
        (size_t)(pool->end - pool->cur) >= n_more) {
        char *start = pool->cur - n;
        pool->cur += n_more;
        return start;
    }
    size_t both, roomy;
    if (ckd_add(&both, n, n_more) || ckd_mul(&roomy, both, 2)) {
        r->over_cap = true;
        return NULL;
    }
    // Take twice the room, then give half back: the next extension finds it free.
    char *start = sb_region_bytes(r, pool, n >= 256 ? roomy : both);
    if (!start) return NULL;
    pool->cur = start + both;
    if (n) memcpy(start, p, n);
    return start;
}

sb_status sb_region_fail(const sb_region *r, sb_error *err)
{
    if (r->over_cap)
        return SB_FAIL(err, SB_LIMIT, "chat template: over its limit of %zu bytes of values",
                       r->cap);
    return SB_FAIL(err, SB_NO_MEMORY, "chat template: out of memory");
}
