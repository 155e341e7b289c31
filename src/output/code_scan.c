/* SPDX-License-Identifier: Apache-2.0
 * code_scan.c - just enough of Python to know where a string ends. */
#include "output/code_scan.h"

/* Three of the same quote at p: 1, not: 0, not to be told yet: -1. */
static int is_triple(const char *p, size_t n, char quote, bool is_last)
{
    size_t i = 0;
    while (i < n && i < 3 && p[i] == quote)
        i++;
    if (i == 3) return 1;
    return i == n && !is_last ? -1 : 0;
}

static size_t in_string(sb_code_scan *s, const char *p, size_t n, bool is_last)
{
    if (p[0] == '\\') return n > 1 ? 2 : is_last ? 1 : 0;
    if (!s->triple) {
        if (p[0] == s->quote || p[0] == '\n') s->quote = 0; /* a line's end ends a broken string */
        return 1;
    }
    if (p[0] != s->quote) return 1;
    const int triple = is_triple(p, n, s->quote, is_last);
    if (triple < 0) return 0;
    if (triple) s->quote = 0;
    return triple ? 3 : 1;
}

size_t sb_code_scan_next(sb_code_scan *s, const char *p, size_t n, bool is_last)
{
    if (s->quote) return in_string(s, p, n, is_last);
    switch (p[0]) {
    case '"':
    case '\'': {
        const int triple = is_triple(p, n, p[0], is_last);
        if (triple < 0) return 0;
        s->quote = p[0];
        s->triple = triple;
        return triple ? 3 : 1;
    }
    case '(':
    case '[':
    case '{':
        s->depth++;
        return 1;
    case ')':
    case ']':
    case '}':
        if (s->depth > 0 && --s->depth == 0) s->is_closed = true;
        return 1;
    default:
        return 1;
    }
}
