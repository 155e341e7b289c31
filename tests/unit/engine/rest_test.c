/* SPDX-License-Identifier: Apache-2.0
 * rest_test.c - the balance behind --power: right in the mean whatever steps and sleeps are like,
 * and a pause that holds up neither who comes nor who goes. */
#include "engine/rest.h"

#include "base/clock.h"
#include "house.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <pthread.h>
#include <time.h>

/* A machine whose steps use part of their threads and whose sleeps end late. */
typedef struct machine {
    sb_rest r;
    uint64_t wall, cpu, begin_wall, begin_cpu;
    uint64_t random;
} machine;

static machine machine_of(int percent, int n_threads)
{
    machine m = {.wall = 5, .cpu = 3, .random = 7};
    sb_rest_init(&m.r, percent, n_threads);
    m.r.wall_ns = m.begin_wall = m.wall;
    m.r.cpu_ns = m.begin_cpu = m.cpu;
    return m;
}

static void work(machine *m, uint64_t wall, uint64_t cpu)
{
    m->wall += wall;
    m->cpu += cpu;
    sb_rest_step(&m->r, cpu);
    int64_t due;
    while ((due = sb_rest_at(&m->r, m->wall, m->cpu)) > 0)
        m->wall += (uint64_t)(due < SB_REST_LOOK_NS ? due : SB_REST_LOOK_NS) +
                   sb_tiny_random(&m->random) % 3000000;
}

static double share(const machine *m)
{
    return (double)(m->cpu - m->begin_cpu) / ((double)(m->wall - m->begin_wall) * m->r.n_threads);
}

static void the_mean_is_right(void **state)
{
    (void)state;
    static const int percents[] = {1, 20, 50, 80, 99};
    for (size_t i = 0; i < SB_ARRAY_LEN(percents); i++)
        for (int n_threads = 1; n_threads <= 4; n_threads += 3) {
            machine m = machine_of(percents[i], n_threads);
            for (int k = 0; k < 400; k++) {
                const uint64_t wall = 100000 + sb_tiny_random(&m.random) % 40000000;
                work(&m, wall, wall * (uint64_t)n_threads);
            }
            assert_true(share(&m) < percents[i] / 100.0 * 1.02);
            assert_true(share(&m) > percents[i] / 100.0 * 0.98);
            sb_rest_deinit(&m.r);
        }
}

/* Longer than any pause may be: what is owed is carried, not dropped. */
static void a_long_step_is_paid_for(void **state)
{
    (void)state;
    machine m = machine_of(25, 2);
    for (int k = 0; k < 20; k++)
        work(&m, UINT64_C(8000000000), UINT64_C(16000000000));
    assert_true(share(&m) > 0.24 && share(&m) < 0.26);
    sb_rest_deinit(&m.r);
}

/* Steps that use half of the threads by themselves need no pause at 50 %. */
static void processor_time_counts_not_wall_time(void **state)
{
    (void)state;
    machine m = machine_of(50, 2);
    for (int k = 0; k < 100; k++)
        work(&m, 10000000, 10000000);
    assert_true(m.wall - m.begin_wall == UINT64_C(1000000000));
    sb_rest_deinit(&m.r);
}

static void idling_saves_up_nothing(void **state)
{
    (void)state;
    machine m = machine_of(50, 1);
    m.wall += UINT64_C(3600000000000);
    assert_true(sb_rest_at(&m.r, m.wall, m.cpu) == 0);
    const uint64_t begin = m.wall, cpu = m.cpu;
    for (int k = 0; k < 200; k++)
        work(&m, 10000000, 10000000);
    const double used = (double)(m.cpu - cpu) / (double)(m.wall - begin);
    assert_true(used < 0.53);
    sb_rest_deinit(&m.r);
}

