/* SPDX-License-Identifier: Apache-2.0
 * head.c - the head of a request, byte by byte, and the rules that hold for it as a whole. */
#include "server/http/head.h"

#include <string.h>

enum { IN_METHOD, IN_TARGET, IN_VERSION, AFTER_CR, IN_FIELDS };
enum { MAX_METHOD_BYTES = 32, MAX_LENGTH_DIGITS = 18 };
static const char version[] = "HTTP/1.";

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

/* Headers that mean one thing: a second one makes two readers pick differently. */
static const char *const singles[] = {"authorization",   "content-encoding",
                                      "content-length",  "content-type",
                                      "expect",          "host",
                                      "origin",          "referer",
                                      "sec-fetch-site",  "transfer-encoding",
                                      "x-api-key",       "x-forwarded-proto",
                                      "x-request-id",    "cookie",
                                      "user-agent",      "content-range",
                                      "range",           "if-modified-since",
                                      "x-forwarded-host"};

void sb_head_init(sb_head *h)
{
    h->method_n = h->target_n = h->n_version = 0;
    h->state = IN_METHOD;
    h->minor = 0;
    h->chunked = h->expects = h->keep_alive = false;
    h->length = 0;
    h->refusal = (sb_refusal){0};
    sb_buf_init(&h->text, SB_MAX_REQUEST_HEAD_BYTES, "request's head");
    sb_header_lines_init(&h->fields, &h->text, h->list);
}

void sb_head_deinit(sb_head *h)
{
    sb_buf_deinit(&h->text);
}

sb_str sb_head_method(const sb_head *h)
{
    return (sb_str){h->text.p, h->method_n};
}

sb_str sb_head_target(const sb_head *h)
{
    return (sb_str){h->target_n ? h->text.p + h->method_n : NULL, h->target_n};
}

size_t sb_head_n_fields(const sb_head *h)
{
    return h->fields.n;
}

sb_str sb_head_name(const sb_head *h, size_t i)
{
    return (sb_str){h->text.p + h->list[i].name, h->list[i].name_n};
}

sb_str sb_head_value(const sb_head *h, size_t i)
{
    return (sb_str){h->text.p + h->list[i].value, h->list[i].value_n};
}

static bool refuse(sb_head *h, int status, const char *why)
{
    h->refusal = (sb_refusal){status, why};
    return false;
}

static bool keep(sb_head *h, char c)
{
    return sb_buf_add(&h->text, &c, 1, NULL) == SB_OK ||
           refuse(h, 503, "no memory for the request");
}

static bool method_byte(sb_head *h, char c)
{
    const size_t n = h->text.n;
    if (c == ' ' && n) {
        h->method_n = n;
        h->state = IN_TARGET;
        return true;
    }
    if (!sb_http_is_token(c)) return refuse(h, 400, "this is not an HTTP request");
    if (n == MAX_METHOD_BYTES) return refuse(h, 400, "the method is too long");
    return keep(h, c);
}

static bool target_byte(sb_head *h, char c)
{
    const size_t n = h->text.n - h->method_n;
    if (c == ' ' && n) {
        h->target_n = n;
        h->state = IN_VERSION;
        return true;
    }
    if ((unsigned char)c <= ' ' || (unsigned char)c >= 127 || c == '#')
        return refuse(h, 400, "the target has a byte that must be percent-encoded");
    if (n == SB_MAX_REQUEST_TARGET_BYTES) return refuse(h, 414, "the target is too long");
    return keep(h, c);
}

static bool version_byte(sb_head *h, char c, size_t i)
{
    if (i < sizeof version - 1)
        return c == version[i] || refuse(h, 400, "the request line has no HTTP/1 version");
    if (i == sizeof version - 1) {
        h->minor = c - '0';
        return c == '0' || c == '1' || refuse(h, 400, "the version is neither 1.0 nor 1.1");
    }
    h->state = AFTER_CR;
    return c == '\r' || refuse(h, 400, "the request line goes on behind its version");
}

/* Bytes of the request line that are not kept: two spaces, then the version. */
static bool line_byte(sb_head *h, char c)
{
    switch (h->state) {
    case IN_METHOD:
        return method_byte(h, c);
    case IN_TARGET:
        return target_byte(h, c);
    case IN_VERSION:
        return version_byte(h, c, h->n_version++);
    default: // AFTER_CR
        h->state = IN_FIELDS;
        h->fields.n_bytes = h->text.n;
        return c == '\n' || refuse(h, 400, "a CR that does not end a line");
    }
}

