/* SPDX-License-Identifier: Apache-2.0
 * remote.c - one connection to a server: its list of models, then a stream of events for each
 * answer.
 *
 * libcurl is loaded by name, as for pulls: a chat without --server pays nothing for it. */
#define CURL_DISABLE_TYPECHECK // it would hide the calls of our table behind macros
#include "cli/remote.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/json_out.h"
#include "cli/stop.h"
#include "store/dynlib.h"

enum { CONNECT_S = 15, URL_ROOM = 512, ID_ROOM = 96, LOOKS = 30, LOOK_MS = 100 };

struct sb_remote {
    sb_curl_lib lib;
    CURL *easy;
    char base[URL_ROOM]; /* without the last '/' */
    char shown[URL_ROOM];
    char model[256];
    char id[ID_ROOM]; /* of the last answer, or "" */
    int32_t n_ctx;
};

/* One request under way. */
typedef struct call {
    sb_remote *r;
    sb_buf line; /* of a stream: not whole yet; else the whole body */
    sb_turn *t;  /* NULL: no stream */
    const sb_remote_hooks *h;
    bool stopped; /* the reader wants no more */
    sb_status failed;
    sb_error *err;
    char why[CURL_ERROR_SIZE];
} call;

/* ---- what a stream says ---- */

static int64_t number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? (int64_t)llround(json_number_value(v)) : 0;
}

static void take_text(call *c, sb_output_kind kind, const json_t *v, sb_buf *all)
{
    const size_t n = json_string_length(v);
    if (!json_is_string(v) || n == 0 || c->failed != SB_OK) return;
    const sb_output_event e = {.kind = kind, .text = {json_string_value(v), n}};
    c->failed = sb_buf_add(all, e.text.p, n, c->err);
    if (c->failed == SB_OK && !c->h->event(c->h->ctx, &e)) c->stopped = true;
}

static void take_energy(sb_energy *e, const json_t *o)
{
    const char *source = json_string_value(json_object_get(o, "source"));
    if (!source) return;
    *e = (sb_energy){.energy_uj = number(o, "energy_uj"),
                     .lo_uj = number(o, "energy_uj_low"),
                     .hi_uj = number(o, "energy_uj_high"),
                     .ratio = 1,
                     .method = "as the server says"};
    e->source = strcmp(source, "measured") == 0    ? SB_ENERGY_MEASURED
                : strcmp(source, "estimated") == 0 ? SB_ENERGY_ESTIMATED
                                                   : SB_ENERGY_UNAVAILABLE;
    const char *meter = json_string_value(json_object_get(o, "meter"));
    const char *scope = json_string_value(json_object_get(o, "scope"));
    (void)snprintf(e->meter, sizeof e->meter, "%s", meter ? meter : "the server's");
    (void)snprintf(e->scope, sizeof e->scope, "%s", scope ? scope : "");
}

static void take_usage(sb_turn *t, const json_t *usage, const json_t *timings)
{
    if (json_is_object(usage)) {
        t->prompt_ids.n = (size_t)number(usage, "prompt_tokens");
        t->ids.n = (size_t)number(usage, "completion_tokens");
        t->n_cached =
            (int32_t)number(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
        take_energy(&t->energy, json_object_get(usage, "energy"));
    }
    if (!json_is_object(timings)) return;
    const json_t *p = json_object_get(timings, "prompt_ms");
    const json_t *d = json_object_get(timings, "predicted_ms");
    t->prefill_ns = (uint64_t)(fmax(0, json_number_value(p)) * 1e6);
    t->decode_ns = (uint64_t)(fmax(0, json_number_value(d)) * 1e6);
    t->n_decoded = (int32_t)number(timings, "predicted_n");
}

/* The line of an error object, escaped; false: there is none. */
static bool error_line(const json_t *root, char *out, size_t out_bytes)
{
    const json_t *e = json_object_get(root, "error");
    const char *text = json_string_value(e);
    if (!text) text = json_string_value(json_object_get(e, "message"));
    if (!text) return false;
    sb_path_escape(out, out_bytes, text);
    return true;
}

/* Its word, and the detail where that word does not say all. */
static sb_finish finish_of(const json_t *choice, const char *word)
{
    const char *detail = json_string_value(json_object_get(choice, "finish_detail"));
    if (detail && strcmp(detail, sb_finish_word(SB_FINISH_ENERGY_BUDGET)) == 0)
        return SB_FINISH_ENERGY_BUDGET;
    return strcmp(word, "length") == 0 ? SB_FINISH_LENGTH : SB_FINISH_STOP;
}

/* An id goes into an address: letters, digits and what joins them. */
static void take_id(sb_remote *r, const char *id)
{
    if (!id || strlen(id) >= sizeof r->id) return;
    for (const char *p = id; *p; p++)
        if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
              *p == '-' || *p == '_'))
            return;
    memcpy(r->id, id, strlen(id) + 1);
}

