/* SPDX-License-Identifier: Apache-2.0
 * routes_more.c - counting, stored responses, pulls, and what is not there yet. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/look.h"
#include "server/model_job.h"
#include "server/server_in.h"
#include "server/wire/anthropic.h"
#include "server/wire/ollama.h"
#include "server/wire/ollama_list.h"
#include "server/wire/respond.h"
#include "store/responses.h"

/* ---- counting ---- */

static sb_status count(sb_model_job *j, int64_t *out, sb_error *err)
{
    sb_ids ids;
    sb_ids_init(&ids, SB_MAX_CTX);
    const sb_status s = sb_chat_prompt_ids(sb_held_chat(j->model), &j->ask.turns[0],
                                           (uint64_t)j->who.owner + 1, &ids, err);
    *out = (int64_t)ids.n;
    sb_ids_deinit(&ids);
    return s;
}

static void reply_count(sb_model_job *j, sb_status (*form)(sb_buf *, int64_t, sb_error *))
{
    int64_t n = 0;
    sb_buf body;
    sb_error err;
    sb_buf_init(&body, 4096, "count");
    sb_status s = count(j, &n, &err);
    if (s == SB_OK) s = form(&body, n, &err);
    sb_look_reply(j->x, &body, s, &err);
}

static void count_message(sb_model_job *j)
{
    reply_count(j, sb_anthropic_count);
}

static void count_response(sb_model_job *j)
{
    reply_count(j, sb_respond_tokens);
}

void sb_route_message_tokens(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_job_begin(sv, x, who, &sb_dialect_anthropic, count_message);
}

void sb_route_response_tokens(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_job_begin(sv, x, who, &sb_dialect_responses, count_response);
}

/* ---- stored responses ---- */

/* The id in the path: /v1/responses/ID. */
static sb_str response_id(const sb_x *x)
{
    return sb_path_segment(sb_x_request(x)->path, 2);
}

static sb_status add_object(void *ctx, const sb_response *r, sb_error *err)
{
    return sb_buf_add(ctx, r->object.p, r->object.n, err);
}

static void look_get(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf body;
    sb_error err;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "response");
    const sb_status s =
        sb_response_get(sv->db, who->owner, response_id(x), add_object, &body, &err);
    sb_look_reply(x, &body, s, &err);
}

void sb_route_response_get(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_get);
}

static sb_status add_items(void *ctx, const sb_response *r, sb_error *err)
{
    return sb_buf_add(ctx, r->items.p, r->items.n, err);
}

static void read_page(const sb_x *x, sb_buf *after, sb_respond_page *p)
{
    const sb_str query = sb_x_request(x)->query;
    sb_buf v;
    sb_buf_init(&v, 128, "query");
    *p = (sb_respond_page){0};
    if (sb_http_query_find(query, "after", after)) p->after = (sb_str){after->p, after->n};
    if (sb_http_query_find(query, "order", &v))
        p->ascending = v.n == 3 && memcmp(v.p, "asc", 3) == 0;
    if (sb_http_query_find(query, "limit", &v)) {
        for (size_t i = 0; i < v.n && v.p[i] >= '0' && v.p[i] <= '9' && p->limit < 1000; i++)
            p->limit = 10 * p->limit + (v.p[i] - '0');
        if (p->limit > 100) p->limit = 100;
    }
    sb_buf_deinit(&v);
}

static void look_items(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf items, body, after;
    sb_respond_page page;
    sb_error err;
    sb_buf_init(&items, SB_MAX_REPLY_BYTES, "items");
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "items");
    sb_buf_init(&after, 256, "query");
    read_page(x, &after, &page);
    sb_status s = sb_response_get(sv->db, who->owner, response_id(x), add_items, &items, &err);
    if (s == SB_OK) s = sb_respond_item_list(&body, (sb_str){items.p, items.n}, &page, &err);
    sb_look_reply(x, &body, s, &err);
    sb_buf_deinit(&items);
    sb_buf_deinit(&after);
}

