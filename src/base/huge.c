/* SPDX-License-Identifier: Apache-2.0
 * huge.c - what madvise() knows of huge pages. */
#include "base/huge.h"

#include <sys/mman.h>

#include "base/clock.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/* A page's first byte: the kernel zeroes all of it. */
static uint64_t touch_ns(volatile unsigned char *p)
{
    const uint64_t begin_ns = sb_now_ns();
    *p = 0;
    return sb_now_ns() - begin_ns;
}

size_t sb_huge_take(void *p, size_t bytes)
{
    /* Zeroing 2 MiB takes 0.1 to 0.2 ms; with a host that has to give them 1.4 to 2.5 ms. One may
     * be slow by chance. */
    enum { DEAR_NS = 600000, DEAR_MOST = 2 };
    unsigned char *at = p;
    size_t taken = 0;
    for (int n_dear = 0; bytes - taken >= SB_HUGE_BYTES && n_dear < DEAR_MOST;) {
        if (madvise(at + taken, SB_HUGE_BYTES, MADV_HUGEPAGE) != 0) break;
        n_dear = touch_ns(at + taken) < DEAR_NS ? 0 : n_dear + 1;
        taken += SB_HUGE_BYTES;
    }
    return taken;
}

bool sb_huge_join(void *p)
{
    return madvise(p, SB_HUGE_BYTES, MADV_COLLAPSE) == 0;
}