static void take_event(call *c, const json_t *o)
{
    char line[160];
    const json_t *choice = json_array_get(json_object_get(o, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *progress = json_object_get(o, "prompt_progress");
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (error_line(o, line, sizeof line)) {
        c->failed = SB_FAIL(c->err, SB_IO, "%.100s: %.120s", c->r->shown, line);
        return;
    }
    take_id(c->r, json_string_value(json_object_get(o, "id")));
    if (json_is_object(progress))
        c->h->prefill(c->h->ctx, (int32_t)number(progress, "processed"),
                      (int32_t)number(progress, "total"));
    take_text(c, SB_OUTPUT_REASONING, json_object_get(delta, "reasoning_content"),
              &c->t->reasoning);
    take_text(c, SB_OUTPUT_CONTENT, json_object_get(delta, "content"), &c->t->content);
    if (finish) c->t->finish = finish_of(choice, finish);
    take_usage(c->t, json_object_get(o, "usage"), json_object_get(o, "timings"));
}

static void take_line(call *c, const char *p, size_t n)
{
    static const char data[] = "data: ";
    const size_t k = sizeof data - 1;
    if (n < k || memcmp(p, data, k) != 0) return; /* a comment, or an empty line */
    if (n - k >= 6 && memcmp(p + k, "[DONE]", 6) == 0) return;
    json_t *o = json_loadb(p + k, n - k, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(o))
        take_event(c, o);
    else
        c->failed = SB_FAIL(c->err, SB_IO,
                            "%.100s: the answer is not what a server of this kind "
                            "sends",
                            c->r->shown);
    json_decref(o);
}

static long status_of(const sb_remote *r)
{
    long status = 0;
    (void)r->lib.curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
    call *c = ctx;
    (void)one;
    c->failed = sb_buf_add(&c->line, p, n, c->err);
    if (!c->t || status_of(c->r) != 200) return c->failed == SB_OK ? n : 0;
    size_t from = 0;
    for (;;) {
        const char *end =
            c->failed == SB_OK ? memchr(c->line.p + from, '\n', c->line.n - from) : NULL;
        if (!end || c->stopped) break;
        const size_t at = (size_t)(end - c->line.p);
        take_line(c, c->line.p + from, at - from - (at > from && c->line.p[at - 1] == '\r'));
        from = at + 1;
    }
    memmove(c->line.p, c->line.p + from, c->line.n - from + 1); /* its NUL, too */
    c->line.n -= from;
    return c->failed == SB_OK && !c->stopped ? n : 0;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)ctx, (void)dt, (void)dn, (void)ut, (void)un;
    return sb_stop_asked(NULL);
}

/* ---- one request ---- */

/* What a status other than 200 means, with the server's own words. */
static sb_status refused(const call *c, long status)
{
    char line[160] = "";
    json_t *o = c->line.p ? json_loadb(c->line.p, c->line.n, 0, NULL) : NULL;
    const bool said = json_is_object(o) && error_line(o, line, sizeof line);
    json_decref(o);
    const char *at = c->r->shown;
    if (status == 401)
        return SB_FAIL(c->err, SB_INVALID,
                       "%.100s wants a key: set SOBRE_API_KEY to one of its keys", at);
    if (status == 429 || status == 503)
        return SB_FAIL(c->err, SB_BUSY, "%.100s is busy: %s", at, said ? line : "try again later");
    if (!said)
        return SB_FAIL(c->err, SB_NOT_FOUND,
                       "%.100s is no server of this kind (status %ld): its address ends before /v1",
                       at, status);
    return SB_FAIL(c->err, status == 404 ? SB_NOT_FOUND : SB_INVALID, "%.60s: %.150s", at, line);
}

static bool set_options(call *c, const char *url, const struct curl_slist *headers,
                        const char *body)
{
    const sb_curl_lib *lib = &c->r->lib;
    CURL *e = c->r->easy;
    bool ok = true;
    lib->curl_easy_reset(e);
#define SET(option, value) ok &= lib->curl_easy_setopt(e, option, value) == CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_USERAGENT, "sobre");
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    SET(CURLOPT_ERRORBUFFER, c->why);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_HTTPHEADER, headers);
    if (body) SET(CURLOPT_POSTFIELDS, body);
#undef SET
    return ok;
}

