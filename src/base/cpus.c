/* SPDX-License-Identifier: Apache-2.0
 * cpus.c - processors allowed by affinity and by cgroup quota.
 *
 * A container may be given 2 processors' worth of time on a machine of 64 and still see all 64 in
 * its affinity; threads beyond the quota only make each other wait. So the quotas of the process's
 * own group and of every group above it count, for cgroup v2 (cpu.max) and v1 (cfs_quota). */
#include "base/pool.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512, CPUS_MAX = 8192 }; /* processors: what the kernel can be built for */

/* Processors of the calling thread's affinity; 0 when the kernel does not say. */
static int64_t n_allowed(void)
{
    unsigned long bits[CPUS_MAX / (8 * sizeof(unsigned long))] = {0};
    int64_t n = 0;
    if (sched_getaffinity(0, sizeof bits, (cpu_set_t *)(void *)bits) != 0) return 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(bits); i++)
        n += __builtin_popcountl(bits[i]);
    return n;
}

/* Reads a small file of the kernel as text; false when it is not there. */
static bool read_small(const char *path, char *out, size_t out_bytes)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t n = 0;
    while (n + 1 < out_bytes) {
        const ssize_t got = read(fd, out + n, out_bytes - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    (void)close(fd);
    out[n] = 0;
    return n > 0;
}

/* Decimal digits at s; -1 when there are none ("max", "-1") or too many. */
static int64_t number(const char *s)
{
    int64_t v = 0;
    if (*s < '0' || *s > '9') return -1;
    for (; *s >= '0' && *s <= '9'; s++)
        if (ckd_mul(&v, v, 10) || ckd_add(&v, v, *s - '0')) return -1;
    return v;
}

/* Processors of quota/period rounded up, or 0 for "no limit". */
static int64_t share(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 ? (quota - 1) / period + 1 : 0;
}

/* The quota of the group in directory dir, 0 when it has none. */
static int64_t group_share(const char *dir, bool v2)
{
    char path[PATH_BYTES + 32], text[64];
    (void)snprintf(path, sizeof path, "%s/%s", dir, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (!read_small(path, text, sizeof text)) return 0;
    const int64_t quota = number(text);
    if (v2) {
        const char *sp = strchr(text, ' ');
        return sp ? share(quota, number(sp + 1)) : 0;
    }
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    return read_small(path, text, sizeof text) ? share(quota, number(text)) : 0;
}

/* Smallest quota from the group up to the mount, 0 when none. In a container the path may be the
 * host's and not exist under the mount; the loop then ends at the mount itself, which is right. */
static int64_t tightest(const char *mount, const char *group, bool v2)
{
    char dir[PATH_BYTES];
    const int n = snprintf(dir, sizeof dir, "%s%s", mount, group);
    if (n < 0 || (size_t)n >= sizeof dir) return 0;
    const size_t stop = strlen(mount);
    int64_t best = 0;
    for (;;) {
        const int64_t s = group_share(dir, v2);
        if (s && (!best || s < best)) best = s;
        char *slash = strrchr(dir, '/');
        if (strlen(dir) <= stop || !slash || (size_t)(slash - dir) < stop) return best;
        *slash = 0;
    }
}

/* One line of /proc/self/cgroup, "id:controllers:path"; 0 when it has no say about CPU time. */
static int64_t line_share(char *line)
{
    char *list = strchr(line, ':');
    char *path = list ? strchr(list + 1, ':') : NULL;
    if (!path) return 0;
    *list++ = 0;
    *path++ = 0;
    if (!*list) return tightest("/sys/fs/cgroup", path, true);
    char around[PATH_BYTES];
    (void)snprintf(around, sizeof around, ",%s,", list);
    return strstr(around, ",cpu,") ? tightest("/sys/fs/cgroup/cpu", path, false) : 0;
}

int sb_cpu_count(void)
{
    int64_t n = n_allowed();
    if (n < 1) n = sysconf(_SC_NPROCESSORS_ONLN);
    char text[4096];
    if (read_small("/proc/self/cgroup", text, sizeof text)) {
        for (char *line = text; *line;) {
            char *end = strchr(line, '\n');
            char *next = end ? end + 1 : line + strlen(line);
            if (end) *end = 0;
            const int64_t s = line_share(line);
            if (s && s < n) n = s;
            line = next;
        }
    }
    return n < 1 ? 1 : n > CPUS_MAX ? CPUS_MAX : (int)n;
}
