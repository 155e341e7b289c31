/* SPDX-License-Identifier: Apache-2.0
 * brace_call.c - calls as call:NAME{key:value,...}: keys bare, texts between <escape> marks, the
 * rest as in JSON. */
#include "output/calls.h"
#include "output/json_scan.h"

#include <string.h>

static const char mark[] = "<escape>";
enum { MARK_BYTES = sizeof mark - 1 };

typedef struct reader {
    sb_str s; /* what is left to read */
    sb_calls *c;
    int32_t depth;
} reader;

#define NOT_A_CALL(err) SB_FAIL(err, SB_INVALID, "tool call: not a call in braces")

static void skip(reader *r, size_t n)
{
    r->s.p += n;
    r->s.n -= n;
}

static void skip_space(reader *r)
{
    while (r->s.n && strchr(" \n\r\t", r->s.p[0]) && r->s.p[0])
        skip(r, 1);
}

static bool eat(reader *r, char c)
{
    skip_space(r);
    if (r->s.n == 0 || r->s.p[0] != c) return false;
    skip(r, 1);
    return true;
}

static bool at_mark(const reader *r)
{
    return r->s.n >= MARK_BYTES && memcmp(r->s.p, mark, MARK_BYTES) == 0;
}

/* The text between two marks. */
static sb_status marked(reader *r, sb_str *out, sb_error *err)
{
    skip(r, MARK_BYTES);
    const char *end = r->s.n ? memmem(r->s.p, r->s.n, mark, MARK_BYTES) : NULL;
    if (!end) return NOT_A_CALL(err);
    *out = (sb_str){r->s.p, (size_t)(end - r->s.p)};
    skip(r, out->n + MARK_BYTES);
    return SB_OK;
}

/* A key: between marks, or bare up to the colon. */
static sb_status key(reader *r, sb_str *out, sb_error *err)
{
    skip_space(r);
    if (at_mark(r)) {
        SB_TRY(marked(r, out, err));
    } else {
        const char *colon = r->s.n ? memchr(r->s.p, ':', r->s.n) : NULL;
        if (!colon) return NOT_A_CALL(err);
        *out = sb_json_trim((sb_str){r->s.p, (size_t)(colon - r->s.p)});
        skip(r, (size_t)(colon - r->s.p));
    }
    if (out->n && (memchr(out->p, '{', out->n) || memchr(out->p, ',', out->n)))
        return NOT_A_CALL(err);
    return eat(r, ':') ? SB_OK : NOT_A_CALL(err);
}

static sb_status value(reader *r, sb_error *err);

/* Elements up to `close`, each with a key in an object. */
static sb_status nested(reader *r, char close, sb_error *err)
{
    sb_buf *out = &r->c->args;
    SB_TRY(sb_buf_add(out, close == ']' ? "[" : "{", 1, err));
    for (bool first = true; !eat(r, close); first = false) {
        if (!first && !eat(r, ',')) return NOT_A_CALL(err);
        if (!first) SB_TRY(sb_buf_add(out, ",", 1, err));
        if (close == '}') {
            sb_str k;
            SB_TRY(key(r, &k, err));
            SB_TRY(sb_json_quote(out, k, err));
            SB_TRY(sb_buf_add(out, ":", 1, err));
        }
        SB_TRY(value(r, err));
    }
    return sb_buf_add(out, &close, 1, err);
}

/* Anything else: JSON up to what ends a value. */
static sb_status scalar(reader *r, sb_error *err)
{
    size_t n = 0;
    while (n < r->s.n && !strchr(",]}", r->s.p[n]))
        n++;
    const sb_str text = {r->s.p, n};
    skip(r, n);
    return sb_calls_json(r->c, text, err);
}

static sb_status value(reader *r, sb_error *err)
{
    skip_space(r);
    if (at_mark(r)) {
        sb_str text;
        SB_TRY(marked(r, &text, err));
        return sb_calls_text(r->c, text, err);
    }
    const char c = r->s.n ? r->s.p[0] : 0;
    if (c != '{' && c != '[') return scalar(r, err);
    if (r->depth == SB_MAX_JSON_DEPTH - 1) return NOT_A_CALL(err);
    r->depth++;
    skip(r, 1);
    const sb_status s = nested(r, c == '{' ? '}' : ']', err);
    r->depth--;
    return s;
}

sb_status sb_calls_braces(sb_calls *c, sb_str text, sb_error *err)
{
    reader r = {.s = sb_json_trim(text), .c = c};
    if (r.s.n >= 5 && memcmp(r.s.p, "call:", 5) == 0) skip(&r, 5);
    const char *open = r.s.n ? memchr(r.s.p, '{', r.s.n) : NULL;
    if (!open) return NOT_A_CALL(err);
    SB_TRY(sb_calls_name(c, (sb_str){r.s.p, (size_t)(open - r.s.p)}, err));
    skip(&r, (size_t)(open - r.s.p) + 1);
    for (bool first = true; !eat(&r, '}'); first = false) {
        sb_str k;
        if (!first && !eat(&r, ',')) return NOT_A_CALL(err);
        SB_TRY(key(&r, &k, err));
        SB_TRY(sb_calls_key(c, k, err));
        SB_TRY(value(&r, err));
    }
    skip_space(&r);
    return r.s.n == 0 ? sb_calls_end(c, false, err) : NOT_A_CALL(err);
}
