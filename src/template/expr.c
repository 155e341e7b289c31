/* SPDX-License-Identifier: Apache-2.0
 * expr.c - expressions: one function per level of the reference's grammar, loosest first.
 *
 * Each left-growing chain is a loop, so only brackets, prefixes and inline ifs recurse; those count
 * against the nesting limit, and the depth of what a chain builds against the tree limit. */
#include "base/limits.h"
#include "template/parser.h"

#include <string.h>

/* ---- helpers ---- */

/* A node with up to two operands, closed. */
static sb_status make(sb_parser *p, sb_node_kind kind, const sb_token *at, sb_node *a, sb_node *b,
                      sb_node **out)
{
    sb_node *n;
    SB_TRY(sb_tpl_node(p, kind, at, &n));
    n->a = a;
    n->b = b;
    SB_TRY(sb_tpl_close(p, n));
    *out = n;
    return SB_OK;
}

static sb_status constant(sb_parser *p, const sb_token *at, sb_val v, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_CONST, at, out));
    (*out)->val = v;
    return SB_OK;
}

static sb_status unsupported(sb_parser *p, const sb_token *at, const char *what)
{
    return sb_tpl_lex_fail(&p->lex, SB_UNSUPPORTED, at->line, at->col, "%s '%.*s' is not supported",
                           what, at->n > 60 ? 60 : (int)at->n, at->p);
}

/* Names that reach into the reference's own machinery. They mean nothing here, and a template that
 * tries them is better refused when it is loaded than half rendered. */
static sb_status check_attr(sb_parser *p, const sb_token *at)
{
    if (at->n >= 2 && at->p[0] == '_' && at->p[1] == '_') return unsupported(p, at, "attribute");
    return SB_OK;
}

/* ---- arguments ---- */

/* "(a, b=c)" behind the bracket, through its end; the tail of the list is *last. */
static sb_status parse_args(sb_parser *p, sb_node **first)
{
    sb_node **tail = first;
    bool named = false;
    while (!sb_tpl_is_op(p, ")")) {
        if (sb_tpl_is_op(p, "*") || sb_tpl_is_op(p, "**"))
            return unsupported(p, &p->tok, "argument list");
        sb_node *arg, *value;
        SB_TRY(sb_tpl_node(p, SB_N_ARG, &p->tok, &arg));
        SB_TRY(sb_tpl_parse_expr(p, &value));
        arg->sym = -1;
        if (sb_tpl_is_op(p, "=") && value->kind == SB_N_NAME) {
            arg->sym = value->sym;
            named = true;
            SB_TRY(sb_tpl_next(p));
            SB_TRY(sb_tpl_parse_expr(p, &value));
        } else if (named) {
            return sb_tpl_unexpected(p, "a named argument");
        }
        arg->a = value;
        SB_TRY(sb_tpl_close(p, arg));
        *tail = arg;
        tail = &arg->next;
        if (!sb_tpl_is_op(p, ")")) SB_TRY(sb_tpl_expect_op(p, ","));
    }
    return sb_tpl_next(p);
}

static int count(const sb_node *n)
{
    int k = 0;
    for (; n; n = n->next)
        k++;
    return k;
}

/* ---- constants and brackets ---- */

static sb_status parse_string(sb_parser *p, sb_node **out)
{
    const sb_token at = p->tok;
    sb_region *m = &p->t->mem;
    const char *s = at.p;
    size_t n = at.n;
    SB_TRY(sb_tpl_next(p));
    while (p->tok.kind == SB_T_STR) { // neighbours are one string
        char *both = sb_region_extend(m, &m->text, s, n, p->tok.n);
        if (!both) return sb_region_fail(m, p->lex.err);
        if (p->tok.n) memcpy(both + n, p->tok.p, p->tok.n);
        s = both;
        n += p->tok.n;
        SB_TRY(sb_tpl_next(p));
    }
    SB_TRY(constant(p, &at, (sb_val){.type = SB_VAL_STR, .as.s = {.p = s, .n = n}}, out));
    (*out)->all = p->t->literals;
    p->t->literals = *out;
    return SB_OK;
}

