/* SPDX-License-Identifier: Apache-2.0
 * parse.c - statements: what stands between texts, and how it nests. */
#include "base/limits.h"
#include "template/parser.h"

#include <string.h>

/* ---- helpers shared with expr.c ---- */

sb_status sb_tpl_next(sb_parser *p)
{
    return sb_tpl_lex_code(&p->lex, &p->tok);
}

static bool is(const sb_parser *p, sb_tok_kind kind, const char *s)
{
    return p->tok.kind == kind && p->tok.n == strlen(s) && memcmp(p->tok.p, s, p->tok.n) == 0;
}

bool sb_tpl_is_op(const sb_parser *p, const char *op)
{
    return is(p, SB_T_OP, op);
}

bool sb_tpl_is_name(const sb_parser *p, const char *name)
{
    return is(p, SB_T_NAME, name);
}

sb_status sb_tpl_unexpected(sb_parser *p, const char *wanted)
{
    const sb_token *t = &p->tok;
    const bool shown = t->kind == SB_T_NAME || t->kind == SB_T_OP;
    return sb_tpl_lex_fail(&p->lex, SB_CORRUPT, t->line, t->col, "%s expected%s%.*s%s", wanted,
                           shown ? ", not '" : "", shown ? t->n > 60 ? 60 : (int)t->n : 0,
                           shown ? t->p : "", shown ? "'" : "");
}

sb_status sb_tpl_expect_op(sb_parser *p, const char *op)
{
    return sb_tpl_is_op(p, op) ? sb_tpl_next(p) : sb_tpl_unexpected(p, op);
}

sb_status sb_tpl_enter(sb_parser *p)
{
    if (++p->depth <= SB_MAX_TEMPLATE_DEPTH) return SB_OK;
    return sb_tpl_lex_fail(&p->lex, SB_LIMIT, p->tok.line, p->tok.col, "nested more than %d deep",
                           SB_MAX_TEMPLATE_DEPTH);
}

/* The tag's last token must be next; the text behind it follows. */
static sb_status end_tag(sb_parser *p)
{
    return p->tok.kind == SB_T_TAG_END ? SB_OK : sb_tpl_unexpected(p, "the end of the tag");
}

static sb_status take_name(sb_parser *p, int32_t *sym)
{
    static const char *const reserved[] = {"and",  "else",  "false", "if", "in",   "is", "none",
                                           "None", "False", "True",  "or", "true", "not"};
    if (p->tok.kind != SB_T_NAME) return sb_tpl_unexpected(p, "a name");
    for (size_t i = 0; i < SB_ARRAY_LEN(reserved); i++)
        if (sb_tpl_is_name(p, reserved[i])) return sb_tpl_unexpected(p, "a name");
    *sym = sb_tpl_intern(p->t, p->tok.p, p->tok.n);
    if (*sym < 0) return sb_region_fail(&p->t->mem, p->lex.err);
    return sb_tpl_next(p);
}

/* ---- targets: a · a, b · (a, (b, c)) · ns.a ---- */

static sb_status parse_target(sb_parser *p, sb_node **out);

static sb_status parse_one_target(sb_parser *p, sb_node **out)
{
    if (sb_tpl_is_op(p, "(")) {
        SB_TRY(sb_tpl_enter(p));
        SB_TRY(sb_tpl_next(p));
        SB_TRY(parse_target(p, out));
        p->depth--;
        return sb_tpl_expect_op(p, ")");
    }
    SB_TRY(sb_tpl_node(p, SB_N_NAME, &p->tok, out));
    SB_TRY(take_name(p, &(*out)->sym));
    if (!sb_tpl_is_op(p, ".")) return SB_OK;
    sb_node *attr;
    SB_TRY(sb_tpl_next(p));
    if (p->tok.kind == SB_T_NAME && p->tok.p[0] == '_')
        return sb_tpl_lex_fail(&p->lex, SB_UNSUPPORTED, p->tok.line, p->tok.col,
                               "setting an attribute that begins with '_' is not supported");
    SB_TRY(sb_tpl_node(p, SB_N_ATTR, &p->tok, &attr));
    attr->a = *out;
    SB_TRY(take_name(p, &attr->sym));
    *out = attr;
    return sb_tpl_close(p, attr);
}

