/* SPDX-License-Identifier: Apache-2.0
 * meter.c - from counters or CPU time to the energy of a stretch of work.
 *
 * A package counter knows no processes. Its energy, idle power included, is split between this
 * process and all others by CPU time; the range says how wrong that may be: a second of CPU time of
 * another process may have cost between a third and three times one of ours. Alone on the machine
 * both ends meet. */
#include "energy/meter.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "energy/internal.h"

enum { STAT_BYTES = 512, TICK_NS = 1000000000, UPDATE_NS = 2000000 };

struct sb_meter {
    sb_rapl rapl;
    int stat_fd;
    uint64_t ns_per_tick; /* of /proc/stat */
    uint64_t last_tick_ns;
    sb_cpu_power cpu;
};

static const char hint[] =
    "the CPU's energy counters may not be read by this user; to allow it until the next boot: "
    "sudo chmod a+r /sys/class/powercap/*/energy_uj /sys/class/powercap/*/*/energy_uj";

sb_status sb_meter_open(sb_meter **out, const sb_meter_roots *roots, sb_error *err)
{
    const char *sysfs = roots && roots->sysfs ? roots->sysfs : "";
    const char *proc = roots && roots->proc ? roots->proc : "";
    sb_meter *m = sb_calloc(1, sizeof *m);
    if (!m) return SB_FAIL(err, SB_NO_MEMORY, "energy meter: no memory");
    sb_rapl_open(&m->rapl, sysfs);
    m->cpu = sb_cpu_power_find(proc);
    char path[512];
    const int n = snprintf(path, sizeof path, "%s/proc/stat", proc);
    m->stat_fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    const long hz = sysconf(_SC_CLK_TCK);
    m->ns_per_tick = hz > 0 ? 1000000000u / (uint64_t)hz : 10000000u;
    m->last_tick_ns = sb_now_ns();
    *out = m;
    return SB_OK;
}

void sb_meter_close(sb_meter *m)
{
    if (!m) return;
    sb_rapl_close(&m->rapl);
    if (m->stat_fd >= 0) (void)close(m->stat_fd);
    sb_free(m);
}

const char *sb_meter_hint(const sb_meter *m)
{
    return m->rapl.refused ? hint : NULL;
}

/* Busy time of all processors of the machine: user, nice, system, irq, softirq. 0 = not known. */
static uint64_t host_busy_ns(const sb_meter *m)
{
    char buf[STAT_BYTES];
    const int n = m->stat_fd >= 0 ? sb_energy_pread(m->stat_fd, buf, sizeof buf) : -1;
    if (n < 5 || strncmp(buf, "cpu ", 4) != 0) return 0;
    uint64_t ticks = 0;
    const char *p = buf + 4;
    for (int i = 0; i < 7; i++) { /* ... idle and iowait are columns 3 and 4 */
        p += strspn(p, " ");
        const size_t len = strcspn(p, " \n");
        uint64_t v = 0;
        if (!sb_energy_parse_u64(p, p + len, &v)) return 0;
        if (i != 3 && i != 4 && ckd_add(&ticks, ticks, v)) return 0;
        p += len;
    }
    uint64_t ns = 0;
    return ckd_mul(&ns, ticks, m->ns_per_tick) ? 0 : ns;
}

static sb_meter_mark mark_now(sb_meter *m)
{
    const bool metered = m->rapl.n_zones > 0;
    if (metered) sb_rapl_tick(&m->rapl);
    m->last_tick_ns = sb_now_ns();
    return (sb_meter_mark){.now_ns = m->last_tick_ns,
                           .cpu_ns = sb_process_cpu_ns(),
                           .host_busy_ns = metered ? host_busy_ns(m) : 0,
                           .sum_uj = m->rapl.sum_uj,
                           .n_lost = m->rapl.n_lost};
}

sb_meter_mark sb_meter_begin(sb_meter *m)
{
    return mark_now(m);
}

void sb_meter_tick(sb_meter *m)
{
    if (m->rapl.n_zones == 0 || sb_now_ns() - m->last_tick_ns < TICK_NS) return;
    sb_rapl_tick(&m->rapl);
    m->last_tick_ns = sb_now_ns();
}

