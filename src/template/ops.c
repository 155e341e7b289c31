/* SPDX-License-Identifier: Apache-2.0
 * ops.c - operators, attributes, items and slices, as in Python, on our own values only. */
#include "base/utf8.h"
#include "template/tpl.h"

#include <math.h>
#include <string.h>

static sb_status mismatch(sb_run *r, const char *op, sb_val a, sb_val b)
{
    for (int i = 0; i < 2; i++) {
        const sb_val v = i ? b : a;
        if (v.type == SB_VAL_UNDEFINED)
            return sb_tpl_fail(r, SB_CORRUPT, "'%.60s' is undefined",
                               v.as.name ? v.as.name : "value");
    }
    return sb_tpl_fail(r, SB_CORRUPT, "operator %s between %s and %s", op, sb_tpl_type_name(a),
                       sb_tpl_type_name(b));
}

/* ---- arithmetic ---- */

static sb_status give_int(sb_run *r, bool overflow, int64_t i, bool from_content, sb_val *out)
{
    if (overflow) return sb_tpl_fail(r, SB_LIMIT, "a number of more than 64 bits");
    *out = (sb_val){.type = SB_VAL_INT, .from_content = from_content, .as.i = i};
    return SB_OK;
}

static sb_status power(sb_run *r, int64_t base, int64_t exp, bool from_content, sb_val *out)
{
    int64_t v = 1;
    bool over = false;
    // 0, 1 and -1 stay small for ever; anything else is over after 63 rounds.
    if (base >= -1 && base <= 1) exp = exp ? 2 - exp % 2 : 0;
    for (; exp > 0 && !over; exp--)
        over = ckd_mul(&v, v, base);
    return give_int(r, over, v, from_content, out);
}

/* Division rounds towards minus infinity, and the remainder has the divisor's sign. */
static int64_t floor_div(int64_t a, int64_t b)
{
    const int64_t q = a / b;
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}

static sb_status whole(sb_run *r, sb_op op, int64_t a, int64_t b, bool content, sb_val *out)
{
    int64_t v = 0;
    bool over = false;
    if ((op == SB_OP_FLOOR || op == SB_OP_MOD) && !b)
        return sb_tpl_fail(r, SB_CORRUPT, "division by zero");
    const bool min_by_minus_one = a == INT64_MIN && b == -1;
    switch ((int)op) {
    case SB_OP_ADD:
        over = ckd_add(&v, a, b);
        break;
    case SB_OP_SUB:
        over = ckd_sub(&v, a, b);
        break;
    case SB_OP_MUL:
        over = ckd_mul(&v, a, b);
        break;
    case SB_OP_FLOOR:
        over = min_by_minus_one;
        if (!over) v = floor_div(a, b);
        break;
    case SB_OP_MOD:
        if (!min_by_minus_one) v = a - floor_div(a, b) * b;
        break;
    default:
        return power(r, a, b, content, out);
    }
    return give_int(r, over, v, content, out);
}

static sb_status real(sb_run *r, sb_op op, double a, double b, bool content, sb_val *out)
{
    double v = 0;
    if ((op == SB_OP_DIV || op == SB_OP_FLOOR || op == SB_OP_MOD) && b == 0)
        return sb_tpl_fail(r, SB_CORRUPT, "division by zero");
    switch ((int)op) {
    case SB_OP_ADD:
        v = a + b;
        break;
    case SB_OP_SUB:
        v = a - b;
        break;
    case SB_OP_MUL:
        v = a * b;
        break;
    case SB_OP_DIV:
        v = a / b;
        break;
    case SB_OP_FLOOR:
        v = floor(a / b);
        break;
    case SB_OP_MOD:
        v = a - floor(a / b) * b;
        break;
    default:
        v = pow(a, b);
        break;
    }
    *out = (sb_val){.type = SB_VAL_FLOAT, .from_content = content, .as.f = v};
    return SB_OK;
}

/* ---- sequences ---- */