static sb_status judge(call *c, CURLcode code)
{
    if (c->failed != SB_OK) return c->failed;
    if (c->stopped) return SB_OK;
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        if (!c->t) return SB_FAIL(c->err, SB_CANCELLED, "interrupted");
        c->t->finish = SB_FINISH_CANCELLED;
        return SB_OK;
    }
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return SB_FAIL(c->err, SB_IO, "nobody answers at %.100s: is `sobre serve` running there?",
                       c->r->shown);
    if (code != CURLE_OK)
        return SB_FAIL(c->err, SB_IO, "%.100s: %.120s", c->r->shown,
                       c->why[0] ? c->why : c->r->lib.curl_easy_strerror(code));
    const long status = status_of(c->r);
    return status == 200 ? SB_OK : refused(c, status);
}

/* body NULL: GET. */
static sb_status ask(call *c, const char *path, const char *body)
{
    sb_remote *r = c->r;
    char url[URL_ROOM + 2 * ID_ROOM], key[256];
    struct curl_slist *headers = r->lib.curl_slist_append(NULL, "Content-Type: application/json");
    const char *secret = getenv("SOBRE_API_KEY");
    if (headers && secret && secret[0] && strlen(secret) < sizeof key - 24) {
        (void)snprintf(key, sizeof key, "Authorization: Bearer %s", secret);
        struct curl_slist *more = r->lib.curl_slist_append(headers, key);
        if (more) headers = more;
    }
    (void)snprintf(url, sizeof url, "%s%s", r->base, path);
    sb_status s = headers ? SB_OK : SB_FAIL(c->err, SB_NO_MEMORY, "out of memory");
    if (s == SB_OK && !set_options(c, url, headers, body))
        s = SB_FAIL(c->err, SB_UNSUPPORTED, "libcurl is too old: 7.85 or newer is needed");
    if (s == SB_OK) s = judge(c, r->lib.curl_easy_perform(r->easy));
    r->lib.curl_slist_free_all(headers);
    return s;
}

/* ---- opening ---- */