static sb_status parse_name(sb_parser *p, sb_node **out)
{
    static const struct {
        const char *name;
        sb_val v;
    } fixed[] = {
        {"true", {.type = SB_VAL_BOOL, .as.b = true}},
        {"True", {.type = SB_VAL_BOOL, .as.b = true}},
        {"false", {.type = SB_VAL_BOOL, .as.b = false}},
        {"False", {.type = SB_VAL_BOOL}},
        {"none", {.type = SB_VAL_NULL}},
        {"None", {.type = SB_VAL_NULL}},
    };
    static const char *const reserved[] = {"and", "else", "if", "in", "is", "not", "or"};
    for (size_t i = 0; i < SB_ARRAY_LEN(fixed); i++) {
        if (!sb_tpl_is_name(p, fixed[i].name)) continue;
        SB_TRY(constant(p, &p->tok, fixed[i].v, out));
        return sb_tpl_next(p);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(reserved); i++)
        if (sb_tpl_is_name(p, reserved[i])) return sb_tpl_unexpected(p, "a value");
    SB_TRY(check_attr(p, &p->tok));
    SB_TRY(sb_tpl_node(p, SB_N_NAME, &p->tok, out));
    (*out)->sym = sb_tpl_intern(p->t, p->tok.p, p->tok.n);
    if ((*out)->sym < 0) return sb_region_fail(&p->t->mem, p->lex.err);
    return sb_tpl_next(p);
}

/* The items of "[...]" through its end. */
static sb_status parse_list(sb_parser *p, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_LIST, &p->tok, out));
    SB_TRY(sb_tpl_next(p));
    for (sb_node **tail = &(*out)->first; !sb_tpl_is_op(p, "]"); tail = &(*tail)->next) {
        SB_TRY(sb_tpl_parse_expr(p, tail));
        if (!sb_tpl_is_op(p, "]")) SB_TRY(sb_tpl_expect_op(p, ","));
    }
    SB_TRY(sb_tpl_close(p, *out));
    return sb_tpl_next(p);
}

static sb_status parse_dict(sb_parser *p, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_DICT, &p->tok, out));
    SB_TRY(sb_tpl_next(p));
    sb_node **tail = &(*out)->first;
    while (!sb_tpl_is_op(p, "}")) {
        SB_TRY(sb_tpl_parse_expr(p, tail));
        tail = &(*tail)->next;
        SB_TRY(sb_tpl_expect_op(p, ":"));
        SB_TRY(sb_tpl_parse_expr(p, tail));
        tail = &(*tail)->next;
        if (!sb_tpl_is_op(p, "}")) SB_TRY(sb_tpl_expect_op(p, ","));
    }
    SB_TRY(sb_tpl_close(p, *out));
    return sb_tpl_next(p);
}

static sb_status parse_bracket(sb_parser *p, sb_node **out)
{
    if (sb_tpl_is_op(p, "[")) return parse_list(p, out);
    if (sb_tpl_is_op(p, "{")) return parse_dict(p, out);
    if (!sb_tpl_is_op(p, "(")) return sb_tpl_unexpected(p, "a value");
    const sb_token at = p->tok;
    SB_TRY(sb_tpl_next(p));
    if (sb_tpl_is_op(p, ")"))
        SB_TRY(sb_tpl_node(p, SB_N_TUPLE, &at, out));
    else
        SB_TRY(sb_tpl_parse_tuple(p, true, out));
    return sb_tpl_expect_op(p, ")");
}

