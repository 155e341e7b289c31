/* SPDX-License-Identifier: Apache-2.0
 * pages_test.c - pages are joined after some work, in a share of the time or while idle, all of
 * them in the end. */
#include "engine/pages.h"
#include "base/alloc.h"
#include "base/huge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N_PAGES = 6, N = N_PAGES * SB_HUGE_BYTES };

static const uint64_t second_ns = 1000000000;

static unsigned char *memory(void)
{
    unsigned char *p = sb_big_alloc(N);
    assert_non_null(p);
    for (size_t i = 0; i < N; i += 4096)
        p[i] = (unsigned char)(i >> 12);
    return p;
}

static void release(unsigned char *p)
{
    for (size_t i = 0; i < N; i += 4096)
        assert_int_equal(p[i], (unsigned char)(i >> 12));
    sb_big_free(p, N);
}

static void short_work_joins_nothing(void **state)
{
    (void)state;
    unsigned char *p = memory();
    sb_pages g;
    sb_pages_init(&g, p, N);
    for (int i = 0; i < 49; i++)
        sb_pages_step(&g, second_ns / 10);
    assert_int_equal(g.at, 0);
    assert_int_equal(g.spent_ns, 0);
    assert_false(sb_pages_due(&g)); /* nor while nothing is to be done */
    release(p);
}

/* Of a joined page no less than ten times its cost has been worked before the next one. */
static void longer_work_joins_a_share(void **state)
{
    (void)state;
    unsigned char *p = memory();
    sb_pages g;
    sb_pages_init(&g, p, N);
    sb_pages_step(&g, 5 * second_ns);
    assert_int_equal(g.at, 0);
    sb_pages_step(&g, 1);
    assert_true(g.at == SB_HUGE_BYTES || g.at == N); /* one, or the kernel cannot */
    assert_true(g.spent_ns > 0);
    for (uint64_t spent = 0; g.at < N;) {
        const size_t at = g.at;
        spent = g.spent_ns;
        sb_pages_step(&g, 10 * spent - (g.worked_ns - 5 * second_ns)); /* just not enough */
        assert_int_equal(g.at, at);
        sb_pages_step(&g, 1);
        assert_true(g.at > at);
    }
    sb_pages_step(&g, 100 * second_ns);
    assert_int_equal(g.at, N);
    release(p);
}

/* What is joined while nothing is to be done need not wait for more work. */
static void idle_time_joins_at_once(void **state)
{
    (void)state;
    unsigned char *p = memory();
    sb_pages g;
    sb_pages_init(&g, p, N);
    sb_pages_step(&g, 5 * second_ns + 1);
    for (int i = 0; i < N_PAGES && sb_pages_due(&g); i++)
        sb_pages_join(&g);
    assert_int_equal(g.at, N);
    assert_false(sb_pages_due(&g));
    release(p);
}

static void all_at_once(void **state)
{
    (void)state;
    unsigned char *p = memory();
    sb_pages g;
    sb_pages_init(&g, p, N + 5); /* what is no whole page stays */
    sb_pages_finish(&g);
    assert_int_equal(g.at, N);
    sb_pages_finish(&g);
    release(p);
    sb_pages_init(&g, NULL, 0); /* weights of a file */
    sb_pages_step(&g, 100 * second_ns);
    sb_pages_finish(&g);
    assert_int_equal(g.at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_work_joins_nothing),
        cmocka_unit_test(longer_work_joins_a_share),
        cmocka_unit_test(idle_time_joins_at_once),
        cmocka_unit_test(all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
