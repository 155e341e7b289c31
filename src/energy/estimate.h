/* SPDX-License-Identifier: Apache-2.0
 * estimate.h - energy without a meter: CPU time and bytes times coefficients; where those come
 * from.
 *
 * Purpose     The formula; the fit of its two coefficients to loads that a meter saw, with the
 *             error that the fit makes on loads it was not shown; and the file that keeps them for
 *             the day when the meter may not be read. A second fit takes the counters to a plug's
 *             wall (wall.h); it holds for the counters that `meter` tells.
 * Formula     uJ = CPU nanoseconds x milliwatts / 10^6 + bytes x picojoules / 10^6.
 * File        One JSON object of numbers and texts (calibration.json in the data folder), written
 *             beside and renamed. Read strictly: what is missing, out of range or of another
 *             processor is not used.
 * Ranges      50 to 6000 mW a busy thread, at most 2000 pJ a byte, wall 0.8 to 5 times the
 *             counters; anything else is no calibration. A file with a wall's fit that cannot be
 *             one is used without it.
 * Threads     Pure functions, but for the file's. */
#ifndef SB_ENERGY_ESTIMATE_H
#define SB_ENERGY_ESTIMATE_H
#include "base/base.h"
#include "energy/wall.h"

enum {
    SB_ESTIMATE_MIN_MW = 50,
    SB_ESTIMATE_MAX_MW = 6000,
    SB_ESTIMATE_MAX_PJ = 2000,
    SB_FIT_MIN_POINTS = SB_WALL_MIN_LOADS,
    SB_FIT_MAX_POINTS = SB_WALL_MAX_LOADS,
    SB_CALIBRATION_BYTES = 2048 /* of the file */
};

typedef struct sb_coefficients {
    uint32_t milliwatts;  /* of a busy thread */
    uint32_t pj_per_byte; /* of weights, keys and values read; 0: in the milliwatts */
} sb_coefficients;

/* uJ, rounded down; stops at the largest number. */
int64_t sb_estimate_uj(const sb_coefficients *c, uint64_t cpu_ns, uint64_t n_bytes);

/* A load that was measured. */
typedef struct sb_fit_point {
    uint64_t cpu_ns, n_bytes;
    int64_t uj;
} sb_fit_point;

typedef struct sb_fit {
    sb_coefficients c;
    int n;
    uint32_t mape_permille, worst_permille; /* of each point by a fit to the others */
} sb_fit;

/* Least squares of relative errors. SB_INVALID: too few points, points that do not tell the two
 * apart, or coefficients out of range; the message says which. */
sb_status sb_fit_points(const sb_fit_point *p, int n, sb_fit *out, sb_error *err) SB_MUST_USE;

/* The counters' mW beside the plug's. */
sb_status sb_fit_wall(const uint32_t *counter_mw, const uint32_t *wall_mw, int n, sb_wall_fit *out,
                      sb_error *err) SB_MUST_USE;

/* Which processor. */
typedef struct sb_cpu_id {
    char vendor[32];
    int64_t family, model; /* -1: not known */
} sb_cpu_id;
/* proc: a prefix of /proc/cpuinfo, or "". */
sb_cpu_id sb_cpu_id_read(const char *proc);

typedef struct sb_calibration {
    sb_cpu_id cpu;
    sb_fit fit;
    sb_wall_fit wall;
    char date[16];     /* "2026-11-27" */
    char meter[64];    /* what counted the loads */
    int32_t n_threads; /* the most that a load had */
} sb_calibration;

/* The file's text; out, of SB_CALIBRATION_BYTES, is always NUL-terminated. */
void sb_calibration_format(const sb_calibration *c, char *out, size_t out_bytes);
/* SB_CORRUPT names what is missing or out of range. */
sb_status sb_calibration_parse(sb_calibration *out, const char *text, sb_error *err) SB_MUST_USE;
/* The calibration in the file, if it is one of this processor. */
bool sb_calibration_load(const char *path, const sb_cpu_id *cpu, sb_calibration *out);
sb_status sb_calibration_save(const sb_calibration *c, const char *path, sb_error *err) SB_MUST_USE;
/* By how much an estimate with it may be off: twice the mean error or the worst seen, whichever is
 * more. */
uint32_t sb_calibration_range_permille(const sb_calibration *c);
#endif
