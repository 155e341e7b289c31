/* SPDX-License-Identifier: Apache-2.0
 * bench_trace.c - from options to runs: which servers, how many users, which levers.
 *
 * Servers run one at a time and in turns, part by part, the order swapped in between: a neighbour
 * on the machine, and a page cache that fills, meet all of them. Ours is this very program with a
 * state folder of its own, which stays from its first start to its last. */
#include "cli/bench_trace.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/french.h"
#include "cli/setup.h"
#include "cli/stop.h"
#include "cli/trace_table.h"

enum { MAX_PEERS = 8, FEW = 1, MANY = 8, ROOM_BYTES = 64 };

typedef struct lever {
    const char *name, *options;
    int least_users;
    bool no_cache;
} lever;

static const lever levers[] = {
#define X(name, least_users, no_cache, options) {name, options, least_users, no_cache},
#include "cli/levers.def"
#undef X
};

typedef struct trace_bench {
    const sb_cli *c;
    sb_trace_work work;
    sb_buf model;
    char room[ROOM_BYTES], home[ROOM_BYTES + 8], log[ROOM_BYTES + 8]; /* room "": none yet */
    sb_trace_program sides[1 + MAX_PEERS];                            /* ours first */
    size_t n_sides;
    int users[2];
    size_t n_users;
    sb_trace_run *runs; /* [cap_runs] */
    size_t n_runs, cap_runs;
} trace_bench;

/* ---- the room ---- */

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *at)
{
    (void)st, (void)what, (void)at;
    (void)remove(path); /* what stays is in a folder for temporary files */
    return 0;
}

static sb_status make_room(trace_bench *b, sb_error *err)
{
    char room[ROOM_BYTES] = "/tmp/sobre-trace-XXXXXX";
    if (!mkdtemp(room)) return SB_FAIL(err, SB_IO, "/tmp: no folder can be made there");
    memcpy(b->room, room, sizeof room);
    (void)snprintf(b->home, sizeof b->home, "%s/home", room);
    (void)snprintf(b->log, sizeof b->log, "%s/log", room);
    return SB_OK;
}

/* ---- servers ---- */

/* Those options of the bench that `sobre serve` has as well. */
static sb_status add_our_options(sb_trace_program *p, const sb_args *a, sb_error *err)
{
    const unsigned both = (1u << SB_CMD_bench) | (1u << SB_CMD_serve);
    char name[64];
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *o = &sb_options[i];
        if ((o->commands & both) != both || !a->v[i].set || i == SB_OPT_help) continue;
        (void)snprintf(name, sizeof name, "--%s", o->name);
        SB_TRY(sb_trace_add_word(p, name, err));
        if (o->type != SB_OPT_FLAG) SB_TRY(sb_trace_add_word(p, a->v[i].s, err));
    }
    if (a->v[SB_OPT_pack_cache].set) SB_TRY(sb_trace_add_word(p, "--pack-cache", err));
    if (a->v[SB_OPT_with].set) SB_TRY(sb_trace_add_words(p, a->v[SB_OPT_with].s, err));
    return SB_OK;
}

static sb_status add_model(sb_trace_program *p, const trace_bench *b, sb_error *err)
{
    char n[16];
    (void)snprintf(n, sizeof n, "%d", sb_cli_threads(b->c->args));
    SB_TRY(sb_trace_add_word(p, "-m", err));
    SB_TRY(sb_trace_add_word(p, b->model.p, err));
    SB_TRY(sb_trace_add_word(p, "-t", err));
    return sb_trace_add_word(p, n, err);
}

static sb_status add_ours(trace_bench *b, sb_error *err)
{
    sb_trace_program *p = &b->sides[b->n_sides++];
    (void)snprintf(p->name, sizeof p->name, "sobre");
    p->home = b->home;
    p->log = b->log;
    SB_TRY(sb_trace_add_words(p, "/proc/self/exe serve", err));
    SB_TRY(add_model(p, b, err));
    return add_our_options(p, b->c->args, err);
}

