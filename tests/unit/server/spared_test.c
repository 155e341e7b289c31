/* SPDX-License-Identifier: Apache-2.0
 * spared_test.c - what kept tokens would have cost: by model, by long prompts, only if known. */
#include "server/spared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void each_model_has_its_own_price(void **state)
{
    (void)state;
    sb_spared s = {0};
    assert_int_equal(sb_spared_uj(&s, "a", 100), 0);
    sb_spared_learn(&s, "a", 1000, 100);
    sb_spared_learn(&s, "b", 90000, 300);
    sb_spared_learn(&s, "a", 3000, 100);
    assert_int_equal(sb_spared_uj(&s, "a", 50), 1000); /* 4 000 of 200 */
    assert_int_equal(sb_spared_uj(&s, "b", 7), 2100);
    assert_int_equal(sb_spared_uj(&s, "c", 7), 0);
    assert_int_equal(sb_spared_uj(&s, "a", 0), 0);
}

static void short_prompts_and_nothing_teach_nothing(void **state)
{
    (void)state;
    sb_spared s = {0};
    sb_spared_learn(&s, "a", 1000, SB_SPARED_LEAST_TOK - 1);
    sb_spared_learn(&s, "a", 0, 100);
    sb_spared_learn(&s, "a", -5, 100);
    sb_spared_learn(&s, "", 1000, 100);
    assert_int_equal(sb_spared_uj(&s, "a", 100), 0);
    assert_int_equal(sb_spared_uj(&s, "", 100), 0);
}

static void what_is_long_ago_fades(void **state)
{
    (void)state;
    sb_spared s = {0};
    for (int i = 0; i < 1000; i++)
        sb_spared_learn(&s, "a", 10 * 1000, 1000);
    assert_int_equal(sb_spared_uj(&s, "a", 100), 1000);
    for (int i = 0; i < 1000; i++)
        sb_spared_learn(&s, "a", 30 * 1000, 1000);
    const int64_t uj = sb_spared_uj(&s, "a", 100);
    assert_true(uj > 2990 && uj <= 3000);
    sb_spared_learn(&s, "a", INT64_MAX, INT64_MAX);
    assert_true(sb_spared_uj(&s, "a", INT64_MAX) > 0);
}

static void the_model_used_longest_ago_makes_room(void **state)
{
    (void)state;
    sb_spared s = {0};
    char name[2 * SB_SPARED_NAME_BYTES];
    for (int i = 0; i < SB_SPARED_MODELS; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        sb_spared_learn(&s, name, 100, 100);
    }
    sb_spared_learn(&s, "m0", 100, 100);
    sb_spared_learn(&s, "new", 500, 100);
    assert_int_equal(sb_spared_uj(&s, "m0", 100), 100);
    assert_int_equal(sb_spared_uj(&s, "m1", 100), 0);
    assert_int_equal(sb_spared_uj(&s, "new", 100), 500);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    sb_spared_learn(&s, name, 500, 100); /* cut: found by nobody, and no overflow */
    assert_int_equal(sb_spared_uj(&s, name, 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_model_has_its_own_price),
        cmocka_unit_test(short_prompts_and_nothing_teach_nothing),
        cmocka_unit_test(what_is_long_ago_fades),
        cmocka_unit_test(the_model_used_longest_ago_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
