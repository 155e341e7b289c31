/* SPDX-License-Identifier: Apache-2.0
 * transfer.c - libcurl's easy interface, one transfer per hop.
 *
 * libcurl could follow redirections itself; then the headers of the hops would run together, and a
 * token would be its business. Here a hop is a request like any other, and three checks (scheme,
 * origin, count) stand between it and the next. */
#define CURL_DISABLE_TYPECHECK
#include "store/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "store/dynlib.h"
#include "store/source.h"

struct sb_transfer {
    sb_curl_lib lib;
    CURL *easy;
    sb_transfer_opts o;
    char token_origin[300]; /* "" = no token */
};

/* One hop under way; what libcurl's callbacks are handed. */
typedef struct hop {
    sb_transfer *h;
    const sb_transfer_request *rq;
    sb_transfer_head *head;
    sb_error *err;
    bool trusted; /* of the token's origin, or there is no such origin */
    bool begun, enough;
    size_t header_bytes, discarded_bytes;
    uint64_t length;  /* Content-Length of this answer */
    sb_status failed; /* of a callback */
    char why[CURL_ERROR_SIZE];
} hop;

/* "scheme://host:port" in lower case; false when it is no address of http or https. */
static bool origin_of(const sb_curl_lib *lib, const char *url, char *out, size_t out_bytes)
{
    char *part[3] = {NULL, NULL, NULL};
    static const CURLUPart which[3] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *u = lib->curl_url();
    bool ok = u && lib->curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK;
    for (int i = 0; ok && i < 3; i++)
        ok = lib->curl_url_get(u, which[i], &part[i], CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (ok) {
        const int n = snprintf(out, out_bytes, "%s://%s:%s", part[0], part[1], part[2]);
        ok = n > 0 && (size_t)n < out_bytes &&
             (strcmp(part[0], "http") == 0 || strcmp(part[0], "https") == 0);
    }
    for (char *c = out; ok && *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 0x20);
    for (int i = 0; i < 3; i++)
        if (part[i]) lib->curl_free(part[i]);
    lib->curl_url_cleanup(u);
    return ok;
}

/* A token becomes part of a header: visible characters only. */
static bool token_ok(const char *token)
{
    for (const char *c = token; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f) return false;
    return strlen(token) < 1024;
}

sb_status sb_transfer_new(sb_transfer **out, const sb_transfer_opts *o, sb_error *err)
{
    sb_transfer *h = sb_calloc(1, sizeof *h);
    if (!h) return SB_FAIL(err, SB_NO_MEMORY, "download: no memory");
    h->o = *o;
    sb_status s = sb_curl_lib_load(&h->lib, err);
    if (s == SB_OK && !(h->easy = h->lib.curl_easy_init()))
        s = SB_FAIL(err, SB_NO_MEMORY, "download: no memory");
    if (s == SB_OK && o->token && o->token[0]) {
        if (!token_ok(o->token))
            s = SB_FAIL(err, SB_INVALID, "HF_TOKEN holds characters that no token has");
        else if (!origin_of(&h->lib, o->token_for, h->token_origin, sizeof h->token_origin))
            s = SB_FAIL(err, SB_INVALID, "HF_ENDPOINT is no address of http or https");
    }
    if (s != SB_OK) {
        sb_transfer_free(h);
        return s;
    }
    *out = h;
    return SB_OK;
}

void sb_transfer_free(sb_transfer *h)
{
    if (!h) return;
    if (h->easy) h->lib.curl_easy_cleanup(h->easy);
    sb_free(h);
}

/* Digits alone, at most 18 of them. */
static bool read_number(const char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    if (n == 0 || n > 18) return false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        v = 10 * v + (uint64_t)(p[i] - '0');
    }
    *out = v;
    return true;
}

static void copy_text(char *out, size_t out_bytes, const char *p, size_t n)
{
    if (n >= out_bytes) n = 0; /* longer than anything we know: as if absent */
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < 0x20 || (unsigned char)p[i] >= 0x7f) n = 0;
    memcpy(out, p, n);
    out[n] = 0;
}

/* "bytes FIRST-LAST/TOTAL" or "bytes *" "/TOTAL" */
static void read_range(sb_transfer_head *head, const char *p, size_t n)
{
    const char *slash = memchr(p, '/', n), *dash = memchr(p, '-', n);
    if (n < 6 || memcmp(p, "bytes ", 6) != 0 || !slash) return;
    uint64_t v;
    if (read_number(slash + 1, n - (size_t)(slash + 1 - p), &v)) head->total_bytes = v;
    if (dash && dash < slash && read_number(p + 6, (size_t)(dash - p - 6), &v))
        head->first_byte = v;
}

