/* SPDX-License-Identifier: Apache-2.0
 * pretok.h - cuts text into the pieces inside which byte-level BPE merges.
 *
 * Purpose     A pre-tokenizer is a row of pretok.def: up to SB_PRETOK_RULES split rules, each
 *             applied inside the pieces of the one before. The pieces cover the text without gaps.
 * Invariants  The text is valid UTF-8; a piece is never empty and never ends inside a code point.
 * Threads     The walker is the caller's; the tables are constant.
 * Cost        Linear in the text; no allocation, no recursion, nothing to compile. */
#ifndef SB_TOKENIZER_PRETOK_H
#define SB_TOKENIZER_PRETOK_H
#include "base/base.h"

enum { SB_PRETOK_RULES = 6 };

typedef struct sb_pretok sb_pretok;

/* The row of a name, or NULL. */
const sb_pretok *sb_pretok_find(sb_str name);

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
