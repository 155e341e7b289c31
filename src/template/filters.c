/* SPDX-License-Identifier: Apache-2.0
 * filters.c - the words behind "|" that change one value; those over lists are in gather.c. */
#include "template/gather.h"
#include "template/tpl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef sb_status filter_fn(sb_run *r, sb_val v, const sb_args *a, sb_val *out);

static sb_status as_str(sb_run *r, sb_val v, sb_val *out)
{
    return sb_tpl_str(r, v, out);
}

static sb_status f_string(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    return as_str(r, v, out);
}

static sb_status change_case(sb_run *r, sb_val v, sb_case how, sb_val *out)
{
    SB_TRY(as_str(r, v, &v));
    SB_TRY(sb_text_case(r, v, how, out));
    out->id = v.id;
    return SB_OK;
}

static sb_status f_upper(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    return change_case(r, v, SB_CASE_UPPER, out);
}

static sb_status f_lower(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    return change_case(r, v, SB_CASE_LOWER, out);
}

static sb_status f_capitalize(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    return change_case(r, v, SB_CASE_CAPITAL, out);
}

/* The filter, unlike the method, begins words only behind blanks, dashes and opening brackets. */
static sb_status f_title(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    sb_text b = {.r = r};
    SB_TRY(as_str(r, v, &v));
    for (size_t from = 0; from < v.as.s.n;) {
        size_t end = from;
        while (end < v.as.s.n && !strchr("- \t\n\r\f\v({[<", v.as.s.p[end]))
            end++;
        while (end < v.as.s.n && strchr("- \t\n\r\f\v({[<", v.as.s.p[end]))
            end++;
        size_t first = 1;
        sb_val part;
        while (from + first < end && ((unsigned char)v.as.s.p[from + first] & 0xC0) == 0x80)
            first++;
        SB_TRY(sb_text_case(r, sb_text_cut(v, from, first), SB_CASE_UPPER, &part));
        SB_TRY(sb_text_add(&b, part));
        SB_TRY(sb_text_case(r, sb_text_cut(v, from + first, end - from - first), SB_CASE_LOWER,
                            &part));
        SB_TRY(sb_text_add(&b, part));
        from = end;
    }
    *out = sb_text_val(&b);
    return SB_OK;
}

static sb_status f_trim(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *chars = sb_tpl_arg(r, a, 0, "chars");
    if (chars && chars->type == SB_VAL_NULL) chars = NULL;
    if (chars) SB_TRY(sb_tpl_arg_str(r, chars, "chars"));
    SB_TRY(as_str(r, v, &v));
    SB_TRY(sb_tpl_spend(r, v.as.s.n / 32));
    *out = sb_text_trim(v, chars, SB_TRIM_LEFT | SB_TRIM_RIGHT);
    return SB_OK;
}

static sb_status f_replace(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *old = sb_tpl_arg(r, a, 0, "old"), *new = sb_tpl_arg(r, a, 1, "new");
    int64_t max;
    SB_TRY(sb_tpl_arg_int(r, a, 2, "count", -1, &max));
    SB_TRY(sb_tpl_arg_str(r, old, "old"));
    SB_TRY(sb_tpl_arg_str(r, new, "new"));
    SB_TRY(as_str(r, v, &v));
    v.id = 0;
    return sb_text_replace(r, v, *old, *new, max, out);
}

static sb_status f_escape(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    SB_TRY(as_str(r, v, &v));
    return sb_text_escape(r, v, out);
}

static sb_status f_safe(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    SB_TRY(as_str(r, v, out));
    out->id = SB_STR_SAFE;
    return SB_OK;
}

static sb_status f_indent(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *width = sb_tpl_arg(r, a, 0, "width"), *first = sb_tpl_arg(r, a, 1, "first");
    const sb_val *blank = sb_tpl_arg(r, a, 2, "blank");
    sb_val pad, lines;
    int64_t n = 4;
    if (width && sb_val_is_str(*width)) {
        pad = *width;
    } else {
        SB_TRY(sb_tpl_arg_int(r, a, 0, "width", 4, &n));
        SB_TRY(sb_text_repeat(r, sb_val_literal(" "), n, &pad));
    }
    SB_TRY(sb_tpl_arg_str(r, &v, "what is indented"));
    sb_val whole;
    SB_TRY(sb_text_cat(r, v, sb_val_literal("\n"), &whole)); // so that a last empty line counts
    SB_TRY(sb_text_lines(r, whole, false, &lines));
    sb_text b = {.r = r};
    for (size_t i = 0; i < lines.as.list->n; i++) {
        const sb_val line = lines.as.list->v[i];
        const bool wanted =
            i ? line.as.s.n || (blank && sb_val_truth(*blank)) : first && sb_val_truth(*first);
        if (i) SB_TRY(sb_text_add(&b, sb_val_literal("\n")));
        if (wanted) SB_TRY(sb_text_add(&b, pad));
        SB_TRY(sb_text_add(&b, line));
    }
    *out = sb_text_val(&b);
    out->id = v.id;
    return SB_OK;
}