static sb_status add_peer(trace_bench *b, const char *what, sb_error *err)
{
    sb_trace_program *p = &b->sides[b->n_sides++];
    p->log = b->log;
    if (strncmp(what, "http://", 7) == 0) {
        p->url = what;
        sb_path_escape(p->name, sizeof p->name, what);
        return SB_OK;
    }
    SB_TRY(sb_trace_add_words(p, what, err));
    if (p->n_words == 0) return SB_FAIL(err, SB_INVALID, "--peer: it names no program");
    const char *slash = strrchr(p->words[0], '/'); /* its folder says nothing in a table */
    sb_path_escape(p->name, sizeof p->name, slash ? slash + 1 : p->words[0]);
    for (size_t i = 1; i < p->n_words; i++) {
        const size_t n = strlen(p->name);
        char word[SB_TRACE_NAME_BYTES];
        sb_path_escape(word, sizeof word, p->words[i]);
        (void)snprintf(p->name + n, sizeof p->name - n, " %s", word);
    }
    return add_model(p, b, err);
}

static sb_status add_sides(trace_bench *b, sb_error *err)
{
    const char *peers[SB_MAX_WORDS];
    const size_t n = sb_args_texts(b->c->args, SB_OPT_peer, peers);
    if (n > MAX_PEERS)
        return SB_FAIL(err, SB_LIMIT, "--peer: given %zu times; at most %d", n, MAX_PEERS);
    SB_TRY(add_ours(b, err));
    for (size_t i = 0; i < n; i++)
        SB_TRY(add_peer(b, peers[i], err));
    return SB_OK;
}

/* ---- runs ---- */

static sb_status add_run(trace_bench *b, const sb_trace_run *r, sb_error *err)
{
    b->runs[b->n_runs] = *r;
    SB_TRY(sb_trace_run_init(&b->runs[b->n_runs], &b->work, err));
    b->n_runs++;
    return SB_OK;
}

/* Every server with every number of users, then every lever with those it is meant for. */
static sb_status plan(trace_bench *b, sb_error *err)
{
    b->cap_runs = b->n_users * (b->n_sides + SB_ARRAY_LEN(levers));
    b->runs = sb_calloc(b->cap_runs, sizeof *b->runs);
    if (!b->runs) return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    for (size_t u = 0; u < b->n_users; u++)
        for (size_t i = 0; i < b->n_sides; i++)
            SB_TRY(add_run(
                b, &(sb_trace_run){.program = &b->sides[i], .more = "", .n_users = b->users[u]},
                err));
    for (size_t i = 0; b->c->args->v[SB_OPT_levers].set && i < SB_ARRAY_LEN(levers); i++)
        for (size_t u = 0; u < b->n_users; u++)
            if (b->users[u] >= levers[i].least_users)
                SB_TRY(add_run(b,
                               &(sb_trace_run){.program = &b->sides[0],
                                               .lever = levers[i].name,
                                               .more = levers[i].options,
                                               .n_users = b->users[u],
                                               .no_cache = levers[i].no_cache},
                               err));
    return SB_OK;
}

static void say_done(const trace_bench *b, const sb_trace_run *r)
{
    sb_term_say("%s, users: %d, %s: %.3g s of processor time for each answer", r->program->name,
                r->n_users, r->lever ? r->lever : sb_tr("as it is"),
                sb_trace_run_cpu_s(r, &b->work));
}

/* The servers of one number of users, in turns. */
static sb_status run_sides(trace_bench *b, sb_trace_run *first, sb_error *err)
{
    const size_t n = b->n_sides;
    for (size_t part = 0; part < SB_TRACE_PARTS; part++)
        for (size_t i = 0; i < n; i++)
            SB_TRY(sb_trace_run_part(&first[part % 2 ? n - 1 - i : i], &b->work, part, err));
    for (size_t i = 0; i < n; i++) {
        SB_TRY(sb_trace_run_sum(&first[i], &b->work, err));
        SB_TRY(sb_trace_run_check_equal(&first[0], &first[i], &b->work, err));
        say_done(b, &first[i]);
    }
    return SB_OK;
}

/* A lever that this processor or model does not have is a row without figures. */
static sb_status run_lever(trace_bench *b, sb_trace_run *r, sb_error *err)
{
    sb_status s = SB_OK;
    for (size_t part = 0; s == SB_OK && part < SB_TRACE_PARTS; part++)
        s = sb_trace_run_part(r, &b->work, part, err);
    if (s == SB_CANCELLED || s == SB_NO_MEMORY) return s;
    r->failed = s != SB_OK;
    if (s != SB_OK) {
        sb_term_say("%s: %s", r->lever, err ? err->msg : "");
        return SB_OK;
    }
    SB_TRY(sb_trace_run_sum(r, &b->work, err));
    say_done(b, r);
    return SB_OK;
}

