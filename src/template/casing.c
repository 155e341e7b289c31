/* SPDX-License-Identifier: Apache-2.0
 * casing.c - upper, lower, title and capital forms as Python makes them: whole mappings, some of
 * several characters, and the sigma that ends a word. */
#include "base/utf8.h"
#include "template/tpl.h"

#include <string.h>

#include <utf8proc.h>

/* Forms of several characters, or NULL; how is upper, lower or title. */
static const char *special(uint32_t cp, sb_case how)
{
    static const struct {
        uint32_t cp;
        const char *form[3];
    } all[] = {
#define X(cp, upper, lower, title) {cp, {upper, lower, title}},
#include "template/casing.def"
#undef X
    };
    size_t low = 0, high = SB_ARRAY_LEN(all);
    while (low < high) {
        const size_t mid = (low + high) / 2;
        if (all[mid].cp < cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == SB_ARRAY_LEN(all) || all[low].cp != cp) return NULL;
    const char *form = all[low].form[how];
    return *form ? form : NULL;
}

static bool is_cased(uint32_t cp)
{
    const utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)cp);
    return cat == UTF8PROC_CATEGORY_LU || cat == UTF8PROC_CATEGORY_LL ||
           cat == UTF8PROC_CATEGORY_LT;
}

/* What may stand inside a word without having a case. */
static bool is_ignorable(uint32_t cp)
{
    static const uint32_t marks[] = {'\'',   '.',    ':',    '^',    '`',    0xA8,
                                     0xAD,   0xAF,   0xB4,   0xB7,   0xB8,   0x387,
                                     0x55F,  0x5F4,  0x2018, 0x2019, 0x2024, 0x2027,
                                     0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < SB_ARRAY_LEN(marks); i++)
        if (marks[i] == cp) return true;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* True when a cased letter comes next to `at`, on the side of step, past what is ignorable. */
static sb_status has_cased(sb_run *r, sb_val s, size_t at, bool before, bool *out)
{
    const char *p = s.as.s.p;
    const size_t n = s.as.s.n;
    *out = false;
    for (;;) {
        uint32_t cp = 0;
        size_t len;
        if (before ? at == 0 : at == n) return SB_OK;
        if (before) do
                at--;
            while (((unsigned char)p[at] & 0xC0) == 0x80);
        len = sb_utf8_decode(p + at, n - at, &cp);
        if (!len) return SB_OK;
        SB_TRY(sb_tpl_spend(r, 1));
        if (!is_ignorable(cp)) {
            *out = is_cased(cp);
            return SB_OK;
        }
        if (!before) at += len;
    }
}

/* Sigma in lower case, at s[at]: the final form behind a letter and before none. */
static sb_status lower_sigma(sb_run *r, sb_val s, size_t at, utf8proc_int32_t *out)
{
    bool before, after;
    SB_TRY(has_cased(r, s, at, true, &before));
    SB_TRY(has_cased(r, s, at + 2, false, &after));
    *out = before && !after ? 0x3C2 : 0x3C3;
    return SB_OK;
}

/* One character of s at `at` in a form: upper, lower or title. */
static sb_status put_form(sb_text *b, sb_val s, size_t at, uint32_t cp, sb_case how)
{
    const bool content = s.as.s.marks ? s.as.s.marks[at] != 0 : s.from_content;
    const char *form = special(cp, how);
    if (form) return sb_text_add_raw(b, form, strlen(form), content);
    utf8proc_int32_t c = (utf8proc_int32_t)cp;
    if (how == SB_CASE_UPPER)
        c = utf8proc_toupper(c);
    else if (how == SB_CASE_TITLE)
        c = utf8proc_totitle(c);
    else if (cp == 0x3A3)
        SB_TRY(lower_sigma(b->r, s, at, &c));
    else
        c = utf8proc_tolower(c);
    char piece[4];
    return sb_text_add_raw(b, piece, sb_utf8_encode((uint32_t)c, piece), content);
}

sb_status sb_text_case(sb_run *r, sb_val s, sb_case how, sb_val *out)
{
    sb_text b = {.r = r};
    bool in_word = false;
    for (size_t i = 0, n; i < s.as.s.n; i += n) {
        uint32_t cp = 0;
        n = sb_utf8_decode(s.as.s.p + i, s.as.s.n - i, &cp);
        if (!n) break;
        SB_TRY(sb_tpl_spend(r, 1));
        const bool whole = how == SB_CASE_UPPER || how == SB_CASE_LOWER;
        SB_TRY(put_form(&b, s, i, cp, whole ? how : in_word ? SB_CASE_LOWER : SB_CASE_TITLE));
        // title() begins anew behind all that has no case, capitalize() only once
        in_word = how == SB_CASE_CAPITAL || is_cased(cp);
    }
    *out = sb_text_val(&b);
    return SB_OK;
}
