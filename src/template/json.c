/* SPDX-License-Identifier: Apache-2.0
 * json.c - JSON text to values: tools, arguments and variables from outside, and from_json.
 *
 * Strict (RFC 8259), one pass, everything into the region: a parser of its own and not jansson's,
 * as the values are ours, their order is the text's, and what is too big for an int64 keeps its
 * digits. Of equal keys the last value counts, as in Python. */
#include "base/limits.h"
#include "base/utf8.h"
#include "template/tpl.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 400 }; /* of one number */

typedef struct reader {
    sb_region *mem;
    const char *p;
    size_t n, at;
    int depth;
    sb_error *err;
} reader;

static sb_status wrong(reader *r, const char *what)
{
    return SB_FAIL(r->err, SB_INVALID, "JSON, byte %zu: %s", r->at, what);
}

static void skip_space(reader *r)
{
    while (r->at < r->n && (r->p[r->at] == ' ' || r->p[r->at] == '\n' || r->p[r->at] == '\r' ||
                            r->p[r->at] == '\t'))
        r->at++;
}

static bool take(reader *r, char c)
{
    if (r->at == r->n || r->p[r->at] != c) return false;
    r->at++;
    return true;
}

/* ---- strings ---- */

static bool hex4(reader *r, uint32_t *out)
{
    uint32_t v = 0;
    if (r->n - r->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        const char c = r->p[r->at + (size_t)i], low = (char)(c | 0x20);
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (low < 'a' || low > 'f')) return false;
        v = v << 4 | (uint32_t)(digit ? c - '0' : low - 'a' + 10);
    }
    r->at += 4;
    *out = v;
    return true;
}

