/* SPDX-License-Identifier: Apache-2.0
 * bench_limits.c - a plain read and a plain product, timed on the pool. */
#include "cli/bench_limits.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/pages.h"

enum { READ_BYTES = 256 << 20, PEAK_NS = 2000000 }; /* many times what caches hold */

sb_status sb_bench_limits_init(sb_bench_limits *l, sb_pool *pool, sb_error *err)
{
    *l = (sb_bench_limits){.pool = pool};
    l->n_bytes = READ_BYTES;
    l->words = sb_big_alloc(l->n_bytes);
    if (!l->words) return SB_FAIL(err, SB_NO_MEMORY, "bench: no memory");
    sb_pages pages; // as the weights have
    sb_pages_init(&pages, (unsigned char *)l->words, l->n_bytes);
    memset(l->words, 1, l->n_bytes); // untouched pages would all be the same one
    sb_pages_finish(&pages);
    sb_kernels_init(&l->kern, sb_level_best());
    return SB_OK;
}

void sb_bench_limits_deinit(sb_bench_limits *l)
{
    if (l->words) sb_big_free(l->words, l->n_bytes);
    *l = (sb_bench_limits){0};
}

typedef struct probe {
    const sb_bench_limits *l;
    atomic_ullong n; /* what was done, so that the compiler cannot leave it out */
} probe;

/* Sixteen bytes a load: with eight, one core fills lines too slowly to keep memory busy. */
typedef uint64_t pair __attribute__((vector_size(16)));

static void read_share(void *ctx, int i_thread, int n_threads)
{
    enum { LINE_PAIRS = 4 };
    probe *p = ctx;
    const size_t n_lines = p->l->n_bytes / sizeof(pair) / LINE_PAIRS;
    const size_t first = n_lines * (size_t)i_thread / (size_t)n_threads;
    const size_t end = n_lines * (size_t)(i_thread + 1) / (size_t)n_threads;
    const pair *w = (const pair *)(const void *)p->l->words + first * LINE_PAIRS;
    pair a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = first; i < end; i++, w += LINE_PAIRS) {
        a += w[0];
        b += w[1];
        c += w[2];
        d += w[3];
    }
    const pair sum = (a + b) + (c + d);
    atomic_fetch_add(&p->n, sum[0] + sum[1]);
}

double sb_bench_read_gbps(const sb_bench_limits *l)
{
    probe p = {.l = l};
    const uint64_t begin_ns = sb_now_ns();
    sb_pool_run(l->pool, read_share, &p);
    const uint64_t took_ns = sb_now_ns() - begin_ns;
    return took_ns && atomic_load(&p.n) ? (double)l->n_bytes / (double)took_ns : 0;
}

/* Products until the time is over; what a thread did after that counts for no more than it took. */
static void multiply(void *ctx, int i_thread, int n_threads)
{
    (void)i_thread, (void)n_threads;
    enum { ROUNDS = 2000 };
    probe *p = ctx;
    const uint64_t begin_ns = sb_now_ns();
    uint64_t n = 0, took_ns = 0;
    while (took_ns < PEAK_NS) {
        n += 2 * p->l->kern.int8_peak(ROUNDS);
        took_ns = sb_now_ns() - begin_ns;
    }
    atomic_fetch_add(&p->n, n * PEAK_NS / took_ns);
}

double sb_bench_int8_gops(const sb_bench_limits *l)
{
    probe p = {.l = l};
    sb_pool_run(l->pool, multiply, &p);
    return (double)atomic_load(&p.n) / PEAK_NS;
}
