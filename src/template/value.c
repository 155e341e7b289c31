/* SPDX-License-Identifier: Apache-2.0
 * value.c - making, comparing and copying values. */
#include "template/tpl.h"

#include <string.h>

/* ---- containers ---- */

void *sb_tpl_grow(sb_region *m, void *old, size_t n, size_t *cap, size_t size)
{
    const size_t bigger = *cap ? *cap * 2 : 4;
    void *p = sb_region_take(m, bigger, size);
    if (!p) return NULL;
    if (n) memcpy(p, old, n * size);
    *cap = bigger;
    return p;
}

sb_list *sb_list_new(sb_region *m, size_t cap)
{
    sb_list *l = sb_region_take(m, 1, sizeof *l);
    if (!l || !cap) return l;
    l->v = sb_region_take(m, cap, sizeof *l->v);
    l->cap = cap;
    return l->v ? l : NULL;
}

bool sb_list_push(sb_region *m, sb_list *l, sb_val v)
{
    if (l->n == l->cap) {
        sb_val *p = sb_tpl_grow(m, l->v, l->n, &l->cap, sizeof *p);
        if (!p) return false;
        l->v = p;
    }
    l->v[l->n++] = v;
    return true;
}

sb_val sb_val_of_list(sb_list *l, sb_val_type type)
{
    return (sb_val){.type = (uint8_t)type, .as.list = l};
}

sb_val sb_val_of_dict(sb_dict *d, sb_val_type type)
{
    return (sb_val){.type = (uint8_t)type, .as.dict = d};
}

/* ---- questions ---- */

sb_val sb_val_literal(const char *s)
{
    return (sb_val){.type = SB_VAL_STR, .as.s = {.p = s, .n = strlen(s)}};
}

bool sb_val_is_str(sb_val v)
{
    return v.type == SB_VAL_STR;
}

bool sb_val_is_seq(sb_val v)
{
    return v.type == SB_VAL_LIST || v.type == SB_VAL_TUPLE;
}

bool sb_val_truth(sb_val v)
{
    switch ((sb_val_type)v.type) {
    case SB_VAL_UNDEFINED:
    case SB_VAL_NULL:
        return false;
    case SB_VAL_BOOL:
        return v.as.b;
    case SB_VAL_INT:
        return v.as.i != 0;
    case SB_VAL_FLOAT:
        return v.as.f != 0;
    case SB_VAL_STR:
        return v.as.s.n != 0;
    case SB_VAL_LIST:
    case SB_VAL_TUPLE:
        return v.as.list->n != 0;
    case SB_VAL_DICT:
        return v.as.dict->n != 0;
    case SB_VAL_NAMESPACE:
    case SB_VAL_ITER:
    case SB_VAL_LOOP:
    case SB_VAL_MACRO:
    case SB_VAL_FUNCTION:
    case SB_VAL_METHOD:
        return true;
    }
    return false;
}

bool sb_val_whole(sb_val v, int64_t *out)
{
    if (v.type == SB_VAL_INT)
        *out = v.as.i;
    else if (v.type == SB_VAL_BOOL)
        *out = v.as.b;
    else
        return false;
    return true;
}

bool sb_val_number(sb_val v, double *out)
{
    int64_t i;
    if (v.type == SB_VAL_FLOAT)
        *out = v.as.f;
    else if (sb_val_whole(v, &i))
        *out = (double)i;
    else
        return false;
    return true;
}

bool sb_val_has_content(sb_val v)
{
    if (v.type != SB_VAL_STR || !v.as.s.marks) return v.from_content;
    return memchr(v.as.s.marks, 1, v.as.s.n) != NULL;
}

const char *sb_tpl_type_name(sb_val v)
{
    static const char *const names[] = {"undefined", "none", "boolean", "integer",  "float",
                                        "string",    "list", "tuple",   "dict",     "namespace",
                                        "generator", "loop", "macro",   "function", "method"};
    return names[v.type];
}

/* ---- generators ---- */

sb_status sb_val_to_iter(sb_run *r, sb_val list, sb_val *out)
{
    sb_iter *it = sb_region_take(&r->mem, 1, sizeof *it);
    if (!it) return sb_tpl_oom(r);
    it->items = list.as.list;
    *out = (sb_val){.type = SB_VAL_ITER, .as.iter = it};
    return SB_OK;
}

sb_status sb_val_settle(sb_run *r, sb_val *v)
{
    if (v->type != SB_VAL_ITER) return SB_OK;
    const sb_iter *it = v->as.iter;
    sb_list *l = sb_region_take(&r->mem, 1, sizeof *l);
    if (!l) return sb_tpl_oom(r);
    l->v = it->items->n ? it->items->v + it->at : NULL;
    l->n = l->cap = it->items->n - it->at; // full, so that it never grows over the items behind
    *v = sb_val_of_list(l, SB_VAL_LIST);
    return SB_OK;
}

/* ---- comparing ---- */

static sb_status equal_lists(sb_run *r, const sb_list *a, const sb_list *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++)
        SB_TRY(sb_val_equal(r, a->v[i], b->v[i], out));
    return SB_OK;
}

