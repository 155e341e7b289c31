/* SPDX-License-Identifier: Apache-2.0
 * metrics_energy_test.c - the ledger's accounts, grams and money as Prometheus reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"

static void every_account_has_its_line(void **state)
{
    (void)state;
    const sb_ledger_totals t = {.meter_uj = 21000005,
                                .owned_uj = 12000001,
                                .idle_uj = 5000000,
                                .other_uj = 3000004,
                                .system_uj = 999999,
                                .lost_uj = 1,
                                .estimated_uj = 2500000,
                                .lost_ns = 1500000000,
                                .source = SB_ENERGY_MEASURED};
    sb_buf b;
    sb_buf_init(&b, 1 << 16, "metrics");
    assert_int_equal(sb_metrics_ledger(&b, &t, NULL), SB_OK);
    static const char *const want[] = {"# TYPE sobre_ledger_energy_joules_total counter\n",
                                       "{account=\"requests\",source=\"measured\"} 12.000001\n",
                                       "{account=\"idle\",source=\"measured\"} 5.000000\n",
                                       "{account=\"other\",source=\"measured\"} 3.000004\n",
                                       "{account=\"system\",source=\"measured\"} 0.999999\n",
                                       "{account=\"lost\",source=\"measured\"} 0.000001\n",
                                       "{account=\"requests\",source=\"estimated\"} 2.500000\n",
                                       "\nsobre_ledger_lost_seconds_total 1.5\n"};
    for (size_t i = 0; i < SB_ARRAY_LEN(want); i++)
        if (!strstr(b.p, want[i])) fail_msg("%s in %s", want[i], b.p);
    sb_buf_deinit(&b);
}

static void grams_and_money_when_asked(void **state)
{
    (void)state;
    const sb_grid_account grams[] = {
        {.zone = "FR", .kind = SB_GRID_average, .year = 2023, .ug = 56000},
        {.zone = "FR", .kind = SB_GRID_live, .ug = 1}};
    sb_tariff t;
    sb_buf b;
    sb_buf_init(&b, 1 << 16, "metrics");
    assert_int_equal(sb_metrics_footprint(&b, 3600000000, NULL, 0, NULL, NULL), SB_OK);
    assert_int_equal(b.n, 0);
    assert_int_equal(sb_tariff_parse(&t, "0.25EUR", NULL), SB_OK);
    assert_int_equal(sb_metrics_footprint(&b, 3600000000, grams, 2, &t, NULL), SB_OK);
    assert_non_null(
        strstr(b.p, "sobre_co2e_grams_total{zone=\"FR\",kind=\"average\",year=\"2023\"} 0.056\n"));
    assert_non_null(
        strstr(b.p, "\nsobre_co2e_grams_total{zone=\"FR\",kind=\"live\",year=\"0\"} 0.000001\n"));
    assert_ptr_equal(strstr(strstr(b.p, "# TYPE sobre_co2e") + 1, "# TYPE sobre_co2e"), NULL);
    assert_non_null(strstr(b.p, "sobre_cost_total{currency=\"EUR\"} 0.00025\n"));
    sb_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_account_has_its_line),
                                       cmocka_unit_test(grams_and_money_when_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
