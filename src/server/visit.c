/* SPDX-License-Identifier: Apache-2.0
 * visit.c - a request's way from its head to its handler: what is refused, in which order, and what
 * is noted when it is over.
 *
 * Order       Host and Origin, before anything tells whether the path exists; the route; the key,
 *             before the body is read; limits of the key and of the queue. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "server/route_answer.h"
#include "server/server_in.h"

enum { SMALL_BODY = 65536 };

static const char cookie_name[] = "sobre_key";

sb_visit *sb_visit_of(const sb_x *x)
{
    return sb_x_user(x);
}

void sb_server_at_done(sb_x *x, void (*fn)(void *ctx), void *ctx)
{
    sb_visit *v = sb_visit_of(x);
    v->done = fn;
    v->done_ctx = ctx;
}

/* ---- replies ---- */

/* By the path, not by the visit: that may be over while a worker still replies. */
static const sb_dialect *dialect_of(const sb_x *x)
{
    return sb_route_dialect(sb_x_request(x)->path);
}

static void set_retry(sb_x *x, int seconds)
{
    char text[24];
    if (seconds <= 0) return;
    (void)snprintf(text, sizeof text, "%d", seconds);
    sb_x_header(x, "Retry-After", text);
}

void sb_reply_error_as(sb_x *x, const sb_dialect *d, const sb_wire_error *w)
{
    sb_buf body;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "reply");
    set_retry(x, w->retry_after_s);
    if (d->refuse(w, sb_x_id(x), &body, NULL) == SB_OK)
        sb_x_reply(x, w->status, "application/json", (sb_str){body.p, body.n});
    else
        sb_x_reply(x, 500, NULL, (sb_str){NULL, 0});
    sb_buf_deinit(&body);
}

void sb_reply_error(sb_x *x, const sb_wire_error *w)
{
    sb_reply_error_as(x, dialect_of(x), w);
}

void sb_reply_failure(sb_x *x, const sb_error *err)
{
    sb_wire_error w = {.err = *err};
    sb_wire_status(&w);
    sb_reply_error(x, &w);
}

void sb_reply_text(sb_x *x, int status, const char *type, const char *text)
{
    sb_x_reply(x, status, type, (sb_str){text, strlen(text)});
}

static int add_json(const char *p, size_t n, void *ctx)
{
    return sb_buf_add(ctx, p, n, NULL) == SB_OK ? 0 : -1;
}

void sb_reply_json(sb_x *x, int status, json_t *json)
{
    sb_buf b;
    sb_error err;
    sb_buf_init(&b, SB_MAX_REPLY_BYTES, "reply");
    if (json && json_dump_callback(json, add_json, &b, JSON_COMPACT | JSON_ENCODE_ANY) == 0) {
        sb_x_reply(x, status, "application/json", (sb_str){b.p, b.n});
    } else {
        (void)SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
        sb_reply_failure(x, &err);
    }
    sb_buf_deinit(&b);
    json_decref(json);
}

/* code: of sb_status, for the message; status: of HTTP. */
static int64_t refuse(sb_x *x, int status, sb_status code, const char *word, int retry_s,
                      const char *why)
{
    sb_wire_error w = {.status = status, .code = word, .retry_after_s = retry_s};
    (void)SB_FAIL(&w.err, code, "%s", why);
    sb_reply_error(x, &w);
    return -1;
}

/* ---- who ---- */

/* The key of the request: Authorization: Bearer, x-api-key, or the page's cookie. */
static sb_str key_of(const sb_http_request *r)
{
    sb_str a = sb_http_header_find(r, "authorization");
    if (a.n > 7 && strncasecmp(a.p, "bearer ", 7) == 0) {
        a = (sb_str){a.p + 7, a.n - 7};
        while (a.n && a.p[0] == ' ')
            a = (sb_str){a.p + 1, a.n - 1};
        return a;
    }
    if (a.p) return (sb_str){"", 0};
    const sb_str x = sb_http_header_find(r, "x-api-key");
    if (x.p) return x;
    const sb_str c = sb_http_header_find(r, "cookie");
    const size_t k = sizeof cookie_name - 1;
    for (size_t at = 0; at + k < c.n; at++) {
        if (memcmp(c.p + at, cookie_name, k) == 0 && c.p[at + k] == '=') {
            const char *v = c.p + at + k + 1;
            size_t n = 0;
            while (v + n < c.p + c.n && v[n] != ';' && v[n] != ' ')
                n++;
            return (sb_str){v, n};
        }
        while (at < c.n && c.p[at] != ' ')
            at++; /* to the next pair */
    }
    return (sb_str){NULL, 0};
}

static sb_caller caller_of(const sb_key *k)
{
    sb_caller c = {
        .owner = k->id,
        .signed_in = true,
        .may_manage = k->admin,
        .may_pull_any = k->admin,
        .priority = k->priority,
        .limits = {.rpm = k->rpm, .tpm = k->tpm, .concurrent = k->concurrent},
        .budget = {.uj = k->day_uj, .co2e_ug = k->day_co2e_ug, .cost_nano = k->day_cost_nano}};
    memcpy(c.name, k->name, sizeof c.name < sizeof k->name ? sizeof c.name : sizeof k->name);
    return c;
}

