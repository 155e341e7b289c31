/* SPDX-License-Identifier: Apache-2.0
 * arena.c - one big block handed out front to back, or only counted. */
#include "base/arena.h"

#include "base/alloc.h"

enum { PIECE_ALIGN = 64 }; /* a cache line, and the widest vector register */

void sb_arena_measure(sb_arena *a)
{
    *a = (sb_arena){.cap = PTRDIFF_MAX, .measure = true};
}

sb_status sb_arena_init(sb_arena *a, size_t bytes, sb_error *err)
{
    unsigned char *p = sb_big_alloc(bytes);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "no memory for a block of %zu bytes", bytes);
    *a = (sb_arena){.p = p, .cap = bytes};
    return SB_OK;
}

void sb_arena_deinit(sb_arena *a)
{
    if (!a) return;
    sb_big_free(a->p, a->cap);
    *a = (sb_arena){0};
}

void *sb_arena_take(sb_arena *a, size_t n, size_t size)
{
    size_t bytes, end;
    const size_t at = a->used; // always aligned: every piece ends on a boundary
    if (a->failed || ckd_mul(&bytes, n, size) || ckd_add(&end, at, bytes) || end > a->cap) {
        a->failed = true;
        return NULL;
    }
    const size_t pad = (PIECE_ALIGN - bytes % PIECE_ALIGN) % PIECE_ALIGN;
    // The last piece of a block whose size is no multiple of 64 leaves nothing behind it.
    a->used = ckd_add(&end, end, pad) || (end > a->cap && !a->measure) ? a->cap : end;
    if (a->measure) return NULL;
    return a->p + at;
}
