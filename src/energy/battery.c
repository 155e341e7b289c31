/* SPDX-License-Identifier: Apache-2.0
 * battery.c - the whole laptop, as its batteries see it while they feed it.
 *
 * Only then: while one charges, what it shows is not what the laptop draws. Two batteries are
 * emptied one after the other, so they are read as one: what each gives, and the one that waits
 * gives nothing. A battery of a mouse or a headset is not the laptop's. Drivers differ in the sign
 * of a discharging current: it is left away. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "energy/internal.h"

enum { MAX_BATTERIES = 4 };

typedef struct battery {
    char name[32];
    int status_fd, power_fd, current_fd, volts_fd; /* -1: no such file */
} battery;

typedef struct batteries {
    battery v[MAX_BATTERIES];
    int n;
} batteries;

typedef enum mode { FEEDS, WAITS, CHARGES, UNKNOWN } mode;

static void close_fd(int fd)
{
    if (fd >= 0) (void)close(fd);
}

static void close_battery(battery *b)
{
    close_fd(b->status_fd);
    close_fd(b->power_fd);
    close_fd(b->current_fd);
    close_fd(b->volts_fd);
}

static void close_all(void *ctx)
{
    batteries *bs = ctx;
    for (int i = 0; i < bs->n; i++)
        close_battery(&bs->v[i]);
    sb_free(bs);
}

/* A number without its sign. */
static bool read_abs(int fd, uint64_t *out)
{
    char buf[32];
    const int n = fd >= 0 ? sb_energy_pread(fd, buf, sizeof buf) : -1;
    const char *p = buf;
    if (n <= 0) {
        if (n == 0) errno = ENODATA;
        return false;
    }
    p += *p == '-';
    if (sb_energy_parse_u64(p, buf + n, out)) return true;
    errno = ENODATA;
    return false;
}

static mode mode_of(const battery *b)
{
    char buf[32];
    const int n = b->status_fd >= 0 ? sb_energy_pread(b->status_fd, buf, sizeof buf) : -1;
    if (n <= 0) return UNKNOWN;
    buf[strcspn(buf, "\n")] = 0;
    if (strcmp(buf, "Discharging") == 0) return FEEDS;
    if (strcmp(buf, "Charging") == 0) return CHARGES;
    return strcmp(buf, "Full") == 0 || strcmp(buf, "Not charging") == 0 ? WAITS : UNKNOWN;
}

static bool power_of(const battery *b, uint64_t *out_uw)
{
    uint64_t ua = 0, uv = 0, pw = 0;
    if (b->power_fd >= 0 && read_abs(b->power_fd, out_uw)) return true;
    if (!read_abs(b->current_fd, &ua) || !read_abs(b->volts_fd, &uv)) return false;
    errno = ERANGE;
    if (ckd_mul(&pw, ua, uv)) return false;
    *out_uw = pw / 1000000;
    return true;
}

static bool read_batteries(const sb_counters *c, const sb_counter *z, uint64_t *out_uw)
{
    const batteries *bs = c->ctx;
    uint64_t sum = 0;
    bool any = false;
    (void)z;
    for (int i = 0; i < bs->n; i++) {
        const mode m = mode_of(&bs->v[i]);
        uint64_t uw = 0;
        if (m == CHARGES || m == UNKNOWN) return false;
        if (m != FEEDS) continue;
        any = true;
        if (!power_of(&bs->v[i], &uw) || ckd_add(&sum, sum, uw)) return false;
    }
    *out_uw = sum;
    return any;
}

static bool is_of_the_laptop(const char *dir, const char *name)
{
    char text[32];
    if (strncmp(name, "BAT", 3) != 0 && strncmp(name, "CMB", 3) != 0) return false;
    if (sb_energy_read_line(dir, name, "type", text, sizeof text) && strcmp(text, "Battery") != 0)
        return false;
    return !sb_energy_read_line(dir, name, "scope", text, sizeof text) ||
           strcmp(text, "Device") != 0;
}

static void add_battery(batteries *bs, const char *dir, const char *name)
{
    battery b = {.status_fd = sb_energy_open(dir, name, "status"),
                 .power_fd = sb_energy_open(dir, name, "power_now"),
                 .current_fd = sb_energy_open(dir, name, "current_now"),
                 .volts_fd = sb_energy_open(dir, name, "voltage_now")};
    (void)snprintf(b.name, sizeof b.name, "%.31s", name);
    int at = bs->n++; /* in the order of names: folders list as they like */
    for (; at > 0 && strcmp(bs->v[at - 1].name, b.name) > 0; at--)
        bs->v[at] = bs->v[at - 1];
    bs->v[at] = b;
}

static void find_batteries(batteries *bs, const char *dir)
{
    const struct dirent *e;
    DIR *d = opendir(dir);
    while (d && bs->n < MAX_BATTERIES && (e = readdir(d)))
        if (is_of_the_laptop(dir, e->d_name)) add_battery(bs, dir, e->d_name);
    if (d) (void)closedir(d);
}

/* Why a battery that is there has no file to read from: rights, or nothing. */
static int why_not(const char *dir, const char *name)
{
    const int fd = sb_energy_open(dir, name, "power_now");
    const int why = fd < 0 && (errno == EACCES || errno == EPERM) ? errno : ENODATA;
    close_fd(fd);
    return why;
}

static void survey(const batteries *bs, sb_look *l, const char *dir, bool used)
{
    for (int i = 0; i < bs->n; i++) {
        const battery *b = &bs->v[i];
        uint64_t uw = 0;
        const mode m = mode_of(b);
        const bool reads = power_of(b, &uw);
        sb_meter_row *r = NULL;
        if (m == UNKNOWN || (m == FEEDS && !reads))
            r = sb_look_fail(l, SB_METER_BATTERY, why_not(dir, b->name), b->name);
        else
            r = sb_look_add(l, SB_METER_BATTERY, used ? SB_METER_CHECK : SB_METER_RESTING, b->name);
        if (!r) continue;
        r->watts = true;
        r->unit = b->power_fd >= 0 ? "uW" : "uA x uV";
    }
}

void sb_find_battery(sb_counters *c, sb_look *l)
{
    char dir[SB_ENERGY_PATH_BYTES];
    sb_counters_init(c, SB_METER_BATTERY, "battery", read_batteries);
    const int n = snprintf(dir, sizeof dir, "%s/sys/class/power_supply", l->sysfs);
    if (n < 0 || (size_t)n >= sizeof dir) return;
    batteries *bs = sb_calloc(1, sizeof *bs);
    c->no_memory = !bs;
    if (!bs) return;
    c->ctx = bs;
    c->close_ctx = close_all;
    find_batteries(bs, dir);
    sb_counter z = {.fd = -1,
                    .volts_fd = -1,
                    .kind = SB_COUNTER_BATTERY,
                    .socket = -1,
                    .mirror_of = -1,
                    .watts = true};
    (void)snprintf(z.name, sizeof z.name, "%s", bs->n ? bs->v[0].name : "");
    if (bs->n > 0) c->v[c->n++] = z;
    const bool used = bs->n > 0 && sb_counters_start(c);
    survey(bs, l, dir, used);
    if (!used) sb_counters_close(c);
}