/* SB_OK, or why there is no telling; who->signed_in says the rest. */
static sb_status identify(sb_server *sv, sb_str key, sb_caller *who, sb_error *err)
{
    bool any = false;
    sb_key k;
    *who = (sb_caller){0};
    SB_TRY(sb_keyring_any(sv->keyring, &any, err));
    if (!any) { /* whoever sits at this machine */
        who->signed_in = who->may_manage = true;
        return SB_OK;
    }
    if (!key.p || sb_keyring_find(sv->keyring, key, &k, NULL) != SB_OK) return SB_OK;
    *who = caller_of(&k);
    return SB_OK;
}

sb_budget_state sb_server_budget(sb_server *sv, const sb_caller *who)
{
    return sb_budget_look(sv->budgets, who->owner, &who->budget, sb_db_now_ms() / 1000);
}

sb_status sb_server_budget_today(sb_server *sv, const sb_caller *who, sb_budget_state *out,
                                 sb_error *err)
{
    sb_energy_pot *pot = NULL; /* filled for the day, and left alone */
    return sb_budget_begin(sv->budgets, who->owner, &who->budget, sb_db_now_ms() / 1000, &pot, out,
                           err);
}

bool sb_server_has_keys(sb_server *sv)
{
    bool any = true;
    return sb_keyring_any(sv->keyring, &any, NULL) != SB_OK || any;
}

static void write_cookie(char out[SB_COOKIE_BYTES], sb_str value, int max_age_s, bool is_tls)
{
    (void)snprintf(out, SB_COOKIE_BYTES, "%s=%.*s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
                   cookie_name, (int)value.n, value.n ? value.p : "", max_age_s,
                   is_tls ? "; Secure" : "");
}

sb_status sb_server_sign_in(sb_server *sv, sb_str key, bool is_tls, char out[SB_COOKIE_BYTES],
                            sb_caller *out_who, sb_error *err)
{
    sb_caller who;
    SB_TRY(identify(sv, key, &who, err));
    if (!who.signed_in || (!who.owner && sb_server_has_keys(sv)) || key.n >= SB_KEY_TEXT_BYTES)
        return SB_FAIL(err, SB_INVALID, "this is no key of this server");
    write_cookie(out, key, 30 * 86400, is_tls);
    if (who.owner) (void)sb_keyring_touch(sv->keyring, who.owner, NULL);
    *out_who = who;
    return SB_OK;
}

void sb_server_sign_out(bool is_tls, char out[SB_COOKIE_BYTES])
{
    write_cookie(out, (sb_str){"", 0}, 0, is_tls);
}

/* ---- the head ---- */

static int64_t judge_key(sb_server *sv, sb_x *x, const sb_http_request *r, sb_visit *v)
{
    sb_error err;
    const sb_status s = identify(sv, key_of(r), &v->who, &err);
    if (s != SB_OK) {
        sb_reply_failure(x, &err);
        return -1;
    }
    if (v->route->auth == SB_AUTH_OPEN) return 0;
    if (!v->who.signed_in) {
        atomic_fetch_add(&sv->metrics.n_refused_key, 1);
        sb_x_header(x, "WWW-Authenticate", "Bearer realm=\"sobre\"");
        return refuse(x, 401, SB_INVALID, "invalid_api_key", 0,
                      "a key of this server is needed: Authorization: Bearer KEY, or x-api-key");
    }
    if (v->route->auth == SB_AUTH_MANAGE && !v->who.may_manage)
        return refuse(x, 403, SB_INVALID, "insufficient_permissions", 0,
                      "this needs an admin key (`sobre key add --admin`)");
    return 0;
}

static int64_t judge_load(sb_server *sv, sb_x *x, sb_visit *v)
{
    int retry_s = 0;
    if (v->route->kind == SB_KIND_LOOK) return 0;
    if (sb_quota_request(sv->quotas, v->who.owner, &v->who.limits, sb_now_ns(), &retry_s) !=
        SB_QUOTA_FREE) {
        atomic_fetch_add(&sv->metrics.n_refused_limit, 1);
        char why[96];
        (void)snprintf(why, sizeof why,
                       "this key may make %lld requests a minute: try again in %d s",
                       (long long)v->who.limits.rpm, retry_s);
        return refuse(x, 429, SB_BUSY, "rate_limit_exceeded", retry_s, why);
    }
    if (v->route->kind != SB_KIND_RUN) return 0;
    if (atomic_load(&sv->draining))
        return refuse(x, 503, SB_BUSY, NULL, 1, "the server is shutting down");
    if (atomic_load(&sv->n_runs) - atomic_load(&sv->n_paused) >= atomic_load(&sv->n_places)) {
        atomic_fetch_add(&sv->metrics.n_refused_queue, 1);
        return refuse(x, 503, SB_BUSY, "queue_full", 1,
                      "too many requests are waiting: try again in a second");
    }
    atomic_fetch_add(&sv->n_runs, 1);
    v->counted = true;
    return 0;
}