sb_status sb_tpl_parse_primary(sb_parser *p, sb_node **out)
{
    const sb_token at = p->tok;
    switch (at.kind) {
    case SB_T_NAME:
        return parse_name(p, out);
    case SB_T_STR:
        return parse_string(p, out);
    case SB_T_INT:
        SB_TRY(constant(p, &at, (sb_val){.type = SB_VAL_INT, .as.i = at.i}, out));
        return sb_tpl_next(p);
    case SB_T_FLOAT:
        SB_TRY(constant(p, &at, (sb_val){.type = SB_VAL_FLOAT, .as.f = at.f}, out));
        return sb_tpl_next(p);
    case SB_T_OP: {
        SB_TRY(sb_tpl_enter(p));
        const sb_status s = parse_bracket(p, out);
        p->depth--;
        return s;
    }
    case SB_T_EOF:
    case SB_T_TEXT:
    case SB_T_PRINT:
    case SB_T_PRINT_END:
    case SB_T_TAG:
    case SB_T_TAG_END:
        break;
    }
    return sb_tpl_unexpected(p, "a value");
}

/* ---- postfix: attributes, items, slices, calls, filters, tests ---- */

static sb_status parse_attr(sb_parser *p, sb_node *a, sb_node **out)
{
    const sb_token at = p->tok;
    if (at.kind == SB_T_INT) { // x.0 is x[0]
        sb_node *key;
        SB_TRY(constant(p, &at, (sb_val){.type = SB_VAL_INT, .as.i = at.i}, &key));
        SB_TRY(make(p, SB_N_ITEM, &at, a, key, out));
        return sb_tpl_next(p);
    }
    if (at.kind != SB_T_NAME) return sb_tpl_unexpected(p, "an attribute's name");
    SB_TRY(check_attr(p, &at));
    SB_TRY(make(p, SB_N_ATTR, &at, a, NULL, out));
    (*out)->sym = sb_tpl_intern(p->t, at.p, at.n);
    if ((*out)->sym < 0) return sb_region_fail(&p->t->mem, p->lex.err);
    return sb_tpl_next(p);
}

/* "key]" or "from:to:step]" behind the bracket. */
static sb_status parse_item(sb_parser *p, sb_node *a, sb_node **out)
{
    const sb_token at = p->tok;
    sb_node *part[3] = {NULL, NULL, NULL};
    int n_colons = 0;
    for (;;) {
        if (sb_tpl_is_op(p, "]")) break;
        if (sb_tpl_is_op(p, ":")) {
            if (++n_colons > 2) return sb_tpl_unexpected(p, "]");
            SB_TRY(sb_tpl_next(p));
            continue;
        }
        if (part[n_colons]) return sb_tpl_unexpected(p, "]");
        SB_TRY(sb_tpl_parse_expr(p, &part[n_colons]));
    }
    SB_TRY(sb_tpl_next(p));
    if (!n_colons && !part[0])
        return sb_tpl_lex_fail(&p->lex, SB_CORRUPT, at.line, at.col, "empty index");
    if (!n_colons) return make(p, SB_N_ITEM, &at, a, part[0], out);
    SB_TRY(sb_tpl_node(p, SB_N_SLICE, &at, out));
    (*out)->a = a;
    (*out)->b = part[0];
    (*out)->c = part[1];
    (*out)->d = part[2];
    return sb_tpl_close(p, *out);
}

/* Fields of a format string: "{}", "{0}", "{name}". Attributes, indexes, conversions and widths in
 * it would be a second language inside this one. */
static bool plain_format(const char *s, size_t n)
{
    bool open = false;
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        if (c == '{' && !open && i + 1 < n && s[i + 1] == '{')
            i++;
        else if (c == '{' || (c == '}' && open))
            open = c == '{';
        else if (open && (c == '.' || c == '[' || c == '!' || c == ':'))
            return false;
    }
    return true;
}

/* A call of something. A method must be one we have: calling a dict's entry is no use in a prompt,
 * and an unknown word is better refused now, with its place, than in the middle of a chat. */
