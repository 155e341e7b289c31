/* SPDX-License-Identifier: Apache-2.0
 * format.c - "..." % values, as Python prints them. What a value adds is of the value's origin. */
#include "base/utf8.h"
#include "template/tpl.h"

#include <stdio.h>
#include <string.h>

enum { MAX_WIDTH = 1000, MAX_PRECISION = 100, NUMBER_BYTES = 1500 };

typedef struct printer {
    sb_run *r;
    sb_val format, args;
    size_t at;  /* in format */
    int next;   /* of a tuple's values */
    bool named; /* some field took its value by name */
    sb_text out;
} printer;

typedef struct field {
    char flags[8];        /* of "#0- +", each once */
    int width, precision; /* precision -1: none */
    char how;
} field;

static sb_status wrong(printer *p, const char *what)
{
    return sb_tpl_fail(p->r, SB_CORRUPT, "%% format: %s", what);
}

static char peek(const printer *p)
{
    return p->at < p->format.as.s.n ? p->format.as.s.p[p->at] : 0;
}

static sb_status read_count(printer *p, int max, int *out)
{
    *out = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++) {
        *out = *out * 10 + (peek(p) - '0');
        if (*out > max) return sb_tpl_fail(p->r, SB_LIMIT, "%% format: wider than %d", max);
    }
    return SB_OK;
}

/* "(name)" behind the percent sign, when it is there: its value. */
static sb_status read_name(printer *p, sb_val *v, bool *found)
{
    *found = peek(p) == '(';
    if (!*found) return SB_OK;
    const size_t close = sb_text_find(p->format, p->at, ")", 1);
    if (close == SIZE_MAX) return wrong(p, "a name without its bracket");
    if (p->args.type != SB_VAL_DICT) return wrong(p, "a name, but the values are no dict");
    const sb_val *hit =
        sb_dict_find(p->args.as.dict, p->format.as.s.p + p->at + 1, close - p->at - 1);
    if (!hit) return wrong(p, "a name that has no value");
    *v = *hit;
    p->at = close + 1;
    p->named = true;
    return SB_OK;
}

static sb_status read_field(printer *p, field *f)
{
    size_t n = 0;
    *f = (field){.precision = -1};
    for (; peek(p) && strchr("#0- +", peek(p)); p->at++)
        if (!strchr(f->flags, peek(p))) f->flags[n++] = peek(p);
    SB_TRY(read_count(p, MAX_WIDTH, &f->width));
    if (peek(p) == '.') {
        p->at++;
        SB_TRY(read_count(p, MAX_PRECISION, &f->precision));
    }
    if (peek(p) && strchr("hlL", peek(p))) p->at++; // Python reads and forgets these
    f->how = peek(p);
    if (!f->how) return wrong(p, "it ends inside a field");
    p->at++;
    return SB_OK;
}

/* The value of the next field without a name. */
static sb_status next_value(printer *p, sb_val *v)
{
    const int n = p->args.type == SB_VAL_TUPLE ? (int)p->args.as.list->n : 1;
    if (p->next >= n) return wrong(p, "not enough values");
    *v = p->args.type == SB_VAL_TUPLE ? p->args.as.list->v[p->next] : p->args;
    p->next++;
    return SB_OK;
}

/* ---- fields ---- */

static sb_status pad(printer *p, size_t n)
{
    char blanks[MAX_WIDTH];
    memset(blanks, ' ', sizeof blanks);
    return n ? sb_text_add_raw(&p->out, blanks, n, p->format.from_content) : SB_OK;
}

static sb_status put_text(printer *p, const field *f, sb_val s)
{
    size_t n = sb_text_count_cp(s), bytes = s.as.s.n;
    if (f->precision >= 0 && n > (size_t)f->precision) {
        for (n = bytes = 0; bytes < s.as.s.n; bytes++)
            if (((unsigned char)s.as.s.p[bytes] & 0xC0) != 0x80 && n++ == (size_t)f->precision)
                break;
        n = (size_t)f->precision;
    }
    const size_t blank = (size_t)f->width > n ? (size_t)f->width - n : 0;
    const bool left = strchr(f->flags, '-') != NULL;
    if (!left) SB_TRY(pad(p, blank));
    SB_TRY(sb_text_add(&p->out, sb_text_cut(s, 0, bytes)));
    return left ? pad(p, blank) : SB_OK;
}

/* snprintf writes the locale's decimal point: put the dot there. */
static size_t plain_point(char *s, size_t n)
{
    char probe[16];
    const int k = snprintf(probe, sizeof probe, "%.1f", 0.0);
    const size_t point_n = k > 2 && k < (int)sizeof probe ? (size_t)k - 2 : 1;
    char *at = memmem(s, n, probe + 1, point_n);
    if (!at || (point_n == 1 && *at == '.')) return n;
    *at = '.';
    memmove(at + 1, at + point_n, n - (size_t)(at - s) - point_n);
    return n - point_n + 1;
}

