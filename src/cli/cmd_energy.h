/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy.h - the words of `sobre energy`, one function and one file each.
 *
 * Errors      As commands (cli.h). */
#ifndef SB_CLI_CMD_ENERGY_H
#define SB_CLI_CMD_ENERGY_H
#include "cli/cli.h"

#define X(word, n_min, n_max, args, what)                                                          \
    sb_status sb_cmd_energy_##word(const sb_cli *c, sb_error *err) SB_MUST_USE;
#include "cli/energy-words.def"
#undef X
#endif