void sb_route_response_items(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_items);
}

static void look_delete(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf body;
    sb_error err;
    sb_buf_init(&body, 4096, "response");
    sb_status s = sb_response_delete(sv->db, who->owner, response_id(x), &err);
    if (s == SB_OK) s = sb_respond_deleted(&body, response_id(x), &err);
    sb_look_reply(x, &body, s, &err);
}

void sb_route_response_delete(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_delete);
}

/* Of one under way: its own client gets the rest of it. Of one that is over there is nothing to
 * cancel. */
static void look_cancel(sb_server *sv, sb_x *x, const sb_caller *who)
{
    const sb_str id = response_id(x);
    const bool ours = id.n > 5 && memcmp(id.p, "resp_", 5) == 0;
    char text[SB_CALL_ID_BYTES * 2];
    (void)snprintf(text, sizeof text, "%.*s", (int)id.n, id.p);
    if (ours && sb_runs_cancel(sv, who->owner, (sb_str){id.p + 5, id.n - 5})) {
        sb_reply_json(
            x, 200,
            json_pack("{s:s, s:s, s:s}", "id", text, "object", "response", "status", "cancelled"));
        return;
    }
    sb_error err;
    sb_buf body;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "response");
    sb_status s = sb_response_get(sv->db, who->owner, id, add_object, &body, &err);
    if (s == SB_OK)
        s = SB_FAIL(&err, SB_INVALID, "this response has ended: there is nothing to cancel");
    sb_look_reply(x, &body, s, &err);
}

void sb_route_response_cancel(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_cancel);
}

/* ---- pulls ---- */

/* A pull as one client watches it; the loop's. */
typedef struct pulling {
    sb_server *sv;
    sb_x *x;
    uint64_t id; /* of the watcher; 0: none any more */
    bool stream, begun, is_delete;
} pulling;

static void free_pulling(pulling *p)
{
    sb_x_release(p->x);
    sb_free(p);
}

static void begin_stream(pulling *p)
{
    if (p->begun || !p->stream) return;
    p->begun = true;
    sb_x_begin(p->x, 200, "application/x-ndjson", (sb_str){NULL, 0}, 0);
}

static void say_pull(pulling *p, const char *status, uint64_t total, uint64_t done)
{
    sb_buf line;
    if (!p->stream) return;
    begin_stream(p);
    sb_buf_init(&line, 4096, "line");
    if (sb_ollama_pull(&line, status, NULL, total, done, NULL) == SB_OK)
        sb_x_write(p->x, (sb_str){line.p, line.n});
    sb_buf_deinit(&line);
}

static void on_pull_progress(void *ctx, const sb_pull_news *n)
{
    char status[160];
    (void)snprintf(status, sizeof status, "%s %s (part %u of %u)", n->phase, n->name, n->i_part + 1,
                   n->n_part);
    say_pull(ctx, status, n->total_bytes, n->done_bytes);
}

static void say_failed_pull(pulling *p, const sb_error *err)
{
    sb_buf line;
    if (!p->begun) {
        sb_reply_failure(p->x, err);
        return;
    }
    sb_buf_init(&line, 4096, "line");
    if (sb_ollama_error(&line, err->msg, true, NULL) == SB_OK)
        sb_x_write(p->x, (sb_str){line.p, line.n});
    sb_buf_deinit(&line);
    sb_x_end(p->x);
}

static void on_pull_end(void *ctx, const char *name, const sb_error *err)
{
    pulling *p = ctx;
    p->id = 0;
    if (err) {
        say_failed_pull(p, err);
    } else if (p->is_delete) {
        sb_models_let_go(p->sv->models, name);
        sb_x_reply(p->x, 200, NULL, (sb_str){NULL, 0});
    } else if (p->stream) {
        say_pull(p, "success", 0, 0);
        sb_x_end(p->x);
    } else {
        sb_reply_json(p->x, 200, json_pack("{s:s}", "status", "success"));
    }
}

