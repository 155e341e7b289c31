/* SPDX-License-Identifier: Apache-2.0
 * cmd_serve.c - `sobre serve`: from options to a server, and its end to an exit status. */
#include "sobre.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/advice.h"
#include "cli/cli.h"
#include "cli/footprint.h"
#include "cli/meter_web.h"
#include "cli/setup.h"
#include "model/model.h"
#include "server/server.h"
#include "store/store.h"

static const char usual_model[] = "smollm2-135m";

enum { FIRST_FD = 3 }; /* of a service manager's */

typedef struct serving {
    const sb_cli *c;
    const char *models[SB_MAX_WORDS], *hosts[SB_MAX_WORDS], *origins[SB_MAX_WORDS],
        *proxies[SB_MAX_WORDS], *meters[SB_MAX_WORDS];
    char version[32];
    sb_server_opts o;
    sb_footprint footprint;
} serving;

static void say_line(void *ctx, const char *line)
{
    (void)ctx;
    sb_term_say("%s", line);
}

/* The socket a service manager hands over, or -1. */
static int listen_fd(void)
{
    const char *n = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    int64_t n_fds = 0, whom = 0;
    if (!n || !sb_parse_int(n, &n_fds) || n_fds < 1) return -1;
    if (!pid || !sb_parse_int(pid, &whom) || whom != getpid()) return -1;
    (void)fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
    return FIRST_FD;
}

/* The usual model when none is named and it is there: nothing is loaded otherwise. */
static size_t usual_models(const char **out)
{
    sb_store *store = NULL;
    sb_buf path;
    if (sb_store_open(&store, NULL, NULL) != SB_OK) return 0;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    const bool there = sb_store_resolve(store, usual_model, &path, NULL) == SB_OK;
    sb_buf_deinit(&path);
    sb_store_close(store);
    out[0] = usual_model;
    return there;
}

/* Every connection is a descriptor. */
static void raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return;
    l.rlim_cur = l.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &l);
}

/* Whoever asks for few joules waits a moment for company. */
static int32_t batch_wait_ms(const sb_args *a)
{
    enum { USUAL_MS = 25 };
    const sb_opt_value *v = &a->v[SB_OPT_batch_wait];
    return v->set ? (int32_t)v->i : a->v[SB_OPT_governor].i ? USUAL_MS : 0;
}

static sb_status take_options(serving *s, sb_error *err)
{
    const sb_args *a = s->c->args;
    const sb_opt_value *v = a->v;
    sb_server_opts *o = &s->o;
    (void)snprintf(s->version, sizeof s->version, "%d.%d.%d", SOBRE_VERSION_MAJOR,
                   SOBRE_VERSION_MINOR, SOBRE_VERSION_PATCH);
    *o = (sb_server_opts){.version = s->version,
                          .models = s->models,
                          .n_models = sb_args_texts(a, SB_OPT_serve_models, s->models),
                          .host = v[SB_OPT_host].s,
                          .port = (int)v[SB_OPT_port].i,
                          .listen_fd = listen_fd(),
                          .tls_cert = v[SB_OPT_tls_cert].s,
                          .tls_key = v[SB_OPT_tls_key].s,
                          .allow_hosts = s->hosts,
                          .n_allow_hosts = sb_args_texts(a, SB_OPT_allow_host, s->hosts),
                          .allow_origins = s->origins,
                          .n_allow_origins = sb_args_texts(a, SB_OPT_allow_origin, s->origins),
                          .trusted_proxies = s->proxies,
                          .n_trusted_proxies = sb_args_texts(a, SB_OPT_trusted_proxy, s->proxies),
                          .engine = sb_cli_engine_opts(a, (int32_t)v[SB_OPT_ctx].i, 0),
                          .n_threads = sb_cli_threads(a),
                          .power_pct = (int)v[SB_OPT_power].i,
                          .idle_unload_s = (double)v[SB_OPT_idle_unload].i,
                          .max_queue = (int32_t)v[SB_OPT_queue].i,
                          .batch_wait_ms = batch_wait_ms(a),
                          .max_connections = (int)v[SB_OPT_connections].i,
                          .grace_s = v[SB_OPT_grace].f,
                          .strict = v[SB_OPT_strict].set,
                          .strict_models = v[SB_OPT_strict_models].set,
                          .keep_nonces = v[SB_OPT_keep_nonces].set,
                          .no_sandbox = v[SB_OPT_no_sandbox].set,
                          .log = v[SB_OPT_log].s,
                          .sysfs = getenv("SOBRE_SYSFS_ROOT"),
                          .notify = getenv("NOTIFY_SOCKET"),
                          .say = say_line};
    o->engine.cache = sb_cli_wants_pack_cache(a) ? SB_CACHE_READ : SB_CACHE_NONE;
    o->engine.n_sessions = (int32_t)v[SB_OPT_parallel].i; /* 0: chosen */
    if (v[SB_OPT_max_mem].s && !sb_parse_bytes(v[SB_OPT_max_mem].s, &o->max_mem)) {
        *s->c->usage = true;
        return SB_FAIL(err, SB_INVALID, "--max-mem: a number of bytes, as 3G or 800M");
    }
    SB_TRY(sb_footprint_read(&s->footprint, s->c, err));
    o->grid = s->footprint.has_grid ? &s->footprint.grid : NULL;
    o->grid_path = o->grid && sb_grid_is_path(v[SB_OPT_grid].s) ? v[SB_OPT_grid].s : NULL;
    o->tariff = s->footprint.has_tariff ? &s->footprint.tariff : NULL;
    if (o->grid) o->rates.mg_per_kwh = o->grid->mg_per_kwh;
    if (o->tariff) o->rates.nano_per_kwh = o->tariff->nano_per_kwh;
    if (o->n_models == 0) o->n_models = usual_models(s->models);
    return SB_OK;
}

