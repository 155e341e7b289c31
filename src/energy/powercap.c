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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "energy/internal.h"

enum { MAX_FOLDERS = 256 };
static const int guest_tries = 3; /* the host may be caught between truncate and write */

static bool read_uj(const sb_counters *c, const sb_counter *z, uint64_t *out)
{
    char buf[32];
    int n = 0;
    for (int i = 0; i < (c->meter == SB_METER_GUEST ? guest_tries : 1) && n == 0; i++)
        n = sb_energy_pread(z->fd, buf, sizeof buf);
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
    sb_look_text(z->name, sizeof z->name, name);
    (void)snprintf(z->zone, sizeof z->zone, "%.63s", zone);
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
    char both[64];
    (void)snprintf(both, sizeof both, "%s/%s", above, name);
    sb_look_text(z->name, sizeof z->name, both);
    return true;
}

/* Opens a counter and tries it; false with errno when it cannot be read. */
static bool zone_open(const sb_counters *c, sb_counter *z, const char *dir, const char *zone)
{
    char text[32];
    uint64_t max_uj = 0, now_uj = 0;
    /* Without the file nobody knows where it turns over: a step back is then lost. */
    const int range_fd = sb_energy_open(dir, zone, "max_energy_range_uj");
    const bool has_range = range_fd >= 0 || errno != ENOENT;
    if (range_fd >= 0) (void)close(range_fd);
    errno = ENODATA;
    if (has_range && (!sb_energy_read_line(dir, zone, "max_energy_range_uj", text, sizeof text) ||
                      !sb_energy_parse_u64(text, text + strlen(text), &max_uj) || max_uj == 0))
        return false;
    /* The file holds (2^32 - 1) units; the counter turns over after 2^32 of them. */
    const uint64_t unit_uj = max_uj / UINT32_MAX ? max_uj / UINT32_MAX : has_range;
    if (ckd_add(&z->range_uj, max_uj, unit_uj)) return false;
    z->fd = sb_energy_open(dir, zone, "energy_uj");
    if (z->fd < 0) return false;
    errno = ENODATA;
    if (read_uj(c, z, &now_uj) && (!has_range || now_uj < z->range_uj)) return true;
    const int why = errno;
    (void)close(z->fd);
    z->fd = -1;
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
    sb_counter z = {.fd = -1, .volts_fd = -1, .mirror_of = -1};
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

/* The folders of a tree in the order of their names: the kernel lists them as it likes. */
typedef struct zones {
    char dir[SB_ENERGY_PATH_BYTES];
    char v[MAX_FOLDERS][SB_COUNTER_NAME_BYTES];
    size_t n;
} zones;

static int in_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool list_zones(zones *t, const sb_look *l)
{
    const struct dirent *e;
    t->n = 0;
    const int n = snprintf(t->dir, sizeof t->dir, "%s/sys/class/powercap", l->sysfs);
    DIR *d = n < 0 || (size_t)n >= sizeof t->dir ? NULL : opendir(t->dir);
    if (!d) return false;
    while (t->n < MAX_FOLDERS && (e = readdir(d)))
        if (strchr(e->d_name, ':') && strlen(e->d_name) < sizeof t->v[0])
            (void)snprintf(t->v[t->n++], sizeof t->v[0], "%.63s", e->d_name);
    (void)closedir(d);
    qsort(t->v, t->n, sizeof t->v[0], in_order);
    return true;
}

/* Every zone of a kind, registers before their copies in memory. */
static void add_kind(sb_counters *c, const zones *t, sb_counter_kind kind)
{
    for (int mmio = 0; mmio < 2; mmio++)
        for (size_t i = 0; i < t->n; i++)
            add_zone(c, t->dir, t->v[i], kind, mmio != 0);
}

/* Whether a package is there of which no copy could be opened. */
static bool misses_a_package(const sb_counters *c, const zones *t)
{
    for (size_t i = 0; i < t->n; i++) {
        sb_counter z = {.fd = -1, .volts_fd = -1};
        if (describe(t->dir, t->v[i], &z) && z.kind == SB_COUNTER_PACKAGE && find(c, z.name) < 0)
            return true;
    }
    return false;
}

/* A subzone that is in no sum: "core" is inside the zone above it. */
static void survey_part(sb_look *l, const char *dir, const char *zone)
{
    char name[32], parent[64], above[24], both[64];
    if (!parent_of(zone, parent, sizeof parent) ||
        !sb_energy_read_line(dir, zone, "name", name, sizeof name) ||
        !sb_energy_read_line(dir, parent, "name", above, sizeof above))
        return;
    (void)snprintf(both, sizeof both, "%s/%s", above, name);
    sb_meter_row *r = sb_look_add(l, SB_METER_POWERCAP, SB_METER_PART, both);
    if (r) sb_look_text(r->of, sizeof r->of, above);
}

/* One zone as people are told of it. */
static void survey_zone(const sb_counters *c, sb_look *l, const char *dir, const char *zone)
{
    sb_counter z = {.fd = -1, .volts_fd = -1, .mirror_of = -1};
    if (!describe(dir, zone, &z)) {
        if (c->meter == SB_METER_POWERCAP) survey_part(l, dir, zone);
        return;
    }
    if ((z.kind == SB_COUNTER_PLATFORM) != (c->meter == SB_METER_PSYS)) return;
    const int i = find(c, z.name);
    char shown[SB_COUNTER_NAME_BYTES + 24];
    (void)snprintf(shown, sizeof shown, "%s%s", z.name, strstr(zone, "mmio") ? " (in memory)" : "");
    if (i >= 0 && strcmp(c->v[i].zone, z.zone) == 0) {
        (void)sb_look_add(l, c->meter, SB_METER_CHECK, shown);
    } else if (i >= 0) {
        sb_meter_row *r = sb_look_add(l, c->meter, SB_METER_DUPLICATE, shown);
        if (r) sb_look_text(r->of, sizeof r->of, z.name);
    } else if (!zone_open(c, &z, dir, zone)) {
        (void)sb_look_fail(l, c->meter, errno, shown);
    } else {
        (void)close(z.fd);
        (void)sb_look_add(l, c->meter, SB_METER_INCOMPLETE, shown);
    }
}

static void survey(const sb_counters *c, sb_look *l, const zones *t)
{
    for (size_t i = 0; l->rows && i < t->n; i++)
        survey_zone(c, l, t->dir, t->v[i]);
}

static void start(sb_counters *c)
{
    if (c->n == 0 || sb_counters_start(c)) return;
    sb_counters_close(c);
    c->broken = true;
}

void sb_find_powercap(sb_counters *c, sb_look *l)
{
    zones t;
    sb_counters_init(c, SB_METER_POWERCAP, "RAPL", read_uj);
    if (!list_zones(&t, l)) return;
    if (t.n == MAX_FOLDERS) c->broken = true; /* there may be more packages than these */
    if (!c->broken) add_kind(c, &t, SB_COUNTER_PACKAGE);
    if (misses_a_package(c, &t)) sb_counters_close(c);
    if (c->n > 0) add_kind(c, &t, SB_COUNTER_DRAM);
    if (c->n > 0) c->refused = c->broken = false; /* what failed had a copy that works */
    start(c);
    survey(c, l, &t);
}

void sb_find_psys(sb_counters *c, sb_look *l)
{
    zones t;
    sb_counters_init(c, SB_METER_PSYS, "RAPL", read_uj);
    if (!list_zones(&t, l)) return;
    add_kind(c, &t, SB_COUNTER_PLATFORM);
    if (c->n > 0) c->refused = c->broken = false;
    start(c);
    survey(c, l, &t);
}

static void add_guest(sb_counters *c, const char *dir, const char *zone)
{
    sb_counter z = {.kind = SB_COUNTER_GUEST, .volts_fd = -1, .socket = -1, .mirror_of = -1};
    uint64_t now_uj = 0;
    (void)snprintf(z.name, sizeof z.name, "%.60s", zone);
    z.fd = sb_energy_open(dir, zone, "energy_uj");
    if (z.fd >= 0 && read_uj(c, &z, &now_uj)) {
        c->v[c->n++] = z;
        return;
    }
    note_failure(c, z.fd < 0 ? errno : ENODATA);
    if (z.fd >= 0) (void)close(z.fd);
}

/* The tree a host writes for its guest. */
void sb_find_guest(sb_counters *c, sb_look *l)
{
    char dir[SB_ENERGY_PATH_BYTES];
    const struct dirent *e;
    sb_counters_init(c, SB_METER_GUEST, "RAPL", read_uj);
    const int n = snprintf(dir, sizeof dir, "%s/sys/class/powercap", l->sysfs);
    if (!l->sysfs[0] || n < 0 || (size_t)n >= sizeof dir || access(dir, F_OK) == 0) return;
    DIR *d = opendir(l->sysfs);
    if (!d) return;
    while ((e = readdir(d)) && c->n < SB_METER_MAX_ZONES) {
        const char *colon = strchr(e->d_name, ':');
        if (strncmp(e->d_name, "intel-rapl:", 11) == 0 && !strchr(colon + 1, ':'))
            add_guest(c, l->sysfs, e->d_name);
    }
    (void)closedir(d);
    if (c->refused || c->broken) sb_counters_close(c);
    start(c);
    for (int i = 0; i < c->n; i++)
        (void)sb_look_add(l, SB_METER_GUEST, SB_METER_CHECK, c->v[i].name);
    if (c->n == 0 && (c->refused || c->broken))
        (void)sb_look_fail(l, SB_METER_GUEST, c->refused ? EACCES : ENODATA, "guest tree");
}
