/* SPDX-License-Identifier: Apache-2.0
 * methods.c - the words behind a dot: Python's methods of strings, lists and dicts.
 *
 * Lists and dicts may be changed: they are the render's own copies (sb_val_clone), so the next
 * render starts clean. */
#include "base/utf8.h"
#include "template/gather.h"
#include "template/tpl.h"

#include <string.h>

#include <utf8proc.h>

/* ---- strings ---- */

static sb_status strip(sb_run *r, sb_val s, const sb_args *a, int sides, sb_val *out)
{
    const sb_val *chars = sb_tpl_arg(r, a, 0, NULL);
    if (chars && chars->type == SB_VAL_NULL) chars = NULL;
    if (chars) SB_TRY(sb_tpl_arg_str(r, chars, "the set to strip"));
    SB_TRY(sb_tpl_spend(r, s.as.s.n / 32));
    *out = sb_text_trim(s, chars, sides);
    return SB_OK;
}

static bool has_affix(sb_val s, sb_val affix, bool at_end)
{
    const size_t n = affix.as.s.n;
    if (!sb_val_is_str(affix) || n > s.as.s.n) return false;
    return !n || memcmp(s.as.s.p + (at_end ? s.as.s.n - n : 0), affix.as.s.p, n) == 0;
}

/* One affix, or a tuple of which one must fit. */
static sb_status test_affix(sb_run *r, sb_val s, const sb_args *a, bool at_end, sb_val *out)
{
    const sb_val *affix = sb_tpl_arg(r, a, 0, NULL);
    bool yes = false;
    if (affix && affix->type == SB_VAL_TUPLE) {
        for (size_t i = 0; i < affix->as.list->n && !yes; i++)
            yes = has_affix(s, affix->as.list->v[i], at_end);
    } else {
        SB_TRY(sb_tpl_arg_str(r, affix, "the affix"));
        yes = affix && has_affix(s, *affix, at_end);
    }
    *out = (sb_val){.type = SB_VAL_BOOL, .as.b = yes};
    return SB_OK;
}

static sb_status remove_affix(sb_run *r, sb_val s, const sb_args *a, bool at_end, sb_val *out)
{
    const sb_val *affix = sb_tpl_arg(r, a, 0, NULL);
    SB_TRY(sb_tpl_arg_str(r, affix, "the affix"));
    *out = s;
    if (!has_affix(s, *affix, at_end)) return SB_OK;
    const size_t n = affix->as.s.n;
    *out = sb_text_cut(s, at_end ? 0 : n, s.as.s.n - n);
    return SB_OK;
}

static sb_status split(sb_run *r, sb_val s, const sb_args *a, bool from_right, sb_val *out)
{
    const sb_val *sep = sb_tpl_arg(r, a, 0, "sep");
    int64_t max;
    if (sep && sep->type == SB_VAL_NULL) sep = NULL;
    if (sep) SB_TRY(sb_tpl_arg_str(r, sep, "the separator"));
    SB_TRY(sb_tpl_arg_int(r, a, 1, "maxsplit", -1, &max));
    return sb_text_split(r, s, sep, max, from_right, out);
}

static sb_status give_int(int64_t i, sb_val *out)
{
    *out = (sb_val){.type = SB_VAL_INT, .as.i = i};
    return SB_OK;
}

/* find, rfind, index and count of a string; positions in characters. */
static sb_status find(sb_run *r, unsigned id, sb_val s, const sb_args *a, sb_val *out)
{
    const sb_val *part = sb_tpl_arg(r, a, 0, NULL);
    SB_TRY(sb_tpl_arg_str(r, part, "what to find"));
    SB_TRY(sb_tpl_spend(r, s.as.s.n / 16));
    if (a->n > 1) return sb_tpl_fail(r, SB_UNSUPPORTED, "%s with a range", sb_tpl_method_name(id));
    size_t at = sb_text_find(s, 0, part->as.s.p, part->as.s.n);
    const size_t step = part->as.s.n ? part->as.s.n : 1;
    if (id == SB_METHOD_count) {
        int64_t n = 0;
        for (; at != SIZE_MAX; n++)
            at = sb_text_find(s, at + step, part->as.s.p, part->as.s.n);
        return give_int(n, out);
    }
    for (size_t next = at; id == SB_METHOD_rfind && next != SIZE_MAX;) {
        at = next;
        next = sb_text_find(s, at + 1, part->as.s.p, part->as.s.n);
    }
    if (at == SIZE_MAX && id == SB_METHOD_index)
        return sb_tpl_fail(r, SB_CORRUPT, "substring not found");
    return give_int(at == SIZE_MAX ? -1 : (int64_t)sb_text_count_cp(sb_text_cut(s, 0, at)), out);
}

