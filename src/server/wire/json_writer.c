/* SPDX-License-Identifier: Apache-2.0
 * json_writer.c - values to text.
 *
 * A tree built and dumped by the JSON library was refused for answers: a chunk of a stream would
 * cost some thirty allocations for each token of each client. */
#include "server/wire/json_writer.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "energy/receipt_kind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void add(sb_jw *w, const char *p, size_t n)
{
    if (w->status == SB_OK) w->status = sb_buf_add(w->out, p, n, w->err);
}

void sb_jw_begin(sb_jw *w, sb_buf *out, sb_error *err)
{
    *w = (sb_jw){.out = out, .err = err, .first = out->n};
}

sb_status sb_jw_end(sb_jw *w)
{
    if (w->status == SB_OK || !w->out->p) return w->status;
    w->out->n = w->first;
    w->out->p[w->first] = 0;
    return w->status;
}

/* ---- structure ---- */

static void comma(sb_jw *w)
{
    if (w->comma) add(w, ",", 1);
    w->comma = true;
}

void sb_jw_open(sb_jw *w, char c)
{
    comma(w);
    add(w, &c, 1);
    w->comma = false;
}

void sb_jw_close(sb_jw *w, char c)
{
    add(w, &c, 1);
    w->comma = true;
}

void sb_jw_key(sb_jw *w, const char *name)
{
    comma(w);
    add(w, "\"", 1);
    add(w, name, strlen(name));
    add(w, "\":", 2);
    w->comma = false;
}

void sb_jw_key_text(sb_jw *w, sb_str name)
{
    sb_jw_text(w, name);
    add(w, ":", 1);
    w->comma = false;
}

void sb_jw_bytes(sb_jw *w, const char *text)
{
    add(w, text, strlen(text));
    w->comma = false;
}

void sb_jw_sse_open(sb_jw *w, const char *event)
{
    if (event) {
        add(w, "event: ", 7);
        add(w, event, strlen(event));
        add(w, "\n", 1);
    }
    sb_jw_bytes(w, "data: ");
}

void sb_jw_sse_close(sb_jw *w)
{
    sb_jw_bytes(w, "\n\n");
}

/* ---- texts ---- */

static void escape(sb_jw *w, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = c ? strchr(from, c) : NULL;
    char s[8];
    if (at) {
        s[0] = '\\';
        s[1] = to[at - from];
        add(w, s, 2);
        return;
    }
    (void)snprintf(s, sizeof s, "\\u%04x", c);
    add(w, s, 6);
}

/* DEL, and the two line ends that scripts do not know, go as they are: JSON allows them. */
void sb_jw_text(sb_jw *w, sb_str s)
{
    comma(w);
    add(w, "\"", 1);
    size_t from = 0, at = 0;
    while (at < s.n) {
        const unsigned char c = (unsigned char)s.p[at];
        uint32_t cp;
        size_t n = 1;
        const bool special = c < 0x20 || c == '"' || c == '\\';
        if (c >= 0x80) n = sb_utf8_decode(s.p + at, s.n - at, &cp);
        if (!special && n) {
            at += n;
            continue;
        }
        add(w, s.p + from, at - from);
        if (special)
            escape(w, c);
        else
            add(w, "\xef\xbf\xbd", 3);
        from = ++at;
    }
    if (at > from) add(w, s.p + from, at - from);
    add(w, "\"", 1);
}

/* ---- numbers and words ---- */

static void number(sb_jw *w, const char *text)
{
    comma(w);
    add(w, text, strlen(text));
}

void sb_jw_int(sb_jw *w, int64_t v)
{
    char s[24];
    (void)snprintf(s, sizeof s, "%lld", (long long)v);
    number(w, s);
}

void sb_jw_uint(sb_jw *w, uint64_t v)
{
    char s[24];
    (void)snprintf(s, sizeof s, "%llu", (unsigned long long)v);
    number(w, s);
}

/* The shortest of three precisions that reads back as the same number, its decimal comma, where the
 * locale has one, made a point. */
void sb_jw_real(sb_jw *w, double v)
{
    char s[40];
    if (!isfinite(v)) {
        sb_jw_null(w);
        return;
    }
    static const int digits[] = {6, 15, 17};
    for (size_t i = 0; i < SB_ARRAY_LEN(digits); i++) {
        (void)snprintf(s, sizeof s, "%.*g", digits[i], v);
        if (strtod(s, NULL) == v) break;
    }
    if (!s[strspn(s, "-0123456789")]) {
        const size_t n = strlen(s);
        memcpy(s + n, ".0", 3);
    }
    for (char *p = s; *p; p++)
        if (!strchr("-+0123456789e", *p)) *p = '.';
    number(w, s);
}