/* `"64 hex"`, with or without quotes */
static void read_sha256(char out[65], const char *p, size_t n)
{
    char text[65] = "";
    if (n == 66 && p[0] == '"' && p[65] == '"') p++, n = 64;
    if (n == 64) memcpy(text, p, 64);
    (void)sb_source_sha256(text, out);
}

/* A strong ETag; a weak one cannot vouch for bytes. It wins over Last-Modified. */
static void read_validator(hop *p, const char *v, size_t n, bool etag)
{
    if (etag && (n < 2 || v[0] != '"')) return;
    if (!etag && p->head->validator[0] == '"') return;
    copy_text(p->head->validator, sizeof p->head->validator, v, n);
}

static void take_header(hop *p, const char *name, size_t n_name, const char *v, size_t n)
{
    sb_transfer_head *head = p->head;
    uint64_t number = 0;
#define IS(text) (n_name == sizeof(text) - 1 && strncasecmp(name, text, n_name) == 0)
    if (IS("content-length")) {
        if (read_number(v, n, &number)) p->length = number;
    } else if (IS("content-range")) {
        read_range(head, v, n);
    } else if (IS("etag")) {
        read_validator(p, v, n, true);
    } else if (IS("last-modified")) {
        read_validator(p, v, n, false);
    } else if (IS("retry-after")) {
        if (read_number(v, n, &number)) head->retry_after_s = number < 86400 ? (int)number : 86400;
    }
    if (!p->trusted) return; /* a foreign host does not say what the right file is */
    if (IS("x-linked-etag")) {
        read_sha256(head->linked_sha256, v, n);
    } else if (IS("x-linked-size")) {
        if (read_number(v, n, &number)) head->linked_bytes = number;
    } else if (IS("x-repo-commit")) {
        copy_text(head->commit, sizeof head->commit, v, n);
    } else if (IS("x-error-code")) {
        copy_text(head->error_code, sizeof head->error_code, v, n);
    }
#undef IS
}

/* A status line begins an answer anew: what an earlier one (100, a proxy's) said is gone. */
static void restart_head(hop *p)
{
    p->length = UINT64_MAX;
    p->head->first_byte = 0;
    p->head->total_bytes = UINT64_MAX;
    p->head->validator[0] = 0;
    p->head->retry_after_s = -1;
}

static size_t on_header(char *line, size_t one, size_t n, void *ctx)
{
    hop *p = ctx;
    (void)one; /* always 1 */
    p->header_bytes += n;
    if (p->header_bytes > SB_MAX_HTTP_HEADER_BYTES) {
        p->failed = SB_FAIL(p->err, SB_LIMIT, "%s: more than %d bytes of headers", p->rq->shown,
                            SB_MAX_HTTP_HEADER_BYTES);
        return 0;
    }
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) restart_head(p);
    const char *colon = memchr(line, ':', n);
    if (!colon) return n;
    const char *v = colon + 1, *end = line + n;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    take_header(p, line, (size_t)(colon - line), v, (size_t)(end - v));
    return n;
}