static bool is_kind(unsigned id, uint32_t cp)
{
    const utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)cp);
    const bool letter = cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO;
    if (id == SB_METHOD_isspace) return sb_text_space(cp);
    if (id == SB_METHOD_isalpha) return letter;
    if (id == SB_METHOD_isalnum && (letter || cat == UTF8PROC_CATEGORY_NO)) return true;
    return cat == UTF8PROC_CATEGORY_ND;
}

/* isdigit, isspace and their like: of every character, and there is one. */
static sb_status all_of(sb_run *r, unsigned id, sb_val s, sb_val *out)
{
    bool yes = s.as.s.n != 0;
    SB_TRY(sb_tpl_spend(r, s.as.s.n / 16));
    for (size_t i = 0, n; i < s.as.s.n && yes; i += n) {
        uint32_t cp = 0;
        n = sb_utf8_decode(s.as.s.p + i, s.as.s.n - i, &cp);
        if (!n) break;
        yes = is_kind(id, cp);
    }
    *out = (sb_val){.type = SB_VAL_BOOL, .as.b = yes};
    return SB_OK;
}

/* islower, isupper: the test of the same meaning. */
static sb_status one_case(sb_run *r, unsigned id, sb_val s, sb_val *out)
{
    bool yes = false;
    const sb_args none = {0};
    SB_TRY(sb_tpl_test(r, id == SB_METHOD_islower ? SB_TEST_lower : SB_TEST_upper, s, &none, &yes));
    *out = (sb_val){.type = SB_VAL_BOOL, .as.b = yes};
    return SB_OK;
}

/* partition and rpartition: before, separator, behind. */
static sb_status partition(sb_run *r, sb_val s, const sb_args *a, bool from_right, sb_val *out)
{
    const sb_val *sep = sb_tpl_arg(r, a, 0, NULL);
    sb_val parts;
    SB_TRY(sb_tpl_arg_str(r, sep, "the separator"));
    SB_TRY(sb_text_split(r, s, sep, 1, from_right, &parts));
    sb_list *l = sb_list_new(&r->mem, 3), *got = parts.as.list;
    if (!l) return sb_tpl_oom(r);
    const sb_val nothing = sb_text_cut(s, 0, 0), whole = s;
    const bool found = got->n == 2;
    l->v[0] = found ? got->v[0] : from_right ? nothing : whole;
    l->v[1] = found ? *sep : nothing;
    l->v[2] = found ? got->v[1] : from_right ? whole : nothing;
    l->n = 3;
    *out = sb_val_of_list(l, SB_VAL_TUPLE);
    return SB_OK;
}

