/* SPDX-License-Identifier: Apache-2.0
 * bus.h - living on when a mapped file is cut short or its disk fails.
 *
 * Purpose     Reading such a page raises SIGBUS. The handler puts zeros there and takes a note; the
 *             rooms that map files find out what happened (sb_map_check) and fail in their own
 *             words, and main() says it where nobody else did. Any other SIGBUS ends the process as
 *             ever.
 * Threads     The handler runs on whichever thread read; the note is an atomic. */
#ifndef SB_CLI_BUS_H
#define SB_CLI_BUS_H
#include "base/base.h"

void sb_bus_start(void);
/* Whether a read has failed since the start. */
bool sb_bus_hit(void);
#endif