static sb_status f_default(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *other = sb_tpl_arg(r, a, 0, "default_value"),
                 *falsy = sb_tpl_arg(r, a, 1, "boolean");
    const bool missing =
        v.type == SB_VAL_UNDEFINED || (falsy && sb_val_truth(*falsy) && !sb_val_truth(v));
    *out = !missing ? v : other ? *other : sb_val_literal("");
    return SB_OK;
}

static sb_status f_length(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    size_t n = 0;
    (void)a;
    SB_TRY(sb_val_settle(r, &v));
    if (sb_val_is_str(v)) {
        SB_TRY(sb_tpl_spend(r, v.as.s.n / 64));
        n = sb_text_count_cp(v);
    } else if (v.type == SB_VAL_DICT) {
        n = v.as.dict->n;
    } else if (sb_val_is_seq(v)) {
        n = v.as.list->n;
    } else if (v.type != SB_VAL_UNDEFINED) {
        return sb_tpl_fail(r, SB_CORRUPT, "%s has no length", sb_tpl_type_name(v));
    }
    *out = (sb_val){.type = SB_VAL_INT, .as.i = (int64_t)n};
    return SB_OK;
}

/* ---- numbers ---- */

static sb_status need_defined(sb_run *r, sb_val v)
{
    if (v.type != SB_VAL_UNDEFINED) return SB_OK;
    return sb_tpl_fail(r, SB_CORRUPT, "'%.60s' is undefined", v.as.name ? v.as.name : "value");
}

static sb_status f_int(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *other = sb_tpl_arg(r, a, 0, "default");
    int64_t base, i = 0;
    double f;
    SB_TRY(sb_tpl_arg_int(r, a, 1, "base", 10, &base));
    SB_TRY(need_defined(r, v));
    const bool content = sb_val_has_content(v);
    bool ok = sb_val_whole(v, &i) || (sb_val_is_str(v) && sb_tpl_read_int(v, base, &i));
    if (!ok && (v.type == SB_VAL_FLOAT || sb_val_is_str(v))) {
        f = v.as.f;
        ok = v.type == SB_VAL_FLOAT || sb_tpl_read_float(v, &f);
        ok = ok && f > -9.2e18 && f < 9.2e18;
        if (ok) i = (int64_t)f;
    }
    *out = (sb_val){.type = SB_VAL_INT, .from_content = content, .as.i = i};
    if (!ok && other) *out = *other;
    return SB_OK;
}

static sb_status f_float(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *other = sb_tpl_arg(r, a, 0, "default");
    double f = 0;
    SB_TRY(need_defined(r, v));
    const bool ok = sb_val_number(v, &f) || (sb_val_is_str(v) && sb_tpl_read_float(v, &f));
    *out = (sb_val){.type = SB_VAL_FLOAT, .from_content = sb_val_has_content(v), .as.f = f};
    if (!ok && other) *out = *other;
    return SB_OK;
}

static sb_status f_abs(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    (void)a;
    int64_t i;
    if (v.type == SB_VAL_FLOAT) {
        v.as.f = fabs(v.as.f);
    } else if (sb_val_whole(v, &i) && i != INT64_MIN) {
        v = (sb_val){.type = SB_VAL_INT, .from_content = v.from_content, .as.i = i < 0 ? -i : i};
    } else {
        return sb_tpl_fail(r, SB_CORRUPT, "abs of a %s", sb_tpl_type_name(v));
    }
    *out = v;
    return SB_OK;
}

