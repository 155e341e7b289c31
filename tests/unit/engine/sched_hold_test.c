/* SPDX-License-Identifier: Apache-2.0
 * sched_hold_test.c - who waits for company before a first step, till when, and who never does. */
#include "base/limits.h"
#include "engine/sched_state.h"
#include "house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#define MS UINT64_C(1000000)
enum { N_SLOTS = 3, N_IDS = 20, N_OUT = 3, MANY = 64 };

static int32_t ids[N_SLOTS + 1][N_IDS];

static house open_waiting(uint64_t wait_ns)
{
    sb_engine_opts eo = house_opts(N_SLOTS);
    for (int i = 0; i <= N_SLOTS; i++)
        house_ids(ids[i], N_IDS, (uint64_t)i + 1);
    return house_open(&eo, 2, (sb_sched_opts){.batch_wait_ns = wait_ns});
}

/* Has arrivals every gap_ns expected. */
static void expect_every(sb_sched *s, uint64_t gap_ns)
{
    for (uint64_t i = 1; i <= MANY; i++)
        sb_hold_arrival(s, i * gap_ns);
}

static sb_seq_opts begin(house *h, sb_rig_seq *r, int i, int32_t priority)
{
    sb_seq_opts o = sb_rig_seq_opts(r, ids[i], N_IDS, N_OUT);
    o.priority = priority;
    house_begin(h, r, &o);
    return o;
}

static void end(house *h, sb_rig_seq *r, const sb_seq_opts *o)
{
    house_drain(h);
    house_check_alone(h, r, o);
    sb_rig_seq_end(r);
}

/* Steps that were made and waits that were begun when one has come and the stepper has looked. */
static sb_sched_stats after_first_look(house *h, int32_t priority)
{
    sb_rig_seq r;
    const sb_seq_opts o = begin(h, &r, 0, priority);
    assert_true(house_step(h));
    const sb_sched_stats t = sb_sched_get_stats(h->sched);
    end(h, &r, &o);
    return t;
}

static void without_a_wait_nobody_waits(void **state)
{
    (void)state;
    house h = open_waiting(0);
    expect_every(h.sched, MS);
    const sb_sched_stats t = after_first_look(&h, 0);
    assert_int_equal(t.n_steps, 1);
    assert_int_equal(t.n_held, 0);
    house_close(&h);
}

static void who_expects_nobody_does_not_wait(void **state)
{
    (void)state;
    house h = open_waiting(1000 * MS);
    sb_sched_stats t = after_first_look(&h, 0); /* the first of all */
    assert_int_equal(t.n_steps, 1);
    assert_int_equal(t.n_held, 0);
    expect_every(h.sched, 600 * MS); /* the next would come, but too late to be worth it */
    const uint64_t n_steps = sb_sched_get_stats(h.sched).n_steps;
    t = after_first_look(&h, 0);
    assert_int_equal(t.n_steps, n_steps + 1);
    assert_int_equal(t.n_held, 0);
    house_close(&h);
}

static void who_is_urgent_does_not_wait(void **state)
{
    (void)state;
    house h = open_waiting(1000 * MS);
    expect_every(h.sched, 50 * MS);
    const sb_sched_stats t = after_first_look(&h, 1);
    assert_int_equal(t.n_steps, 1);
    assert_int_equal(t.n_held, 0);
    house_close(&h);
}

static void in_quick_succession_they_begin_together(void **state)
{
    (void)state;
    sb_rig_seq r[N_SLOTS];
    sb_seq_opts o[N_SLOTS];
    house h = open_waiting(1000 * MS);
    expect_every(h.sched, 30 * MS);
    o[0] = begin(&h, &r[0], 0, 0);
    assert_true(house_step(&h));
    assert_int_equal(sb_sched_get_stats(h.sched).n_steps, 0);
    assert_int_equal(sb_sched_get_stats(h.sched).n_held, 1);
    for (int i = 1; i < N_SLOTS; i++) /* one for every place: nobody else could join */
        o[i] = begin(&h, &r[i], i, 0);
    assert_true(house_step(&h));
    assert_int_equal(sb_sched_get_stats(h.sched).n_steps, 1);
    assert_int_equal(sb_sched_get_stats(h.sched).n_prefill_tok, N_SLOTS * N_IDS);
    for (int i = 0; i < N_SLOTS; i++)
        end(&h, &r[i], &o[i]);
    house_close(&h);
}

static void nobody_waits_longer_than_is_likely_to_help(void **state)
{
    (void)state;
    sb_rig_seq r;
    house h = open_waiting(1000 * MS);
    expect_every(h.sched, 20 * MS);
    const double gap = h.sched->gap_ns;
    const sb_seq_opts o = begin(&h, &r, 0, 0);
    sb_sched *s = h.sched;
    s->hold_ns = s->arrived_ns;
    const uint64_t likely = sb_hold_until_ns(s) - s->arrived_ns;
    assert_true(gap < (double)(200 * MS)); /* from a second down to what came lately */
    assert_true(likely > 20 * MS && likely < 600 * MS);
    s->hold_ns = s->arrived_ns - 990 * MS; /* others keep coming: the wait is over all the same */
    assert_int_equal(sb_hold_until_ns(s) - s->arrived_ns, 10 * MS);
    s->hold_ns = 0;
    end(&h, &r, &o);
    house_close(&h);
}

static void who_leaves_is_not_waited_for(void **state)
{
    (void)state;
    sb_rig_seq r;
    house h = open_waiting(1000 * MS);
    expect_every(h.sched, 30 * MS);
    (void)begin(&h, &r, 0, 0);
    sb_seq_cancel(r.q);
    assert_true(house_step(&h)); /* its end */
    assert_int_equal(r.why, SB_SEQ_CANCELLED);
    assert_int_equal(sb_sched_get_stats(h.sched).n_held, 0);
    assert_false(house_step(&h));
    sb_rig_seq_end(&r);
    house_close(&h);
}

static void a_wait_that_is_no_wait_is_refused(void **state)
{
    (void)state;
    house h = open_waiting(0);
    sb_error err = {0};
    sb_sched *s = NULL;
    const sb_sched_opts o = {.max_queue = 1, .batch_wait_ns = (SB_MAX_BATCH_WAIT_MS + 1) * MS};
    assert_int_equal(sb_sched_new(&s, h.solo.engine, &o, &err), SB_INVALID);
    assert_string_equal(err.msg, "batch wait: more than 1000 ms");
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_wait_nobody_waits),
        cmocka_unit_test(who_expects_nobody_does_not_wait),
        cmocka_unit_test(who_is_urgent_does_not_wait),
        cmocka_unit_test(in_quick_succession_they_begin_together),
        cmocka_unit_test(nobody_waits_longer_than_is_likely_to_help),
        cmocka_unit_test(who_leaves_is_not_waited_for),
        cmocka_unit_test(a_wait_that_is_no_wait_is_refused),
    };
    return cmocka_run_group_tests(tests, house_make_model, house_drop_model);
}
