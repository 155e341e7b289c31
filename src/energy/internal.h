/* SPDX-License-Identifier: Apache-2.0
 * internal.h - inside the energy room: counters of one source, their arithmetic, where they are
 * found. */
#ifndef SB_ENERGY_INTERNAL_H
#define SB_ENERGY_INTERNAL_H
#include "base/base.h"
#include "energy/meter.h"

enum { SB_COUNTER_NAME_BYTES = 64, SB_ENERGY_PATH_BYTES = 512 };

/* kernel_file.c: the kernel's small files, read strictly. */
/* Decimal digits up to `end` or a newline; false on anything else or on overflow. */
bool sb_energy_parse_u64(const char *p, const char *end, uint64_t *out);
/* Reads at offset 0 into buf (NUL-terminated); bytes read, or -1 with errno. */
int sb_energy_pread(int fd, char *buf, size_t buf_bytes);
/* The first line of dir/name/file without its newline; false when there is none or errno says. */
bool sb_energy_read_line(const char *dir, const char *name, const char *file, char *out,
                         size_t out_bytes);
/* Opens dir/name/file to read; -1 with errno. */
int sb_energy_open(const char *dir, const char *name, const char *file);

/* What a counter counts. Packages (with the memory beside them) and the platform overlap: never in
 * one sum. */
typedef enum sb_counter_kind {
    SB_COUNTER_PACKAGE,
    SB_COUNTER_DRAM,
    SB_COUNTER_PLATFORM,
    SB_COUNTER_GUEST /* the host's packages, as much of them as the host gives this guest */
} sb_counter_kind;

typedef struct sb_counter {
    int fd;
    sb_counter_kind kind;
    char name[SB_COUNTER_NAME_BYTES]; /* "package-0", "package-0-die-1", "package-0/dram" */
    int64_t socket;                   /* of a package; -1 when its name does not say */
    uint64_t range_uj;                /* it turns over after so many; 0: never */
    uint64_t prev_uj, prev_ns;        /* last reading */
    uint64_t still_ns;                /* how long it has not moved */
    bool moved;                       /* ever */
    int mirror_of; /* counter of the same socket it has equalled in every reading, or -1 */
    uint64_t tick_uj;
} sb_counter;

typedef struct sb_counters sb_counters;

/* Total of one counter in microjoules; false with errno when it cannot be had. */
typedef bool (*sb_counter_read)(const sb_counters *c, int fd, uint64_t *out_uj);

/* 10^-6 J = raw * num / den, exactly. */
typedef struct sb_energy_scale {
    uint64_t num, den;
} sb_energy_scale;

/* All counters of one source that are summed together. */
struct sb_counters {
    sb_counter v[SB_METER_MAX_ZONES];
    int n;
    bool refused; /* there are counters that this user may not read */
    bool broken;  /* there are counters, and reading them fails */
    sb_counter_read read;
    const char *source;                        /* "perf power", "RAPL", for people */
    uint64_t step_ns;                          /* a counter moves at least so often */
    sb_energy_scale package_scale, dram_scale; /* of perf */
    const sb_perf_calls *perf;
    uint64_t sum_uj; /* of all counters since they were opened, each energy once */
    uint32_t n_lost;
};

/* counters.c */
/* Takes the first readings and finds which counters may be copies of one another. */
bool sb_counters_start(sb_counters *c);
void sb_counters_close(sb_counters *c);
/* Adds what the counters did since the last time. */
void sb_counters_tick(sb_counters *c);
/* Whether a counter of that kind is there, and whether one has ever moved. */
bool sb_counters_have(const sb_counters *c, sb_counter_kind kind);
bool sb_counters_moved(const sb_counters *c, sb_counter_kind kind);

/* powercap.c, perf.c: find and start counters; c->n == 0 when the source is of no use. */
void sb_powercap_open(sb_counters *c, const char *sysfs);
void sb_perf_open(sb_counters *c, const char *sysfs, const sb_perf_calls *calls);
/* "2.3283064365386962890625e-10" joules as an exact fraction; false when that needs more than 64
 * bits or is no positive decimal number. */
bool sb_perf_parse_scale(const char *text, sb_energy_scale *out);

/* cpu.c: the row of coefficients.def that fits /proc/cpuinfo. */
typedef struct sb_cpu_power {
    uint32_t milliwatts;
    const char *label, *basis;
} sb_cpu_power;
sb_cpu_power sb_cpu_power_find(const char *proc);
sb_cpu_power sb_cpu_power_match(const char *vendor, int64_t family, int64_t model);
#endif
