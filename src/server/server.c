/* SPDX-License-Identifier: Apache-2.0
 * server.c - opening everything in the order that works, the loop, the drain, the end. */
#include "server/server.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "server/http/proxies.h"
#include "server/notify.h"
#include "server/page/page.h"
#include "server/sandbox.h"
#include "server/server_in.h"
#include "store/sums.h"

enum { LAST_WORDS_MS = 1000, USUAL_STREAMS = 8 };

static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP};

/* ---- what handlers share ---- */

sb_db *sb_server_db(sb_server *sv)
{
    return sv->db;
}

sb_models *sb_server_models(sb_server *sv)
{
    return sv->models;
}

sb_page *sb_server_page(sb_server *sv)
{
    return sv->page;
}

bool sb_server_is_open(sb_server *sv)
{
    return !atomic_load(&sv->draining);
}

int sb_server_port(const sb_server *sv)
{
    return sb_http_port(sv->http);
}

void sb_server_work(sb_server *sv, sb_task *t)
{
    sb_workers_add(sv->workers, t);
}

void sb_server_work_first(sb_server *sv, sb_task *t)
{
    sb_workers_add_first(sv->workers, t);
}

void sb_server_wake(sb_server *sv)
{
    const uint64_t one = 1;
    if (write(sv->wake_fd, &one, sizeof one) < 0) return; /* full: the loop is awake */
}

void sb_server_on_loop(sb_server *sv, sb_task *t)
{
    (void)pthread_mutex_lock(&sv->loop_lock);
    sb_task_list_add(&sv->loop_tasks, t);
    (void)pthread_mutex_unlock(&sv->loop_lock);
    sb_server_wake(sv);
}

static void run_loop_tasks(sb_server *sv)
{
    for (;;) {
        (void)pthread_mutex_lock(&sv->loop_lock);
        sb_task *t = sb_task_list_take(&sv->loop_tasks);
        (void)pthread_mutex_unlock(&sv->loop_lock);
        if (!t) return;
        t->fn(t);
    }
}

static void on_wake(int fd, short what, void *server)
{
    uint64_t n = 0;
    (void)what;
    if (read(fd, &n, sizeof n) < 0) return;
    run_loop_tasks(server);
    sb_server_check_end(server);
}

/* ---- the end ---- */

static void end_loop(sb_server *sv)
{
    atomic_store(&sv->ended, true);
    (void)event_base_loopbreak(sv->base);
}

void sb_server_check_end(sb_server *sv)
{
    if (!atomic_load(&sv->draining) || atomic_load(&sv->ended)) return;
    if (atomic_load(&sv->n_runs) > 0) return;
    if (sb_http_n_exchanges(sv->http) > 0) return; /* what was said last is still on its way */
    end_loop(sv);
}

