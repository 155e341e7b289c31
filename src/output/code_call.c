/* SPDX-License-Identifier: Apache-2.0
 * code_call.c - calls written as Python: names, keyword and positional arguments, literals. What is
 * more than a literal (a sum, a nested call, a comment) is no call: the text stays content. */
#include "base/utf8.h"
#include "output/calls.h"
#include "output/json_scan.h"

#include <string.h>

/* What is left to read, and the calls it is read into. */
typedef struct reader {
    const char *p, *end;
    sb_calls *c;
    int32_t depth;
} reader;

#define NOT_A_CALL(err) SB_FAIL(err, SB_INVALID, "tool call: not a call of literals")

static char peek(const reader *r)
{
    return r->p < r->end ? *r->p : 0;
}

static void skip_space(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static bool eat(reader *r, char c)
{
    skip_space(r);
    if (peek(r) != c) return false;
    r->p++;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A name, dotted or not; empty when there is none. */
static sb_str word(reader *r, bool dots)
{
    const char *from = r->p;
    if (is_letter(peek(r)))
        while (r->p < r->end &&
               (is_letter(*r->p) || is_digit(*r->p) || (dots && (*r->p == '.' || *r->p == '-'))))
            r->p++;
    return (sb_str){from, (size_t)(r->p - from)};
}

static bool is(sb_str s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* ---- literals, written to the call's arguments as JSON ---- */

static int hex_of(char c)
{
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hex digits at r to a code point; false when they are none. */
static bool code_point(reader *r, int n, uint32_t *out)
{
    uint32_t v = 0;
    if (r->end - r->p < n) return false;
    for (int i = 0; i < n; i++) {
        const int d = hex_of(*r->p++);
        if (d < 0) return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return v <= 0x10ffff && !(v >= 0xd800 && v < 0xe000);
}

/* The escape behind a backslash. */
static sb_status escape(reader *r, sb_buf *out, sb_error *err)
{
    static const char from[] = "nrtbfav0\\'\"", to[] = "\n\r\t\b\f\a\v\0\\'\"";
    const char c = peek(r);
    if (c == 'x' || c == 'u' || c == 'U') {
        uint32_t cp = 0;
        char utf8[4];
        r->p++;
        if (!code_point(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, &cp)) return NOT_A_CALL(err);
        return sb_buf_add(out, utf8, sb_utf8_encode(cp, utf8), err);
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        r->p++;
        return sb_buf_add(out, &to[at - from], 1, err);
    }
    if (c == '\n') { /* a line that goes on */
        r->p++;
        return SB_OK;
    }
    return sb_buf_add(out, "\\", 1, err);
}

static bool at_quotes(const reader *r, char quote, size_t n)
{
    if ((size_t)(r->end - r->p) < n) return false;
    for (size_t i = 0; i < n; i++)
        if (r->p[i] != quote) return false;
    return true;
}

static sb_status read_string(reader *r, sb_buf *out, sb_error *err)
{
    const char quote = *r->p;
    const size_t n = at_quotes(r, quote, 3) ? 3 : 1;
    r->p += n;
    while (!at_quotes(r, quote, n)) {
        const char *from = r->p;
        while (r->p < r->end && *r->p != quote && *r->p != '\\' && (n == 3 || *r->p != '\n'))
            r->p++;
        if (r->p == r->end || (*r->p == '\n' && n == 1)) return NOT_A_CALL(err);
        SB_TRY(sb_buf_add(out, from, (size_t)(r->p - from), err));
        if (*r->p == '\\') {
            r->p++;
            SB_TRY(escape(r, out, err));
        } else if (!at_quotes(r, quote, n)) { /* one or two quotes inside of three */
            SB_TRY(sb_buf_add(out, r->p++, 1, err));
        }
    }
    r->p += n;
    return SB_OK;
}

static sb_status string(reader *r, sb_error *err)
{
    sb_buf text;
    sb_buf_init(&text, SB_MAX_CALL_BYTES, "text of a tool call");
    sb_status s = read_string(r, &text, err);
    if (s == SB_OK) s = sb_calls_text(r->c, (sb_str){text.p, text.n}, err);
    sb_buf_deinit(&text);
    return s;
}

/* Python's 1., .5 and +2 are JSON's 1.0, 0.5 and 2. */
static sb_status number(reader *r, sb_error *err)
{
    char json[64];
    size_t n = 0;
    const char *p = r->p;
    if (*p == '-') json[n++] = '-';
    if (*p == '-' || *p == '+') p++;
    if (p < r->end && *p == '.') json[n++] = '0';
    for (; p < r->end && (is_digit(*p) || strchr(".eE+-", *p)) && *p; p++) {
        if (n + 3 > sizeof json) return NOT_A_CALL(err);
        json[n++] = *p;
        const bool open = *p == '.' && !(p + 1 < r->end && is_digit(p[1]));
        if (open) json[n++] = '0';
    }
    r->p = p;
    return sb_calls_json(r->c, (sb_str){json, n}, err);
}

static sb_status constant(reader *r, sb_error *err)
{
    static const char *const names[][2] = {{"True", "true"},   {"true", "true"}, {"False", "false"},
                                           {"false", "false"}, {"None", "null"}, {"null", "null"}};
    const sb_str w = word(r, false);
    for (size_t i = 0; i < SB_ARRAY_LEN(names); i++)
        if (is(w, names[i][0]))
            return sb_buf_add(&r->c->args, names[i][1], strlen(names[i][1]), err);
    return NOT_A_CALL(err);
}

static sb_status value(reader *r, sb_error *err);

static sb_status list(reader *r, char close, sb_error *err)
{
    r->p++;
    SB_TRY(sb_buf_add(&r->c->args, "[", 1, err));
    for (bool first = true; !eat(r, close); first = false) {
        if (!first) SB_TRY(sb_buf_add(&r->c->args, ",", 1, err));
        SB_TRY(value(r, err));
        if (!eat(r, ',') && (skip_space(r), peek(r) != close)) return NOT_A_CALL(err);
    }
    return sb_buf_add(&r->c->args, "]", 1, err);
}

static sb_status dict(reader *r, sb_error *err)
{
    r->p++;
    SB_TRY(sb_buf_add(&r->c->args, "{", 1, err));
    for (bool first = true; !eat(r, '}'); first = false) {
        if (!first) SB_TRY(sb_buf_add(&r->c->args, ",", 1, err));
        if (peek(r) != '"' && peek(r) != '\'') return NOT_A_CALL(err);
        SB_TRY(string(r, err));
        if (!eat(r, ':')) return NOT_A_CALL(err);
        SB_TRY(sb_buf_add(&r->c->args, ":", 1, err));
        SB_TRY(value(r, err));
        if (!eat(r, ',') && (skip_space(r), peek(r) != '}')) return NOT_A_CALL(err);
    }
    return sb_buf_add(&r->c->args, "}", 1, err);
}

static sb_status value(reader *r, sb_error *err)
{
    skip_space(r);
    const char c = peek(r);
    if (c == '"' || c == '\'') return string(r, err);
    if (is_digit(c) || c == '-' || c == '+' || c == '.') return number(r, err);
    if (c != '[' && c != '(' && c != '{') return constant(r, err);
    if (r->depth == SB_MAX_JSON_DEPTH - 1) return NOT_A_CALL(err);
    r->depth++;
    const sb_status s = c == '{' ? dict(r, err) : list(r, c == '[' ? ']' : ')', err);
    r->depth--;
    return s;
}

/* ---- calls ---- */

/* key=value, or a value whose key the tool's declaration knows. */
static sb_status argument(reader *r, int32_t i, sb_error *err)
{
    skip_space(r);
    const char *back = r->p;
    sb_str key = word(r, false);
    if (key.n && eat(r, '=')) {
        SB_TRY(sb_calls_key(r->c, key, err));
        return value(r, err);
    }
    r->p = back;
    key = sb_calls_param(r->c, (sb_str){r->c->name.p, r->c->name.n}, i);
    if (key.n < 3) return NOT_A_CALL(err);
    SB_TRY(sb_calls_key(r->c, (sb_str){key.p + 1, key.n - 2}, err));
    return value(r, err);
}

static sb_status call(reader *r, bool known, sb_error *err)
{
    skip_space(r);
    sb_str name = word(r, true);
    if (name.n > 5 && memcmp(name.p + name.n - 5, ".call", 5) == 0) name.n -= 5;
    SB_TRY(sb_calls_name(r->c, name, err));
    if (!eat(r, '(')) return NOT_A_CALL(err);
    for (int32_t i = 0; !eat(r, ')'); i++) {
        SB_TRY(argument(r, i, err));
        if (!eat(r, ',') && (skip_space(r), peek(r) != ')')) return NOT_A_CALL(err);
    }
    return sb_calls_end(r->c, known, err);
}

static sb_status bracketed(reader *r, bool known, sb_error *err)
{
    r->p++;
    do {
        SB_TRY(call(r, known, err));
    } while (eat(r, ','));
    if (!eat(r, ']')) return NOT_A_CALL(err);
    skip_space(r);
    return r->p == r->end ? SB_OK : NOT_A_CALL(err);
}

static bool is_json_call(sb_str s)
{
    if (s.n && s.p[0] == '[') {
        s.p++, s.n--;
        s = sb_json_trim(s);
    }
    return s.n && s.p[0] == '{';
}

sb_status sb_calls_code(sb_calls *c, sb_str code, bool known, sb_error *err)
{
    code = sb_json_trim(code);
    if (is_json_call(code)) {
        if (!sb_json_is_value(code)) return NOT_A_CALL(err);
        return sb_calls_object(c, code, known, err);
    }
    reader r = {.p = code.p, .end = code.p + code.n, .c = c};
    if (code.n && *r.p == '[') return bracketed(&r, known, err);
    do {
        SB_TRY(call(&r, known, err));
        while (eat(&r, ';'))
            ;
        skip_space(&r);
    } while (r.p < r.end);
    return SB_OK;
}
