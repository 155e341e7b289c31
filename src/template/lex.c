/* SPDX-License-Identifier: Apache-2.0
 * lex.c - templates cut into texts, marks and tokens, with the reference's white-space rules.
 *
 * Rules kept (trim_blocks and lstrip_blocks on): a tag or comment eats one newline behind it, and
 * the blanks before it where only blanks stand before it on its line; prints do neither; "-" at a
 * mark eats all white space on that side, "+" switches the eating off. One pass, no regex. */
#include "base/limits.h"
#include "base/utf8.h"
#include "template/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places and errors ---- */

/* Places are asked for in rising order, so every byte is looked at once. Columns count bytes. */
static void place(sb_lexer *l, size_t at, int32_t *line, int32_t *col)
{
    for (; l->seen < at; l->seen++)
        if (l->p[l->seen] == '\n') {
            l->line++;
            l->line_at = l->seen + 1;
        }
    *line = l->line;
    *col = at >= l->line_at ? (int32_t)(at - l->line_at) + 1 : 1;
}

sb_status sb_tpl_lex_fail(sb_lexer *l, sb_status code, int32_t line, int32_t col, const char *fmt,
                          ...)
{
    char msg[SB_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return SB_FAIL(l->err, code, "chat template, line %d, column %d: %s", (int)line, (int)col, msg);
}

static sb_status fail_at(sb_lexer *l, size_t at, const char *what)
{
    int32_t line, col;
    place(l, at, &line, &col);
    return sb_tpl_lex_fail(l, SB_CORRUPT, line, col, "%s", what);
}

/* ---- white space ---- */

static size_t skip_space(const sb_lexer *l, size_t at)
{
    uint32_t cp;
    while (at < l->n) {
        const size_t n = sb_utf8_decode(l->p + at, l->n - at, &cp);
        if (!n || !sb_text_space(cp)) break;
        at += n;
    }
    return at;
}

/* End of [from, to) without its trailing white space. */
static size_t trim_right(const sb_lexer *l, size_t from, size_t to)
{
    const sb_val s = {.type = SB_VAL_STR, .as.s = {.p = l->p + from, .n = to - from}};
    return from + sb_text_trim(s, NULL, SB_TRIM_RIGHT).as.s.n;
}

/* Where the text [from, mark) ends, given the mark's kind and the sign behind it. */
static size_t text_end(const sb_lexer *l, size_t from, size_t mark, bool print, char sign)
{
    if (sign == '-') return trim_right(l, from, mark);
    if (sign == '+' || print) return mark;
    size_t line = mark;
    while (line > from && l->p[line - 1] != '\n')
        line--;
    if (line == from && !l->line_start) return mark;
    return skip_space(l, line) >= mark ? line : mark;
}

/* Moves past an end mark of `width` bytes at `at` and what it eats. */
static void finish_mark(sb_lexer *l, size_t at, size_t width, bool print, char sign)
{
    l->at = at + width;
    if (sign == '-')
        l->at = skip_space(l, l->at);
    else if (sign != '+' && !print && l->at < l->n && l->p[l->at] == '\n')
        l->at++;
    l->line_start = l->p[l->at - 1] == '\n';
}

/* ---- outside of tags ---- */

static char sign_at(const sb_lexer *l, size_t at)
{
    return at < l->n && (l->p[at] == '-' || l->p[at] == '+') ? l->p[at] : 0;
}

/* True when `word` stands at `at` after white space; *end is behind it and white space. */
static bool word_at(const sb_lexer *l, size_t at, const char *word, size_t *end)
{
    const size_t n = strlen(word);
    at = skip_space(l, at);
    if (l->n - at < n || memcmp(l->p + at, word, n) != 0) return false;
    *end = skip_space(l, at + n);
    return true;
}

/* Length of "%}", "-%}" or "+%}" at `at` and its sign, or 0. */
static size_t tag_end_at(const sb_lexer *l, size_t at, char *sign)
{
    *sign = sign_at(l, at);
    const size_t skip = *sign ? 1 : 0;
    return l->n - at >= 2 + skip && memcmp(l->p + at + skip, "%}", 2) == 0 ? 2 + skip : 0;
}

/* Kind of the mark that opens at `at`: '{', '%', '#', 'r' or 0. */
static char mark_at(const sb_lexer *l, size_t at)
{
    if (l->n - at < 2 || l->p[at] != '{') return 0;
    const char c = l->p[at + 1];
    if (c == '{' || c == '#') return c;
    if (c != '%') return 0;
    size_t end;
    char sign;
    if (!word_at(l, at + 2 + (sign_at(l, at + 2) != 0), "raw", &end)) return '%';
    return tag_end_at(l, end, &sign) && sign != '+' ? 'r' : '%';
}

static sb_status skip_comment(sb_lexer *l)
{
    const size_t open = l->pending_at;
    size_t at = open + 2 + (sign_at(l, open + 2) != 0);
    const size_t body = at;
    for (; l->n - at >= 2; at++) {
        if (memcmp(l->p + at, "#}", 2) != 0) continue;
        char sign = 0;
        if (at > body && (l->p[at - 1] == '-' || l->p[at - 1] == '+')) sign = l->p[at - 1];
        finish_mark(l, at, 2, false, sign);
        return SB_OK;
    }
    return fail_at(l, open, "comment without end");
}

/* The text of a raw block; l->at ends behind its end tag. */
static sb_status lex_raw(sb_lexer *l, sb_token *out)
{
    const size_t open = l->pending_at;
    size_t at = open, end;
    char sign;
    (void)word_at(l, open + 2 + (sign_at(l, open + 2) != 0), "raw", &at);
    const size_t width = tag_end_at(l, at, &sign);
    // The opening tag of a raw block eats no newline, only "-" does.
    finish_mark(l, at, width, true, sign);
    const size_t from = l->at;
    for (at = from; l->n - at >= 2; at++) {
        if (memcmp(l->p + at, "{%", 2) != 0) continue;
        const char open_sign = sign_at(l, at + 2);
        if (!word_at(l, at + 2 + (open_sign != 0), "endraw", &end)) continue;
        const size_t n = tag_end_at(l, end, &sign);
        if (!n) continue;
        out->kind = SB_T_TEXT;
        out->p = l->p + from;
        out->n = text_end(l, from, at, false, open_sign) - from;
        finish_mark(l, end, n, false, sign);
        return SB_OK;
    }
    return fail_at(l, open, "raw block without end");
}

/* The mark found before; comments give nothing: *got says whether out was filled. */
static sb_status lex_pending(sb_lexer *l, sb_token *out, bool *got)
{
    const char kind = l->pending;
    l->pending = 0;
    *got = kind != '#';
    place(l, l->pending_at, &out->line, &out->col);
    if (kind == '#') return skip_comment(l);
    if (kind == 'r') return lex_raw(l, out);
    l->in_print = kind == '{';
    l->depth = 0;
    out->kind = l->in_print ? SB_T_PRINT : SB_T_TAG;
    l->at = l->pending_at + 2 + (sign_at(l, l->pending_at + 2) != 0);
    return SB_OK;
}

sb_status sb_tpl_lex_data(sb_lexer *l, sb_token *out)
{
    for (;;) {
        *out = (sb_token){.kind = SB_T_EOF};
        if (l->pending) {
            bool got = false;
            SB_TRY(lex_pending(l, out, &got));
            if (got) return SB_OK;
            continue;
        }
        const size_t from = l->at;
        size_t at = from;
        while (at < l->n && !mark_at(l, at))
            at++;
        place(l, from, &out->line, &out->col);
        size_t end = at;
        if (at < l->n) {
            l->pending = mark_at(l, at);
            l->pending_at = at;
            end = text_end(l, from, at, l->pending == '{', sign_at(l, at + 2));
        }
        l->at = at;
        if (end > from) {
            out->kind = SB_T_TEXT;
            out->p = l->p + from;
            out->n = end - from;
            return SB_OK;
        }
        if (!l->pending) return SB_OK; // the end
    }
}

/* ---- inside tags ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Digits of a base with single underscores between; returns how many bytes, 0 when none. */
static size_t digits(const char *p, size_t n, int base)
{
    size_t i = 0;
    while (i < n) {
        const int d = hex_digit(p[i]);
        const bool joins = p[i] == '_' && i && i + 1 < n && p[i - 1] != '_';
        if (!joins && (d < 0 || d >= base)) break;
        i++;
    }
    return i && p[i - 1] == '_' ? i - 1 : i;
}

static sb_status int_value(sb_lexer *l, const char *p, size_t n, int base, int64_t *out)
{
    int64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '_') continue;
        if (ckd_mul(&v, v, base) || ckd_add(&v, v, hex_digit(p[i])))
            return fail_at(l, l->at, "number too large");
    }
    *out = v;
    return SB_OK;
}

