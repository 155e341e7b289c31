/* SPDX-License-Identifier: Apache-2.0
 * cmd_version.c - `sobre version`. */
#include "sobre.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "kernels/kernels.h"

sb_status sb_cmd_version(const sb_cli *c, sb_error *err)
{
    const char *kernels = sb_level_name(sb_level_best());
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", SOBRE_VERSION_MAJOR, SOBRE_VERSION_MINOR,
                   SOBRE_VERSION_PATCH);
    if (c->args->v[SB_OPT_json].set)
        return sb_json_print(c->out,
                             json_pack("{s:s, s:s}", "version", version, "kernels", kernels), err);
    sb_out_addf(c->out, "sobre %s (kernels: %s)\n", version, kernels);
    return SB_OK;
}
