/* SPDX-License-Identifier: Apache-2.0
 * statements.c - statements carried out: scopes, loops, macros, and where printed text goes. */
#include "base/limits.h"
#include "template/tpl.h"

#include <string.h>

/* ---- scopes ---- */

static sb_status push_scope(sb_run *r, sb_scope *parent)
{
    sb_scope *s = sb_region_take(&r->mem, 1, sizeof *s);
    if (!s) return sb_tpl_oom(r);
    s->parent = parent;
    r->scope = s;
    return SB_OK;
}

const sb_val *sb_tpl_get(sb_run *r, int32_t sym)
{
    for (const sb_scope *s = r->scope; s; s = s->parent) {
        if (sb_tpl_spend(r, s->n / 16) != SB_OK) return NULL; // the next step fails and says so
        for (size_t i = 0; i < s->n; i++)
            if (s->v[i].sym == sym) return &s->v[i].v;
    }
    return NULL;
}

sb_status sb_tpl_set(sb_run *r, int32_t sym, sb_val v)
{
    sb_scope *s = r->scope;
    SB_TRY(sb_tpl_spend(r, s->n / 16));
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].sym == sym) {
            s->v[i].v = v;
            return SB_OK;
        }
    if (s->n == s->cap) {
        const size_t cap = s->cap ? s->cap * 2 : 4;
        sb_binding *p = sb_region_take(&r->mem, cap, sizeof *p);
        if (!p) return sb_tpl_oom(r);
        if (s->n) memcpy(p, s->v, s->n * sizeof *p);
        s->v = p;
        s->cap = cap;
    }
    s->v[s->n++] = (sb_binding){sym, v};
    return SB_OK;
}

/* Binds a word of the dialect (loop, caller) where the template mentions it at all. */
static sb_status set_word(sb_run *r, const char *word, sb_val v)
{
    const int32_t sym = sb_tpl_find_sym(r->t, word, strlen(word));
    return sym < 0 ? SB_OK : sb_tpl_set(r, sym, v);
}

static sb_status assign(sb_run *r, const sb_node *target, sb_val v)
{
    SB_TRY(sb_tpl_descend(r));
    r->depth--; // counted for its step; targets nest no deeper than the parser allowed
    if (target->kind == SB_N_NAME) return sb_tpl_set(r, target->sym, v);
    if (target->kind == SB_N_ATTR) {
        sb_val ns;
        SB_TRY(sb_tpl_eval(r, target->a, &ns));
        r->at = target;
        if (ns.type != SB_VAL_NAMESPACE)
            return sb_tpl_fail(r, SB_CORRUPT, "cannot set an attribute of a %s",
                               sb_tpl_type_name(ns));
        SB_TRY(sb_tpl_spend(r, sb_dict_cost(ns.as.dict)));
        const sb_val key = sb_tpl_sym_val(r->t, target->sym);
        return sb_dict_put(&r->mem, ns.as.dict, key, v) ? SB_OK : sb_tpl_oom(r);
    }
    const sb_list *l;
    SB_TRY(sb_tpl_items(r, v, &l));
    size_t i = 0;
    for (const sb_node *t = target->first; t; t = t->next, i++) {
        if (i >= l->n) break;
        SB_TRY(assign(r, t, l->v[i]));
    }
    size_t n_wanted = 0;
    for (const sb_node *t = target->first; t; t = t->next)
        n_wanted++;
    if (n_wanted == l->n) return SB_OK;
    r->at = target;
    return sb_tpl_fail(r, SB_CORRUPT, "%zu values for %zu names", l->n, n_wanted);
}

/* ---- output ---- */

sb_status sb_sink_add(sb_run *r, sb_val s)
{
    static const uint8_t zeros[256];
    static const uint8_t ones[256] = {
#define ONES16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
        ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16,
        ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16};
#undef ONES16
    const size_t n = s.as.s.n;
    // Captured text nests: what all sinks hold together counts against the memory limit.
    if (!sb_region_charge(&r->mem, 2 * n)) return sb_tpl_oom(r);
    SB_TRY(sb_tpl_spend(r, n / 32));
    SB_TRY(sb_buf_add(&r->sink->text, s.as.s.p, n, r->err));
    if (s.as.s.marks) return sb_buf_add(&r->sink->marks, s.as.s.marks, n, r->err);
    for (size_t i = 0; i < n;) {
        const size_t step = n - i < sizeof ones ? n - i : sizeof ones;
        SB_TRY(sb_buf_add(&r->sink->marks, s.from_content ? ones : zeros, step, r->err));
        i += step;
    }
    return SB_OK;
}