static sb_status parse_call(sb_parser *p, sb_node *a, sb_node **out)
{
    if (a->kind == SB_N_ATTR) {
        const sb_symbol *name = &p->t->syms[a->sym];
        if (sb_tpl_method_find(name->p, name->n) < 0) {
            const sb_token at = {.line = a->line, .col = a->col, .p = name->p, .n = name->n};
            return unsupported(p, &at, "method");
        }
        const sb_val *s = a->a->kind == SB_N_CONST ? &a->a->val : NULL;
        if (sb_tpl_method_find(name->p, name->n) == SB_METHOD_format && s && sb_val_is_str(*s) &&
            !plain_format(s->as.s.p, s->as.s.n))
            return sb_tpl_lex_fail(&p->lex, SB_UNSUPPORTED, a->line, a->col,
                                   "a format with more than plain fields is not supported");
    }
    sb_node *n;
    SB_TRY(sb_tpl_node(p, SB_N_CALL, &p->tok, &n));
    SB_TRY(sb_tpl_next(p));
    SB_TRY(sb_tpl_enter(p));
    SB_TRY(parse_args(p, &n->first));
    p->depth--;
    n->a = a;
    *out = n;
    return sb_tpl_close(p, n);
}

sb_status sb_tpl_parse_postfix(sb_parser *p, sb_node *a, sb_node **out)
{
    for (;;) {
        if (sb_tpl_is_op(p, ".")) {
            SB_TRY(sb_tpl_next(p));
            SB_TRY(parse_attr(p, a, &a));
        } else if (sb_tpl_is_op(p, "[")) {
            SB_TRY(sb_tpl_next(p));
            SB_TRY(sb_tpl_enter(p));
            SB_TRY(parse_item(p, a, &a));
            p->depth--;
        } else if (sb_tpl_is_op(p, "(")) {
            SB_TRY(parse_call(p, a, &a));
        } else {
            *out = a;
            return SB_OK;
        }
    }
}

/* The name of a filter or test that a filter applies to each item: known, or refused here. */
static sb_status check_applied(sb_parser *p, const sb_node *n)
{
    const bool by_path = n->id == SB_FILTER_selectattr || n->id == SB_FILTER_rejectattr;
    const bool maps = n->id == SB_FILTER_map;
    const sb_node *a = n->first;
    if (!by_path && !maps && n->id != SB_FILTER_select && n->id != SB_FILTER_reject) return SB_OK;
    if (by_path && a) a = a->next;
    if (!a || a->sym >= 0 || a->a->kind != SB_N_CONST || !sb_val_is_str(a->a->val)) return SB_OK;
    const sb_val s = a->a->val;
    const sb_token at = {.line = a->a->line, .col = a->a->col, .p = s.as.s.p, .n = s.as.s.n};
    if (maps && sb_tpl_filter_find(at.p, at.n) < 0) return unsupported(p, &at, "filter");
    if (!maps && sb_tpl_test_find(at.p, at.n) < 0) return unsupported(p, &at, "test");
    return SB_OK;
}

static sb_status parse_filter(sb_parser *p, sb_node *a, sb_node **out)
{
    const sb_token at = p->tok;
    if (at.kind != SB_T_NAME) return sb_tpl_unexpected(p, "a filter's name");
    const int id = sb_tpl_filter_find(at.p, at.n);
    if (id < 0) return unsupported(p, &at, "filter");
    sb_node *n;
    SB_TRY(sb_tpl_node(p, SB_N_FILTER, &at, &n));
    n->id = (uint32_t)id;
    n->a = a;
    SB_TRY(sb_tpl_next(p));
    if (sb_tpl_is_op(p, "(")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(parse_args(p, &n->first));
    }
    const int n_args = count(n->first);
    if (!sb_tpl_filter_takes((unsigned)id, n_args))
        return sb_tpl_lex_fail(&p->lex, SB_CORRUPT, at.line, at.col,
                               "filter '%s' with %d arguments", sb_tpl_filter_name((unsigned)id),
                               n_args);
    SB_TRY(check_applied(p, n));
    *out = n;
    return sb_tpl_close(p, n);
}

