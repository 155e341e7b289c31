/* SPDX-License-Identifier: Apache-2.0
 * cli.h - what main() hands to a command, and what a command hands back.
 *
 * Ownership   sb_cli owns nothing; args borrows argv, out is main()'s.
 * Errors      A command returns a status and has filled err; main() prints it and turns it into the
 *             exit status. SB_CANCELLED becomes 130. */
#ifndef SB_CLI_H
#define SB_CLI_H
#include "base/base.h"
#include "cli/options.h"
#include "cli/term.h"

enum { SB_EXIT_DONE = 0, SB_EXIT_FAILED = 1, SB_EXIT_USAGE = 2, SB_EXIT_INTERRUPTED = 130 };

typedef struct sb_cli {
    const sb_args *args;
    sb_out *out; /* standard output */
    bool *usage; /* a command sets it when what failed was the command line: exit status 2 */
} sb_cli;

#define X(name, n_min, n_max, args, what, more)                                                    \
    sb_status sb_cmd_##name(const sb_cli *c, sb_error *err) SB_MUST_USE;
#include "cli/commands.def"
#undef X

/* help.c: the list of commands, or the page of one. */
void sb_help_list(sb_out *o);
void sb_help_page(sb_out *o, sb_cmd cmd);
#endif