/* The sink's text as a string of the region. */
static sb_status sink_val(sb_run *r, const sb_sink *k, sb_val *out)
{
    const size_t n = k->text.n;
    *out = sb_val_literal("");
    if (!n) return SB_OK;
    char *p = sb_region_bytes(&r->mem, &r->mem.text, n);
    if (!p) return sb_tpl_oom(r);
    memcpy(p, k->text.p, n);
    out->as.s.p = p;
    out->as.s.n = n;
    out->from_content = k->marks.p[0] != 0;
    if (!memchr(k->marks.p, !k->marks.p[0], n)) return SB_OK;
    uint8_t *marks = sb_region_bytes(&r->mem, &r->mem.marks, n);
    if (!marks) return sb_tpl_oom(r);
    memcpy(marks, k->marks.p, n);
    out->as.s.marks = marks;
    return SB_OK;
}

static void sink_init(sb_sink *k)
{
    sb_buf_init(&k->text, SB_MAX_TEMPLATE_OUTPUT_BYTES, "chat template output");
    sb_buf_init(&k->marks, SB_MAX_TEMPLATE_OUTPUT_BYTES, "chat template output");
}

static void sink_deinit(sb_sink *k)
{
    sb_buf_deinit(&k->text);
    sb_buf_deinit(&k->marks);
}

/* Runs a body with its text going into a value; loops inside end inside. */
static sb_status capture(sb_run *r, const sb_node *body, sb_val *out)
{
    sb_sink mine, *const outer = r->sink;
    sb_flow flow = SB_FLOW_ON;
    sink_init(&mine);
    r->sink = &mine;
    sb_status s = sb_tpl_exec(r, body, &flow);
    r->sink = outer;
    if (s == SB_OK) s = sink_val(r, &mine, out);
    sink_deinit(&mine);
    return s;
}

/* ---- macros ---- */

sb_status sb_tpl_call_macro(sb_run *r, const sb_macro *m, const sb_args *a, const sb_val *caller,
                            sb_val *out)
{
    sb_scope *const outer = r->scope;
    int i = 0, n_named = 0;
    SB_TRY(sb_tpl_descend(r));
    SB_TRY(push_scope(r, m->scope));
    for (const sb_node *p = m->node->first; p; p = p->next, i++) {
        sb_val v = {.as.name = "argument"};
        int named = -1;
        for (int k = a->n_pos; k < a->n; k++)
            if (a->kw[k] == p->sym) named = k;
        n_named += named >= 0;
        if (i < a->n_pos)
            v = a->v[i];
        else if (named >= 0)
            v = a->v[named];
        else if (p->a)
            SB_TRY(sb_tpl_eval(r, p->a, &v));
        SB_TRY(sb_tpl_set(r, p->sym, v));
    }
    if (a->n_pos > i || n_named != a->n - a->n_pos)
        return sb_tpl_fail(r, SB_CORRUPT, "a macro was called with arguments it does not have");
    if (caller) SB_TRY(set_word(r, "caller", *caller));
    SB_TRY(capture(r, m->node->body, out));
    r->scope = outer;
    r->depth--;
    return SB_OK;
}

static sb_status make_macro(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_macro *m = sb_region_take(&r->mem, 1, sizeof *m);
    if (!m) return sb_tpl_oom(r);
    *m = (sb_macro){.node = n, .scope = r->scope};
    *out = (sb_val){.type = SB_VAL_MACRO, .as.macro = m};
    return SB_OK;
}

/* ---- statements ---- */

static sb_status exec_print(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val v;
    (void)flow;
    SB_TRY(sb_tpl_eval(r, n->a, &v));
    r->at = n;
    SB_TRY(sb_tpl_str(r, v, &v));
    return sb_sink_add(r, v);
}

