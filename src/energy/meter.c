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
#include "base/limits.h"
#include "energy/internal.h"

__extension__ typedef unsigned __int128 wide;

enum { STAT_BYTES = 512, HINT_BYTES = 240, NAME_BYTES = 128 };

struct sb_meter {
    sb_counters counters;
    bool perf_refused, refused, broken; /* why there are none */
    int stat_fd;
    uint64_t ns_per_tick; /* of /proc/stat */
    sb_cpu_power cpu;
    char hint[HINT_BYTES], name[NAME_BYTES];
};

/* What the counters are called, by the kinds that are there. */
static const struct {
    sb_counter_kind kind;
    const char *name, *with_dram;
    const char *scope, *scope_with_dram; /* these name what is not seen */
} words[] = {
    {SB_COUNTER_PACKAGE, "package", "package+dram",
     "CPU packages with idle power, this process's share by CPU time; not power supply, fans, "
     "disks, memory",
     "CPU packages and memory with idle power, this process's share by CPU time; not power supply, "
     "fans, disks"},
    {SB_COUNTER_PLATFORM, "psys", "psys",
     "what the board feeds its psys counter, with idle power, this process's share by CPU time; "
     "boards differ; not all losses of the power supply",
     ""},
    {SB_COUNTER_GUEST, "guest tree", "guest tree",
     "what the host counts for this guest, renewed every few seconds, this process's share by CPU "
     "time; not power supply, fans, disks",
     ""},
};

static size_t words_of(const sb_counters *c)
{
    size_t i = 0;
    while (i + 1 < SB_ARRAY_LEN(words) && words[i].kind != c->v[0].kind)
        i++;
    return i;
}

/* dram: whether memory is among what is counted. */
static void name_counters(const sb_counters *c, bool dram, char *out, size_t out_bytes)
{
    int n = 0;
    for (int i = 0; i < c->n; i++)
        n += c->v[i].mirror_of < 0 && (dram || c->v[i].kind != SB_COUNTER_DRAM);
    const size_t i = words_of(c);
    (void)snprintf(out, out_bytes, "%s %s, %d counter%s", c->source,
                   dram ? words[i].with_dram : words[i].name, n, n == 1 ? "" : "s");
}

/* The next step for a user who may not read what is there. A capability on the program lasts and
 * concerns it alone, so it is named where it helps. */
static void make_hint(sb_meter *m)
{
    char self[128];
    if (m->counters.n > 0 || (!m->refused && !m->perf_refused)) return;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const bool known = n > 0 && (size_t)n < sizeof self - 1;
    self[known ? n : 0] = 0;
    if (m->perf_refused)
        (void)snprintf(m->hint, sizeof m->hint,
                       "the CPU's energy counters may not be read by this user; to allow it for "
                       "this program: sudo setcap cap_perfmon=ep %s",
                       known ? self : "PATH_OF_SOBRE");
    else
        (void)snprintf(m->hint, sizeof m->hint,
                       "the CPU's energy counters may not be read by this user; to allow it until "
                       "the next boot: sudo chmod a+r /sys/class/powercap/*/energy_uj "
                       "/sys/class/powercap/*/*/energy_uj");
}

static void open_counters(sb_meter *m, const char *sysfs, const sb_perf_calls *perf)
{
    sb_perf_open(&m->counters, sysfs, perf);
    m->perf_refused = m->counters.refused;
    m->broken = m->counters.broken;
    if (m->counters.n > 0) return;
    sb_powercap_open(&m->counters, sysfs);
    m->refused = m->counters.refused;
    m->broken = m->broken || m->counters.broken;
}

sb_status sb_meter_open(sb_meter **out, const sb_meter_roots *roots, sb_error *err)
{
    const char *sysfs = roots && roots->sysfs ? roots->sysfs : "";
    const char *proc = roots && roots->proc ? roots->proc : "";
    sb_meter *m = sb_calloc(1, sizeof *m);
    if (!m) return SB_FAIL(err, SB_NO_MEMORY, "energy meter: no memory");
    open_counters(m, sysfs, roots ? roots->perf : NULL);
    make_hint(m);
    m->cpu = sb_cpu_power_find(proc);
    m->stat_fd = sb_energy_open(proc, "proc", "stat");
    const long hz = sysconf(_SC_CLK_TCK);
    m->ns_per_tick = hz > 0 ? 1000000000u / (uint64_t)hz : 10000000u;
    if (m->counters.n > 0)
        name_counters(&m->counters, sb_counters_have(&m->counters, SB_COUNTER_DRAM), m->name,
                      sizeof m->name);
    else
        (void)snprintf(m->name, sizeof m->name,
                       "no meter, estimated from CPU time: %s, %u mW per busy thread", m->cpu.label,
                       m->cpu.milliwatts);
    *out = m;
    return SB_OK;
}

