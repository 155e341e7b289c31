/* SPDX-License-Identifier: Apache-2.0
 * guard.c - the rules of guard.h on texts; nothing is resolved, nothing is decoded twice. */
#include "server/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool is_text(sb_str s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static bool ends(sb_str s, const char *text)
{
    const size_t n = strlen(text);
    return s.n > n && strncasecmp(s.p + s.n - n, text, n) == 0;
}

static bool starts(sb_str s, const char *text)
{
    const size_t n = strlen(text);
    return s.n >= n && strncasecmp(s.p, text, n) == 0;
}

/* As sb_http_host_split(), but that a port of 0 is none. *port 0: not said. */
static bool split_authority(sb_str a, sb_str *name, int *port)
{
    if (!sb_http_host_split(a, name, port) || *port == 0) return false;
    if (*port < 0) *port = 0;
    return true;
}

/* A literal address; out has 16 bytes, v4 as ::ffff:a.b.c.d. */
static bool parse_address(sb_str name, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN];
    const bool v6 = name.n > 2 && name.p[0] == '[';
    if (v6) name = (sb_str){name.p + 1, name.n - 2};
    if (name.n == 0 || name.n >= sizeof text) return false;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (inet_pton(AF_INET6, text, out) == 1) return true;
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    return !v6 && inet_pton(AF_INET, text, out + 12) == 1;
}

static bool is_loopback_address(const unsigned char a[16])
{
    static const unsigned char one[16] = {[15] = 1}, v4[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a, one, 16) == 0 || (memcmp(a, v4, 12) == 0 && a[12] == 127);
}

static bool is_loopback_name(sb_str name)
{
    unsigned char a[16];
    if (name.n && name.p[name.n - 1] == '.') name.n--; /* a rooted name */
    if (is_text(name, "localhost") || ends(name, ".localhost")) return true;
    return parse_address(name, a) && is_loopback_address(a);
}

bool sb_guard_is_loopback(const char *host)
{
    return host && is_loopback_name((sb_str){host, strlen(host)});
}

static bool is_any_address(const char *host)
{
    static const unsigned char none[16] = {0}, v4[16] = {[10] = 0xff, [11] = 0xff};
    unsigned char a[16];
    return !host || !parse_address((sb_str){host, strlen(host)}, a) || memcmp(a, none, 16) == 0 ||
           memcmp(a, v4, 16) == 0;
}

static bool in_allow_hosts(const sb_guard *g, sb_str name, int port)
{
    for (size_t i = 0; i < g->n_allow_hosts; i++) {
        sb_str allowed;
        int at = 0;
        const char *text = g->allow_hosts[i];
        if (!split_authority((sb_str){text, strlen(text)}, &allowed, &at)) continue;
        if (allowed.n == name.n && strncasecmp(allowed.p, name.p, name.n) == 0 &&
            (at == 0 || at == port))
            return true;
    }
    return false;
}

static bool host_is_good(const sb_guard *g, sb_str host)
{
    sb_str name;
    int port = 0;
    unsigned char a[16], own[16];
    if (!split_authority(host, &name, &port)) return false;
    if (is_loopback_name(name) || in_allow_hosts(g, name, port)) return true;
    if (!parse_address(name, a) || sb_guard_is_loopback(g->host)) return false;
    if (g->port && port != g->port && !(port == 0 && (g->port == 80 || g->port == 443)))
        return false;
    if (is_any_address(g->host)) return true; /* a literal address is nobody's name */
    return parse_address((sb_str){g->host, strlen(g->host)}, own) && memcmp(a, own, 16) == 0;
}

/* "scheme://authority" of the same authority as Host. */
static bool is_same_origin(sb_str origin, sb_str host)
{
    size_t at = starts(origin, "http://") ? 7 : starts(origin, "https://") ? 8 : 0;
    return at && origin.n - at == host.n && strncasecmp(origin.p + at, host.p, host.n) == 0;
}

static bool in_allow_origins(const sb_guard *g, sb_str origin)
{
    for (size_t i = 0; i < g->n_allow_origins; i++)
        if (is_text(origin, g->allow_origins[i])) return true;
    return false;
}

