/* SPDX-License-Identifier: Apache-2.0
 * tok_added.c - added tokens: found in raw text before anything else, leftmost and longest.
 *
 * A byte tree with sibling lists. Walking it from each position costs at most the longest added
 * token, which SB_MAX_ADDED_BYTES keeps short; an automaton would be linear in any vocabulary, but
 * is three times the code for markers of a dozen bytes. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"

#include <string.h>

static uint32_t first_child(const sb_tokenizer *t, uint32_t parent, uint8_t byte)
{
    return parent ? t->leaves[parent].child : t->root[byte];
}

/* Child of parent (0: the root) for byte, or 0. */
static uint32_t child_of(const sb_tokenizer *t, uint32_t parent, uint8_t byte)
{
    uint32_t i = first_child(t, parent, byte);
    while (i && t->leaves[i].byte != byte)
        i = t->leaves[i].sibling;
    return i;
}

static sb_status add_leaf(sb_tokenizer *t, uint32_t parent, uint8_t byte, uint32_t *out,
                          sb_error *err)
{
    if (t->n_leaves == t->cap_leaves) {
        const uint32_t cap = t->cap_leaves ? t->cap_leaves * 2 : 256;
        sb_tok_leaf *p = cap > t->cap_leaves ? sb_realloc(t->leaves, cap, sizeof *p) : NULL;
        if (!p) return SB_FAIL(err, SB_NO_MEMORY, "tokenizer: no memory for added tokens");
        t->leaves = p;
        t->cap_leaves = cap;
        if (t->n_leaves == 0) t->n_leaves = 1; // 0 is no leaf
    }
    const uint32_t i = t->n_leaves++;
    uint32_t *slot = parent ? &t->leaves[parent].child : &t->root[byte];
    t->leaves[i] = (sb_tok_leaf){.sibling = *slot, .id = -1, .byte = byte};
    *slot = i;
    *out = i;
    return SB_OK;
}

sb_status sb_tok_added_put(sb_tokenizer *t, int32_t id, sb_error *err)
{
    const sb_str s = sb_tok_text(t, id);
    if (s.n > SB_MAX_ADDED_BYTES)
        return SB_FAIL(err, SB_LIMIT, "tokenizer: added token %d has %zu bytes (at most %d)", id,
                       s.n, SB_MAX_ADDED_BYTES);
    uint32_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint32_t next = child_of(t, at, (uint8_t)s.p[i]);
        if (!next) SB_TRY(add_leaf(t, at, (uint8_t)s.p[i], &next, err));
        at = next;
    }
    if (t->leaves[at].id < 0) t->leaves[at].id = id; // the first of equal texts
    return SB_OK;
}

int32_t sb_tok_added_match(const sb_tokenizer *t, sb_str s, sb_tok_mode mode, size_t *out_len)
{
    int32_t best = -1;
    uint32_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        at = child_of(t, at, (uint8_t)s.p[i]);
        if (!at) break;
        const int32_t id = t->leaves[at].id;
        if (id < 0 || (mode == SB_TOK_CONTENT && !(t->flags[id] & SB_TOK_F_CONTENT))) continue;
        best = id;
        *out_len = i + 1;
    }
    return best;
}

int32_t sb_tok_added_find(const sb_tokenizer *t, sb_str s)
{
    uint32_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        at = child_of(t, at, (uint8_t)s.p[i]);
        if (!at) return -1;
    }
    return at ? t->leaves[at].id : -1;
}

/* <...> (so also <|...|> and its fullwidth form) and [...] */
bool sb_tok_is_marker_shaped(sb_str s)
{
    if (s.n < 3) return false;
    return (s.p[0] == '<' && s.p[s.n - 1] == '>') || (s.p[0] == '[' && s.p[s.n - 1] == ']');
}

/* A line break, an indent or a single letter that happens to be an added token marks nothing: such
 * tokens stand in every template, and content must keep them. */
static bool may_be_marker(sb_str s)
{
    uint32_t cp;
    if (sb_utf8_decode(s.p, s.n, &cp) == s.n) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr(" \t\n\r\v\f", s.p[i]) || s.p[i] == 0) return true;
    return false;
}

sb_status sb_tokenizer_reserve_literal(sb_tokenizer *t, sb_str literal, sb_error *err)
{
    (void)err; // nothing here can fail; the status keeps room for a table that grows
    for (size_t i = 0; i < literal.n;) {
        size_t len = 1;
        const sb_str rest = {literal.p + i, literal.n - i};
        const int32_t id = sb_tok_added_match(t, rest, SB_TOK_LITERAL, &len);
        if (id >= 0 && may_be_marker(sb_tok_text(t, id)))
            t->flags[id] &= (uint8_t)~SB_TOK_F_CONTENT;
        i += len;
    }
    return SB_OK;
}
