/* SPDX-License-Identifier: Apache-2.0
 * progress.h - one line on a terminal that says how far long work is, and goes away afterwards.
 *
 * Purpose     Bar, amount, rate and time left, on standard error. Nothing where nobody looks, for
 *             work that takes less than 0.4 s, and oftener than ten times a second.
 * Ownership   Plain memory of the caller.
 * Threads     One. */
#ifndef SB_CLI_PROGRESS_H
#define SB_CLI_PROGRESS_H
#include "base/base.h"

typedef enum sb_bar_unit { SB_BAR_BYTES, SB_BAR_TOKENS, SB_BAR_QUERIES } sb_bar_unit;

typedef struct sb_bar {
    char what[96]; /* "loading smollm2-135m" */
    sb_bar_unit unit;
    bool looked_at, shown;
    uint64_t begin_ns, last_ns, begin_done;
} sb_bar;

/* Begins to measure; what is cut to its room. */
void sb_bar_begin(sb_bar *b, const char *what, sb_bar_unit unit);
/* all 0: not known. */
void sb_bar_show(sb_bar *b, uint64_t done, uint64_t all);
/* Wipes the line, if there is one. */
void sb_bar_end(sb_bar *b);
#endif