void sb_meter_close(sb_meter *m)
{
    if (!m) return;
    sb_counters_close(&m->counters);
    if (m->stat_fd >= 0) (void)close(m->stat_fd);
    sb_free(m);
}

const char *sb_meter_hint(const sb_meter *m)
{
    return m->hint[0] ? m->hint : NULL;
}

const char *sb_meter_name(const sb_meter *m)
{
    return m->name;
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
    const bool metered = m->counters.n > 0;
    if (metered) sb_counters_tick(&m->counters);
    return (sb_meter_mark){.now_ns = sb_now_ns(),
                           .cpu_ns = sb_process_cpu_ns(),
                           .host_busy_ns = metered ? host_busy_ns(m) : 0,
                           .sum_uj = m->counters.sum_uj,
                           .n_lost = m->counters.n_lost};
}

sb_meter_mark sb_meter_begin(sb_meter *m)
{
    return mark_now(m);
}

static int64_t estimate_uj(const sb_meter *m, uint64_t cpu_ns)
{
    uint64_t pj = 0; /* ns * milliwatts = 1e-12 J; stretches up to 100 days of CPU time fit */
    if (ckd_mul(&pj, cpu_ns, (uint64_t)m->cpu.milliwatts)) pj = UINT64_MAX;
    return (int64_t)(pj / 1000000);
}

static void estimate(const sb_meter *m, sb_stretch *e, const char *why)
{
    e->source = SB_ENERGY_ESTIMATED;
    if (!e->is_lost && !e->is_short) e->all_uj = e->estimate_uj;
    e->lo_uj = e->estimate_uj / 2;
    e->hi_uj = e->estimate_uj * 2;
    e->ratio = 1;
    e->method = "cpu_time_x_coefficient";
    (void)snprintf(e->meter, sizeof e->meter, "%s, %u mW per busy thread", m->cpu.label,
                   m->cpu.milliwatts);
    (void)snprintf(e->scope, sizeof e->scope,
                   "%s; CPU time of this process x a coefficient (%s), not calibrated here", why,
                   m->cpu.basis);
}

/* Busy time of all other programs of the machine. */
static uint64_t others_ns(const sb_meter_mark *a, const sb_meter_mark *b, uint64_t own_ns)
{
    if (a->host_busy_ns == 0 || b->host_busy_ns <= a->host_busy_ns) return 0;
    const uint64_t host = b->host_busy_ns - a->host_busy_ns; /* /proc/stat steps by 10 ms */
    return host > own_ns ? host - own_ns : 0;
}

static void measure(const sb_meter *m, const sb_meter_mark *a, const sb_meter_mark *b,
                    sb_stretch *e)
{
    const uint64_t own_ns = e->cpu_ns, other_ns = others_ns(a, b, own_ns);
    const double all_uj = (double)e->all_uj, own = (double)own_ns, other = (double)other_ns;
    if (own_ns + other_ns > 0)
        e->other_uj = (int64_t)((wide)(uint64_t)e->all_uj * other_ns / (own_ns + other_ns));
    e->ratio = own + other > 0 ? own / (own + other) : 1;
    /* One step of the counters at each end. */
    const double step_ns = (double)m->counters.step_ns;
    const double step_uj = all_uj * step_ns / ((double)e->duration_ns + step_ns);
    const double lo = own + other > 0 ? all_uj * own / (own + 3 * other) : all_uj;
    const double hi = own + other > 0 ? all_uj * own / (own + other / 3) : all_uj;
    e->source = SB_ENERGY_MEASURED;
    e->lo_uj = lo > step_uj ? (int64_t)llround(lo - step_uj) : 0;
    e->hi_uj = (int64_t)llround(hi + step_uj);
    e->method = "package_energy_x_cpu_time_share";
    /* Some boards show a counter of memory that never moves: it is not counted. */
    const bool dram = sb_counters_moved(&m->counters, SB_COUNTER_DRAM);
    const size_t i = words_of(&m->counters);
    name_counters(&m->counters, dram, e->meter, sizeof e->meter);
    (void)snprintf(e->scope, sizeof e->scope, "%s",
                   dram ? words[i].scope_with_dram : words[i].scope);
}