static sb_status repeat_list(sb_run *r, sb_val a, int64_t times, sb_val *out)
{
    size_t n;
    if (times < 0) times = 0;
    if (ckd_mul(&n, a.as.list->n, times) || n > r->mem.cap / sizeof(sb_val))
        return sb_tpl_fail(r, SB_LIMIT, "a list too long");
    SB_TRY(sb_tpl_spend(r, n));
    sb_list *l = sb_list_new(&r->mem, n);
    if (!l) return sb_tpl_oom(r);
    for (; l->n < n; l->n++)
        l->v[l->n] = a.as.list->v[l->n % a.as.list->n];
    *out = sb_val_of_list(l, (sb_val_type)a.type);
    return SB_OK;
}

static sb_status join_lists(sb_run *r, sb_val a, sb_val b, sb_val *out)
{
    const size_t n = a.as.list->n, m = b.as.list->n;
    SB_TRY(sb_tpl_spend(r, (n + m) / 4));
    sb_list *l = sb_list_new(&r->mem, n + m);
    if (!l) return sb_tpl_oom(r);
    if (n) memcpy(l->v, a.as.list->v, n * sizeof *l->v);
    if (m) memcpy(l->v + n, b.as.list->v, m * sizeof *l->v);
    l->n = n + m;
    *out = sb_val_of_list(l, (sb_val_type)a.type);
    return SB_OK;
}

/* What is added to a safe string is escaped. */
static sb_status add_strings(sb_run *r, sb_val a, sb_val b, sb_val *out)
{
    const bool safe = a.id == SB_STR_SAFE || b.id == SB_STR_SAFE;
    if (safe) {
        SB_TRY(sb_text_escape(r, a, &a));
        SB_TRY(sb_text_escape(r, b, &b));
    }
    SB_TRY(sb_text_cat(r, a, b, out));
    out->id = safe ? SB_STR_SAFE : 0;
    return SB_OK;
}

static sb_status multiply(sb_run *r, sb_val a, sb_val b, sb_val *out)
{
    int64_t times;
    const bool left = sb_val_is_str(a) || sb_val_is_seq(a);
    const sb_val s = left ? a : b;
    if (!sb_val_whole(left ? b : a, &times)) return mismatch(r, "*", a, b);
    if (sb_val_is_str(s)) {
        SB_TRY(sb_text_repeat(r, s, times, out));
        out->id = s.id;
        return SB_OK;
    }
    if (sb_val_is_seq(s)) return repeat_list(r, s, times, out);
    return mismatch(r, "*", a, b);
}

sb_status sb_tpl_binary(sb_run *r, sb_op op, sb_val a, sb_val b, sb_val *out)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
    if (op == SB_OP_CAT) {
        SB_TRY(sb_tpl_str(r, a, &a));
        SB_TRY(sb_tpl_str(r, b, &b));
        return sb_text_cat(r, a, b, out);
    }
    if (op == SB_OP_ADD && sb_val_is_str(a) && sb_val_is_str(b)) return add_strings(r, a, b, out);
    if (op == SB_OP_MOD && sb_val_is_str(a)) return sb_tpl_printf(r, a, b, out);
    const bool content = a.from_content || b.from_content;
    int64_t i, k;
    double x, y;
    SB_TRY(sb_val_settle(r, &a));
    SB_TRY(sb_val_settle(r, &b));
    if (sb_val_whole(a, &i) && sb_val_whole(b, &k) && op != SB_OP_DIV &&
        !(op == SB_OP_POW && k < 0))
        return whole(r, op, i, k, content, out);
    if (sb_val_number(a, &x) && sb_val_number(b, &y)) return real(r, op, x, y, content, out);
    if (op == SB_OP_ADD && sb_val_is_seq(a) && a.type == b.type) return join_lists(r, a, b, out);
    if (op == SB_OP_MUL) return multiply(r, a, b, out);
    return mismatch(r, names[op], a, b);
}

/* ---- comparisons ---- */

