/* SPDX-License-Identifier: Apache-2.0
 * text.c - strings that know where each byte came from.
 *
 * A string is its bytes and, only when both origins meet in it, one mark per byte. Cutting shares
 * both; building appends both. A list of spans would be smaller for long strings, but every
 * operation would have to be written twice: for bytes, and for bytes that lie in pieces. */
#include "base/utf8.h"
#include "template/tpl.h"

#include <string.h>

enum { BYTES_PER_STEP = 32 };

bool sb_text_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

/* ---- building ---- */

/* Marks for all of b and n_more behind; filled for b where it had none. */
static uint8_t *need_marks(sb_text *b, size_t n_more)
{
    sb_region *m = &b->r->mem;
    uint8_t *marks;
    if (b->marks) {
        marks = sb_region_extend(m, &m->marks, b->marks, b->n, n_more);
    } else {
        size_t both;
        if (ckd_add(&both, b->n, n_more)) return NULL;
        marks = sb_region_bytes(m, &m->marks, both);
        if (marks) memset(marks, b->from_content, b->n);
    }
    if (marks) b->marks = marks;
    return marks;
}

sb_status sb_text_add(sb_text *b, sb_val s)
{
    const size_t n = s.as.s.n;
    if (!n) return SB_OK;
    SB_TRY(sb_tpl_spend(b->r, n / BYTES_PER_STEP));
    if (!b->n) { // the first piece is shared, not copied
        b->p = s.as.s.p;
        b->marks = s.as.s.marks;
        b->n = n;
        b->from_content = s.from_content;
        return SB_OK;
    }
    sb_region *m = &b->r->mem;
    if (b->marks || s.as.s.marks || b->from_content != s.from_content) {
        uint8_t *marks = need_marks(b, n);
        if (!marks) return sb_tpl_oom(b->r);
        if (s.as.s.marks)
            memcpy(marks + b->n, s.as.s.marks, n);
        else
            memset(marks + b->n, s.from_content, n);
    }
    char *p = sb_region_extend(m, &m->text, b->p, b->n, n);
    if (!p) return sb_tpl_oom(b->r);
    if (p != b->p) SB_TRY(sb_tpl_spend(b->r, b->n / BYTES_PER_STEP)); // it had to move
    memcpy(p + b->n, s.as.s.p, n);
    b->p = p;
    b->n += n;
    return SB_OK;
}

sb_status sb_text_add_raw(sb_text *b, const char *p, size_t n, bool from_content)
{
    // The first piece would be shared: bytes of the caller's stack must be copied instead.
    if (!b->n && n) {
        char *copy = sb_region_bytes(&b->r->mem, &b->r->mem.text, n);
        if (!copy) return sb_tpl_oom(b->r);
        p = memcpy(copy, p, n);
    }
    return sb_text_add(
        b, (sb_val){.type = SB_VAL_STR, .from_content = from_content, .as.s = {.p = p, .n = n}});
}

sb_val sb_text_val(const sb_text *b)
{
    return (sb_val){.type = SB_VAL_STR,
                    .from_content = b->from_content,
                    .as.s = {.p = b->n ? b->p : "", .n = b->n, .marks = b->marks}};
}

sb_status sb_text_cat(sb_run *r, sb_val a, sb_val b, sb_val *out)
{
    sb_text t = {.r = r};
    SB_TRY(sb_text_add(&t, a));
    SB_TRY(sb_text_add(&t, b));
    *out = sb_text_val(&t);
    return SB_OK;
}

sb_val sb_text_cut(sb_val s, size_t at, size_t n)
{
    s.as.s.p += at;
    s.as.s.n = n;
    if (s.as.s.marks) s.as.s.marks += at;
    return s;
}

/* ---- looking ---- */

size_t sb_text_find(sb_val s, size_t from, const char *p, size_t n)
{
    if (from > s.as.s.n) return SIZE_MAX;
    const char *hit = n ? memmem(s.as.s.p + from, s.as.s.n - from, p, n) : s.as.s.p + from;
    return hit ? (size_t)(hit - s.as.s.p) : SIZE_MAX;
}

size_t sb_text_count_cp(sb_val s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.as.s.n; i++)
        n += ((unsigned char)s.as.s.p[i] & 0xC0) != 0x80;
    return n;
}

static bool in_set(uint32_t cp, const sb_val *chars)
{
    if (!chars) return sb_text_space(cp);
    for (size_t i = 0; i < chars->as.s.n;) {
        uint32_t c = 0;
        const size_t n = sb_utf8_decode(chars->as.s.p + i, chars->as.s.n - i, &c);
        if (!n) return false;
        if (c == cp) return true;
        i += n;
    }
    return false;
}

