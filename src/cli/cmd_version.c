/* SPDX-License-Identifier: Apache-2.0
 * cmd_version.c - `sobre version`. */
#include "sobre.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "kernels/kernels.h"

sb_status sb_cmd_version(const sb_cli *c, sb_error *err)
{
    const char *kernels = sb_level_name(sb_level_best());
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", SOBRE_VERSION_MAJOR, SOBRE_VERSION_MINOR,
                   SOBRE_VERSION_PATCH);
    sb_meter *meter;
    sb_meter_roots roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    SB_TRY(sb_cli_meter(&meter, &roots, err));
    sb_status s = SB_OK;
    if (c->args->v[SB_OPT_json].set)
        s = sb_json_print(c->out,
                          json_pack("{s:s, s:s, s:s}", "version", version, "kernels", kernels,
                                    "meter", sb_meter_name(meter)),
                          err);
    else
        sb_out_addf(c->out, "sobre %s (kernels: %s; energy: %s)\n", version, kernels,
                    sb_meter_name(meter));
    sb_meter_close(meter);
    return s;
}
