/* SPDX-License-Identifier: Apache-2.0
 * gather.c - filters that take lists apart and put them together. Those the reference makes lazy
 * are lists here: a budget needs to see the work where it is asked for. */
#include "template/gather.h"

#include <string.h>

static bool flag(const sb_run *r, const sb_args *a, int i, const char *kw)
{
    const sb_val *v = sb_tpl_arg(r, a, i, kw);
    return v && sb_val_truth(*v);
}

/* item.a.b.0 for a path "a.b.0"; a missing step gives undefined, a step beyond that an error. */
static sb_status walk_path(sb_run *r, sb_val item, sb_val path, sb_val *out)
{
    sb_val steps;
    *out = item;
    if (!sb_val_is_str(path)) return sb_tpl_item(r, &item, path, out);
    const sb_val dot = sb_val_literal(".");
    SB_TRY(sb_text_split(r, path, &dot, -1, false, &steps));
    for (size_t i = 0; i < steps.as.list->n; i++) {
        sb_val key = steps.as.list->v[i];
        const sb_val from = *out;
        if (key.as.s.n && key.as.s.n < 9 && strspn(key.as.s.p, "0123456789") >= key.as.s.n) {
            int64_t at = 0;
            for (size_t k = 0; k < key.as.s.n; k++)
                at = at * 10 + (key.as.s.p[k] - '0');
            key = (sb_val){.type = SB_VAL_INT, .as.i = at};
        }
        SB_TRY(sb_tpl_item(r, &from, key, out));
    }
    return SB_OK;
}

static sb_status new_list(sb_run *r, sb_list **l, sb_val *out)
{
    *l = sb_list_new(&r->mem, 0);
    if (!*l) return sb_tpl_oom(r);
    *out = sb_val_of_list(*l, SB_VAL_LIST);
    return SB_OK;
}

static sb_status push(sb_run *r, sb_list *l, sb_val v)
{
    SB_TRY(sb_tpl_spend(r, 1));
    return sb_list_push(&r->mem, l, v) ? SB_OK : sb_tpl_oom(r);
}

sb_status sb_gather_first(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_list *l;
    (void)a;
    if (v.type == SB_VAL_ITER &&
        v.as.iter->at < v.as.iter->items->n) { // takes one, leaves the rest
        *out = v.as.iter->items->v[v.as.iter->at++];
        return SB_OK;
    }
    SB_TRY(sb_tpl_items(r, v, &l));
    *out = l->n ? l->v[0] : (sb_val){.as.name = "first item"};
    return SB_OK;
}

sb_status sb_gather_last(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_list *l;
    (void)a;
    SB_TRY(sb_tpl_items(r, v, &l));
    *out = l->n ? l->v[l->n - 1] : (sb_val){.as.name = "last item"};
    return SB_OK;
}

sb_status sb_gather_list(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_list *from;
    sb_list *l;
    (void)a;
    SB_TRY(sb_tpl_items(r, v, &from));
    SB_TRY(new_list(r, &l, out));
    for (size_t i = 0; i < from->n; i++)
        SB_TRY(push(r, l, from->v[i]));
    return SB_OK;
}

sb_status sb_gather_pairs(sb_run *r, sb_val v, sb_list **out)
{
    sb_val made = {0};
    SB_TRY(new_list(r, out, &made));
    if (v.type == SB_VAL_UNDEFINED) return SB_OK;
    if (v.type != SB_VAL_DICT)
        return sb_tpl_fail(r, SB_CORRUPT, "items of a %s", sb_tpl_type_name(v));
    for (size_t i = 0; i < v.as.dict->n; i++) {
        sb_list *pair = sb_list_new(&r->mem, 2);
        if (!pair) return sb_tpl_oom(r);
        pair->v[0] = v.as.dict->v[i].k;
        pair->v[1] = v.as.dict->v[i].v;
        pair->n = 2;
        SB_TRY(push(r, *out, sb_val_of_list(pair, SB_VAL_TUPLE)));
    }
    return SB_OK;
}

sb_status sb_gather_items(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    sb_list *l;
    (void)a;
    SB_TRY(sb_gather_pairs(r, v, &l));
    return sb_val_to_iter(r, sb_val_of_list(l, SB_VAL_LIST), out);
}