static void set_timer(sb_server *sv, double seconds)
{
    const struct timeval t = {.tv_sec = (time_t)seconds,
                              .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    (void)event_add(sv->grace, &t);
}

/* The grace is over: first everyone is told, then nobody is waited for. */
static void on_grace(int fd, short what, void *server)
{
    sb_server *sv = server;
    (void)fd;
    (void)what;
    if (sv->told_end) {
        end_loop(sv);
        return;
    }
    sb_error err;
    (void)SB_FAIL(&err, SB_CANCELLED, "the server is shutting down");
    sv->told_end = true;
    sb_runs_end_all(sv, &err);
    set_timer(sv, LAST_WORDS_MS / 1e3);
}

static void begin_drain(sb_server *sv)
{
    sb_journal_line l;
    atomic_store(&sv->draining, true);
    sb_notify(sv->notify_fd, "STOPPING=1");
    sb_journal_begin(&l, "stop");
    sb_journal_int(&l, "answers", atomic_load(&sv->metrics.n_running));
    sb_journal_end(sv->journal, &l);
    sb_page_stop(sv->page);
    set_timer(sv, sv->o.grace_s);
    sb_server_wake(sv); /* looks whether this was all, once the page's feeds have ended */
}

static void on_signal(int number, short what, void *server)
{
    sb_server *sv = server;
    (void)what;
    if (number == SIGHUP) {
        sb_journal_reopen(sv->journal);
        sb_server_grid_ask(sv);
        return;
    }
    if (sv->n_stops++ == 0) {
        begin_drain(sv);
        return;
    }
    sv->failed = SB_FAIL(&sv->why, SB_CANCELLED, "stopped at the second signal");
    end_loop(sv);
}

/* ---- models come and go ---- */

static void say(const sb_server *sv, const char *line)
{
    if (sv->o.say) sv->o.say(sv->o.ctx, line);
}

static void say_ready(sb_server *sv)
{
    char line[256];
    const char *host = sv->o.host, *scheme = sv->o.tls_cert ? "https" : "http";
    const int port = sb_server_port(sv);
    if (sv->o.listen_fd >= 0)
        (void)snprintf(line, sizeof line, "ready at the socket that was handed over");
    else if (port == 0)
        (void)snprintf(line, sizeof line, "ready at %.200s", host);
    else
        (void)snprintf(line, sizeof line,
                       strchr(host, ':') ? "ready at %s://[%.64s]:%d/" : "ready at %s://%.64s:%d/",
                       scheme, host, port);
    say(sv, line);
    sb_notify(sv->notify_fd, "READY=1");
}

/* On the loop: the first model is there, or it will not be. */
static void on_started(sb_task *t)
{
    sb_server *sv = (sb_server *)(void *)((char *)t - offsetof(sb_server, start_task));
    if (sv->start_why.code == SB_OK) {
        say_ready(sv);
        return;
    }
    if (sv->n_stops) return;
    sv->failed = sv->start_why.code;
    sv->why = sv->start_why;
    end_loop(sv);
}

static void tell_started(sb_server *sv, const sb_error *err)
{
    if (sv->start_told || sv->o.n_models == 0) return;
    sv->start_told = true;
    if (err) sv->start_why = *err;
    sv->start_task.fn = on_started;
    sb_server_on_loop(sv, &sv->start_task);
}

static void on_loaded(void *ctx, const char *id, uint64_t load_ns, uint64_t bytes,
                      int32_t n_streams)
{
    sb_server *sv = ctx;
    sb_journal_line l;
    const int places = sv->o.max_queue + n_streams;
    if (atomic_load(&sv->n_places) < places) atomic_store(&sv->n_places, places);
    sb_journal_begin(&l, "model-loaded");
    sb_journal_text(&l, "model", (sb_str){id, strlen(id)});
    sb_journal_ms(&l, "ms", load_ns);
    sb_journal_int(&l, "memory_bytes", (int64_t)bytes);
    sb_journal_int(&l, "streams", n_streams);
    sb_journal_end(sv->journal, &l);
    tell_started(sv, NULL);
}

static void on_failed(void *ctx, const char *id, const sb_error *err)
{
    sb_server *sv = ctx;
    sb_journal_line l;
    sb_journal_begin(&l, "model-failed");
    sb_journal_text(&l, "model", (sb_str){id, strlen(id)});
    sb_journal_text(&l, "why", (sb_str){err->msg, strlen(err->msg)});
    sb_journal_end(sv->journal, &l);
    tell_started(sv, err);
}

static void on_note(void *ctx, const char *line)
{
    sb_server *sv = ctx;
    sb_journal_line l;
    sb_journal_begin(&l, "packed-weights");
    sb_journal_text(&l, "what", (sb_str){line, strlen(line)});
    sb_journal_end(sv->journal, &l);
}

/* ---- opening ---- */

/* Where a handed-over socket listens; false: on this machine alone. */
static bool is_open_socket(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0) return true;
    if (a.ss_family == AF_UNIX) return false;
    if (a.ss_family == AF_INET)
        return (ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr) >> 24) != 127;
    return a.ss_family != AF_INET6 ||
           !IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&a)->sin6_addr);
}

static sb_status check_address(sb_server *sv, bool *out_usage, sb_error *err)
{
    const sb_server_opts *o = &sv->o;
    const bool open = o->listen_fd >= 0
                          ? is_open_socket(o->listen_fd)
                          : !sb_guard_is_loopback(o->host) && strncmp(o->host, "unix:", 5) != 0;
    bool any = false;
    SB_TRY(sb_keyring_any(sv->keyring, &any, err));
    if (!open || any) return SB_OK;
    *out_usage = true;
    return SB_FAIL(err, SB_INVALID,
                   "--host %.60s: others can reach that address and there is no key: make one with "
                   "`sobre key add NAME` first",
                   o->listen_fd >= 0 ? "(the socket that was handed over)" : o->host);
}

