/* SPDX-License-Identifier: Apache-2.0
 * json_read.c - a body as JSON: a strict reader that builds the library's values.
 *
 * The library's own reader was refused. It recurses as deep as its input nests, its words repeat
 * the client's bytes, it does not tell which half of a surrogate pair is wrong, and where memory
 * is short it loses bytes of a string without a word. */
#include "server/wire/wire.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 512 }; /* of a number with a fraction or an exponent */

typedef struct reader {
    const char *p;
    size_t n, at;
    size_t n_values;
    int depth;
    sb_str key; /* the last one read, as it stands in the body */
    sb_wire_error *w;
} reader;

static sb_status raise(reader *r, const char *code, sb_status status, size_t at, const char *why)
{
    r->w->code = code;
    return SB_FAIL(&r->w->err, status, "body: byte %zu: %s", at, why);
}

static sb_status no_memory(reader *r)
{
    return SB_FAIL(&r->w->err, SB_NO_MEMORY, "body: no memory to read it");
}

/* What is at r->at does not belong there. */
static sb_status bad(reader *r)
{
    return raise(r, "invalid_json", SB_INVALID, r->at,
                 r->at < r->n ? "not JSON" : "the JSON ends too early");
}

static int peek(const reader *r)
{
    return r->at < r->n ? (unsigned char)r->p[r->at] : -1;
}

static void skip_space(reader *r)
{
    while (r->at < r->n && (r->p[r->at] == ' ' || r->p[r->at] == '\n' || r->p[r->at] == '\r' ||
                            r->p[r->at] == '\t'))
        r->at++;
}

/* ---- texts ---- */

