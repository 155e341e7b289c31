/* SPDX-License-Identifier: Apache-2.0
 * server.h - the server as whoever starts it sees it.
 *
 * Purpose     Opens everything in the one order that works (helper processes, data base, socket,
 *             sandbox, threads), runs until a signal ends it, and closes in order.
 * Signals     SIGTERM and SIGINT drain: /ready says 503, no new connections, answers under way go
 *             on for at most grace_s, then end with an error of their dialect; without answers the
 *             end comes at once. A second one does not wait. SIGHUP opens the log anew, and reads
 *             the file of --grid.
 * Ownership   Options are borrowed for the server's life.
 * Errors      SB_INVALID for options that make no sense together (*out_usage is then set), else
 *             those of the parts; every message says the next step.
 * Threads     One: the one that calls sb_server_run() is the loop. */
#ifndef SB_SERVER_H
#define SB_SERVER_H
#include "energy/grid.h"
#include "engine/engine.h"
#include "server/helper.h"
#include "server/serve.h"
#include "server/watcher.h"

typedef struct sb_server_opts {
    const char *version;
    const char *home;          /* of the store, or NULL */
    const char *const *models; /* [n] */
    size_t n_models;
    const char *host; /* NULL: 127.0.0.1 */
    int port;         /* 0: the system chooses */
    int listen_fd;    /* handed over, or -1 */
    const char *tls_cert, *tls_key;
    const char *const *allow_hosts, *const *allow_origins, *const *trusted_proxies;
    size_t n_allow_hosts, n_allow_origins, n_trusted_proxies;
    sb_engine_opts engine; /* precision, kv, cap; n_ctx and n_sessions 0: chosen */
    int n_threads;
    sb_governor *governor; /* or NULL: every thread decodes; borrowed */
    sb_budget_rates rates; /* for keys that have a limit in grams or money */
    int power_pct;         /* of the processors' time that steps may take; 0: 100 */
    uint64_t max_mem;      /* bytes, 0: what the machine has free */
    double idle_unload_s;  /* 0: never */
    int32_t max_queue;
    int32_t batch_wait_ms; /* as in sb_chat_opts */
    int max_connections;   /* 0: usual */
    double grace_s;
    bool strict, strict_models, keep_nonces, no_sandbox;
    const char *log;         /* file, "-", or NULL */
    const char *sysfs;       /* root of the energy meter's counters, or NULL */
    const sb_grid *grid;     /* grams of CO2 equivalent a kWh, or NULL: not asked */
    const char *grid_path;   /* the file that grid came from, read again; NULL: it stays */
    const sb_tariff *tariff; /* the same of money */
    const char *notify;      /* socket of the service manager, or NULL */
    sb_helper *helper;       /* forked already, or NULL: none; the server's from now on */
    sb_watcher *watcher;     /* the same, of plugs and endpoints */
    /* A line for people, on the starting thread; may be NULL. */
    void (*say)(void *ctx, const char *line);
    void *ctx;
} sb_server_opts;

sb_status sb_server_open(sb_server **out, const sb_server_opts *o, bool *out_usage,
                         sb_error *err) SB_MUST_USE;
int sb_server_port(const sb_server *sv);
/* SB_CANCELLED: a second signal came. An error: the first model could not be loaded. */
sb_status sb_server_run(sb_server *sv, sb_error *err) SB_MUST_USE;
void sb_server_close(sb_server *sv);
#endif