/* The character behind "\u", a pair of surrogates taken as one. */
static bool read_unicode(reader *r, uint32_t *cp)
{
    uint32_t low;
    if (!hex4(r, cp)) return false;
    if (*cp < 0xD800 || *cp > 0xDFFF) return true;
    if (*cp > 0xDBFF || !take(r, '\\') || !take(r, 'u') || !hex4(r, &low)) return false;
    if (low < 0xDC00 || low > 0xDFFF) return false;
    *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

static sb_status read_escape(reader *r, char *out, size_t *n)
{
    static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const char c = r->at < r->n ? r->p[r->at] : 0;
    for (size_t i = 0; plain[i]; i += 2)
        if (c == plain[i]) {
            out[(*n)++] = plain[i + 1];
            r->at++;
            return SB_OK;
        }
    uint32_t cp = 0;
    if (!take(r, 'u') || !read_unicode(r, &cp))
        return wrong(r, "an escape that names no character");
    *n += sb_utf8_encode(cp, out + *n);
    return SB_OK;
}

/* Escapes never grow, so the text takes at most what it takes in JSON. */
static sb_status read_string(reader *r, sb_val *out)
{
    const size_t from = r->at;
    size_t end = from, n = 0;
    while (end < r->n && r->p[end] != '"')
        end += r->p[end] == '\\' && end + 1 < r->n ? 2 : 1;
    if (end >= r->n) return wrong(r, "a string without end");
    char *text = sb_region_bytes(r->mem, &r->mem->text, end - from);
    if (!text) return sb_region_fail(r->mem, r->err);
    while (r->at < end) {
        const char c = r->p[r->at];
        if ((unsigned char)c < 0x20) return wrong(r, "a control character in a string");
        r->at++;
        if (c == '\\')
            SB_TRY(read_escape(r, text, &n));
        else
            text[n++] = c;
    }
    r->at++;
    *out = (sb_val){.type = SB_VAL_STR, .from_content = true, .as.s = {.p = text, .n = n}};
    return SB_OK;
}

/* ---- numbers ---- */

static size_t skip_digits(reader *r)
{
    const size_t from = r->at;
    while (r->at < r->n && r->p[r->at] >= '0' && r->p[r->at] <= '9')
        r->at++;
    return r->at - from;
}

/* The text of a number, checked; strtod's locale does not matter, as the dot goes into the
 * exponent (sb_tpl_read_float). */
static sb_status read_number(reader *r, sb_val *out)
{
    const size_t from = r->at;
    (void)take(r, '-');
    const bool zero = r->at < r->n && r->p[r->at] == '0';
    const size_t whole = skip_digits(r);
    if (!whole || (zero && whole > 1)) return wrong(r, "a value expected");
    bool is_int = true;
    if (take(r, '.')) {
        is_int = false;
        if (!skip_digits(r)) return wrong(r, "digits expected");
    }
    if (r->at < r->n && (r->p[r->at] | 0x20) == 'e') {
        is_int = false;
        r->at++;
        if (!take(r, '+')) (void)take(r, '-');
        if (!skip_digits(r)) return wrong(r, "digits expected");
    }
    const size_t n = r->at - from;
    if (n > NUMBER_BYTES) return wrong(r, "a number of too many digits");
    char *text = sb_region_bytes(r->mem, &r->mem->text, n);
    if (!text) return sb_region_fail(r->mem, r->err);
    memcpy(text, r->p + from, n);
    *out = sb_tpl_number(text, n, is_int);
    return SB_OK;
}

/* ---- containers ---- */

static sb_status read_value(reader *r, sb_val *out);

static sb_status read_list(reader *r, sb_val *out)
{
    sb_list *l = sb_list_new(r->mem, 0);
    if (!l) return sb_region_fail(r->mem, r->err);
    *out = sb_val_of_list(l, SB_VAL_LIST);
    skip_space(r);
    if (take(r, ']')) return SB_OK;
    do {
        sb_val v = {0};
        SB_TRY(read_value(r, &v));
        if (!sb_list_push(r->mem, l, v)) return sb_region_fail(r->mem, r->err);
    } while (take(r, ','));
    return take(r, ']') ? SB_OK : wrong(r, "',' or ']' expected");
}

static sb_status read_dict(reader *r, sb_val *out)
{
    sb_dict *d = sb_dict_new(r->mem);
    if (!d) return sb_region_fail(r->mem, r->err);
    *out = sb_val_of_dict(d, SB_VAL_DICT);
    skip_space(r);
    if (take(r, '}')) return SB_OK;
    do {
        sb_val k = {0}, v = {0};
        skip_space(r);
        if (!take(r, '"')) return wrong(r, "a key in quotes expected");
        SB_TRY(read_string(r, &k));
        skip_space(r);
        if (!take(r, ':')) return wrong(r, "':' expected");
        SB_TRY(read_value(r, &v));
        if (!sb_dict_put(r->mem, d, k, v)) return sb_region_fail(r->mem, r->err);
    } while (take(r, ','));
    return take(r, '}') ? SB_OK : wrong(r, "',' or '}' expected");
}

static bool take_word(reader *r, const char *word)
{
    const size_t n = strlen(word);
    if (r->n - r->at < n || memcmp(r->p + r->at, word, n) != 0) return false;
    r->at += n;
    return true;
}

/* A value and the space around it. */
static sb_status read_value(reader *r, sb_val *out)
{
    sb_status s = SB_OK;
    if (++r->depth > SB_MAX_JSON_DEPTH)
        return SB_FAIL(r->err, SB_LIMIT, "JSON, byte %zu: nested more than %d deep", r->at,
                       SB_MAX_JSON_DEPTH);
    skip_space(r);
    if (take(r, '{'))
        s = read_dict(r, out);
    else if (take(r, '['))
        s = read_list(r, out);
    else if (take(r, '"'))
        s = read_string(r, out);
    else if (take_word(r, "true"))
        *out = sb_val_bool(true);
    else if (take_word(r, "false"))
        *out = sb_val_bool(false);
    else if (take_word(r, "null"))
        *out = sb_val_null();
    else
        s = read_number(r, out);
    SB_TRY(s);
    skip_space(r);
    r->depth--;
    return SB_OK;
}

sb_status sb_tpl_json_read(sb_region *mem, sb_str json, sb_val *out, sb_error *err)
{
    reader r = {.mem = mem, .p = json.p, .n = json.n, .err = err};
    sb_val v = {0};
    const size_t bad = sb_utf8_valid(json.p, json.n);
    if (bad != json.n) return SB_FAIL(err, SB_INVALID, "JSON, byte %zu: not UTF-8", bad);
    SB_TRY(read_value(&r, &v));
    if (r.at != r.n) return wrong(&r, "more than one value");
    *out = v;
    return SB_OK;
}