/* center, ljust, rjust and zfill: to a width in characters. */
static sb_status fill(sb_run *r, unsigned id, sb_val s, const sb_args *a, sb_val *out)
{
    const sb_val *with = sb_tpl_arg(r, a, 1, NULL);
    sb_val left = {0}, right = {0}, mark = sb_val_literal(id == SB_METHOD_zfill ? "0" : " ");
    int64_t width = 0;
    SB_TRY(sb_tpl_arg_int(r, a, 0, NULL, 0, &width));
    if (with && id != SB_METHOD_zfill) {
        SB_TRY(sb_tpl_arg_str(r, with, "what to fill with"));
        if (sb_text_count_cp(*with) != 1)
            return sb_tpl_fail(r, SB_CORRUPT, "what to fill with must be one character");
        mark = *with;
    }
    const int64_t n = (int64_t)sb_text_count_cp(s), more = width > n ? width - n : 0;
    // center() gives the odd blank to the left when the width is odd, too
    int64_t before = id == SB_METHOD_ljust ? 0 : more;
    if (id == SB_METHOD_center) before = more / 2 + (more & width & 1);
    SB_TRY(sb_text_repeat(r, mark, before, &left));
    SB_TRY(sb_text_repeat(r, mark, more - before, &right));
    const bool sign = id == SB_METHOD_zfill && n && (s.as.s.p[0] == '-' || s.as.s.p[0] == '+');
    sb_text b = {.r = r};
    if (sign) SB_TRY(sb_text_add(&b, sb_text_cut(s, 0, 1)));
    SB_TRY(sb_text_add(&b, left));
    SB_TRY(sb_text_add(&b, sb_text_cut(s, sign, s.as.s.n - sign)));
    SB_TRY(sb_text_add(&b, right));
    *out = sb_text_val(&b);
    return SB_OK;
}

/* The value of a field "{name}", "{0}" or "{}" (the next one). */
static sb_status field(sb_run *r, const sb_args *a, sb_val name, int *next, sb_val *out)
{
    const char *p = name.as.s.p;
    const size_t n = name.as.s.n;
    int i = -1;
    if (!n) i = (*next)++;
    if (n && n < 4 && strspn(p, "0123456789") >= n) {
        i = 0;
        for (size_t k = 0; k < n; k++)
            i = i * 10 + (p[k] - '0');
    }
    if (i >= 0 && i < a->n_pos) return sb_tpl_str(r, a->v[i], out);
    for (int k = a->n_pos; i < 0 && k < a->n; k++) {
        const sb_symbol *s = &r->t->syms[a->kw[k]];
        if (s->n == n && memcmp(s->p, p, n) == 0) return sb_tpl_str(r, a->v[k], out);
    }
    return sb_tpl_fail(r, SB_UNSUPPORTED, "format field '{%.*s}'", n > 40 ? 40 : (int)n, p);
}

static sb_status format(sb_run *r, sb_val s, const sb_args *a, sb_val *out)
{
    sb_text b = {.r = r};
    int next = 0;
    for (size_t at = 0, i = 0;; i++) {
        const bool end = i == s.as.s.n;
        const char c = end ? 0 : s.as.s.p[i];
        if (!end && c != '{' && c != '}') continue;
        SB_TRY(sb_text_add(&b, sb_text_cut(s, at, i - at)));
        if (end) break;
        SB_TRY(sb_tpl_spend(r, 1));
        if (i + 1 < s.as.s.n && s.as.s.p[i + 1] == c) { // doubled: itself
            SB_TRY(sb_text_add(&b, sb_text_cut(s, i, 1)));
            at = ++i + 1;
            continue;
        }
        const size_t close = sb_text_find(s, i, "}", 1);
        if (c == '}' || close == SIZE_MAX)
            return sb_tpl_fail(r, SB_CORRUPT, "a lone brace in a format");
        sb_val v;
        SB_TRY(field(r, a, sb_text_cut(s, i + 1, close - i - 1), &next, &v));
        if (s.id == SB_STR_SAFE) SB_TRY(sb_text_escape(r, v, &v));
        SB_TRY(sb_text_add(&b, v));
        i = close;
        at = close + 1;
    }
    *out = sb_text_val(&b);
    return SB_OK;
}

static sb_status replace(sb_run *r, sb_val s, const sb_args *a, sb_val *out)
{
    const sb_val *old = sb_tpl_arg(r, a, 0, NULL), *new = sb_tpl_arg(r, a, 1, NULL);
    int64_t max;
    SB_TRY(sb_tpl_arg_int(r, a, 2, "count", -1, &max));
    SB_TRY(sb_tpl_arg_str(r, old, "what to replace"));
    SB_TRY(sb_tpl_arg_str(r, new, "the replacement"));
    sb_val with = *new;
    if (s.id == SB_STR_SAFE) SB_TRY(sb_text_escape(r, with, &with));
    return sb_text_replace(r, s, *old, with, max, out);
}

