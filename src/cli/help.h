/* SPDX-License-Identifier: Apache-2.0
 * help.h - what the pages of a command are made of, for the terminal, man and the shells alike.
 *
 * Ownership   Strings are static or written to the caller's room. */
#ifndef SB_CLI_HELP_H
#define SB_CLI_HELP_H
#include "cli/cli.h"

enum { SB_HELP_RANGE_BYTES = 128 };

typedef struct sb_environ_row {
    const char *name, *help;
} sb_environ_row;
extern const sb_environ_row sb_environ_rows[];
extern const size_t sb_environ_n;

/* Text of the exit statuses. */
extern const char sb_help_exit[];
/* "(default: 40; 0 to 16777216)" in the reader's language, or "" where there is nothing to say. */
void sb_help_range(const sb_option_row *r, char out[SB_HELP_RANGE_BYTES]);
/* Options of a command beside --help. */
int sb_help_n_options(sb_cmd cmd);

/* The man page of a command, or of all of them for SB_CMD_COUNT. */
void sb_help_man(sb_out *o, sb_cmd cmd);
/* A completion for bash, zsh or fish. */
void sb_help_bash(sb_out *o);
void sb_help_zsh(sb_out *o);
void sb_help_fish(sb_out *o);
#endif
