/* SPDX-License-Identifier: Apache-2.0
 * tpl.h - what the files of the template room share: values, tree, and the state of a render.
 *
 * Purpose     One header for one room: sb_val_* make and read values, sb_tpl_* are the steps of
 *             parsing and rendering.
 * Invariants  Every string is valid UTF-8. A node's depth is one more than its deepest child's and
 *             at most SB_MAX_TEMPLATE_TREE, so evaluation cannot recurse deeper than limits.def.
 * Errors      During a render failures go to run->err with the line and column of run->at. */
#ifndef SB_TEMPLATE_TPL_H
#define SB_TEMPLATE_TPL_H
#include "base/buf.h"
#include "template/region.h"
#include "template/template.h"

/* ---- values (value.c, text.c) ---- */

typedef struct sb_list {
    sb_val *v;
    size_t n, cap;
} sb_list;

typedef struct sb_pair {
    sb_val k, v;
} sb_pair;

typedef struct sb_dict {
    sb_pair *v;
    size_t n, cap;
} sb_dict;

typedef struct sb_loop {
    const sb_list *items;
    size_t i;
} sb_loop;

typedef struct sb_macro {
    const struct sb_node *node;
    struct sb_scope *scope; /* where it was defined */
} sb_macro;

struct sb_val_ctx {
    sb_region mem;
    sb_dict *vars;
    int64_t now_s;
    bool has_now;
    sb_status status;
    sb_error err;
};

/* ---- the tree (node.c) ---- */

typedef enum sb_node_kind {
    /* expressions */
    SB_N_CONST, SB_N_NAME, SB_N_LIST, SB_N_TUPLE, SB_N_DICT, SB_N_NOT, SB_N_NEG, SB_N_POS,
    SB_N_BINARY, SB_N_AND, SB_N_OR, SB_N_COMPARE, SB_N_COND, SB_N_ATTR, SB_N_ITEM, SB_N_SLICE,
    SB_N_CALL, SB_N_FILTER, SB_N_TEST, SB_N_ARG,
    /* statements */
    SB_N_TEXT, SB_N_PRINT, SB_N_IF, SB_N_FOR, SB_N_SET, SB_N_SET_BLOCK, SB_N_MACRO,
    SB_N_CALL_BLOCK, SB_N_FILTER_BLOCK, SB_N_BREAK, SB_N_CONTINUE, SB_N_GROUP
} sb_node_kind;

typedef enum sb_op {
    SB_OP_ADD, SB_OP_SUB, SB_OP_MUL, SB_OP_DIV, SB_OP_FLOOR, SB_OP_MOD, SB_OP_POW, SB_OP_CAT,
    SB_OP_EQ, SB_OP_NE, SB_OP_LT, SB_OP_LE, SB_OP_GT, SB_OP_GE, SB_OP_IN, SB_OP_NOT_IN
} sb_op;

/* Uses of the fields by kind:
 *   NAME sym · LIST, TUPLE, DICT first = items (DICT: key, value, key, value) · NOT NEG POS a
 *   BINARY op a b · AND OR a b · COMPARE a, then first = ARGs with op and a
 *   COND a if b else c (c may be NULL) · ATTR a.sym · ITEM a[b] · SLICE a[b:c:d]
 *   CALL a(first = ARGs) · FILTER a|id(first) · TEST a is id(first), op 1 = negated
 *   ARG sym = keyword or -1, a = value, op for COMPARE
 *   TEXT val · PRINT a · IF a, body, orelse (an IF node: elif) · FOR a in b if c, body, orelse
 *   SET a = b · SET_BLOCK a, b = filters over the text or NULL, body
 *   MACRO sym, first = ARGs with sym, a = default; body · CALL_BLOCK a = call, first as MACRO, body
 *   FILTER_BLOCK b = filters, body · GROUP body
 * The innermost operand of a block's filters is the NAME of the unspeakable symbol 0, to which the
 * block's text is bound while they run. */
typedef struct sb_node {
    uint8_t kind, op;
    uint16_t depth;
    int32_t line, col;
    int32_t sym;
    uint32_t id; /* of the filter, test or method in its .def */
    struct sb_node *a, *b, *c, *d;
    struct sb_node *first, *body, *orelse, *next;
    sb_val val;
    struct sb_node *all; /* every constant and text, for sb_template_literals */
} sb_node;

enum { SB_SYM_BLOCK = 0 }; /* interned first, as "", which no template can write */

