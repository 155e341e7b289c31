/* SPDX-License-Identifier: Apache-2.0
 * wire_time.h - a moment as RFC 3339 text in UTC: "2026-11-26T21:10:11.000000042Z". */
#ifndef SB_SERVER_WIRE_TIME_H
#define SB_SERVER_WIRE_TIME_H
#include "base/base.h"

enum { SB_WIRE_TIME_BYTES = 48 };

/* seconds since 1970; ns < 0: whole seconds, "2026-11-26T21:10:11Z". Years outside 1..9999 are the
 * nearest of them. */
void sb_wire_time(int64_t seconds, int64_t ns, char out[SB_WIRE_TIME_BYTES]);
#endif
