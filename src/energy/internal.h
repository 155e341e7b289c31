/* SPDX-License-Identifier: Apache-2.0
 * internal.h - inside the energy room: counters of one source, their arithmetic, where they are
 * found. */
#ifndef SB_ENERGY_INTERNAL_H
#define SB_ENERGY_INTERNAL_H
#include "base/base.h"
#include "energy/estimate.h"
#include "energy/meter.h"
#include "energy/meters.h"

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
    SB_COUNTER_GUEST, /* the host's packages, as much of them as the host gives this guest */
    SB_COUNTER_SERVER,
    SB_COUNTER_RAIL,
    SB_COUNTER_PLUG,
    SB_COUNTER_BATTERY,
    SB_COUNTER_NODE, /* the packages, as another program reads them */
    SB_COUNTER_GPU,
    SB_COUNTER_KIND_COUNT
} sb_counter_kind;

typedef struct sb_counter {
    int fd;
    int volts_fd; /* of a sensor that shows current and voltage apart; else -1 */
    int i;        /* of a device that has no file */
    sb_counter_kind kind;
    char name[SB_COUNTER_NAME_BYTES]; /* "package-0", "package-0-die-1", "package-0/dram" */
    char zone[SB_COUNTER_NAME_BYTES]; /* the folder it was found in */
    int64_t socket;                   /* of a package; -1 when its name does not say */
    uint64_t range_uj;                /* it turns over after so many; 0: never */
    uint64_t prev_uj, prev_ns;        /* last reading */
    uint64_t still_ns;                /* how long it has not moved */
    bool moved, missed;               /* ever; when it was read last */
    int mirror_of; /* counter of the same socket it has equalled in every reading, or -1 */
    uint64_t tick_uj;
    uint64_t asked_ns; /* when it was last read, not remembered */
    bool watts;        /* it shows watts; then these hold: */
    uint64_t last_uw;
    uint64_t rest;             /* below a microjoule */
    bool known;                /* last_uw is */
    uint64_t same_ns;          /* how long it has shown the same to the last digit */
    uint64_t load_lo, load_hi; /* of the process meanwhile, in thousandths of a processor */
} sb_counter;

typedef struct sb_counters sb_counters;

/* Total of one counter in microjoules, or what it draws in microwatts; false with errno when it
 * cannot be had. */
typedef bool (*sb_counter_read)(const sb_counters *c, const sb_counter *z, uint64_t *out);

/* 10^-6 J = raw * num / den, exactly. */
typedef struct sb_energy_scale {
    uint64_t num, den;
} sb_energy_scale;

/* All counters of one source that are summed together. */
struct sb_counters {
    sb_counter v[SB_METER_MAX_ZONES];
    int n;
    bool refused;   /* there are counters that this user may not read */
    bool broken;    /* there are counters, and reading them fails */
    bool no_memory; /* to look for them */
    sb_meter_kind meter;
    sb_counter_read read;
    const char *source;         /* "perf power", "RAPL", for people */
    bool watts;                 /* some counter does; set by _start */
    uint64_t step_ns;           /* a counter moves at least so often */
    uint64_t dear_ns;           /* reading costs: not more often than this */
    uint64_t max_watts;         /* more is no reading */
    uint64_t accuracy_permille; /* what it states, or its kind's */
    void *ctx;                  /* of read */
    void (*close_ctx)(void *ctx);
    uint64_t (*cpu_ns)(void);                  /* the process's; NULL: its clock */
    uint64_t cpu_prev_ns, tick_ns;             /* when a window of load began */
    sb_energy_scale package_scale, dram_scale; /* of perf */
    const sb_perf_calls *perf;
    uint64_t sum_uj; /* of all counters since they were opened, each energy once */
    uint32_t n_lost;
};

/* counters.c */
/* Takes the first readings and finds which counters may be copies of one another. */
bool sb_counters_start(sb_counters *c);
void sb_counters_close(sb_counters *c);
/* Whether a live one would have moved by now. */
bool sb_counter_stands_still(const sb_counters *c, const sb_counter *z);
/* Adds what the counters did since the last time. */
void sb_counters_tick(sb_counters *c);
/* Whether a counter of that kind is there, and whether one has ever moved. */
bool sb_counters_have(const sb_counters *c, sb_counter_kind kind);
bool sb_counters_moved(const sb_counters *c, sb_counter_kind kind);

