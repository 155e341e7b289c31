/* SPDX-License-Identifier: Apache-2.0
 * grid_test.c - factors and tariffs: the table's rows, what is read and refused, stale files, the
 * products at their limits, and the words for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "energy/grid.h"

#define NOW INT64_C(1796000000)
#define KWH_UJ INT64_C(3600000000000)

static sb_grid grid(const char *text)
{
    sb_grid g = {0};
    sb_error err;
    if (sb_grid_parse(&g, text, NOW, &err) != SB_OK) fail_msg("%s", err.msg);
    return g;
}

static sb_tariff tariff(const char *text)
{
    sb_tariff t = {0};
    sb_error err;
    if (sb_tariff_parse(&t, text, &err) != SB_OK) fail_msg("%s", err.msg);
    return t;
}

static void every_row_is_found_and_plausible(void **state)
{
    (void)state;
    char zones[256], before[8] = "", *rest = zones;
    snprintf(zones, sizeof zones, "%s", sb_grid_zones());
    int n = 0;
    for (char *z; (z = strtok_r(rest, " ", &rest)); n++) {
        sb_grid g;
        assert_true(sb_grid_find(z, &g));
        assert_string_equal(g.zone, z);
        if (g.mg_per_kwh < 5000 || g.mg_per_kwh > 1500000) fail_msg("%s", z);
        assert_true(g.source[0] && g.name[0] && strcmp(before, z) < 0);
        snprintf(before, sizeof before, "%s", z);
    }
    assert_true(n >= 12);
    assert_string_equal(before, "WORLD"); /* where a file without a zone falls back to */
    assert_int_equal(grid("fr").mg_per_kwh, 56000);
    assert_int_equal(grid("FR").year, 2023);
    assert_int_equal(grid("FR").kind, SB_GRID_average);
}

static void numbers_are_the_operators(void **state)
{
    (void)state;
    assert_int_equal(grid("56.5").mg_per_kwh, 56500);
    assert_int_equal(grid("0").mg_per_kwh, 0);
    assert_int_equal(grid("5000").mg_per_kwh, 5000000);
    assert_int_equal(grid("12.345").mg_per_kwh, 12345);
    assert_int_equal(grid("12").kind, SB_GRID_given);
    assert_string_equal(grid("12").source, "given by the operator");
    static const char *const bad[] = {"",
                                      "5000.001",
                                      "-1",
                                      "1e3",
                                      "1.",
                                      ".5",
                                      "1.2345",
                                      "ZZ",
                                      "FR ",
                                      "56 g",
                                      "nan",
                                      "1..2",
                                      "99999999999999999999"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_grid g = {.year = 77};
        sb_error err;
        if (sb_grid_parse(&g, bad[i], NOW, &err) != SB_INVALID) fail_msg("'%s'", bad[i]);
        assert_int_equal(g.year, 77);
        assert_non_null(strstr(err.msg, "--grid"));
    }
}

static void a_file_counts_while_it_is_fresh(void **state)
{
    (void)state;
    sb_grid g = {0};
    char text[64];
    snprintf(text, sizeof text, "61.5 %lld fr\n", (long long)NOW - 60);
    assert_null(sb_grid_read(&g, text, NOW));
    assert_int_equal(g.mg_per_kwh, 61500);
    assert_int_equal(g.time_s, NOW - 60);
    assert_int_equal(g.kind, SB_GRID_live);
    assert_string_equal(g.zone, "FR");
    assert_null(sb_grid_read(&g, "7 2026-11-29T17:46:40Z", INT64_C(1795974400)));
    assert_int_equal(g.time_s, INT64_C(1795974400));
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "does not begin with grams a kWh"},
               {"x", "does not begin with grams a kWh"},
               {"61", "does not begin with grams a kWh"},
               {"6000 1796000000", "does not begin with grams a kWh"},
               {"61 ", "has no time that can be read"},
               {"61 yesterday", "has no time that can be read"},
               {"61 2026-11-29", "has no time that can be read"},
               {"61 1796000301", "is of the future"},
               {"61 1795992799 SE", "is too old"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_grid was = {.mg_per_kwh = 3};
        const char *why = sb_grid_read(&was, bad[i].text, NOW);
        if (!why || strcmp(why, bad[i].why) != 0) fail_msg("'%s': %s", bad[i].text, why);
        assert_int_equal(was.mg_per_kwh, 3);
    }
}

static void a_file_of_no_use_falls_back_and_says_so(void **state)
{
    (void)state;
    char path[] = "/tmp/sobre-grid-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "61 %lld SE\n", (long long)NOW - SB_GRID_STALE_S - 1) > 0);
    const sb_grid old = grid(path);
    assert_int_equal(old.mg_per_kwh, 41000);
    assert_int_equal(old.kind, SB_GRID_average);
    assert_non_null(strstr(old.note, "is too old, so the table is used"));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(dprintf(fd, "61 %lld SE\n", (long long)NOW - SB_GRID_STALE_S) > 0);
    const sb_grid fresh = grid(path);
    assert_int_equal(fresh.mg_per_kwh, 61000);
    assert_string_equal(fresh.note, "");
    close(fd);
    unlink(path);
    const sb_grid gone = grid(path);
    assert_string_equal(gone.zone, "WORLD");
    assert_string_equal(gone.why, "cannot be read");
    assert_non_null(strstr(gone.note, "cannot be read"));
    assert_non_null(strstr(grid("/").note, "cannot be read")); /* a folder */
}

