/* SPDX-License-Identifier: Apache-2.0
 * cmd_store.c - `sobre pull` and `sobre rm`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/advice.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "model/model.h"
#include "store/catalog.h"
#include "store/pull.h"

/* What the progress line remembers between two calls. */
typedef struct pulling {
    char name[48]; /* of the word, for people */
    bool tty;
    sb_bar bar;
    bool open; /* the bar has begun, for phase and part: */
    sb_pull_phase phase;
    size_t i_part;
} pulling;

static const char *const phase_words[] = {
    [SB_PULL_CHECK] = "checking", [SB_PULL_FETCH] = "fetching", [SB_PULL_WRITE] = "unpacking"};

/* A phase or part that was not told of yet: a new bar, or where nobody looks one line. */
static void begin_phase(pulling *l, const sb_pull_progress *p)
{
    char what[96], part[48] = "";
    const char *word = phase_words[p->phase];
    sb_bar_end(&l->bar);
    l->open = true;
    l->phase = p->phase;
    l->i_part = p->i_part;
    if (p->n_part > 1)
        (void)snprintf(part, sizeof part, " part %zu of %zu", p->i_part + 1, p->n_part);
    (void)snprintf(what, sizeof what, "%s: %s%s", l->name, word, part);
    sb_bar_begin(&l->bar, what, SB_BAR_BYTES);
    l->bar.begin_done = p->done_bytes; /* what was here before is no part of the rate */
    if (!l->tty && p->phase == SB_PULL_FETCH)
        sb_term_say("%s: fetching part %zu of %zu (%.1f MB)", l->name, p->i_part + 1, p->n_part,
                    (double)p->total_bytes / 1e6);
}

static void show_progress(void *ctx, const sb_pull_progress *p)
{
    pulling *l = ctx;
    if (!l->open || l->phase != p->phase || l->i_part != p->i_part) begin_phase(l, p);
    sb_bar_show(&l->bar, p->done_bytes, p->total_bytes);
}

/* "NAME: pulled, 98.4 MB, SHA-256 checked, licence: ..." */
static void say_pulled(const sb_pull_result *r)
{
    const sb_pin *p = &r->pin;
    const bool vouched = strcmp(p->checked, "first") != 0;
    const char *did = r->already         ? "was here already"
                      : p->registered[0] ? "registered where it lies"
                                         : "pulled";
    sb_term_say("%s: %s, %.1f MB, SHA-256 %s, licence: %s", p->name, did, (double)p->bytes / 1e6,
                vouched ? "checked" : "pinned (its source states none)",
                p->licence[0] ? p->licence : "not stated");
    const uint64_t need = sb_catalog_memory(p->bytes);
    const sb_fit fit = sb_fit_of(need);
    if (fit == SB_FIT_NO || fit == SB_FIT_TIGHT)
        sb_term_say("%s: takes about %.1f GB of memory: %s", p->name, (double)need / 1e9,
                    fit == SB_FIT_NO ? "more than this machine has"
                                     : "more than this machine has free now");
}

sb_status sb_cmd_pull(const sb_cli *c, sb_error *err)
{
    const sb_opt_value *v = c->args->v;
    const char *what = c->args->words[0];
    pulling line = {.tty = isatty(STDERR_FILENO) == 1};
    const sb_pull_request rq = {.what = what,
                                .name = v[SB_OPT_as].s,
                                .sha256 = v[SB_OPT_sha256].s,
                                .accept_terms = v[SB_OPT_accept].set,
                                .update = v[SB_OPT_update].set,
                                .stall_s = (int)v[SB_OPT_timeout].i,
                                .hooks = {.ctx = &line,
                                          .cancelled = sb_stop_asked,
                                          .progress = show_progress,
                                          .arch_known = sb_arch_is_known,
                                          .arch_list = sb_model_arch_list()}};
    sb_catalog_row row;
    sb_store *store = NULL;
    sb_pull_result got = {0};
    sb_path_escape(line.name, sizeof line.name, what);
    if (sb_catalog_find(what, &row) && row.terms) sb_term_say("%s", row.terms);
    SB_TRY(sb_store_open(&store, NULL, err));
    const sb_status s = sb_store_pull(store, &rq, &got, err);
    sb_bar_end(&line.bar);
    if (s == SB_OK) say_pulled(&got);
    sb_pin_deinit(&got.pin);
    sb_store_close(store);
    return s;
}

sb_status sb_cmd_rm(const sb_cli *c, sb_error *err)
{
    const sb_args *a = c->args;
    const bool partial = a->v[SB_OPT_partial].set;
    sb_store *store = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    sb_status s = SB_OK;
    for (int i = 0; i < a->n_words && s == SB_OK; i++) {
        s = sb_store_remove(store, a->words[i], partial, err);
        if (s == SB_OK)
            sb_term_say("%s: %s", a->words[i], partial ? "unfinished pull removed" : "removed");
    }
    sb_store_close(store);
    return s;
}
