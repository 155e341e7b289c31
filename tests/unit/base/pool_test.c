/* SPDX-License-Identifier: Apache-2.0
 * pool_test.c - every thread runs once per run, signals order, idle pools sleep, modes return. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 9, ROUNDS = 200, PHASES = 20 };
static const int counts[] = {1, 2, 3, 5, THREADS_MAX};

struct tally {
    int ran[THREADS_MAX]; /* plain on purpose: the pool must order these accesses */
    int n_threads;
};

static void count(void *ctx, int i_thread, int n_threads)
{
    struct tally *t = ctx;
    t->ran[i_thread]++;
    if (i_thread == 0) t->n_threads = n_threads;
}

static void every_thread_runs_once(void **state)
{
    (void)state;
    for (size_t c = 0; c < SB_ARRAY_LEN(counts); c++) {
        sb_pool *p = NULL;
        assert_int_equal(sb_pool_new(&p, counts[c], NULL), SB_OK);
        assert_int_equal(sb_pool_n_threads(p), counts[c]);
        struct tally t = {0};
        for (int r = 1; r <= ROUNDS; r++) {
            sb_pool_run(p, count, &t);
            for (int i = 0; i < THREADS_MAX; i++)
                assert_int_equal(t.ran[i], i < counts[c] ? r : 0);
            assert_int_equal(t.n_threads, counts[c]);
        }
        sb_pool_free(p);
    }
}

static void a_run_may_be_the_callers_alone(void **state)
{
    (void)state;
    sb_pool *p = NULL;
    assert_int_equal(sb_pool_new(&p, 3, NULL), SB_OK);
    struct tally t = {0};
    for (int r = 1; r <= ROUNDS; r++) {
        sb_pool_run_alone(p, count, &t);
        assert_int_equal(t.ran[0], r);
        assert_int_equal(t.n_threads, 1);
    }
    assert_int_equal(t.ran[1] + t.ran[2], 0);
    sb_pool_run(p, count, &t); // and they come when they are called
    assert_int_equal(t.ran[1] + t.ran[2], 2);
    sb_pool_free(p);
}

/* Whatever is chosen in between: those of a few-run run, the others sleep, and come to runs of all.
 * */
static void a_run_may_be_of_a_few(void **state)
{
    (void)state;
    static const int few[] = {2, 5, 1, 3, 4, 2, 5, 3};
    sb_pool *p = NULL;
    assert_int_equal(sb_pool_new(&p, 5, NULL), SB_OK);
    struct tally t = {0};
    int want[THREADS_MAX] = {0};
    for (size_t c = 0; c < 20 * SB_ARRAY_LEN(few); c++) {
        const int n = few[c % SB_ARRAY_LEN(few)];
        sb_pool_set_few(p, n);
        for (int r = 0; r < 10; r++) {
            const bool all = r == 7;
            if (all)
                sb_pool_run(p, count, &t);
            else
                sb_pool_run_few(p, count, &t);
            assert_int_equal(t.n_threads, all ? 5 : n);
            for (int i = 0; i < 5; i++) {
                want[i] += all || i < n;
                assert_int_equal(t.ran[i], want[i]);
            }
        }
    }
    sb_pool_free(p);
}

/* They are not waked and sent back to sleep either. */
static void those_left_out_sleep_on(void **state)
{
    (void)state;
    sb_pool *p = NULL;
    assert_int_equal(sb_pool_new(&p, 4, NULL), SB_OK);
    sb_pool_set_few(p, 1);
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); // past the spin
    struct tally t = {0};
    const uint64_t before = sb_pool_cpu_ns(p), own = sb_thread_cpu_ns();
    for (int r = 0; r < 1000; r++)
        sb_pool_run_few(p, count, &t);
    /* What the pool counts is the caller's part of the runs alone. */
    assert_true(sb_pool_cpu_ns(p) - before <= sb_thread_cpu_ns() - own);
    assert_int_equal(t.ran[0], 1000);
    sb_pool_free(p);
}

struct relay {
    sb_pool *pool;
    atomic_int n_met;
    int value[THREADS_MAX];
    int n_wrong[THREADS_MAX];
};

/* Goes on when all threads have come here for the n-th time. */
static void meet(struct relay *r, int n, int n_threads)
{
    if (atomic_fetch_add(&r->n_met, 1) + 1 == n * n_threads) sb_pool_signal(r->pool);
    for (;;) {
        const uint32_t mark = sb_pool_mark(r->pool);
        if (atomic_load(&r->n_met) >= n * n_threads) return;
        sb_pool_wait(r->pool, mark);
    }
}

/* Each phase every thread writes its own cell, then reads all others. */
static void pass_on(void *ctx, int i_thread, int n_threads)
{
    struct relay *r = ctx;
    for (int phase = 1; phase <= PHASES; phase++) {
        r->value[i_thread] = phase;
        meet(r, 2 * phase - 1, n_threads);
        for (int i = 0; i < n_threads; i++)
            if (r->value[i] != phase) r->n_wrong[i_thread]++;
        meet(r, 2 * phase, n_threads);
    }
}

