/* SPDX-License-Identifier: Apache-2.0
 * rapl.c - the CPU packages' energy counters in the powercap tree.
 *
 * Zones are hierarchical and some exist twice: what is summed is every `package-*` once plus the
 * `dram` inside it, told apart by their `name` files, never by index. `core` and `uncore` are
 * inside the package, `psys` depends on how the board was wired; the memory-mapped copy of a zone
 * is the same energy as its register copy. If any package may not be read the sum would be wrong:
 * then none is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "energy/internal.h"

enum { PATH_BYTES = 512, UPDATE_NS = 2000000 }; /* counters move about once a millisecond */

bool sb_energy_parse_u64(const char *p, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    const char *at = p;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (ckd_mul(&v, v, (uint64_t)10) || ckd_add(&v, v, (uint64_t)(*at - '0'))) return false;
    if (at == p || (at < end && *at != '\n' && *at != 0)) return false;
    *out = v;
    return true;
}

int sb_energy_pread(int fd, char *buf, size_t buf_bytes)
{
    ssize_t n;
    do
        n = pread(fd, buf, buf_bytes - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -1;
    buf[n] = 0;
    return (int)n;
}

static bool read_u64(int fd, uint64_t *out)
{
    char buf[32];
    const int n = sb_energy_pread(fd, buf, sizeof buf);
    return n > 0 && sb_energy_parse_u64(buf, buf + n, out);
}

static int open_in(const char *dir, const char *zone, const char *file)
{
    char path[PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%s/%s/%s", dir, zone, file);
    if (n < 0 || (size_t)n >= sizeof path) return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The zone's name without its newline; false when there is none. */
static bool read_name(const char *dir, const char *zone, char *out, size_t out_bytes)
{
    const int fd = open_in(dir, zone, "name");
    if (fd < 0) return false;
    const int n = sb_energy_pread(fd, out, out_bytes);
    (void)close(fd);
    if (n <= 0) return false;
    out[strcspn(out, "\n")] = 0;
    return out[0] != 0;
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

/* What the zone is called in our sum, or false when it does not belong in it. */
static bool name_of(const char *dir, const char *zone, char out[SB_RAPL_NAME_BYTES], bool *out_dram)
{
    char name[32], parent[64], above[24];
    if (!read_name(dir, zone, name, sizeof name)) return false;
    *out_dram = strcmp(name, "dram") == 0;
    if (!*out_dram) {
        if (strncmp(name, "package-", 8) != 0) return false;
        (void)snprintf(out, SB_RAPL_NAME_BYTES, "%s", name);
        return true;
    }
    if (!parent_of(zone, parent, sizeof parent)) return false;
    if (!read_name(dir, parent, above, sizeof above)) return false;
    (void)snprintf(out, SB_RAPL_NAME_BYTES, "%s/%s", above, name);
    return true;
}

static sb_rapl_zone *find_zone(sb_rapl *r, const char *name)
{
    for (int i = 0; i < r->n_zones; i++)
        if (strcmp(r->zones[i].name, name) == 0) return &r->zones[i];
    return NULL;
}

/* Opens a counter and takes its first reading; false when it cannot be read. */
static bool zone_open(sb_rapl_zone *z, const char *dir, const char *zone)
{
    uint64_t max_uj = 0;
    const int range_fd = open_in(dir, zone, "max_energy_range_uj");
    const bool has_range = range_fd >= 0 && read_u64(range_fd, &max_uj) && max_uj > 0;
    if (range_fd >= 0) (void)close(range_fd);
    if (!has_range) return false;
    /* The file holds (2^32 - 1) units; the counter turns over after 2^32 of them. */
    if (ckd_add(&z->range_uj, max_uj, max_uj / UINT32_MAX ? max_uj / UINT32_MAX : 1)) return false;
    z->fd = open_in(dir, zone, "energy_uj");
    if (z->fd < 0) return false;
    z->prev_ns = sb_now_ns();
    if (read_u64(z->fd, &z->prev_uj) && z->prev_uj < z->range_uj) return true;
    (void)close(z->fd);
    return false;
}

static void add_zone(sb_rapl *r, const char *dir, const char *zone)
{
    sb_rapl_zone z = {.fd = -1, .mmio = strstr(zone, "mmio") != NULL};
    bool dram = false;
    if (!name_of(dir, zone, z.name, &dram)) return;
    sb_rapl_zone *twin = find_zone(r, z.name);
    if (twin && (z.mmio || !twin->mmio)) return; /* the same energy; registers are preferred */
    if (!twin && r->n_zones == SB_METER_MAX_ZONES) {
        r->refused = true; /* a sum over some of the packages would be wrong */
        return;
    }
    if (!zone_open(&z, dir, zone)) {
        if (!dram && !twin) r->refused = true;
        return;
    }
    if (twin) {
        (void)close(twin->fd);
        *twin = z;
    } else {
        r->zones[r->n_zones++] = z;
    }
}

void sb_rapl_open(sb_rapl *r, const char *sysfs)
{
    char dir[PATH_BYTES];
    memset(r, 0, sizeof *r);
    const int n = snprintf(dir, sizeof dir, "%s/sys/class/powercap", sysfs);
    DIR *d = n > 0 && (size_t)n < sizeof dir ? opendir(dir) : NULL;
    if (!d) return;
    const struct dirent *e;
    while ((e = readdir(d)))
        if (strchr(e->d_name, ':')) add_zone(r, dir, e->d_name);
    (void)closedir(d);
    if (r->refused) {
        sb_rapl_close(r);
        r->refused = true;
        return;
    }
    for (int i = 0; i < r->n_zones; i++)
        if (strchr(r->zones[i].name, '/')) r->has_dram = true;
}

void sb_rapl_close(sb_rapl *r)
{
    for (int i = 0; i < r->n_zones; i++)
        (void)close(r->zones[i].fd);
    memset(r, 0, sizeof *r);
}

/* Energy of one zone since its last reading; false when it cannot be known. */
static bool zone_tick(sb_rapl_zone *z, uint64_t *out_uj)
{
    const uint64_t before_ns = sb_now_ns();
    uint64_t now_uj = 0;
    if (!read_u64(z->fd, &now_uj) || now_uj >= z->range_uj) return false;
    const uint64_t now_ns = before_ns + (sb_now_ns() - before_ns) / 2;
    const uint64_t d =
        now_uj >= z->prev_uj ? now_uj - z->prev_uj : now_uj + (z->range_uj - z->prev_uj);
    const uint64_t dt_ns = now_ns - z->prev_ns + UPDATE_NS;
    z->prev_uj = now_uj;
    z->prev_ns = now_ns;
    uint64_t most_uj; /* watts * ns / 1000 = microjoules */
    if (ckd_mul(&most_uj, dt_ns, (uint64_t)SB_MAX_PACKAGE_WATTS)) return false;
    most_uj /= 1000;
    if (most_uj >= z->range_uj || d > most_uj) return false; /* could have wrapped, or it jumped */
    *out_uj = d;
    return true;
}

void sb_rapl_tick(sb_rapl *r)
{
    bool lost = false;
    for (int i = 0; i < r->n_zones; i++) {
        uint64_t d = 0;
        if (zone_tick(&r->zones[i], &d))
            r->sum_uj += d;
        else
            lost = true;
    }
    if (lost) r->n_lost++;
}