static void a_live_value_ends_by_the_clock(void **state)
{
    (void)state;
    sb_grid g = {0};
    char text[64];
    snprintf(text, sizeof text, "61.5 %lld se", (long long)NOW);
    assert_null(sb_grid_read(&g, text, NOW));
    sb_grid_age(&g, NOW + SB_GRID_STALE_S);
    assert_int_equal(g.mg_per_kwh, 61500);
    assert_null(g.why);
    sb_grid_age(&g, NOW + SB_GRID_STALE_S + 1);
    assert_int_equal(g.mg_per_kwh, 41000);
    assert_int_equal(g.kind, SB_GRID_average);
    assert_string_equal(g.why, "is too old");
    assert_string_equal(g.note, "the operator's file is too old, so the table is used");
    snprintf(text, sizeof text, "61.5 %lld", (long long)NOW);
    assert_null(sb_grid_read(&g, text, NOW));
    sb_grid_age(&g, NOW + 2 * SB_GRID_STALE_S);
    assert_string_equal(g.zone, "WORLD");
    g = grid("FR"); /* neither a row nor a number of the operator's has an age */
    sb_grid_age(&g, NOW + 2 * SB_GRID_STALE_S);
    assert_string_equal(g.zone, "FR");
    assert_null(g.why);
    g = grid("12");
    sb_grid_age(&g, NOW);
    assert_int_equal(g.mg_per_kwh, 12000);
}

static void products_are_whole_and_stop_at_the_end(void **state)
{
    (void)state;
    const sb_grid fr = grid("FR"), none = grid("0");
    const sb_tariff t = tariff("0.25EUR");
    assert_int_equal(sb_grid_ug(&fr, KWH_UJ), 56000000);
    assert_int_equal(sb_tariff_nano(&t, KWH_UJ), 250000000);
    assert_int_equal(sb_grid_ug(&fr, 32142), 0); /* 0.49999... ug */
    assert_int_equal(sb_grid_ug(&fr, 32143), 1);
    assert_int_equal(sb_grid_ug(&none, KWH_UJ), 0);
    assert_int_equal(sb_grid_ug(&fr, -5), 0);
    assert_int_equal(sb_grid_ug(&fr, INT64_MAX), INT64_C(143474676128852));
    const sb_tariff most = tariff("1000000");
    assert_int_equal(sb_tariff_nano(&most, INT64_MAX), INT64_MAX);
    assert_int_equal(sb_tariff_nano(&t, -1), 0);
}

static void tariffs_are_read_strictly(void **state)
{
    (void)state;
    assert_string_equal(tariff("0.25\xe2\x82\xac").currency, "EUR");
    assert_string_equal(tariff("0.25$").currency, "USD");
    assert_string_equal(tariff("2chf").currency, "CHF");
    assert_string_equal(tariff("2").currency, "");
    assert_int_equal(tariff("0.000000001").nano_per_kwh, 1);
    static const char *const bad[] = {"",      "EUR",          "0.25 EUR", "0.25EURO",
                                      "-1EUR", "1EU",          "1E1R",     "1000001",
                                      "1.",    "0.0000000001", "0,25EUR"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_tariff t;
        if (sb_tariff_parse(&t, bad[i], NULL) != SB_INVALID) fail_msg("'%s'", bad[i]);
    }
}

static void the_words_carry_the_source(void **state)
{
    (void)state;
    char text[SB_FOOTPRINT_BYTES];
    const sb_grid fr = grid("FR"), given = grid("12.5"), world = grid("WORLD");
    sb_grid_text(&fr, 41000000, 3, text, sizeof text);
    assert_string_equal(text, "638 ug CO2e at 56 g/kWh (France, 2023 average; Our World in Data, "
                              "by way of CodeCarbon's table)");
    sb_grid_text(&fr, 90000000, 1, text, sizeof text);
    assert_non_null(strstr(text, "1 mg CO2e at"));
    sb_grid_text(&given, KWH_UJ, 2, text, sizeof text);
    assert_string_equal(text, "13 g CO2e at 12.5 g/kWh (given by the operator)");
    sb_grid_text(&world, 1000 * KWH_UJ, 3, text, sizeof text);
    assert_non_null(strstr(text, "475 kg CO2e at 475 g/kWh (World, average; "));
    sb_grid live;
    assert_null(sb_grid_read(&live, "61.5 1796000000 FR", NOW));
    sb_grid_text(&live, KWH_UJ, 3, text, sizeof text);
    assert_non_null(strstr(text, "61.5 g CO2e at 61.5 g/kWh (France, live, of 2026-11-30 00:53 "
                                 "UTC; the operator's file)"));
    const sb_tariff t = tariff("0.25EUR"), bare = tariff("0.3");
    sb_tariff_text(&t, 10000000, 3, text, sizeof text);
    assert_string_equal(text, "0.000000694 EUR at 0.25 EUR/kWh (given by the operator)");
    sb_tariff_text(&bare, 2 * KWH_UJ, 3, text, sizeof text);
    assert_string_equal(text, "0.6 at 0.3/kWh (given by the operator)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_and_plausible),
        cmocka_unit_test(numbers_are_the_operators),
        cmocka_unit_test(a_file_counts_while_it_is_fresh),
        cmocka_unit_test(a_file_of_no_use_falls_back_and_says_so),
        cmocka_unit_test(a_live_value_ends_by_the_clock),
        cmocka_unit_test(products_are_whole_and_stop_at_the_end),
        cmocka_unit_test(tariffs_are_read_strictly),
        cmocka_unit_test(the_words_carry_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
