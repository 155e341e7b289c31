/* SPDX-License-Identifier: Apache-2.0
 * cpufreq.c - scaling_max_freq of each processor, opened once: a server that has closed itself in
 * could not open it later. Processors that share a policy share a file under several names, and are
 * written more than once. */
#include "energy/cpufreq.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "energy/internal.h"

enum { TEXT_BYTES = 24, MOST_KHZ = 100000000 };

typedef struct limit {
    int fd;
    int64_t was_khz;
    char was[TEXT_BYTES]; /* the same, as it is written back */
    size_t was_bytes;
} limit;

struct sb_cpufreq {
    int n;
    int64_t lo_khz, hi_khz;
    limit v[SB_MAX_THREADS];
};

/* A number of one of a processor's files; 0: there is none. */
static int64_t read_khz(const char *dir, const char *name)
{
    char text[TEXT_BYTES];
    uint64_t v = 0;
    if (!sb_energy_read_line(dir, "cpufreq", name, text, sizeof text)) return 0;
    if (!sb_energy_parse_u64(text, text + strlen(text), &v) || v > MOST_KHZ) return 0;
    return (int64_t)v;
}

static void add(sb_cpufreq *f, const char *dir)
{
    char path[SB_ENERGY_PATH_BYTES];
    const int64_t was = read_khz(dir, "scaling_max_freq"), lo = read_khz(dir, "cpuinfo_min_freq");
    const int n = snprintf(path, sizeof path, "%s/cpufreq/scaling_max_freq", dir);
    if (n < 0 || (size_t)n >= sizeof path || was == 0 || lo == 0 || lo >= was) return;
    const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return;
    limit *l = &f->v[f->n++];
    *l = (limit){.fd = fd, .was_khz = was};
    l->was_bytes = (size_t)snprintf(l->was, sizeof l->was, "%lld\n", (long long)was);
    if (f->n == 1 || lo > f->lo_khz) f->lo_khz = lo;
    if (f->n == 1 || was < f->hi_khz) f->hi_khz = was;
}

sb_status sb_cpufreq_open(sb_cpufreq **out, const char *sysfs, sb_error *err)
{
    sb_cpufreq *f = sb_calloc(1, sizeof *f);
    *out = NULL;
    if (!f) return SB_FAIL(err, SB_NO_MEMORY, "frequencies: out of memory");
    for (int i = 0; i < SB_MAX_THREADS; i++) {
        char dir[SB_ENERGY_PATH_BYTES];
        const int n =
            snprintf(dir, sizeof dir, "%s/sys/devices/system/cpu/cpu%d", sysfs ? sysfs : "", i);
        if (n < 0 || (size_t)n >= sizeof dir || access(dir, F_OK) != 0) break;
        add(f, dir);
    }
    if (f->n > 0 && f->lo_khz < f->hi_khz)
        *out = f;
    else
        sb_cpufreq_close(f);
    return SB_OK;
}

void sb_cpufreq_close(sb_cpufreq *f)
{
    if (!f) return;
    sb_cpufreq_restore(f);
    for (int i = 0; i < f->n; i++)
        (void)close(f->v[i].fd);
    sb_free(f);
}

void sb_cpufreq_range(const sb_cpufreq *f, int64_t *out_lo_khz, int64_t *out_hi_khz)
{
    *out_lo_khz = f->lo_khz;
    *out_hi_khz = f->hi_khz;
}

void sb_cpufreq_restore(const sb_cpufreq *f)
{
    for (int i = 0; f && i < f->n; i++)
        if (pwrite(f->v[i].fd, f->v[i].was, f->v[i].was_bytes, 0) < 0)
            continue; /* there is nobody to tell, and nothing else to try */
}

bool sb_cpufreq_set(sb_cpufreq *f, int64_t khz)
{
    if (khz <= 0) {
        sb_cpufreq_restore(f);
        return true;
    }
    for (int i = 0; i < f->n; i++) {
        char text[TEXT_BYTES];
        const int64_t to = khz < f->v[i].was_khz ? khz : f->v[i].was_khz;
        const int n = snprintf(text, sizeof text, "%lld\n", (long long)to);
        if (pwrite(f->v[i].fd, text, (size_t)n, 0) == n) continue;
        sb_cpufreq_restore(f);
        return false;
    }
    return true;
}