sb_status sb_tpl_parse_filters(sb_parser *p, sb_node *a, sb_node **out)
{
    while (sb_tpl_is_op(p, "|")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(parse_filter(p, a, &a));
    }
    *out = a;
    return SB_OK;
}

/* True when the token can begin the bare argument of a test: "is divisibleby 3". */
static bool begins_argument(const sb_parser *p)
{
    static const char *const no[] = {"else", "or", "and", "is", "not", "in", "if"};
    switch (p->tok.kind) {
    case SB_T_STR:
    case SB_T_INT:
    case SB_T_FLOAT:
        return true;
    case SB_T_NAME:
        for (size_t i = 0; i < SB_ARRAY_LEN(no); i++)
            if (sb_tpl_is_name(p, no[i])) return false;
        return true;
    case SB_T_OP:
        return sb_tpl_is_op(p, "[") || sb_tpl_is_op(p, "{");
    case SB_T_EOF:
    case SB_T_TEXT:
    case SB_T_PRINT:
    case SB_T_PRINT_END:
    case SB_T_TAG:
    case SB_T_TAG_END:
        break;
    }
    return false;
}

static sb_status parse_test(sb_parser *p, sb_node *a, sb_node **out)
{
    const sb_token is = p->tok;
    SB_TRY(sb_tpl_next(p));
    const bool negated = sb_tpl_is_name(p, "not");
    if (negated) SB_TRY(sb_tpl_next(p));
    const sb_token at = p->tok;
    if (at.kind != SB_T_NAME) return sb_tpl_unexpected(p, "a test's name");
    const int id = sb_tpl_test_find(at.p, at.n);
    if (id < 0) return unsupported(p, &at, "test");
    sb_node *n;
    SB_TRY(sb_tpl_node(p, SB_N_TEST, &is, &n));
    n->id = (uint32_t)id;
    n->op = negated;
    n->a = a;
    SB_TRY(sb_tpl_next(p));
    if (sb_tpl_is_op(p, "(")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(parse_args(p, &n->first));
    } else if (begins_argument(p)) {
        SB_TRY(sb_tpl_node(p, SB_N_ARG, &p->tok, &n->first));
        n->first->sym = -1;
        SB_TRY(sb_tpl_parse_primary(p, &n->first->a));
        SB_TRY(sb_tpl_parse_postfix(p, n->first->a, &n->first->a));
        SB_TRY(sb_tpl_close(p, n->first));
    }
    if (!sb_tpl_test_takes((unsigned)id, count(n->first)))
        return sb_tpl_lex_fail(&p->lex, SB_CORRUPT, at.line, at.col,
                               "test '%.*s' with %d arguments", (int)at.n, at.p, count(n->first));
    *out = n;
    return sb_tpl_close(p, n);
}

sb_status sb_tpl_parse_unary(sb_parser *p, bool filters, sb_node **out)
{
    sb_node *a;
    if (sb_tpl_is_op(p, "-") || sb_tpl_is_op(p, "+")) {
        const sb_token at = p->tok;
        const bool minus = sb_tpl_is_op(p, "-");
        SB_TRY(sb_tpl_next(p));
        SB_TRY(sb_tpl_enter(p));
        SB_TRY(sb_tpl_parse_unary(p, false, &a));
        p->depth--;
        SB_TRY(make(p, minus ? SB_N_NEG : SB_N_POS, &at, a, NULL, &a));
    } else {
        SB_TRY(sb_tpl_parse_primary(p, &a));
    }
    SB_TRY(sb_tpl_parse_postfix(p, a, &a));
    while (filters) {
        if (sb_tpl_is_op(p, "|")) {
            SB_TRY(sb_tpl_next(p));
            SB_TRY(parse_filter(p, a, &a));
        } else if (sb_tpl_is_name(p, "is")) {
            SB_TRY(parse_test(p, a, &a));
        } else if (sb_tpl_is_op(p, "(")) {
            SB_TRY(parse_call(p, a, &a));
        } else {
            break;
        }
    }
    *out = a;
    return SB_OK;
}

