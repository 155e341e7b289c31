/* SPDX-License-Identifier: Apache-2.0
 * tok_vocab.h - small vocabularies made by hand, for the tests of the tokenizer room.
 *
 * Ownership   A tv owns its texts; tv_deinit() frees them. tv_desc() borrows from it. */
#ifndef SB_TEST_TOK_VOCAB_H
#define SB_TEST_TOK_VOCAB_H
#include "tokenizer/tokenizer.h"

enum { TV_MAX = 512 };

typedef struct tv {
    sb_str tokens[TV_MAX], merges[TV_MAX];
    float scores[TV_MAX];
    int32_t types[TV_MAX];
    int32_t n_tok, n_merges;
} tv;

/* All return the id (or the number of the merge). Text is copied. */
int32_t tv_add(tv *v, const char *text, int32_t type, float score);
int32_t tv_add_n(tv *v, const char *p, size_t n, int32_t type, float score);
/* The 256 single bytes in GPT-2's alphabet, or as <0xXX>. */
void tv_add_alphabet(tv *v);
void tv_add_byte_tokens(tv *v);
/* Merge line "left right", and the token it makes unless that is there. */
int32_t tv_merge(tv *v, const char *left, const char *right);
int32_t tv_find(const tv *v, const char *text);
void tv_deinit(tv *v);

/* "gpt2" with pre-tokenizer `smollm`, or "llama"; no special ids, nothing said. */
sb_tokenizer_desc tv_desc(const tv *v, const char *model);

/* A byte-level vocabulary with some merges and added tokens, and a scored one; see tok_vocab.c. */
void tv_bpe(tv *v);
void tv_spm(tv *v);
/* "gemma4": characters merged by rank. */
void tv_chars(tv *v);
#endif