static sb_status f_round(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *how = sb_tpl_arg(r, a, 1, "method");
    int64_t digits;
    double f;
    SB_TRY(sb_tpl_arg_int(r, a, 0, "precision", 0, &digits));
    if (!sb_val_number(v, &f))
        return sb_tpl_fail(r, SB_CORRUPT, "round of a %s", sb_tpl_type_name(v));
    int64_t whole;
    if (!how && digits >= 0 && sb_val_whole(v, &whole)) { // a whole number stays one
        *out = (sb_val){.type = SB_VAL_INT, .from_content = v.from_content, .as.i = whole};
        return SB_OK;
    }
    if (digits < -300 || digits > 300) return sb_tpl_fail(r, SB_CORRUPT, "round to that precision");
    const char first = how && sb_val_is_str(*how) && how->as.s.n ? how->as.s.p[0] : 'c';
    const bool ceil_it = how && sb_val_is_str(*how) && how->as.s.n == 4 && first == 'c';
    const double scale = pow(10, (double)digits), x = f * scale;
    const double y = ceil_it ? ceil(x) : first == 'f' ? floor(x) : nearbyint(x);
    *out = (sb_val){.type = SB_VAL_FLOAT, .from_content = v.from_content, .as.f = y / scale};
    return SB_OK;
}

static sb_status f_format(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    sb_list *l = sb_list_new(&r->mem, 0);
    sb_val args;
    if (!l) return sb_tpl_oom(r);
    args = sb_val_of_list(l, SB_VAL_TUPLE);
    for (int i = 0; i < a->n_pos; i++)
        if (!sb_list_push(&r->mem, l, a->v[i])) return sb_tpl_oom(r);
    if (a->n > a->n_pos) {
        sb_dict *d = sb_dict_new(&r->mem);
        if (!d) return sb_tpl_oom(r);
        if (a->n_pos) return sb_tpl_fail(r, SB_CORRUPT, "format by places and by names at once");
        SB_TRY(sb_tpl_update(r, d, a));
        args = sb_val_of_dict(d, SB_VAL_DICT);
    }
    SB_TRY(as_str(r, v, &v));
    return sb_tpl_printf(r, v, args, out);
}

/* ---- JSON ---- */

static sb_status f_from_json(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    sb_error why = {0};
    (void)a;
    SB_TRY(sb_tpl_arg_str(r, &v, "what from_json reads"));
    SB_TRY(sb_tpl_spend(r, v.as.s.n));
    const sb_status s = sb_tpl_json_read(&r->mem, (sb_str){v.as.s.p, v.as.s.n}, out, &why);
    if (s == SB_NO_MEMORY) return sb_tpl_oom(r);
    return s == SB_OK ? s : sb_tpl_fail(r, s == SB_LIMIT ? s : SB_CORRUPT, "%s", why.msg);
}

static sb_status f_tojson(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *ascii = sb_tpl_arg(r, a, 0, "ensure_ascii"),
                 *indent = sb_tpl_arg(r, a, 1, "indent");
    const sb_val *seps = sb_tpl_arg(r, a, 2, "separators"),
                 *sort = sb_tpl_arg(r, a, 3, "sort_keys");
    int64_t n;
    SB_TRY(sb_tpl_arg_int(r, a, 1, "indent", -1, &n));
    const bool lines = indent && indent->type != SB_VAL_NULL;
    if (lines && n < 0) n = 0;
    if (n > 64) return sb_tpl_fail(r, SB_LIMIT, "tojson with an indent over 64");
    sb_json_options o = {.ensure_ascii = ascii && sb_val_truth(*ascii),
                         .sort_keys = sort && sb_val_truth(*sort),
                         .indent = lines ? (int)n : -1,
                         .item_sep = sb_val_literal(lines ? "," : ", "),
                         .key_sep = sb_val_literal(": ")};
    o.item_sep.from_content = o.key_sep.from_content = true; // as all marks of JSON
    if (seps && seps->type != SB_VAL_NULL) {
        const sb_list *l;
        SB_TRY(sb_tpl_items(r, *seps, &l));
        if (l->n != 2 || !sb_val_is_str(l->v[0]) || !sb_val_is_str(l->v[1]))
            return sb_tpl_fail(r, SB_CORRUPT, "separators must be two strings");
        o.item_sep = l->v[0];
        o.key_sep = l->v[1];
    }
    return sb_tpl_json(r, v, &o, out);
}

sb_status sb_tpl_filter(sb_run *r, unsigned id, sb_val v, const sb_args *a, sb_val *out)
{
    static filter_fn *const fns[] = {
#define X(name, fn, n_min, n_max) fn,
#include "template/filters.def"
#undef X
    };
    if (!sb_tpl_filter_takes(id, a->n))
        return sb_tpl_fail(r, SB_CORRUPT, "filter '%s' with %d arguments", sb_tpl_filter_name(id),
                           a->n);
    return fns[id](r, v, a, out);
}
