/* SPDX-License-Identifier: Apache-2.0
 * huge.h - huge pages for memory that is read over and over.
 *
 * Purpose     A processor looks up where a page lies; with pages of 4 KiB it does so 512 times as
 *             often as with those of 2 MiB, and waits. Which of the two holds a byte changes speed
 *             and nothing else, so nothing here can fail: what the kernel cannot give stays small.
 * Threads     Any; others may read and write the memory meanwhile. */
#ifndef SB_BASE_HUGE_H
#define SB_BASE_HUGE_H
#include "base/base.h"

enum { SB_HUGE_BYTES = 2 << 20 };

/* Takes huge pages in untouched memory, SB_HUGE_BYTES aligned, one after the other while they come
 * quickly: a virtual machine must get those it has not at hand from its host, and that is dear.
 * Returns the bytes taken; what lies behind them stays as it was. */
size_t sb_huge_take(void *p, size_t bytes);
/* Makes the SB_HUGE_BYTES at p, aligned so, one page, in 0.3 to 5 ms. False: the kernel cannot. */
bool sb_huge_join(void *p);
#endif
