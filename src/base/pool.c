/* SPDX-License-Identifier: Apache-2.0
 * pool.c - fork, join and signals on three words that change, each with its sleepers.
 *
 * Everything waits in one way: "until this word is no longer what I saw". A waiter looks for a
 * bounded time, counts itself as a sleeper and sleeps in a futex on the word; who changes the word
 * wakes only when there are sleepers. Both sides use sequentially consistent operations on word and
 * count, so either the changer sees the sleeper or the sleeper sees the change. A condition
 * variable would cost a lock per worker and wake; a pure spin would burn power when idle.
 *
 * No thread is pinned to a processor, also when there is one for each: beside one busy process a
 * pinned worker shares its processor for good, where the scheduler would move it. On two processors
 * of a Zen 5 pinning gained nothing when they were free and cost a quarter beside one busy process.
 *
 * Threads that few-runs leave out wait on a word of their own, which only runs of all change: waked
 * and sent back to sleep they would cost each step what they were to save.
 *
 * Where threads outnumber processors a waiter yields once and then sleeps. Recent kernels take a
 * yield for all of the turn: with four of them, four threads got 126 tokens/s beside two busy
 * processes on two processors, with one 187, with none 204, but then 330 instead of 420 alone. */
#include "base/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum {
    SPIN_NS = 30000,      /* about the price of a sleep and a wake on a busy machine */
    LOOKS_PER_CLOCK = 32, /* pauses between two looks at the clock */
    LINE_BYTES = 128      /* two cache lines: prefetchers fetch pairs */
};

/* A word to wait on. */
typedef struct word {
    _Alignas(LINE_BYTES) _Atomic uint32_t v;
    _Atomic uint32_t n_asleep;
} word;

typedef struct worker {
    pthread_t thread;
    struct sb_pool *pool;
    int i_thread;
} worker;

struct sb_pool {
    int n_threads, n_started; /* n_started counts workers */
    bool roomy;               /* a processor for every thread: spinning harms nobody */
    sb_pool_fn fn;            /* fn to n_run: written before `run` changes, read after */
    void *ctx;
    bool stop;
    int n_run;                 /* threads of the run */
    uint32_t run_at, whole_at; /* what `run` and `whole` change to */
    atomic_int n_few;
    _Atomic uint64_t caller_cpu_ns;
    word run;   /* changes when a run starts or the pool ends */
    word whole; /* changes with `run` when all threads take part, or the pool ends */
    word done;  /* changes when the last worker of a run is through */
    word news;  /* changes when a thread of the run has something to tell */
    _Alignas(LINE_BYTES) _Atomic uint32_t n_busy; /* workers still in the run */
    worker workers[];
};

/* ---- floating-point mode ---- */

#if defined(__SSE2__)
typedef unsigned fp_mode;
/* All exceptions masked, round to nearest, FTZ (bit 15), DAZ (bit 6). */
static fp_mode fp_enter(void)
{
    const fp_mode old = _mm_getcsr();
    _mm_setcsr(0x1F80u | 0x8000u | 0x0040u);
    return old;
}
static void fp_leave(fp_mode old)
{
    _mm_setcsr(old);
}
#elif defined(__aarch64__)
typedef uint64_t fp_mode;
static fp_mode fp_enter(void)
{
    fp_mode old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    const fp_mode flush = UINT64_C(1) << 24; // FZ: inputs and results; rounding bits 0 = nearest
    __asm__ volatile("msr fpcr, %0" : : "r"(flush));
    return old;
}
static void fp_leave(fp_mode old)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
}
#else
typedef int fp_mode;
static fp_mode fp_enter(void)
{
    return 0;
}
static void fp_leave(fp_mode old)
{
    (void)old;
}
#endif

/* ---- waiting ---- */

static void relax(void)
{
#if defined(__SSE2__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" : : : "memory");
#endif
}

/* True when the word changed while we looked. */
static bool look(const word *w, uint32_t seen, bool roomy)
{
    if (!roomy) {
        if (atomic_load_explicit(&w->v, memory_order_acquire) != seen) return true;
        (void)sched_yield();
        return atomic_load_explicit(&w->v, memory_order_acquire) != seen;
    }
    const uint64_t end_ns = sb_now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&w->v, memory_order_acquire) != seen) return true;
            relax();
        }
    } while (sb_now_ns() < end_ns);
    return false;
}

static void wait_change(word *w, uint32_t seen, bool roomy)
{
    if (look(w, seen, roomy)) return;
    atomic_fetch_add(&w->n_asleep, 1);
    while (atomic_load(&w->v) == seen)
        (void)syscall(SYS_futex, &w->v, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&w->n_asleep, 1);
}

