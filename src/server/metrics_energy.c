/* SPDX-License-Identifier: Apache-2.0
 * metrics_energy.c - the ledger's accounts, grams and money as Prometheus' text.
 *
 * Names say no unit before their end, as OpenTelemetry has it (energy, in J): a collector drops
 * "_joules_total" and finds sobre.ledger.energy. Its GenAI conventions know no energy yet. */
#include "server/metrics.h"

sb_status sb_metrics_ledger(sb_buf *b, const sb_ledger_totals *t, sb_error *err)
{
    const struct {
        const char *name;
        int64_t uj;
    } accounts[] = {{"requests", t->owned_uj},
                    {"idle", t->idle_uj},
                    {"other", t->other_uj},
                    {"system", t->system_uj},
                    {"lost", t->lost_uj}};
    /* Accounts are of measured ticks where there was one, whatever the last tick was. */
    const bool measured = t->source == SB_ENERGY_MEASURED || t->estimated_uj > 0;
    const char *source = sb_energy_source_name(measured ? SB_ENERGY_MEASURED : SB_ENERGY_ESTIMATED);
    SB_TRY(sb_buf_addf(b, err,
                       "# HELP sobre_ledger_energy_joules_total all that the meter counted, by "
                       "whose it is: answers, idling, other programs, the system, nobody's\n"
                       "# TYPE sobre_ledger_energy_joules_total counter\n"));
    for (size_t i = 0; i < SB_ARRAY_LEN(accounts); i++)
        SB_TRY(sb_buf_addf(b, err,
                           "sobre_ledger_energy_joules_total{account=\"%s\",source=\"%s\"} "
                           "%lld.%06lld\n",
                           accounts[i].name, source, (long long)(accounts[i].uj / 1000000),
                           (long long)(accounts[i].uj % 1000000)));
    if (t->estimated_uj > 0)
        SB_TRY(sb_buf_addf(b, err,
                           "sobre_ledger_energy_joules_total{account=\"requests\",source=\"%s\"} "
                           "%lld.%06lld\n",
                           sb_energy_source_name(SB_ENERGY_ESTIMATED),
                           (long long)(t->estimated_uj / 1000000),
                           (long long)(t->estimated_uj % 1000000)));
    return sb_buf_addf(b, err,
                       "# HELP sobre_ledger_lost_seconds_total time in which the meter failed\n"
                       "# TYPE sobre_ledger_lost_seconds_total counter\n"
                       "sobre_ledger_lost_seconds_total %.9g\n",
                       (double)t->lost_ns / 1e9);
}

sb_status sb_metrics_footprint(sb_buf *b, int64_t uj, const sb_grid_account *grams, size_t n,
                               const sb_tariff *t, sb_error *err)
{
    char v[40];
    if (n > 0)
        SB_TRY(
            sb_buf_addf(b, err,
                        "# HELP sobre_co2e_grams_total grams of CO2 equivalent of the answers, by "
                        "the factor in force then\n"
                        "# TYPE sobre_co2e_grams_total counter\n"));
    for (size_t i = 0; i < n; i++) {
        const sb_grid_account *g = &grams[i];
        sb_decimal_text(g->ug, 6, v, sizeof v);
        SB_TRY(sb_buf_addf(b, err,
                           "sobre_co2e_grams_total{zone=\"%s\",kind=\"%s\",year=\"%d\"} %s\n",
                           g->zone, sb_grid_kind_name(g->kind), g->year, v));
    }
    if (!t) return SB_OK;
    sb_decimal_text(sb_tariff_nano(t, uj), 9, v, sizeof v);
    return sb_buf_addf(
        b, err,
        "# HELP sobre_cost_total price of the answers' electricity, by the tariff that "
        "was given\n"
        "# TYPE sobre_cost_total counter\n"
        "sobre_cost_total{currency=\"%s\"} %s\n",
        t->currency, v);
}