typedef struct sb_symbol {
    const char *p;
    size_t n;
} sb_symbol;

struct sb_template {
    sb_region mem;
    const char *source; /* with newlines made \n */
    size_t source_bytes;
    sb_node *body;
    sb_node *literals; /* list by `all` */
    sb_symbol *syms;
    int32_t n_syms, cap_syms;
    int32_t *sym_table; /* open addressing, size a power of two, -1 empty */
    int32_t table_size;
};

/* Number of a name, added when new; -1 when memory is used up. */
int32_t sb_tpl_intern(sb_template *t, const char *p, size_t n);
/* Number of a name the template mentions, or -1. */
int32_t sb_tpl_find_sym(const sb_template *t, const char *p, size_t n);
sb_val sb_tpl_sym_val(const sb_template *t, int32_t sym);

/* ---- words fixed by the dialect (words.c) ---- */

typedef enum sb_filter_id {
#define X(name, fn, n_min, n_max) SB_FILTER_##name,
#include "template/filters.def"
#undef X
    SB_FILTER_COUNT
} sb_filter_id;

typedef enum sb_test_id {
#define X(name, n_args) SB_TEST_##name,
#include "template/tests.def"
#undef X
    SB_TEST_COUNT
} sb_test_id;

typedef enum sb_method_id {
#define X(name, types) SB_METHOD_##name,
#include "template/methods.def"
#undef X
    SB_METHOD_COUNT
} sb_method_id;

typedef enum sb_global_id {
#define X(name) SB_GLOBAL_##name,
#include "template/globals.def"
#undef X
    SB_GLOBAL_COUNT
} sb_global_id;

/* Position in the list, or -1. Filters and tests have aliases. */
int sb_tpl_filter_find(const char *p, size_t n);
int sb_tpl_test_find(const char *p, size_t n);
int sb_tpl_method_find(const char *p, size_t n);
int sb_tpl_global_find(const char *p, size_t n);
const char *sb_tpl_filter_name(unsigned id);
bool sb_tpl_filter_takes(unsigned id, int n_args); /* besides the value */
bool sb_tpl_test_takes(unsigned id, int n_args);
const char *sb_tpl_method_name(unsigned id);
/* True when values of this type have the method. */
bool sb_tpl_method_of(unsigned id, unsigned val_type);

/* ---- lexing and parsing (lex.c, parse.c, expr.c) ---- */

typedef enum sb_tok_kind {
    SB_T_EOF, SB_T_TEXT, SB_T_PRINT, SB_T_PRINT_END, SB_T_TAG, SB_T_TAG_END, SB_T_NAME, SB_T_STR,
    SB_T_INT, SB_T_FLOAT, SB_T_OP
} sb_tok_kind;

typedef struct sb_token {
    sb_tok_kind kind;
    int32_t line, col;
    const char *p; /* name, text, or string after its escapes; operator: its characters */
    size_t n;
    int64_t i;
    double f;
} sb_token;

typedef struct sb_lexer {
    const char *p;
    size_t n, at;
    size_t line_at, seen; /* offset of the current line's start; how far lines were counted */
    int32_t line;
    int depth;            /* open brackets: an end mark inside them is none */
    bool line_start;      /* the last mark ended a line, white space it ate included */
    bool in_print;        /* inside {{ }}, else {% %} */
    char pending;         /* '{', '%', '#' or 'r' (raw): opened, its text handed out first; or 0 */
    size_t pending_at;    /* where it opened */
    sb_region *mem;
    sb_error *err;
} sb_lexer;

/* Next text or mark outside of tags; comments vanish, raw blocks become text. */
sb_status sb_tpl_lex_data(sb_lexer *l, sb_token *out);
/* Next token inside a tag or a print. */
sb_status sb_tpl_lex_code(sb_lexer *l, sb_token *out);
sb_status sb_tpl_lex_fail(sb_lexer *l, sb_status code, int32_t line, int32_t col, const char *fmt, ...)
    SB_PRINTF(5, 6);

typedef struct sb_parser {
    sb_template *t;
    sb_lexer lex;
    sb_token tok; /* current token inside code */
    int depth;    /* of statements and brackets being parsed */
    int n_loops;  /* of loops around, for break and continue */
} sb_parser;

