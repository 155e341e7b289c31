/* SPDX-License-Identifier: Apache-2.0
 * powercap.c - the CPU packages' energy counters in the powercap tree.
 *
 * Zones are hierarchical and some exist twice: what is summed is every `package-*` once plus the
 * `dram` inside it, told apart by their `name` files, never by index. `core` and `uncore` are
 * inside the package; the memory-mapped copy of a zone is the same energy as its register copy.
 * `psys` sees what the board's maker wired to it, so it serves only where no package can be read.
 * If any package may not be read the sum would be wrong: then none is.
 *
 * A guest may be given a tree by its host (Scaphandre): `intel-rapl:N/energy_uj` alone, right in
 * the prefix, a file rewritten every few seconds, without name or range. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "energy/internal.h"

static const uint64_t step_ns = 2000000;          /* registers move about once a millisecond */
static const uint64_t guest_step_ns = 6000000000; /* the host writes every five seconds */
static const int guest_tries = 3;                 /* it may be caught between truncate and write */

static bool read_uj(const sb_counters *c, int fd, uint64_t *out)
{
    char buf[32];
    int n = 0;
    for (int i = 0; i < (c->step_ns == guest_step_ns ? guest_tries : 1) && n == 0; i++)
        n = sb_energy_pread(fd, buf, sizeof buf);
    return n > 0 && sb_energy_parse_u64(buf, buf + n, out);
}

/* "intel-rapl:0:2" -> parent "intel-rapl:0"; false for a zone of the first level. */
static bool parent_of(const char *zone, char *out, size_t out_bytes)
{
    const char *first = strchr(zone, ':'), *last = strrchr(zone, ':');
    if (!first || first == last) return false;
    const size_t n = (size_t)(last - zone);
    if (n >= out_bytes) return false;
    memcpy(out, zone, n);
    out[n] = 0;
    return true;
}

/* The 3 of "package-3" and of "package-3-die-1", -1 when there is none. */
static int64_t socket_of(const char *name)
{
    uint64_t v = 0;
    const char *digits = name + strlen("package-");
    const size_t n = strspn(digits, "0123456789");
    return sb_energy_parse_u64(digits, digits + n, &v) && v <= INT32_MAX ? (int64_t)v : -1;
}

/* What the zone is and is called in our sum; false when it does not belong in one. */
static bool describe(const char *dir, const char *zone, sb_counter *z)
{
    char name[32], parent[64], above[24];
    z->socket = -1;
    if (!sb_energy_read_line(dir, zone, "name", name, sizeof name)) return false;
    (void)snprintf(z->name, sizeof z->name, "%s", name);
    if (strcmp(name, "psys") == 0) {
        z->kind = SB_COUNTER_PLATFORM;
        return true;
    }
    if (strncmp(name, "package-", 8) == 0) {
        z->kind = SB_COUNTER_PACKAGE;
        z->socket = socket_of(name);
        return true;
    }
    z->kind = SB_COUNTER_DRAM;
    if (strcmp(name, "dram") != 0 || !parent_of(zone, parent, sizeof parent) ||
        !sb_energy_read_line(dir, parent, "name", above, sizeof above))
        return false;
    (void)snprintf(z->name, sizeof z->name, "%s/%s", above, name);
    return true;
}

/* Opens a counter and tries it; false with errno when it cannot be read. */
static bool zone_open(const sb_counters *c, sb_counter *z, const char *dir, const char *zone)
{
    char text[32];
    uint64_t max_uj = 0, now_uj = 0;
    errno = ENODATA;
    if (!sb_energy_read_line(dir, zone, "max_energy_range_uj", text, sizeof text) ||
        !sb_energy_parse_u64(text, text + strlen(text), &max_uj) || max_uj == 0)
        return false;
    /* The file holds (2^32 - 1) units; the counter turns over after 2^32 of them. */
    if (ckd_add(&z->range_uj, max_uj, max_uj / UINT32_MAX ? max_uj / UINT32_MAX : 1)) return false;
    z->fd = sb_energy_open(dir, zone, "energy_uj");
    if (z->fd < 0) return false;
    errno = ENODATA;
    if (read_uj(c, z->fd, &now_uj) && now_uj < z->range_uj) return true;
    const int why = errno;
    (void)close(z->fd);
    errno = why;
    return false;
}

static int find(const sb_counters *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->v[i].name, name) == 0) return i;
    return -1;
}

