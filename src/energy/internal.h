/* SPDX-License-Identifier: Apache-2.0
 * internal.h - inside the energy room: strict reading of the kernel's small files, the zones. */
#ifndef SB_ENERGY_INTERNAL_H
#define SB_ENERGY_INTERNAL_H
#include "base/base.h"
#include "energy/meter.h"

/* Decimal digits up to `end` or a newline; false on anything else or on overflow. */
bool sb_energy_parse_u64(const char *p, const char *end, uint64_t *out);
/* Reads at offset 0 into buf (NUL-terminated); bytes read, or -1 with errno. */
int sb_energy_pread(int fd, char *buf, size_t buf_bytes);

enum { SB_RAPL_NAME_BYTES = 64 };

/* rapl.c: one counter. */
typedef struct sb_rapl_zone {
    int fd;                        /* of energy_uj */
    char name[SB_RAPL_NAME_BYTES]; /* "package-0", or "package-0/dram" */
    bool mmio;
    uint64_t range_uj, prev_uj, prev_ns;
} sb_rapl_zone;

typedef struct sb_rapl {
    sb_rapl_zone zones[SB_METER_MAX_ZONES];
    int n_zones;
    bool has_dram, refused; /* refused: a package is there that may not be read */
    uint64_t sum_uj;
    uint32_t n_lost;
} sb_rapl;

void sb_rapl_open(sb_rapl *r, const char *sysfs);
void sb_rapl_close(sb_rapl *r);
/* Adds what the counters did since the last time. */
void sb_rapl_tick(sb_rapl *r);

/* cpu.c: the row of coefficients.def that fits /proc/cpuinfo. */
typedef struct sb_cpu_power {
    uint32_t milliwatts;
    const char *label, *basis;
} sb_cpu_power;
sb_cpu_power sb_cpu_power_find(const char *proc);
sb_cpu_power sb_cpu_power_match(const char *vendor, int64_t family, int64_t model);
#endif