static sb_status contains(sb_run *r, sb_val item, sb_val in, bool *out)
{
    *out = false;
    if (in.type == SB_VAL_UNDEFINED) return SB_OK;
    if (sb_val_is_str(in)) {
        if (!sb_val_is_str(item)) return mismatch(r, "in", item, in);
        SB_TRY(sb_tpl_spend(r, in.as.s.n / 32));
        *out = sb_text_find(in, 0, item.as.s.p, item.as.s.n) != SIZE_MAX;
        return SB_OK;
    }
    if (in.type == SB_VAL_ITER) {
        sb_iter *it = in.as.iter;
        while (it->at < it->items->n && !*out)
            SB_TRY(sb_val_equal(r, item, it->items->v[it->at++], out));
        return SB_OK;
    }
    if (!sb_val_is_seq(in) && in.type != SB_VAL_DICT) return mismatch(r, "in", item, in);
    const sb_list *l;
    if (in.type == SB_VAL_DICT && sb_val_is_str(item)) {
        SB_TRY(sb_tpl_spend(r, 1 + sb_dict_cost(in.as.dict)));
        *out = sb_dict_find(in.as.dict, item.as.s.p, item.as.s.n) != NULL;
        return SB_OK;
    }
    SB_TRY(sb_tpl_items(r, in, &l));
    for (size_t i = 0; i < l->n && !*out; i++) {
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_val_equal(r, item, l->v[i], out));
    }
    return SB_OK;
}

sb_status sb_tpl_compare(sb_run *r, sb_op op, sb_val a, sb_val b, bool *out)
{
    if (op == SB_OP_EQ || op == SB_OP_NE) {
        SB_TRY(sb_val_equal(r, a, b, out));
        if (op == SB_OP_NE) *out = !*out;
        return SB_OK;
    }
    if (op == SB_OP_IN || op == SB_OP_NOT_IN) {
        SB_TRY(contains(r, a, b, out));
        if (op == SB_OP_NOT_IN) *out = !*out;
        return SB_OK;
    }
    int order = 0;
    if (a.type == SB_VAL_UNDEFINED || b.type == SB_VAL_UNDEFINED) return mismatch(r, "<", a, b);
    SB_TRY(sb_val_order(r, a, b, &order));
    *out = op == SB_OP_LT   ? order < 0
           : op == SB_OP_LE ? order <= 0
           : op == SB_OP_GT ? order > 0
                            : order >= 0;
    return SB_OK;
}

/* ---- attributes and items ---- */

static sb_val made_int(size_t i)
{
    return (sb_val){.type = SB_VAL_INT, .as.i = (int64_t)i};
}

static sb_val loop_attr(const sb_loop *l, sb_symbol name)
{
    const size_t n = l->items->n, i = l->i;
    const struct {
        const char *name;
        sb_val v;
    } attrs[] = {
        {"index", made_int(i + 1)},
        {"index0", made_int(i)},
        {"first", {.type = SB_VAL_BOOL, .as.b = i == 0}},
        {"last", {.type = SB_VAL_BOOL, .as.b = i + 1 >= n}},
        {"length", made_int(n)},
        {"depth", made_int((size_t)l->level + 1)},
        {"depth0", made_int((size_t)l->level)},
        {"revindex", made_int(n > i ? n - i : 0)},
        {"revindex0", made_int(n > i ? n - i - 1 : 0)},
        {"previtem", i > 0 ? l->items->v[i - 1] : (sb_val){.as.name = "loop.previtem"}},
        {"nextitem", i + 1 < n ? l->items->v[i + 1] : (sb_val){.as.name = "loop.nextitem"}},
    };
    for (size_t k = 0; k < SB_ARRAY_LEN(attrs); k++)
        if (strlen(attrs[k].name) == name.n && memcmp(attrs[k].name, name.p, name.n) == 0)
            return attrs[k].v;
    return (sb_val){.as.name = "attribute of loop"};
}