static sb_status check_options(sb_server *sv, bool *out_usage, sb_error *err)
{
    const sb_server_opts *o = &sv->o;
    *out_usage = true;
    sv->guard = (sb_guard){.host = o->listen_fd >= 0 ? NULL : o->host,
                           .allow_hosts = o->allow_hosts,
                           .n_allow_hosts = o->n_allow_hosts,
                           .allow_origins = o->allow_origins,
                           .n_allow_origins = o->n_allow_origins};
    SB_TRY(sb_guard_check(&sv->guard, err));
    sb_proxies proxies; /* the socket's own come later; here they must make sense */
    SB_TRY(sb_proxies_init(&proxies, o->trusted_proxies, o->n_trusted_proxies, err));
    if (!o->tls_cert != !o->tls_key)
        return SB_FAIL(err, SB_INVALID, "--tls-cert and --tls-key go together");
    *out_usage = false;
    return SB_OK;
}

static sb_status open_parts(sb_server *sv, bool *out_usage, sb_error *err)
{
    const sb_server_opts *o = &sv->o;
    SB_TRY(sb_store_open(&sv->store, o->home, err));
    SB_TRY(sb_journal_open(&sv->journal, o->log, err));
    SB_TRY(sb_db_open(&sv->db, sb_store_home(sv->store), SB_DB_SERVE, err));
    SB_TRY(sb_keyring_open(&sv->keyring, sv->db, err));
    SB_TRY(check_address(sv, out_usage, err));
    SB_TRY(sb_quotas_new(&sv->quotas, err));
    SB_TRY(sb_budgets_new(&sv->budgets, &o->rates, sb_server_sum_of_day, sv, err));
    SB_TRY(sb_pulls_new(&sv->pulls, err));
    SB_TRY(sb_server_grid_open(sv, err));
    SB_TRY(sb_server_energy_open(sv, err));
    const sb_models_opts m = {.store = sv->store,
                              .given = o->models,
                              .n_given = o->n_models,
                              .engine = o->engine,
                              .n_threads = o->n_threads,
                              .power_pct = o->power_pct,
                              .governor = o->governor,
                              .max_mem = o->max_mem,
                              .idle_unload_s = o->idle_unload_s,
                              .max_queue = 4 * o->max_queue + 64, /* choices; runs are counted */
                              .batch_wait_ms = o->batch_wait_ms,
                              .ledger = sv->ledger,
                              .on_loaded = on_loaded,
                              .on_failed = on_failed,
                              .on_note = on_note,
                              .ctx = sv};
    return sb_models_new(&sv->models, &m, err);
}

static sb_status open_socket(sb_server *sv, sb_error *err)
{
    const sb_server_opts *o = &sv->o;
    const sb_http_opts h = {.host = o->listen_fd >= 0 ? NULL : o->host,
                            .backlog_bytes = SB_MAX_UNREAD_BYTES,
                            .port = o->port,
                            .listen_fd = o->listen_fd,
                            .tls_cert = o->tls_cert,
                            .tls_key = o->tls_key,
                            .trusted_proxies = o->trusted_proxies,
                            .n_trusted_proxies = o->n_trusted_proxies,
                            .max_connections = o->max_connections,
                            .max_body_bytes = SB_MAX_BODY_BYTES,
                            .on_head = sb_visit_head,
                            .on_request = sb_visit_request,
                            .on_refused = sb_visit_refused,
                            .on_done = sb_visit_done,
                            .ctx = sv};
    struct event_config *c = event_config_new();
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "event loop: out of memory");
    (void)event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK);
    sv->base = event_base_new_with_config(c);
    event_config_free(c);
    if (!sv->base) return SB_FAIL(err, SB_NO_MEMORY, "event loop: out of memory");
    SB_TRY(sb_http_open(&sv->http, sv->base, &h, err));
    sv->guard.port = sb_http_port(sv->http);
    return SB_OK;
}

static sb_status open_events(sb_server *sv, sb_error *err)
{
    bool ok = true;
    sv->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (sv->wake_fd < 0) return SB_FAIL(err, SB_IO, "eventfd: %s", strerror(errno));
    sv->wake = event_new(sv->base, sv->wake_fd, EV_READ | EV_PERSIST, on_wake, sv);
    sv->grace = event_new(sv->base, -1, 0, on_grace, sv);
    ok = sv->wake && sv->grace && event_add(sv->wake, NULL) == 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(end_signals); i++) {
        sv->signals[i] = event_new(sv->base, end_signals[i], EV_SIGNAL | EV_PERSIST, on_signal, sv);
        ok = ok && sv->signals[i] && event_add(sv->signals[i], NULL) == 0;
    }
    if (sv->helper) {
        sv->helper_event = event_new(sv->base, sb_helper_fd(sv->helper), EV_READ | EV_PERSIST,
                                     sb_pulls_on_news, sv);
        ok = ok && sv->helper_event && event_add(sv->helper_event, NULL) == 0;
    }
    return ok ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "event loop: out of memory");
}

