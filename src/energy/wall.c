/* SPDX-License-Identifier: Apache-2.0
 * wall.c - a line, in integers of 128 bits. */
#include "energy/wall.h"

#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

bool sb_wall_fit_holds(const sb_wall_fit *f)
{
    return f->n >= SB_WALL_MIN_LOADS && f->n <= SB_WALL_MAX_LOADS && f->base_mw >= 0 &&
           f->base_mw <= SB_WALL_MAX_BASE_MW && f->slope_permille >= SB_WALL_MIN_SLOPE &&
           f->slope_permille <= SB_WALL_MAX_SLOPE && f->mape_permille <= SB_WALL_MAX_ERROR &&
           f->worst_permille <= SB_WALL_MAX_ERROR;
}

/* What a meter's name says behind the way its counters are read: "package+dram, 2 counters"; NULL
 * when they are not the processor's or the board's. */
static const char *counters_of(const char *meter)
{
    static const char *const ways[] = {"perf power ", "RAPL "};
    for (size_t i = 0; i < SB_ARRAY_LEN(ways); i++) {
        const size_t n = strlen(ways[i]);
        if (strncmp(meter, ways[i], n) != 0) continue;
        const char *at = meter + n;
        if (strncmp(at, "package", 7) == 0 || strncmp(at, "psys", 4) == 0) return at;
    }
    return NULL;
}

bool sb_wall_same_counters(const char *fitted, const char *meter)
{
    const char *a = counters_of(fitted), *b = counters_of(meter);
    return a && b && strcmp(a, b) == 0;
}

/* permille x uJ x 1000 and mW x ns: picojoules. */
static wide line(const sb_wall_fit *f, int64_t uj, uint64_t ns)
{
    const uint64_t of = uj > 0 ? (uint64_t)uj : 0;
    const uint32_t base_mw = (uint32_t)f->base_mw; /* it holds: not below 0 */
    return (wide)of * f->slope_permille * 1000 + (wide)ns * base_mw;
}

static int64_t whole(wide uj)
{
    return uj > (wide)INT64_MAX ? INT64_MAX : (int64_t)uj;
}

sb_wall sb_wall_apply(const sb_wall_fit *f, int64_t uj, int64_t lo_uj, int64_t hi_uj, uint64_t ns)
{
    const uint32_t pj = 1000000;
    if (!sb_wall_fit_holds(f)) return (sb_wall){0};
    const uint32_t twice = 2 * f->mape_permille,
                   off = 1000 + (twice > f->worst_permille ? twice : f->worst_permille);
    sb_wall w = {.known = true,
                 .uj = whole(line(f, uj, ns) / pj),
                 .lo_uj = whole(line(f, lo_uj, ns) * 1000 / off / pj),
                 .hi_uj = whole((line(f, hi_uj, ns) * off + 1000 * pj - 1) / 1000 / pj)};
    if (w.lo_uj > w.uj) w.lo_uj = w.uj;
    if (w.hi_uj < w.uj) w.hi_uj = w.uj;
    (void)snprintf(w.words, sizeof w.words,
                   "at the wall, by a fit of %d loads against a plug, mean error %u.%u %%", f->n,
                   f->mape_permille / 10, f->mape_permille % 10);
    return w;
}
