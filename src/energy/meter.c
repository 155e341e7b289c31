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
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "energy/internal.h"

__extension__ typedef unsigned __int128 wide;

enum { STAT_BYTES = 512, HINT_BYTES = 512, NAME_BYTES = 128 };

struct sb_meter {
    sb_sources found;
    int stat_fd, group_fd; /* proc/stat, and of a tree its cpu.stat; -1: none */
    uint64_t ns_per_tick;  /* of /proc/stat */
    sb_estimator estimator;
    atomic_uint_fast64_t n_bytes; /* of sb_meter_add_bytes() */
    sb_check_state check;
    char hint[HINT_BYTES], name[NAME_BYTES];
};

/* What the counters are called, by the kinds that are there. */
static const struct {
    const char *name, *with_dram;
    const char *method;
    const char *scope, *scope_with_dram; /* these name what is not seen */
} words[SB_COUNTER_KIND_COUNT] = {
    [SB_COUNTER_PACKAGE] = {"package", "package+dram", "package_energy_x_cpu_time_share",
                            "CPU packages with idle power, this process's share by CPU time; not "
                            "power supply, fans, disks, memory",
                            "CPU packages and memory with idle power, this process's share by CPU "
                            "time; not power supply, fans, disks"},
    [SB_COUNTER_PLATFORM] = {"psys", "psys", "package_energy_x_cpu_time_share",
                             "what the board feeds its psys counter, with idle power, this "
                             "process's share by CPU time; boards differ; not all losses of the "
                             "power supply",
                             ""},
    [SB_COUNTER_GUEST] = {"guest tree", "guest tree", "package_energy_x_cpu_time_share",
                          "what the host counts for this guest, renewed every few seconds, this "
                          "process's share by CPU time; not power supply, fans, disks",
                          ""},
    [SB_COUNTER_SERVER] = {"server power", "", "sampled_power_x_cpu_time_share",
                           "the whole server with idle power, watts read %s and integrated, this "
                           "process's share by CPU time",
                           ""},
    [SB_COUNTER_RAIL] = {"rail power", "", "sampled_power_x_cpu_time_share",
                         "the board's input rail with idle power, watts read %s and integrated, "
                         "this process's share by CPU time; not the power supply",
                         ""},
    [SB_COUNTER_PLUG] = {"power", "", "sampled_power_x_cpu_time_share",
                         "all behind the plug with idle power, watts read %s and integrated, this "
                         "process's share by CPU time",
                         ""},
    [SB_COUNTER_BATTERY] = {"power", "", "sampled_power_x_cpu_time_share",
                            "the laptop with its screen, watts read %s and integrated, this "
                            "process's share by CPU time; not the power supply",
                            ""},
    [SB_COUNTER_NODE] = {"energy", "", "package_energy_x_cpu_time_share",
                         "CPU packages as another program reads them, renewed %s, this process's "
                         "share by CPU time; not power supply, fans, disks",
                         ""},
    [SB_COUNTER_GPU] = {"GPU", "", "", "", ""},
};

/* What the source and its first counter are called: "RAPL", "plug Shelly". */
static void name_source(const sb_counters *c, char *out, size_t out_bytes)
{
    const sb_counter_kind k = c->v[0].kind;
    if (k == SB_COUNTER_PLUG || k == SB_COUNTER_NODE)
        (void)snprintf(out, out_bytes, "%s %s", c->source, c->v[0].name);
    else
        (void)snprintf(out, out_bytes, "%s", c->source);
}

/* dram: whether memory is among what is counted. */
static void name_counters(const sb_meter *m, bool dram, char *out, size_t out_bytes)
{
    const sb_counters *c = m->found.main;
    const sb_counter_kind k = c->v[0].kind;
    char source[80], gpus[24] = "";
    int n = 0, n_gpu = 0;
    for (int i = 0; i < c->n; i++)
        n += c->v[i].mirror_of < 0 && (dram || c->v[i].kind != SB_COUNTER_DRAM);
    for (int i = 0; i < m->found.n_added; i++)
        n_gpu += m->found.added[i]->n;
    name_source(c, source, sizeof source);
    if (n_gpu) (void)snprintf(gpus, sizeof gpus, " + %d GPU", n_gpu);
    (void)snprintf(out, out_bytes, "%s %s, %d counter%s%s", source,
                   dram ? words[k].with_dram : words[k].name, n, n == 1 ? "" : "s", gpus);
}