sb_status sb_tpl_parse(sb_template *t, sb_error *err);
/* For expr.c and parse.c only. */
sb_status sb_tpl_next(sb_parser *p);
bool sb_tpl_is_op(const sb_parser *p, const char *op);
bool sb_tpl_is_name(const sb_parser *p, const char *name);
sb_status sb_tpl_expect_op(sb_parser *p, const char *op);
sb_status sb_tpl_unexpected(sb_parser *p, const char *wanted);
sb_status sb_tpl_enter(sb_parser *p);
sb_status sb_tpl_node(sb_parser *p, sb_node_kind kind, const sb_token *at, sb_node **out);
/* Makes n's depth right for its children; fails past the limit. */
sb_status sb_tpl_close(sb_parser *p, sb_node *n);
sb_status sb_tpl_parse_expr(sb_parser *p, sb_node **out);           /* one, with inline if */
sb_status sb_tpl_parse_tuple(sb_parser *p, bool cond, sb_node **out); /* a or a, b */
sb_status sb_tpl_parse_filters(sb_parser *p, sb_node *a, sb_node **out); /* any | f | g behind a */
sb_status sb_tpl_parse_primary(sb_parser *p, sb_node **out);        /* name, constant, bracket */
sb_status sb_tpl_parse_postfix(sb_parser *p, sb_node *a, sb_node **out);
sb_status sb_tpl_parse_unary(sb_parser *p, bool filters, sb_node **out);

/* ---- rendering ---- */

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

typedef struct sb_run {
    const sb_template *t;
    const sb_val_ctx *ctx;
    sb_region mem;
    sb_error *err;
    uint64_t steps_left;
    int depth;
    sb_scope *scope;
    sb_sink *sink;
    const sb_node *at;
} sb_run;

/* Evaluated arguments of a call, filter, test or method. */
typedef struct sb_args {
    const sb_val *v; /* positional, then by keyword */
    const int32_t *kw; /* [n] symbol or -1 */
    int n_pos, n;
} sb_args;

sb_status sb_tpl_fail(sb_run *r, sb_status code, const char *fmt, ...) SB_PRINTF(3, 4);
sb_status sb_tpl_spend(sb_run *r, size_t steps);
sb_status sb_tpl_descend(sb_run *r); /* depth + 1, checked; the caller takes it back */
sb_status sb_tpl_oom(sb_run *r);
const char *sb_tpl_type_name(sb_val v);

/* The argument at position i or named kw, or NULL. */
const sb_val *sb_tpl_arg(const sb_run *r, const sb_args *a, int i, const char *kw);
/* Fails when a string is not one; `what` names the argument. */
sb_status sb_tpl_arg_str(sb_run *r, const sb_val *v, const char *what);
sb_status sb_tpl_arg_int(sb_run *r, const sb_args *a, int i, const char *kw, int64_t def,
                         int64_t *out);

/* values */
sb_val sb_val_literal(const char *s); /* of static storage */
bool sb_val_is_str(sb_val v);
bool sb_val_is_seq(sb_val v); /* list or tuple */
bool sb_val_truth(sb_val v);
bool sb_val_number(sb_val v, double *out);       /* int, float or bool */
bool sb_val_whole(sb_val v, int64_t *out);       /* int or bool */
bool sb_val_has_content(sb_val v);               /* any byte of a string, or the scalar */
sb_status sb_val_equal(sb_run *r, sb_val a, sb_val b, bool *out);
sb_status sb_val_order(sb_run *r, sb_val a, sb_val b, int *out); /* -1, 0, 1 */
sb_list *sb_list_new(sb_region *m, size_t cap);
bool sb_list_push(sb_region *m, sb_list *l, sb_val v);
sb_dict *sb_dict_new(sb_region *m);
const sb_val *sb_dict_find(const sb_dict *d, const char *key, size_t n);
bool sb_dict_put(sb_region *m, sb_dict *d, sb_val k, sb_val v);
sb_val sb_val_of_list(sb_list *l, sb_val_type type);
sb_val sb_val_of_dict(sb_dict *d, sb_val_type type);
/* An equal value whose lists and dicts are its own. */
sb_status sb_val_clone(sb_run *r, sb_val v, sb_val *out);
/* What a for loop and most filters walk over. */
sb_status sb_tpl_items(sb_run *r, sb_val v, const sb_list **out);