void sb_jw_bool(sb_jw *w, bool v)
{
    number(w, v ? "true" : "false");
}

void sb_jw_null(sb_jw *w)
{
    number(w, "null");
}

void sb_jw_raw(sb_jw *w, sb_str json)
{
    comma(w);
    add(w, json.p, json.n);
}

/* ---- trees ---- */

static void scalar(sb_jw *w, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        sb_jw_text(w, (sb_str){json_string_value(v), json_string_length(v)});
        return;
    case JSON_INTEGER:
        sb_jw_int(w, json_integer_value(v));
        return;
    case JSON_REAL:
        sb_jw_real(w, json_real_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        sb_jw_bool(w, json_is_true(v));
        return;
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    sb_jw_null(w);
}

static void tree(sb_jw *w, const json_t *v, int depth)
{
    if (depth > SB_MAX_JSON_DEPTH && w->status == SB_OK)
        w->status = SB_FAIL(w->err, SB_LIMIT, "JSON nested deeper than %d", SB_MAX_JSON_DEPTH);
    if (w->status != SB_OK) return;
    if (json_is_array(v)) {
        sb_jw_open(w, '[');
        for (size_t i = 0; i < json_array_size(v); i++)
            tree(w, json_array_get(v, i), depth + 1);
        sb_jw_close(w, ']');
    } else if (json_is_object(v)) {
        sb_jw_open(w, '{');
        json_t *o = (json_t *)v;
        for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
            sb_jw_key_text(w, (sb_str){json_object_iter_key(i), strlen(json_object_iter_key(i))});
            tree(w, json_object_iter_value(i), depth + 1);
        }
        sb_jw_close(w, '}');
    } else {
        scalar(w, v);
    }
}

void sb_jw_json(sb_jw *w, const json_t *v)
{
    if (v)
        tree(w, v, 0);
    else
        sb_jw_null(w);
}

void sb_jw_energy(sb_jw *w, const sb_energy *e)
{
    const bool known = e->source != SB_ENERGY_UNAVAILABLE;
    const sb_wall wall = sb_energy_wall(e);
    sb_jw_open(w, '{');
#define AS_text(v) sb_jw_text(w, (sb_str){(v), (v) ? strlen(v) : 0})
#define AS_real(v) sb_jw_real(w, v)
#define AS_whole(v) sb_jw_int(w, v)
#define AS_flag(v) sb_jw_bool(w, v)
#define AS_walled(v) AS_whole(v)
#define AS_basis(v) sb_jw_text(w, (sb_str){(v), strlen(v)})
#define IS_walled wall.known
#define IS_basis wall.known
#define IS_text true
#define IS_real known
#define IS_whole known
#define IS_flag known
#define X(name, kind, value)                                                                       \
    if (IS_##kind) {                                                                               \
        sb_jw_key(w, #name);                                                                       \
        AS_##kind(value);                                                                          \
    }
#include "energy/fields.def"
#undef X
    sb_jw_close(w, '}');
}

/* ---- members ---- */

void sb_jw_put_text(sb_jw *w, const char *key, sb_str s)
{
    sb_jw_key(w, key);
    sb_jw_text(w, s);
}

void sb_jw_put_word(sb_jw *w, const char *key, const char *word)
{
    sb_jw_key(w, key);
    if (word)
        sb_jw_text(w, (sb_str){word, strlen(word)});
    else
        sb_jw_null(w);
}

void sb_jw_put_int(sb_jw *w, const char *key, int64_t v)
{
    sb_jw_key(w, key);
    sb_jw_int(w, v);
}

void sb_jw_put_uint(sb_jw *w, const char *key, uint64_t v)
{
    sb_jw_key(w, key);
    sb_jw_uint(w, v);
}

void sb_jw_put_real(sb_jw *w, const char *key, double v)
{
    sb_jw_key(w, key);
    sb_jw_real(w, v);
}

void sb_jw_put_bool(sb_jw *w, const char *key, bool v)
{
    sb_jw_key(w, key);
    sb_jw_bool(w, v);
}

void sb_jw_put_null(sb_jw *w, const char *key)
{
    sb_jw_key(w, key);
    sb_jw_null(w);
}

void sb_jw_put_open(sb_jw *w, const char *key, char c)
{
    sb_jw_key(w, key);
    sb_jw_open(w, c);
}