static sb_status exec_text(sb_run *r, const sb_node *n, sb_flow *flow)
{
    (void)flow;
    return sb_sink_add(r, n->val);
}

static sb_status exec_if(sb_run *r, const sb_node *n, sb_flow *flow)
{
    for (;;) {
        sb_val c;
        SB_TRY(sb_tpl_eval(r, n->a, &c));
        if (sb_val_truth(c)) return sb_tpl_exec(r, n->body, flow);
        const sb_node *other = n->orelse;
        // An "elif" is an IF alone in the orelse; a nested if in an else block runs the same.
        if (!other || other->kind != SB_N_IF || other->next) return sb_tpl_exec(r, other, flow);
        n = other;
    }
}

/* The items for which "if" holds, tried in a scope of their own. */
static sb_status filtered(sb_run *r, const sb_node *n, const sb_list **items)
{
    sb_list *keep = sb_list_new(&r->mem, 0);
    if (!keep) return sb_tpl_oom(r);
    for (size_t i = 0; i < (*items)->n; i++) {
        sb_val c;
        r->scope->n = 0;
        SB_TRY(assign(r, n->a, (*items)->v[i]));
        SB_TRY(sb_tpl_eval(r, n->c, &c));
        if (sb_val_truth(c) && !sb_list_push(&r->mem, keep, (*items)->v[i])) return sb_tpl_oom(r);
    }
    *items = keep;
    return SB_OK;
}

/* The loop of n over v, in a scope inside outer. */
static sb_status run_loop(sb_run *r, const sb_node *n, sb_loop *loop, sb_val v, sb_flow *flow)
{
    SB_TRY(sb_tpl_items(r, v, &loop->items));
    SB_TRY(push_scope(r, loop->scope));
    if (n->c) SB_TRY(filtered(r, n, &loop->items));
    for (; loop->i < loop->items->n; loop->i++) {
        sb_flow inner = SB_FLOW_ON;
        r->scope->n = 0; // each round starts without the last one's variables
        SB_TRY(set_word(r, "loop", (sb_val){.type = SB_VAL_LOOP, .as.loop = loop}));
        SB_TRY(assign(r, n->a, loop->items->v[loop->i]));
        SB_TRY(sb_tpl_exec(r, n->body, &inner));
        if (inner == SB_FLOW_BREAK) break;
    }
    r->scope = loop->scope;
    return loop->items->n ? SB_OK : sb_tpl_exec(r, n->orelse, flow);
}

static sb_status exec_for(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val v;
    SB_TRY(sb_tpl_eval(r, n->b, &v));
    r->at = n;
    sb_loop *loop = sb_region_take(&r->mem, 1, sizeof *loop);
    if (!loop) return sb_tpl_oom(r);
    loop->node = n;
    loop->scope = r->scope;
    return run_loop(r, n, loop, v, flow);
}

sb_status sb_tpl_call_loop(sb_run *r, const sb_loop *l, const sb_args *a, sb_val *out)
{
    sb_sink mine, *const outer_sink = r->sink;
    sb_scope *const outer = r->scope;
    sb_flow flow = SB_FLOW_ON;
    if (!l->node->op)
        return sb_tpl_fail(r, SB_CORRUPT, "a loop was called that is not marked 'recursive'");
    if (a->n != 1 || a->n_pos != 1)
        return sb_tpl_fail(r, SB_CORRUPT, "loop() with %d arguments", a->n);
    sb_loop *loop = sb_region_take(&r->mem, 1, sizeof *loop);
    if (!loop) return sb_tpl_oom(r);
    *loop = (sb_loop){.node = l->node, .scope = l->scope, .level = l->level + 1};
    SB_TRY(sb_tpl_descend(r));
    sink_init(&mine);
    r->sink = &mine;
    sb_status s = run_loop(r, l->node, loop, a->v[0], &flow);
    r->sink = outer_sink;
    if (s == SB_OK) s = sink_val(r, &mine, out);
    sink_deinit(&mine);
    r->scope = outer;
    r->depth--;
    return s;
}

