/* SPDX-License-Identifier: Apache-2.0
 * tree.h - a parsed template: nodes, names, and the words of the dialect; inside the template room.
 *
 * Invariants  A node's depth is one more than its deepest child's and at most
 *             SB_MAX_TEMPLATE_TREE, so evaluation cannot recurse deeper than limits.def allows.
 *             Nothing here changes once sb_tpl_parse() has returned. */
#ifndef SB_TEMPLATE_TREE_H
#define SB_TEMPLATE_TREE_H
#include "template/value.h"

/* ---- the tree (node.c) ---- */

typedef enum sb_node_kind {
    /* expressions */
    SB_N_CONST,
    SB_N_NAME,
    SB_N_LIST,
    SB_N_TUPLE,
    SB_N_DICT,
    SB_N_NOT,
    SB_N_NEG,
    SB_N_POS,
    SB_N_BINARY,
    SB_N_AND,
    SB_N_OR,
    SB_N_COMPARE,
    SB_N_COND,
    SB_N_ATTR,
    SB_N_ITEM,
    SB_N_SLICE,
    SB_N_CALL,
    SB_N_FILTER,
    SB_N_TEST,
    SB_N_ARG,
    /* statements */
    SB_N_TEXT,
    SB_N_PRINT,
    SB_N_IF,
    SB_N_FOR,
    SB_N_SET,
    SB_N_SET_BLOCK,
    SB_N_MACRO,
    SB_N_CALL_BLOCK,
    SB_N_FILTER_BLOCK,
    SB_N_BREAK,
    SB_N_CONTINUE,
    SB_N_GROUP,
    SB_N_DO,
    SB_N_WITH
} sb_node_kind;

typedef enum sb_op {
    SB_OP_ADD,
    SB_OP_SUB,
    SB_OP_MUL,
    SB_OP_DIV,
    SB_OP_FLOOR,
    SB_OP_MOD,
    SB_OP_POW,
    SB_OP_CAT,
    SB_OP_EQ,
    SB_OP_NE,
    SB_OP_LT,
    SB_OP_LE,
    SB_OP_GT,
    SB_OP_GE,
    SB_OP_IN,
    SB_OP_NOT_IN
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
 *   FILTER_BLOCK b = filters, body · GROUP body · DO a · WITH first = ARGs with a = value, b =
 *   target; body · FOR op 1 = recursive
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
#endif
