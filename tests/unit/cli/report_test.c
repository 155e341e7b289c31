/* SPDX-License-Identifier: Apache-2.0
 * report_test.c - rows of a report: days before 1970, sums at the end of the range, the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "cli/report.h"

static void days_there_and_back(void **state)
{
    (void)state;
    char text[16];
    int64_t day = 0;
    assert_true(sb_report_day_parse("1970-01-01", &day) && day == 0);
    assert_true(sb_report_day_parse("2026-11-27", &day) && day == 20784);
    assert_true(sb_report_day_parse("2024-02-29", &day));
    sb_report_day_text(day, text);
    assert_string_equal(text, "2024-02-29");
    sb_report_day_text(-1, text);
    assert_string_equal(text, "1969-12-31");
    sb_report_day_text(INT64_MAX / 100, text);
    assert_string_equal(text, "-");
    static const char *const bad[] = {"",         "2026-02-29",  "2026-13-01",
                                      "2026-1-1", "2026-11-271", "x"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        if (sb_report_day_parse(bad[i], &day)) fail_msg("%s", bad[i]);
}

static void sums_stop_at_the_largest_number(void **state)
{
    (void)state;
    sb_report r = {.by = SB_BY_DAY};
    const sb_sum much = {
        .hour = -1, .n_answers = 1, .energy_uj = INT64_MAX, .source = SB_SUM_MEASURED};
    const sb_sum nothing = {.hour = 5};
    assert_int_equal(sb_report_add(&r, 0, &much, NULL), SB_OK);
    assert_int_equal(sb_report_add(&r, 0, &much, NULL), SB_OK);
    assert_int_equal(sb_report_add(&r, 0, &nothing, NULL), SB_OK); /* no row */
    assert_int_equal(r.n, 1);
    assert_string_equal(r.rows[0].label, "1969-12-31");
    assert_true(r.total.of[SB_REPORT_ALL].energy_uj == INT64_MAX);
    sb_report_cells heads, cells;
    sb_report_heads(&r, &heads);
    sb_report_cells_of(&r, &r.rows[0], &cells);
    assert_int_equal(heads.n, cells.n);
    sb_report_deinit(&r);
}

static void digits_say_what_is_known(void **state)
{
    (void)state;
    char text[40];
    sb_report_kwh(INT64_C(3661000000000), true, text, sizeof text);
    assert_string_equal(text, "1.02");
    sb_report_kwh(INT64_C(3661000000000), false, text, sizeof text);
    assert_string_equal(text, "~1");
    sb_report_kwh(4, true, text, sizeof text); /* never a silent zero */
    assert_string_equal(text, "0.000000000001");
    sb_report_kwh(INT64_MAX, true, text, sizeof text);
    assert_string_equal(text, "2560000");
}

static void rows_have_a_limit(void **state)
{
    (void)state;
    sb_report r = {.by = SB_BY_KEY};
    sb_error err;
    sb_status s = SB_OK;
    const sb_sum one = {.n_answers = 1, .energy_uj = 1, .source = SB_SUM_ESTIMATED};
    for (int64_t owner = 1; s == SB_OK && owner <= 2 * SB_MAX_REPORT_ROWS; owner++)
        s = sb_report_add(&r, owner, &one, &err);
    assert_int_equal(s, SB_LIMIT);
    assert_int_equal(r.n, SB_MAX_REPORT_ROWS);
    assert_non_null(strstr(err.msg, "--from"));
    sb_report_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_there_and_back), cmocka_unit_test(sums_stop_at_the_largest_number),
        cmocka_unit_test(digits_say_what_is_known), cmocka_unit_test(rows_have_a_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