/* What a search is handed, and what it found beside the counters it opened. */
typedef struct sb_look {
    const char *sysfs;
    const sb_meter_roots *roots;
    sb_meter_row *rows; /* SB_METER_MAX_ROWS of them; NULL: nobody asks */
    size_t n_rows;
} sb_look;

/* choose.c */
/* A source of a kind with nothing in it. */
void sb_counters_init(sb_counters *c, sb_meter_kind kind, const char *source, sb_counter_read read);
/* A row for what was found; NULL when nobody asks or there is no more room. name may be any bytes.
 * */
sb_meter_row *sb_look_add(sb_look *l, sb_meter_kind kind, sb_meter_state state, const char *name);
/* REFUSED or NO_DATA, by errno, with the command that helps. */
sb_meter_row *sb_look_fail(sb_look *l, sb_meter_kind kind, int why, const char *name);
/* Copies text with what is not printing ASCII as '?'. */
void sb_look_text(char *out, size_t out_bytes, const char *text);
/* The kind's command for this tree and program. */
void sb_look_command(const char *sysfs, sb_meter_kind kind, char *out, size_t out_bytes);

/* Each finds and starts the counters of one kind; c->n == 0 when the source is of no use. A row of
 * state CHECK for each counter; what the choice makes of it comes later. */
void sb_find_powercap(sb_counters *c, sb_look *l);
void sb_find_psys(sb_counters *c, sb_look *l);
void sb_find_guest(sb_counters *c, sb_look *l);
void sb_find_perf(sb_counters *c, sb_look *l);
void sb_find_perf_psys(sb_counters *c, sb_look *l);
void sb_find_server(sb_counters *c, sb_look *l);
void sb_find_rail(sb_counters *c, sb_look *l);
void sb_find_hwmon_gpu(sb_counters *c, sb_look *l);
void sb_find_battery(sb_counters *c, sb_look *l);
void sb_find_nvml(sb_counters *c, sb_look *l);
void sb_find_dcmi(sb_counters *c, sb_look *l);
void sb_find_plug(sb_counters *c, sb_look *l);
void sb_find_node(sb_counters *c, sb_look *l);

/* All that was found and chosen. */
enum { SB_METER_MAX_CHECKS = 12, SB_METER_MAX_ADDED = 2 };
typedef struct sb_sources {
    sb_counters *main; /* NULL: the estimate */
    sb_counters *added[SB_METER_MAX_ADDED], *checks[SB_METER_MAX_CHECKS];
    int n_added, n_checks;
    bool perf_refused, refused, broken; /* why there is no main */
    sb_look look;
} sb_sources;
sb_status sb_sources_open(sb_sources *s, const sb_meter_roots *roots, sb_error *err) SB_MUST_USE;
void sb_sources_close(sb_sources *s);
/* The source of a kind, chosen or kept beside it; NULL when there is none. */
sb_counters *sb_sources_find(const sb_sources *s, sb_meter_kind k);
size_t sb_sources_list(const sb_sources *s, sb_meter_row *out, size_t n_max);

/* cross.c: what the meters of a machine say of each other. */
typedef struct sb_check_state {
    uint64_t begin_ns; /* 0: not begun */
    uint64_t sum_uj[1 + SB_METER_MAX_CHECKS];
    uint32_t n_lost[1 + SB_METER_MAX_CHECKS];
    char line[256];
} sb_check_state;
void sb_sources_check_begin(sb_sources *s, sb_check_state *state);
const char *sb_sources_check(sb_sources *s, sb_check_state *state);

/* dcmi.c: watts of a DCMI power reading, completion code first; false when it is none, or not
 * active. */
bool sb_dcmi_parse(const uint8_t *p, size_t n, uint32_t *out_watts, uint32_t *out_period_ms);
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

/* estimator.c: coefficients of the processor's row, or of its calibration. */
typedef struct sb_estimator {
    sb_cpu_power cpu;
    sb_coefficients c;          /* of the row, or of the calibration */
    sb_calibration calibration; /* fit.n 0: none of this processor */
} sb_estimator;
/* e is zeroed; calibration: a file, or NULL. */
void sb_estimator_open(sb_estimator *e, const char *proc, const char *calibration);
/* Which estimate it is, for people. */
void sb_estimator_name(const sb_estimator *e, char *out, size_t out_bytes);
/* Makes a stretch whose estimate_uj is known an estimate, and says why there is no measurement. */
void sb_estimator_fill(const sb_estimator *e, sb_stretch *s, const char *why);
#endif
