/* SPDX-License-Identifier: Apache-2.0
 * footprint.h - grams of CO2 equivalent and money beside the joules, when somebody asked.
 *
 * Purpose     --grid and --tariff, read at the start; a line and a JSON object for each, apart from
 *             the energy's own.
 * Ownership   Plain data.
 * Errors      SB_INVALID names the option. */
#ifndef SB_CLI_FOOTPRINT_H
#define SB_CLI_FOOTPRINT_H
#include "cli/cli.h"
#include "cli/json_out.h"
#include "energy/grid.h"

typedef struct sb_footprint {
    bool has_grid, has_tariff;
    sb_grid grid;
    sb_tariff tariff;
} sb_footprint;

/* Says on standard error when a file of --grid is of no use. */
sb_status sb_footprint_read(sb_footprint *out, const sb_cli *c, sb_error *err) SB_MUST_USE;
/* Reads a file of --grid again, for a command that goes on for long; says when it has become of no
 * use. */
void sb_footprint_freshen(sb_footprint *f, const sb_cli *c);
/* A line for each that was asked for, on o or, NULL, as our word on standard error; nothing when
 * the energy is not known. */
void sb_footprint_say(const sb_footprint *f, const sb_energy *e, sb_out *o);
/* Members co2e and cost of those that were asked for. */
void sb_footprint_put(const sb_footprint *f, int64_t uj, json_t *object, bool *ok);
#endif