static void signals_order_phases(void **state)
{
    (void)state;
    for (size_t c = 0; c < SB_ARRAY_LEN(counts); c++) {
        struct relay r = {0};
        assert_int_equal(sb_pool_new(&r.pool, counts[c], NULL), SB_OK);
        for (int round = 0; round < 10; round++) {
            atomic_store(&r.n_met, 0);
            sb_pool_run(r.pool, pass_on, &r);
        }
        for (int i = 0; i < THREADS_MAX; i++)
            assert_int_equal(r.n_wrong[i], 0);
        sb_pool_free(r.pool);
    }
}

static void sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static void nothing(void *ctx, int i_thread, int n_threads)
{
    (void)ctx;
    (void)i_thread;
    (void)n_threads;
}

static void idle_pool_sleeps(void **state)
{
    (void)state;
    sb_pool *p = NULL;
    assert_int_equal(sb_pool_new(&p, 4, NULL), SB_OK);
    sb_pool_run(p, nothing, NULL);
    sleep_ms(50); // past the spin
    const uint64_t before = sb_pool_cpu_ns(p), process = sb_process_cpu_ns();
    sleep_ms(300);
    assert_int_equal(sb_pool_cpu_ns(p), before); // not one nanosecond
    assert_true(sb_process_cpu_ns() - process < 20000000);
    sb_pool_free(p);
}

/* Burns 5 ms of its own CPU time. */
static void burn(void *ctx, int i_thread, int n_threads)
{
    (void)ctx;
    (void)i_thread;
    (void)n_threads;
    const uint64_t start = sb_thread_cpu_ns();
    while (sb_thread_cpu_ns() - start < 5000000) {}
}

static void cpu_time_is_summed(void **state)
{
    (void)state;
    for (int n = 1; n <= 3; n += 2) {
        sb_pool *p = NULL;
        assert_int_equal(sb_pool_new(&p, n, NULL), SB_OK);
        const uint64_t before = sb_pool_cpu_ns(p);
        sb_pool_run(p, burn, NULL);
        assert_true(sb_pool_cpu_ns(p) - before >= (uint64_t)n * 5000000);
        assert_true(sb_pool_cpu_ns(p) - before < (uint64_t)n * 500000000);
        sb_pool_free(p);
    }
}

#if defined(__SSE2__)
/* The smallest normal float halved: 0 where denormals are flushed. */
static void halve(void *ctx, int i_thread, int n_threads)
{
    (void)n_threads;
    volatile float *out = ctx;
    volatile float x = 1.17549435e-38f;
    volatile float tiny = 1e-45f; // denormal input: read as 0
    out[i_thread] = x * 0.5f + tiny * 1e30f;
}

static void denormals_are_flushed_only_inside(void **state)
{
    (void)state;
    sb_pool *p = NULL;
    assert_int_equal(sb_pool_new(&p, 3, NULL), SB_OK);
    volatile float out[4] = {1, 1, 1, 1};
    sb_pool_run(p, halve, (void *)(uintptr_t)out);
    for (int i = 0; i < 3; i++)
        assert_true(out[i] == 0.0f);
    halve((void *)(uintptr_t)out, 3, 1);
    assert_true(out[3] > 0.0f); // the caller has its own mode back
    sb_pool_free(p);
}
#endif

/* Each thread of a pool as large as the process's share of the machine, where it may run. */
static void read_affinity(void *ctx, int i_thread, int n_threads)
{
    cpu_set_t *mine = ctx;
    (void)n_threads;
    CPU_ZERO(&mine[i_thread]);
    (void)sched_getaffinity(0, sizeof *mine, &mine[i_thread]);
}

/* A pinned thread would share its processor with a busy program while another one is free. */
static void no_thread_is_pinned(void **state)
{
    (void)state;
    cpu_set_t all, mine[THREADS_MAX];
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    const int n = CPU_COUNT(&all) < THREADS_MAX ? CPU_COUNT(&all) : THREADS_MAX;
    sb_pool *p = NULL;
    assert_int_equal(sb_pool_new(&p, n, NULL), SB_OK);
    for (int round = 0; round < 50; round++) {
        sb_pool_run(p, read_affinity, mine);
        for (int i = 0; i < n; i++)
            assert_true(CPU_EQUAL(&mine[i], &all));
    }
    assert_int_equal(sched_getaffinity(0, sizeof mine[0], &mine[0]), 0);
    assert_true(CPU_EQUAL(&mine[0], &all));
    sb_pool_free(p);
}

static void counts_are_checked(void **state)
{
    (void)state;
    sb_pool *p = NULL;
    sb_error err = {0};
    assert_int_equal(sb_pool_new(&p, 0, &err), SB_INVALID);
    assert_int_equal(sb_pool_new(&p, -1, &err), SB_INVALID);
    assert_int_equal(sb_pool_new(&p, SB_MAX_THREADS + 1, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "256"));
    assert_null(p);
    sb_pool_free(NULL);
    assert_true(sb_cpu_count() >= 1);
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_true(sb_cpu_count() <= CPU_COUNT(&set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_runs_once),
        cmocka_unit_test(a_run_may_be_the_callers_alone),
        cmocka_unit_test(a_run_may_be_of_a_few),
        cmocka_unit_test(those_left_out_sleep_on),
        cmocka_unit_test(signals_order_phases),
        cmocka_unit_test(idle_pool_sleeps),
        cmocka_unit_test(cpu_time_is_summed),
#if defined(__SSE2__)
        cmocka_unit_test(denormals_are_flushed_only_inside),
#endif
        cmocka_unit_test(no_thread_is_pinned),
        cmocka_unit_test(counts_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