static void say_cors(sb_x *x, sb_str origin)
{
    char text[300];
    (void)snprintf(text, sizeof text, "%.*s", (int)origin.n, origin.p);
    sb_x_header(x, "Access-Control-Allow-Origin", text);
    sb_x_header(x, "Vary", "Origin");
    sb_x_header(x, "Access-Control-Expose-Headers",
                "x-request-id, Retry-After, x-energy-budget-limit-j, "
                "x-energy-budget-remaining-j, x-sobre-finish");
}

static void say_preflight(sb_x *x)
{
    sb_x_header(x, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    sb_x_header(x, "Access-Control-Allow-Headers",
                "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, "
                "x-request-id");
    sb_x_header(x, "Access-Control-Max-Age", "600");
    sb_x_reply(x, 204, NULL, (sb_str){NULL, 0});
}

static int64_t find_route(sb_x *x, const sb_http_request *r, sb_visit *v)
{
    char allow[SB_ALLOW_BYTES];
    const int status = sb_route_find(r->method, r->path, &v->route, allow);
    if (status == 200) return 0;
    if (allow[0]) sb_x_header(x, "Allow", allow);
    return refuse(x, status, status == 404 ? SB_NOT_FOUND : SB_INVALID, NULL, 0,
                  status == 404   ? "there is no such route"
                  : status == 405 ? "this route does not take that method"
                                  : "there is no such method");
}

int64_t sb_visit_head(void *server, sb_x *x, const sb_http_request *r)
{
    sb_server *sv = server;
    sb_visit *v = sb_calloc(1, sizeof *v);
    if (!v) {
        sb_x_reply(x, 503, NULL, (sb_str){NULL, 0});
        return -1;
    }
    v->sv = sv;
    sb_x_set_user(x, v);
    const sb_verdict g = sb_guard_judge(&sv->guard, r);
    if (g.cors.p) say_cors(x, g.cors);
    if (g.status == 204) {
        say_preflight(x);
        return -1;
    }
    if (g.status) {
        atomic_fetch_add(&sv->metrics.n_refused_host, 1);
        return refuse(x, g.status, SB_INVALID, NULL, 0, g.why);
    }
    if (find_route(x, r, v) < 0 || judge_key(sv, x, r, v) < 0 || judge_load(sv, x, v) < 0)
        return -1;
    return v->route->body == SB_BODY_FULL ? SB_MAX_BODY_BYTES : SMALL_BODY;
}

void sb_visit_request(void *server, sb_x *x, const sb_http_request *r)
{
    sb_visit *v = sb_visit_of(x);
    (void)r;
    v->route->handler(server, x, &v->who);
}

const char *sb_visit_refused(void *server, int status, const char *why, sb_str path, sb_buf *body)
{
    sb_wire_error w = {.status = status};
    (void)server;
    (void)SB_FAIL(&w.err, status >= 500 ? SB_BUSY : SB_INVALID, "%s", why);
    if (sb_route_dialect(path)->refuse(&w, "", body, NULL) != SB_OK) return NULL;
    return "application/json";
}

/* ---- the end ---- */

static sb_str text_of(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static void note(const sb_server *sv, const sb_x *x, const sb_visit *v,
                 const struct sb_http_outcome *o)
{
    sb_journal_line l;
    const sb_http_request *r = sb_x_request(x);
    if (!sb_journal_is_on(sv->journal)) return;
    sb_journal_begin(&l, "request");
    sb_journal_text(&l, "id", text_of(sb_x_id(x)));
    sb_journal_text(&l, "method", r->method);
    sb_journal_text(&l, "route", text_of(v->route ? v->route->path : "none"));
    sb_journal_int(&l, "status", o->status);
    sb_journal_ms(&l, "ms", sb_now_ns() - o->begin_ns);
    sb_journal_int(&l, "bytes", (int64_t)o->sent_bytes);
    if (v->who.name[0]) sb_journal_text(&l, "key", text_of(v->who.name));
    if (v->model) sb_journal_text(&l, "model", text_of(v->model));
    if (v->n_prompt) {
        sb_journal_int(&l, "tokens_in", v->n_prompt);
        sb_journal_int(&l, "tokens_cached", v->n_cached);
        sb_journal_int(&l, "tokens_out", v->n_generated);
        sb_journal_int(&l, "energy_uj", v->energy_uj);
    }
    if (o->is_gone) sb_journal_int(&l, "gone", 1);
    sb_journal_end(sv->journal, &l);
}

void sb_visit_done(void *server, sb_x *x, const struct sb_http_outcome *o)
{
    sb_server *sv = server;
    sb_visit *v = sb_visit_of(x);
    const int family = o->status / 100;
    if (!v) return;
    atomic_fetch_add(&sv->metrics.n_requests[family >= 1 && family <= 5 ? family : 0], 1);
    if (v->done) v->done(v->done_ctx); /* fills in what the log wants */
    note(sv, x, v, o);
    if (v->counted) atomic_fetch_sub(&sv->n_runs, 1);
    if (v->route && v->route->kind == SB_KIND_RUN) sb_server_energy_settle(sv);
    sb_x_set_user(x, NULL);
    sb_free(v);
    sb_server_check_end(sv);
}