static void ignore_signal(int number)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(number, &ignore, NULL);
}

/* What the helper process does; it never comes back. */
static void be_helper(sb_helper *h)
{
    ignore_signal(SIGINT); /* the terminal sends it to all of us; the server ends us */
    ignore_signal(SIGHUP);
    sb_helper_work(h, NULL, sb_arch_is_known, sb_model_arch_list());
    sb_helper_close(h);
    _exit(SB_EXIT_DONE);
}

/* The same of the process that asks plugs. A service manager's SIGTERM is for all as well, and a
 * server that drains still counts. */
static void be_watcher(sb_watcher *w, const sb_args *a)
{
    sb_meter_web web;
    sb_meter_roots roots;
    sb_error err = {0};
    ignore_signal(SIGINT);
    ignore_signal(SIGHUP);
    ignore_signal(SIGTERM);
    ignore_signal(SIGPIPE); /* a plug that hangs up */
    (void)unsetenv("HF_TOKEN");
    const bool ok = sb_meter_web_open(&web, a, &roots, &err) == SB_OK;
    sb_watcher_work(w, ok ? roots.fetch : NULL, &err);
    sb_watcher_close(w);
    _exit(SB_EXIT_DONE);
}

/* The processes beside the server: before it has threads, and what they must not hold. */
static sb_status fork_others(serving *s, sb_error *err)
{
    bool child = false;
    const size_t n_meters = sb_meter_web_urls(s->c->args, s->meters);
    if (n_meters > SB_MAX_METER_URLS) *s->c->usage = true;
    if (n_meters > 0)
        SB_TRY(sb_watcher_fork(&s->o.watcher, s->meters, n_meters, &sb_watcher_usual, &child, err));
    if (child) be_watcher(s->o.watcher, s->c->args);
    const sb_status st = sb_helper_fork(&s->o.helper, &child, err);
    if (st != SB_OK || child) sb_watcher_close(s->o.watcher); /* the helper is none of its ends */
    if (child) be_helper(s->o.helper);
    if (st == SB_OK) (void)unsetenv("HF_TOKEN"); /* the helper's alone */
    ignore_signal(SIGCHLD);                      /* nobody waits for them: the kernel does */
    return st;
}

sb_status sb_cmd_serve(const sb_cli *c, sb_error *err)
{
    serving s = {.c = c};
    sb_server *sv = NULL;
    SB_TRY(take_options(&s, err));
    raise_limit();
    SB_TRY(fork_others(&s, err));
    sb_status st = sb_cli_governor(c->args, &s.o.governor, err);
    if (st == SB_OK) {
        st = sb_server_open(&sv, &s.o, c->usage, err);
    } else {
        sb_helper_close(s.o.helper);
        sb_watcher_close(s.o.watcher);
    }
    if (st == SB_OK) st = sb_server_run(sv, err);
    sb_server_close(sv);
    sb_governor_close(s.o.governor);
    return st;
}
