/* SPDX-License-Identifier: Apache-2.0
 * line_edit.h - one line from a person at a terminal, edited, with history.
 *
 * Purpose     libedit with UTF-8 in every locale, a paste that stays one text, and Ctrl-C as an end
 *             of the line. Alt-Enter puts a line break into the text.
 * Invariants  One editor at a time: libedit calls back without a word about whom.
 * Ownership   The editor owns its history and the terminal's modes while it reads.
 * Errors      SB_UNSUPPORTED where there is no libedit or no UTF-8: read plain lines then. */
#ifndef SB_CLI_LINE_EDIT_H
#define SB_CLI_LINE_EDIT_H
#include "cli/input.h"
#include "cli/line.h"

typedef struct sb_editor sb_editor;

/* in: borrowed; holds what was typed ahead between two lines. */
sb_status sb_editor_open(sb_editor **out, sb_input *in, sb_error *err) SB_MUST_USE;
void sb_editor_close(sb_editor *e);
/* Appends the line, without its end. */
sb_status sb_editor_read(sb_editor *e, const char *prompt, sb_buf *out, sb_line_end *end,
                         sb_error *err) SB_MUST_USE;
/* Puts a message where the arrow keys and the next chat find it, unless it begins with a blank. */
void sb_editor_remember(sb_editor *e, const char *message);
#endif
