/* SPDX-License-Identifier: Apache-2.0
 * letters.h - the newest text from one process to another, in memory that both see; neither waits.
 *
 * Purpose     Three letters. One is the writer's, one the reader's, one lies between. The writer
 *             swaps a finished letter for the one between, the reader its old one for a newer: one
 *             atomic exchange each, so no letter is read while it is written, and none is torn.
 * Invariants  While both keep to it, the three numbers (of the writer, of the reader, between) are
 *             0, 1 and 2 in some order. A writer that does not keep to it can make the reader see
 *             nonsense, and nothing beyond its three letters: numbers are checked, and what is in a
 *             letter is copied once, then looked at.
 * Threads     One writer and one reader, of any threads or processes. */
#ifndef SB_SERVER_LETTERS_H
#define SB_SERVER_LETTERS_H
#include "base/base.h"
#include "base/limits.h"

#include <stdatomic.h>

typedef struct sb_letter {
    uint64_t begin_ns; /* monotonic: when it was asked for */
    uint32_t what;     /* an answer to which question; 0: none yet */
    uint32_t good;     /* 0: there was no answer */
    uint32_t n_bytes;
    char text[SB_MAX_METER_TEXT_BYTES];
} sb_letter;

/* Zeroed memory, then sb_letters_init(), before the two part. */
typedef struct sb_letters {
    atomic_uint between;
    sb_letter v[3];
} sb_letters;

/* Each side keeps one: the letter that is its own. */
typedef uint32_t sb_letters_side;

void sb_letters_init(sb_letters *l, sb_letters_side *out_writer, sb_letters_side *out_reader);
/* The writer's letter, to be filled. */
sb_letter *sb_letters_blank(sb_letters *l, sb_letters_side writer);
/* Hands it over; the writer has another one from now on. */
void sb_letters_post(sb_letters *l, sb_letters_side *writer);
/* The newest letter: the one that was posted since, else the same as last time. Its fields may be
 * nonsense when the writer is hostile. */
const sb_letter *sb_letters_newest(sb_letters *l, sb_letters_side *reader);
/* Copies a letter's text with a NUL at its end; false when it does not fit. */
bool sb_letter_copy(const sb_letter *x, char *out, size_t out_bytes);
#endif