/* What came before the steps is owed for a second at most; a whole share owes nothing. */
static void loading_is_forgiven(void **state)
{
    (void)state;
    machine m = machine_of(50, 1);
    m.wall += UINT64_C(60000000000);
    m.cpu += UINT64_C(60000000000);
    assert_true(sb_rest_at(&m.r, m.wall, m.cpu) == SB_REST_PAUSE_NS);
    sb_rest_deinit(&m.r);
    sb_rest_init(&m.r, 100, 1);
    m.r.owed_ns = 5;
    assert_true(sb_rest_due_ns(&m.r) == 0);
    assert_true(sb_rest_due_ns(NULL) == 0);
    sb_rest_deinit(&m.r);
}

/* ---- in the scheduler's loop ---- */

static void *step(void *sched)
{
    sb_sched_run(sched);
    return NULL;
}

static uint64_t wait_end(sb_rig_seq *r, uint64_t begin_ns)
{
    while (!atomic_load(&r->n_ends))
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return sb_now_ns() - begin_ns;
}

static void owe(sb_rest *r, int64_t ns)
{
    (void)pthread_mutex_lock(&r->lock);
    r->owed_ns = r->step_ns = ns;
    (void)pthread_mutex_unlock(&r->lock);
}

static void the_same_words(void **state)
{
    (void)state;
    sb_rest r;
    const sb_engine_opts eo = house_opts(3);
    sb_rest_init(&r, 40, 2);
    house h = house_open(&eo, 2, (sb_sched_opts){.rest = &r});
    int32_t ids[HOUSE_CTX];
    house_ids(ids, HOUSE_CTX, 4);
    (void)house_once(&h, ids, 200, 1);
    (void)house_once(&h, ids, 20, 2);
    house_close(&h);
    sb_rest_deinit(&r);
}

/* With minutes owed: a new one has its first token after one pause, one that goes is out at once,
 * and so is the stepper. */
static void nobody_is_held_up(void **state)
{
    (void)state;
    enum { LONG_S = 60 };
    sb_rest r;
    pthread_t stepper;
    const sb_engine_opts eo = house_opts(3);
    sb_rest_init(&r, 50, 1);
    house h = house_open(&eo, 1, (sb_sched_opts){.rest = &r});
    int32_t ids[HOUSE_CTX];
    sb_rig_seq one, two;
    house_ids(ids, HOUSE_CTX, 4);
    const sb_seq_opts a = sb_rig_seq_opts(&one, ids, 20, 1), b = sb_rig_seq_opts(&two, ids, 9, 40);
    assert_int_equal(pthread_create(&stepper, NULL, step, h.sched), 0);
    owe(&r, LONG_S * INT64_C(1000000000));
    house_begin(&h, &two, &b);
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    uint64_t begin_ns = sb_now_ns();
    house_begin(&h, &one, &a);
    assert_true(wait_end(&one, begin_ns) < UINT64_C(5000000000));
    house_check_alone(&h, &one, &a);
    owe(&r, LONG_S * INT64_C(1000000000));
    begin_ns = sb_now_ns();
    sb_seq_cancel(two.q);
    assert_true(wait_end(&two, begin_ns) < UINT64_C(2000000000));
    assert_int_equal(two.why, SB_SEQ_CANCELLED);
    sb_sched_stop(h.sched);
    (void)pthread_join(stepper, NULL);
    assert_true(sb_now_ns() - begin_ns < UINT64_C(4000000000));
    sb_rig_seq_end(&one);
    sb_rig_seq_end(&two);
    house_close(&h);
    sb_rest_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_is_right),
        cmocka_unit_test(a_long_step_is_paid_for),
        cmocka_unit_test(processor_time_counts_not_wall_time),
        cmocka_unit_test(idling_saves_up_nothing),
        cmocka_unit_test(loading_is_forgiven),
        cmocka_unit_test(the_same_words),
        cmocka_unit_test(nobody_is_held_up),
    };
    return cmocka_run_group_tests(tests, house_make_model, house_drop_model);
}