static sb_status run_all(trace_bench *b, sb_error *err)
{
    size_t i = 0;
    for (; i < b->n_runs && !b->runs[i].lever; i += b->n_sides)
        SB_TRY(run_sides(b, &b->runs[i], err));
    for (; i < b->n_runs; i++)
        SB_TRY(run_lever(b, &b->runs[i], err));
    return SB_OK;
}

/* ---- all of it ---- */

static sb_status open_bench(trace_bench *b, sb_error *err)
{
    const sb_args *a = b->c->args;
    const sb_opt_value *v = a->v;
    const sb_meter_roots roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    b->work.n_tokens = (int32_t)v[SB_OPT_gen].i;
    b->users[0] = v[SB_OPT_streams].set ? (int)v[SB_OPT_streams].i : FEW;
    b->users[1] = MANY;
    b->n_users = v[SB_OPT_streams].set ? 1 : 2;
    if (b->users[0] > SB_TRACE_MAX_USERS)
        return SB_FAIL(err, SB_LIMIT, "--streams: %d users; at most %d", b->users[0],
                       SB_TRACE_MAX_USERS);
    const sb_trace_opts o = {.system = v[SB_OPT_system].s,
                             .fixed_answers = v[SB_OPT_fixed_answers].set,
                             .n_most = (size_t)v[SB_OPT_chats].i};
    SB_TRY(sb_trace_read(&b->work.trace, a->n_words > 1 ? a->words[1] : NULL, &o, err));
    SB_TRY(sb_cli_model_path(v[SB_OPT_model].s, &b->model, err));
    SB_TRY(sb_curl_lib_load(&b->work.lib, err));
    SB_TRY(sb_meter_open(&b->work.meter, &roots, err));
    SB_TRY(make_room(b, err));
    SB_TRY(add_sides(b, err));
    return plan(b, err);
}

static void close_bench(trace_bench *b)
{
    for (size_t i = 0; i < b->n_runs; i++)
        sb_trace_run_deinit(&b->runs[i]);
    sb_free(b->runs);
    for (size_t i = 0; i < b->n_sides; i++)
        sb_trace_cut_words(&b->sides[i], 0);
    if (b->room[0]) (void)nftw(b->room, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    sb_meter_close(b->work.meter);
    sb_buf_deinit(&b->model);
    sb_trace_deinit(&b->work.trace);
}

/* Whether every ratio is what --most wants. */
static sb_status judge(const trace_bench *b, const sb_trace_report *t, sb_error *err)
{
    const sb_opt_value *most = &b->c->args->v[SB_OPT_most];
    for (size_t u = 0; most->set && u < b->n_users; u++) {
        const sb_trace_run *peer = sb_trace_best_peer(t, b->users[u]);
        if (!peer)
            return SB_FAIL(err, SB_INVALID, "--most: it needs a --peer that is started here");
        const double ratio = (double)sb_trace_ours(t, peer)->all_cpu_ns / (double)peer->all_cpu_ns;
        if (ratio > most->f)
            return SB_FAIL(err, SB_INVALID,
                           "users: %d: %.3g of the processor time of %.60s; at most %.3g is wanted",
                           b->users[u], ratio, peer->program->name, most->f);
    }
    return SB_OK;
}

sb_status sb_bench_trace(const sb_cli *c, sb_error *err)
{
    trace_bench b = {.c = c};
    sb_error why = {0};
    sb_buf_init(&b.model, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = open_bench(&b, &why);
    if (s == SB_OK) s = run_all(&b, &why);
    const sb_trace_report t = {.work = &b.work,
                               .runs = b.runs,
                               .n_runs = b.n_runs,
                               .model = b.model.p,
                               .n_threads = sb_cli_threads(c->args)};
    if (s == SB_OK && c->args->v[SB_OPT_json].set)
        s = sb_trace_print_json(&t, c->out, &why);
    else if (s == SB_OK)
        sb_trace_print(&t, c->out);
    if (s == SB_OK) s = judge(&b, &t, &why);
    close_bench(&b);
    if (s != SB_OK && err) *err = why;
    return s;
}