sb_status sb_gather_join(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *sep = sb_tpl_arg(r, a, 0, "d"), *path = sb_tpl_arg(r, a, 1, "attribute");
    sb_val text = sb_val_literal("");
    const sb_list *items;
    if (sep) SB_TRY(sb_tpl_str(r, *sep, &text));
    SB_TRY(sb_tpl_items(r, v, &items));
    if (path && path->type != SB_VAL_NULL) {
        sb_list *l;
        sb_val made = {0};
        SB_TRY(new_list(r, &l, &made));
        for (size_t i = 0; i < items->n; i++) {
            sb_val part;
            SB_TRY(walk_path(r, items->v[i], *path, &part));
            SB_TRY(push(r, l, part));
        }
        items = l;
    }
    return sb_text_join(r, text, items, false, out);
}

sb_status sb_gather_reverse(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val back = {.type = SB_VAL_INT, .as.i = -1};
    if (sb_val_is_str(v)) return sb_tpl_slice(r, v, NULL, NULL, &back, out);
    SB_TRY(sb_gather_list(r, v, a, &v));
    SB_TRY(sb_tpl_slice(r, v, NULL, NULL, &back, &v));
    return sb_val_to_iter(r, v, out);
}

/* ---- sorting ---- */

static sb_status sort_key(sb_run *r, sb_val item, const sb_val *path, bool with_case, sb_val *out);

/* Of "a,b": the keys of both, in a list. */
static sb_status sort_keys(sb_run *r, sb_val item, sb_val path, bool with_case, sb_val *out)
{
    const sb_val comma = sb_val_literal(",");
    sb_val paths;
    sb_list *l;
    SB_TRY(sb_text_split(r, path, &comma, -1, false, &paths));
    SB_TRY(new_list(r, &l, out));
    for (size_t i = 0; i < paths.as.list->n; i++) {
        sb_val key;
        SB_TRY(sort_key(r, item, &paths.as.list->v[i], with_case, &key));
        SB_TRY(push(r, l, key));
    }
    return SB_OK;
}

/* What an item is compared by: itself or an attribute, in lower case unless case counts. */
static sb_status sort_key(sb_run *r, sb_val item, const sb_val *path, bool with_case, sb_val *out)
{
    *out = item;
    if (path && path->type == SB_VAL_STR && sb_text_find(*path, 0, ",", 1) != SIZE_MAX)
        return sort_keys(r, item, *path, with_case, out);
    if (path && path->type != SB_VAL_NULL) SB_TRY(walk_path(r, item, *path, out));
    if (!with_case && sb_val_is_str(*out)) return sb_text_case(r, *out, SB_CASE_LOWER, out);
    return SB_OK;
}

typedef struct keyed {
    sb_val key, item;
} keyed;

/* Merges a[0..mid) and a[mid..n) through tmp; equal keys keep their order. */
static sb_status merge(sb_run *r, keyed *a, size_t mid, size_t n, keyed *tmp, bool reverse)
{
    size_t i = 0, k = mid;
    for (size_t o = 0; o < n; o++) {
        int order = 0;
        if (i < mid && k < n) SB_TRY(sb_val_order(r, a[i].key, a[k].key, &order));
        if (reverse) order = -order;
        tmp[o] = k >= n || (i < mid && order <= 0) ? a[i++] : a[k++];
    }
    memcpy(a, tmp, n * sizeof *a);
    return SB_OK;
}

static sb_status sort(sb_run *r, keyed *a, size_t n, bool reverse)
{
    keyed *tmp = sb_region_take(&r->mem, n, sizeof *tmp);
    if (!tmp) return sb_tpl_oom(r);
    for (size_t width = 1; width < n; width *= 2)
        for (size_t at = 0; at + width < n; at += 2 * width) {
            const size_t len = n - at < 2 * width ? n - at : 2 * width;
            SB_TRY(sb_tpl_spend(r, len));
            SB_TRY(merge(r, a + at, width, len, tmp, reverse));
        }
    return SB_OK;
}

