/* SPDX-License-Identifier: Apache-2.0
 * score_test.c - watt-hours of a thousand queries, how far runs lie apart, and what a label may
 * say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/score.h"

static sb_score_run run(sb_energy_source source, int64_t uj)
{
    return (sb_score_run){.energy = {.source = source,
                                     .energy_uj = uj,
                                     .lo_uj = uj / 2,
                                     .hi_uj = 2 * uj,
                                     .duration_ns = 2000000000,
                                     .meter = "RAPL <package>",
                                     .scope = "a scope"},
                          .prefill_part = 1,
                          .decode_part = 3,
                          .n_in = 50,
                          .n_out = 20};
}

static void a_thousand_queries(void **state)
{
    (void)state;
    sb_score s = {.model = "m", .file = "m.gguf", .prompts = "p", .n_queries = 10, .n_runs = 1};
    s.runs[0] = run(SB_ENERGY_MEASURED, 36000000); /* 3.6 J a query: 1 Wh a thousand */
    sb_score_result r = sb_score_of(&s);
    assert_int_equal(r.uwh, 1000000);
    assert_int_equal(r.lo_uwh, 500000);
    assert_int_equal(r.hi_uwh, 2000000);
    assert_int_equal(r.spread_uwh, 0);
    assert_int_equal(r.prefill_uwh, 250000);
    assert_int_equal(r.decode_uwh, 750000);
    assert_int_equal(r.digits, 3);
    assert_true(r.seconds == 0.2 && r.n_in == 5 && r.n_out == 2);
    s.runs[1] = run(SB_ENERGY_MEASURED, 72000000);
    s.n_runs = 2;
    r = sb_score_of(&s);
    assert_int_equal(r.uwh, 1500000);
    assert_int_equal(r.spread_uwh, 500000); /* of 1 and 2: deviation 0.7071, by the root of 2 */
    assert_int_equal(r.lo_uwh, 0);          /* 0.75 less twice that: nothing is below nothing */
    assert_int_equal(r.hi_uwh, 4000000);
}

static void one_estimate_makes_an_estimate(void **state)
{
    (void)state;
    sb_score s = {.model = "a & \"b\"", .file = "f", .prompts = "p", .n_queries = 1, .n_runs = 2};
    sb_buf b;
    sb_buf_init(&b, 1 << 20, "label");
    s.runs[0] = s.runs[1] = run(SB_ENERGY_MEASURED, 36000000);
    assert_int_equal(sb_score_label(&s, &b, NULL), SB_OK);
    assert_non_null(strstr(b.p, "MEASURED"));
    assert_null(strstr(b.p, "ESTIMATED"));
    assert_non_null(strstr(b.p, "a &amp; &quot;b&quot;"));
    assert_non_null(strstr(b.p, "RAPL &lt;package&gt;"));
    s.runs[1].energy.source = SB_ENERGY_ESTIMATED;
    assert_int_equal(sb_score_of(&s).source, SB_ENERGY_ESTIMATED);
    assert_int_equal(sb_score_of(&s).digits, 1);
    sb_buf_clear(&b);
    assert_int_equal(sb_score_label(&s, &b, NULL), SB_OK);
    assert_null(strstr(b.p, "MEASURED"));
    assert_non_null(strstr(b.p, "ESTIMATED"));
    assert_non_null(strstr(b.p, "about 10 Wh"));
    sb_buf_deinit(&b);
    sb_buf_init(&b, 100, "label"); /* no room: said, not cut */
    assert_int_equal(sb_score_label(&s, &b, NULL), SB_LIMIT);
    sb_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_thousand_queries),
                                       cmocka_unit_test(one_estimate_makes_an_estimate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