/* ---- binary operators ---- */

enum { LEVEL_SUM, LEVEL_CAT, LEVEL_PRODUCT, LEVEL_POWER, N_LEVELS };

/* The operator of `lowest` or a tighter level at the current token, or -1. */
static int op_at(const sb_parser *p, int lowest, int *level)
{
    static const struct {
        const char *text;
        int level, op;
    } ops[] = {{"+", LEVEL_SUM, SB_OP_ADD},     {"-", LEVEL_SUM, SB_OP_SUB},
               {"~", LEVEL_CAT, SB_OP_CAT},     {"*", LEVEL_PRODUCT, SB_OP_MUL},
               {"/", LEVEL_PRODUCT, SB_OP_DIV}, {"//", LEVEL_PRODUCT, SB_OP_FLOOR},
               {"%", LEVEL_PRODUCT, SB_OP_MOD}, {"**", LEVEL_POWER, SB_OP_POW}};
    for (size_t i = 0; i < SB_ARRAY_LEN(ops); i++)
        if (ops[i].level >= lowest && sb_tpl_is_op(p, ops[i].text)) {
            *level = ops[i].level;
            return ops[i].op;
        }
    return -1;
}

/* Climbs: a level takes a frame of the stack only where one of its operators stands. */
static sb_status parse_binary(sb_parser *p, int lowest, sb_node **out)
{
    sb_node *a, *b;
    SB_TRY(sb_tpl_parse_unary(p, true, &a));
    for (int op, level; (op = op_at(p, lowest, &level)) >= 0;) {
        const sb_token at = p->tok;
        SB_TRY(sb_tpl_next(p));
        SB_TRY(sb_tpl_enter(p));
        SB_TRY(parse_binary(p, level + 1, &b));
        p->depth--;
        SB_TRY(make(p, SB_N_BINARY, &at, a, b, &a));
        a->op = (uint8_t)op;
    }
    *out = a;
    return SB_OK;
}

/* The comparison at the current token (consumed), or -1. */
static sb_status compare_op(sb_parser *p, int *op)
{
    static const struct {
        const char *text;
        int op;
    } ops[] = {{"==", SB_OP_EQ}, {"!=", SB_OP_NE}, {"<", SB_OP_LT},
               {"<=", SB_OP_LE}, {">", SB_OP_GT},  {">=", SB_OP_GE}};
    *op = -1;
    for (size_t i = 0; i < SB_ARRAY_LEN(ops); i++)
        if (sb_tpl_is_op(p, ops[i].text)) *op = ops[i].op;
    if (sb_tpl_is_name(p, "in")) *op = SB_OP_IN;
    if (sb_tpl_is_name(p, "not")) { // behind a value only "not in" makes sense
        SB_TRY(sb_tpl_next(p));
        if (!sb_tpl_is_name(p, "in")) return sb_tpl_unexpected(p, "in");
        *op = SB_OP_NOT_IN;
    }
    return *op < 0 ? SB_OK : sb_tpl_next(p);
}

/* a < b <= c is one node: each middle value counts twice but is evaluated once. */
static sb_status parse_compare(sb_parser *p, sb_node **out)
{
    sb_node *a;
    const sb_token at = p->tok;
    SB_TRY(parse_binary(p, 0, &a));
    sb_node *n = NULL, **tail = NULL;
    for (;;) {
        int op;
        const sb_token op_tok = p->tok;
        SB_TRY(compare_op(p, &op));
        if (op < 0) break;
        if (!n) {
            SB_TRY(sb_tpl_node(p, SB_N_COMPARE, &at, &n));
            n->a = a;
            tail = &n->first;
        }
        SB_TRY(sb_tpl_node(p, SB_N_ARG, &op_tok, tail));
        (*tail)->op = (uint8_t)op;
        SB_TRY(parse_binary(p, 0, &(*tail)->a));
        SB_TRY(sb_tpl_close(p, *tail));
        tail = &(*tail)->next;
    }
    *out = n ? n : a;
    return n ? sb_tpl_close(p, n) : SB_OK;
}

