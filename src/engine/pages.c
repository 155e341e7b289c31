/* SPDX-License-Identifier: Apache-2.0
 * pages.c - spends idle time, and a share of the other, on joining pages. */
#include "engine/pages.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/huge.h"

void sb_pages_init(sb_pages *g, unsigned char *p, size_t bytes)
{
    /* A smaller model is up so soon that even one dear page would be felt; for a larger one
     * sb_big_alloc() has asked: a host must give such a block in any case. */
    enum { LEAST = 256 << 20 };
    *g = (sb_pages){.p = p, .bytes = bytes / SB_HUGE_BYTES * SB_HUGE_BYTES};
    if (bytes >= SB_BIG_HUGE_BYTES)
        g->at = g->bytes;
    else if (bytes >= LEAST)
        g->at = sb_huge_take(p, g->bytes);
}

/* The first that the kernel cannot join ends it. */
void sb_pages_join(sb_pages *g)
{
    const uint64_t begin_ns = sb_now_ns();
    g->at = sb_huge_join(g->p + g->at) ? g->at + SB_HUGE_BYTES : g->bytes;
    g->spent_ns += sb_now_ns() - begin_ns;
}

/* Of work: twice what joining 1 GiB takes, at worst. */
static const uint64_t patience_ns = 5000000000;

bool sb_pages_due(const sb_pages *g)
{
    return g->at < g->bytes && g->worked_ns > patience_ns;
}

void sb_pages_step(sb_pages *g, uint64_t step_ns)
{
    enum { SHARE = 10 };
    if (g->at >= g->bytes) return;
    g->worked_ns += step_ns;
    while (g->at < g->bytes && g->worked_ns > patience_ns + SHARE * g->spent_ns)
        sb_pages_join(g);
}

void sb_pages_finish(sb_pages *g)
{
    while (g->at < g->bytes)
        sb_pages_join(g);
}
