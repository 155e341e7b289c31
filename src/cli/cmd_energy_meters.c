/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_meters.c - `sobre energy meters`: what can measure this machine, and what does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "cli/cmd_energy.h"
#include "cli/french.h"
#include "cli/json_out.h"
#include "cli/meter_web.h"
#include "cli/stop.h"
#include "energy/meters.h"

static json_t *text_or_null(const char *text)
{
    return text[0] ? json_string(text) : json_null();
}

static json_t *json_of(const sb_meter_row *r)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "kind", json_string(sb_meter_kind_id(r->kind)), &ok);
    sb_json_put(o, "name", json_string(r->name), &ok);
    sb_json_put(o, "state", json_string(sb_meter_state_id(r->state)), &ok);
    sb_json_put(o, "counted", json_boolean(r->counted), &ok);
    sb_json_put(o, "of", text_or_null(r->of), &ok);
    sb_json_put(o, "covers", json_string(sb_meter_kind_covers(r->kind)), &ok);
    sb_json_put(o, "misses", json_string(sb_meter_kind_misses(r->kind)), &ok);
    sb_json_put(o, "unit", json_string(r->unit), &ok);
    sb_json_put(o, "period_ms", json_integer((json_int_t)r->period_ms), &ok);
    sb_json_put(o, "watts", json_boolean(r->watts), &ok);
    sb_json_put(o, "command", text_or_null(r->command), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static sb_status print_json(sb_out *out, const sb_meter_row *rows, size_t n, sb_error *err)
{
    json_t *all = json_array();
    for (size_t i = 0; all && i < n; i++) {
        if (json_array_append_new(all, json_of(&rows[i])) == 0) continue;
        json_decref(all);
        all = NULL;
    }
    return sb_json_print(out, all, err);
}

/* A kind once, then each of its counters. */
static void print_row(sb_out *out, const sb_meter_row *r, bool first_of_kind)
{
    if (first_of_kind) {
        sb_out_say(out, "%s: covers %s; misses %s", sb_meter_kind_id(r->kind),
                   sb_meter_kind_covers(r->kind), sb_meter_kind_misses(r->kind));
        sb_out_add(out, "\n", 1);
    }
    sb_out_addf(out, "  %-28s %s%s%s (%s", r->name, sb_tr(sb_meter_state_what(r->state)),
                r->of[0] ? " " : "", sb_tr(r->of), r->unit);
    if (r->period_ms) sb_out_say(out, ", renewed every %llu ms", (unsigned long long)r->period_ms);
    sb_out_add(out, ")\n", 2);
    if (!r->command[0]) return;
    sb_out_addf(out, "    ");
    sb_out_say(out, "to allow it: %s", r->command);
    sb_out_add(out, "\n", 1);
}

/* Reads all meters for so many seconds; what they say of each other. */
static void watch(sb_meter *m, int64_t seconds)
{
    const char *quarrel = NULL;
    sb_meter_check_begin(m);
    for (int64_t i = 0; i < seconds && !sb_stop_asked(NULL); i++) {
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        quarrel = sb_meter_check(m);
    }
    if (quarrel)
        sb_term_say("%s", quarrel);
    else
        sb_term_say("no meter contradicts another");
}

static sb_status show(const sb_cli *c, sb_meter *m, sb_error *err)
{
    sb_meter_row *rows = sb_calloc(SB_METER_MAX_ROWS, sizeof *rows);
    const int64_t seconds = c->args->v[SB_OPT_watch].i;
    sb_status s = SB_OK;
    if (!rows) return SB_FAIL(err, SB_NO_MEMORY, "energy meters: no memory");
    if (seconds) watch(m, seconds);
    const size_t n = sb_meter_list(m, rows, SB_METER_MAX_ROWS);
    if (c->args->v[SB_OPT_json].set)
        s = print_json(c->out, rows, n, err);
    else
        for (size_t i = 0; i < n; i++)
            print_row(c->out, &rows[i], i == 0 || rows[i].kind != rows[i - 1].kind);
    sb_free(rows);
    return s;
}

sb_status sb_cmd_energy_meters(const sb_cli *c, sb_error *err)
{
    sb_meter_web web;
    sb_meter_roots roots;
    sb_meter *m = NULL;
    sb_status s = sb_meter_web_open(&web, c->args, &roots, err);
    roots.survey = true;
    if (!roots.sysfs || !roots.sysfs[0]) {
        roots.nvml = sb_nvml_system();
        roots.ipmi = sb_ipmi_system();
        roots.aside = true; /* no command that answers asks them */
    }
    if (s == SB_OK) s = sb_meter_open(&m, &roots, err);
    if (s == SB_OK) s = show(c, m, err);
    sb_meter_close(m);
    sb_meter_web_close(&web);
    return s;
}