static sb_status parse_target(sb_parser *p, sb_node **out)
{
    const sb_token at = p->tok;
    sb_node *a;
    SB_TRY(parse_one_target(p, &a));
    *out = a;
    if (!sb_tpl_is_op(p, ",")) return SB_OK;
    SB_TRY(sb_tpl_node(p, SB_N_TUPLE, &at, out));
    (*out)->first = a;
    for (sb_node **tail = &a->next; sb_tpl_is_op(p, ","); tail = &(*tail)->next) {
        SB_TRY(sb_tpl_next(p));
        if (p->tok.kind != SB_T_NAME && !sb_tpl_is_op(p, "(")) break;
        if (sb_tpl_is_name(p, "in")) break;
        SB_TRY(parse_one_target(p, tail));
    }
    return sb_tpl_close(p, *out);
}

/* ---- statements ---- */

static sb_status parse_body(sb_parser *p, const sb_token *open, const char *const *ends,
                            sb_node **out);

/* A body that ends with one tag, through that tag's name. */
static sb_status parse_block(sb_parser *p, const sb_token *open, const char *end, sb_node **out)
{
    const char *const ends[] = {end, NULL};
    SB_TRY(parse_body(p, open, ends, out));
    return sb_tpl_next(p);
}

static sb_status parse_if(sb_parser *p, const sb_token *at, sb_node **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    sb_node *n = NULL, **tail = out;
    uint16_t depth = 0;
    for (;;) { // an elif hangs in the orelse of the if before; the chain is walked, not descended
        SB_TRY(sb_tpl_node(p, SB_N_IF, at, &n));
        *tail = n;
        tail = &n->orelse;
        SB_TRY(sb_tpl_next(p));
        SB_TRY(sb_tpl_parse_tuple(p, true, &n->a));
        SB_TRY(end_tag(p));
        SB_TRY(parse_body(p, at, ends, &n->body));
        SB_TRY(sb_tpl_close(p, n));
        if (n->depth > depth) depth = n->depth;
        if (!sb_tpl_is_name(p, "elif")) break;
    }
    if (sb_tpl_is_name(p, "else")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(end_tag(p));
        SB_TRY(parse_body(p, at, last, &n->orelse));
        SB_TRY(sb_tpl_close(p, n));
        if (n->depth > depth) depth = n->depth;
    }
    (*out)->depth = depth;
    return sb_tpl_next(p);
}

static sb_status parse_for(sb_parser *p, const sb_token *at, sb_node **out)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    sb_node *n;
    SB_TRY(sb_tpl_node(p, SB_N_FOR, at, out));
    n = *out;
    SB_TRY(sb_tpl_next(p));
    SB_TRY(parse_target(p, &n->a));
    if (n->a->kind == SB_N_ATTR) return sb_tpl_unexpected(p, "a name before this");
    if (!sb_tpl_is_name(p, "in")) return sb_tpl_unexpected(p, "in");
    SB_TRY(sb_tpl_next(p));
    SB_TRY(sb_tpl_parse_tuple(p, false, &n->b));
    if (sb_tpl_is_name(p, "if")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(sb_tpl_parse_expr(p, &n->c));
    }
    n->op = sb_tpl_is_name(p, "recursive");
    if (n->op) SB_TRY(sb_tpl_next(p));
    SB_TRY(end_tag(p));
    p->n_loops++;
    SB_TRY(parse_body(p, at, ends, &n->body));
    p->n_loops--;
    if (sb_tpl_is_name(p, "else")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(end_tag(p));
        SB_TRY(parse_block(p, at, "endfor", &n->orelse));
    } else {
        SB_TRY(sb_tpl_next(p));
    }
    return sb_tpl_close(p, n);
}

/* "| f | g" over the text of a block. */
static sb_status parse_block_filters(sb_parser *p, sb_node **out)
{
    sb_node *text;
    SB_TRY(sb_tpl_node(p, SB_N_NAME, &p->tok, &text));
    text->sym = SB_SYM_BLOCK;
    return sb_tpl_parse_filters(p, text, out);
}

static sb_status parse_set(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_SET, at, out));
    sb_node *n = *out;
    SB_TRY(sb_tpl_next(p));
    SB_TRY(parse_target(p, &n->a));
    if (sb_tpl_is_op(p, "=")) {
        SB_TRY(sb_tpl_next(p));
        SB_TRY(sb_tpl_parse_tuple(p, true, &n->b));
        return sb_tpl_close(p, n);
    }
    n->kind = SB_N_SET_BLOCK;
    if (sb_tpl_is_op(p, "|")) SB_TRY(parse_block_filters(p, &n->b));
    SB_TRY(end_tag(p));
    SB_TRY(parse_block(p, at, "endset", &n->body));
    return sb_tpl_close(p, n);
}

