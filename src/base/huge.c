/* SPDX-License-Identifier: Apache-2.0
 * huge.c - what madvise() knows of huge pages. */
#include "base/huge.h"

#include <sys/mman.h>

#include "base/clock.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

bool sb_huge_try(void *p, size_t bytes)
{
    /* Zeroing 2 MiB takes 0.1 to 0.2 ms; with a host that has to give them 1.4 to 2.5 ms. */
    enum { DEAR_NS = 600000 };
    volatile unsigned char *first = p;
    if (bytes < SB_HUGE_BYTES || madvise(p, SB_HUGE_BYTES, MADV_HUGEPAGE) != 0) return false;
    const uint64_t begin_ns = sb_now_ns();
    *first = 0;
    return sb_now_ns() - begin_ns < DEAR_NS && madvise(p, bytes, MADV_HUGEPAGE) == 0;
}

bool sb_huge_join(void *p)
{
    return madvise(p, SB_HUGE_BYTES, MADV_COLLAPSE) == 0;
}
