/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_meters.c - `sobre energy meters`. */
#include <stdlib.h>

#include "cli/cmd_energy.h"
#include "energy/meter.h"

sb_status sb_cmd_energy_meters(const sb_cli *c, sb_error *err)
{
    const sb_meter_roots roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    sb_meter *m = NULL;
    SB_TRY(sb_meter_open(&m, &roots, err));
    sb_out_addf(c->out, "%s\n", sb_meter_name(m));
    sb_meter_close(m);
    return SB_OK;
}
