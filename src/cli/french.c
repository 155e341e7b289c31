/* SPDX-License-Identifier: Apache-2.0
 * french.c - matches a line against the formats it may have come from.
 *
 * gettext would need a French locale, which a bare container lacks, and every message that a room
 * below makes would have to be marked there. Matching finished lines keeps the rooms in one
 * language. The row with the most literal characters wins, so "no model '%s'" loses to a longer
 * one. */
#include "cli/french.h"

#include <stdlib.h>
#include <string.h>

typedef struct french_row {
    const char *english, *french;
} french_row;

static const french_row rows[] = {
#define X(english, french) {english, french},
#include "cli/french-system.def"
#include "cli/french.def"
#undef X
};

enum { MAX_VALUES = 9, MAX_DEPTH = 5 };

typedef struct match {
    sb_str value[MAX_VALUES];
    int n;
    size_t n_literal;
} match;

static bool names_french(const char *s, size_t n)
{
    return n >= 2 && s[0] == 'f' && s[1] == 'r' && (n == 2 || strchr("_.@-", s[2]));
}

bool sb_french_wanted(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *locale = "";
    for (size_t i = 0; i < SB_ARRAY_LEN(names) && !*locale; i++) {
        const char *v = getenv(names[i]);
        if (v) locale = v;
    }
    if (!*locale || strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0) return false;
    const char *list = getenv("LANGUAGE");
    while (list && *list) { /* the first language that we speak */
        const size_t n = strcspn(list, ":");
        if (names_french(list, n)) return true;
        if (n >= 2 && list[0] == 'e' && list[1] == 'n') return false;
        list += n + (list[n] == ':');
    }
    return names_french(locale, strlen(locale));
}

/* Bytes of the conversion at p ("%-24s", "%.1f", "%zu") or 0; *kind: its letter. */
static size_t conversion(const char *p, char *kind)
{
    if (*p != '%' || p[1] == '%') return 0;
    size_t n = 1 + strspn(p + 1, "-+ #0123456789.*");
    n += strspn(p + n, "hlzjt");
    *kind = p[n];
    return n + 1;
}

static bool is_number(sb_str s)
{
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789abcdef.+- ", s.p[i])) return false;
    return true;
}

static bool keep_value(match *m, char kind, sb_str value)
{
    if (m->n == MAX_VALUES || (kind != 's' && kind != 'c' && !is_number(value))) return false;
    m->value[m->n++] = value;
    return true;
}

/* Literal characters from p up to the next conversion, with %% as one, in out. */
static const char *literal(const char *p, char *out, size_t room, size_t *n)
{
    char kind;
    for (*n = 0; *p && !conversion(p, &kind) && *n < room; p++) {
        out[(*n)++] = *p;
        if (p[0] == '%') p++;
    }
    return p;
}

static bool match_row(const char *format, sb_str line, match *m)
{
    char text[1024], kind = 0;
    size_t n = 0;
    const char *p = literal(format, text, sizeof text, &n);
    *m = (match){.n_literal = n};
    if (n > line.n || memcmp(line.p, text, n) != 0) return false;
    line = (sb_str){line.p + n, line.n - n};
    while (*p) {
        p += conversion(p, &kind);
        p = literal(p, text, sizeof text, &n);
        m->n_literal += n;
        if (n > line.n) return false;
        const char *at = n == 0 && *p ? line.p /* two conversions in a row: the first is empty */
                         : !*p        ? line.p + line.n - n
                                      : memmem(line.p, line.n, text, n);
        if (!at || memcmp(at, text, n) != 0) return false;
        if (!keep_value(m, kind, (sb_str){line.p, (size_t)(at - line.p)})) return false;
        line = (sb_str){at + n, line.n - (size_t)(at - line.p) - n};
    }
    return line.n == 0;
}

static const french_row *find_row(sb_str line, match *out)
{
    const french_row *best = NULL;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        match m;
        if (!match_row(rows[i].english, line, &m)) continue;
        if (best && m.n_literal <= out->n_literal) continue;
        best = &rows[i];
        *out = m;
    }
    return best;
}

static sb_status put_line(sb_buf *out, sb_str line, int depth, sb_error *err);

/* The French format with its values; a value may be a message itself. */
static sb_status fill(sb_buf *out, const char *french, const match *m, int depth, sb_error *err)
{
    for (const char *p = french; *p; p++) {
        const int i = p[0] == '%' ? p[1] - '1' : -1;
        if (i >= 0 && i < m->n)
            SB_TRY(put_line(out, m->value[i], depth + 1, err));
        else
            SB_TRY(sb_buf_add(out, p, 1, err));
        if (i >= 0) p++;
    }
    return SB_OK;
}

static sb_status put_line(sb_buf *out, sb_str line, int depth, sb_error *err)
{
    match m;
    if (line.n == 0) return SB_OK;
    const french_row *row = depth < MAX_DEPTH ? find_row(line, &m) : NULL;
    if (row) return fill(out, row->french, &m, depth, err);
    for (size_t i = 0; depth < MAX_DEPTH && i + 2 < line.n; i++) { /* "layer 12: MESSAGE" */
        if (line.p[i] != ':' || line.p[i + 1] != ' ') continue;
        const sb_str rest = {line.p + i + 2, line.n - i - 2};
        row = find_row(rest, &m);
        if (!row) continue;
        SB_TRY(sb_buf_add(out, line.p, i, err));
        SB_TRY(sb_buf_add(out, " : ", 3, err));
        return fill(out, row->french, &m, depth, err);
    }
    return sb_buf_add(out, line.p, line.n, err);
}

sb_status sb_french_line(sb_buf *out, sb_str line, sb_error *err)
{
    return put_line(out, line, 0, err);
}

sb_status sb_tr_line(sb_buf *out, sb_str line, sb_error *err)
{
    if (sb_french_wanted()) return put_line(out, line, 0, err);
    return sb_buf_add(out, line.p, line.n, err);
}

const char *sb_tr(const char *english)
{
    if (!sb_french_wanted()) return english;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].english, english) == 0) return rows[i].french;
    return english;
}