/* "(a, b=1)" of a macro or call block. */
static sb_status parse_params(sb_parser *p, sb_node **first)
{
    sb_node **tail = first;
    SB_TRY(sb_tpl_expect_op(p, "("));
    while (!sb_tpl_is_op(p, ")")) {
        SB_TRY(sb_tpl_node(p, SB_N_ARG, &p->tok, tail));
        SB_TRY(take_name(p, &(*tail)->sym));
        if (sb_tpl_is_op(p, "=")) {
            SB_TRY(sb_tpl_next(p));
            SB_TRY(sb_tpl_parse_expr(p, &(*tail)->a));
            SB_TRY(sb_tpl_close(p, *tail));
        }
        tail = &(*tail)->next;
        if (!sb_tpl_is_op(p, ")")) SB_TRY(sb_tpl_expect_op(p, ","));
    }
    return sb_tpl_next(p);
}

/* A macro's body is no part of the loops around its definition. */
static sb_status parse_macro_body(sb_parser *p, const sb_token *at, const char *end, sb_node *n)
{
    const int n_loops = p->n_loops;
    p->n_loops = 0;
    SB_TRY(end_tag(p));
    SB_TRY(parse_block(p, at, end, &n->body));
    p->n_loops = n_loops;
    return sb_tpl_close(p, n);
}

static sb_status parse_macro(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_MACRO, at, out));
    SB_TRY(sb_tpl_next(p));
    SB_TRY(take_name(p, &(*out)->sym));
    SB_TRY(parse_params(p, &(*out)->first));
    SB_TRY(parse_macro_body(p, at, "endmacro", *out));
    // "endmacro name" is allowed
    return p->tok.kind == SB_T_NAME ? sb_tpl_next(p) : SB_OK;
}

static sb_status parse_call_block(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_CALL_BLOCK, at, out));
    SB_TRY(sb_tpl_next(p));
    if (sb_tpl_is_op(p, "(")) SB_TRY(parse_params(p, &(*out)->first));
    SB_TRY(sb_tpl_parse_unary(p, false, &(*out)->a));
    if ((*out)->a->kind != SB_N_CALL) return sb_tpl_unexpected(p, "a call before this");
    return parse_macro_body(p, at, "endcall", *out);
}

static sb_status parse_filter_block(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_FILTER_BLOCK, at, out));
    // The first filter stands without its bar: give it one.
    p->tok = (sb_token){.kind = SB_T_OP, .line = at->line, .col = at->col, .p = "|", .n = 1};
    SB_TRY(parse_block_filters(p, &(*out)->b));
    SB_TRY(end_tag(p));
    SB_TRY(parse_block(p, at, "endfilter", &(*out)->body));
    return sb_tpl_close(p, *out);
}

static sb_status parse_do(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_DO, at, out));
    SB_TRY(sb_tpl_next(p));
    SB_TRY(sb_tpl_parse_tuple(p, true, &(*out)->a));
    return sb_tpl_close(p, *out);
}

static sb_status parse_with(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_WITH, at, out));
    sb_node **tail = &(*out)->first;
    SB_TRY(sb_tpl_next(p));
    while (p->tok.kind != SB_T_TAG_END) {
        if (*tail) tail = &(*tail)->next;
        SB_TRY(sb_tpl_node(p, SB_N_ARG, &p->tok, tail));
        SB_TRY(parse_one_target(p, &(*tail)->b));
        SB_TRY(sb_tpl_expect_op(p, "="));
        SB_TRY(sb_tpl_parse_expr(p, &(*tail)->a));
        SB_TRY(sb_tpl_close(p, *tail));
        if (p->tok.kind != SB_T_TAG_END) SB_TRY(sb_tpl_expect_op(p, ","));
    }
    SB_TRY(parse_block(p, at, "endwith", &(*out)->body));
    return sb_tpl_close(p, *out);
}

static sb_status parse_generation(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_GROUP, at, out));
    SB_TRY(sb_tpl_next(p));
    SB_TRY(end_tag(p));
    SB_TRY(parse_block(p, at, "endgeneration", &(*out)->body));
    return sb_tpl_close(p, *out);
}