static void on_pull_done(void *ctx)
{
    pulling *p = ctx;
    if (p->id) sb_server_unwatch(p->sv, p->id, true);
    free_pulling(p);
}

static void on_pull_gone(void *ctx)
{
    (void)ctx; /* on_done follows */
}

/* The body is small: it is read here, on the loop. */
static void begin_pull(sb_server *sv, sb_x *x, const sb_caller *who, bool is_delete)
{
    sb_wire_error w = {0};
    sb_ollama_small ask = {0};
    json_t *root = NULL;
    char name[SB_HELPER_WORD_BYTES];
    pulling *p = sb_calloc(1, sizeof *p);
    sb_status s = p ? SB_OK : SB_FAIL(&w.err, SB_NO_MEMORY, "out of memory");
    if (s == SB_OK) s = sb_wire_json(&root, sb_x_request(x)->body, &w);
    if (s == SB_OK) s = sb_ollama_small_read(&ask, root, &w);
    if (s == SB_OK && (ask.model.n == 0 || ask.model.n >= sizeof name))
        s = SB_FAIL(&w.err, SB_INVALID, "model: a name is needed");
    if (s == SB_OK) {
        memcpy(name, ask.model.p, ask.model.n);
        name[ask.model.n] = 0;
        *p =
            (pulling){.sv = sv, .x = x, .stream = ask.stream && !is_delete, .is_delete = is_delete};
        const sb_pull_watch watch = {.progress = on_pull_progress, .end = on_pull_end, .ctx = p};
        s = is_delete ? sb_server_remove(sv, name, &watch, &p->id, &w.err)
                      : sb_server_pull(sv, who, name, false, &watch, &p->id, &w.err);
    }
    json_decref(root);
    if (s != SB_OK) {
        sb_wire_status(&w);
        sb_reply_error(x, &w);
        sb_x_release(x);
        sb_free(p);
        return;
    }
    sb_server_at_done(x, on_pull_done, p);
    sb_x_watch(x, NULL, on_pull_gone, p);
    if (!is_delete) say_pull(p, "pulling manifest", 0, 0);
}

void sb_route_ollama_pull(sb_server *sv, sb_x *x, const sb_caller *who)
{
    begin_pull(sv, x, who, false);
}

void sb_route_ollama_delete(sb_server *sv, sb_x *x, const sb_caller *who)
{
    begin_pull(sv, x, who, true);
}

/* ---- the rest ---- */

void sb_route_not_yet(sb_server *sv, sb_x *x, const sb_caller *who)
{
    const sb_str path = sb_x_request(x)->path;
    const bool embeds = memmem(path.p, path.n, "embed", 5) != NULL;
    /* 400 where a client would otherwise try again and again; Ollama's own say 501. */
    sb_wire_error w = {.status =
                           path.n > 5 && memcmp(path.p, "/api/", 5) == 0 && !embeds ? 501 : 400,
                       .code = "unsupported"};
    (void)sv;
    (void)who;
    (void)snprintf(w.param, sizeof w.param, "%s", embeds ? "input" : "");
    (void)SB_FAIL(&w.err, SB_UNSUPPORTED,
                  embeds ? "input: embeddings are not served yet"
                         : "this server does not have this yet");
    sb_reply_error(x, &w);
    sb_x_release(x);
}

void sb_route_root(sb_server *sv, sb_x *x, const sb_caller *who)
{
    const sb_str accept = sb_http_header_find(sb_x_request(x), "accept");
    if (accept.p && memmem(accept.p, accept.n, "text/html", 9)) {
        sb_page_handle(sv, x, who);
        return;
    }
    sb_reply_text(x, 200, "text/plain; charset=utf-8", "Ollama is running");
    sb_x_release(x);
}

void sb_route_page(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_page_handle(sv, x, who);
}