static void change(word *w)
{
    atomic_fetch_add(&w->v, 1);
    if (atomic_load(&w->n_asleep))
        (void)syscall(SYS_futex, &w->v, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* ---- workers ---- */

static bool is_of_few(const sb_pool *p, const worker *w)
{
    return w->i_thread < atomic_load(&p->n_few);
}

static void *work(void *arg)
{
    worker *me = arg;
    sb_pool *p = me->pool;
    (void)fp_enter();
    uint32_t run_at = 0, whole_at = 0; // not the current values: a run may have begun already
    bool few = true;                   // as all are at first
    for (;;) {
        if (few) wait_change(&p->run, run_at, p->roomy);
        // Who was left out of few-runs while it waited on `run`: of this one, a run of all, it is.
        if (!few || !is_of_few(p, me)) wait_change(&p->whole, whole_at, p->roomy);
        run_at = p->run_at;
        whole_at = p->whole_at;
        if (p->stop) return NULL;
        p->fn(p->ctx, me->i_thread, p->n_run);
        few = is_of_few(p, me); // inside the run: a later look might come runs later
        if (atomic_fetch_sub(&p->n_busy, 1) == 1) change(&p->done);
    }
}

/* Starts worker i with every signal blocked, so that handlers run on the program's own threads. */
static sb_status start(sb_pool *p, int i_thread, sb_error *err)
{
    worker *w = &p->workers[i_thread - 1];
    *w = (worker){.pool = p, .i_thread = i_thread};
    sigset_t all, old;
    (void)sigfillset(&all);
    // What a thread does to itself must reach it: blocked, it would end the process unheard.
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    for (size_t i = 0; i < SB_ARRAY_LEN(own); i++)
        (void)sigdelset(&all, own[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    const int e = pthread_create(&w->thread, NULL, work, w);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e)
        return SB_FAIL(err, SB_NO_MEMORY, "cannot start compute thread %d of %d (error %d)",
                       i_thread + 1, p->n_threads, e);
    p->n_started++;
    char name[16];
    (void)snprintf(name, sizeof name, "sobre-%u", (unsigned)i_thread & 0xFFFu);
    (void)pthread_setname_np(w->thread, name);
    return SB_OK;
}

sb_status sb_pool_new(sb_pool **out, int n_threads, sb_error *err)
{
    if (n_threads < 1 || n_threads > SB_MAX_THREADS)
        return SB_FAIL(err, SB_INVALID, "%d threads: must be 1 to %d", n_threads, SB_MAX_THREADS);
    const size_t bytes = sizeof(sb_pool) + (size_t)n_threads * sizeof(worker);
    sb_pool *p = sb_big_alloc(bytes); // zeroed, and aligned as the words want it
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "no memory for %d threads", n_threads);
    p->n_threads = n_threads;
    atomic_init(&p->n_few, n_threads);
    p->roomy = n_threads <= sb_cpu_count();
    for (int i = 1; i < n_threads; i++) {
        const sb_status s = start(p, i, err);
        if (s == SB_OK) continue;
        sb_pool_free(p);
        return s;
    }
    *out = p;
    return SB_OK;
}

void sb_pool_free(sb_pool *p)
{
    if (!p) return;
    p->stop = true;
    change(&p->whole);
    change(&p->run);
    for (int i = 0; i < p->n_started; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
    sb_big_free(p, sizeof(sb_pool) + (size_t)p->n_threads * sizeof(worker));
}

int sb_pool_n_threads(const sb_pool *p)
{
    return p->n_threads;
}

static void run_on(sb_pool *p, int n_threads, sb_pool_fn fn, void *ctx)
{
    const uint64_t cpu_ns = sb_thread_cpu_ns();
    const fp_mode old = fp_enter();
    if (n_threads == 1) {
        fn(ctx, 0, 1);
    } else {
        const uint32_t seen = atomic_load(&p->done.v);
        const bool all = n_threads == p->n_threads;
        p->fn = fn;
        p->ctx = ctx;
        p->n_run = n_threads;
        p->run_at = atomic_load(&p->run.v) + 1;
        if (all) p->whole_at = atomic_load(&p->whole.v) + 1;
        atomic_store(&p->n_busy, (uint32_t)n_threads - 1);
        change(&p->run);
        if (all) change(&p->whole); // last: who comes from here waits on `run` as it now is
        fn(ctx, 0, n_threads);
        wait_change(&p->done, seen, p->roomy);
    }
    fp_leave(old);
    const uint64_t used_ns = sb_thread_cpu_ns() - cpu_ns;
    atomic_fetch_add_explicit(&p->caller_cpu_ns, used_ns, memory_order_relaxed);
}

void sb_pool_run(sb_pool *p, sb_pool_fn fn, void *ctx)
{
    run_on(p, p->n_threads, fn, ctx);
}

void sb_pool_run_alone(sb_pool *p, sb_pool_fn fn, void *ctx)
{
    run_on(p, 1, fn, ctx);
}

void sb_pool_run_few(sb_pool *p, sb_pool_fn fn, void *ctx)
{
    run_on(p, atomic_load(&p->n_few), fn, ctx);
}

static void do_nothing(void *ctx, int i_thread, int n_threads)
{
    (void)ctx, (void)i_thread, (void)n_threads;
}

void sb_pool_set_few(sb_pool *p, int n_few)
{
    n_few = n_few < 1 ? 1 : n_few > p->n_threads ? p->n_threads : n_few;
    if (atomic_exchange(&p->n_few, n_few) == n_few) return;
    sb_pool_run(p, do_nothing, NULL); // everybody waits on the right word from here on
}

uint32_t sb_pool_mark(const sb_pool *p)
{
    return atomic_load(&p->news.v);
}

void sb_pool_wait(sb_pool *p, uint32_t mark)
{
    wait_change(&p->news, mark, p->roomy);
}

void sb_pool_signal(sb_pool *p)
{
    change(&p->news);
}

uint64_t sb_pool_cpu_ns(const sb_pool *p)
{
    uint64_t sum = atomic_load_explicit(&p->caller_cpu_ns, memory_order_relaxed);
    for (int i = 0; i < p->n_started; i++) {
        // Workers do nothing but runs and the wait for them, so all of their time counts.
        clockid_t id;
        struct timespec t;
        if (pthread_getcpuclockid(p->workers[i].thread, &id) || clock_gettime(id, &t)) continue;
        sum += (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
    }
    return sum;
}