static sb_status put_number(printer *p, const field *f, sb_val v)
{
    char c_format[24], text[NUMBER_BYTES];
    int64_t i = 0;
    double d = 0;
    int n;
    const bool real = strchr("eEfFgG", f->how) != NULL, decimal = strchr("diu", f->how) != NULL;
    if (!sb_val_number(v, &d) || (!real && !decimal && v.type == SB_VAL_FLOAT))
        return wrong(p, "a number is wanted");
    if (real) {
        (void)snprintf(c_format, sizeof c_format, "%%%s*.*%c", f->flags, f->how);
        n = snprintf(text, sizeof text, c_format, f->width, f->precision < 0 ? 6 : f->precision, d);
    } else {
        if (!sb_val_whole(v, &i)) {
            if (!(d > -9.2e18 && d < 9.2e18)) return wrong(p, "a number too large");
            i = (int64_t)d;
        }
        if (i < 0 && !decimal) return wrong(p, "a negative number in hexadecimal or octal");
        (void)snprintf(c_format, sizeof c_format, "%%%s*.*ll%c", f->flags, decimal ? 'd' : f->how);
        n = snprintf(text, sizeof text, c_format, f->width, f->precision, (long long)i);
    }
    if (n < 0 || (size_t)n >= sizeof text) return wrong(p, "a number too long");
    const size_t len = real ? plain_point(text, (size_t)n) : (size_t)n;
    return sb_text_add_raw(&p->out, text, len, v.from_content);
}

static sb_status put_char(printer *p, const field *f, sb_val v)
{
    char piece[4];
    int64_t i;
    if (sb_val_is_str(v) && sb_text_count_cp(v) == 1) return put_text(p, f, v);
    if (!sb_val_whole(v, &i) || i < 0 || i > 0x10FFFF || (i >= 0xD800 && i <= 0xDFFF))
        return wrong(p, "%c wants a character");
    const sb_val s = {.type = SB_VAL_STR,
                      .from_content = v.from_content,
                      .as.s = {.p = piece, .n = sb_utf8_encode((uint32_t)i, piece)}};
    sb_text one = {.r = p->r};
    SB_TRY(sb_text_add_raw(&one, s.as.s.p, s.as.s.n, s.from_content));
    return put_text(p, f, sb_text_val(&one));
}

static sb_status put_field(printer *p)
{
    field f;
    sb_val v = {0};
    bool named = false;
    SB_TRY(read_name(p, &v, &named));
    SB_TRY(read_field(p, &f));
    if (f.how == '%') {
        const sb_val sign = sb_val_literal("%");
        return sb_text_add(&p->out, sign);
    }
    if (!named) SB_TRY(next_value(p, &v));
    if (f.how == 's')
        SB_TRY(sb_tpl_str(p->r, v, &v));
    else if (f.how == 'r')
        SB_TRY(sb_tpl_repr(p->r, v, &v));
    if ((f.how == 's' || f.how == 'r') && p->format.id == SB_STR_SAFE)
        SB_TRY(sb_text_escape(p->r, v, &v));
    if (f.how == 's' || f.how == 'r') return put_text(p, &f, v);
    if (f.how == 'c') return put_char(p, &f, v);
    if (strchr("diueEfFgGxXo", f.how)) return put_number(p, &f, v);
    return sb_tpl_fail(p->r, SB_CORRUPT, "%% format: '%%%c' is not known",
                       f.how > ' ' && f.how < 0x7F ? f.how : '?');
}

sb_status sb_tpl_printf(sb_run *r, sb_val format, sb_val args, sb_val *out)
{
    printer p = {.r = r, .format = format, .args = args, .out = {.r = r}};
    for (;;) {
        size_t hit = sb_text_find(format, p.at, "%", 1);
        const bool end = hit == SIZE_MAX;
        if (end) hit = format.as.s.n;
        SB_TRY(sb_tpl_spend(r, 1 + (hit - p.at) / 32));
        SB_TRY(sb_text_add(&p.out, sb_text_cut(format, p.at, hit - p.at)));
        if (end) break;
        p.at = hit + 1;
        SB_TRY(put_field(&p));
    }
    const bool all = p.args.type == SB_VAL_TUPLE ? p.next == (int)args.as.list->n
                     : args.type == SB_VAL_DICT || args.type == SB_VAL_LIST ? true
                                                                            : p.next == 1;
    if (!all && !p.named) return wrong(&p, "values that no field prints");
    *out = sb_text_val(&p.out);
    out->id = format.id;
    return SB_OK;
}