sb_status sb_gather_sort(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const bool reverse = flag(r, a, 0, "reverse"), with_case = flag(r, a, 1, "case_sensitive");
    const sb_val *path = sb_tpl_arg(r, a, 2, "attribute");
    const sb_list *from;
    sb_list *l;
    SB_TRY(sb_tpl_items(r, v, &from));
    SB_TRY(new_list(r, &l, out));
    keyed *k = sb_region_take(&r->mem, from->n, sizeof *k);
    if (!k) return sb_tpl_oom(r);
    for (size_t i = 0; i < from->n; i++) {
        k[i].item = from->v[i];
        SB_TRY(sort_key(r, from->v[i], path, with_case, &k[i].key));
    }
    const size_t n = from->n;
    SB_TRY(sort(r, k, n, reverse));
    for (size_t i = 0; i < n; i++)
        SB_TRY(push(r, l, k[i].item));
    return SB_OK;
}

sb_status sb_gather_dictsort(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const bool with_case = flag(r, a, 0, "case_sensitive"), reverse = flag(r, a, 2, "reverse");
    const sb_val *by = sb_tpl_arg(r, a, 1, "by");
    const bool by_value = by && sb_val_is_str(*by) && by->as.s.n == 5;
    const sb_val path = {.type = SB_VAL_INT, .as.i = by_value};
    sb_list *pairs, *l;
    SB_TRY(sb_gather_pairs(r, v, &pairs));
    SB_TRY(new_list(r, &l, out));
    keyed *k = sb_region_take(&r->mem, pairs->n, sizeof *k);
    if (!k) return sb_tpl_oom(r);
    for (size_t i = 0; i < pairs->n; i++) {
        k[i].item = pairs->v[i];
        SB_TRY(sort_key(r, pairs->v[i], &path, with_case, &k[i].key));
    }
    SB_TRY(sort(r, k, pairs->n, reverse));
    for (size_t i = 0; i < pairs->n; i++)
        SB_TRY(push(r, l, k[i].item));
    return SB_OK;
}

sb_status sb_gather_unique(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const bool with_case = flag(r, a, 0, "case_sensitive");
    const sb_val *path = sb_tpl_arg(r, a, 1, "attribute");
    const sb_list *from;
    sb_list *l;
    sb_val made = {0}, key;
    sb_dict *seen = sb_dict_new(&r->mem);
    if (!seen) return sb_tpl_oom(r);
    SB_TRY(sb_tpl_items(r, v, &from));
    SB_TRY(new_list(r, &l, &made));
    SB_TRY(sb_val_to_iter(r, made, out));
    for (size_t i = 0; i < from->n; i++) {
        SB_TRY(sort_key(r, from->v[i], path, with_case, &key));
        if (key.type > SB_VAL_STR) // the reference cannot tell lists and dicts apart either
            return sb_tpl_fail(r, SB_CORRUPT, "unique of a %s", sb_tpl_type_name(key));
        SB_TRY(sb_tpl_spend(r, 3 + sb_dict_cost(seen)));
        if (sb_dict_seek(seen, key) != SIZE_MAX) continue;
        if (!sb_dict_put(&r->mem, seen, key, key)) return sb_tpl_oom(r);
        SB_TRY(push(r, l, from->v[i]));
    }
    return SB_OK;
}

/* ---- folding ---- */

sb_status sb_gather_sum(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *path = sb_tpl_arg(r, a, 0, "attribute"), *start = sb_tpl_arg(r, a, 1, "start");
    const sb_list *l;
    SB_TRY(sb_tpl_items(r, v, &l));
    sb_val sum = {.type = SB_VAL_INT};
    if (start) sum = *start;
    for (size_t i = 0; i < l->n; i++) {
        sb_val item = l->v[i];
        if (path && path->type != SB_VAL_NULL) SB_TRY(walk_path(r, l->v[i], *path, &item));
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(sb_tpl_binary(r, SB_OP_ADD, sum, item, &sum));
    }
    *out = sum;
    return SB_OK;
}

static sb_status extreme(sb_run *r, sb_val v, const sb_args *a, int want, sb_val *out)
{
    const bool with_case = flag(r, a, 0, "case_sensitive");
    const sb_val *path = sb_tpl_arg(r, a, 1, "attribute");
    const sb_list *l;
    sb_val best = {0}, key;
    SB_TRY(sb_tpl_items(r, v, &l));
    *out = (sb_val){.as.name = "item of an empty list"};
    for (size_t i = 0; i < l->n; i++) {
        int order = want;
        SB_TRY(sort_key(r, l->v[i], path, with_case, &key));
        if (i) SB_TRY(sb_val_order(r, key, best, &order));
        if (order != want) continue;
        best = key;
        *out = l->v[i];
    }
    return SB_OK;
}

