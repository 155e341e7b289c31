/* SPDX-License-Identifier: Apache-2.0
 * perf.c - the CPU packages' energy counters through the kernel's `power` event source.
 *
 * Preferred over powercap: the same registers, but the kernel itself folds their wraps into 64
 * bits. Events count for a whole package (or the whole platform), one counter per processor of
 * `cpumask`; nothing samples. The scale file is a decimal fraction of a joule, in truth a power of
 * two: it is kept as an exact fraction, so no real number touches a reading. */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "energy/internal.h"

__extension__ typedef unsigned __int128 wide;

static int kernel_open(void *ctx, uint32_t type, uint64_t config, int cpu)
{
    (void)ctx;
    struct perf_event_attr a = {.type = type, .size = sizeof a, .config = config};
    return (int)syscall(SYS_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int64_t kernel_read(void *ctx, int fd, void *out, size_t n)
{
    (void)ctx;
    return read(fd, out, n);
}

static const sb_perf_calls kernel_calls = {kernel_open, kernel_read, NULL};

/* Digits of a decimal number as one whole number and how many of them stood after the point. */
static bool read_digits(const char **at, wide *out, int *out_after)
{
    wide v = 0;
    int n = 0, after = 0;
    bool point = false;
    const char *p = *at;
    for (; (*p >= '0' && *p <= '9') || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (ckd_mul(&v, v, (wide)10) || ckd_add(&v, v, (wide)(*p - '0'))) return false;
        n++;
        after += point;
    }
    *at = p;
    *out = v;
    *out_after = after;
    return n > 0;
}

/* "e-10" and the end of the line; no exponent is 0. */
static bool read_exponent(const char *p, int *out)
{
    uint64_t v = 0;
    *out = 0;
    if (*p == 0) return true;
    if (*p != 'e' && *p != 'E') return false;
    const bool minus = p[1] == '-';
    p += minus || p[1] == '+' ? 2 : 1;
    if (!sb_energy_parse_u64(p, p + strlen(p), &v) || v > 60) return false;
    *out = minus ? -(int)v : (int)v;
    return true;
}

bool sb_perf_parse_scale(const char *text, sb_energy_scale *out)
{
    wide num = 0, den = 1;
    int after = 0, exponent = 0;
    if (!read_digits(&text, &num, &after) || !read_exponent(text, &exponent) || num == 0)
        return false;
    int tens = exponent - after + 6; /* joules to microjoules */
    for (; tens > 0; tens--)
        if (ckd_mul(&num, num, (wide)10)) return false;
    int twos = -tens, fives = -tens;
    for (; fives > 0 && num % 5 == 0; fives--)
        num /= 5;
    for (; twos > 0 && num % 2 == 0; twos--)
        num /= 2;
    for (; fives > 0; fives--)
        if (ckd_mul(&den, den, (wide)5)) return false;
    for (; twos > 0; twos--)
        if (ckd_mul(&den, den, (wide)2)) return false;
    if (num > UINT64_MAX || den > UINT64_MAX) return false;
    *out = (sb_energy_scale){(uint64_t)num, (uint64_t)den};
    return true;
}

static bool read_event(const sb_counters *c, const sb_counter *z, uint64_t *out)
{
    uint64_t raw = 0;
    int64_t n;
    do
        n = c->perf->read(c->perf->ctx, z->fd, &raw, sizeof raw);
    while (n < 0 && errno == EINTR);
    if (n != (int64_t)sizeof raw) return false;
    const sb_energy_scale *s = z->kind == SB_COUNTER_DRAM ? &c->dram_scale : &c->package_scale;
    wide v = 0;
    if (ckd_mul(&v, (wide)raw, (wide)s->num)) return false;
    v /= s->den;
    if (v > UINT64_MAX) return false;
    *out = (uint64_t)v;
    return true;
}

/* One event of the source: "event=0x02" in joules, with its scale. */
static bool event_of(const char *dir, const char *event, uint64_t *out_config, sb_energy_scale *out)
{
    char file[48], text[64];
    static const char key[] = "event=0x";
    if (!sb_energy_read_line(dir, "events", event, text, sizeof text)) return false;
    if (strncmp(text, key, sizeof key - 1) != 0) return false;
    const char *hex = text + sizeof key - 1;
    const size_t n = strspn(hex, "0123456789abcdefABCDEF");
    if (n == 0 || n > 2 || hex[n]) return false; /* format/event is config:0-7 */
    uint64_t config = 0;
    for (size_t i = 0; i < n; i++) {
        const int digit = hex[i] <= '9' ? hex[i] - '0' : (hex[i] | 0x20) - 'a' + 10;
        config = config * 16 + (uint64_t)digit;
    }
    (void)snprintf(file, sizeof file, "%s.unit", event);
    if (!sb_energy_read_line(dir, "events", file, text, sizeof text) || strcmp(text, "Joules") != 0)
        return false;
    (void)snprintf(file, sizeof file, "%s.scale", event);
    if (!sb_energy_read_line(dir, "events", file, text, sizeof text)) return false;
    *out_config = config;
    return sb_perf_parse_scale(text, out);
}

/* Takes the next number of "0,18-19,36" into *out; false at the end, *p NULL when it is none. */
static bool next_cpu(const char **p, uint64_t *range_end, uint64_t *cpu)
{
    if (*cpu < *range_end) {
        ++*cpu;
        return true;
    }
    const char *at = *p;
    if (!at || !*at) return false;
    size_t n = strspn(at, "0123456789");
    *p = NULL;
    if (!sb_energy_parse_u64(at, at + n, cpu) || *cpu > INT32_MAX) return false;
    at += n;
    *range_end = *cpu;
    if (*at == '-') {
        n = strspn(++at, "0123456789");
        if (!sb_energy_parse_u64(at, at + n, range_end) || *range_end > INT32_MAX) return false;
        at += n;
    }
    if (*at != ',' && *at != 0) return false;
    *p = *at ? at + 1 : at;
    return *range_end >= *cpu;
}

static int64_t socket_of_cpu(const char *sysfs, uint64_t cpu)
{
    char dir[SB_ENERGY_PATH_BYTES], text[24];
    uint64_t v = 0;
    const int n = snprintf(dir, sizeof dir, "%s/sys/devices/system/cpu/cpu%llu", sysfs,
                           (unsigned long long)cpu);
    const bool ok =
        n > 0 && (size_t)n < sizeof dir &&
        sb_energy_read_line(dir, "topology", "physical_package_id", text, sizeof text) &&
        sb_energy_parse_u64(text, text + strlen(text), &v) && v <= INT32_MAX;
    return ok ? (int64_t)v : -1;
}

/* What one event is opened as. */
typedef struct event {
    const char *file;
    sb_counter_kind kind;
    uint32_t type;
    bool once; /* the platform has one counter, however many packages */
} event;

static bool add_counter(sb_counters *c, const char *sysfs, const event *e, uint64_t config,
                        uint64_t cpu)
{
    sb_counter z = {
        .kind = e->kind, .volts_fd = -1, .socket = socket_of_cpu(sysfs, cpu), .mirror_of = -1};
    if (c->n == SB_METER_MAX_ZONES) return false;
    (void)snprintf(z.name, sizeof z.name, "%s at processor %llu", e->file, (unsigned long long)cpu);
    z.fd = c->perf->open(c->perf->ctx, e->type, config, (int)cpu);
    if (z.fd < 0) {
        if (errno == EACCES || errno == EPERM) c->refused = true;
        return false;
    }
    c->v[c->n++] = z;
    return true;
}

/* Opens an event on every processor of the mask, or on none. */
static bool add_event(sb_counters *c, const char *sysfs, const char *dir, const event *e)
{
    char mask[256];
    uint64_t config = 0, cpu = 0, end = 0;
    sb_energy_scale *scale = e->kind == SB_COUNTER_DRAM ? &c->dram_scale : &c->package_scale;
    const int before = c->n;
    if (!event_of(dir, e->file, &config, scale)) return false;
    const bool has_mask = sb_energy_read_line(dir, "", "cpumask", mask, sizeof mask);
    const char *at = has_mask ? mask : NULL;
    bool ok = has_mask && strlen(mask) + 1 < sizeof mask; /* not cut */
    while (ok && (!e->once || c->n == before) && next_cpu(&at, &end, &cpu))
        ok = add_counter(c, sysfs, e, config, cpu);
    if (ok && at && c->n > before) return true;
    while (c->n > before)
        (void)close(c->v[--c->n].fd);
    return false;
}

/* The event source of this tree, if it is there and may be asked; its number. */
static bool find_source(sb_counters *c, const sb_look *l, char *dir, size_t dir_bytes,
                        uint32_t *out_type)
{
    char text[24];
    uint64_t type = 0;
    const sb_perf_calls *calls = l->roots->perf;
    c->perf = calls ? calls : &kernel_calls;
    if (!calls && l->sysfs[0]) return false; /* numbers of another tree mean other events here */
    const int n = snprintf(dir, dir_bytes, "%s/sys/bus/event_source/devices/power", l->sysfs);
    if (n < 0 || (size_t)n >= dir_bytes || !sb_energy_read_line(dir, "", "type", text, sizeof text))
        return false;
    if (!sb_energy_parse_u64(text, text + strlen(text), &type) || type > UINT32_MAX) return false;
    *out_type = (uint32_t)type;
    return true;
}

static void start(sb_counters *c, sb_look *l, sb_meter_kind kind)
{
    if (c->n > 0 && !sb_counters_start(c)) {
        sb_counters_close(c);
        c->broken = true;
    }
    for (int i = 0; i < c->n; i++)
        (void)sb_look_add(l, kind, SB_METER_CHECK, c->v[i].name);
    if (kind == SB_METER_PERF && c->n == 0 && (c->refused || c->broken))
        (void)sb_look_fail(l, SB_METER_PERF, c->refused ? EACCES : ENODATA, "energy events");
}

void sb_find_perf(sb_counters *c, sb_look *l)
{
    char dir[SB_ENERGY_PATH_BYTES];
    uint32_t type = 0;
    sb_counters_init(c, SB_METER_PERF, "perf power", read_event);
    if (!find_source(c, l, dir, sizeof dir, &type)) return;
    const event package = {"energy-pkg", SB_COUNTER_PACKAGE, type, false};
    const event memory = {"energy-ram", SB_COUNTER_DRAM, type, false};
    if (add_event(c, l->sysfs, dir, &package)) {
        (void)add_event(c, l->sysfs, dir, &memory);
        c->refused = false;
    }
    start(c, l, SB_METER_PERF);
}

void sb_find_perf_psys(sb_counters *c, sb_look *l)
{
    char dir[SB_ENERGY_PATH_BYTES];
    uint32_t type = 0;
    sb_counters_init(c, SB_METER_PSYS, "perf power", read_event);
    if (!find_source(c, l, dir, sizeof dir, &type)) return;
    const event platform = {"energy-psys", SB_COUNTER_PLATFORM, type, true};
    if (add_event(c, l->sysfs, dir, &platform)) c->refused = false;
    start(c, l, SB_METER_PSYS);
}
