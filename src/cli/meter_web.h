/* SPDX-License-Identifier: Apache-2.0
 * meter_web.h - where this machine's meters are, for commands: its own, and plugs and endpoints in
 * the network.
 *
 * Purpose     What the environment and the options say of meters, once for every command. Under
 *             SOBRE_SYSFS_ROOT nothing but that folder is a meter.
 * Ownership   sb_meter_web owns its connections; what it gives a meter must outlive that meter.
 * Threads     One: the one that reads the meter. */
#ifndef SB_CLI_METER_WEB_H
#define SB_CLI_METER_WEB_H
#include "base/base.h"
#include "base/limits.h"
#include "cli/options.h"
#include "energy/meter.h"
#include "store/transfer.h"

typedef struct sb_meter_web {
    sb_transfer *transfer;
    sb_meter_fetch fetch;
    const char *urls[SB_MAX_WORDS];
} sb_meter_web;

/* The addresses that options or environment give: how many, 0 under SOBRE_SYSFS_ROOT. out has room
 * for SB_MAX_WORDS. */
size_t sb_meter_web_urls(const sb_args *a, const char **out);
/* out borrows w, which stays where it is until _close. No network is asked here. Fails where there
 * is an address and no library to ask it with. */
sb_status sb_meter_web_open(sb_meter_web *w, const sb_args *a, sb_meter_roots *out,
                            sb_error *err) SB_MUST_USE;
void sb_meter_web_close(sb_meter_web *w);
#endif