/* Says why counters stay unread. */
static void note_failure(sb_counters *c, int why)
{
    if (why == EACCES || why == EPERM)
        c->refused = true;
    else
        c->broken = true;
}

/* One zone of the wanted kind and copy; a copy of a zone that is there already is passed over. A
 * failure is only noted: the other copy may still come. */
static void add_zone(sb_counters *c, const char *dir, const char *zone, sb_counter_kind kind,
                     bool mmio)
{
    sb_counter z = {.fd = -1, .mirror_of = -1};
    if (!strchr(zone, ':') || (strstr(zone, "mmio") != NULL) != mmio) return;
    if (!describe(dir, zone, &z) || z.kind != kind || find(c, z.name) >= 0) return;
    if (c->n == SB_METER_MAX_ZONES) {
        c->broken = true; /* a sum over some of the packages would be wrong */
        return;
    }
    if (zone_open(c, &z, dir, zone))
        c->v[c->n++] = z;
    else
        note_failure(c, errno);
}

/* Every zone of a kind, registers before their copies in memory. */
static void add_kind(sb_counters *c, DIR *d, const char *dir, sb_counter_kind kind)
{
    for (int mmio = 0; mmio < 2; mmio++) {
        const struct dirent *e;
        rewinddir(d);
        while ((e = readdir(d)))
            add_zone(c, dir, e->d_name, kind, mmio != 0);
    }
}

/* Whether a package is there of which no copy could be opened. */
static bool misses_a_package(const sb_counters *c, DIR *d, const char *dir)
{
    const struct dirent *e;
    rewinddir(d);
    while ((e = readdir(d))) {
        sb_counter z = {.fd = -1};
        if (strchr(e->d_name, ':') && describe(dir, e->d_name, &z) &&
            z.kind == SB_COUNTER_PACKAGE && find(c, z.name) < 0)
            return true;
    }
    return false;
}

static void open_zones(sb_counters *c, DIR *d, const char *dir)
{
    add_kind(c, d, dir, SB_COUNTER_PACKAGE);
    if (misses_a_package(c, d, dir)) sb_counters_close(c);
    if (c->n > 0) {
        c->refused = c->broken = false; /* what failed had a copy that works */
        add_kind(c, d, dir, SB_COUNTER_DRAM);
    } else {
        add_kind(c, d, dir, SB_COUNTER_PLATFORM);
    }
    if (c->n > 0) c->refused = c->broken = false;
}

/* The tree a host writes for its guest. */
static void open_guest(sb_counters *c, DIR *d, const char *dir)
{
    const struct dirent *e;
    c->step_ns = guest_step_ns;
    while ((e = readdir(d)) && c->n < SB_METER_MAX_ZONES) {
        sb_counter z = {.kind = SB_COUNTER_GUEST, .socket = -1, .mirror_of = -1};
        uint64_t now_uj = 0;
        const char *colon = strchr(e->d_name, ':');
        if (strncmp(e->d_name, "intel-rapl:", 11) != 0 || strchr(colon + 1, ':')) continue;
        (void)snprintf(z.name, sizeof z.name, "%.60s", e->d_name);
        z.fd = sb_energy_open(dir, e->d_name, "energy_uj");
        if (z.fd >= 0 && read_uj(c, z.fd, &now_uj)) {
            c->v[c->n++] = z;
            continue;
        }
        note_failure(c, z.fd < 0 ? errno : ENODATA);
        if (z.fd >= 0) (void)close(z.fd);
    }
    if (c->refused || c->broken) sb_counters_close(c);
}

void sb_powercap_open(sb_counters *c, const char *sysfs)
{
    char dir[SB_ENERGY_PATH_BYTES];
    *c = (sb_counters){.read = read_uj, .source = "RAPL", .step_ns = step_ns};
    const int n = snprintf(dir, sizeof dir, "%s/sys/class/powercap", sysfs);
    if (n < 0 || (size_t)n >= sizeof dir) return;
    DIR *d = opendir(dir);
    if (d) {
        open_zones(c, d, dir);
    } else if (sysfs[0]) {
        d = opendir(sysfs);
        if (!d) return;
        open_guest(c, d, sysfs);
    } else {
        return;
    }
    (void)closedir(d);
    if (c->n > 0 && !sb_counters_start(c)) {
        sb_counters_close(c);
        c->broken = true;
    }
}