static sb_status find_model(sb_remote *r, const char *model, sb_error *err)
{
    call c = {.r = r, .err = err};
    sb_buf_init(&c.line, SB_MAX_HUB_LISTING_BYTES, "the list of models");
    sb_status s = ask(&c, "/v1/models", NULL);
    json_t *o = s == SB_OK && c.line.p ? json_loadb(c.line.p, c.line.n, 0, NULL) : NULL;
    const json_t *data = json_object_get(o, "data"), *found = NULL;
    for (size_t i = 0; i < json_array_size(data) && !found; i++) {
        const json_t *m = json_array_get(data, i);
        const char *id = json_string_value(json_object_get(m, "id"));
        if (id && (!model || strcmp(id, model) == 0)) found = m;
    }
    if (s == SB_OK && !json_is_array(data))
        s = SB_FAIL(err, SB_NOT_FOUND, "%.100s is no server of this kind", r->shown);
    else if (s == SB_OK && !found)
        s = SB_FAIL(err, SB_NOT_FOUND, "%.100s has no %s", r->shown,
                    model ? "model of that name: leave --model out for its first one" : "model");
    if (s == SB_OK) {
        (void)snprintf(r->model, sizeof r->model, "%s",
                       json_string_value(json_object_get(found, "id")));
        r->n_ctx = (int32_t)number(json_object_get(found, "meta"), "n_ctx");
    }
    json_decref(o);
    sb_buf_deinit(&c.line);
    return s;
}

sb_status sb_remote_open(sb_remote **out, const char *url, const char *model, sb_error *err)
{
    size_t n = strlen(url);
    if (n >= URL_ROOM || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return SB_FAIL(err, SB_INVALID, "--server: it is SCHEME://HOST[:PORT], http or https");
    sb_remote *r = sb_calloc(1, sizeof *r);
    if (!r) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    while (n > 0 && url[n - 1] == '/')
        n--;
    memcpy(r->base, url, n);
    sb_path_escape(r->shown, sizeof r->shown, r->base);
    sb_status s = sb_curl_lib_load(&r->lib, err);
    if (s == SB_OK && !(r->easy = r->lib.curl_easy_init()))
        s = SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    if (s == SB_OK) s = find_model(r, model, err);
    if (s == SB_OK)
        *out = r;
    else
        sb_remote_close(r);
    return s;
}

void sb_remote_close(sb_remote *r)
{
    if (!r) return;
    if (r->easy) r->lib.curl_easy_cleanup(r->easy);
    sb_free(r);
}

const char *sb_remote_model(const sb_remote *r)
{
    return r->model;
}

int32_t sb_remote_n_ctx(const sb_remote *r)
{
    return r->n_ctx;
}

/* ---- an answer ---- */

static json_t *messages_of(const sb_talk *talk)
{
    json_t *all = json_array();
    bool ok = all != NULL;
    for (size_t i = 0; ok && i < talk->n; i++) {
        const sb_message *m = &talk->messages[i];
        json_t *one = json_object();
        sb_json_put(one, "role", sb_json_text(m->role), &ok);
        sb_json_put(one, "content", sb_json_text(m->content), &ok);
        if (m->reasoning.n) sb_json_put(one, "reasoning_content", sb_json_text(m->reasoning), &ok);
        ok &= json_array_append_new(all, one) == 0;
    }
    if (ok) return all;
    json_decref(all);
    return NULL;
}

/* What was asked for on the command line; the rest is the server's to choose. */
static void put_sampling(json_t *o, const sb_args *a, bool *ok)
{
    static const struct {
        sb_opt opt;
        const char *name;
        bool real;
    } rows[] = {{SB_OPT_temp, "temperature", true},
                {SB_OPT_top_k, "top_k", false},
                {SB_OPT_top_p, "top_p", true},
                {SB_OPT_min_p, "min_p", true},
                {SB_OPT_typical_p, "typical_p", true},
                {SB_OPT_repeat_penalty, "repeat_penalty", true},
                {SB_OPT_repeat_last_n, "repeat_last_n", false},
                {SB_OPT_presence_penalty, "presence_penalty", true},
                {SB_OPT_frequency_penalty, "frequency_penalty", true},
                {SB_OPT_seed, "seed", false},
                {SB_OPT_n, "max_tokens", false},
                {SB_OPT_max_energy, "max_energy_j", true}};
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const sb_opt_value *v = &a->v[rows[i].opt];
        if (v->set)
            sb_json_put(o, rows[i].name, rows[i].real ? json_real(v->f) : json_integer(v->i), ok);
    }
    if (a->n_stops) {
        json_t *stops = json_array();
        for (int i = 0; i < a->n_stops; i++)
            *ok &= json_array_append_new(stops, json_string(a->stops[i])) == 0;
        sb_json_put(o, "stop", stops, ok);
    }
    if (a->v[SB_OPT_think].set || a->v[SB_OPT_no_think].set)
        sb_json_put(o, "chat_template_kwargs",
                    json_pack("{s:b}", "enable_thinking", (int)a->v[SB_OPT_think].set), ok);
}