/* A float's value by way of "digits e exponent", which reads the same in every locale. */
static sb_status float_value(sb_lexer *l, const char *p, size_t n, double *out)
{
    char text[400];
    size_t o = 0;
    int64_t exp = 0;
    bool after_dot = false;
    size_t i = 0;
    for (; i < n && (p[i] | 0x20) != 'e'; i++) {
        if (p[i] == '.') after_dot = true;
        if (!is_digit(p[i])) continue;
        if (o >= 300) return fail_at(l, l->at, "number too long");
        text[o++] = p[i];
        if (after_dot) exp--;
    }
    if (i < n) {
        const bool minus = p[++i] == '-';
        if (p[i] == '-' || p[i] == '+') i++;
        int64_t e = 0;
        for (; i < n; i++) {
            if (!is_digit(p[i])) continue;
            e = e * 10 + (p[i] - '0');
            if (e > 9999) return fail_at(l, l->at, "number too large");
        }
        exp += minus ? -e : e;
    }
    (void)snprintf(text + o, sizeof text - o, "e%d", (int)exp);
    *out = strtod(text, NULL);
    return *out <= 1.7976931348623157e308 ? SB_OK : fail_at(l, l->at, "number too large");
}

static sb_status lex_number(sb_lexer *l, sb_token *out)
{
    const char *p = l->p + l->at;
    const size_t n = l->n - l->at;
    static const struct {
        char letter;
        int base;
    } bases[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    out->kind = SB_T_INT;
    for (size_t i = 0; i < SB_ARRAY_LEN(bases); i++) {
        if (n < 3 || p[0] != '0' || (p[1] | 0x20) != bases[i].letter) continue;
        const size_t len = digits(p + 2, n - 2, bases[i].base);
        if (!len) break;
        SB_TRY(int_value(l, p + 2, len, bases[i].base, &out->i));
        l->at += 2 + len;
        return SB_OK;
    }
    const size_t whole = digits(p, n, 10);
    size_t len = whole;
    if (len + 1 < n && p[len] == '.' && is_digit(p[len + 1]))
        len += 1 + digits(p + len + 1, n - len - 1, 10);
    if (len + 1 < n && (p[len] | 0x20) == 'e') {
        const size_t sign = p[len + 1] == '-' || p[len + 1] == '+';
        const size_t e = digits(p + len + 1 + sign, n - len - 1 - sign, 10);
        if (e) len += 1 + sign + e;
    }
    if (len > whole) {
        out->kind = SB_T_FLOAT;
        SB_TRY(float_value(l, p, len, &out->f));
    } else {
        if (p[0] == '0' && whole > 1 && strspn(p, "0_") < whole)
            return fail_at(l, l->at, "number with leading zeros");
        SB_TRY(int_value(l, p, whole, 10, &out->i));
    }
    l->at += len;
    return SB_OK;
}

/* Hex digits of \x \u \U; false when they are missing or name no character. */
static bool read_hex(const char *p, size_t n, size_t want, uint32_t *out)
{
    uint32_t v = 0;
    if (n < want) return false;
    for (size_t i = 0; i < want; i++) {
        const int d = hex_digit(p[i]);
        if (d < 0) return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return v <= 0x10FFFF && !(v >= 0xD800 && v <= 0xDFFF);
}

/* One escape at p[n] (behind the backslash) into out; false when it is wrong. An unknown one gives
 * the backslash alone and uses nothing up, as in the reference. */
static bool unescape(const char *p, size_t n, char out[4], size_t *out_n, size_t *used)
{
    static const char plain[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    *out_n = *used = 1;
    for (size_t i = 0; plain[i]; i += 2)
        if (p[0] == plain[i]) {
            out[0] = plain[i + 1];
            return true;
        }
    uint32_t cp = 0;
    const size_t want = p[0] == 'x' ? 2 : p[0] == 'u' ? 4 : p[0] == 'U' ? 8 : 0;
    if (want) {
        if (!read_hex(p + 1, n - 1, want, &cp)) return false;
        *out_n = sb_utf8_encode(cp, out);
        *used = 1 + want;
        return true;
    }
    if (p[0] >= '0' && p[0] <= '7') {
        size_t i = 0;
        for (; i < 3 && i < n && p[i] >= '0' && p[i] <= '7'; i++)
            cp = cp << 3 | (uint32_t)(p[i] - '0');
        *out_n = sb_utf8_encode(cp, out);
        *used = i;
        return true;
    }
    if (p[0] == 'N') return false; // names of characters: no table for those
    if (p[0] == '\n') {
        *out_n = 0;
        return true;
    }
    out[0] = '\\';
    *used = 0;
    return true;
}

static sb_status lex_string(sb_lexer *l, sb_token *out)
{
    const char quote = l->p[l->at];
    const size_t from = l->at + 1;
    size_t end = from;
    while (end < l->n && l->p[end] != quote)
        end += l->p[end] == '\\' && end + 1 < l->n ? 2 : 1;
    if (end >= l->n) return fail_at(l, l->at, "string without end");
    out->kind = SB_T_STR;
    out->p = l->p + from;
    out->n = end - from;
    if (out->n && memchr(out->p, '\\', out->n)) {
        char *p = sb_region_bytes(l->mem, &l->mem->text, out->n); // escapes never grow
        if (!p) return sb_region_fail(l->mem, l->err);
        size_t n = 0;
        for (size_t i = from; i < end;) {
            if (l->p[i] != '\\') {
                p[n++] = l->p[i++];
                continue;
            }
            char piece[4];
            size_t piece_n, used;
            if (!unescape(l->p + i + 1, end - i - 1, piece, &piece_n, &used))
                return fail_at(l, i, "escape that names no character");
            memcpy(p + n, piece, piece_n);
            n += piece_n;
            i += 1 + used;
        }
        out->p = p;
        out->n = n;
    }
    l->at = end + 1;
    return SB_OK;
}

/* True when the tag or print ends here; depth 0 only, as brackets may hold "}}". */
static bool lex_end(sb_lexer *l, sb_token *out)
{
    const size_t at = l->at;
    char sign = 0;
    if (l->depth || at >= l->n) return false;
    if (!l->in_print) {
        const size_t n = tag_end_at(l, at, &sign);
        if (!n) return false;
        finish_mark(l, at, n, false, sign);
        out->kind = SB_T_TAG_END;
        return true;
    }
    const size_t skip = l->p[at] == '-';
    if (l->n - at < 2 + skip || memcmp(l->p + at + skip, "}}", 2) != 0) return false;
    finish_mark(l, at, 2 + skip, true, skip ? '-' : 0);
    out->kind = SB_T_PRINT_END;
    return true;
}

sb_status sb_tpl_lex_code(sb_lexer *l, sb_token *out)
{
    static const char *const ops[] = {"//", "**", "==", "!=", "<=", ">=", "+", "-", "*",
                                      "/",  "%",  "~",  "<",  ">",  "=",  "(", ")", "[",
                                      "]",  "{",  "}",  ",",  ".",  ":",  "|"};
    *out = (sb_token){.kind = SB_T_EOF};
    l->at = skip_space(l, l->at);
    place(l, l->at, &out->line, &out->col);
    if (lex_end(l, out)) return SB_OK;
    if (l->at >= l->n) return fail_at(l, l->at, "a tag or print without end");
    const char c = l->p[l->at];
    if (is_digit(c)) return lex_number(l, out);
    if (c == '"' || c == '\'') return lex_string(l, out);
    out->p = l->p + l->at;
    if (is_word(c)) {
        out->kind = SB_T_NAME;
        while (l->at < l->n && is_word(l->p[l->at]))
            l->at++;
        out->n = (size_t)(l->p + l->at - out->p);
        return SB_OK;
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(ops); i++) {
        const size_t n = strlen(ops[i]);
        if (l->n - l->at < n || memcmp(out->p, ops[i], n) != 0) continue;
        out->kind = SB_T_OP;
        out->n = n;
        if (c == '(' || c == '[' || c == '{') l->depth++;
        if ((c == ')' || c == ']' || c == '}') && l->depth) l->depth--;
        l->at += n;
        return SB_OK;
    }
    return fail_at(l, l->at, "unexpected character");
}
