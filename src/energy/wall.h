/* SPDX-License-Identifier: Apache-2.0
 * wall.h - from what the processor's counters say to what a plug before the machine would say.
 *
 * Purpose     `sobre energy calibrate --plug` fits wall = base + slope x counters. The same answer
 *             at the wall is a figure beside the counters' one: never in its place, never in a sum
 *             of the ledger, and an estimate whatever its parts were.
 * Rule        uJ = slope x energy_uj + base x time, rounded down, where time is the answer's own
 *             share of the time that steps took: of each tick the time in steps, without other
 *             programs' part, divided by the weights that divided its energy. The base of resting
 *             is nobody's answer. So the answers and the rest come to no more than the fit says of
 *             all that the counters saw.
 * Range       The ends of the counters' own range, each through the fit, and wider by twice the
 *             fit's mean error or the worst one, whichever is more.
 * Threads     Pure functions. */
#ifndef SB_ENERGY_WALL_H
#define SB_ENERGY_WALL_H
#include "base/base.h"

enum {
    SB_WALL_MIN_LOADS = 6,
    SB_WALL_MAX_LOADS = 256,
    SB_WALL_MAX_BASE_MW = 2000000,
    SB_WALL_MIN_SLOPE = 800, /* permille */
    SB_WALL_MAX_SLOPE = 5000,
    SB_WALL_MAX_ERROR = 1000000, /* permille */
    SB_WALL_WORDS_BYTES = 96
};

/* wall = base + slope x counters, in power. */
typedef struct sb_wall_fit {
    int32_t base_mw;
    uint32_t slope_permille;
    uint32_t mape_permille, worst_permille; /* of each load by a fit to the others */
    int n;                                  /* loads; 0: no plug was there, or none that holds */
} sb_wall_fit;

/* What a fit makes of an energy. */
typedef struct sb_wall {
    bool known;
    int64_t uj, lo_uj, hi_uj; /* lo_uj <= uj <= hi_uj */
    char words[SB_WALL_WORDS_BYTES];
} sb_wall;

/* Whether its numbers can be a fit's: whatever a file or a receipt holds. */
bool sb_wall_fit_holds(const sb_wall_fit *f);
/* Whether a fit to the counters that one meter's name tells holds for those of another: the same
 * packages, with or without memory, or the same board's counter, and as many of them, whichever way
 * they are read. What is no counter of the processor or the board has no fit. */
bool sb_wall_same_counters(const char *fitted, const char *meter);
/* lo_uj <= uj <= hi_uj is the counters' energy, ns the time whose base power goes with it. Stops at
 * the largest number. Not known when the fit does not hold. */
sb_wall sb_wall_apply(const sb_wall_fit *f, int64_t uj, int64_t lo_uj, int64_t hi_uj, uint64_t ns);
#endif
