/* SPDX-License-Identifier: Apache-2.0
 * reply.c - the head of a reply as text. */
#include "server/http/reply.h"

#include "base/limits.h"
#include "server/http/fields.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_HEAD_BYTES = SB_MAX_REPLY_HEADER_BYTES + 2048 };

/* Framing is not the handler's. */
static const char *const ours[] = {"connection",   "content-length", "date",
                                   "keep-alive",   "trailer",        "upgrade",
                                   "content-type", "x-request-id",   "transfer-encoding"};

/* Said unless the handler says something else. */
static const struct {
    const char *name, *line;
} usual[] = {
    {"x-content-type-options", "X-Content-Type-Options: nosniff\r\n"},
    {"referrer-policy", "Referrer-Policy: no-referrer\r\n"},
    {"cache-control", "Cache-Control: no-store\r\n"},
};

static const char *reason(int status)
{
    switch (status) {
#define X(number, text)                                                                            \
    case number:                                                                                   \
        return text;
#include "server/http/reasons.def"
#undef X
    default:
        return "Unknown";
    }
}

bool sb_reply_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static bool value_ok(const char *v)
{
    for (; *v; v++)
        if (((unsigned char)*v < ' ' && *v != '\t') || *v == 127) return false;
    return true;
}

void sb_reply_own(sb_buf *own, const char *name, const char *value)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!sb_http_is_token(name[i])) return;
    for (size_t i = 0; i < SB_ARRAY_LEN(ours); i++)
        if (sb_http_equal((sb_str){name, n}, ours[i])) return;
    if (!n || !value_ok(value)) return;
    if (sb_buf_addf(own, NULL, "%s: %s\r\n", name, value) != SB_OK) return; // dropped
}

/* Whether the lines hold a header of this (lower case) name. */
static bool has(sb_str lines, const char *name)
{
    for (size_t at = 0; at < lines.n;) {
        const char *p = lines.p + at, *end = memchr(p, '\n', lines.n - at);
        const char *colon = memchr(p, ':', lines.n - at);
        if (sb_http_equal((sb_str){p, (size_t)(colon - p)}, name)) return true;
        at += (size_t)(end - p) + 1;
    }
    return false;
}

/* The date as HTTP wants it; strftime() would follow the locale. */
static void date_now(char out[32])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const time_t now = time(NULL);
    struct tm t = {0};
    (void)gmtime_r(&now, &t);
    (void)snprintf(out, 32, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                   days + (ptrdiff_t)3 * t.tm_wday, t.tm_mday, months + (ptrdiff_t)3 * t.tm_mon,
                   (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
}

static sb_status put_framing(sb_buf *b, const sb_reply *r)
{
    if (r->type && r->framing != SB_FRAMED_NONE && value_ok(r->type))
        SB_TRY(sb_buf_addf(b, NULL, "Content-Type: %s\r\n", r->type));
    if (r->framing == SB_FRAMED_LENGTH)
        SB_TRY(sb_buf_addf(b, NULL, "Content-Length: %zu\r\n", r->length));
    if (r->framing == SB_FRAMED_CHUNKED)
        SB_TRY(sb_buf_addf(b, NULL, "Transfer-Encoding: chunked\r\n"));
    if (r->closes) return sb_buf_addf(b, NULL, "Connection: close\r\n");
    return r->minor == 0 ? sb_buf_addf(b, NULL, "Connection: keep-alive\r\n") : SB_OK;
}

static sb_status put_head(sb_buf *b, const sb_reply *r)
{
    char date[32];
    date_now(date);
    SB_TRY(
        sb_buf_addf(b, NULL, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r->status, reason(r->status), date));
    SB_TRY(put_framing(b, r));
    if (r->id) SB_TRY(sb_buf_addf(b, NULL, "X-Request-Id: %s\r\n", r->id));
    for (size_t i = 0; i < SB_ARRAY_LEN(usual); i++)
        if (!has(r->own, usual[i].name)) SB_TRY(sb_buf_addf(b, NULL, "%s", usual[i].line));
    SB_TRY(sb_buf_add(b, r->own.p, r->own.n, NULL));
    return sb_buf_add(b, "\r\n", 2, NULL);
}

bool sb_reply_head(sb_queue *out, const sb_reply *r)
{
    sb_buf b;
    sb_buf_init(&b, MAX_HEAD_BYTES, "reply's head");
    const bool ok = put_head(&b, r) == SB_OK && sb_queue_add(out, b.p, b.n);
    sb_buf_deinit(&b);
    return ok;
}
