/* SPDX-License-Identifier: Apache-2.0
 * estimate.c - the formula and the two fits.
 *
 * Errors are relative: a load of a second must not count for ten of a tenth. The error that is
 * stored is of points that the fit was not shown, each left out in turn; the fit's own residuals
 * would flatter it. */
#include "energy/estimate.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

int64_t sb_estimate_uj(const sb_coefficients *c, uint64_t cpu_ns, uint64_t n_bytes)
{
    const wide pj = (wide)cpu_ns * c->milliwatts + (wide)n_bytes * c->pj_per_byte;
    const wide uj = pj / 1000000; /* ns x mW = pJ */
    return uj > (wide)INT64_MAX ? INT64_MAX : (int64_t)uj;
}

uint32_t sb_calibration_range_permille(const sb_calibration *c)
{
    const uint32_t twice = 2 * c->fit.mape_permille;
    return twice > c->fit.worst_permille ? twice : c->fit.worst_permille;
}

/* y = a u + b v by least squares; false when u and v do not tell a from b. */
typedef struct sums {
    double uu, uv, vv, u, v;
} sums;

/* Each point divided by what was measured: the target is 1. */
static void add_point(sums *s, double u, double v, int sign)
{
    s->uu += sign * u * u;
    s->uv += sign * u * v;
    s->vv += sign * v * v;
    s->u += sign * u;
    s->v += sign * v;
}

static bool solve(const sums *s, double *a, double *b)
{
    const double det = s->uu * s->vv - s->uv * s->uv;
    if (!(det > 1e-9 * s->uu * s->vv)) return false;
    *a = (s->u * s->vv - s->v * s->uv) / det;
    *b = (s->v * s->uu - s->u * s->uv) / det;
    if (*b >= 0) return true;
    *a = s->u / s->uu; /* bytes cannot give energy back */
    *b = 0;
    return true;
}

static uint32_t permille(double part)
{
    return part < 1e6 ? (uint32_t)llround(part * 1000) : 1000000000;
}

/* Of n points (u, v) with target 1: the fit, and its errors on points left out. */
static bool fit_left_out(const double *u, const double *v, int n, double *a, double *b,
                         double *mean, double *worst)
{
    sums all = {0};
    for (int i = 0; i < n; i++)
        add_point(&all, u[i], v[i], 1);
    if (!solve(&all, a, b)) return false;
    *mean = *worst = 0;
    for (int i = 0; i < n; i++) {
        sums others = all;
        double p = 0, q = 0;
        add_point(&others, u[i], v[i], -1);
        if (!solve(&others, &p, &q)) return false;
        const double off = fabs(p * u[i] + q * v[i] - 1);
        *mean += off / n;
        if (off > *worst) *worst = off;
    }
    return true;
}

sb_status sb_fit_points(const sb_fit_point *p, int n, sb_fit *out, sb_error *err)
{
    double u[SB_FIT_MAX_POINTS], v[SB_FIT_MAX_POINTS], a = 0, b = 0, mean = 0, worst = 0;
    if (n < SB_FIT_MIN_POINTS || n > SB_FIT_MAX_POINTS)
        return SB_FAIL(err, SB_INVALID, "calibration: %d loads were measured, %d to %d are needed",
                       n, SB_FIT_MIN_POINTS, SB_FIT_MAX_POINTS);
    for (int i = 0; i < n; i++) {
        if (p[i].uj <= 0 || p[i].cpu_ns == 0)
            return SB_FAIL(err, SB_INVALID, "calibration: load %d took no energy or no time", i);
        u[i] = (double)p[i].cpu_ns / 1e6 / (double)p[i].uj;
        v[i] = (double)p[i].n_bytes / 1e6 / (double)p[i].uj;
    }
    if (!fit_left_out(u, v, n, &a, &b, &mean, &worst))
        return SB_FAIL(err, SB_INVALID, "calibration: the loads do not tell time from bytes");
    if (!(a >= SB_ESTIMATE_MIN_MW && a <= SB_ESTIMATE_MAX_MW))
        return SB_FAIL(
            err, SB_INVALID,
            "calibration: %.0f mW a busy thread is not plausible (%d to %d): the meter or "
            "the load of other programs is wrong",
            a, SB_ESTIMATE_MIN_MW, SB_ESTIMATE_MAX_MW);
    if (!(b <= SB_ESTIMATE_MAX_PJ))
        return SB_FAIL(err, SB_INVALID, "calibration: %.0f pJ a byte is not plausible (at most %d)",
                       b, SB_ESTIMATE_MAX_PJ);
    *out = (sb_fit){.c = {(uint32_t)llround(a), (uint32_t)llround(b)},
                    .n = n,
                    .mape_permille = permille(mean),
                    .worst_permille = permille(worst)};
    return SB_OK;
}

sb_status sb_fit_wall(const uint32_t *counter_mw, const uint32_t *wall_mw, int n, sb_wall_fit *out,
                      sb_error *err)
{
    double u[SB_FIT_MAX_POINTS], v[SB_FIT_MAX_POINTS], base = 0, slope = 0, mean = 0, worst = 0;
    if (n < SB_FIT_MIN_POINTS || n > SB_FIT_MAX_POINTS)
        return SB_FAIL(err, SB_INVALID, "wall: %d loads were seen by the plug, %d to %d are needed",
                       n, SB_FIT_MIN_POINTS, SB_FIT_MAX_POINTS);
    for (int i = 0; i < n; i++) {
        if (wall_mw[i] == 0) return SB_FAIL(err, SB_INVALID, "wall: the plug shows no power");
        u[i] = (double)counter_mw[i] / wall_mw[i];
        v[i] = 1.0 / wall_mw[i]; /* its factor is the base: never below 0 */
    }
    if (!fit_left_out(u, v, n, &slope, &base, &mean, &worst))
        return SB_FAIL(err, SB_INVALID, "wall: the loads are all alike");
    if (!(slope * 1000 >= SB_WALL_MIN_SLOPE && slope * 1000 <= SB_WALL_MAX_SLOPE &&
          base <= SB_WALL_MAX_BASE_MW))
        return SB_FAIL(err, SB_INVALID,
                       "wall: %.2f W + %.2f x the counters is not plausible: is the plug this "
                       "machine's?",
                       base / 1e3, slope);
    *out = (sb_wall_fit){.base_mw = (int32_t)llround(base),
                         .slope_permille = permille(slope),
                         .mape_permille = permille(mean),
                         .worst_permille = permille(worst),
                         .n = n};
    return SB_OK;
}
