/* SPDX-License-Identifier: Apache-2.0
 * parser.h - from source to tree: lex.c, parse.c and expr.c; inside the template room.
 *
 * Errors      SB_CORRUPT for wrong syntax, SB_UNSUPPORTED for what is outside the subset, SB_LIMIT
 *             past a nesting limit; each with line and column (in bytes). */
#ifndef SB_TEMPLATE_PARSER_H
#define SB_TEMPLATE_PARSER_H
#include "template/tree.h"

typedef enum sb_tok_kind {
    SB_T_EOF,
    SB_T_TEXT,
    SB_T_PRINT,
    SB_T_PRINT_END,
    SB_T_TAG,
    SB_T_TAG_END,
    SB_T_NAME,
    SB_T_STR,
    SB_T_INT,
    SB_T_FLOAT,
    SB_T_OP
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
    int depth;         /* open brackets: an end mark inside them is none */
    bool line_start;   /* the last mark ended a line, white space it ate included */
    bool in_print;     /* inside {{ }}, else {% %} */
    char pending;      /* '{', '%', '#' or 'r' (raw): opened, its text handed out first; or 0 */
    size_t pending_at; /* where it opened */
    sb_region *mem;
    sb_error *err;
} sb_lexer;

/* Next text or mark outside of tags; comments vanish, raw blocks become text. */
sb_status sb_tpl_lex_data(sb_lexer *l, sb_token *out);
/* Next token inside a tag or a print. */
sb_status sb_tpl_lex_code(sb_lexer *l, sb_token *out);
sb_status sb_tpl_lex_fail(sb_lexer *l, sb_status code, int32_t line, int32_t col, const char *fmt,
                          ...) SB_PRINTF(5, 6);

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
sb_status sb_tpl_parse_expr(sb_parser *p, sb_node **out);                /* one, with inline if */
sb_status sb_tpl_parse_tuple(sb_parser *p, bool cond, sb_node **out);    /* a or a, b */
sb_status sb_tpl_parse_filters(sb_parser *p, sb_node *a, sb_node **out); /* any | f | g behind a */
sb_status sb_tpl_parse_primary(sb_parser *p, sb_node **out); /* name, constant, bracket */
sb_status sb_tpl_parse_postfix(sb_parser *p, sb_node *a, sb_node **out);
sb_status sb_tpl_parse_unary(sb_parser *p, bool filters, sb_node **out);
#endif
