/* SPDX-License-Identifier: Apache-2.0
 * pretok.h - cuts text into the pieces inside which byte-level BPE merges.
 *
 * Purpose     A pre-tokenizer is a row of pretok.def: up to SB_PRETOK_RULES split rules, each
 *             applied inside the pieces of the one before, and what else the name tells about the
 *             tokenizer. The pieces cover the text without gaps.
 * Invariants  The text is valid UTF-8; a piece is never empty and never ends inside a code point.
 * Threads     The walker is the caller's; the tables are constant.
 * Cost        Linear in the text; no allocation, no recursion, nothing to compile. */
#ifndef SB_TOKENIZER_PRETOK_H
#define SB_TOKENIZER_PRETOK_H
#include "base/base.h"

enum { SB_PRETOK_RULES = 6 };

/* One split rule; rules.def says which there are. */
typedef enum sb_pretok_rule {
    SB_RULE_NONE,
#define X(name, ...) SB_RULE_##name,
#include "tokenizer/rules.def"
#undef X
    SB_RULE_COUNT
} sb_pretok_rule;

/* What the name of a pre-tokenizer also says. */
enum {
    SB_PRE_WHOLE = 1, /* a piece that is a token is not merged (ignore_merges) */
    SB_PRE_BOS = 2,   /* bos in front of a text, unless the file says otherwise */
    SB_PRE_NFC = 4,   /* text is composed first */
    SB_PRE_MASK = 8,  /* <mask> or [MASK] takes the white space before it */
    SB_PRE_CHARS = 16 /* characters merge, not bytes, and U+2581 is a space */
};

typedef struct sb_pretok {
    const char *name;
    unsigned flags;                 /* SB_PRE_* */
    uint8_t rules[SB_PRETOK_RULES]; /* of sb_pretok_rule, SB_RULE_NONE after the last */
} sb_pretok;

/* The row of a name, or NULL. */
const sb_pretok *sb_pretok_find(sb_str name);
/* The rows in order: NULL after the last. */
const sb_pretok *sb_pretok_at(size_t i);
/* Writes the names of the distinct splits to out[n] (n >= 8), the first name of each, with ", "
 * between them; "..." ends a list that does not fit. */
void sb_pretok_families(char *out, size_t n);

/* pretok_rules.c: length of the first piece a rule cuts from p[n] (n > 0): its match there, or what
 * lies before its next match. */
size_t sb_pretok_cut(sb_pretok_rule rule, const char *p, size_t n);

/* A walk over text: end[i] is where the current piece of rule i ends. */
typedef struct sb_pretok_walk {
    const sb_pretok *rules;
    sb_str text;
    size_t at;
    size_t end[SB_PRETOK_RULES];
} sb_pretok_walk;

void sb_pretok_begin(sb_pretok_walk *w, const sb_pretok *rules, sb_str text);
/* The next piece, borrowed from the text; false when there is none. */
bool sb_pretok_next(sb_pretok_walk *w, sb_str *out_piece);
#endif
