/* SPDX-License-Identifier: Apache-2.0
 * print.c - values as the text a template prints: Python's str() and, inside containers, repr().
 *
 * Brackets and quotes of a printed container count as content: nothing of them can be part of a
 * control token, and fewer segments result. Strings inside keep their marks. */
#include "base/utf8.h"
#include "template/tpl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

/* Shortest digits that read back as f, as Python prints them: exponent form outside 1e-4..1e16. The
 * locale's decimal point is skipped, not assumed. */
size_t sb_tpl_float_text(double f, char out[40])
{
    char text[40], digits[24];
    if (isnan(f)) return (size_t)snprintf(out, 40, "nan");
    if (isinf(f)) return (size_t)snprintf(out, 40, f < 0 ? "-inf" : "inf");
    for (int prec = 0; prec < 17; prec++) {
        (void)snprintf(text, sizeof text, "%.*e", prec, f);
        if (strtod(text, NULL) == f) break;
    }
    size_t n = 0, o = 0;
    const char *e = strchr(text, 'e');
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    const bool minus = e[1] == '-';
    int exp = 0;
    for (const char *p = e + 2; *p; p++)
        exp = exp * 10 + (*p - '0');
    if (minus) exp = -exp;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (text[0] == '-') out[o++] = '-';
    if (exp < -4 || exp >= 16) {
        out[o++] = digits[0];
        if (n > 1) out[o++] = '.';
        memcpy(out + o, digits + 1, n - 1);
        o += n - 1;
        return o + (size_t)snprintf(out + o, 40 - o, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    }
    if (exp < 0) {
        out[o++] = '0';
        out[o++] = '.';
        for (int i = -1; i > exp; i--)
            out[o++] = '0';
        memcpy(out + o, digits, n);
        return o + n;
    }
    for (size_t i = 0; i <= (size_t)exp || i < n; i++) {
        if (i == (size_t)exp + 1) out[o++] = '.';
        out[o++] = i < n ? digits[i] : '0';
    }
    if (n <= (size_t)exp + 1) {
        out[o++] = '.';
        out[o++] = '0';
    }
    return o;
}

static bool printable(uint32_t cp)
{
    if (cp == ' ') return true;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

/* repr() of one character that cannot stand for itself, or 0. */
static size_t escape(uint32_t cp, char quote, char out[12])
{
    static const char plain[] = "\nn\rr\tt\\\\";
    for (size_t i = 0; plain[i]; i += 2)
        if (cp == (uint32_t)plain[i]) return (size_t)snprintf(out, 12, "\\%c", plain[i + 1]);
    if (cp == (uint32_t)quote) return (size_t)snprintf(out, 12, "\\%c", quote);
    if (printable(cp)) return 0;
    if (cp < 0x100) return (size_t)snprintf(out, 12, "\\x%02x", (unsigned)cp);
    return (size_t)snprintf(out, 12, cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
}

static sb_status repr_str(sb_text *b, sb_val s)
{
    const char *p = s.as.s.p;
    const size_t n = s.as.s.n;
    const char quote = n && memchr(p, '\'', n) && !memchr(p, '"', n) ? '"' : '\'';
    SB_TRY(sb_text_add_raw(b, &quote, 1, true));
    SB_TRY(sb_tpl_spend(b->r, n / 4));
    size_t from = 0;
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp = 0;
        char text[12];
        len = sb_utf8_decode(p + i, n - i, &cp);
        if (!len) break;
        const size_t text_n = escape(cp, quote, text);
        if (!text_n) continue;
        SB_TRY(sb_text_add(b, sb_text_cut(s, from, i - from)));
        SB_TRY(sb_text_add_raw(b, text, text_n, true));
        from = i + len;
    }
    SB_TRY(sb_text_add(b, sb_text_cut(s, from, n - from)));
    return sb_text_add_raw(b, &quote, 1, true);
}

static sb_status repr(sb_text *b, sb_val v);

static sb_status mark(sb_text *b, const char *s)
{
    return sb_text_add_raw(b, s, strlen(s), true);
}

static sb_status repr_list(sb_text *b, const sb_list *l, bool tuple)
{
    SB_TRY(mark(b, tuple ? "(" : "["));
    for (size_t i = 0; i < l->n; i++) {
        if (i) SB_TRY(mark(b, ", "));
        SB_TRY(repr(b, l->v[i]));
    }
    return mark(b, !tuple ? "]" : l->n == 1 ? ",)" : ")");
}

static sb_status repr_dict(sb_text *b, const sb_dict *d)
{
    SB_TRY(mark(b, "{"));
    for (size_t i = 0; i < d->n; i++) {
        if (i) SB_TRY(mark(b, ", "));
        SB_TRY(repr(b, d->v[i].k));
        SB_TRY(mark(b, ": "));
        SB_TRY(repr(b, d->v[i].v));
    }
    return mark(b, "}");
}

static sb_status scalar(sb_text *b, sb_val v)
{
    char text[40];
    size_t n = 0;
    switch ((sb_val_type)v.type) {
    case SB_VAL_UNDEFINED:
        return SB_OK;
    case SB_VAL_NULL:
        n = (size_t)snprintf(text, sizeof text, "None");
        break;
    case SB_VAL_BOOL:
        n = (size_t)snprintf(text, sizeof text, v.as.b ? "True" : "False");
        break;
    case SB_VAL_INT:
        n = (size_t)snprintf(text, sizeof text, "%lld", (long long)v.as.i);
        break;
    case SB_VAL_FLOAT:
        if (v.id == SB_FLOAT_BIG_INT)
            return sb_text_add_raw(b, v.as.big.digits, v.as.big.n, v.from_content);
        n = sb_tpl_float_text(v.as.f, text);
        break;
    case SB_VAL_STR:
    case SB_VAL_LIST:
    case SB_VAL_TUPLE:
    case SB_VAL_DICT:
    case SB_VAL_NAMESPACE:
    case SB_VAL_ITER:
    case SB_VAL_LOOP:
    case SB_VAL_MACRO:
    case SB_VAL_FUNCTION:
    case SB_VAL_METHOD:
        return sb_tpl_fail(b->r, SB_CORRUPT, "cannot print a %s", sb_tpl_type_name(v));
    }
    return sb_text_add_raw(b, text, n, v.from_content);
}

static sb_status repr(sb_text *b, sb_val v)
{
    SB_TRY(sb_tpl_descend(b->r));
    sb_status s;
    if (v.type == SB_VAL_STR)
        s = repr_str(b, v);
    else if (sb_val_is_seq(v))
        s = repr_list(b, v.as.list, v.type == SB_VAL_TUPLE);
    else if (v.type == SB_VAL_DICT)
        s = repr_dict(b, v.as.dict);
    else if (v.type == SB_VAL_UNDEFINED)
        s = mark(b, "Undefined");
    else
        s = scalar(b, v);
    b->r->depth--;
    return s;
}

sb_status sb_tpl_repr(sb_run *r, sb_val v, sb_val *out)
{
    sb_text b = {.r = r};
    SB_TRY(repr(&b, v));
    *out = sb_text_val(&b);
    return SB_OK;
}

sb_status sb_tpl_str(sb_run *r, sb_val v, sb_val *out)
{
    if (v.type == SB_VAL_STR) {
        *out = v;
        return SB_OK;
    }
    sb_text b = {.r = r};
    if (sb_val_is_seq(v) || v.type == SB_VAL_DICT)
        SB_TRY(repr(&b, v));
    else
        SB_TRY(scalar(&b, v));
    *out = sb_text_val(&b);
    return SB_OK;
}
