/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_audit.c - `sobre energy audit [LOG]`: a ledger added up again, line by line. */
#include <stdio.h>
#include <string.h>

#include "cli/cmd_energy.h"
#include "cli/french.h"
#include "cli/json_out.h"
#include "energy/ledger_log.h"
#include "store/store.h"

static json_t *json_of(const sb_audit_result *a)
{
    const struct {
        const char *name;
        int64_t v;
    } counts[] = {{"meter_uj", a->sums.meter_uj},
                  {"requests_uj", a->sums.requests_uj},
                  {"idle_uj", a->sums.idle_uj},
                  {"other_uj", a->sums.other_uj},
                  {"system_uj", a->sums.system_uj},
                  {"lost_uj", a->sums.lost_uj},
                  {"estimated_uj", a->estimated_uj},
                  {"unreceipted_uj", a->unreceipted_uj},
                  {"beside_uj", a->beside_uj},
                  {"lost_ns", a->lost_ns},
                  {"n_lines", a->n_lines},
                  {"n_ticks", a->n_ticks},
                  {"n_receipts", a->n_receipts},
                  {"n_starts", a->n_opens},
                  {"n_unknown_gaps", a->n_unknown_gaps},
                  {"torn_bytes", (int64_t)a->torn_bytes}};
    json_t *o = json_object();
    bool ok = o != NULL;
    for (size_t i = 0; i < SB_ARRAY_LEN(counts); i++)
        sb_json_put(o, counts[i].name, json_integer(counts[i].v), &ok);
    sb_json_put(o, "first_bad_line",
                a->first_bad_line ? json_integer(a->first_bad_line) : json_null(), &ok);
    sb_json_put(o, "chain_ok", json_boolean(a->chain_ok), &ok);
    sb_json_put(o, "sums_ok", json_boolean(a->sums_ok), &ok);
    sb_json_put(o, "source", json_string(sb_energy_source_name(a->source)), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static void print(sb_out *out, const sb_audit_result *a)
{
    const struct {
        const char *name;
        int64_t uj;
    } rows[] = {{"meter", a->sums.meter_uj},
                {"requests", a->sums.requests_uj},
                {"idle", a->sums.idle_uj},
                {"other programs", a->sums.other_uj},
                {"system", a->sums.system_uj},
                {"lost", a->sums.lost_uj},
                {"estimated beside", a->estimated_uj}};
    const bool beside = a->source == SB_ENERGY_MEASURED && a->estimated_uj > 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows) - !beside; i++)
        sb_out_addf(out, "%-16s %18.6f J\n", sb_tr(rows[i].name), (double)rows[i].uj / 1e6);
}

sb_status sb_cmd_energy_audit(const sb_cli *c, sb_error *err)
{
    sb_store *store = NULL;
    sb_audit_result a = {0};
    const char *path = c->args->n_words > 1 ? c->args->words[1] : NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    sb_status s = sb_ledger_audit_files(sb_store_home(store), path, &a, err);
    sb_store_close(store);
    if (s != SB_OK) return s;
    if (c->args->v[SB_OPT_json].set)
        SB_TRY(sb_json_print(c->out, json_of(&a), err));
    else
        print(c->out, &a);
    if (!a.chain_ok || !a.sums_ok)
        return SB_FAIL(err, SB_CORRUPT, "line %lld of the ledger: %s", (long long)a.first_bad_line,
                       a.why);
    if (c->args->v[SB_OPT_json].set) return SB_OK;
    if (a.torn_bytes)
        sb_term_say("the last line was not finished: %zu bytes; the next start cuts them",
                    a.torn_bytes);
    sb_term_say("the ledger is whole: %lld ticks, %lld receipts, %s", (long long)a.n_ticks,
                (long long)a.n_receipts, sb_tr(sb_energy_source_name(a.source)));
    return SB_OK;
}
