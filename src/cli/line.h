/* SPDX-License-Identifier: Apache-2.0
 * line.h - what a person types, one message at a time.
 *
 * Purpose     On a terminal: editing, history and pasting through libedit. Elsewhere, and where
 *             libedit is missing: one line after the other as they come.
 * Messages    A line is a message. A pasted text of many lines is one message, as is what stands
 *             between two `"""`, and lines of which each but the last ends with a backslash.
 * Ownership   sb_lines owns its buffers and, while it reads, the terminal's modes, which it gives
 *             back after every message.
 * Errors      SB_CANCELLED when a signal other than Ctrl-C asks to stop; SB_LIMIT, SB_IO,
 *             SB_INVALID (not UTF-8, naming the byte).
 * Threads     One caller at a time; blocks signals on it while it reads, except while it waits.
 * Cost        Nothing while it waits. */
#ifndef SB_CLI_LINE_H
#define SB_CLI_LINE_H
#include "base/base.h"
#include "base/buf.h"

typedef enum sb_line_end {
    SB_LINE_MESSAGE, /* there is one */
    SB_LINE_BREAK,   /* Ctrl-C: what was typed is gone */
    SB_LINE_EOF      /* end of input, or Ctrl-D */
} sb_line_end;

typedef struct sb_lines sb_lines;

/* Reads standard input. */
sb_status sb_lines_open(sb_lines **out, sb_error *err) SB_MUST_USE;
void sb_lines_close(sb_lines *l);
/* A person sits there: prompts and hints have a reader. */
bool sb_lines_has_person(const sb_lines *l);
/* Puts the next message in out, which is cleared first. */
sb_status sb_lines_read(sb_lines *l, sb_buf *out, sb_line_end *end, sb_error *err) SB_MUST_USE;
/* While an answer is written nothing that is typed may show in it. */
void sb_lines_hush(sb_lines *l, bool hushed);
#endif