static int status_of(const hop *p)
{
    long status = 0;
    (void)p->h->lib.curl_easy_getinfo(p->h->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* Called once before the first byte of a good body, and after a body without any. */
static sb_status begin_body(hop *p)
{
    sb_transfer_head *head = p->head;
    p->begun = true;
    head->status = status_of(p);
    if (head->status == 200) {
        head->first_byte = 0;
        head->total_bytes = p->length;
    }
    return p->rq->begin ? p->rq->begin(p->rq->ctx, head, p->err) : SB_OK;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    hop *p = ctx;
    (void)one;
    const int status = status_of(p);
    if (status != 200 && status != 206) { /* the page of an error or a redirection */
        p->discarded_bytes += n;
        if (p->discarded_bytes <= SB_MAX_HTTP_HEADER_BYTES) return n;
        p->failed = SB_FAIL(p->err, SB_LIMIT, "%s: status %d with more than %d bytes", p->rq->shown,
                            status, SB_MAX_HTTP_HEADER_BYTES);
        return 0;
    }
    if (!p->begun) p->failed = begin_body(p);
    if (p->failed == SB_OK)
        p->failed = p->rq->body(p->rq->ctx, (const unsigned char *)bytes, n, &p->enough, p->err);
    return p->failed == SB_OK && !p->enough ? n : 0;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    const hop *p = ctx;
    (void)dt, (void)dn, (void)ut, (void)un;
    return p->h->o.cancelled && p->h->o.cancelled(p->h->o.ctx);
}

static sb_status add_header(const sb_transfer *h, struct curl_slist **list, sb_error *err,
                            const char *name, const char *value)
{
    sb_buf line;
    sb_buf_init(&line, 4096, "a header");
    sb_status s = sb_buf_addf(&line, err, "%s: %s", name, value);
    struct curl_slist *more = s == SB_OK ? h->lib.curl_slist_append(*list, line.p) : NULL;
    if (s == SB_OK && !more) s = SB_FAIL(err, SB_NO_MEMORY, "download: no memory");
    if (more) *list = more;
    sb_buf_deinit(&line);
    return s;
}

static sb_status make_headers(const hop *p, bool with_token, struct curl_slist **list)
{
    const sb_transfer *h = p->h;
    if (p->rq->if_range && p->rq->if_range[0])
        SB_TRY(add_header(h, list, p->err, "If-Range", p->rq->if_range));
    if (!with_token) return SB_OK;
    char value[1100];
    (void)snprintf(value, sizeof value, "Bearer %s", h->o.token);
    return add_header(h, list, p->err, "Authorization", value);
}

/* All options of one hop; false when libcurl refuses one (it is too old or was built without). */
static bool set_options(hop *p, const char *url, const struct curl_slist *headers)
{
    const sb_curl_lib *lib = &p->h->lib;
    CURL *e = p->h->easy;
    const long stall = p->h->o.stall_s;
    const char *bundle = getenv("SSL_CERT_FILE");
    char range[64];
    bool ok = true;
    lib->curl_easy_reset(e);
#define SET(option, value) ok &= lib->curl_easy_setopt(e, option, value) == CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, "sobre");
    SET(CURLOPT_CONNECTTIMEOUT, stall);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, stall);
    SET(CURLOPT_BUFFERSIZE, 262144L);
    SET(CURLOPT_ERRORBUFFER, p->why);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, p);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, p);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, p);
    SET(CURLOPT_NOPROGRESS, 0L);
    if (headers) SET(CURLOPT_HTTPHEADER, headers);
    if (bundle && bundle[0]) SET(CURLOPT_CAINFO, bundle);
    if (p->rq->first_byte > 0 || p->rq->last_byte != UINT64_MAX) {
        const unsigned long long first = p->rq->first_byte, last = p->rq->last_byte;
        (void)snprintf(range, sizeof range, last == UINT64_MAX ? "%llu-" : "%llu-%llu", first,
                       last);
        SET(CURLOPT_RANGE, range);
    }
#undef SET
    return ok;
}

/* libcurl's result as ours; a good or complete HTTP answer is SB_OK whatever its status. */
static sb_status judge_transfer(hop *p, CURLcode r)
{
    sb_transfer_head *head = p->head;
    if (p->failed != SB_OK) return p->failed;
    if (r == CURLE_OK || p->enough) return SB_OK;
    if (r == CURLE_ABORTED_BY_CALLBACK) return SB_FAIL(p->err, SB_CANCELLED, "interrupted");
    const char *why = p->why[0] ? p->why : p->h->lib.curl_easy_strerror(r);
    const bool tls = r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CACERT_BADFILE;
    head->try_again = !tls && r != CURLE_URL_MALFORMAT && r != CURLE_UNSUPPORTED_PROTOCOL;
    if (r == CURLE_OPERATION_TIMEDOUT)
        return SB_FAIL(p->err, SB_IO, "%s: nothing came for %d s", p->rq->shown, p->h->o.stall_s);
    if (tls)
        return SB_FAIL(p->err, SB_IO,
                       "%s: the host's certificate is not trusted (%.80s): if a proxy has its own, "
                       "name its file in SSL_CERT_FILE",
                       p->rq->shown, why);
    return SB_FAIL(p->err, SB_IO, "%s: %.100s", p->rq->shown, why);
}