static sb_status of_str(sb_run *r, unsigned id, sb_val s, const sb_args *a, sb_val *out)
{
    const sb_val *arg = sb_tpl_arg(r, a, 0, NULL);
    switch (id) {
    case SB_METHOD_capitalize:
        return sb_text_case(r, s, SB_CASE_CAPITAL, out);
    case SB_METHOD_lower:
        return sb_text_case(r, s, SB_CASE_LOWER, out);
    case SB_METHOD_upper:
        return sb_text_case(r, s, SB_CASE_UPPER, out);
    case SB_METHOD_title:
        return sb_text_case(r, s, SB_CASE_TITLE, out);
    case SB_METHOD_strip:
        return strip(r, s, a, SB_TRIM_LEFT | SB_TRIM_RIGHT, out);
    case SB_METHOD_lstrip:
        return strip(r, s, a, SB_TRIM_LEFT, out);
    case SB_METHOD_rstrip:
        return strip(r, s, a, SB_TRIM_RIGHT, out);
    case SB_METHOD_startswith:
        return test_affix(r, s, a, false, out);
    case SB_METHOD_endswith:
        return test_affix(r, s, a, true, out);
    case SB_METHOD_removeprefix:
        return remove_affix(r, s, a, false, out);
    case SB_METHOD_removesuffix:
        return remove_affix(r, s, a, true, out);
    case SB_METHOD_split:
        return split(r, s, a, false, out);
    case SB_METHOD_rsplit:
        return split(r, s, a, true, out);
    case SB_METHOD_splitlines:
        return sb_text_lines(r, s, arg && sb_val_truth(*arg), out);
    case SB_METHOD_isalnum:
    case SB_METHOD_isalpha:
    case SB_METHOD_isdigit:
    case SB_METHOD_isspace:
        return all_of(r, id, s, out);
    case SB_METHOD_islower:
    case SB_METHOD_isupper:
        return one_case(r, id, s, out);
    case SB_METHOD_partition:
    case SB_METHOD_rpartition:
        return partition(r, s, a, id == SB_METHOD_rpartition, out);
    case SB_METHOD_center:
    case SB_METHOD_ljust:
    case SB_METHOD_rjust:
    case SB_METHOD_zfill:
        return fill(r, id, s, a, out);
    case SB_METHOD_format:
        return format(r, s, a, out);
    case SB_METHOD_replace:
        return replace(r, s, a, out);
    case SB_METHOD_join: {
        const sb_list *l;
        SB_TRY(sb_tpl_items(r, arg ? *arg : (sb_val){.type = SB_VAL_NULL}, &l));
        return sb_text_join(r, s, l, true, out);
    }
    default:
        return find(r, id, s, a, out); // find, rfind, index, count
    }
}

/* ---- lists ---- */

static sb_status insert(sb_run *r, sb_list *l, int64_t at, sb_val v)
{
    const int64_t n = (int64_t)l->n;
    if (at < 0) at = at + n < 0 ? 0 : at + n;
    if (at > n) at = n;
    SB_TRY(sb_tpl_spend(r, 1 + l->n / 16));
    if (!sb_list_push(&r->mem, l, v)) return sb_tpl_oom(r);
    memmove(l->v + at + 1, l->v + at, (size_t)(n - at) * sizeof *l->v);
    l->v[at] = v;
    return SB_OK;
}

static sb_status pop_item(sb_run *r, sb_list *l, int64_t at, sb_val *out)
{
    if (at < 0) at += (int64_t)l->n;
    if (at < 0 || at >= (int64_t)l->n)
        return sb_tpl_fail(r, SB_CORRUPT, "pop from outside of a list");
    SB_TRY(sb_tpl_spend(r, 1 + l->n / 16));
    *out = l->v[at];
    memmove(l->v + at, l->v + at + 1, (l->n - (size_t)at - 1) * sizeof *l->v);
    l->n--;
    return SB_OK;
}

