/* SPDX-License-Identifier: Apache-2.0
 * router.c - routes.def as a table, walked in order. A tree would save microseconds and hide which
 * row wins. */
#include "server/router.h"

#include <stdio.h>
#include <string.h>

static const sb_route rows[] = {
#define X(method, path, handler, auth, kind, body, dialect, what)                                  \
    {#method,        path,           sb_route_##handler,    SB_AUTH_##auth,                        \
     SB_KIND_##kind, SB_BODY_##body, &sb_dialect_##dialect, what},
#include "server/routes.def"
#undef X
};

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

const sb_route *sb_route_rows(size_t *out_n)
{
    *out_n = SB_ARRAY_LEN(rows);
    return rows;
}

static bool equal(sb_str s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static bool starts(sb_str s, const char *text)
{
    const size_t n = strlen(text);
    return s.n >= n && memcmp(s.p, text, n) == 0;
}

/* One segment of the pattern against one of the path at a time. */
static bool fits(const char *pattern, sb_str path)
{
    size_t at = 0;
    while (*pattern) {
        if (strcmp(pattern, "**") == 0) return at < path.n;
        if (*pattern == '*') {
            const size_t begin = at;
            while (at < path.n && path.p[at] != '/')
                at++;
            if (at == begin) return false;
            pattern++;
        } else if (at < path.n && path.p[at] == *pattern) {
            at++;
            pattern++;
        } else {
            return false;
        }
    }
    return at == path.n;
}

static bool takes(const sb_route *r, sb_str method)
{
    if (strcmp(r->method, "ANY") == 0) return !equal(method, "OPTIONS");
    return equal(method, r->method) || (equal(method, "HEAD") && strcmp(r->method, "GET") == 0);
}

static void add_allowed(char allow[SB_ALLOW_BYTES], const char *method)
{
    const size_t n = strlen(allow);
    if (strstr(allow, method)) return;
    (void)snprintf(allow + n, SB_ALLOW_BYTES - n, "%s%s", n ? ", " : "", method);
    if (strcmp(method, "GET") == 0) add_allowed(allow, "HEAD");
}

int sb_route_find(sb_str method, sb_str path, const sb_route **out, char allow[SB_ALLOW_BYTES])
{
    bool known = false, there = false;
    allow[0] = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(methods); i++)
        known |= equal(method, methods[i]);
    if (!known) return 501;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        if (!fits(rows[i].path, path)) continue;
        if (takes(&rows[i], method)) {
            *out = &rows[i];
            return 200;
        }
        there = true;
        if (strcmp(rows[i].method, "ANY") != 0) add_allowed(allow, rows[i].method);
    }
    return there ? 405 : 404;
}

/* The first row whose path fits has the word; unknown paths by their beginning. */
const sb_dialect *sb_route_dialect(sb_str path)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (fits(rows[i].path, path)) return rows[i].dialect;
    if (starts(path, "/api/")) return &sb_dialect_ollama_chat;
    return starts(path, "/v1/") || starts(path, "/sobre/") ? &sb_dialect_openai_chat
                                                           : &sb_dialect_llama_completion;
}

sb_str sb_path_segment(sb_str path, int i)
{
    size_t at = 1;
    for (; i > 0 && at < path.n; at++)
        if (path.p[at] == '/') i--;
    size_t end = at;
    while (end < path.n && path.p[end] != '/')
        end++;
    return at <= path.n && i == 0 ? (sb_str){path.p + at, end - at} : (sb_str){NULL, 0};
}
