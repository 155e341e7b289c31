/* SPDX-License-Identifier: Apache-2.0
 * page_files.c - the page's files, from memory.
 *
 * A name carries its content's hash, so a browser keeps a file for ever; index.html, which names
 * the others, is asked for each time and answered with 304 while it is the same. The policy below
 * is the whole of what the page may do: its own scripts, sheets, fonts and requests, and nothing
 * inline. */
#include <string.h>

#include "server/page/assets.h"
#include "server/page/page_in.h"

static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static const sb_page_asset *find(sb_str name)
{
    size_t lo = 0, hi = sb_page_n_assets;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const sb_page_asset *a = &sb_page_assets[mid];
        const size_t n = strlen(a->name);
        const int c = memcmp(name.p, a->name, name.n < n ? name.n : n);
        const int order = c ? c : (name.n > n) - (name.n < n);
        if (order == 0) return a;
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* A word of a comma-separated header, without what follows a semicolon; "gzip;q=0" is a no. */
static bool lists(sb_str header, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i + n <= header.n; i++) {
        if (memcmp(header.p + i, word, n) != 0) continue;
        const bool begins = i == 0 || header.p[i - 1] == ' ' || header.p[i - 1] == ',';
        const size_t end = i + n;
        const bool ends = end == header.n || strchr(" ,;", header.p[end]) != NULL;
        if (!begins || !ends) continue;
        sb_str rest = {header.p + end, header.n - end};
        while (rest.n && (*rest.p == ' ' || *rest.p == ';'))
            rest.p++, rest.n--;
        return !(rest.n >= 3 && memcmp(rest.p, "q=0", 3) == 0 &&
                 (rest.n == 3 || !memchr("123456789", rest.p[rest.n > 4 ? 4 : 3], 9)));
    }
    return false;
}

void sb_page_file(sb_x *x, sb_str name)
{
    const sb_http_request *r = sb_x_request(x);
    const sb_page_asset *a = find(name);
    if (!a) {
        sb_reply_text(x, 404, "text/plain; charset=utf-8", "no such file\n");
        return;
    }
    const bool is_index = strcmp(a->name, "index.html") == 0;
    sb_x_header(x, "content-security-policy", POLICY);
    sb_x_header(x, "cross-origin-opener-policy", "same-origin");
    sb_x_header(x, "cross-origin-resource-policy", "same-origin");
    sb_x_header(x, "permissions-policy", "camera=(), microphone=(), geolocation=()");
    sb_x_header(x, "cache-control", is_index ? "no-cache" : "public, max-age=31536000, immutable");
    sb_x_header(x, "vary", is_index ? "accept, accept-encoding" : "accept-encoding");
    sb_x_header(x, "etag", a->etag);
    if (lists(sb_http_header_find(r, "if-none-match"), a->etag)) {
        sb_x_reply(x, 304, NULL, (sb_str){NULL, 0});
        return;
    }
    const bool zip = a->zipped && lists(sb_http_header_find(r, "accept-encoding"), "gzip");
    if (zip) sb_x_header(x, "content-encoding", "gzip");
    const unsigned char *p = zip ? a->zipped : a->plain;
    sb_x_reply(x, 200, a->type, (sb_str){(const char *)p, zip ? a->zipped_bytes : a->plain_bytes});
}
