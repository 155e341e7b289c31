/* SPDX-License-Identifier: Apache-2.0
 * alloc.c - the heap with checked products and a guard, and big blocks from the kernel.
 *
 * The guard's two counters are thread-local: they are the house's one exception to "no mutable
 * globals", because a guard that had to be handed to every allocation would be forgotten in just
 * the place it should catch. A plain malloc() elsewhere would slip by; the lint bans it. */
#include "base/alloc.h"
#include "base/huge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BIG_ALIGN = SB_HUGE_BYTES, PAGE_ROUND = 65536 }; /* the largest page of any kernel */

static _Thread_local unsigned forbid_depth;
static _Thread_local uint64_t forbidden_count;

static bool refused(void)
{
    if (!forbid_depth) return false;
    forbidden_count++;
    return true;
}

/* n * size with 0 made 1, so that NULL always means failure. */
static bool total(size_t *out, size_t n, size_t size)
{
    if (ckd_mul(out, n, size) || *out > PTRDIFF_MAX) return false;
    if (!*out) *out = 1;
    return true;
}

void *sb_alloc(size_t n, size_t size)
{
    size_t bytes;
    return total(&bytes, n, size) && !refused() ? malloc(bytes) : NULL;
}

void *sb_calloc(size_t n, size_t size)
{
    size_t bytes;
    return total(&bytes, n, size) && !refused() ? calloc(1, bytes) : NULL;
}

void *sb_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    return total(&bytes, n, size) && !refused() ? realloc(p, bytes) : NULL;
}

void sb_free(void *p)
{
    free(p);
}

char *sb_strdup_n(const char *p, size_t n)
{
    size_t bytes;
    if (ckd_add(&bytes, n, 1)) return NULL;
    char *s = sb_alloc(bytes, 1);
    if (!s) return NULL;
    if (n) memcpy(s, p, n);
    s[n] = 0;
    return s;
}

/* What is really mapped for a request; the same for alloc and free. False when it overflows. */
static bool big_bytes(size_t *out, size_t bytes)
{
    const size_t unit = bytes >= BIG_ALIGN ? BIG_ALIGN : PAGE_ROUND;
    size_t up;
    if (ckd_add(&up, bytes ? bytes : 1, unit - 1)) return false;
    *out = up / unit * unit;
    return *out <= PTRDIFF_MAX - BIG_ALIGN;
}

void *sb_big_alloc(size_t bytes)
{
    size_t len;
    if (!big_bytes(&len, bytes) || refused()) return NULL;
    const bool huge = len >= BIG_ALIGN;
    const size_t asked = huge ? len + BIG_ALIGN : len;
    unsigned char *p = mmap(NULL, asked, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (!huge) return p;
    // The kernel aligns to small pages only: ask for one unit more and give back both ends.
    const size_t head = (BIG_ALIGN - (uintptr_t)p % BIG_ALIGN) % BIG_ALIGN;
    if (head) (void)munmap(p, head);
    (void)munmap(p + head + len, BIG_ALIGN - head);
    if (len >= SB_BIG_HUGE_BYTES)
        (void)madvise(p + head, len, MADV_HUGEPAGE); // a wish; small pages work too
    return p + head;
}

void sb_big_free(void *p, size_t bytes)
{
    size_t len;
    if (p && big_bytes(&len, bytes)) (void)munmap(p, len);
}

void sb_alloc_forbid_begin(void)
{
    forbid_depth++;
}

void sb_alloc_forbid_end(void)
{
    if (forbid_depth) forbid_depth--;
}

uint64_t sb_alloc_forbidden_count(void)
{
    return forbidden_count;
}
