/* SPDX-License-Identifier: Apache-2.0
 * estimator.c - what an estimate of this machine is made of, and what it is called.
 *
 * Nobody's coefficient but one that was calibrated here has an error that is known: such an
 * estimate has a range that follows it, any other is from half to twice. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "energy/internal.h"

static const char by_row[] = "cpu_time_x_coefficient",
                  by_calibration[] = "cpu_time_and_bytes_x_calibrated_coefficients";

bool sb_meter_is_calibrated(const char *method)
{
    return method && strcmp(method, by_calibration) == 0;
}

void sb_estimator_open(sb_estimator *e, const char *proc, const char *calibration)
{
    const sb_cpu_id id = sb_cpu_id_read(proc);
    e->cpu = sb_cpu_power_find(proc);
    e->c = (sb_coefficients){.milliwatts = e->cpu.milliwatts};
    if (calibration && sb_calibration_load(calibration, &id, &e->calibration))
        e->c = e->calibration.fit.c;
}

void sb_estimator_name(const sb_estimator *e, char *out, size_t out_bytes)
{
    const sb_fit *f = &e->calibration.fit;
    if (f->n > 0)
        (void)snprintf(out, out_bytes,
                       "no meter, estimated from CPU time and bytes: calibrated here, mean error "
                       "%u.%u %%",
                       f->mape_permille / 10, f->mape_permille % 10);
    else
        (void)snprintf(out, out_bytes,
                       "no meter, estimated from CPU time: %s, %u mW per busy thread", e->cpu.label,
                       e->cpu.milliwatts);
}

static void fill_calibrated(const sb_calibration *c, sb_stretch *s, const char *why)
{
    const double off = (double)sb_calibration_range_permille(c) / 1000,
                 mid = (double)s->estimate_uj;
    s->lo_uj = (int64_t)(mid / (1 + off));
    s->hi_uj = (int64_t)ceil(mid * (1 + off));
    s->method = by_calibration;
    if (sb_wall_same_counters(c->meter, c->meter)) s->wall = c->wall; /* they stand for those */
    (void)snprintf(s->meter, sizeof s->meter, "%u mW per busy thread, %u pJ per byte",
                   c->fit.c.milliwatts, c->fit.c.pj_per_byte);
    (void)snprintf(s->scope, sizeof s->scope,
                   "%s; calibrated here on %s, mean error %u.%u %%, worst %u.%u %% of %d loads",
                   why, c->date, c->fit.mape_permille / 10, c->fit.mape_permille % 10,
                   c->fit.worst_permille / 10, c->fit.worst_permille % 10, c->fit.n);
}

void sb_estimator_fill(const sb_estimator *e, sb_stretch *s, const char *why)
{
    s->source = SB_ENERGY_ESTIMATED;
    if (!s->is_lost && !s->is_short) s->all_uj = s->estimate_uj;
    s->ratio = 1;
    if (e->calibration.fit.n > 0) {
        fill_calibrated(&e->calibration, s, why);
        return;
    }
    s->lo_uj = s->estimate_uj / 2;
    s->hi_uj = s->estimate_uj * 2;
    s->method = by_row;
    (void)snprintf(s->meter, sizeof s->meter, "%s, %u mW per busy thread", e->cpu.label,
                   e->cpu.milliwatts);
    (void)snprintf(s->scope, sizeof s->scope,
                   "%s; CPU time of this process x a coefficient (%s), not calibrated here", why,
                   e->cpu.basis);
}