/* The text of a block through the filters behind its tag. */
static sb_status filtered_block(sb_run *r, const sb_node *n, sb_val *out)
{
    sb_scope *const outer = r->scope;
    SB_TRY(push_scope(r, outer));
    SB_TRY(capture(r, n->body, out));
    if (n->b) {
        SB_TRY(sb_tpl_set(r, SB_SYM_BLOCK, *out));
        SB_TRY(sb_tpl_eval(r, n->b, out));
    }
    r->scope = outer;
    return SB_OK;
}

static sb_status exec_set(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val v;
    (void)flow;
    if (n->kind == SB_N_SET)
        SB_TRY(sb_tpl_eval(r, n->b, &v));
    else
        SB_TRY(filtered_block(r, n, &v));
    return assign(r, n->a, v);
}

static sb_status exec_filter_block(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val v;
    (void)flow;
    SB_TRY(filtered_block(r, n, &v));
    SB_TRY(sb_tpl_str(r, v, &v));
    return sb_sink_add(r, v);
}

static sb_status exec_macro(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val m;
    (void)flow;
    SB_TRY(make_macro(r, n, &m));
    return sb_tpl_set(r, n->sym, m);
}

static sb_status exec_call_block(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val f, caller, text;
    (void)flow;
    SB_TRY(sb_tpl_eval(r, n->a->a, &f));
    r->at = n;
    if (f.type != SB_VAL_MACRO)
        return sb_tpl_fail(r, SB_CORRUPT, "a call block of what is no macro");
    SB_TRY(make_macro(r, n, &caller));
    sb_args args;
    SB_TRY(sb_tpl_eval_args(r, n->a->first, &args));
    SB_TRY(sb_tpl_call_macro(r, f.as.macro, &args, &caller, &text));
    return sb_sink_add(r, text);
}

static sb_status exec_jump(sb_run *r, const sb_node *n, sb_flow *flow)
{
    (void)r;
    *flow = n->kind == SB_N_BREAK ? SB_FLOW_BREAK : SB_FLOW_CONTINUE;
    return SB_OK;
}

static sb_status exec_group(sb_run *r, const sb_node *n, sb_flow *flow)
{
    return sb_tpl_exec(r, n->body, flow);
}

static sb_status exec_do(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_val v;
    (void)flow;
    return sb_tpl_eval(r, n->a, &v);
}

/* Values are those of the scope around; none sees another's new name. */
static sb_status exec_with(sb_run *r, const sb_node *n, sb_flow *flow)
{
    sb_scope *const outer = r->scope;
    sb_args values;
    int i = 0;
    SB_TRY(sb_tpl_eval_args(r, n->first, &values));
    SB_TRY(push_scope(r, outer));
    for (const sb_node *a = n->first; a; a = a->next)
        SB_TRY(assign(r, a->b, values.v[i++]));
    SB_TRY(sb_tpl_exec(r, n->body, flow));
    r->scope = outer;
    return SB_OK;
}

sb_status sb_tpl_exec(sb_run *r, const sb_node *list, sb_flow *flow)
{
    typedef sb_status (*exec_fn)(sb_run *, const sb_node *, sb_flow *);
    static const exec_fn by_kind[] = {
        [SB_N_TEXT] = exec_text,
        [SB_N_PRINT] = exec_print,
        [SB_N_IF] = exec_if,
        [SB_N_FOR] = exec_for,
        [SB_N_SET] = exec_set,
        [SB_N_SET_BLOCK] = exec_set,
        [SB_N_MACRO] = exec_macro,
        [SB_N_CALL_BLOCK] = exec_call_block,
        [SB_N_FILTER_BLOCK] = exec_filter_block,
        [SB_N_BREAK] = exec_jump,
        [SB_N_CONTINUE] = exec_jump,
        [SB_N_GROUP] = exec_group,
        [SB_N_DO] = exec_do,
        [SB_N_WITH] = exec_with,
    };
    SB_TRY(sb_tpl_descend(r));
    for (const sb_node *n = list; n && *flow == SB_FLOW_ON; n = n->next) {
        r->at = n;
        SB_TRY(sb_tpl_spend(r, 1));
        SB_TRY(by_kind[n->kind](r, n, flow));
    }
    r->depth--;
    return SB_OK;
}