static sb_status parse_not(sb_parser *p, sb_node **out)
{
    if (!sb_tpl_is_name(p, "not")) return parse_compare(p, out);
    const sb_token at = p->tok;
    sb_node *a;
    SB_TRY(sb_tpl_next(p));
    SB_TRY(sb_tpl_enter(p));
    SB_TRY(parse_not(p, &a));
    p->depth--;
    return make(p, SB_N_NOT, &at, a, NULL, out);
}

static sb_status parse_and(sb_parser *p, sb_node **out)
{
    sb_node *a, *b;
    SB_TRY(parse_not(p, &a));
    while (sb_tpl_is_name(p, "and")) {
        const sb_token at = p->tok;
        SB_TRY(sb_tpl_next(p));
        SB_TRY(parse_not(p, &b));
        SB_TRY(make(p, SB_N_AND, &at, a, b, &a));
    }
    *out = a;
    return SB_OK;
}

static sb_status parse_or(sb_parser *p, sb_node **out)
{
    sb_node *a, *b;
    SB_TRY(parse_and(p, &a));
    while (sb_tpl_is_name(p, "or")) {
        const sb_token at = p->tok;
        SB_TRY(sb_tpl_next(p));
        SB_TRY(parse_and(p, &b));
        SB_TRY(make(p, SB_N_OR, &at, a, b, &a));
    }
    *out = a;
    return SB_OK;
}

sb_status sb_tpl_parse_expr(sb_parser *p, sb_node **out)
{
    sb_node *a, *n;
    SB_TRY(parse_or(p, &a));
    while (sb_tpl_is_name(p, "if")) {
        SB_TRY(sb_tpl_node(p, SB_N_COND, &p->tok, &n));
        SB_TRY(sb_tpl_next(p));
        n->a = a;
        SB_TRY(parse_or(p, &n->b));
        if (sb_tpl_is_name(p, "else")) {
            SB_TRY(sb_tpl_next(p));
            SB_TRY(sb_tpl_enter(p));
            SB_TRY(sb_tpl_parse_expr(p, &n->c));
            p->depth--;
        }
        SB_TRY(sb_tpl_close(p, n));
        a = n;
    }
    *out = a;
    return SB_OK;
}

/* True where a tuple written without brackets ends. */
static bool ends_tuple(const sb_parser *p)
{
    return p->tok.kind == SB_T_TAG_END || p->tok.kind == SB_T_PRINT_END || sb_tpl_is_op(p, ")") ||
           sb_tpl_is_op(p, "=") || sb_tpl_is_name(p, "in");
}

sb_status sb_tpl_parse_tuple(sb_parser *p, bool cond, sb_node **out)
{
    const sb_token at = p->tok;
    sb_node *a;
    if (cond)
        SB_TRY(sb_tpl_parse_expr(p, &a));
    else
        SB_TRY(parse_or(p, &a));
    *out = a;
    if (!sb_tpl_is_op(p, ",")) return SB_OK;
    SB_TRY(sb_tpl_node(p, SB_N_TUPLE, &at, out));
    (*out)->first = a;
    for (sb_node **tail = &a->next; sb_tpl_is_op(p, ","); tail = &(*tail)->next) {
        SB_TRY(sb_tpl_next(p));
        if (ends_tuple(p)) break;
        if (cond)
            SB_TRY(sb_tpl_parse_expr(p, tail));
        else
            SB_TRY(parse_or(p, tail));
    }
    return sb_tpl_close(p, *out);
}