static sb_status equal_dicts(sb_run *r, const sb_dict *a, const sb_dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) {
        SB_TRY(sb_tpl_spend(r, 1 + sb_dict_cost(b)));
        const size_t at = sb_dict_seek(b, a->v[i].k);
        if (at == SIZE_MAX)
            *out = false;
        else
            SB_TRY(sb_val_equal(r, a->v[i].v, b->v[at].v, out));
    }
    return SB_OK;
}

sb_status sb_val_equal(sb_run *r, sb_val a, sb_val b, bool *out)
{
    double x, y;
    int64_t i, k;
    SB_TRY(sb_tpl_descend(r));
    sb_status s = SB_OK;
    if (sb_val_whole(a, &i) && sb_val_whole(b, &k)) {
        *out = i == k;
    } else if (sb_val_number(a, &x) && sb_val_number(b, &y)) {
        *out = x == y;
    } else if (a.type != b.type) {
        *out = false;
    } else if (a.type == SB_VAL_STR) {
        s = sb_tpl_spend(r, a.as.s.n / 64);
        *out = a.as.s.n == b.as.s.n && (!a.as.s.n || memcmp(a.as.s.p, b.as.s.p, a.as.s.n) == 0);
    } else if (sb_val_is_seq(a)) {
        s = equal_lists(r, a.as.list, b.as.list, out);
    } else if (a.type == SB_VAL_DICT) {
        s = equal_dicts(r, a.as.dict, b.as.dict, out);
    } else {
        // None and undefined equal their like; the rest only itself.
        *out = a.type == SB_VAL_NULL || a.type == SB_VAL_UNDEFINED ||
               (a.type != SB_VAL_FUNCTION && a.as.self == b.as.self);
    }
    r->depth--;
    return s;
}

sb_status sb_val_order(sb_run *r, sb_val a, sb_val b, int *out)
{
    double x, y;
    int64_t i, k;
    SB_TRY(sb_tpl_spend(r, 1));
    if (sb_val_whole(a, &i) && sb_val_whole(b, &k)) {
        *out = (i > k) - (i < k);
        return SB_OK;
    }
    if (sb_val_number(a, &x) && sb_val_number(b, &y)) {
        *out = (x > y) - (x < y);
        return SB_OK;
    }
    if (a.type == SB_VAL_STR && b.type == SB_VAL_STR) {
        const size_t n = a.as.s.n < b.as.s.n ? a.as.s.n : b.as.s.n;
        SB_TRY(sb_tpl_spend(r, n / 64));
        const int c = n ? memcmp(a.as.s.p, b.as.s.p, n) : 0; // order of bytes = of code points
        *out = c ? (c > 0) - (c < 0) : (a.as.s.n > b.as.s.n) - (a.as.s.n < b.as.s.n);
        return SB_OK;
    }
    if (!sb_val_is_seq(a) || a.type != b.type)
        return sb_tpl_fail(r, SB_CORRUPT, "cannot order %s and %s", sb_tpl_type_name(a),
                           sb_tpl_type_name(b));
    const sb_list *l = a.as.list, *m = b.as.list;
    SB_TRY(sb_tpl_descend(r));
    sb_status s = SB_OK;
    *out = (l->n > m->n) - (l->n < m->n);
    for (size_t at = 0; at < l->n && at < m->n; at++) {
        bool same = false;
        s = sb_val_equal(r, l->v[at], m->v[at], &same);
        if (s == SB_OK && !same) s = sb_val_order(r, l->v[at], m->v[at], out);
        if (s != SB_OK || !same) break;
    }
    r->depth--;
    return s;
}

/* ---- copying ---- */

sb_status sb_val_clone(sb_run *r, sb_val v, sb_val *out)
{
    SB_TRY(sb_tpl_spend(r, 1));
    if (v.type != SB_VAL_DICT && !sb_val_is_seq(v)) {
        *out = v;
        return SB_OK;
    }
    SB_TRY(sb_tpl_descend(r));
    const size_t n = v.type == SB_VAL_DICT ? v.as.dict->n : v.as.list->n;
    sb_status s = SB_OK;
    if (v.type == SB_VAL_DICT) {
        sb_dict *d = sb_dict_new(&r->mem);
        if (d) d->v = sb_region_take(&r->mem, n, sizeof *d->v);
        if (!d || !d->v) return sb_tpl_oom(r);
        for (d->cap = n; s == SB_OK && d->n < n; d->n++) {
            d->v[d->n].k = v.as.dict->v[d->n].k;
            s = sb_val_clone(r, v.as.dict->v[d->n].v, &d->v[d->n].v);
        }
        if (s == SB_OK && !sb_dict_index(&r->mem, d)) return sb_tpl_oom(r);
        *out = sb_val_of_dict(d, SB_VAL_DICT);
    } else {
        sb_list *l = sb_list_new(&r->mem, n);
        if (!l) return sb_tpl_oom(r);
        for (; s == SB_OK && l->n < n; l->n++)
            s = sb_val_clone(r, v.as.list->v[l->n], &l->v[l->n]);
        *out = sb_val_of_list(l, (sb_val_type)v.type);
    }
    r->depth--;
    return s;
}
