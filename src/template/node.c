/* SPDX-License-Identifier: Apache-2.0
 * node.c - the names of a template and the nodes of its tree. */
#include "base/limits.h"
#include "template/parser.h"

#include <string.h>

enum { FIRST_TABLE = 64 };

static uint32_t hash(const char *p, size_t n)
{
    uint32_t h = 2166136261u; // FNV-1a; a template can make names collide, and pays for it below
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619u;
    return h;
}

/* Slot where the name is or would go. */
static int32_t *slot(const sb_template *t, const char *p, size_t n)
{
    const uint32_t mask = (uint32_t)t->table_size - 1;
    for (uint32_t i = hash(p, n) & mask;; i = (i + 1) & mask) {
        int32_t *s = &t->sym_table[i];
        if (*s < 0) return s;
        const sb_symbol *y = &t->syms[*s];
        if (y->n == n && (!n || memcmp(y->p, p, n) == 0)) return s;
    }
}

static bool grow_table(sb_template *t)
{
    const int32_t size = t->table_size ? t->table_size * 2 : FIRST_TABLE;
    int32_t *table = sb_region_take(&t->mem, (size_t)size, sizeof *table);
    sb_symbol *syms = sb_region_take(&t->mem, (size_t)size / 2, sizeof *syms);
    if (!table || !syms) return false;
    for (int32_t i = 0; i < size; i++)
        table[i] = -1;
    if (t->n_syms) memcpy(syms, t->syms, (size_t)t->n_syms * sizeof *syms);
    t->sym_table = table;
    t->table_size = size;
    t->syms = syms;
    t->cap_syms = size / 2;
    for (int32_t i = 0; i < t->n_syms; i++)
        *slot(t, syms[i].p, syms[i].n) = i;
    return true;
}

int32_t sb_tpl_intern(sb_template *t, const char *p, size_t n)
{
    if (t->n_syms == t->cap_syms && !grow_table(t)) return -1;
    int32_t *s = slot(t, p, n);
    if (*s >= 0) return *s;
    t->syms[t->n_syms] = (sb_symbol){p, n};
    return *s = t->n_syms++;
}

int32_t sb_tpl_find_sym(const sb_template *t, const char *p, size_t n)
{
    return *slot(t, p, n);
}

sb_val sb_tpl_sym_val(const sb_template *t, int32_t sym)
{
    const sb_symbol *y = &t->syms[sym];
    return (sb_val){.type = SB_VAL_STR, .as.s = {.p = y->p, .n = y->n}};
}

sb_status sb_tpl_node(sb_parser *p, sb_node_kind kind, const sb_token *at, sb_node **out)
{
    sb_node *n = sb_region_take(&p->t->mem, 1, sizeof *n);
    if (!n) return sb_region_fail(&p->t->mem, p->lex.err);
    n->kind = (uint8_t)kind;
    n->depth = 1;
    n->line = at->line;
    n->col = at->col;
    n->sym = -1;
    *out = n;
    return SB_OK;
}

static uint16_t deepest(const sb_node *list)
{
    uint16_t d = 0;
    for (; list; list = list->next)
        if (list->depth > d) d = list->depth;
    return d;
}

sb_status sb_tpl_close(sb_parser *p, sb_node *n)
{
    const uint16_t one[] = {n->a ? n->a->depth : 0, n->b ? n->b->depth : 0, n->c ? n->c->depth : 0,
                            n->d ? n->d->depth : 0, deepest(n->first),      deepest(n->body),
                            deepest(n->orelse)};
    uint16_t d = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(one); i++)
        if (one[i] > d) d = one[i];
    if (d >= SB_MAX_TEMPLATE_TREE)
        return sb_tpl_lex_fail(&p->lex, SB_LIMIT, n->line, n->col,
                               "more than %d operations chained or nested", SB_MAX_TEMPLATE_TREE);
    n->depth = (uint16_t)(d + 1);
    return SB_OK;
}
