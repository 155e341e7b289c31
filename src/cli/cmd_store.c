/* SPDX-License-Identifier: Apache-2.0
 * cmd_store.c - `sobre pull` and `sobre list`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/stop.h"
#include "store/pull.h"

/* What the progress line remembers between two calls. */
typedef struct meter_line {
    const char *name;
    bool tty, shown; /* shown: a line is on the terminal and must be closed */
    size_t i_part;   /* the part announced last, counted from 1 */
    uint64_t begin_ns, last_ns;
} meter_line;

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

/* Not a terminal: one line for each part. */
static void say_part(meter_line *l, const sb_pull_progress *p)
{
    if (p->phase != SB_PULL_FETCH || l->i_part == p->i_part + 1) return;
    l->i_part = p->i_part + 1;
    sb_term_say("%s: fetching part %zu of %zu (%.1f MB)", l->name, p->i_part + 1, p->n_part,
                megabytes(p->total_bytes));
}

static void show_progress(void *ctx, const sb_pull_progress *p)
{
    static const char *const what[] = {[SB_PULL_CHECK] = "checking what is here",
                                       [SB_PULL_FETCH] = "fetching",
                                       [SB_PULL_WRITE] = "unpacking"};
    meter_line *l = ctx;
    if (!l->tty) {
        say_part(l, p);
        return;
    }
    const uint64_t now_ns = sb_now_ns();
    if (p->phase == SB_PULL_FETCH && l->i_part != p->i_part + 1) {
        l->i_part = p->i_part + 1;
        l->begin_ns = now_ns;
    }
    if (now_ns - l->last_ns < 100000000u) return;
    l->last_ns = now_ns;
    char line[200], rate[64] = "";
    const double s = (double)(now_ns - l->begin_ns) / 1e9;
    if (p->phase == SB_PULL_FETCH && s > 1 && p->done_bytes > 0) {
        const double per_s = (double)p->done_bytes / s;
        const double left = (double)(p->total_bytes - p->done_bytes) / per_s;
        (void)snprintf(rate, sizeof rate, ", %.1f MB/s, %.0f s left", per_s / 1e6, left);
    }
    const int n = snprintf(line, sizeof line, "\r\033[K%s: %s part %zu of %zu: %.1f of %.1f MB%s",
                           l->name, what[p->phase], p->i_part + 1, p->n_part,
                           megabytes(p->done_bytes), megabytes(p->total_bytes), rate);
    l->shown = true;
    if (n > 0 && write(2, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1) < 0)
        l->tty = false; /* nobody looks */
}

sb_status sb_cmd_pull(const sb_cli *c, sb_error *err)
{
    const char *name = c->args->words[0];
    meter_line line = {.name = name, .tty = isatty(2) == 1, .begin_ns = sb_now_ns()};
    sb_pull_request rq = {.accept_terms = c->args->v[SB_OPT_accept].set,
                          .hooks = {&line, sb_stop_asked, show_progress}};
    if (!sb_catalog_find(name, &rq.row))
        return SB_FAIL(err, SB_NOT_FOUND,
                       "no model '%.60s' in the catalogue: `sobre list` shows it", name);
    if (rq.row.terms) sb_term_say("%s", rq.row.terms);
    sb_store *store = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    bool already = false;
    const sb_status s = sb_store_pull(store, &rq, &already, err);
    if (line.shown && write(2, "\r\033[K", 4) < 0) line.tty = false;
    if (s == SB_OK)
        sb_term_say("%s: %s, %.1f MB, SHA-256 checked, licence: %s", name,
                    already ? "was here already" : "pulled", megabytes(rq.row.bytes),
                    rq.row.licence);
    sb_store_close(store);
    return s;
}

static bool is_here(const char *name, const sb_store_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(items[i].name, name) == 0) return true;
    return false;
}

static sb_status list_json(sb_out *o, const sb_store_item *items, size_t n, sb_error *err)
{
    json_t *all = json_array();
    bool ok = all != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        sb_catalog_row row;
        const bool known = sb_catalog_find(items[i].name, &row);
        ok = json_array_append_new(all, json_pack("{s:s, s:I, s:b, s:s?}", "name", items[i].name,
                                                  "bytes", (json_int_t)items[i].bytes, "here", 1,
                                                  "licence", known ? row.licence : NULL)) == 0;
    }
    for (size_t i = 0; ok && i < sb_catalog_n(); i++) {
        const sb_catalog_row row = sb_catalog_get(i);
        if (is_here(row.name, items, n)) continue;
        ok = json_array_append_new(all, json_pack("{s:s, s:I, s:b, s:s}", "name", row.name, "bytes",
                                                  (json_int_t)row.bytes, "here", 0, "licence",
                                                  row.licence)) == 0;
    }
    if (!ok) {
        json_decref(all);
        all = NULL;
    }
    return sb_json_print(o, all, err);
}

static void list_text(sb_out *o, const sb_store_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sb_catalog_row row;
        const bool known = sb_catalog_find(items[i].name, &row);
        sb_out_addf(o, "%-24s %9.1f MB  here       %s\n", items[i].name, megabytes(items[i].bytes),
                    known ? row.licence : "");
    }
    for (size_t i = 0; i < sb_catalog_n(); i++) {
        const sb_catalog_row row = sb_catalog_get(i);
        if (is_here(row.name, items, n)) continue;
        sb_out_addf(o, "%-24s %9.1f MB  not here   %s: sobre pull %s%s\n", row.name,
                    megabytes(row.bytes), row.licence, row.name,
                    row.terms ? " --accept-license" : "");
    }
}

sb_status sb_cmd_list(const sb_cli *c, sb_error *err)
{
    sb_store *store = NULL;
    sb_store_item *items = NULL;
    size_t n = 0;
    SB_TRY(sb_store_open(&store, NULL, err));
    sb_status s = sb_store_list(store, &items, &n, err);
    if (s == SB_OK && c->args->v[SB_OPT_json].set)
        s = list_json(c->out, items, n, err);
    else if (s == SB_OK)
        list_text(c->out, items, n);
    sb_store_list_free(items, n);
    sb_store_close(store);
    return s;
}
