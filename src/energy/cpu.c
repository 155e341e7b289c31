/* SPDX-License-Identifier: Apache-2.0
 * cpu.c - which CPU this is, and what one of its busy threads is taken to draw. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "energy/estimate.h"
#include "energy/internal.h"

enum { INFO_BYTES = 4096, ANY = -1 }; /* the first processor's lines are enough */

static const struct {
    const char *vendor;
    int64_t family, model_lo, model_hi;
    sb_cpu_power power;
} rows[] = {
#define X(vendor, family, model_lo, model_hi, milliwatts, label, basis)                            \
    {vendor, family, model_lo, model_hi, {milliwatts, label, basis}},
#include "energy/coefficients.def"
#undef X
};

sb_cpu_power sb_cpu_power_match(const char *vendor, int64_t family, int64_t model)
{
    size_t i = 0;
    for (; i + 1 < SB_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].vendor, vendor) == 0 && rows[i].family == family &&
            model >= rows[i].model_lo && model <= rows[i].model_hi)
            break;
    return rows[i].power; /* the last row matches everything */
}

/* The text after "key<tabs>: " up to the end of the line, or {NULL, 0}. */
static sb_str find_line(const char *text, const char *key)
{
    const size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, n) != 0) continue;
        const char *p = line + n + strspn(line + n, " \t");
        if (*p != ':') continue;
        p += 1 + strspn(p + 1, " \t");
        return (sb_str){p, strcspn(p, "\n")};
    }
    return (sb_str){NULL, 0};
}

static int64_t find_number(const char *text, const char *key)
{
    uint64_t v = 0;
    const sb_str s = find_line(text, key);
    return s.p && sb_energy_parse_u64(s.p, s.p + s.n, &v) && v < 65536 ? (int64_t)v : ANY;
}

sb_cpu_id sb_cpu_id_read(const char *proc)
{
    sb_cpu_id id = {.family = ANY, .model = ANY};
    char path[512], text[INFO_BYTES];
    const int n = snprintf(path, sizeof path, "%s/proc/cpuinfo", proc);
    const int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    const int got = fd >= 0 ? sb_energy_pread(fd, text, sizeof text) : -1;
    if (fd >= 0) (void)close(fd);
    if (got <= 0) return id;
    const sb_str v = find_line(text, "vendor_id");
    if (v.p && v.n < sizeof id.vendor) memcpy(id.vendor, v.p, v.n);
    id.family = find_number(text, "cpu family");
    id.model = find_number(text, "model");
    return id;
}

sb_cpu_power sb_cpu_power_find(const char *proc)
{
    const sb_cpu_id id = sb_cpu_id_read(proc);
    return sb_cpu_power_match(id.vendor, id.family, id.model);
}