/* Four hexadecimal digits, or -1. */
static int hex4(const reader *r, size_t at)
{
    int v = 0;
    if (r->n < 4 || at > r->n - 4) return -1;
    for (size_t i = at; i < at + 4; i++) {
        const char c = r->p[i];
        if (c >= '0' && c <= '9')
            v = 16 * v + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = 16 * v + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* At a backslash and a u. Halves of a pair must come together, the higher first. */
static sb_status read_unicode(reader *r, uint32_t *out)
{
    const int v = hex4(r, r->at + 2);
    if (v < 0)
        return raise(r, "invalid_json", SB_INVALID, r->at, "\\u needs four hexadecimal digits");
    *out = (uint32_t)v;
    if (v < 0xd800 || v > 0xdfff) {
        r->at += 6;
        return SB_OK;
    }
    const bool next =
        v < 0xdc00 && r->n - r->at >= 12 && r->p[r->at + 6] == '\\' && r->p[r->at + 7] == 'u';
    const int low = next ? hex4(r, r->at + 8) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return raise(r, "invalid_unicode", SB_INVALID, r->at, "half of a surrogate pair");
    *out = 0x10000 + (((uint32_t)v - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    r->at += 12;
    return SB_OK;
}

/* At a backslash; writes what it stands for to out. */
static sb_status read_escape(reader *r, char out[4], size_t *out_n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const int c = r->at + 1 < r->n ? (unsigned char)r->p[r->at + 1] : -1;
    uint32_t cp;
    if (c == 'u') {
        SB_TRY(read_unicode(r, &cp));
        *out_n = sb_utf8_encode(cp, out);
        return SB_OK;
    }
    const char *known = c > 0 ? strchr(from, c) : NULL;
    if (!known) {
        r->at++;
        return bad(r);
    }
    out[0] = to[known - from];
    *out_n = 1;
    r->at += 2;
    return SB_OK;
}

/* The string from r->at on, its end found: decoded to out, which has room for all of it. */
static sb_status decode(reader *r, char *out, size_t *out_n)
{
    size_t n = 0, len = 0;
    while (r->p[r->at] != '"') {
        const char c = r->p[r->at];
        if ((unsigned char)c < 0x20) return bad(r);
        if (c == '\\') {
            SB_TRY(read_escape(r, out + n, &len));
            n += len;
        } else {
            out[n++] = c;
            r->at++;
        }
    }
    r->at++;
    *out_n = n;
    return SB_OK;
}

/* A string at a quote. *out is a piece of the body, or of *own, which is then to be freed. */
static sb_status read_string(reader *r, sb_str *out, char **own)
{
    const size_t begin = ++r->at;
    bool plain = true;
    size_t end = begin;
    while (end < r->n && r->p[end] != '"') {
        const char c = r->p[end];
        plain = plain && c != '\\' && (unsigned char)c >= 0x20;
        end += c == '\\' ? 2 : 1;
    }
    *own = NULL;
    if (plain && end < r->n) {
        *out = (sb_str){r->p + begin, end - begin};
        r->at = end + 1;
        return SB_OK;
    }
    if (end >= r->n) {
        r->at = r->n;
        return bad(r);
    }
    char *text = sb_alloc(end - begin + 4, 1);
    if (!text) return no_memory(r);
    *out = (sb_str){text, 0};
    const sb_status s = decode(r, text, &out->n);
    if (s == SB_OK)
        *own = text;
    else
        sb_free(text);
    return s;
}

/* ---- numbers ---- */

static void skip_digits(reader *r)
{
    while (r->at < r->n && r->p[r->at] >= '0' && r->p[r->at] <= '9')
        r->at++;
}

/* Goes over a number by its grammar. */
static sb_status scan_number(reader *r, bool *out_whole)
{
    *out_whole = true;
    if (peek(r) == '-') r->at++;
    const size_t first = r->at;
    skip_digits(r);
    if (r->at == first) return bad(r);
    if (r->p[first] == '0' && r->at > first + 1) {
        r->at = first + 1;
        return bad(r);
    }
    for (int part = 0; part < 2; part++) {
        if (part == 0 ? peek(r) != '.' : peek(r) != 'e' && peek(r) != 'E') continue;
        *out_whole = false;
        r->at++;
        if (part == 1 && (peek(r) == '+' || peek(r) == '-')) r->at++;
        const size_t digits = r->at;
        skip_digits(r);
        if (r->at == digits) return bad(r);
    }
    return SB_OK;
}

/* The field whose value is out of range, when its name is a plain one. */
static sb_status out_of_range(reader *r, size_t at)
{
    const sb_str k = r->key;
    bool plain = k.n > 0 && k.n < sizeof r->w->param;
    for (size_t i = 0; plain && i < k.n; i++)
        plain = k.p[i] == '_' || ((k.p[i] | 0x20) >= 'a' && (k.p[i] | 0x20) <= 'z');
    if (plain) {
        memcpy(r->w->param, k.p, k.n);
        r->w->param[k.n] = 0;
    }
    return raise(r, "invalid_value", SB_INVALID, at, "a number is out of range");
}

/* text with the decimal point of whatever locale the process is in. */
static double real_of(sb_str text)
{
    char point[16], s[NUMBER_BYTES + sizeof point];
    const int n_point = snprintf(point, sizeof point, "%.1f", 1.5) - 2;
    const char *dot = memchr(text.p, '.', text.n);
    const size_t n = dot ? (size_t)(dot - text.p) : text.n;
    memcpy(s, text.p, n);
    size_t at = n;
    if (dot && n_point > 0 && n_point < (int)sizeof point - 2) {
        memcpy(s + at, point + 1, (size_t)n_point);
        at += (size_t)n_point;
        memcpy(s + at, dot + 1, text.n - n - 1);
        at += text.n - n - 1;
    }
    s[at] = 0;
    return strtod(s, NULL);
}

static sb_status read_number(reader *r, json_t **out)
{
    const size_t begin = r->at;
    const bool negative = peek(r) == '-';
    bool whole = true;
    int64_t v = 0;
    SB_TRY(scan_number(r, &whole));
    const sb_str text = {r->p + begin, r->at - begin};
    if (whole) {
        for (size_t i = negative; i < text.n; i++) {
            const int64_t digit = text.p[i] - '0';
            if (ckd_mul(&v, v, (int64_t)10) || ckd_add(&v, v, negative ? -digit : digit))
                return out_of_range(r, begin);
        }
        *out = json_integer(v);
    } else {
        const double d = text.n <= NUMBER_BYTES ? real_of(text) : (double)INFINITY;
        if (!isfinite(d)) return out_of_range(r, begin);
        *out = json_real(d);
    }
    return *out ? SB_OK : no_memory(r);
}

/* ---- values ---- */

static sb_status read_value(reader *r, json_t **out);

static sb_status read_word(reader *r, json_t **out)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < SB_ARRAY_LEN(words); i++) {
        const size_t n = strlen(words[i]);
        if (r->n - r->at < n || memcmp(r->p + r->at, words[i], n) != 0) continue;
        r->at += n;
        *out = i == 0 ? json_true() : i == 1 ? json_false() : json_null();
        return SB_OK;
    }
    return bad(r);
}

static sb_status read_text(reader *r, json_t **out)
{
    sb_str s;
    char *own;
    SB_TRY(read_string(r, &s, &own));
    *out = json_stringn_nocheck(s.p, s.n);
    sb_free(own);
    return *out ? SB_OK : no_memory(r);
}

static sb_status put_member(reader *r, json_t *object, sb_str key, size_t at)
{
    json_t *v = NULL;
    if (memchr(key.p, 0, key.n))
        return raise(r, "invalid_json", SB_INVALID, at, "a field's name holds a NUL");
    if (json_object_getn(object, key.p, key.n))
        return raise(r, "duplicate_field", SB_INVALID, at, "a field is given twice");
    skip_space(r);
    if (peek(r) != ':') return bad(r);
    r->at++;
    SB_TRY(read_value(r, &v));
    return json_object_setn_new_nocheck(object, key.p, key.n, v) == 0 ? SB_OK : no_memory(r);
}

static sb_status read_member(reader *r, json_t *object)
{
    sb_str key;
    char *own;
    skip_space(r);
    const size_t at = r->at;
    if (peek(r) != '"') return bad(r);
    SB_TRY(read_string(r, &key, &own));
    r->key = (sb_str){r->p + at + 1, r->at - at - 2};
    const sb_status s = put_member(r, object, key, at);
    sb_free(own);
    return s;
}

static sb_status read_item(reader *r, json_t *list)
{
    json_t *v = NULL;
    SB_TRY(read_value(r, &v));
    return json_array_append_new(list, v) == 0 ? SB_OK : no_memory(r);
}

/* All up to the closing bracket, the opening one taken. */
static sb_status fill(reader *r, json_t *into, int close)
{
    const bool object = close == '}';
    skip_space(r);
    if (peek(r) == close) {
        r->at++;
        return SB_OK;
    }
    for (;;) {
        SB_TRY(object ? read_member(r, into) : read_item(r, into));
        skip_space(r);
        const int c = peek(r);
        if (c != ',' && c != close) return bad(r);
        r->at++;
        if (c == close) return SB_OK;
        r->key = (sb_str){NULL, 0};
    }
}

/* Recurses as deep as SB_MAX_JSON_DEPTH. */
static sb_status read_nest(reader *r, json_t **out)
{
    const bool object = peek(r) == '{';
    if (r->depth == SB_MAX_JSON_DEPTH)
        return raise(r, "json_depth", SB_LIMIT, r->at, "nested deeper than 64");
    json_t *v = object ? json_object() : json_array();
    if (!v) return no_memory(r);
    r->depth++;
    r->at++;
    r->key = (sb_str){NULL, 0};
    const sb_status s = fill(r, v, object ? '}' : ']');
    r->depth--;
    if (s == SB_OK)
        *out = v;
    else
        json_decref(v);
    return s;
}
_Static_assert(SB_MAX_JSON_DEPTH == 64, "the message says so");

static sb_status read_value(reader *r, json_t **out)
{
    skip_space(r);
    if (++r->n_values > SB_MAX_JSON_VALUES)
        return raise(r, "json_size", SB_LIMIT, r->at, "more values than a request may have");
    const int c = peek(r);
    if (c == '{' || c == '[') return read_nest(r, out);
    if (c == '"') return read_text(r, out);
    if (c == '-' || (c >= '0' && c <= '9')) return read_number(r, out);
    return read_word(r, out);
}

sb_status sb_wire_json(json_t **out, sb_str body, sb_wire_error *w)
{
    reader r = {.p = body.n ? body.p : "", .n = body.n, .w = w};
    json_t *v = NULL;
    const size_t valid = sb_utf8_valid(r.p, r.n);
    if (valid < r.n) return raise(&r, "invalid_unicode", SB_INVALID, valid, "not UTF-8");
    if (r.n >= 3 && memcmp(r.p, "\xef\xbb\xbf", 3) == 0)
        return raise(&r, "invalid_json", SB_INVALID, 0, "a byte order mark is not JSON");
    SB_TRY(read_value(&r, &v));
    skip_space(&r);
    if (r.at == r.n) {
        *out = v;
        return SB_OK;
    }
    json_decref(v);
    return raise(&r, "invalid_json", SB_INVALID, r.at, "something follows the JSON");
}