sb_val sb_text_trim(sb_val s, const sb_val *chars, int sides)
{
    const char *p = s.as.s.p;
    size_t from = 0, to = s.as.s.n;
    uint32_t cp;
    while (sides & SB_TRIM_LEFT && from < to) {
        const size_t n = sb_utf8_decode(p + from, to - from, &cp);
        if (!n || !in_set(cp, chars)) break;
        from += n;
    }
    while (sides & SB_TRIM_RIGHT && to > from) {
        size_t at = to - 1;
        while (at > from && ((unsigned char)p[at] & 0xC0) == 0x80)
            at--;
        if (sb_utf8_decode(p + at, to - at, &cp) != to - at || !in_set(cp, chars)) break;
        to = at;
    }
    return sb_text_cut(s, from, to - from);
}

/* ---- rewriting ---- */

/* replace() with nothing to find: the new text before every character and at the end. */
static sb_status interleave(sb_run *r, sb_val s, sb_val new, int64_t max, sb_val *out)
{
    sb_text b = {.r = r};
    size_t i = 0;
    uint32_t cp;
    for (; max && i < s.as.s.n; max--) {
        const size_t n = sb_utf8_decode(s.as.s.p + i, s.as.s.n - i, &cp);
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_text_add(&b, new));
        SB_TRY(sb_text_add(&b, sb_text_cut(s, i, n)));
        i += n;
    }
    SB_TRY(sb_text_add(&b, sb_text_cut(s, i, s.as.s.n - i)));
    if (max) SB_TRY(sb_text_add(&b, new));
    *out = sb_text_val(&b);
    return SB_OK;
}

sb_status sb_text_replace(sb_run *r, sb_val s, sb_val old, sb_val new, int64_t max, sb_val *out)
{
    if (!old.as.s.n) return interleave(r, s, new, max, out);
    sb_text b = {.r = r};
    size_t from = 0;
    SB_TRY(sb_tpl_spend(r, s.as.s.n / BYTES_PER_STEP));
    for (; max; max--) {
        const size_t hit = sb_text_find(s, from, old.as.s.p, old.as.s.n);
        if (hit == SIZE_MAX) break;
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_text_add(&b, sb_text_cut(s, from, hit - from)));
        SB_TRY(sb_text_add(&b, new));
        from = hit + old.as.s.n;
    }
    SB_TRY(sb_text_add(&b, sb_text_cut(s, from, s.as.s.n - from)));
    *out = sb_text_val(&b);
    return SB_OK;
}

static sb_status push_cut(sb_run *r, sb_list *l, sb_val s, size_t from, size_t to)
{
    SB_TRY(sb_tpl_spend(r, 1));
    return sb_list_push(&r->mem, l, sb_text_cut(s, from, to - from)) ? SB_OK : sb_tpl_oom(r);
}

/* Splits at runs of white space; leading and trailing runs give nothing. */
static sb_status split_space(sb_run *r, sb_val s, int64_t max, sb_list *l)
{
    s = sb_text_trim(s, NULL, SB_TRIM_LEFT);
    while (s.as.s.n) {
        size_t end = 0, n = 0;
        uint32_t cp = 0;
        if (!max) end = s.as.s.n;
        for (; max && end < s.as.s.n; end += n) {
            n = sb_utf8_decode(s.as.s.p + end, s.as.s.n - end, &cp);
            if (!n || sb_text_space(cp)) break;
        }
        SB_TRY(push_cut(r, l, s, 0, end));
        if (!max) return SB_OK;
        max--;
        s = sb_text_trim(sb_text_cut(s, end, s.as.s.n - end), NULL, SB_TRIM_LEFT);
    }
    return SB_OK;
}