static sb_status extend(sb_run *r, sb_list *l, const sb_val *v)
{
    const sb_list *more;
    SB_TRY(sb_tpl_items(r, v ? *v : (sb_val){.type = SB_VAL_NULL}, &more));
    for (size_t i = 0, n = more->n; i < n; i++) { // n first: a list may extend itself
        SB_TRY(sb_tpl_spend(r, 1));
        if (!sb_list_push(&r->mem, l, more->v[i])) return sb_tpl_oom(r);
    }
    return SB_OK;
}

/* index and count of an item. */
static sb_status seek(sb_run *r, unsigned id, const sb_list *l, sb_val item, sb_val *out)
{
    int64_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        bool same = false;
        SB_TRY(sb_val_equal(r, l->v[i], item, &same));
        if (same && id == SB_METHOD_index) return give_int((int64_t)i, out);
        n += same;
    }
    if (id == SB_METHOD_index) return sb_tpl_fail(r, SB_CORRUPT, "item not in list");
    return give_int(n, out);
}

static sb_status of_list(sb_run *r, unsigned id, sb_val self, const sb_args *a, sb_val *out)
{
    const sb_val *arg = sb_tpl_arg(r, a, 0, NULL);
    sb_list *l = self.as.list;
    int64_t at;
    *out = (sb_val){.type = SB_VAL_NULL};
    if (id == SB_METHOD_copy) return sb_gather_list(r, self, a, out);
    if (id == SB_METHOD_pop) {
        SB_TRY(sb_tpl_arg_int(r, a, 0, NULL, -1, &at));
        return pop_item(r, l, at, out);
    }
    if (id == SB_METHOD_extend) return extend(r, l, arg);
    if (!arg) return sb_tpl_fail(r, SB_CORRUPT, "%s without an item", sb_tpl_method_name(id));
    if (id == SB_METHOD_append) return insert(r, l, (int64_t)l->n, *arg);
    if (id == SB_METHOD_insert) {
        SB_TRY(sb_tpl_arg_int(r, a, 0, NULL, 0, &at));
        if (a->n_pos < 2) return sb_tpl_fail(r, SB_CORRUPT, "insert without an item");
        return insert(r, l, at, a->v[1]);
    }
    return seek(r, id, l, *arg, out);
}

/* ---- dicts ---- */

static sb_status halves(sb_run *r, const sb_dict *d, bool keys, sb_val *out)
{
    sb_list *l = sb_list_new(&r->mem, d->n);
    if (!l) return sb_tpl_oom(r);
    SB_TRY(sb_tpl_spend(r, d->n));
    for (; l->n < d->n; l->n++)
        l->v[l->n] = keys ? d->v[l->n].k : d->v[l->n].v;
    *out = sb_val_of_list(l, SB_VAL_LIST);
    return SB_OK;
}

static sb_status pairs(sb_run *r, sb_val self, sb_val *out)
{
    sb_list *l;
    SB_TRY(sb_gather_pairs(r, self, &l));
    *out = sb_val_of_list(l, SB_VAL_LIST);
    return SB_OK;
}

/* get, pop and setdefault: the entry, or the second argument. */
static sb_status look_up(sb_run *r, unsigned id, sb_dict *d, const sb_args *a, sb_val *out)
{
    if (a->n_pos < 1) return sb_tpl_fail(r, SB_CORRUPT, "%s without a key", sb_tpl_method_name(id));
    const sb_val key = a->v[0], *other = sb_tpl_arg(r, a, 1, "default");
    SB_TRY(sb_tpl_spend(r, 1 + sb_dict_cost(d)));
    const size_t at = sb_dict_seek(d, key);
    if (at != SIZE_MAX) {
        *out = d->v[at].v;
        if (id == SB_METHOD_pop) sb_dict_remove(d, at);
        return SB_OK;
    }
    if (id == SB_METHOD_pop && !other)
        return sb_tpl_fail(r, SB_CORRUPT, "pop of a key that is not there");
    *out = other ? *other : (sb_val){.type = SB_VAL_NULL};
    if (id != SB_METHOD_setdefault) return SB_OK;
    return sb_dict_put(&r->mem, d, key, *out) ? SB_OK : sb_tpl_oom(r);
}

