/* SPDX-License-Identifier: Apache-2.0
 * json_text.c - walking, shortening and quoting of JSON text that is known to be valid. */
#include "output/json_scan.h"

#include "base/utf8.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

sb_str sb_json_trim(sb_str s)
{
    while (s.n && is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Bytes of the string at p, both quotes included. */
static size_t string_bytes(const char *p, size_t n)
{
    size_t i = 1;
    while (i < n && p[i] != '"')
        i += p[i] == '\\' ? 2 : 1;
    return i < n ? i + 1 : n;
}

/* Bytes of the value at p, up to the ',' or bracket that ends it. */
static size_t value_bytes(const char *p, size_t n)
{
    int32_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"') {
            i += string_bytes(p + i, n - i) - 1;
        } else if (p[i] == '{' || p[i] == '[') {
            depth++;
        } else if (p[i] == '}' || p[i] == ']') {
            if (depth-- == 0) return i;
        } else if (p[i] == ',' && depth == 0) {
            return i;
        }
    }
    return n;
}

static void skip(sb_str *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

bool sb_json_next(sb_json_iter *it)
{
    sb_str r = it->rest;
    while (r.n && (is_space(r.p[0]) || r.p[0] == ',' || (!it->value.p && strchr("[{", r.p[0])))) {
        const bool opens = r.p[0] == '[' || r.p[0] == '{';
        const bool is_object = r.p[0] == '{';
        skip(&r, 1);
        if (!opens) continue;
        it->value.p = r.p;                  /* the bracket was passed */
        it->key.p = is_object ? r.p : NULL; /* members have keys */
    }
    if (r.n == 0 || r.p[0] == ']' || r.p[0] == '}') return false;
    if (it->key.p) {
        it->key = (sb_str){r.p, string_bytes(r.p, r.n)};
        skip(&r, it->key.n);
        while (r.n && (is_space(r.p[0]) || r.p[0] == ':'))
            skip(&r, 1);
    }
    const size_t n = value_bytes(r.p, r.n);
    it->value = sb_json_trim((sb_str){r.p, n});
    skip(&r, n);
    it->rest = r;
    return true;
}

sb_str sb_json_get(sb_str object, sb_str key)
{
    sb_str found = {0};
    object = sb_json_trim(object);
    if (object.n == 0 || object.p[0] != '{') return found;
    sb_json_iter it = {.rest = object};
    while (sb_json_next(&it))
        if (it.key.n == key.n + 2 && memcmp(it.key.p + 1, key.p, key.n) == 0) found = it.value;
    return found;
}

sb_status sb_json_compact(sb_buf *out, sb_str s, sb_error *err)
{
    size_t from = 0;
    if (s.n == 0) return SB_OK;
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] == '"') {
            i += string_bytes(s.p + i, s.n - i);
        } else if (is_space(s.p[i])) {
            SB_TRY(sb_buf_add(out, s.p + from, i - from, err));
            from = ++i;
        } else {
            i++;
        }
    }
    return sb_buf_add(out, s.p + from, s.n - from, err);
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
    return v;
}

/* The escape at p (behind the backslash); returns its bytes. */
static size_t unescape(const char *p, char utf8[4], size_t *n_utf8)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p[0] != 'u') {
        utf8[0] = to[strchr(from, p[0]) - from];
        *n_utf8 = 1;
        return 1;
    }
    uint32_t cp = hex4(p + 1);
    size_t n = 5;
    if (cp >= 0xd800 && cp < 0xdc00) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + (hex4(p + 7) - 0xdc00);
        n = 11;
    }
    *n_utf8 = sb_utf8_encode(cp, utf8);
    return n;
}

sb_status sb_json_unquote(sb_buf *out, sb_str s, sb_error *err)
{
    for (size_t i = 1; i + 1 < s.n;) {
        size_t run = i;
        while (run + 1 < s.n && s.p[run] != '\\')
            run++;
        SB_TRY(sb_buf_add(out, s.p + i, run - i, err));
        i = run;
        if (i + 1 >= s.n) break;
        char utf8[4];
        size_t n = 0;
        i += 1 + unescape(s.p + i + 1, utf8, &n);
        SB_TRY(sb_buf_add(out, utf8, n, err));
    }
    return SB_OK;
}

sb_status sb_json_quote(sb_buf *out, sb_str text, sb_error *err)
{
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    if (text.n == 0) return sb_buf_add(out, "\"\"", 2, err);
    SB_TRY(sb_buf_add(out, "\"", 1, err));
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        SB_TRY(sb_buf_add(out, text.p + from, i - from, err));
        from = i + 1;
        const char *at = c ? strchr(special, c) : NULL;
        if (at)
            SB_TRY(sb_buf_add(out, (char[]){'\\', letter[at - special]}, 2, err));
        else
            SB_TRY(sb_buf_addf(out, err, "\\u%04x", c));
    }
    SB_TRY(sb_buf_add(out, text.p + from, text.n - from, err));
    return sb_buf_add(out, "\"", 1, err);
}
