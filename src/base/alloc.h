/* SPDX-License-Identifier: Apache-2.0
 * alloc.h - the one door to the heap.
 *
 * Purpose     Every allocation checks its product and can be made to fail in tests.
 * Guard       Between sb_alloc_forbid_begin() and _end() on a thread, an allocation on that thread
 *             fails (returns NULL) and is counted: decoding must not allocate, and the tests read
 *             sb_alloc_forbidden_count().
 * Ownership   What these return is released by sb_free() (or sb_big_free()). */
#ifndef SB_BASE_ALLOC_H
#define SB_BASE_ALLOC_H
#include "base/base.h"

/* n * size bytes, uninitialised / zeroed; NULL when the product overflows, memory is short, or the
 * guard is up. n * size == 0 gives a valid pointer to nothing. */
void *sb_alloc(size_t n, size_t size) SB_MUST_USE;
void *sb_calloc(size_t n, size_t size) SB_MUST_USE;
/* Resizes; on failure returns NULL and p stays valid. */
void *sb_realloc(void *p, size_t n, size_t size) SB_MUST_USE;
void sb_free(void *p);
/* Copy of n bytes plus a NUL; NULL on failure. */
char *sb_strdup_n(const char *p, size_t n) SB_MUST_USE;

/* From so many bytes on huge pages are asked for: smaller blocks may be up too soon to earn what
 * they cost (base/huge.h). */
enum { SB_BIG_HUGE_BYTES = 1 << 30 };

/* Zeroed pages straight from the kernel, 2 MiB aligned when bytes is at least 2 MiB, huge pages
 * asked for from SB_BIG_HUGE_BYTES on; untouched pages cost nothing. Release with the same byte
 * count. */
void *sb_big_alloc(size_t bytes) SB_MUST_USE;
void sb_big_free(void *p, size_t bytes);

void sb_alloc_forbid_begin(void);
void sb_alloc_forbid_end(void);
/* Allocations refused by the guard since the thread started. */
uint64_t sb_alloc_forbidden_count(void);
#endif