static void turn_round(sb_list *l)
{
    for (size_t i = 0; i < l->n / 2; i++) {
        const sb_val v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
}

/* The same from the end, at most max times. */
static sb_status split_space_right(sb_run *r, sb_val s, int64_t max, sb_list *l)
{
    s = sb_text_trim(s, NULL, SB_TRIM_RIGHT);
    for (; max && s.as.s.n; max--) {
        size_t from = s.as.s.n;
        while (from) {
            size_t at = from - 1;
            uint32_t cp = 0;
            while (at && ((unsigned char)s.as.s.p[at] & 0xC0) == 0x80)
                at--;
            if (!sb_utf8_decode(s.as.s.p + at, from - at, &cp) || sb_text_space(cp)) break;
            from = at;
        }
        SB_TRY(push_cut(r, l, s, from, s.as.s.n));
        s = sb_text_trim(sb_text_cut(s, 0, from), NULL, SB_TRIM_RIGHT);
    }
    if (s.as.s.n) SB_TRY(push_cut(r, l, s, 0, s.as.s.n));
    turn_round(l);
    return SB_OK;
}

/* Last place of sep that ends at or before `end`, or SIZE_MAX. */
static size_t find_last(sb_val s, size_t end, sb_val sep)
{
    const size_t n = sep.as.s.n;
    for (size_t at = end; at >= n; at--)
        if (memcmp(s.as.s.p + at - n, sep.as.s.p, n) == 0) return at - n;
    return SIZE_MAX;
}

static sb_status split_right(sb_run *r, sb_val s, sb_val sep, int64_t max, sb_list *l)
{
    size_t end = s.as.s.n;
    for (; max; max--) {
        const size_t hit = find_last(s, end, sep);
        if (hit == SIZE_MAX) break;
        SB_TRY(push_cut(r, l, s, hit + sep.as.s.n, end));
        end = hit;
    }
    SB_TRY(push_cut(r, l, s, 0, end));
    turn_round(l);
    return SB_OK;
}

sb_status sb_text_split(sb_run *r, sb_val s, const sb_val *sep, int64_t max, bool from_right,
                        sb_val *out)
{
    sb_list *l = sb_list_new(&r->mem, 0);
    if (!l) return sb_tpl_oom(r);
    *out = sb_val_of_list(l, SB_VAL_LIST);
    SB_TRY(sb_tpl_spend(r, s.as.s.n / BYTES_PER_STEP));
    if (!sep) {
        return from_right && max >= 0 ? split_space_right(r, s, max, l) : split_space(r, s, max, l);
    }
    if (!sep->as.s.n) return sb_tpl_fail(r, SB_CORRUPT, "split at an empty separator");
    if (from_right) return split_right(r, s, *sep, max, l);
    size_t from = 0;
    for (; max; max--) {
        const size_t hit = sb_text_find(s, from, sep->as.s.p, sep->as.s.n);
        if (hit == SIZE_MAX) break;
        SB_TRY(push_cut(r, l, s, from, hit));
        from = hit + sep->as.s.n;
    }
    return push_cut(r, l, s, from, s.as.s.n);
}

sb_status sb_text_lines(sb_run *r, sb_val s, bool keep_ends, sb_val *out)
{
    sb_list *l = sb_list_new(&r->mem, 0);
    if (!l) return sb_tpl_oom(r);
    *out = sb_val_of_list(l, SB_VAL_LIST);
    SB_TRY(sb_tpl_spend(r, s.as.s.n / BYTES_PER_STEP));
    size_t from = 0, n = 0;
    for (size_t i = 0; i < s.as.s.n; i += n) {
        uint32_t cp = 0;
        n = sb_utf8_decode(s.as.s.p + i, s.as.s.n - i, &cp);
        const bool ends = (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 ||
                          cp == 0x2028 || cp == 0x2029;
        if (!n) break;
        if (!ends) continue;
        const size_t text_end = i;
        if (cp == '\r' && i + 1 < s.as.s.n && s.as.s.p[i + 1] == '\n') n = 2;
        SB_TRY(push_cut(r, l, s, from, keep_ends ? i + n : text_end));
        from = i + n;
    }
    return from < s.as.s.n ? push_cut(r, l, s, from, s.as.s.n) : SB_OK;
}

sb_status sb_text_join(sb_run *r, sb_val sep, const sb_list *items, bool strict, sb_val *out)
{
    sb_text b = {.r = r};
    for (size_t i = 0; i < items->n; i++) {
        sb_val v = items->v[i];
        SB_TRY(sb_tpl_spend(r, 1));
        if (strict)
            SB_TRY(sb_tpl_arg_str(r, &v, "an item of join"));
        else
            SB_TRY(sb_tpl_str(r, v, &v));
        if (i) SB_TRY(sb_text_add(&b, sep));
        SB_TRY(sb_text_add(&b, v));
    }
    *out = sb_text_val(&b);
    return SB_OK;
}

sb_status sb_text_repeat(sb_run *r, sb_val s, int64_t times, sb_val *out)
{
    sb_text b = {.r = r};
    size_t total;
    if (times < 0) times = 0;
    // Refused before the first copy, so that 'a' * 10**9 costs nothing.
    if (ckd_mul(&total, s.as.s.n, times) || total > r->mem.cap)
        return sb_tpl_fail(r, SB_LIMIT, "a string of more than %zu bytes", r->mem.cap);
    for (int64_t i = 0; s.as.s.n && i < times; i++) {
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_text_add(&b, s));
    }
    *out = sb_text_val(&b);
    return SB_OK;
}

sb_status sb_text_escape(sb_run *r, sb_val v, sb_val *out)
{
    static const char marks[] = "&<>'\"";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    sb_text b = {.r = r};
    size_t from = 0;
    SB_TRY(sb_tpl_spend(r, v.as.s.n / BYTES_PER_STEP));
    for (size_t i = 0; v.id != SB_STR_SAFE && i < v.as.s.n; i++) {
        const char *hit = memchr(marks, v.as.s.p[i], sizeof marks - 1);
        if (!hit) continue;
        const char *name = names[hit - marks];
        const bool content = v.as.s.marks ? v.as.s.marks[i] != 0 : v.from_content;
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_text_add(&b, sb_text_cut(v, from, i - from)));
        SB_TRY(sb_text_add_raw(&b, name, strlen(name), content));
        from = i + 1;
    }
    SB_TRY(sb_text_add(&b, sb_text_cut(v, from, v.as.s.n - from)));
    *out = sb_text_val(&b);
    out->id = SB_STR_SAFE;
    return SB_OK;
}