static bool is_method(const sb_http_request *r, const char *method)
{
    return r->method.n == strlen(method) && memcmp(r->method.p, method, r->method.n) == 0;
}

/* A person who follows a link to the page from elsewhere. */
static bool is_visit(const sb_http_request *r)
{
    return (is_method(r, "GET") || is_method(r, "HEAD")) && r->path.n == 1 &&
           is_text(sb_http_header_find(r, "sec-fetch-mode"), "navigate") &&
           is_text(sb_http_header_find(r, "sec-fetch-dest"), "document");
}

static bool is_json_type(sb_str type)
{
    size_t n = 0;
    while (n < type.n && type.p[n] != ';' && type.p[n] != ' ' && type.p[n] != '\t')
        n++;
    return is_text((sb_str){type.p, n}, "application/json");
}

static const char *judge_body(const sb_http_request *r, bool browser)
{
    const sb_str encoding = sb_http_header_find(r, "content-encoding");
    const sb_str type = sb_http_header_find(r, "content-type");
    if (encoding.p && !is_text(encoding, "identity"))
        return "the body is encoded: send it as it is";
    if (!is_method(r, "POST") && !is_method(r, "PUT") && !is_method(r, "PATCH") && !type.p)
        return NULL;
    const sb_str length = sb_http_header_find(r, "content-length");
    const bool empty =
        !sb_http_header_find(r, "transfer-encoding").p && (!length.p || is_text(length, "0"));
    if (!type.p) return browser && !empty ? "the content type must be application/json" : NULL;
    if (is_json_type(type)) return NULL;
    if (!browser && starts(type, "application/x-www-form-urlencoded")) return NULL;
    return "the content type must be application/json";
}

sb_verdict sb_guard_judge(const sb_guard *g, const sb_http_request *r)
{
    const sb_str host = sb_http_header_find(r, "host");
    const sb_str origin = sb_http_header_find(r, "origin");
    const sb_str site = sb_http_header_find(r, "sec-fetch-site");
    sb_verdict v = {0};
    if (!r->is_unix && !host_is_good(g, host)) {
        v.status = 421;
        v.why = "this server is not known by that Host; --allow-host NAME makes it so";
        return v;
    }
    const bool listed = origin.p && in_allow_origins(g, origin);
    if (origin.p && !listed && !is_same_origin(origin, host)) {
        v.status = 403;
        v.why = "requests from pages of that origin are not taken; --allow-origin ORIGIN allows it";
        return v;
    }
    if (site.p && !listed && !is_text(site, "same-origin") && !is_text(site, "none") &&
        !is_visit(r)) {
        v.status = 403;
        v.why = "requests from pages of other sites are not taken; --allow-origin ORIGIN allows it";
        return v;
    }
    if (listed) v.cors = origin;
    if (is_method(r, "OPTIONS") && origin.p &&
        sb_http_header_find(r, "access-control-request-method").p) {
        v.status = listed ? 204 : 403;
        v.why = "preflights are answered for --allow-origin only";
        return v;
    }
    v.why = judge_body(r, origin.p || site.p);
    if (v.why) v.status = 415;
    return v;
}

sb_status sb_guard_check(const sb_guard *g, sb_error *err)
{
    sb_str name;
    int port = 0;
    for (size_t i = 0; i < g->n_allow_hosts; i++)
        if (!split_authority((sb_str){g->allow_hosts[i], strlen(g->allow_hosts[i])}, &name, &port))
            return SB_FAIL(err, SB_INVALID, "--allow-host %.80s: it is NAME or NAME:PORT",
                           g->allow_hosts[i]);
    for (size_t i = 0; i < g->n_allow_origins; i++) {
        const sb_str o = {g->allow_origins[i], strlen(g->allow_origins[i])};
        const size_t at = starts(o, "http://") ? 7 : starts(o, "https://") ? 8 : 0;
        if (!at || !split_authority((sb_str){o.p + at, o.n - at}, &name, &port))
            return SB_FAIL(err, SB_INVALID,
                           "--allow-origin %.80s: it is SCHEME://NAME[:PORT], http or https",
                           g->allow_origins[i]);
    }
    return SB_OK;
}