static sb_status of_dict(sb_run *r, unsigned id, sb_val self, const sb_args *a, sb_val *out)
{
    sb_dict *d = self.as.dict;
    switch (id) {
    case SB_METHOD_keys:
        return halves(r, d, true, out);
    case SB_METHOD_values:
        return halves(r, d, false, out);
    case SB_METHOD_items:
        return pairs(r, self, out);
    case SB_METHOD_copy: {
        sb_dict *copy = sb_dict_new(&r->mem);
        if (!copy) return sb_tpl_oom(r);
        *out = sb_val_of_dict(copy, SB_VAL_DICT);
        return sb_tpl_update(r, copy, &(sb_args){.v = &self, .n = 1, .n_pos = 1});
    }
    case SB_METHOD_update:
        *out = (sb_val){.type = SB_VAL_NULL};
        return sb_tpl_update(r, d, a);
    default:
        return look_up(r, id, d, a, out);
    }
}

sb_status sb_tpl_update(sb_run *r, sb_dict *d, const sb_args *a)
{
    const sb_val *from = sb_tpl_arg(r, a, 0, NULL);
    if (from && from->type != SB_VAL_DICT && from->type != SB_VAL_NAMESPACE)
        return sb_tpl_fail(r, SB_UNSUPPORTED, "a dict made from a %s", sb_tpl_type_name(*from));
    for (size_t i = 0; from && i < from->as.dict->n; i++) {
        SB_TRY(sb_tpl_spend(r, 1 + sb_dict_cost(d)));
        if (!sb_dict_put(&r->mem, d, from->as.dict->v[i].k, from->as.dict->v[i].v))
            return sb_tpl_oom(r);
    }
    for (int i = a->n_pos; i < a->n; i++) {
        SB_TRY(sb_tpl_spend(r, 1 + sb_dict_cost(d)));
        if (!sb_dict_put(&r->mem, d, sb_tpl_sym_val(r->t, a->kw[i]), a->v[i])) return sb_tpl_oom(r);
    }
    return SB_OK;
}

/* loop.changed(x): whether x is another one than the round before. */
static sb_status changed(sb_run *r, sb_loop *l, const sb_args *a, sb_val *out)
{
    sb_val *now = sb_region_take(&r->mem, 1, sizeof *now);
    sb_list *given = sb_list_new(&r->mem, 0);
    bool same = false;
    if (!now || !given) return sb_tpl_oom(r);
    for (int i = 0; i < a->n_pos; i++)
        if (!sb_list_push(&r->mem, given, a->v[i])) return sb_tpl_oom(r);
    *now = sb_val_of_list(given, SB_VAL_TUPLE);
    if (l->seen) SB_TRY(sb_val_equal(r, *l->seen, *now, &same));
    l->seen = now;
    *out = (sb_val){.type = SB_VAL_BOOL, .as.b = !same};
    return SB_OK;
}

sb_status sb_tpl_method(sb_run *r, unsigned id, sb_val self, const sb_args *a, sb_val *out)
{
    if (self.type == SB_VAL_STR) {
        SB_TRY(of_str(r, id, self, a, out));
        if (sb_val_is_str(*out)) out->id = self.id; // a safe string's methods give safe ones
        return SB_OK;
    }
    if (sb_val_is_seq(self)) return of_list(r, id, self, a, out);
    if (self.type == SB_VAL_DICT) return of_dict(r, id, self, a, out);
    if (id == SB_METHOD_changed) return changed(r, self.as.loop, a, out);
    if (!a->n_pos) return sb_tpl_fail(r, SB_CORRUPT, "cycle of nothing");
    *out = a->v[self.as.loop->i % (size_t)a->n_pos];
    return SB_OK;
}
