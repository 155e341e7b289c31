/* SPDX-License-Identifier: Apache-2.0
 * eval.c - expressions evaluated by walking the tree, each node one step of the budget. */
#include "base/limits.h"
#include "template/tpl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- budget and errors ---- */

sb_status sb_tpl_fail(sb_run *r, sb_status code, const char *fmt, ...)
{
    char msg[SB_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return SB_FAIL(r->err, code, "chat template, line %d, column %d: %s",
                   r->at ? (int)r->at->line : 0, r->at ? (int)r->at->col : 0, msg);
}

sb_status sb_tpl_spend(sb_run *r, size_t steps)
{
    if (steps <= r->steps_left) {
        r->steps_left -= steps;
        return SB_OK;
    }
    return sb_tpl_fail(r, SB_LIMIT, "over its budget of %llu steps", (unsigned long long)r->budget);
}

sb_status sb_tpl_descend(sb_run *r)
{
    SB_TRY(sb_tpl_spend(r, 1));
    if (r->depth >= SB_MAX_TEMPLATE_CALLS)
        return sb_tpl_fail(r, SB_LIMIT, "calls or values nested more than %d deep",
                           SB_MAX_TEMPLATE_CALLS);
    r->depth++;
    return SB_OK;
}

sb_status sb_tpl_oom(sb_run *r)
{
    return sb_region_fail(&r->mem, r->err);
}

/* ---- arguments ---- */

const sb_val *sb_tpl_arg(const sb_run *r, const sb_args *a, int i, const char *kw)
{
    if (i < a->n_pos) return &a->v[i];
    for (int k = a->n_pos; kw && k < a->n; k++) {
        const sb_symbol *s = &r->t->syms[a->kw[k]];
        if (strlen(kw) == s->n && memcmp(kw, s->p, s->n) == 0) return &a->v[k];
    }
    return NULL;
}

sb_status sb_tpl_arg_str(sb_run *r, const sb_val *v, const char *what)
{
    if (v && sb_val_is_str(*v)) return SB_OK;
    return sb_tpl_fail(r, SB_CORRUPT, "%s must be a string, not %s", what,
                       v ? sb_tpl_type_name(*v) : "missing");
}

sb_status sb_tpl_arg_int(sb_run *r, const sb_args *a, int i, const char *kw, int64_t def,
                         int64_t *out)
{
    const sb_val *v = sb_tpl_arg(r, a, i, kw);
    *out = def;
    if (!v || v->type == SB_VAL_NULL || sb_val_whole(*v, out)) return SB_OK;
    return sb_tpl_fail(r, SB_CORRUPT, "%s must be a number, not %s", kw ? kw : "an argument",
                       sb_tpl_type_name(*v));
}

sb_status sb_tpl_eval_args(sb_run *r, const sb_node *first, sb_args *out)
{
    int n = 0;
    for (const sb_node *a = first; a; a = a->next)
        n++;
    *out = (sb_args){0};
    if (!n) return SB_OK;
    sb_val *v = sb_region_take(&r->mem, (size_t)n, sizeof *v);
    int32_t *kw = sb_region_take(&r->mem, (size_t)n, sizeof *kw);
    if (!v || !kw) return sb_tpl_oom(r);
    for (const sb_node *a = first; a; a = a->next, out->n++) {
        SB_TRY(sb_tpl_eval(r, a->a, &v[out->n]));
        kw[out->n] = a->sym;
        if (a->sym < 0) out->n_pos++;
    }
    out->v = v;
    out->kw = kw;
    return SB_OK;
}

/* ---- what can be walked over ---- */

static sb_status chars_of(sb_run *r, sb_val s, sb_list *l)
{
    for (size_t i = 0; i < s.as.s.n;) {
        size_t n = 1;
        while (i + n < s.as.s.n && ((unsigned char)s.as.s.p[i + n] & 0xC0) == 0x80)
            n++;
        SB_TRY(sb_tpl_spend(r, 1));
        sb_val c = sb_text_cut(s, i, n);
        c.id = 0;
        if (!sb_list_push(&r->mem, l, c)) return sb_tpl_oom(r);
        i += n;
    }
    return SB_OK;
}

sb_status sb_tpl_items(sb_run *r, sb_val v, const sb_list **out)
{
    if (v.type == SB_VAL_ITER) {
        sb_iter *it = v.as.iter;
        SB_TRY(sb_val_settle(r, &v));
        it->at = it->items->n;
    }
    if (sb_val_is_seq(v)) {
        *out = v.as.list;
        return SB_OK;
    }
    if (v.type != SB_VAL_STR && v.type != SB_VAL_DICT && v.type != SB_VAL_UNDEFINED)
        return sb_tpl_fail(r, SB_CORRUPT, "cannot walk over %s", sb_tpl_type_name(v));
    sb_list *l = sb_list_new(&r->mem, v.type == SB_VAL_DICT ? v.as.dict->n : 0);
    if (!l) return sb_tpl_oom(r);
    *out = l;
    if (v.type == SB_VAL_STR) return chars_of(r, v, l);
    if (v.type == SB_VAL_UNDEFINED) return SB_OK;
    SB_TRY(sb_tpl_spend(r, v.as.dict->n));
    for (; l->n < v.as.dict->n; l->n++)
        l->v[l->n] = v.as.dict->v[l->n].k;
    return SB_OK;
}

/* ---- nodes ---- */

static sb_status eval_name(sb_run *r, const sb_node *n, sb_val *out)
{
    const sb_val *v = sb_tpl_get(r, n->sym);
    if (v) {
        *out = *v;
        return SB_OK;
    }
    const sb_symbol *s = &r->t->syms[n->sym];
    const int id = sb_tpl_global_find(s->p, s->n);
    if (id >= 0) {
        *out = (sb_val){.type = SB_VAL_FUNCTION, .id = (uint16_t)id};
        return SB_OK;
    }
    char *name = sb_region_bytes(&r->mem, &r->mem.text, s->n + 1);
    if (!name) return sb_tpl_oom(r);
    memcpy(name, s->p, s->n);
    name[s->n] = 0;
    *out = (sb_val){.as.name = name};
    return SB_OK;
}

static sb_status eval_list(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_list *l = sb_list_new(&r->mem, 0);
    if (!l) return sb_tpl_oom(r);
    for (const sb_node *a = n->first; a; a = a->next) {
        sb_val v;
        SB_TRY(sb_tpl_eval(r, a, &v));
        if (!sb_list_push(&r->mem, l, v)) return sb_tpl_oom(r);
    }
    *out = sb_val_of_list(l, n->kind == SB_N_TUPLE ? SB_VAL_TUPLE : SB_VAL_LIST);
    return SB_OK;
}

static sb_status eval_dict(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_dict *d = sb_dict_new(&r->mem);
    if (!d) return sb_tpl_oom(r);
    for (const sb_node *a = n->first; a; a = a->next->next) {
        sb_val k, v;
        SB_TRY(sb_tpl_eval(r, a, &k));
        SB_TRY(sb_tpl_eval(r, a->next, &v));
        if (k.type > SB_VAL_STR || k.type == SB_VAL_UNDEFINED)
            return sb_tpl_fail(r, SB_CORRUPT, "%s as a key", sb_tpl_type_name(k));
        SB_TRY(sb_tpl_spend(r, sb_dict_cost(d)));
        if (!sb_dict_put(&r->mem, d, k, v)) return sb_tpl_oom(r);
    }
    *out = sb_val_of_dict(d, SB_VAL_DICT);
    return SB_OK;
}

static sb_status eval_sign(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val v;
    int64_t i;
    SB_TRY(sb_tpl_eval(r, n->a, &v));
    r->at = n;
    if (v.type == SB_VAL_FLOAT) {
        if (n->kind == SB_N_NEG) v.as.f = -v.as.f;
    } else if (sb_val_whole(v, &i)) {
        if (n->kind == SB_N_NEG && ckd_sub(&i, 0, i))
            return sb_tpl_fail(r, SB_LIMIT, "number too large");
        v = (sb_val){.type = SB_VAL_INT, .from_content = v.from_content, .as.i = i};
    } else {
        return sb_tpl_fail(r, SB_CORRUPT, "a sign before %s", sb_tpl_type_name(v));
    }
    *out = v;
    return SB_OK;
}

static sb_status eval_binary(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val a, b;
    SB_TRY(sb_tpl_eval(r, n->a, &a));
    SB_TRY(sb_tpl_eval(r, n->b, &b));
    r->at = n;
    return sb_tpl_binary(r, (sb_op)n->op, a, b, out);
}

static sb_status eval_compare(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val a, b;
    bool yes = true;
    SB_TRY(sb_tpl_eval(r, n->a, &a));
    for (const sb_node *c = n->first; c && yes; c = c->next) {
        SB_TRY(sb_tpl_eval(r, c->a, &b));
        r->at = c;
        SB_TRY(sb_tpl_compare(r, (sb_op)c->op, a, b, &yes));
        a = b;
    }
    *out = (sb_val){.type = SB_VAL_BOOL, .as.b = yes};
    return SB_OK;
}

static sb_status eval_cond(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val c;
    SB_TRY(sb_tpl_eval(r, n->b, &c));
    if (sb_val_truth(c)) return sb_tpl_eval(r, n->a, out);
    if (n->c) return sb_tpl_eval(r, n->c, out);
    *out = (sb_val){.as.name = "inline if without else"};
    return SB_OK;
}

static sb_status eval_item(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val a, key;
    SB_TRY(sb_tpl_eval(r, n->a, &a));
    if (n->kind == SB_N_ATTR) {
        r->at = n;
        return sb_tpl_attr(r, &a, r->t->syms[n->sym], out);
    }
    SB_TRY(sb_tpl_eval(r, n->b, &key));
    r->at = n;
    return sb_tpl_item(r, &a, key, out);
}

static sb_status eval_slice(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val a, part[3];
    const sb_node *const from[3] = {n->b, n->c, n->d};
    SB_TRY(sb_tpl_eval(r, n->a, &a));
    for (int i = 0; i < 3; i++)
        if (from[i]) SB_TRY(sb_tpl_eval(r, from[i], &part[i]));
    r->at = n;
    return sb_tpl_slice(r, a, n->b ? &part[0] : NULL, n->c ? &part[1] : NULL,
                        n->d ? &part[2] : NULL, out);
}

sb_status sb_tpl_call(sb_run *r, sb_val f, const sb_args *a, sb_val *out)
{
    if (f.type == SB_VAL_FUNCTION) return sb_tpl_global(r, f.id, a, out);
    if (f.type == SB_VAL_METHOD) return sb_tpl_method(r, f.id, *f.as.self, a, out);
    if (f.type == SB_VAL_MACRO) return sb_tpl_call_macro(r, f.as.macro, a, NULL, out);
    if (f.type == SB_VAL_LOOP) return sb_tpl_call_loop(r, f.as.loop, a, out);
    if (f.type == SB_VAL_UNDEFINED)
        return sb_tpl_fail(r, SB_CORRUPT, "'%.60s' is undefined", f.as.name ? f.as.name : "value");
    return sb_tpl_fail(r, SB_CORRUPT, "a %s cannot be called", sb_tpl_type_name(f));
}

static sb_status eval_call(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val f;
    sb_args args;
    SB_TRY(sb_tpl_eval(r, n->a, &f));
    SB_TRY(sb_tpl_eval_args(r, n->first, &args));
    r->at = n;
    return sb_tpl_call(r, f, &args, out);
}

static sb_status eval_filter(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val v;
    sb_args args;
    SB_TRY(sb_tpl_eval(r, n->a, &v));
    SB_TRY(sb_tpl_eval_args(r, n->first, &args));
    r->at = n;
    return sb_tpl_filter(r, n->id, v, &args, out);
}

static sb_status eval_test(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_val v;
    sb_args args;
    bool yes = false;
    SB_TRY(sb_tpl_eval(r, n->a, &v));
    SB_TRY(sb_tpl_eval_args(r, n->first, &args));
    r->at = n;
    SB_TRY(sb_tpl_test(r, n->id, v, &args, &yes));
    *out = (sb_val){.type = SB_VAL_BOOL, .as.b = yes != (n->op != 0)};
    return SB_OK;
}

/* and, or, not: and and or give one of their operands, as in Python. */
static sb_status eval_logic(sb_run *r, const sb_node *n, sb_val *out)
{
    SB_TRY(sb_tpl_eval(r, n->a, out));
    const bool yes = sb_val_truth(*out);
    if (n->kind == SB_N_NOT) {
        *out = (sb_val){.type = SB_VAL_BOOL, .as.b = !yes};
        return SB_OK;
    }
    return yes == (n->kind == SB_N_AND) ? sb_tpl_eval(r, n->b, out) : SB_OK;
}

sb_status sb_tpl_eval(sb_run *r, const sb_node *n, sb_val *out)
{
    typedef sb_status (*eval_fn)(sb_run *, const sb_node *, sb_val *);
    static const eval_fn by_kind[] = {
        [SB_N_NAME] = eval_name, [SB_N_LIST] = eval_list,       [SB_N_TUPLE] = eval_list,
        [SB_N_DICT] = eval_dict, [SB_N_NOT] = eval_logic,       [SB_N_NEG] = eval_sign,
        [SB_N_POS] = eval_sign,  [SB_N_BINARY] = eval_binary,   [SB_N_AND] = eval_logic,
        [SB_N_OR] = eval_logic,  [SB_N_COMPARE] = eval_compare, [SB_N_COND] = eval_cond,
        [SB_N_ATTR] = eval_item, [SB_N_ITEM] = eval_item,       [SB_N_SLICE] = eval_slice,
        [SB_N_CALL] = eval_call, [SB_N_FILTER] = eval_filter,   [SB_N_TEST] = eval_test,
    };
    r->at = n;
    if (n->kind == SB_N_CONST) {
        *out = n->val;
        return sb_tpl_spend(r, 1);
    }
    SB_TRY(sb_tpl_descend(r));
    const sb_status s = by_kind[n->kind](r, n, out);
    r->depth--;
    return s;
}