static void name_scope(const sb_meter *m, bool dram, char *out, size_t out_bytes)
{
    const sb_counters *c = m->found.main;
    const sb_counter_kind k = c->v[0].kind;
    const char *scope = dram ? words[k].scope_with_dram : words[k].scope;
    const char *gap = strstr(scope, "%s");
    char every[32] = "";
    const int n = gap ? (int)(gap - scope) : 0;
    if (gap)
        (void)snprintf(every, sizeof every, "every %llu s",
                       (unsigned long long)(c->step_ns + 999999999) / 1000000000);
    (void)snprintf(out, out_bytes, "%s%.*s%s%s", m->found.n_added ? "GPU boards; " : "", n, scope,
                   every, gap ? gap + 2 : scope);
}

/* The next step for a user who may not read what is there. A capability on the program lasts and
 * concerns it alone, so it is named where it helps. */
static void make_hint(sb_meter *m, const char *sysfs)
{
    char command[SB_METER_COMMAND_BYTES];
    if (m->found.main || (!m->found.refused && !m->found.perf_refused)) return;
    const bool perf = m->found.perf_refused;
    sb_look_command(sysfs, perf ? SB_METER_PERF : SB_METER_POWERCAP, command, sizeof command);
    (void)snprintf(m->hint, sizeof m->hint,
                   perf ? "the CPU's energy counters may not be read by this user; to allow it for "
                          "this program: %s"
                        : "the CPU's energy counters may not be read by this user; to allow it "
                          "until the next boot: %s",
                   command);
}

/* Under a prefix everything is read there; what the processor is, a tree need not say. */
static void open_proc(sb_meter *m, const sb_meter_roots *r)
{
    const char *sysfs = r->sysfs ? r->sysfs : "", *proc = r->proc ? r->proc : sysfs;
    m->stat_fd = sb_energy_open(proc, "proc", "stat");
    m->group_fd = sysfs[0] ? sb_energy_open(sysfs, "sys/fs/cgroup", "cpu.stat") : -1;
    const int probe = r->proc ? -1 : sb_energy_open(proc, "proc", "cpuinfo");
    if (probe >= 0) (void)close(probe);
    sb_estimator_open(&m->estimator, r->proc || probe >= 0 ? proc : "", r->calibration);
    const long hz = sysconf(_SC_CLK_TCK);
    m->ns_per_tick = hz > 0 ? 1000000000u / (uint64_t)hz : 10000000u;
}

sb_status sb_meter_open(sb_meter **out, const sb_meter_roots *roots, sb_error *err)
{
    static const sb_meter_roots machine = {0};
    if (!roots) roots = &machine;
    sb_meter *m = sb_calloc(1, sizeof *m);
    if (!m) return SB_FAIL(err, SB_NO_MEMORY, "energy meter: no memory");
    const sb_status s = sb_sources_open(&m->found, roots, err);
    if (s != SB_OK) {
        sb_free(m);
        return s;
    }
    make_hint(m, roots->sysfs ? roots->sysfs : "");
    open_proc(m, roots);
    if (m->found.main)
        name_counters(m, sb_counters_have(m->found.main, SB_COUNTER_DRAM), m->name, sizeof m->name);
    else
        sb_estimator_name(&m->estimator, m->name, sizeof m->name);
    *out = m;
    return SB_OK;
}

