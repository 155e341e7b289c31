/* SPDX-License-Identifier: Apache-2.0
 * page.c - from a path of the page to its function.
 *
 * Routes that look into the data base run on a worker; a call is the memory of one request there.
 */
#include "server/page/page.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/page/page_in.h"

enum { WORKER, LOOP };

static const struct route {
    const char *method, *path;
    sb_status (*run)(sb_page_call *c);
    int where;
} routes[] = {
#define X(method, path, handler, where) {#method, path, sb_page_##handler, where},
#include "server/page/page_routes.def"
#undef X
};

sb_status sb_page_new(sb_page **out, sb_server *sv, sb_error *err)
{
    sb_page *p = sb_calloc(1, sizeof *p);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "page: no memory");
    const sb_status st = sb_db_new_id(p->boot, err);
    if (st != SB_OK) {
        sb_free(p);
        return st;
    }
    p->sv = sv;
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return SB_OK;
}

void sb_page_free(sb_page *p)
{
    if (!p) return;
    while (p->pulls) {
        sb_page_pull *next = p->pulls->next;
        sb_free(p->pulls);
        p->pulls = next;
    }
    pthread_mutex_destroy(&p->lock);
    sb_free(p->revisions);
    sb_free(p);
}

sb_status sb_page_fail(sb_page_call *c, sb_status code, const char *param, const char *why)
{
    (void)snprintf(c->w.param, sizeof c->w.param, "%s", param);
    return SB_FAIL(&c->w.err, code, "%s", why);
}

bool sb_page_digits(sb_str s, int64_t *out)
{
    int64_t v = 0;
    if (s.n == 0 || s.n >= SB_PAGE_ID_TEXT_BYTES) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        if (ckd_mul(&v, v, 10) || ckd_add(&v, v, s.p[i] - '0')) return false;
    }
    *out = v;
    return true;
}

int64_t sb_page_number(const sb_page_call *c, const char *key, int64_t dflt)
{
    sb_buf b;
    sb_buf_init(&b, 64, "query");
    int64_t v = dflt;
    if (!sb_http_query_find(sb_x_request(c->x)->query, key, &b) ||
        !sb_page_digits((sb_str){b.p, b.n}, &v))
        v = dflt;
    sb_buf_deinit(&b);
    return v;
}

sb_status sb_page_text(sb_page_call *c, const char *key, sb_str *out)
{
    const json_t *v = json_object_get(c->body, key);
    *out = (sb_str){NULL, 0};
    if (!v || json_is_null(v)) return SB_OK;
    if (!json_is_string(v)) return sb_page_fail(c, SB_INVALID, key, "must be a text");
    *out = (sb_str){json_string_value(v), json_string_length(v)};
    return SB_OK;
}

/* ---- from a path to a route ---- */

static sb_str next_segment(sb_str *path)
{
    size_t n = 0;
    while (n < path->n && path->p[n] != '/')
        n++;
    const sb_str s = {path->p, n};
    const size_t skip = n < path->n ? n + 1 : n;
    *path = (sb_str){path->p + skip, path->n - skip};
    return s;
}

/* Does the path have the shape of this route? stars: what stands for `*`. */
static bool fits(sb_str path, const char *shape, sb_str stars[2])
{
    sb_str want = {shape, strlen(shape)};
    int n = 0;
    while (want.n && path.n) {
        const sb_str a = next_segment(&path), b = next_segment(&want);
        if (b.n == 1 && *b.p == '*' && a.n)
            stars[n++] = a;
        else if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0)
            return false;
    }
    return want.n == 0 && path.n == 0;
}

static bool is_text(sb_str s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static sb_status find_route(sb_page_call *c, sb_str method, sb_str path, const struct route **out)
{
    bool known = false;
    for (size_t i = 0; i < SB_ARRAY_LEN(routes); i++) {
        sb_str stars[2] = {{NULL, 0}, {NULL, 0}};
        if (!fits(path, routes[i].path, stars)) continue;
        known = true;
        if (!is_text(method, routes[i].method) &&
            !(is_text(method, "HEAD") && strcmp(routes[i].method, "GET") == 0 &&
              routes[i].where == WORKER))
            continue;
        if (stars[0].n >= sizeof c->id || (stars[1].n && !sb_page_digits(stars[1], &c->msg)))
            return sb_page_fail(c, SB_NOT_FOUND, "", "there is nothing of that name");
        if (stars[0].n) memcpy(c->id, stars[0].p, stars[0].n);
        *out = &routes[i];
        return SB_OK;
    }
    if (known) c->w.status = 405;
    return sb_page_fail(c, SB_NOT_FOUND, "",
                        known ? "this path does not take that method" : "no such path");
}

static sb_status read_body(sb_page_call *c)
{
    const sb_http_request *r = sb_x_request(c->x);
    if (!is_text(r->method, "POST") && !is_text(r->method, "PATCH")) return SB_OK;
    SB_TRY(sb_wire_json(&c->body, r->body, &c->w));
    return json_is_object(c->body) ? SB_OK
                                   : sb_page_fail(c, SB_INVALID, "", "the body is no JSON object");
}

static void finish(sb_page_call *c, sb_status st)
{
    if (st == SB_OK && !c->replied) {
        if (c->out.n == 0) st = sb_buf_add(&c->out, "{}", 2, &c->w.err);
        if (st == SB_OK)
            sb_x_reply(c->x, 200, c->type ? c->type : "application/json",
                       (sb_str){c->out.p, c->out.n});
    }
    if (st != SB_OK) {
        c->w.err.code = st;
        sb_wire_status(&c->w);
        sb_reply_error(c->x, &c->w);
    }
    json_decref(c->body);
    sb_buf_deinit(&c->out);
    sb_x_release(c->x);
    sb_free(c);
}

static void run_task(sb_task *t)
{
    sb_page_call *c = (sb_page_call *)(void *)t;
    sb_status st = read_body(c);
    if (st == SB_OK) st = c->run(c);
    finish(c, st);
}

void sb_page_handle(sb_server *sv, sb_x *x, const sb_caller *who)
{
    static const char ROUTES[] = "/sobre/v1/", FILES[] = "/sobre/page/";
    const sb_http_request *r = sb_x_request(x);
    const size_t n_routes = sizeof ROUTES - 1, n_files = sizeof FILES - 1;
    if (r->path.n <= n_routes || memcmp(r->path.p, ROUTES, n_routes) != 0) {
        sb_str name = {"index.html", 10};
        if (r->path.n > n_files && memcmp(r->path.p, FILES, n_files) == 0)
            name = (sb_str){r->path.p + n_files, r->path.n - n_files};
        else if (r->path.n != 1)
            name = (sb_str){"", 0};
        sb_page_file(x, name);
        sb_x_release(x);
        return;
    }
    sb_page_call *c = sb_calloc(1, sizeof *c);
    if (!c) {
        sb_reply_json(x, 500, NULL);
        sb_x_release(x);
        return;
    }
    c->page = sb_server_page(sv);
    c->x = x;
    c->who = *who;
    c->task.fn = run_task;
    sb_buf_init(&c->out, SB_MAX_REPLY_BYTES, "reply");
    const struct route *route = NULL;
    const sb_status st =
        find_route(c, r->method, (sb_str){r->path.p + n_routes, r->path.n - n_routes}, &route);
    if (st != SB_OK) {
        finish(c, st);
        return;
    }
    c->run = route->run;
    if (route->where == WORKER)
        sb_server_work(sv, &c->task);
    else
        run_task(&c->task);
}
