/* SPDX-License-Identifier: Apache-2.0
 * tpl.h - the state of a render and its steps; inside the template room.
 *
 * Errors      During a render failures go to run->err with the line and column of run->at. After a
 *             failure the run is only torn down, so scopes and depth are not restored. */
#ifndef SB_TEMPLATE_TPL_H
#define SB_TEMPLATE_TPL_H
#include "base/buf.h"
#include "template/tree.h"
#include "template/value.h"

typedef struct sb_binding {
    int32_t sym;
    sb_val v;
} sb_binding;

typedef struct sb_scope {
    struct sb_scope *parent;
    sb_binding *v;
    size_t n, cap;
} sb_scope;

/* Where printed text goes: text and, byte by byte, its marks. */
typedef struct sb_sink {
    sb_buf text, marks;
} sb_sink;

typedef enum sb_flow { SB_FLOW_ON, SB_FLOW_BREAK, SB_FLOW_CONTINUE } sb_flow;

struct sb_run {
    const sb_template *t;
    const sb_val_ctx *ctx;
    sb_region mem;
    sb_error *err;
    uint64_t steps_left, budget;
    int depth;
    sb_scope *scope;
    sb_sink *sink;
    const sb_node *at;
};

/* Evaluated arguments of a call, filter, test or method. */
typedef struct sb_args {
    const sb_val *v;   /* positional, then by keyword */
    const int32_t *kw; /* [n] symbol or -1 */
    int n_pos, n;
} sb_args;

sb_status sb_tpl_fail(sb_run *r, sb_status code, const char *fmt, ...) SB_PRINTF(3, 4);
sb_status sb_tpl_spend(sb_run *r, size_t steps);
sb_status sb_tpl_descend(sb_run *r); /* depth + 1, checked; the caller takes it back */
sb_status sb_tpl_oom(sb_run *r);

/* The argument at position i or named kw, or NULL. */
const sb_val *sb_tpl_arg(const sb_run *r, const sb_args *a, int i, const char *kw);
/* Fails when a string is not one; `what` names the argument. */
sb_status sb_tpl_arg_str(sb_run *r, const sb_val *v, const char *what);
sb_status sb_tpl_arg_int(sb_run *r, const sb_args *a, int i, const char *kw, int64_t def,
                         int64_t *out);

/* operators (ops.c) */
sb_status sb_tpl_binary(sb_run *r, sb_op op, sb_val a, sb_val b, sb_val *out);
sb_status sb_tpl_compare(sb_run *r, sb_op op, sb_val a, sb_val b, bool *out);
sb_status sb_tpl_attr(sb_run *r, const sb_val *a, sb_symbol name, sb_val *out);
sb_status sb_tpl_item(sb_run *r, const sb_val *a, sb_val key, sb_val *out);
/* Bounds NULL where left out. */
sb_status sb_tpl_slice(sb_run *r, sb_val a, const sb_val *from, const sb_val *to,
                       const sb_val *step, sb_val *out);

/* evaluation (eval.c, statements.c) */
sb_status sb_tpl_eval(sb_run *r, const sb_node *n, sb_val *out);
sb_status sb_tpl_eval_args(sb_run *r, const sb_node *first, sb_args *out);
sb_status sb_tpl_call(sb_run *r, sb_val f, const sb_args *a, sb_val *out);
sb_status sb_tpl_exec(sb_run *r, const sb_node *list, sb_flow *flow);
sb_status sb_tpl_call_macro(sb_run *r, const sb_macro *m, const sb_args *a, const sb_val *caller,
                            sb_val *out);
/* {{ loop(items) }} of a recursive loop: its text. */
sb_status sb_tpl_call_loop(sb_run *r, const sb_loop *l, const sb_args *a, sb_val *out);
sb_status sb_tpl_set(sb_run *r, int32_t sym, sb_val v);
const sb_val *sb_tpl_get(sb_run *r, int32_t sym);
sb_status sb_sink_add(sb_run *r, sb_val s);

/* words called (filters.c, checks.c, methods.c, globals.c) */
sb_status sb_tpl_filter(sb_run *r, unsigned id, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_tpl_test(sb_run *r, unsigned id, sb_val v, const sb_args *a, bool *out);
sb_status sb_tpl_method(sb_run *r, unsigned id, sb_val self, const sb_args *a, sb_val *out);
sb_status sb_tpl_global(sb_run *r, unsigned id, const sb_args *a, sb_val *out);
/* Sets d's entries from a dict given first and from named arguments. */
sb_status sb_tpl_update(sb_run *r, sb_dict *d, const sb_args *a);
sb_status sb_tpl_strftime(sb_run *r, sb_val format, int64_t now_s, sb_val *out);
#endif