sb_status sb_server_open(sb_server **out, const sb_server_opts *o, bool *out_usage, sb_error *err)
{
    struct timespec now = {0};
    *out_usage = false;
    sb_server *sv = sb_calloc(1, sizeof *sv);
    if (!sv) {
        sb_helper_close(o->helper);
        sb_watcher_close(o->watcher);
        return SB_FAIL(err, SB_NO_MEMORY, "server: out of memory");
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    sv->o = *o;
    if (!sv->o.host) sv->o.host = "127.0.0.1";
    sv->helper = o->helper;
    sv->watcher = o->watcher;
    sv->wake_fd = -1;
    sv->notify_fd = sb_notify_open(o->notify);
    sv->start_ns = sb_now_ns();
    sv->start_s = (int64_t)now.tv_sec;
    (void)snprintf(sv->fingerprint, sizeof sv->fingerprint, "sobre-%.40s", o->version);
    (void)pthread_mutex_init(&sv->loop_lock, NULL);
    (void)pthread_mutex_init(&sv->runs_lock, NULL);
    atomic_store(&sv->n_places, o->max_queue + USUAL_STREAMS);
    sb_status s = check_options(sv, out_usage, err);
    if (s == SB_OK) s = open_parts(sv, out_usage, err);
    if (s == SB_OK) s = open_socket(sv, err);
    if (s == SB_OK) s = open_events(sv, err);
    if (s == SB_OK) s = sb_server_energy_watch(sv, err);
    if (s == SB_OK) s = sb_server_grid_watch(sv, err);
    if (s == SB_OK) s = sb_server_contain(sv, err);
    if (s == SB_OK) s = sb_workers_new(&sv->workers, SB_SERVER_WORKERS, err);
    if (s == SB_OK) s = sb_page_new(&sv->page, sv, err);
    if (s == SB_OK) s = sb_models_start(sv->models, err);
    if (s != SB_OK) {
        sb_server_close(sv);
        return s;
    }
    if (o->n_models == 0) say_ready(sv);
    *out = sv;
    return SB_OK;
}

sb_status sb_server_run(sb_server *sv, sb_error *err)
{
    if (event_base_dispatch(sv->base) < 0 && sv->failed == SB_OK)
        return SB_FAIL(err, SB_IO, "the event loop failed");
    if (sv->failed != SB_OK) *err = sv->why;
    return sv->failed;
}

static void free_events(sb_server *sv)
{
    struct event *const all[] = {sv->wake,       sv->grace,      sv->helper_event,
                                 sv->signals[0], sv->signals[1], sv->signals[2]};
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++)
        if (all[i]) event_free(all[i]);
}

void sb_server_close(sb_server *sv)
{
    if (!sv) return;
    atomic_store(&sv->draining, true);
    sb_models_stop(sv->models);
    sb_workers_free(sv->workers);
    if (sv->page) sb_page_stop(sv->page);
    if (sv->base) run_loop_tasks(sv);
    sb_http_close(sv->http);
    if (sv->base) run_loop_tasks(sv);
    sb_page_free(sv->page);
    sb_models_free(sv->models);
    sb_server_energy_close(sv);
    sb_server_grid_close(sv);
    if (sv->db) sb_server_sum_flush(sv); /* also what settled with the last tick */
    free_events(sv);
    if (sv->base) event_base_free(sv->base);
    if (sv->wake_fd >= 0) (void)close(sv->wake_fd);
    sb_helper_close(sv->helper);
    sb_watcher_close(sv->watcher);
    sb_pulls_free(sv->pulls);
    sb_budgets_free(sv->budgets);
    sb_quotas_free(sv->quotas);
    sb_keyring_close(sv->keyring);
    sb_db_close(sv->db);
    sb_journal_close(sv->journal);
    sb_store_close(sv->store);
    sb_notify_close(sv->notify_fd);
    (void)pthread_mutex_destroy(&sv->runs_lock);
    (void)pthread_mutex_destroy(&sv->loop_lock);
    sb_free(sv);
}
