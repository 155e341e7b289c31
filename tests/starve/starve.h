/* SPDX-License-Identifier: Apache-2.0
 * starve.h - the heap's door wrapped for tests: the n-th request is refused, blocks are counted.
 *
 * Use         Link starve_dep (tests/starve/meson.build); in a loop over n ask starve_from(n), do
 *             the work, and go on until starve_end() says that nothing was refused.
 * Threads     Any may allocate; one caller here. */
#ifndef STARVE_H
#define STARVE_H
#include <stdbool.h>

/* The next n requests are granted, then one is refused; for_good: all after it, too. */
void starve_from(long n, bool for_good);
/* All are granted again; true when one was refused since starve_from(). */
bool starve_end(void);
/* Blocks taken and not given back. */
long starve_live(void);
#endif
