/* SPDX-License-Identifier: Apache-2.0
 * target.c - paths and queries decoded. */
#include "server/http/target.h"

#include "base/utf8.h"
#include "server/http/http.h"

#include <string.h>

/* One byte of an encoded text at *at, or -1 for a broken escape. */
static int decode(sb_str s, size_t *at)
{
    const char c = s.p[(*at)++];
    if (c != '%') return (unsigned char)c;
    if (s.n - *at < 2) return -1;
    const int high = sb_http_hex(s.p[*at]), low = sb_http_hex(s.p[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static sb_refusal check_segments(sb_str path)
{
    size_t begin = 1;
    for (size_t i = 1; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '/') continue;
        const size_t n = i - begin;
        const char *s = path.p + begin;
        if (!n && i < path.n) return (sb_refusal){400, "the path has an empty segment"};
        if ((n == 1 || n == 2) && s[0] == '.' && s[n - 1] == '.')
            return (sb_refusal){400, "the path has a dot segment"};
        begin = i + 1;
    }
    return (sb_refusal){0};
}

sb_refusal sb_target_parse(sb_str target, sb_buf *path, sb_str *query)
{
    const char *mark = memchr(target.p, '?', target.n);
    const sb_str raw = {target.p, mark ? (size_t)(mark - target.p) : target.n};
    *query = mark ? (sb_str){mark + 1, target.n - raw.n - 1} : (sb_str){target.p + target.n, 0};
    sb_buf_clear(path);
    for (size_t at = 0; at < raw.n;) {
        const int byte = decode(raw, &at);
        if (byte < 0) return (sb_refusal){400, "the path has a broken percent escape"};
        if (byte < ' ' || byte == 127 || byte == '\\')
            return (sb_refusal){400, "the path has a byte that no path may have"};
        const char c = (char)byte;
        if (sb_buf_add(path, &c, 1, NULL) != SB_OK)
            return (sb_refusal){503, "no memory for the request"};
    }
    if (sb_utf8_valid(path->p, path->n) != path->n)
        return (sb_refusal){400, "the path is not UTF-8"};
    return check_segments((sb_str){path->p, path->n});
}

/* One "name=value" decoded, '+' as a space; false when an escape is broken or memory is short. */
static bool decode_form(sb_str s, sb_buf *out)
{
    sb_buf_clear(out);
    for (size_t at = 0; at < s.n;) {
        const bool plus = s.p[at] == '+';
        const int byte = decode(s, &at);
        const char c = plus ? ' ' : (char)byte;
        if (byte < 0 || sb_buf_add(out, &c, 1, NULL) != SB_OK) return false;
    }
    return sb_buf_add(out, "", 0, NULL) == SB_OK && sb_utf8_valid(out->p, out->n) == out->n;
}

bool sb_http_query_find(sb_str query, const char *name, sb_buf *out)
{
    const size_t name_n = strlen(name);
    for (size_t at = 0; at < query.n;) {
        const char *p = query.p + at, *amp = memchr(p, '&', query.n - at);
        const size_t n = amp ? (size_t)(amp - p) : query.n - at;
        const char *equal = memchr(p, '=', n);
        const size_t key_n = equal ? (size_t)(equal - p) : n;
        at += n + 1;
        if (!decode_form((sb_str){p, key_n}, out) || out->n != name_n ||
            memcmp(out->p, name, name_n) != 0)
            continue;
        return decode_form((sb_str){equal ? equal + 1 : p + n, equal ? n - key_n - 1 : 0}, out);
    }
    sb_buf_clear(out);
    return false;
}

bool sb_http_host_split(sb_str text, sb_str *host, int *port)
{
    size_t n = text.n;
    *port = -1;
    if (n && text.p[0] == '[') {
        const char *end = memchr(text.p, ']', n);
        n = end ? (size_t)(end - text.p) + 1 : 0;
    } else {
        const char *colon = n ? memchr(text.p, ':', n) : NULL;
        if (colon) n = (size_t)(colon - text.p);
    }
    *host = (sb_str){text.p, n};
    if (n == text.n) return n > 0;
    const sb_str digits = {text.p + n + 1, text.n - n - 1};
    if (!n || text.p[n] != ':' || !digits.n || digits.n > 5) return false;
    *port = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return false;
        *port = *port * 10 + (digits.p[i] - '0');
    }
    return *port <= 65535;
}
