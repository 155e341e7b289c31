/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_report.c - `sobre energy report`: what the server's answers took, from its data base,
 * also while it runs. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/cmd_energy.h"
#include "cli/report.h"
#include "store/keyring.h"
#include "store/store.h"

enum { PAGE_BYTES = 64 << 20 };

static sb_status take_day(const sb_cli *c, sb_opt opt, int64_t *out, sb_error *err)
{
    char shown[32];
    const char *text = c->args->v[opt].s;
    if (!text || sb_report_day_parse(text, out)) return SB_OK;
    *c->usage = true;
    sb_path_escape(shown, sizeof shown, text);
    return SB_FAIL(err, SB_INVALID, "--%s '%s': must be a day, as 2026-11-01", sb_options[opt].name,
                   shown);
}

static sb_status take_options(const sb_cli *c, sb_report *r, sb_error *err)
{
    const sb_opt_value *v = c->args->v;
    r->by = (sb_report_by)v[SB_OPT_by].i; /* in the option's order */
    if (v[SB_OPT_json].set + v[SB_OPT_csv].set + v[SB_OPT_html].set + v[SB_OPT_svg].set > 1) {
        *c->usage = true;
        return SB_FAIL(err, SB_INVALID, "--json, --csv, --html and --svg: take one of them");
    }
    SB_TRY(take_day(c, SB_OPT_from, &r->from_day, err));
    SB_TRY(take_day(c, SB_OPT_to, &r->to_day, err));
    if (r->from_day > r->to_day) {
        *c->usage = true;
        return SB_FAIL(err, SB_INVALID, "--from is after --to");
    }
    return sb_footprint_read(&r->footprint, c, err);
}

static sb_status name_key(void *ctx, const sb_key *k, sb_error *err)
{
    sb_report *r = ctx;
    (void)err;
    for (size_t i = 0; i < r->n; i++)
        if (r->rows[i].id == k->id)
            (void)snprintf(r->rows[i].label, sizeof r->rows[i].label, "%s", k->name);
    return SB_OK;
}

static sb_status read_sums(sb_report *r, sb_error *err)
{
    sb_store *store = NULL;
    sb_db *db = NULL;
    sb_error why = {0};
    const int64_t from = r->from_day == INT64_MIN ? INT64_MIN : r->from_day * 24;
    const int64_t to = r->to_day == INT64_MAX ? INT64_MAX : (r->to_day + 1) * 24;
    SB_TRY(sb_store_open(&store, NULL, err));
    sb_status s = sb_db_open(&db, sb_store_home(store), SB_DB_READ, &why);
    if (s == SB_OK) s = sb_sum_each(db, SB_OWNER_ALL, from, to, sb_report_add, r, &why);
    if (s == SB_OK && r->by == SB_BY_KEY) s = sb_key_list(db, name_key, r, &why);
    if (s == SB_NOT_FOUND) s = SB_OK; /* no data base: nothing was spent */
    if (s != SB_OK && err) *err = why;
    sb_db_close(db);
    sb_store_close(store);
    sb_report_sort(r);
    return s;
}

static sb_status print(const sb_cli *c, const sb_report *r, sb_error *err)
{
    const sb_opt_value *v = c->args->v;
    sb_buf b;
    if (v[SB_OPT_json].set) return sb_json_print(c->out, sb_report_json(r), err);
    if (!v[SB_OPT_csv].set && !v[SB_OPT_html].set && !v[SB_OPT_svg].set) {
        sb_report_table(r, c->out);
        return SB_OK;
    }
    sb_buf_init(&b, PAGE_BYTES, "report");
    const sb_status s = v[SB_OPT_csv].set    ? sb_report_csv(r, &b, err)
                        : v[SB_OPT_html].set ? sb_report_html(r, &b, err)
                                             : sb_report_svg(r, &b, err);
    if (s == SB_OK) sb_out_add(c->out, b.p, b.n);
    sb_buf_deinit(&b);
    return s;
}

sb_status sb_cmd_energy_report(const sb_cli *c, sb_error *err)
{
    sb_report r = {.from_day = INT64_MIN, .to_day = INT64_MAX};
    SB_TRY(take_options(c, &r, err));
    sb_status s = read_sums(&r, err);
    if (s == SB_OK) s = print(c, &r, err);
    sb_report_deinit(&r);
    return s;
}
