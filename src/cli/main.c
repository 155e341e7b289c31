/* SPDX-License-Identifier: Apache-2.0
 * main.c - the command `sobre`: parse, run one command, say what failed, exit. */
#include <stdio.h>
#include <string.h>

#include "cli/bus.h"
#include "cli/cli.h"
#include "cli/stop.h"

typedef sb_status (*command_fn)(const sb_cli *c, sb_error *err);

static const command_fn run_command[SB_CMD_COUNT] = {
#define X(name, n_min, n_max, args, what, more) sb_cmd_##name,
#include "cli/commands.def"
#undef X
};

/* The exit status of every status; a new one must be given its row. */
static int exit_status(sb_status s)
{
    _Static_assert(SB_STATUS_COUNT == 10, "a new status needs its exit status");
    return s == SB_OK ? SB_EXIT_DONE : s == SB_CANCELLED ? SB_EXIT_INTERRUPTED : SB_EXIT_FAILED;
}

int main(int argc, char *argv[])
{
    sb_args args;
    sb_out out;
    sb_error err = {0};
    sb_term_start();
    sb_stop_start();
    sb_bus_start();
    sb_out_init(&out, 1);
    if (sb_args_parse(&args, argc, argv, &err) != SB_OK) {
        const char *page = sb_commands[args.cmd].name;
        if (args.cmd == SB_CMD_help)
            sb_term_say("%s (see `sobre help`)", err.msg);
        else
            sb_term_say("%s: %s (see `sobre help %s`)", page, err.msg, page);
        return SB_EXIT_USAGE;
    }
    sb_status s = SB_OK;
    bool usage = false;
    if (args.v[SB_OPT_help].set)
        sb_help_page(&out, args.cmd);
    else
        s = run_command[args.cmd](&(sb_cli){&args, &out, &usage}, &err);
    if (s == SB_OK && sb_bus_hit()) /* nothing that was said since can be trusted */
        s = SB_FAIL(&err, SB_IO, "a file in use was cut short, or its disk failed");
    sb_error late = {0};
    const sb_status end = sb_out_end(&out, &late);
    if (s != SB_OK || end != SB_OK) sb_term_say("%s", s != SB_OK ? err.msg : late.msg);
    if (s == SB_OK) s = end;
    return s != SB_OK && usage ? SB_EXIT_USAGE : exit_status(s);
}