static void estimate(const sb_meter *m, sb_energy *e, const char *why)
{
    e->source = SB_ENERGY_ESTIMATED;
    /* ns * milliwatts = 1e-12 J; stretches up to 100 days of CPU time fit. */
    uint64_t pj = 0;
    if (ckd_mul(&pj, e->cpu_ns, (uint64_t)m->cpu.milliwatts)) pj = UINT64_MAX;
    e->energy_uj = (int64_t)(pj / 1000000);
    e->lo_uj = e->energy_uj / 2;
    e->hi_uj = e->energy_uj * 2;
    e->ratio = 1;
    e->method = "cpu_time_x_coefficient";
    (void)snprintf(e->meter, sizeof e->meter, "%s, %u mW per busy thread", m->cpu.label,
                   m->cpu.milliwatts);
    (void)snprintf(e->scope, sizeof e->scope,
                   "%s; CPU time of this process times a coefficient (%s), not calibrated on this "
                   "machine",
                   why, m->cpu.basis);
}

/* False when the counters did not move: the stretch was shorter than their step. */
static bool measure(const sb_meter *m, const sb_meter_mark *a, const sb_meter_mark *b, sb_energy *e)
{
    const double all_uj = (double)(b->sum_uj - a->sum_uj);
    if (all_uj <= 0) return false;
    const double own = (double)e->cpu_ns;
    const bool host_known = a->host_busy_ns > 0 && b->host_busy_ns > a->host_busy_ns;
    const double host = host_known ? (double)(b->host_busy_ns - a->host_busy_ns) : own;
    const double other = host > own ? host - own : 0; /* /proc/stat steps by 10 ms */
    const double sum = own + other;
    e->ratio = sum > 0 ? own / sum : 1;
    /* The counters step about once a millisecond: one step at each end. */
    const double step_uj = all_uj * (double)UPDATE_NS / (double)(e->duration_ns + UPDATE_NS);
    const double lo = sum > 0 ? all_uj * own / (own + 3 * other) : all_uj;
    const double hi = sum > 0 ? all_uj * own / (own + other / 3) : all_uj;
    e->source = SB_ENERGY_MEASURED;
    e->energy_uj = (int64_t)llround(all_uj * e->ratio);
    e->lo_uj = lo > step_uj ? (int64_t)llround(lo - step_uj) : 0;
    e->hi_uj = (int64_t)llround(hi + step_uj);
    e->method = "package_energy_x_cpu_time_share";
    (void)snprintf(e->meter, sizeof e->meter, "RAPL package%s, %d counter%s",
                   m->rapl.has_dram ? "+dram" : "", m->rapl.n_zones,
                   m->rapl.n_zones == 1 ? "" : "s");
    (void)snprintf(e->scope, sizeof e->scope,
                   "CPU packages%s with their idle power, this process's share by CPU time; not "
                   "power supply, fans, disks%s",
                   m->rapl.has_dram ? " and memory" : "", m->rapl.has_dram ? "" : ", memory");
    return true;
}

sb_energy sb_meter_end(sb_meter *m, const sb_meter_mark *begin)
{
    const sb_meter_mark end = mark_now(m);
    sb_energy e = {.duration_ns = end.now_ns - begin->now_ns, .cpu_ns = end.cpu_ns - begin->cpu_ns};
    if (m->rapl.n_zones == 0)
        estimate(m, &e,
                 m->rapl.refused ? "energy counters not readable" : "no meter on this machine");
    else if (end.n_lost != begin->n_lost)
        estimate(m, &e, "the meter jumped or wrapped unseen");
    else if (!measure(m, begin, &end, &e))
        estimate(m, &e, "too short for the meter");
    return e;
}

void sb_energy_split(sb_energy *total, const sb_energy *prefill)
{
    const int64_t part = prefill->energy_uj;
    total->prefill_uj = part < 0 ? 0 : part > total->energy_uj ? total->energy_uj : part;
}

const char *sb_energy_source_name(sb_energy_source s)
{
    static const char *const names[SB_ENERGY_SOURCE_COUNT] = {
        [SB_ENERGY_UNAVAILABLE] = "unavailable",
        [SB_ENERGY_MEASURED] = "measured",
        [SB_ENERGY_ESTIMATED] = "estimated",
    };
    return names[s];
}

double sb_energy_error_pct(const sb_energy *e)
{
    const int64_t down = e->energy_uj - e->lo_uj, up = e->hi_uj - e->energy_uj;
    return e->energy_uj > 0 ? 100.0 * (double)(up > down ? up : down) / (double)e->energy_uj : 0;
}