sb_status sb_gather_min(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    return extreme(r, v, a, -1, out);
}

sb_status sb_gather_max(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    return extreme(r, v, a, 1, out);
}

/* ---- choosing ---- */

/* Arguments from the n-th positional on. */
static sb_args rest(const sb_args *a, int n)
{
    return (sb_args){.v = a->v + n, .kw = a->kw + n, .n_pos = a->n_pos - n, .n = a->n - n};
}

sb_status sb_gather_map(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    const sb_val *path = sb_tpl_arg(r, a, 99, "attribute"),
                 *other = sb_tpl_arg(r, a, 99, "default");
    const sb_list *from;
    sb_list *l;
    int id = -1;
    sb_val made = {0};
    SB_TRY(new_list(r, &l, &made));
    SB_TRY(sb_val_to_iter(r, made, out));
    if (!sb_val_truth(v)) return SB_OK; // none too, unlike elsewhere
    SB_TRY(sb_tpl_items(r, v, &from));
    if (!path) {
        const sb_val *name = sb_tpl_arg(r, a, 0, NULL);
        SB_TRY(sb_tpl_arg_str(r, name, "the filter of map"));
        id = sb_tpl_filter_find(name->as.s.p, name->as.s.n);
        if (id < 0)
            return sb_tpl_fail(r, SB_UNSUPPORTED, "filter '%.*s' is not supported",
                               name->as.s.n > 60 ? 60 : (int)name->as.s.n, name->as.s.p);
    }
    for (size_t i = 0; i < from->n; i++) {
        sb_val item;
        if (path) {
            SB_TRY(walk_path(r, from->v[i], *path, &item));
            if (other && item.type == SB_VAL_UNDEFINED) item = *other;
        } else {
            const sb_args more = rest(a, 1);
            SB_TRY(sb_tpl_filter(r, (unsigned)id, from->v[i], &more, &item));
        }
        SB_TRY(push(r, l, item));
    }
    return SB_OK;
}

/* select and its kin: `by_path` takes the attribute's name first, then the test's. */
static sb_status choose(sb_run *r, sb_val v, const sb_args *a, bool by_path, bool keep, sb_val *out)
{
    const int at = by_path ? 1 : 0;
    const sb_val *path = by_path ? sb_tpl_arg(r, a, 0, NULL) : NULL,
                 *name = sb_tpl_arg(r, a, at, NULL);
    const sb_list *from;
    sb_list *l;
    int id = -1;
    sb_val made = {0};
    SB_TRY(new_list(r, &l, &made));
    SB_TRY(sb_val_to_iter(r, made, out));
    if (!sb_val_truth(v)) return SB_OK; // none too, unlike elsewhere
    SB_TRY(sb_tpl_items(r, v, &from));
    if (by_path && !path) return sb_tpl_fail(r, SB_CORRUPT, "the attribute's name is missing");
    if (name) {
        SB_TRY(sb_tpl_arg_str(r, name, "the test"));
        id = sb_tpl_test_find(name->as.s.p, name->as.s.n);
        if (id < 0)
            return sb_tpl_fail(r, SB_UNSUPPORTED, "test '%.*s' is not supported",
                               name->as.s.n > 60 ? 60 : (int)name->as.s.n, name->as.s.p);
    }
    const sb_args more = name ? rest(a, at + 1) : (sb_args){0};
    for (size_t i = 0; i < from->n; i++) {
        sb_val item = from->v[i];
        if (path) SB_TRY(walk_path(r, from->v[i], *path, &item));
        bool yes = sb_val_truth(item);
        if (name) SB_TRY(sb_tpl_test(r, (unsigned)id, item, &more, &yes));
        if (yes == keep) SB_TRY(push(r, l, from->v[i]));
    }
    return SB_OK;
}

sb_status sb_gather_select(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    return choose(r, v, a, false, true, out);
}

sb_status sb_gather_reject(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    return choose(r, v, a, false, false, out);
}

sb_status sb_gather_selectattr(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    return choose(r, v, a, true, true, out);
}

sb_status sb_gather_rejectattr(sb_run *r, sb_val v, const sb_args *a, sb_val *out)
{
    return choose(r, v, a, true, false, out);
}