/* The entry of a dict or namespace, else undefined under the key's own name. */
static sb_status entry(sb_run *r, const sb_dict *d, const char *p, size_t n, sb_val *out)
{
    SB_TRY(sb_tpl_spend(r, sb_dict_cost(d)));
    const sb_val *v = sb_dict_find(d, p, n);
    if (v) {
        *out = *v;
        return SB_OK;
    }
    char *name = sb_region_bytes(&r->mem, &r->mem.text, (n < 64 ? n : 64) + 1);
    if (!name) return sb_tpl_oom(r);
    memcpy(name, p, n < 64 ? n : 64);
    name[n < 64 ? n : 64] = 0;
    *out = (sb_val){.as.name = name};
    return SB_OK;
}

sb_status sb_tpl_attr(sb_run *r, const sb_val *a, sb_symbol name, sb_val *out)
{
    if (a->type == SB_VAL_UNDEFINED)
        return sb_tpl_fail(r, SB_CORRUPT, "'%.60s' is undefined",
                           a->as.name ? a->as.name : "value");
    if (a->type == SB_VAL_NAMESPACE) return entry(r, a->as.dict, name.p, name.n, out);
    const int id = sb_tpl_method_find(name.p, name.n);
    if (id >= 0 && sb_tpl_method_of((unsigned)id, a->type)) {
        sb_val *self = sb_region_take(&r->mem, 1, sizeof *self);
        if (!self) return sb_tpl_oom(r);
        *self = *a;
        *out = (sb_val){.type = SB_VAL_METHOD, .id = (uint16_t)id, .as.self = self};
        return SB_OK;
    }
    if (a->type == SB_VAL_DICT) return entry(r, a->as.dict, name.p, name.n, out);
    *out = a->type == SB_VAL_LOOP ? loop_attr(a->as.loop, name) : (sb_val){.as.name = "attribute"};
    return SB_OK;
}

/* Index i of n with negatives from the end; false when outside. */
static bool wrap_index(int64_t i, size_t n, size_t *out)
{
    if (i < 0 && ckd_add(&i, i, (int64_t)n)) return false;
    if (i < 0 || (uint64_t)i >= n) return false;
    *out = (size_t)i;
    return true;
}

/* Offset of character i; n_cp characters in all. */
static size_t offset_of(sb_val s, size_t i)
{
    size_t at = 0;
    for (; at < s.as.s.n; at++)
        if (((unsigned char)s.as.s.p[at] & 0xC0) != 0x80 && i-- == 0) return at;
    return at;
}

sb_status sb_tpl_item(sb_run *r, const sb_val *a, sb_val key, sb_val *out)
{
    int64_t i;
    size_t at;
    *out = (sb_val){.as.name = "item"};
    if (a->type == SB_VAL_UNDEFINED)
        return sb_tpl_fail(r, SB_CORRUPT, "'%.60s' is undefined",
                           a->as.name ? a->as.name : "value");
    if (a->type == SB_VAL_DICT) {
        if (sb_val_is_str(key)) return entry(r, a->as.dict, key.as.s.p, key.as.s.n, out);
        SB_TRY(sb_tpl_spend(r, a->as.dict->n / 16));
        at = sb_dict_seek(a->as.dict, key);
        if (at != SIZE_MAX) *out = a->as.dict->v[at].v;
        return SB_OK;
    }
    sb_val settled = *a;
    SB_TRY(sb_val_settle(r, &settled));
    a = &settled;
    if (sb_val_is_seq(*a) && sb_val_whole(key, &i)) {
        if (wrap_index(i, a->as.list->n, &at)) *out = a->as.list->v[at];
        return SB_OK;
    }
    if (sb_val_is_str(*a) && sb_val_whole(key, &i)) {
        SB_TRY(sb_tpl_spend(r, a->as.s.n / 16));
        if (!wrap_index(i, sb_text_count_cp(*a), &at)) return SB_OK;
        const size_t from = offset_of(*a, at);
        const sb_val rest = sb_text_cut(*a, from, a->as.s.n - from);
        *out = sb_text_cut(rest, 0, offset_of(rest, 1));
        return SB_OK;
    }
    if (sb_val_is_str(key) && key.as.s.n < 64)
        return sb_tpl_attr(r, a, (sb_symbol){key.as.s.p, key.as.s.n}, out);
    return SB_OK;
}