sb_stretch sb_meter_stretch(sb_meter *m, sb_meter_mark *mark)
{
    const sb_meter_mark begun = *mark, end = mark_now(m), *begin = &begun;
    sb_stretch e = {.duration_ns = end.now_ns - begin->now_ns,
                    .cpu_ns = end.cpu_ns - begin->cpu_ns,
                    .all_uj = (int64_t)(end.sum_uj - begin->sum_uj),
                    .is_lost = end.n_lost != begin->n_lost};
    e.estimate_uj = estimate_uj(m, e.cpu_ns);
    e.is_short =
        m->counters.n > 0 && !e.is_lost && (e.all_uj == 0 || e.duration_ns < m->counters.step_ns);
    if (!e.is_short) *mark = end;
    if (m->counters.n == 0)
        estimate(m, &e,
                 m->perf_refused || m->refused ? "energy counters not readable by this user"
                 : m->broken                   ? "energy counters there, but reading them fails"
                                               : "no meter on this machine");
    else if (e.is_lost)
        estimate(m, &e, "the meter stood still, jumped, or wrapped unseen");
    else if (e.is_short)
        estimate(m, &e, "too short for the meter");
    else
        measure(m, begin, &end, &e);
    return e;
}

uint64_t sb_meter_poll_ns(const sb_meter *m)
{
    uint64_t least = 0;
    for (int i = 0; i < m->counters.n; i++) {
        uint64_t ns = m->counters.v[i].range_uj; /* at full power; four looks before it wraps */
        if (ns == 0) continue;
        ns = ckd_mul(&ns, ns, UINT64_C(1000)) ? UINT64_MAX : ns;
        ns /= 4 * (uint64_t)SB_MAX_PACKAGE_WATTS;
        if (least == 0 || ns < least) least = ns;
    }
    return least;
}

sb_energy sb_meter_lap(sb_meter *m, sb_meter_mark *mark)
{
    const sb_stretch t = sb_meter_stretch(m, mark);
    if (t.is_short) *mark = mark_now(m);
    const bool counted = t.source == SB_ENERGY_MEASURED;
    sb_energy e = {.source = t.source,
                   .energy_uj = counted ? t.all_uj - t.other_uj : t.estimate_uj,
                   .lo_uj = t.lo_uj,
                   .hi_uj = t.hi_uj,
                   .duration_ns = t.duration_ns,
                   .cpu_ns = t.cpu_ns,
                   .settled = true,
                   .ratio = t.ratio,
                   .method = t.method};
    memcpy(e.meter, t.meter, sizeof e.meter);
    memcpy(e.scope, t.scope, sizeof e.scope);
    return e;
}

sb_energy sb_meter_end(sb_meter *m, const sb_meter_mark *begin)
{
    sb_meter_mark mark = *begin;
    return sb_meter_lap(m, &mark);
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

void sb_energy_add(sb_energy *sum, const sb_energy *e)
{
    const bool known = e->source != SB_ENERGY_UNAVAILABLE;
    if (!known || sum->source == SB_ENERGY_UNAVAILABLE) {
        sum->source = SB_ENERGY_UNAVAILABLE;
    } else if (e->source > sum->source) { // estimated counts less than measured
        sum->source = e->source;
        sum->method = e->method;
        memcpy(sum->meter, e->meter, sizeof sum->meter);
        memcpy(sum->scope, e->scope, sizeof sum->scope);
    }
    sum->energy_uj += e->energy_uj;
    sum->lo_uj += e->lo_uj;
    sum->hi_uj += e->hi_uj;
    sum->prefill_uj += e->prefill_uj;
    sum->recompute_uj += e->recompute_uj;
    sum->estimated_uj += e->estimated_uj;
    sum->split_lo_uj += e->split_lo_uj;
    sum->split_hi_uj += e->split_hi_uj;
    sum->cpu_ns += e->cpu_ns;
    sum->settled = sum->settled && e->settled;
    if (e->concurrency > sum->concurrency) sum->concurrency = e->concurrency;
}
_Static_assert(SB_ENERGY_ESTIMATED > SB_ENERGY_MEASURED, "the weaker source is the greater");

double sb_energy_error_pct(const sb_energy *e)
{
    const int64_t down = e->energy_uj - e->lo_uj, up = e->hi_uj - e->energy_uj;
    return e->energy_uj > 0 ? 100.0 * (double)(up > down ? up : down) / (double)e->energy_uj : 0;
}
