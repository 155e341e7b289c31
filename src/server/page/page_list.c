/* SPDX-License-Identifier: Apache-2.0
 * page_list.c - conversations: listed, searched, made, renamed, deleted, taken away and brought
 * back. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "server/page/page_in.h"

enum { PAGE_ROWS = 200 };

typedef struct rows {
    sb_page_call *c;
    sb_jw *w;
    int64_t last; /* order of the last one told */
    int64_t n;
    char seen[SB_DB_ID_BYTES]; /* search: the conversation told last */
} rows;

static int32_t limit_of(const sb_page_call *c, int64_t dflt)
{
    const int64_t n = sb_page_number(c, "limit", dflt);
    return (int32_t)(n < 1 ? 1 : n > PAGE_ROWS ? PAGE_ROWS : n);
}

static sb_status put_row(void *ctx, const sb_conv *c, sb_error *err)
{
    (void)err;
    rows *r = ctx;
    sb_page_put_conv(r->w, r->c->page, r->c->who.owner, c);
    r->last = c->order;
    r->n++;
    return SB_OK;
}

/* The snippet without the marks around what was found. */
static void put_snippet(sb_jw *w, sb_str s)
{
    char text[512];
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < sizeof text; i++)
        if (s.p[i] != 2 && s.p[i] != 3) text[n++] = s.p[i];
    sb_jw_put_text(w, "snippet", (sb_str){text, n});
}

/* Hits come newest message first; a conversation is listed with its first one. */
static sb_status put_hit(void *ctx, const sb_conv_hit *h, sb_error *err)
{
    (void)err;
    rows *r = ctx;
    r->n++;
    if (strcmp(r->seen, h->conv) == 0) return SB_OK;
    (void)snprintf(r->seen, sizeof r->seen, "%s", h->conv);
    sb_jw_open(r->w, '{');
    sb_jw_put_word(r->w, "id", h->conv);
    sb_jw_put_text(r->w, "title", h->title);
    sb_jw_put_int(r->w, "order", h->order);
    if (h->msg) put_snippet(r->w, h->snippet);
    sb_jw_close(r->w, '}');
    return SB_OK;
}

sb_status sb_page_list(sb_page_call *c)
{
    const int32_t limit = limit_of(c, 50);
    const int64_t before = sb_page_number(c, "before", 0);
    sb_buf q;
    sb_buf_init(&q, 1024, "search");
    const bool searched = sb_http_query_find(sb_x_request(c->x)->query, "q", &q) && q.n > 0;
    sb_jw w;
    rows r = {.c = c, .w = &w};
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "conversations", '[');
    sb_db *db = sb_server_db(c->page->sv);
    const sb_status st =
        searched ? sb_conv_search(db, c->who.owner, (sb_str){q.p, q.n},
                                  (int32_t)(before & 0xffffff), limit, put_hit, &r, &c->w.err)
                 : sb_conv_list(db, c->who.owner, before, limit, put_row, &r, &c->w.err);
    sb_buf_deinit(&q);
    SB_TRY(st);
    sb_jw_close(&w, ']');
    if (r.n < limit)
        sb_jw_put_null(&w, "before");
    else
        sb_jw_put_int(&w, "before", searched ? before + r.n : r.last);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static sb_status reply_conv(sb_page_call *c, const char *id)
{
    sb_jw w;
    sb_jw_begin(&w, &c->out, &c->w.err);
    SB_TRY(sb_page_conv_news(c->page, c->who.owner, id, &w, &c->w.err));
    return sb_jw_end(&w);
}

/* ---- settings ---- */

/* Sampling that may be kept: what the chat route reads, each a number. */
static sb_status check_sampling(sb_page_call *c, const json_t *sampling)
{
    static const char *const names[] = {"temperature",    "top_p",      "top_k", "min_p",
                                        "repeat_penalty", "max_tokens", "seed"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)sampling, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < SB_ARRAY_LEN(names); i++)
            known = known || strcmp(key, names[i]) == 0;
        if (!known || !json_is_number(v))
            return sb_page_fail(c, SB_INVALID, "sampling",
                                "sampling has a member that is not known or no number");
    }
    return SB_OK;
}

/* Takes what the body sets over into the settings. */
static sb_status take_settings(sb_page_call *c, json_t *settings, bool *out_any)
{
    static const char *const texts[] = {"system", "model"};
    for (size_t i = 0; i < SB_ARRAY_LEN(texts); i++) {
        sb_str s;
        SB_TRY(sb_page_text(c, texts[i], &s));
        if (!s.p) continue;
        *out_any = true;
        if (json_object_set_new(settings, texts[i], json_stringn(s.p, s.n)) != 0)
            return sb_page_fail(c, SB_NO_MEMORY, texts[i], "no memory");
    }
    json_t *sampling = json_object_get(c->body, "sampling");
    if (!sampling || json_is_null(sampling)) return SB_OK;
    if (!json_is_object(sampling))
        return sb_page_fail(c, SB_INVALID, "sampling", "must be an object");
    SB_TRY(check_sampling(c, sampling));
    *out_any = true;
    return json_object_set(settings, "sampling", sampling) == 0
               ? SB_OK
               : sb_page_fail(c, SB_NO_MEMORY, "sampling", "no memory");
}

/* JSON as text, into a buffer of the caller's that is begun here. */
static sb_status dump(sb_page_call *c, const json_t *v, sb_buf *out)
{
    sb_jw w;
    sb_buf_init(out, SB_MAX_REPLY_BYTES, "JSON");
    sb_jw_begin(&w, out, &c->w.err);
    sb_jw_json(&w, v);
    return sb_jw_end(&w);
}

