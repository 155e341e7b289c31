/* SPDX-License-Identifier: Apache-2.0
 * numbers.c - numbers from text, the same in every locale. */
#include "template/tpl.h"

#include <stdlib.h>

enum { NUMBER_BYTES = 400 }; /* of one number: more digits than a double can tell apart */

bool sb_tpl_read_int(sb_val s, int64_t base, int64_t *out)
{
    s = sb_text_trim(s, NULL, SB_TRIM_LEFT | SB_TRIM_RIGHT);
    size_t i = 0;
    const bool minus = s.as.s.n && s.as.s.p[0] == '-';
    if (s.as.s.n && (minus || s.as.s.p[0] == '+')) i++;
    int64_t v = 0;
    const char mark = s.as.s.n - i > 2 && s.as.s.p[i] == '0' ? (char)(s.as.s.p[i + 1] | 0x20) : 0;
    const int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked && (base == marked || base == 0)) {
        base = marked;
        i += 2;
    } else if (base == 0) {
        base = 10;
    }
    if (i == s.as.s.n || base < 2 || base > 36) return false;
    for (; i < s.as.s.n; i++) {
        const char c = s.as.s.p[i];
        const int64_t d = c >= '0' && c <= '9'                     ? c - '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                                   : 99;
        if (d >= base || ckd_mul(&v, v, base) || (minus ? ckd_sub(&v, v, d) : ckd_add(&v, v, d)))
            return false;
    }
    *out = v;
    return true;
}

/* The dot is taken out before strtod sees it, as that would want the locale's. */
bool sb_tpl_read_float(sb_val s, double *out)
{
    char text[NUMBER_BYTES + 8];
    size_t o = 0;
    int shift = 0;
    bool dot = false, digit = false, exp = false;
    s = sb_text_trim(s, NULL, SB_TRIM_LEFT | SB_TRIM_RIGHT);
    if (!s.as.s.n || s.as.s.n > NUMBER_BYTES) return false;
    for (size_t i = 0; i < s.as.s.n && !exp; i++) {
        const char c = s.as.s.p[i];
        if ((c | 0x20) == 'e' && digit) {
            int64_t e = 0;
            if (!sb_tpl_read_int(sb_text_cut(s, i + 1, s.as.s.n - i - 1), 10, &e) || e > 999 ||
                e < -999)
                return false;
            shift += (int)e;
            exp = true;
        } else if (c == '.' && !dot) {
            dot = true;
        } else if (c >= '0' && c <= '9') {
            digit = true;
            shift -= dot;
            text[o++] = c;
        } else if (i == 0 && (c == '-' || c == '+')) {
            text[o++] = c;
        } else {
            return false;
        }
    }
    if (!digit) return false;
    text[o++] = 'e';
    if (shift < 0) text[o++] = '-';
    const int s10 = abs(shift);
    text[o++] = (char)('0' + s10 / 1000);
    text[o++] = (char)('0' + s10 / 100 % 10);
    text[o++] = (char)('0' + s10 / 10 % 10);
    text[o++] = (char)('0' + s10 % 10);
    text[o] = 0;
    *out = strtod(text, NULL);
    return true;
}

sb_val sb_tpl_number(const char *p, size_t n, bool is_int)
{
    const sb_val text = {.type = SB_VAL_STR, .as.s = {.p = p, .n = n}};
    sb_val v = {.type = SB_VAL_INT, .from_content = true};
    double f = 0;
    if (is_int && sb_tpl_read_int(text, 10, &v.as.i)) return v;
    (void)sb_tpl_read_float(text, &f);
    v.type = SB_VAL_FLOAT;
    if (!is_int) {
        v.as.f = f;
        return v;
    }
    v.id = SB_FLOAT_BIG_INT;
    v.as.big.f = f;
    v.as.big.digits = p;
    v.as.big.n = n;
    return v;
}