void sb_meter_close(sb_meter *m)
{
    if (!m) return;
    sb_sources_close(&m->found);
    if (m->stat_fd >= 0) (void)close(m->stat_fd);
    if (m->group_fd >= 0) (void)close(m->group_fd);
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

size_t sb_meter_list(const sb_meter *m, sb_meter_row *out, size_t n_max)
{
    size_t n = sb_sources_list(&m->found, out, n_max);
    if (n == n_max) return n;
    out[n] = (sb_meter_row){.kind = SB_METER_ESTIMATE,
                            .state = m->found.main ? SB_METER_FALLBACK : SB_METER_CHOSEN,
                            .counted = !m->found.main,
                            .unit = "mW a thread"};
    (void)snprintf(out[n].name, sizeof out[n].name, "%s, %u mW",
                   m->estimator.calibration.fit.n ? "calibrated here" : m->estimator.cpu.label,
                   m->estimator.c.milliwatts);
    return n + 1;
}

sb_meter_facts sb_meter_chosen(const sb_meter *m)
{
    const sb_counters *c = m->found.main;
    if (!c) return (sb_meter_facts){.kind = SB_METER_ESTIMATE, .accuracy_permille = 1000};
    sb_meter_facts f = {.kind = c->meter,
                        .watts = c->watts,
                        .period_ms = c->step_ns / 1000000,
                        .accuracy_permille = c->accuracy_permille};
    for (int i = 0; i < m->found.n_added; i++)
        f.n_gpus += m->found.added[i]->n;
    return f;
}

bool sb_meter_sum(sb_meter *m, sb_meter_kind k, uint64_t *out_uj)
{
    sb_counters *c = sb_sources_find(&m->found, k);
    if (!c) return false;
    const uint32_t n_lost = c->n_lost;
    sb_counters_tick(c);
    *out_uj = c->sum_uj;
    return c->n_lost == n_lost;
}

void sb_meter_check_begin(sb_meter *m)
{
    sb_sources_check_begin(&m->found, &m->check);
}

const char *sb_meter_check(sb_meter *m)
{
    return sb_sources_check(&m->found, &m->check);
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

/* What a tree says that this process used: its control group's usage_usec. 0 = not known. */
static uint64_t own_busy_ns(const sb_meter *m)
{
    static const char key[] = "usage_usec ";
    char buf[STAT_BYTES];
    uint64_t us = 0, ns = 0;
    const int n = m->group_fd >= 0 ? sb_energy_pread(m->group_fd, buf, sizeof buf) : -1;
    const char *at = n > 0 ? strstr(buf, key) : NULL;
    if (!at || (at > buf && at[-1] != '\n')) return 0;
    at += sizeof key - 1;
    if (!sb_energy_parse_u64(at, at + strcspn(at, "\n"), &us)) return 0;
    return ckd_mul(&ns, us, UINT64_C(1000)) ? 0 : ns;
}

static sb_meter_mark mark_now(sb_meter *m)
{
    sb_counters *c = m->found.main;
    sb_meter_mark mark = {.cpu_ns = sb_process_cpu_ns(), .n_bytes = atomic_load(&m->n_bytes)};
    if (c) {
        sb_counters_tick(c);
        mark.sum_uj = c->sum_uj;
        mark.n_lost = c->n_lost;
        mark.host_busy_ns = host_busy_ns(m);
        mark.own_busy_ns = own_busy_ns(m);
    }
    for (int i = 0; i < m->found.n_added; i++) {
        sb_counters_tick(m->found.added[i]);
        mark.sum_uj += m->found.added[i]->sum_uj;
        mark.n_lost += m->found.added[i]->n_lost;
    }
    mark.now_ns = sb_now_ns();
    return mark;
}

sb_meter_mark sb_meter_begin(sb_meter *m)
{
    return mark_now(m);
}

void sb_meter_add_bytes(sb_meter *m, uint64_t n_bytes)
{
    atomic_fetch_add_explicit(&m->n_bytes, n_bytes, memory_order_relaxed);
}

static void estimate(const sb_meter *m, sb_stretch *e, const char *why)
{
    sb_estimator_fill(&m->estimator, e, why);
}

/* Busy time of all other programs of the machine, and of this one as the same book has it. */
static uint64_t others_ns(const sb_meter_mark *a, const sb_meter_mark *b, uint64_t *own_ns)
{
    if (a->own_busy_ns && b->own_busy_ns >= a->own_busy_ns)
        *own_ns = b->own_busy_ns - a->own_busy_ns;
    if (a->host_busy_ns == 0 || b->host_busy_ns <= a->host_busy_ns) return 0;
    const uint64_t host = b->host_busy_ns - a->host_busy_ns; /* /proc/stat steps by 10 ms */
    return host > *own_ns ? host - *own_ns : 0;
}

static void measure(const sb_meter *m, const sb_meter_mark *a, const sb_meter_mark *b,
                    sb_stretch *e)
{
    const sb_counters *c = m->found.main;
    uint64_t own_ns = e->cpu_ns;
    const uint64_t other_ns = others_ns(a, b, &own_ns);
    const double all_uj = (double)e->all_uj, own = (double)own_ns, other = (double)other_ns;
    if (own_ns + other_ns > 0)
        e->other_uj = (int64_t)((wide)(uint64_t)e->all_uj * other_ns / (own_ns + other_ns));
    e->ratio = own + other > 0 ? own / (own + other) : 1;
    /* One step of the counters at each end; a sensor of watts is off by what it allows itself. */
    const double step_ns = (double)c->step_ns;
    const double gain = c->watts ? (double)c->accuracy_permille / 1000 : 0;
    const double step_uj = all_uj * step_ns / ((double)e->duration_ns + step_ns) + all_uj * gain;
    const double lo = own + other > 0 ? all_uj * own / (own + 3 * other) : all_uj;
    const double hi = own + other > 0 ? all_uj * own / (own + other / 3) : all_uj;
    e->source = SB_ENERGY_MEASURED;
    e->lo_uj = lo > step_uj ? (int64_t)llround(lo - step_uj) : 0;
    e->hi_uj = (int64_t)llround(hi + step_uj);
    e->method = words[c->v[0].kind].method;
    /* Some boards show a counter of memory that never moves: it is not counted. */
    const bool dram = sb_counters_moved(c, SB_COUNTER_DRAM);
    name_counters(m, dram, e->meter, sizeof e->meter);
    name_scope(m, dram, e->scope, sizeof e->scope);
    const sb_calibration *cal = &m->estimator.calibration;
    if (sb_wall_same_counters(cal->meter, e->meter)) e->wall = cal->wall;
}

sb_stretch sb_meter_stretch(sb_meter *m, sb_meter_mark *mark)
{
    const sb_meter_mark begun = *mark, end = mark_now(m), *begin = &begun;
    const sb_counters *c = m->found.main;
    sb_stretch e = {.duration_ns = end.now_ns - begin->now_ns,
                    .cpu_ns = end.cpu_ns - begin->cpu_ns,
                    .all_uj = (int64_t)(end.sum_uj - begin->sum_uj),
                    .is_lost = end.n_lost != begin->n_lost};
    e.estimate_uj = sb_estimate_uj(&m->estimator.c, e.cpu_ns, end.n_bytes - begin->n_bytes);
    e.is_short = c && !e.is_lost && (e.all_uj == 0 || e.duration_ns < c->step_ns);
    if (!e.is_short) *mark = end;
    if (!c)
        estimate(m, &e,
                 m->found.perf_refused || m->found.refused
                     ? "energy counters not readable by this user"
                 : m->found.broken ? "energy counters there, but reading them fails"
                                   : "no meter on this machine");
    else if (e.is_lost)
        estimate(m, &e, "the meter stood still, jumped, or wrapped unseen");
    else if (e.is_short)
        estimate(m, &e, "too short for the meter");
    else
        measure(m, begin, &end, &e);
    return e;
}

/* How long one source may go unread; 0: for ever. */
static uint64_t patience_ns(const sb_counters *c)
{
    uint64_t least = c->watts ? SB_MAX_POWER_GAP_S * UINT64_C(1000000000) / 4 : 0;
    for (int i = 0; i < c->n; i++) {
        uint64_t ns = c->v[i].range_uj; /* at full power; four looks before it wraps */
        if (ns == 0) continue;
        ns = ckd_mul(&ns, ns, UINT64_C(1000)) ? UINT64_MAX : ns;
        ns /= 4 * c->max_watts;
        if (least == 0 || ns < least) least = ns;
    }
    return least;
}

uint64_t sb_meter_poll_ns(const sb_meter *m)
{
    uint64_t least = m->found.main ? patience_ns(m->found.main) : 0;
    for (int i = 0; i < m->found.n_added; i++) {
        const uint64_t ns = patience_ns(m->found.added[i]);
        if (ns && (least == 0 || ns < least)) least = ns;
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
                   .method = t.method,
                   .wall = t.wall,
                   .share_ns = t.duration_ns};
    if (counted && t.all_uj > 0) /* others' part of the base is theirs */
        e.share_ns = (uint64_t)((wide)t.duration_ns * (uint64_t)e.energy_uj / (uint64_t)t.all_uj);
    memcpy(e.meter, t.meter, sizeof e.meter);
    memcpy(e.scope, t.scope, sizeof e.scope);
    return e;
}

sb_energy sb_meter_end(sb_meter *m, const sb_meter_mark *begin)
{
    sb_meter_mark mark = *begin;
    return sb_meter_lap(m, &mark);
}

/* Appends those of one source that show a running total: events count from their opening, watts
 * have none, and a copy is its elder's. */
static int add_raw(const sb_counters *c, sb_meter_raw_row *rows, int n, int max)
{
    for (int i = 0; c && !c->perf && i < c->n && n < max; i++) {
        const sb_counter *z = &c->v[i];
        if (z->watts || z->mirror_of >= 0) continue;
        rows[n] = (sb_meter_raw_row){.raw_uj = z->prev_uj, .range_uj = z->range_uj};
        memcpy(rows[n++].name, z->name, sizeof z->name);
    }
    return n;
}

int sb_meter_raw(const sb_meter *m, sb_meter_raw_row *rows, int max)
{
    int n = add_raw(m->found.main, rows, 0, max);
    for (int i = 0; i < m->found.n_added; i++)
        n = add_raw(m->found.added[i], rows, n, max);
    return n;
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

static bool same_fit(const sb_wall_fit *a, const sb_wall_fit *b)
{
    return a->n == b->n && a->base_mw == b->base_mw && a->slope_permille == b->slope_permille &&
           a->mape_permille == b->mape_permille && a->worst_permille == b->worst_permille;
}

/* What took nothing says nothing of a fit. */
static void add_wall(sb_energy *sum, const sb_energy *e)
{
    if (e->energy_uj == 0 && e->share_ns == 0) return;
    if (sum->energy_uj == 0 && sum->share_ns == 0)
        sum->wall = e->wall;
    else if (!same_fit(&sum->wall, &e->wall))
        sum->wall = (sb_wall_fit){0};
    if (ckd_add(&sum->share_ns, sum->share_ns, e->share_ns)) sum->share_ns = UINT64_MAX;
}

void sb_energy_add(sb_energy *sum, const sb_energy *e)
{
    add_wall(sum, e);
    const bool known = e->source != SB_ENERGY_UNAVAILABLE;
    if (!known || sum->source == SB_ENERGY_UNAVAILABLE) {
        sum->source = SB_ENERGY_UNAVAILABLE;
    } else if (e->source > sum->source) { // estimated counts less than measured
        sum->source = e->source;
        sum->method = e->method;
        memcpy(sum->meter, e->meter, sizeof sum->meter);
        memcpy(sum->scope, e->scope, sizeof sum->scope);
    }
    sum->energy_uj = sb_add_capped(sum->energy_uj, e->energy_uj);
    sum->lo_uj = sb_add_capped(sum->lo_uj, e->lo_uj);
    sum->hi_uj = sb_add_capped(sum->hi_uj, e->hi_uj);
    sum->prefill_uj = sb_add_capped(sum->prefill_uj, e->prefill_uj);
    sum->n_rejected_tok = sb_add_capped(sum->n_rejected_tok, e->n_rejected_tok);
    sum->recompute_uj = sb_add_capped(sum->recompute_uj, e->recompute_uj);
    sum->estimated_uj = sb_add_capped(sum->estimated_uj, e->estimated_uj);
    sum->split_lo_uj = sb_add_capped(sum->split_lo_uj, e->split_lo_uj);
    sum->split_hi_uj = sb_add_capped(sum->split_hi_uj, e->split_hi_uj);
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