bool sb_http_list_has(sb_str list, const char *word)
{
    size_t at = 0;
    while (at < list.n) {
        const char *comma = memchr(list.p + at, ',', list.n - at);
        size_t end = comma ? (size_t)(comma - list.p) : list.n;
        const size_t next = end + 1;
        while (at < end && sb_http_is_blank(list.p[at]))
            at++;
        while (end > at && sb_http_is_blank(list.p[end - 1]))
            end--;
        if (sb_http_equal((sb_str){list.p + at, end - at}, word)) return true;
        at = next;
    }
    return false;
}

static bool length_of(sb_head *h, sb_str v)
{
    if (!v.n || v.n > MAX_LENGTH_DIGITS) return refuse(h, 400, "Content-Length is not a length");
    h->length = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9') return refuse(h, 400, "Content-Length is not a length");
        h->length = h->length * 10 + (uint64_t)(v.p[i] - '0');
    }
    return true;
}

static bool host_of(sb_head *h, sb_str v)
{
    for (size_t i = 0; i < v.n; i++) {
        const char c = v.p[i];
        const bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || (c && strchr("-._~:[]%!$&'()*+;=", c));
        if (!ok) return refuse(h, 400, "Host is not a host");
    }
    return v.n > 0 || refuse(h, 400, "Host is empty");
}

/* What headers say by themselves. */
static bool check_field(sb_head *h, sb_str name, sb_str v)
{
    if (sb_http_equal(name, "content-length")) return length_of(h, v);
    if (sb_http_equal(name, "host")) return host_of(h, v);
    if (sb_http_equal(name, "transfer-encoding")) {
        h->chunked = true;
        if (h->minor == 0) return refuse(h, 400, "Transfer-Encoding in HTTP/1.0");
        return sb_http_equal(v, "chunked") ||
               refuse(h, 400, "a Transfer-Encoding other than chunked");
    }
    if (sb_http_equal(name, "content-encoding"))
        return sb_http_equal(v, "identity") || refuse(h, 415, "an encoded body is not taken");
    if (sb_http_equal(name, "expect")) {
        h->expects = h->minor == 1; // an older client does not wait
        return sb_http_equal(v, "100-continue") || refuse(h, 417, "an unknown expectation");
    }
    if (sb_http_equal(name, "connection")) {
        if (sb_http_list_has(v, "close")) h->keep_alive = false;
        if (h->minor == 0 && sb_http_list_has(v, "keep-alive")) h->keep_alive = true;
    }
    return true;
}

static size_t count(const sb_head *h, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->fields.n; i++)
        n += sb_http_equal(sb_head_name(h, i), name);
    return n;
}

static bool check(sb_head *h)
{
    const sb_str method = sb_head_method(h);
    bool known = false;
    for (size_t i = 0; i < SB_ARRAY_LEN(methods) && !known; i++)
        known = method.n == strlen(methods[i]) && memcmp(method.p, methods[i], method.n) == 0;
    if (!known) return refuse(h, 501, "this method is not known here");
    const sb_str target = sb_head_target(h);
    if (!target.n || target.p[0] != '/') return refuse(h, 400, "the target must begin with '/'");
    for (size_t i = 0; i < SB_ARRAY_LEN(singles); i++)
        if (count(h, singles[i]) > 1)
            return refuse(h, 400, "a header that may come once came twice");
    if (h->minor == 1 && !count(h, "host")) return refuse(h, 400, "Host is missing");
    h->keep_alive = h->minor == 1;
    for (size_t i = 0; i < h->fields.n; i++)
        if (!check_field(h, sb_head_name(h, i), sb_head_value(h, i))) return false;
    if (h->chunked && count(h, "content-length"))
        return refuse(h, 400, "both Transfer-Encoding and Content-Length");
    return true;
}

sb_feed sb_head_feed(sb_head *h, const char *p, size_t n, size_t *used)
{
    *used = 0;
    while (h->state != IN_FIELDS) {
        if (*used == n) return SB_FEED_MORE;
        if (!line_byte(h, p[*used])) return SB_FEED_REFUSED;
        ++*used;
    }
    size_t k;
    const sb_feed got = sb_header_lines_feed(&h->fields, p + *used, n - *used, &k);
    *used += k;
    if (got == SB_FEED_REFUSED) h->refusal = h->fields.refusal;
    if (got == SB_FEED_DONE && !check(h)) return SB_FEED_REFUSED;
    return got;
}
