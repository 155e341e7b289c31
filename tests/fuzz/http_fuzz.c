/* SPDX-License-Identifier: Apache-2.0
 * http_fuzz.c - libFuzzer entry: bytes as a client may send them.
 *
 * Input: one byte (64 times it is the greatest body), then the bytes of a connection. Checked: cut
 * into single bytes, and by a rule of the input's own, they mean the same; a path that is accepted
 * is one that may be compared; what is refused has a status and a reason; a body that is thrown
 * away ends where one that is kept does. The texts of the first request's headers also go through
 * what reads lists, hosts, addresses and queries. */
#include "base/limits.h"
#include "base/utf8.h"
#include "http_log.h"
#include "server/http/http.h"
#include "server/http/intake.h"
#include "server/http/proxies.h"
#include "server/http/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { LOG_BYTES = 1 << 22 };

static void check(bool ok)
{
    if (!ok) abort();
}

/* Pieces of 1..64 bytes, by a generator. */
static size_t cut_somehow(void *ctx, size_t at, size_t n)
{
    uint32_t *seed = ctx;
    (void)at;
    (void)n;
    *seed = *seed * 1664525u + 1013904223u;
    return 1 + (*seed >> 26);
}

static void check_path(sb_str path)
{
    check(path.n && path.p[0] == '/' && sb_utf8_valid(path.p, path.n) == path.n);
    for (size_t i = 0; i < path.n; i++) {
        const char c = path.p[i];
        check((unsigned char)c >= ' ' && c != 127 && c != '\\');
        if (c != '/') continue;
        const char *s = path.p + i + 1;
        const size_t left = path.n - i - 1;
        check(!left || *s != '/');
        check(!(left && *s == '.' && (left == 1 || s[1] == '/')));
        check(!(left > 1 && s[0] == '.' && s[1] == '.' && (left == 2 || s[2] == '/')));
    }
}

static void check_target(sb_str target)
{
    sb_buf path, value;
    sb_str query;
    sb_buf_init(&path, SB_MAX_REQUEST_TARGET_BYTES, "path");
    sb_buf_init(&value, 256, "value");
    const sb_refusal r = sb_target_parse(target, &path, &query);
    check(!r.status || r.why);
    if (!r.status) check_path((sb_str){path.p, path.n});
    check(query.n <= target.n);
    if (sb_http_query_find(query, "a", &value)) check(sb_utf8_valid(value.p, value.n) == value.n);
    sb_buf_deinit(&path);
    sb_buf_deinit(&value);
}

static void check_value(sb_str v)
{
    static const char *const trusted[] = {"10.0.0.0/7", "::1/128", "unix"};
    char text[64];
    const char *given = text;
    sb_proxies p;
    char out[SB_ADDRESS_BYTES];
    sb_str host;
    int port;
    (void)snprintf(text, sizeof text, "%.*s", (int)(v.n < sizeof text ? v.n : 0), v.p);
    if (sb_proxies_init(&p, &given, 1, NULL) == SB_OK) (void)sb_proxies_trust(&p, "unix");
    check(sb_proxies_init(&p, trusted, 3, NULL) == SB_OK);
    sb_proxies_client(&p, v, "10.0.0.1", out);
    check(strlen(out) < sizeof out);
    if (sb_http_host_split(v, &host, &port)) check(host.n <= v.n && port >= -1 && port <= 65535);
    (void)sb_http_list_has(v, "close");
}

static void check_first_head(const char *p, size_t n)
{
    sb_head h;
    size_t used;
    sb_head_init(&h);
    if (sb_head_feed(&h, p, n, &used) == SB_FEED_DONE)
        for (size_t i = 0; i < sb_head_n_fields(&h); i++)
            check_value(sb_head_value(&h, i));
    if (h.target_n && sb_head_target(&h).p[0] == '/') check_target(sb_head_target(&h));
    sb_head_deinit(&h);
}

/* The first request, its body thrown away: it ends where it ends when the body is kept. */
static void check_dropped(const char *p, size_t n, uint64_t max_body)
{
    size_t ends[2] = {0};
    sb_intake_got got[2];
    for (int i = 0; i < 2; i++) {
        sb_intake in;
        size_t used;
        sb_intake_init(&in);
        got[i] = sb_intake_feed(&in, p, n, &used);
        ends[i] = used;
        if (got[i] == SB_INTAKE_HEAD && sb_intake_allow(&in, max_body)) {
            if (i) sb_intake_drop(&in);
            got[i] = sb_intake_feed(&in, p + used, n - used, &used);
            ends[i] += used;
            check(i ? !in.body.n : in.body.n == in.n_body || got[i] == SB_INTAKE_REFUSED);
        }
        sb_intake_deinit(&in);
    }
    check(ends[0] == ends[1] && got[0] == got[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n) return 0;
    const char *p = (const char *)data + 1;
    const uint64_t max_body = (uint64_t)data[0] * 64;
    size_t all = n, one = 1;
    uint32_t seed = (uint32_t)n;
    sb_buf whole, bytes, pieces;
    sb_buf_init(&whole, LOG_BYTES, "log");
    sb_buf_init(&bytes, LOG_BYTES, "log");
    sb_buf_init(&pieces, LOG_BYTES, "log");
    check(http_log(&whole, p, n - 1, max_body, http_cut_once, &all));
    check(http_log(&bytes, p, n - 1, max_body, http_cut_every, &one));
    check(http_log(&pieces, p, n - 1, max_body, cut_somehow, &seed));
    check(whole.n == bytes.n && whole.n == pieces.n);
    check(!whole.n || memcmp(whole.p, bytes.p, whole.n) == 0);
    check(!whole.n || memcmp(whole.p, pieces.p, whole.n) == 0);
    sb_buf_deinit(&whole);
    sb_buf_deinit(&bytes);
    sb_buf_deinit(&pieces);
    check_first_head(p, n - 1);
    check_dropped(p, n - 1, max_body);
    return 0;
}
