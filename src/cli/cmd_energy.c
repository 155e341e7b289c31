/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy.c - `sobre energy WORD`: to the function of the word. */
#include "cli/cmd_energy.h"

sb_status sb_cmd_energy(const sb_cli *c, sb_error *err)
{
    switch (c->args->verb) {
#define X(word, n_min, n_max, args, what)                                                          \
    case SB_VERB_energy_##word:                                                                    \
        return sb_cmd_energy_##word(c, err);
#include "cli/energy-words.def"
#undef X
    default:
        sb_unreachable("the parser knows the words");
    }
}