/* text (text.c) */
typedef struct sb_text {   /* a string being built in the region */
    sb_run *r;
    const char *p;
    const uint8_t *marks;  /* NULL while all of one origin */
    size_t n;
    bool from_content;
} sb_text;
sb_status sb_text_add(sb_text *b, sb_val s);
sb_status sb_text_add_raw(sb_text *b, const char *p, size_t n, bool from_content);
sb_val sb_text_val(const sb_text *b);
sb_status sb_text_cat(sb_run *r, sb_val a, sb_val b, sb_val *out);
sb_val sb_text_cut(sb_val s, size_t at, size_t n); /* shares the bytes */
size_t sb_text_find(sb_val s, size_t from, const char *p, size_t n); /* SIZE_MAX: not there */
size_t sb_text_count_cp(sb_val s);
bool sb_text_space(uint32_t cp);
enum { SB_TRIM_LEFT = 1, SB_TRIM_RIGHT = 2 };
/* chars: the set to strip, or NULL for white space. */
sb_val sb_text_trim(sb_val s, const sb_val *chars, int sides);
sb_status sb_text_replace(sb_run *r, sb_val s, sb_val old, sb_val new, int64_t max, sb_val *out);
sb_status sb_text_split(sb_run *r, sb_val s, const sb_val *sep, int64_t max, bool from_right,
                        sb_val *out);
sb_status sb_text_lines(sb_run *r, sb_val s, bool keep_ends, sb_val *out);
sb_status sb_text_join(sb_run *r, sb_val sep, const sb_list *items, bool strict, sb_val *out);
sb_status sb_text_repeat(sb_run *r, sb_val s, int64_t times, sb_val *out);
typedef enum sb_case { SB_CASE_UPPER, SB_CASE_LOWER, SB_CASE_TITLE, SB_CASE_CAPITAL } sb_case;
sb_status sb_text_case(sb_run *r, sb_val s, sb_case how, sb_val *out);

/* printing (print.c, json.c) */
sb_status sb_tpl_str(sb_run *r, sb_val v, sb_val *out); /* what {{ v }} prints */
size_t sb_tpl_float_text(double f, char out[40]);
typedef struct sb_json_options {
    bool ensure_ascii, sort_keys;
    int indent; /* -1: one line */
    sb_val item_sep, key_sep;
} sb_json_options;
sb_status sb_tpl_json(sb_run *r, sb_val v, const sb_json_options *o, sb_val *out);

/* operators (ops.c) */
sb_status sb_tpl_binary(sb_run *r, sb_op op, sb_val a, sb_val b, sb_val *out);
sb_status sb_tpl_compare(sb_run *r, sb_op op, sb_val a, sb_val b, bool *out);
sb_status sb_tpl_attr(sb_run *r, const sb_val *a, sb_symbol name, sb_val *out);
sb_status sb_tpl_item(sb_run *r, const sb_val *a, sb_val key, sb_val *out);
/* Bounds NULL where left out. */
sb_status sb_tpl_slice(sb_run *r, sb_val a, const sb_val *from, const sb_val *to, const sb_val *step,
                       sb_val *out);

/* evaluation (eval.c, exec.c) */
sb_status sb_tpl_eval(sb_run *r, const sb_node *n, sb_val *out);
sb_status sb_tpl_eval_args(sb_run *r, const sb_node *first, sb_args *out);
sb_status sb_tpl_call(sb_run *r, sb_val f, const sb_args *a, sb_val *out);
sb_status sb_tpl_exec(sb_run *r, const sb_node *list, sb_flow *flow);
sb_status sb_tpl_call_macro(sb_run *r, const sb_macro *m, const sb_args *a, const sb_val *caller,
                            sb_val *out);
sb_status sb_tpl_set(sb_run *r, int32_t sym, sb_val v);
const sb_val *sb_tpl_get(sb_run *r, int32_t sym);
sb_status sb_sink_add(sb_run *r, sb_val s);

/* words called (filters.c, tests.c, methods.c, globals.c) */
sb_status sb_tpl_filter(sb_run *r, unsigned id, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_tpl_test(sb_run *r, unsigned id, sb_val v, const sb_args *a, bool *out);
sb_status sb_tpl_method(sb_run *r, unsigned id, sb_val self, const sb_args *a, sb_val *out);
sb_status sb_tpl_global(sb_run *r, unsigned id, const sb_args *a, sb_val *out);
/* Sets d's entries from a dict given first and from named arguments. */
sb_status sb_tpl_update(sb_run *r, sb_dict *d, const sb_args *a);
sb_status sb_tpl_strftime(sb_run *r, sb_val format, int64_t now_s, sb_val *out);
#endif
