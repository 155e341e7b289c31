/* SPDX-License-Identifier: Apache-2.0
 * huge_test.c - pages change their size, memory keeps what it holds. */
#include "base/huge.h"
#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 4 * SB_HUGE_BYTES };

static void fill(unsigned char *p)
{
    for (size_t i = 0; i < N; i += 64)
        p[i] = (unsigned char)(i / 64 * 7);
}

static void check(const unsigned char *p)
{
    for (size_t i = 0; i < N; i += 64)
        assert_int_equal(p[i], (unsigned char)(i / 64 * 7));
}

static void joined_pages_hold_the_same(void **state)
{
    (void)state;
    unsigned char *p = sb_big_alloc(N);
    assert_non_null(p);
    fill(p);
    for (size_t at = 0; at < N; at += SB_HUGE_BYTES)
        (void)sb_huge_join(p + at); /* not every kernel can */
    check(p);
    (void)sb_huge_join(p); /* again: nothing is left to do */
    check(p);
    sb_big_free(p, N);
}

static void asked_for_or_not_memory_is_zeroed(void **state)
{
    (void)state;
    unsigned char *p = sb_big_alloc(N);
    assert_non_null(p);
    assert_true(sb_huge_take(p, N) <= N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(p[i], 0);
    fill(p);
    check(p);
    sb_big_free(p, N);
}

static void what_is_no_memory_is_left_alone(void **state)
{
    (void)state;
    unsigned char *p = sb_big_alloc(SB_HUGE_BYTES);
    assert_non_null(p);
    assert_int_equal(sb_huge_take(p, SB_HUGE_BYTES - 1), 0);
    sb_big_free(p, SB_HUGE_BYTES);
    assert_false(sb_huge_join(p));
    assert_int_equal(sb_huge_take(p, SB_HUGE_BYTES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_pages_hold_the_same),
        cmocka_unit_test(asked_for_or_not_memory_is_zeroed),
        cmocka_unit_test(what_is_no_memory_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
