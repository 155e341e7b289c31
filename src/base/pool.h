/* SPDX-License-Identifier: Apache-2.0
 * pool.h - the one thread pool of a process: fork, join, signal.
 *
 * Purpose     Runs one function on all threads of the pool. The caller is thread 0. Handed in to
 *             whoever needs it; nothing else in the house creates compute threads.
 * Waiting     A waiter spins for a bounded time (a few tens of microseconds), then sleeps in a
 *             futex. With no work running every worker is asleep: zero CPU, no timers. With
 *             more threads than processors it yields once instead of spinning. No thread is pinned.
 * Threads     One sb_pool_run() at a time; mark, wait and signal only inside it.
 * Floating    Workers and the caller (for the span of a run) use round-to-nearest with denormals
 *             flushed (FTZ and DAZ), so results do not depend on who computed them. */
#ifndef SB_BASE_POOL_H
#define SB_BASE_POOL_H
#include "base/base.h"

typedef struct sb_pool sb_pool;
typedef void (*sb_pool_fn)(void *ctx, int i_thread, int n_threads);

/* n_threads 1..SB_MAX_THREADS; 1 creates none. */
sb_status sb_pool_new(sb_pool **out, int n_threads, sb_error *err) SB_MUST_USE;
void sb_pool_free(sb_pool *p);
int sb_pool_n_threads(const sb_pool *p);
void sb_pool_run(sb_pool *p, sb_pool_fn fn, void *ctx);
/* A run of one thread, the caller's; the workers sleep on. */
void sb_pool_run_alone(sb_pool *p, sb_pool_fn fn, void *ctx);
/* A run of the first n_few threads; the others sleep on. */
void sb_pool_run_few(sb_pool *p, sb_pool_fn fn, void *ctx);
/* How many those are, 1..n_threads, all of them at first. Outside of runs, and not for each: all
 * threads are waked once. */
void sb_pool_set_few(sb_pool *p, int n_few);
/* How threads of a run wait for work that others do, without waiting for the others themselves: a
 * thread that sleeps or lost its processor, and holds no work, holds up nobody. Take a mark, look
 * whether the work is done, wait if not: until somebody has signalled since the mark. Who finishes
 * work signals after it has made that visible. */
uint32_t sb_pool_mark(const sb_pool *p);
void sb_pool_wait(sb_pool *p, uint32_t mark);
void sb_pool_signal(sb_pool *p);
/* CPU time since the pool was made, in ns: all of the workers' (their short waits too) and the
 * caller's inside runs. */
uint64_t sb_pool_cpu_ns(const sb_pool *p);
/* Processors this process may use (affinity, cgroup quota rounded up); at least 1. */
int sb_cpu_count(void);
#endif
