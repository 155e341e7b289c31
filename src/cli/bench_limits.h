/* SPDX-License-Identifier: Apache-2.0
 * bench_limits.h - what the machine gives at this moment, to set a speed beside.
 *
 * Purpose     A plain read of memory and the plainest product of bytes, by the same threads. Both
 *             change from second to second where a machine is shared, so they are measured next to
 *             each run and not once.
 * Ownership   Borrows the pool; deinit gives the buffer back.
 * Errors      SB_NO_MEMORY. */
#ifndef SB_CLI_BENCH_LIMITS_H
#define SB_CLI_BENCH_LIMITS_H
#include "base/pool.h"
#include "kernels/kernels.h"

typedef struct sb_bench_limits {
    sb_pool *pool;
    sb_kernels kern; /* the strongest the processor has, whatever is benched */
    uint64_t *words; /* [n_bytes / 8] what is read */
    size_t n_bytes;
} sb_bench_limits;

/* What is read lies on huge pages, as a model's weights do. */
sb_status sb_bench_limits_init(sb_bench_limits *l, sb_pool *pool, sb_error *err) SB_MUST_USE;
void sb_bench_limits_deinit(sb_bench_limits *l);
/* Bytes a nanosecond of one linear read a thread: GB/s. */
double sb_bench_read_gbps(const sb_bench_limits *l);
/* Multiplications and additions of bytes a nanosecond, of all threads: GOPS. */
double sb_bench_int8_gops(const sb_bench_limits *l);
#endif