static char *body_of(const sb_remote *r, const sb_talk *talk, const sb_args *a, sb_buf *out)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "model", json_string(r->model), &ok);
    sb_json_put(o, "messages", messages_of(talk), &ok);
    sb_json_put(o, "stream", json_true(), &ok);
    sb_json_put(o, "stream_options", json_pack("{s:b}", "include_usage", 1), &ok);
    sb_json_put(o, "return_progress", json_true(), &ok);
    put_sampling(o, a, &ok);
    if (ok) ok = sb_json_add(out, o);
    json_decref(o);
    return ok ? out->p : NULL;
}

sb_status sb_remote_turn(sb_remote *r, const sb_talk *talk, const sb_args *a,
                         const sb_remote_hooks *h, sb_turn *out, sb_error *err)
{
    sb_buf body;
    sb_turn t = {.finish = SB_FINISH_STOP};
    call c = {.r = r, .t = &t, .h = h, .err = err};
    r->id[0] = 0;
    sb_buf_init(&body, 2 * (size_t)SB_MAX_PROMPT_BYTES, "request");
    sb_buf_init(&c.line, SB_MAX_PROMPT_BYTES, "line of the answer");
    sb_buf_init(&t.content, SB_MAX_PROMPT_BYTES, "answer");
    sb_buf_init(&t.reasoning, SB_MAX_PROMPT_BYTES, "answer");
    sb_status s = body_of(r, talk, a, &body) ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    if (s == SB_OK) s = ask(&c, "/v1/chat/completions", body.p);
    sb_buf_deinit(&body);
    sb_buf_deinit(&c.line);
    if (s == SB_OK)
        *out = t;
    else
        sb_turn_deinit(&t);
    return s;
}

/* ---- its receipt ---- */

static sb_status ask_receipt(sb_remote *r, const char *path, sb_buf *out, bool *settled,
                             sb_error *err)
{
    call c = {.r = r, .err = err};
    sb_buf_init(&c.line, SB_MAX_RECEIPT_BYTES, "the server's receipt");
    sb_status s = ask(&c, path, NULL);
    json_t *o = s == SB_OK && c.line.p ? json_loadb(c.line.p, c.line.n, 0, NULL) : NULL;
    *settled = json_is_true(json_object_get(o, "settled"));
    json_decref(o);
    if (s == SB_OK && *settled) s = sb_buf_add(out, c.line.p, c.line.n, err);
    sb_buf_deinit(&c.line);
    return s;
}

sb_status sb_remote_receipt(sb_remote *r, sb_buf *out, sb_error *err)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
    char path[2 * ID_ROOM];
    bool settled = false;
    if (!r->id[0]) return SB_FAIL(err, SB_NOT_FOUND, "%.100s has no receipt of it", r->shown);
    (void)snprintf(path, sizeof path, "/v1/receipts/%s", r->id);
    for (int i = 0; i < LOOKS && !sb_stop_asked(NULL); i++) {
        SB_TRY(ask_receipt(r, path, out, &settled, err));
        if (settled) return SB_OK;
        (void)nanosleep(&look, NULL);
    }
    return SB_FAIL(err, SB_BUSY, "%.100s has not settled its receipt yet: try again later",
                   r->shown);
}
