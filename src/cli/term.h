/* SPDX-License-Identifier: Apache-2.0
 * term.h - standard input, output and error: the only file descriptors the house prints to.
 *
 * Invariants  Writing goes on after a failure without effect; sb_out_end() then reports it. What
 *             comes from a file or a model reaches a terminal only through sb_term_escape().
 * Ownership   sb_out owns nothing but its buffer.
 * Errors      A reader who went away (EPIPE) is a failure like any other: exit status 1, no signal.
 * Threads     One. */
#ifndef SB_CLI_TERM_H
#define SB_CLI_TERM_H
#include "base/base.h"
#include "base/buf.h"

typedef struct sb_out {
    int fd;
    int why; /* errno of the first failure, or 0 */
    bool tty;
    size_t n;
    char held[8192];
} sb_out;

/* Makes descriptors 0, 1 and 2 exist, so that no file can be mistaken for them: one that was closed
 * reads as empty and refuses what is written. */
void sb_term_start(void);

void sb_out_init(sb_out *o, int fd);
/* Held until 8 KiB, a flush or the end. */
void sb_out_add(sb_out *o, const char *p, size_t n);
void sb_out_addf(sb_out *o, const char *fmt, ...) SB_PRINTF(2, 3);
void sb_out_flush(sb_out *o);
/* Flushes; SB_IO when any of it could not be written. */
sb_status sb_out_end(sb_out *o, sb_error *err) SB_MUST_USE;

/* Appends s with control characters, broken UTF-8 and characters that turn the direction of text
 * written as \xNN or \u{NNNN}. lines: \n and \t stay. */
sb_status sb_term_escape(sb_buf *out, sb_str s, bool lines, sb_error *err) SB_MUST_USE;
void sb_out_escaped(sb_out *o, sb_str s, bool lines);

/* What follows is dim, or plain again: on a terminal that can, for a reader who wants it. */
void sb_out_dim(sb_out *o, bool dim);
/* A text for people, in their language, escaped; no newline is added. */
void sb_out_say(sb_out *o, const char *fmt, ...) SB_PRINTF(2, 3);
/* One line on standard error, in the reader's language, escaped: "sobre: TEXT". */
void sb_term_say(const char *fmt, ...) SB_PRINTF(1, 2);

/* All of standard input, up to the buffer's limit; SB_CANCELLED when a signal asks to stop. */
sb_status sb_term_read_all(sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