static sb_status make(sb_page_call *c, json_t *settings)
{
    bool any = false;
    sb_str title;
    sb_buf text;
    char id[SB_DB_ID_BYTES];
    SB_TRY(sb_page_text(c, "title", &title));
    SB_TRY(take_settings(c, settings, &any));
    sb_status st = dump(c, settings, &text);
    if (st == SB_OK)
        st = sb_conv_add(sb_server_db(c->page->sv), c->who.owner, title, (sb_str){text.p, text.n},
                         id, &c->w.err);
    sb_buf_deinit(&text);
    return st == SB_OK ? reply_conv(c, id) : st;
}

sb_status sb_page_create(sb_page_call *c)
{
    json_t *settings = json_object();
    const sb_status st =
        settings ? make(c, settings) : sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    json_decref(settings);
    return st;
}

sb_status sb_page_get(sb_page_call *c)
{
    sb_jw w;
    rows r = {.c = c, .w = &w};
    sb_jw_begin(&w, &c->out, &c->w.err);
    SB_TRY(sb_conv_get(sb_server_db(c->page->sv), c->who.owner, c->id, put_row, &r, &c->w.err));
    return sb_jw_end(&w);
}

static sb_status change_in(sb_page_call *c, sb_db *db, json_t **settings)
{
    sb_str title;
    bool any = false;
    SB_TRY(sb_page_text(c, "title", &title));
    SB_TRY(sb_conv_get(db, c->who.owner, c->id, sb_page_read_settings, settings, &c->w.err));
    if (!json_is_object(*settings)) return sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    SB_TRY(take_settings(c, *settings, &any));
    sb_buf text = {0};
    sb_status st = any ? dump(c, *settings, &text) : SB_OK;
    if (st == SB_OK)
        st = sb_conv_change(db, c->who.owner, c->id, title, (sb_str){text.p, text.n}, &c->w.err);
    sb_buf_deinit(&text);
    return st;
}

sb_status sb_page_change(sb_page_call *c)
{
    sb_db *db = sb_server_db(c->page->sv);
    json_t *settings = NULL;
    SB_TRY(sb_db_begin(db, &c->w.err));
    sb_status st = change_in(c, db, &settings);
    const sb_status end = sb_db_end(db, st == SB_OK ? &c->w.err : NULL);
    json_decref(settings);
    if (st == SB_OK) st = end;
    return st == SB_OK ? reply_conv(c, c->id) : st;
}

sb_status sb_page_remove(sb_page_call *c)
{
    sb_page_answers_stop(c->page, c->who.owner, c->id, 0);
    SB_TRY(sb_conv_delete(sb_server_db(c->page->sv), c->who.owner, c->id, &c->w.err));
    char text[64 + SB_DB_ID_BYTES];
    (void)snprintf(text, sizeof text, "{\"conversation\":\"%.*s\"}", SB_DB_ID_BYTES - 1, c->id);
    pthread_mutex_lock(&c->page->lock);
    sb_page_tell(c->page, c->who.owner, NULL, "gone", (sb_str){text, strlen(text)}, true);
    pthread_mutex_unlock(&c->page->lock);
    return SB_OK;
}

/* ---- out and in ---- */

sb_status sb_page_export(sb_page_call *c)
{
    sb_buf format;
    sb_buf_init(&format, 16, "format");
    const bool json = sb_http_query_find(sb_x_request(c->x)->query, "format", &format) &&
                      format.n == 4 && memcmp(format.p, "json", 4) == 0;
    sb_buf_deinit(&format);
    sb_db *db = sb_server_db(c->page->sv);
    sb_buf_init(&c->out, SB_MAX_REPLY_BYTES, "export");
    SB_TRY(json ? sb_conv_json(db, c->who.owner, c->id, &c->out, &c->w.err)
                : sb_conv_markdown(db, c->who.owner, c->id, &c->out, &c->w.err));
    char name[96];
    (void)snprintf(name, sizeof name, "attachment; filename=\"sobre-%.12s.%s\"", c->id,
                   json ? "json" : "md");
    sb_x_header(c->x, "content-disposition", name);
    if (!json) c->type = "text/markdown; charset=utf-8";
    return SB_OK;
}

static sb_status import_one(sb_page_call *c, const json_t *one)
{
    char id[SB_DB_ID_BYTES];
    sb_buf text;
    sb_status st = dump(c, one, &text);
    if (st == SB_OK)
        st = sb_conv_import(sb_server_db(c->page->sv), c->who.owner, (sb_str){text.p, text.n}, id,
                            &c->w.err);
    sb_buf_deinit(&text);
    SB_TRY(st);
    return sb_page_conv_news(c->page, c->who.owner, id, NULL, &c->w.err);
}

/* One conversation as it was exported, or {"conversations": [...]}. */
sb_status sb_page_import(sb_page_call *c)
{
    const json_t *list = json_object_get(c->body, "conversations");
    size_t n = 1;
    if (json_is_array(list)) {
        n = json_array_size(list);
        for (size_t i = 0; i < n; i++)
            SB_TRY(import_one(c, json_array_get(list, i)));
    } else {
        SB_TRY(import_one(c, c->body));
    }
    return sb_buf_addf(&c->out, &c->w.err, "{\"n\":%zu}", n);
}
