/* SPDX-License-Identifier: Apache-2.0
 * netmeter.h - what smart plugs and endpoints answer, read without trust.
 *
 * Purpose     Pure functions from text to microwatts and microjoules, each kind in its own units.
 * Errors      False: no reading. Nothing is guessed, no sign is dropped.
 * Threads     Any. */
#ifndef SB_ENERGY_NETMETER_H
#define SB_ENERGY_NETMETER_H
#include "base/base.h"

typedef enum sb_net_kind {
    SB_NET_SHELLY2,    /* Switch.GetStatus: apower in W */
    SB_NET_SHELLY1,    /* /meter/N: power in W, total in watt-minutes; /emeter/N: in Wh */
    SB_NET_TASMOTA,    /* Status 10: Power in W, Total in kWh */
    SB_NET_KEPLER,     /* joules of zones */
    SB_NET_SCAPHANDRE, /* microjoules, or microwatts, of the host */
    SB_NET_KIND_COUNT
} sb_net_kind;
typedef struct sb_net_reading {
    sb_net_kind kind;
    bool has_power, has_total;
    uint64_t uw, total_uj; /* total: since when it likes */
} sb_net_reading;
/* Knows the kind by what the text holds; false when it is none of them. */
bool sb_net_parse(const char *text, sb_net_reading *out);
const char *sb_net_name(sb_net_kind k);
/* The i-th address that is asked for a plug or an endpoint given as url: one without a path is
 * asked at the path of every kind. False: there is no such, or it does not fit. */
enum { SB_NET_PATHS = 4 };
bool sb_net_address(const char *url, size_t i, char *out, size_t out_bytes) SB_MUST_USE;
/* A decimal number (12, 12.5, 1.25e+06) times unit, in millionths, rounded down; false on anything
 * else, a sign included, and on overflow. */
bool sb_energy_parse_micro(const char *p, const char *end, uint64_t unit, uint64_t *out);
#endif