static sb_status parse_jump(sb_parser *p, const sb_token *at, sb_node **out)
{
    const bool is_break = sb_tpl_is_name(p, "break");
    if (!p->n_loops)
        return sb_tpl_lex_fail(&p->lex, SB_CORRUPT, at->line, at->col, "outside of any loop");
    SB_TRY(sb_tpl_node(p, is_break ? SB_N_BREAK : SB_N_CONTINUE, at, out));
    return sb_tpl_next(p);
}

/* A statement whose tag's name is the current token, through the end of its last tag. */
static sb_status parse_statement(sb_parser *p, sb_node **out)
{
    static const struct {
        const char *name;
        sb_status (*parse)(sb_parser *p, const sb_token *at, sb_node **out);
    } tags[] = {
        {"if", parse_if},       {"for", parse_for},         {"set", parse_set},
        {"macro", parse_macro}, {"call", parse_call_block}, {"filter", parse_filter_block},
        {"break", parse_jump},  {"continue", parse_jump},   {"generation", parse_generation},
        {"do", parse_do},       {"with", parse_with}};
    static const char *const foreign[] = {"include", "import",     "from",  "extends",
                                          "block",   "autoescape", "trans", "debug"};
    const sb_token at = p->tok;
    if (at.kind != SB_T_NAME) return sb_tpl_unexpected(p, "a tag's name");
    for (size_t i = 0; i < SB_ARRAY_LEN(tags); i++) {
        if (!sb_tpl_is_name(p, tags[i].name)) continue;
        SB_TRY(sb_tpl_enter(p));
        SB_TRY(tags[i].parse(p, &at, out));
        p->depth--;
        return end_tag(p);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(foreign); i++)
        if (sb_tpl_is_name(p, foreign[i]))
            return sb_tpl_lex_fail(&p->lex, SB_UNSUPPORTED, at.line, at.col,
                                   "tag '%s' is not supported", foreign[i]);
    return sb_tpl_unexpected(p, "another tag");
}

static sb_status parse_print(sb_parser *p, const sb_token *at, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_PRINT, at, out));
    SB_TRY(sb_tpl_next(p));
    SB_TRY(sb_tpl_parse_tuple(p, true, &(*out)->a));
    if (p->tok.kind != SB_T_PRINT_END) return sb_tpl_unexpected(p, "}}");
    return sb_tpl_close(p, *out);
}

static sb_status parse_text(sb_parser *p, sb_node **out)
{
    SB_TRY(sb_tpl_node(p, SB_N_TEXT, &p->tok, out));
    (*out)->val = (sb_val){.type = SB_VAL_STR, .as.s = {.p = p->tok.p, .n = p->tok.n}};
    (*out)->all = p->t->literals;
    p->t->literals = *out;
    return SB_OK;
}

/* Statements until a tag named in ends (left as the current token); until the end for NULL. */
static sb_status parse_body(sb_parser *p, const sb_token *open, const char *const *ends,
                            sb_node **out)
{
    for (sb_node **tail = out;; tail = &(*tail)->next) {
        SB_TRY(sb_tpl_lex_data(&p->lex, &p->tok));
        const sb_token at = p->tok;
        if (at.kind == SB_T_EOF) {
            if (!ends) return SB_OK;
            return sb_tpl_lex_fail(&p->lex, SB_CORRUPT, open->line, open->col,
                                   "'%.*s' without its end tag", (int)open->n, open->p);
        }
        if (at.kind == SB_T_TEXT) {
            SB_TRY(parse_text(p, tail));
        } else if (at.kind == SB_T_PRINT) {
            SB_TRY(parse_print(p, &at, tail));
        } else {
            SB_TRY(sb_tpl_next(p));
            for (const char *const *e = ends; e && *e; e++)
                if (sb_tpl_is_name(p, *e)) return SB_OK;
            SB_TRY(parse_statement(p, tail));
        }
    }
}

sb_status sb_tpl_parse(sb_template *t, sb_error *err)
{
    sb_parser p = {.t = t,
                   .lex = {.p = t->source,
                           .n = t->source_bytes,
                           .line = 1,
                           .line_start = true,
                           .mem = &t->mem,
                           .err = err}};
    if (sb_tpl_intern(t, "", 0) != SB_SYM_BLOCK) return sb_region_fail(&t->mem, err);
    return parse_body(&p, NULL, NULL, &t->body);
}
