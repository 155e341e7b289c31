/* SPDX-License-Identifier: Apache-2.0
 * pace_test.c - what a step takes: learned from any machine, rising, moved by what is new. */
#include "engine/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <math.h>

/* A machine: bound by memory up to eight rows, then each costs. */
static double truth(double rows)
{
    return rows < 8 ? 5e6 : 5e6 + (rows - 8) * 3e5;
}

static sb_load load_of(double rows, double prompt_bytes, double decode_bytes)
{
    return (sb_load){.rows = rows, .kv_bytes = {prompt_bytes, decode_bytes}};
}

static void teach(sb_pace *p, const sb_load *l)
{
    const double attend[2] = {l->kv_bytes[0] * 0.02, l->kv_bytes[1] * 0.03};
    sb_pace_learn(p, l, truth(l->rows) + attend[0] + attend[1], attend);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    const sb_pace p = {0};
    const sb_load l = load_of(4, 0, 1e6);
    assert_false(sb_pace_knows(&p, &l));
    assert_true(sb_pace_predict(&p, &l) == 0);
}

static void it_learns(void **state)
{
    (void)state;
    sb_pace p = {0};
    for (int i = 0; i < 400; i++) {
        const double rows = 1 + i * 37 % 500;
        const sb_load mixed = load_of(rows, 1e6 * rows, 1e6), pure = load_of(1 + i % 40, 0, 2e6);
        teach(&p, &mixed);
        teach(&p, &pure);
    }
    for (double rows = 1; rows < 500; rows += 7) {
        const sb_load l = load_of(rows, 3e6, 1e6);
        const double want = truth(rows) + 3e6 * 0.02 + 1e6 * 0.03;
        assert_true(sb_pace_knows(&p, &l));
        assert_true(fabs(sb_pace_predict(&p, &l) - want) < 0.15 * want);
    }
    /* What mixed steps take says nothing about those without. */
    const sb_load pure = load_of(4, 0, 1e6);
    const double before = sb_pace_predict(&p, &pure);
    for (int i = 0; i < 50; i++) {
        const sb_load mixed = load_of(8, 1e6, 1e6);
        const double attend[2] = {2e4, 3e4};
        sb_pace_learn(&p, &mixed, 9e7, attend);
    }
    assert_true(fabs(sb_pace_predict(&p, &pure) - before) < 1);
}

static void more_rows_never_take_less(void **state)
{
    (void)state;
    sb_pace p = {0};
    uint64_t x = 1;
    for (int i = 0; i < 2000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        const double rows = 1 + (double)(x >> 40 & 511),
                     noise = 0.3 + (double)(x >> 50 & 1023) / 400;
        const sb_load l = load_of(rows, i % 2 ? 1e6 : 0, 1e6);
        const double attend[2] = {i % 2 ? 1e4 : 0, 1e4};
        sb_pace_learn(&p, &l, truth(rows) * noise, attend);
        double last = 0;
        for (double r = 0.5; r < 1200; r *= 1.3) {
            const sb_load at = load_of(r, i % 2 ? 1e6 : 0, 1e6);
            const double ns = sb_pace_predict(&p, &at);
            assert_true(ns >= last * (1 - 1e-9) && isfinite(ns));
            last = ns;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(more_rows_never_take_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
