/* SPDX-License-Identifier: Apache-2.0
 * internal.h - what the files of the tokenizer room share: the built vocabulary.
 *
 * Purpose     One struct for all kinds of model. Every token has a piece: the bytes it stands for
 *             in text (byte alphabet and U+2581 already undone), so text is looked up as it is.
 * Invariants  Only mergeable tokens (normal ones, and in "llama" runs of spaces) are in the piece
 *             table; only added tokens (control, unknown, user-defined) are in the tree. Merging
 *             therefore cannot produce a control token or a marker, whatever the text.
 * Threads     Built by one thread, then constant. */
#ifndef SB_TOKENIZER_INTERNAL_H
#define SB_TOKENIZER_INTERNAL_H
#include "tokenizer/nfc.h"
#include "tokenizer/pretok.h"
#include "tokenizer/tokenizer.h"

enum {
    SB_TOK_TYPE_MASK = 0x07,
    SB_TOK_F_LSTRIP = 0x08,  /* takes the white space before it */
    SB_TOK_F_END = 0x10,     /* ends an answer */
    SB_TOK_F_CONTENT = 0x20, /* user-defined, no marker: matches in content too */
    SB_TOK_F_MERGE = 0x40,   /* in the piece table */
    SB_TOK_F_RSTRIP = 0x80   /* takes the white space behind it */
};

typedef struct sb_tok_slot {
    uint32_t tag; /* upper half of the hash */
    int32_t id;   /* -1: empty */
} sb_tok_slot;

/* A byte of the tree of added tokens. Index 0 is no node. */
typedef struct sb_tok_leaf {
    uint32_t child, sibling;
    int32_t id; /* token that ends here, or -1 */
    uint8_t byte;
} sb_tok_leaf;

struct sb_tokenizer {
    bool spm;    /* "llama", "gemma4": merge characters, U+2581 is a space; else bytes */
    bool scored; /* "llama": merge by score; else by rank */
    bool add_bos, add_eos, space_prefix;
    bool drops;           /* bpe: some byte has no token and vanishes */
    bool whole, nfc;      /* a piece that is a token stays; text is composed first */
    bool pre_missing;     /* the file named no pre-tokenizer */
    const sb_pretok *pre; /* NULL in "llama" */
    int32_t n_tok, bos, eos, eot, unk;

    char *blob;     /* pieces back to back */
    uint32_t *off;  /* [n_tok + 1] piece id is blob[off[id], off[id + 1]) */
    uint8_t *flags; /* [n_tok] sb_tok_type and SB_TOK_F_* */

    uint64_t seed;
    sb_tok_slot *slots; /* piece table, open addressing */
    uint32_t slot_mask;
    size_t max_merge_bytes;   /* longest mergeable piece */
    int32_t byte_id[256];     /* token of one byte, -1 when none */
    uint64_t before_space[4]; /* bytes that stand before a space inside a mergeable piece */

    uint32_t *prio;       /* scored [n_tok]: lower merges first */
    int32_t *first_merge; /* ranked [n_tok]: a merge that makes this token, -1 when none */
    int32_t *next_merge;  /* ranked [n_merges]: another one, -1 when none */
    uint16_t *left_bytes; /* ranked [n_merges]: length of the left part */

    sb_tok_leaf *leaves; /* tree of added tokens, children as sibling lists */
    uint32_t n_leaves, cap_leaves;
    uint32_t root[256]; /* leaf of each first byte, 0 when none */
};

static inline sb_str sb_tok_text(const sb_tokenizer *t, int32_t id)
{
    return (sb_str){t->blob + t->off[id], t->off[id + 1] - t->off[id]};
}

static inline sb_tok_type sb_tok_type_of(const sb_tokenizer *t, int32_t id)
{
    return (sb_tok_type)(t->flags[id] & SB_TOK_TYPE_MASK);
}

/* tok_table.c: the piece table. Fill needs blob, off and flags; the first of equal pieces wins. */
sb_status sb_tok_table_fill(sb_tokenizer *t, sb_error *err) SB_MUST_USE;
int32_t sb_tok_table_find(const sb_tokenizer *t, const char *p, size_t n);

/* tok_ranks.c: the order of merges, from the merge list or the scores. */
sb_status sb_tok_ranks_from_merges(sb_tokenizer *t, const sb_tokenizer_desc *d,
                                   sb_error *err) SB_MUST_USE;
sb_status sb_tok_ranks_from_scores(sb_tokenizer *t, const sb_tokenizer_desc *d,
                                   sb_error *err) SB_MUST_USE;
/* GPT-2's byte alphabet undone: s[n] to out (room for n); false when a character is outside it. */
bool sb_tok_from_alphabet(sb_str s, char *out, size_t *out_n);
/* Copies s to out with U+2581 turned into a space; returns the length. */
size_t sb_tok_from_marks(sb_str s, char *out);

/* tok_added.c: the tree of added tokens. match: longest token at p, -1 when none. */
sb_status sb_tok_added_put(sb_tokenizer *t, int32_t id, sb_error *err) SB_MUST_USE;
int32_t sb_tok_added_match(const sb_tokenizer *t, sb_str s, sb_tok_mode mode, size_t *out_len);
int32_t sb_tok_added_find(const sb_tokenizer *t, sb_str s);
bool sb_tok_is_marker_shaped(sb_str s);

/* tok_merge.c: scratch of one encode, and the merging of one piece. */
typedef struct sb_tok_symbol {
    uint32_t start, prev, next; /* byte in the piece; neighbours by index */
    int32_t id;                 /* token, or -1: bytes without one (never merges) */
} sb_tok_symbol;

typedef struct sb_tok_pair {
    uint64_t key; /* lower merges first; ties go to the left */
    uint32_t left;
    int32_t id; /* what the two become */
} sb_tok_pair;

typedef struct sb_tok_work {
    sb_tok_symbol *symbols;
    sb_tok_pair *heap;
    size_t cap_symbols; /* the heap has room for twice as many */
    size_t n_heap;
    char *copy; /* a text that had to be rewritten */
    size_t cap_copy;
    sb_nfc nfc;
} sb_tok_work;

void sb_tok_work_deinit(sb_tok_work *w);
sb_status sb_tok_merge(const sb_tokenizer *t, sb_tok_work *w, sb_str piece, sb_ids *out,
                       sb_error *err) SB_MUST_USE;
#endif