/* Asks one address once. */
static sb_status run_hop(hop *p, const char *url)
{
    struct curl_slist *headers = NULL;
    char origin[300];
    const sb_transfer *h = p->h;
    if (!origin_of(&h->lib, url, origin, sizeof origin))
        return SB_FAIL(p->err, SB_IO, "%s: no address of http or https", p->rq->shown);
    const bool ours = h->token_origin[0] && strcmp(origin, h->token_origin) == 0;
    sb_status s = make_headers(p, ours, &headers);
    if (s == SB_OK && !set_options(p, url, headers))
        s = SB_FAIL(p->err, SB_UNSUPPORTED, "libcurl is too old: 7.85 or newer is needed");
    if (s == SB_OK) {
        restart_head(p);
        s = judge_transfer(p, h->lib.curl_easy_perform(h->easy));
    }
    p->head->status = status_of(p);
    h->lib.curl_slist_free_all(headers);
    return s;
}

/* What a final status other than 200, 206 and 416 means. */
static sb_status refuse_status(const hop *p)
{
    sb_transfer_head *head = p->head;
    const char *shown = p->rq->shown;
    const bool token = p->h->token_origin[0] != 0;
    switch (head->status) {
    case 401:
        return SB_FAIL(p->err, SB_INVALID, "%s: the host %s (status 401)", shown,
                       token ? "does not take the token of HF_TOKEN"
                             : "shows it to nobody without an access token, or it is not there: "
                               "check the name, or set HF_TOKEN");
    case 403:
        return SB_FAIL(p->err, SB_INVALID,
                       "%s: the host forbids it (status 403): accept the model's terms on its page "
                       "first%s",
                       shown, token ? "" : ", then set HF_TOKEN");
    case 404:
    case 410:
        return SB_FAIL(p->err, SB_NOT_FOUND, "%s: the host has no such %s (status %d)", shown,
                       strcmp(head->error_code, "RevisionNotFound") == 0 ? "revision" : "file",
                       head->status);
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        head->try_again = true;
        break;
    default:
        break;
    }
    return SB_FAIL(p->err, SB_IO, "%s: the host answers with status %d%s", shown, head->status,
                   head->status == 429 ? " (too many requests)" : "");
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Copies where the answer leads into url; judges it. */
static sb_status next_url(const hop *p, char *url, size_t url_bytes)
{
    char *to = NULL;
    (void)p->h->lib.curl_easy_getinfo(p->h->easy, CURLINFO_REDIRECT_URL, &to);
    const size_t n = to ? strlen(to) : 0;
    if (n == 0 || n >= url_bytes)
        return SB_FAIL(p->err, SB_IO, "%s: a redirection that leads nowhere", p->rq->shown);
    const bool from_http = strncasecmp(p->rq->url, "http://", 7) == 0;
    if (strncasecmp(to, "https://", 8) != 0 && !(from_http && strncasecmp(to, "http://", 7) == 0))
        return SB_FAIL(p->err, SB_IO, "%s: redirected from https to something else: refused",
                       p->rq->shown);
    memcpy(url, to, n + 1);
    return SB_OK;
}

sb_status sb_transfer_get(sb_transfer *h, const sb_transfer_request *rq, sb_transfer_head *out,
                          sb_error *err)
{
    char url[2 * SB_MAX_URL_BYTES];
    char origin[300] = "", first[300] = "";
    *out = (sb_transfer_head){
        .linked_bytes = UINT64_MAX, .total_bytes = UINT64_MAX, .retry_after_s = -1};
    if (strlen(rq->url) > SB_MAX_URL_BYTES)
        return SB_FAIL(err, SB_LIMIT, "an address of more than %d bytes", SB_MAX_URL_BYTES);
    memcpy(url, rq->url, strlen(rq->url) + 1);
    (void)origin_of(&h->lib, url, first, sizeof first);
    for (int i = 0; i <= SB_MAX_REDIRECTS; i++) {
        hop p = {.h = h, .rq = rq, .head = out, .err = err};
        p.trusted = origin_of(&h->lib, url, origin, sizeof origin) && strcmp(origin, first) == 0;
        SB_TRY(run_hop(&p, url));
        if (is_redirect(out->status)) {
            SB_TRY(next_url(&p, url, sizeof url));
            continue;
        }
        if (out->status == 416) return SB_OK;
        if (out->status != 200 && out->status != 206) return refuse_status(&p);
        return p.begun ? SB_OK : begin_body(&p);
    }
    return SB_FAIL(err, SB_IO, "%s: more than %d redirections", rq->shown, SB_MAX_REDIRECTS);
}