/* ---- slices ---- */

/* A bound as Python clips it: from the end when negative, then into [low, high]. */
static sb_status bound(sb_run *r, const sb_val *v, int64_t n, int64_t low, int64_t high,
                       int64_t *out)
{
    if (!v || v->type == SB_VAL_NULL) return SB_OK;
    if (!sb_val_whole(*v, out))
        return sb_tpl_fail(r, SB_CORRUPT, "a slice by %s", sb_tpl_type_name(*v));
    if (*out < 0 && ckd_add(out, *out, n)) *out = low;
    if (*out < low) *out = low;
    if (*out > high) *out = high;
    return SB_OK;
}

static sb_status slice_str(sb_run *r, sb_val s, int64_t from, int64_t step, int64_t count,
                           sb_val *out)
{
    if (step == 1 || !count) {
        const size_t a = offset_of(s, (size_t)from);
        const sb_val rest = sb_text_cut(s, a, s.as.s.n - a);
        *out = sb_text_cut(rest, 0, count ? offset_of(rest, (size_t)count) : 0);
        return SB_OK;
    }
    sb_text b = {.r = r};
    size_t at = offset_of(s, (size_t)from);
    for (;;) {
        const sb_val rest = sb_text_cut(s, at, s.as.s.n - at);
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_text_add(&b, sb_text_cut(rest, 0, offset_of(rest, 1))));
        if (!--count) break;
        // Walk characters, not from the start: a reversed text stays linear.
        for (int64_t k = 0; k < (step < 0 ? -step : step); k++) {
            do
                at = step < 0 ? at - 1 : at + 1;
            while (((unsigned char)s.as.s.p[at] & 0xC0) == 0x80);
        }
    }
    *out = sb_text_val(&b);
    out->id = s.id;
    return SB_OK;
}

sb_status sb_tpl_slice(sb_run *r, sb_val a, const sb_val *from, const sb_val *to,
                       const sb_val *step, sb_val *out)
{
    SB_TRY(sb_val_settle(r, &a));
    if (!sb_val_is_str(a) && !sb_val_is_seq(a)) return mismatch(r, "[:]", a, a);
    const size_t len = sb_val_is_str(a) ? sb_text_count_cp(a) : a.as.list->n;
    const int64_t n = (int64_t)len;
    int64_t by = 1;
    SB_TRY(sb_tpl_spend(r, sb_val_is_str(a) ? a.as.s.n / 16 : 0));
    if (step && step->type != SB_VAL_NULL && !sb_val_whole(*step, &by))
        return sb_tpl_fail(r, SB_CORRUPT, "a slice by %s", sb_tpl_type_name(*step));
    if (!by) return sb_tpl_fail(r, SB_CORRUPT, "a slice with step 0");
    if (by > n + 1) by = n + 1; // steps beyond the end are all alike
    if (by < -n - 1) by = -n - 1;
    const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
    int64_t first = by < 0 ? high : low, end = by < 0 ? low : high;
    SB_TRY(bound(r, from, n, low, high, &first));
    SB_TRY(bound(r, to, n, low, high, &end));
    const int64_t gap = by < 0 ? first - end : end - first, width = by < 0 ? -by : by;
    const int64_t count = gap > 0 ? (gap + width - 1) / width : 0;
    if (sb_val_is_str(a)) return slice_str(r, a, count ? first : 0, by, count, out);
    SB_TRY(sb_tpl_spend(r, (size_t)count / 4));
    sb_list *l = sb_list_new(&r->mem, (size_t)count);
    if (!l) return sb_tpl_oom(r);
    for (int64_t i = first; l->n < (size_t)count; i += by)
        l->v[l->n++] = a.as.list->v[i];
    *out = sb_val_of_list(l, (sb_val_type)a.type);
    return SB_OK;
}
