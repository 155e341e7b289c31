/* SPDX-License-Identifier: Apache-2.0
 * meter.h - how much energy a stretch of this process's work took, and how sure that is.
 *
 * Purpose     Reads the best meter of the machine (meters.def lists their kinds, best first), and
 *             adds what GPU boards draw; else multiplies CPU time by a coefficient of the CPU's
 *             family. Always says which, what was counted, and the range. A number is never a
 *             silent zero.
 * Invariants  lo_uj <= energy_uj <= hi_uj. prefill_uj is a part of energy_uj. Counters are
 *             unwrapped integers of microjoules; only the process's share of them is a product of
 *             reals.
 * Ownership   sb_meter owns its descriptors. Text in sb_energy is inside it or static.
 * Wrapping    A counter wraps after minutes. A mark or a lap every few seconds of work keeps the
 *             sum right (ledger.h makes one each second). A gap in which the counter could have
 *             wrapped, or that asks for more watts than a package can draw, is lost: the whole
 *             stretch is then estimated, and says so.
 * Watts       A meter that shows watts alone is integrated: the mean of two readings times the time
 *             between them. It needs a reading every few seconds (sb_meter_poll_ns), and a longer
 *             gap than SB_MAX_POWER_GAP_S is lost.
 * Threads     One caller at a time.
 * Cost        A mark: one read per counter and one of /proc/stat; nothing without counters. */
#ifndef SB_ENERGY_METER_H
#define SB_ENERGY_METER_H
#include "base/base.h"
#include "energy/wall.h"

typedef enum sb_energy_source {
    SB_ENERGY_UNAVAILABLE,
    SB_ENERGY_MEASURED,
    SB_ENERGY_ESTIMATED,
    SB_ENERGY_SOURCE_COUNT
} sb_energy_source;

typedef struct sb_energy {
    sb_energy_source source;
    int64_t energy_uj, lo_uj, hi_uj;  /* meaningless when unavailable */
    int64_t prefill_uj;               /* part spent before the first new token */
    uint64_t duration_ns, cpu_ns;     /* wall and process CPU time of the stretch */
    int64_t estimated_uj;             /* part that no meter counted: all of an estimate */
    int64_t recompute_uj;             /* part spent on tokens computed again */
    int64_t n_rejected_tok;           /* guessed tokens that were computed and thrown away */
    int64_t split_lo_uj, split_hi_uj; /* what other rules of splitting would have given */
    double concurrency; /* answers that shared its steps, mean over its time; 0: none */
    bool settled;       /* false: its last stretch is still open, and guessed */
    double ratio;       /* share of the meter given to this process; 1 for estimates */
    const char *method; /* how the share was found */
    char meter[64];     /* what was read, or the row of the coefficients */
    char scope[160];    /* what is counted and what is not */
    sb_wall_fit wall;   /* to a plug, of the counters that counted all of it; n 0: none */
    uint64_t share_ns;  /* its own share of the time in steps: whose base power is its (wall.h) */
} sb_energy;

/* How events are opened (a descriptor that close() takes, or -1 with errno) and read. */
typedef struct sb_perf_calls {
    int (*open)(void *ctx, uint32_t type, uint64_t config, int cpu);
    int64_t (*read)(void *ctx, int fd, void *out, size_t n);
    void *ctx;
} sb_perf_calls;

/* NVIDIA's library: how many boards, and what each has used since its driver was loaded. _open
 * gives what the others are handed until _close; NULL when there is no library or no board. */
typedef struct sb_nvml_calls {
    void *(*open)(void *ctx, int *out_n);
    bool (*energy_mj)(void *lib, int i, uint64_t *out);
    bool (*name)(void *lib, int i, char *out, size_t out_bytes);
    void (*close)(void *lib);
    void *ctx;
} sb_nvml_calls;

/* The management controller: a descriptor that close() takes, or -1 with errno; and one request:
 * bytes of its answer, the completion code first, or -1 with errno. */
typedef struct sb_ipmi_request {
    uint8_t netfn, cmd;
    uint8_t data[16];
    size_t n;
} sb_ipmi_request;
typedef struct sb_ipmi_calls {
    int (*open)(void *ctx);
    int (*ask)(void *ctx, int fd, const sb_ipmi_request *rq, uint8_t *out, size_t out_bytes);
    void *ctx;
} sb_ipmi_calls;

/* Gets an address's text, NUL-terminated, for plugs and other programs' endpoints: this room has no
 * socket. False when that fails or the text does not fit. Should not take longer than a second. */
typedef struct sb_meter_fetch {
    bool (*get)(void *ctx, const char *url, char *out, size_t out_bytes);
    void *ctx;
} sb_meter_fetch;

/* Where meters are. All of it outlives the meter.
 * sysfs: NULL or "" for the machine's own /sys, else a prefix (or a folder of counters that a host
 * gives its guest), and then nothing outside it is a meter: event numbers hold for the running
 * kernel only, so there are no events unless perf says how to open them; proc is then under the
 * same prefix, and where it has no proc/stat, no other program is seen. */
typedef struct sb_meter_roots {
    const char *sysfs, *proc;
    const sb_perf_calls *perf;   /* NULL: the kernel's */
    const sb_nvml_calls *nvml;   /* NULL: none; sb_nvml_system() is the machine's */
    const sb_ipmi_calls *ipmi;   /* NULL: none; sb_ipmi_system() is the machine's */
    const sb_meter_fetch *fetch; /* NULL: no plugs and endpoints */
    const char *const *urls;     /* theirs: a plug's address, or an endpoint's with its path */
    size_t n_urls;
    bool aside;              /* what nvml and ipmi show is listed and compared, never counted */
    const char *calibration; /* file of `sobre energy calibrate`, or NULL; read at opening only */
    bool survey;             /* look at every meter, also where a better one was found (meters.h) */
} sb_meter_roots;

/* Loading NVIDIA's library takes its time and may wake a board; a management controller takes tens
 * of milliseconds to answer. So both are asked for by name. */
const sb_nvml_calls *sb_nvml_system(void);
const sb_ipmi_calls *sb_ipmi_system(void);

enum { SB_METER_MAX_ZONES = 64, SB_ENERGY_TEXT_BYTES = 512 };

/* A moment: what the counters had summed up to then. Plain data. */
typedef struct sb_meter_mark {
    uint64_t now_ns, cpu_ns, host_busy_ns;
    uint64_t own_busy_ns; /* this process's in host_busy_ns, where a tree says so; else 0 */
    uint64_t sum_uj;      /* of all zones, unwrapped, since the meter was opened */
    uint32_t n_lost;
    uint64_t n_bytes; /* of sb_meter_add_bytes() */
} sb_meter_mark;

/* What the meter says of the time between two marks, before any of it is anyone's. */
typedef struct sb_stretch {
    sb_energy_source source;
    int64_t all_uj;       /* the counters' difference; of an estimate, this process's own work */
    int64_t other_uj;     /* of it, other programs' by CPU time, rounded down; 0 of estimates */
    int64_t lo_uj, hi_uj; /* range of all_uj - other_uj */
    bool is_lost;         /* counters stood still, jumped or wrapped unseen: all_uj is what could be
                             read, and nobody's; source is ESTIMATED */
    bool is_short;        /* too little for the counters to tell: the mark has not moved, and source
                             is ESTIMATED */
    int64_t estimate_uj;  /* this process's work by CPU time and coefficient, always */
    uint64_t duration_ns, cpu_ns;
    double ratio;
    const char *method;
    char meter[64], scope[160];
    sb_wall_fit wall; /* made with these counters, or with those that made the coefficients */
} sb_stretch;

typedef struct sb_meter sb_meter;

/* Fails for want of memory only: no counter, or none that may be read, leaves the estimate. */
sb_status sb_meter_open(sb_meter **out, const sb_meter_roots *roots, sb_error *err) SB_MUST_USE;
void sb_meter_close(sb_meter *m);
/* One sentence for people when there are counters that this user may not read: the next step; else
 * NULL. Lives as long as the meter. */
const char *sb_meter_hint(const sb_meter *m);
/* Which meter it is, for people: "RAPL package+dram, 2 counters", or the coefficient's row. */
const char *sb_meter_name(const sb_meter *m);

/* Bytes of weights, keys and values that were read since: a calibrated estimate counts them. Any
 * thread. */
void sb_meter_add_bytes(sb_meter *m, uint64_t n_bytes);
/* How an estimate of this method was made, for who shows it: by coefficients calibrated here. */
bool sb_meter_is_calibrated(const char *method);

sb_meter_mark sb_meter_begin(sb_meter *m);
/* Energy since the mark. */
sb_energy sb_meter_end(sb_meter *m, const sb_meter_mark *begin);
/* The same, and moves the mark to now: laps leave nothing out between them. */
sb_energy sb_meter_lap(sb_meter *m, sb_meter_mark *mark);

/* The stretch since the mark, which moves to now unless it is short: stretches leave nothing out
 * between them. */
sb_stretch sb_meter_stretch(sb_meter *m, sb_meter_mark *mark);
/* How long the counters may go unread without a wrap that nobody sees; 0: for ever. */
uint64_t sb_meter_poll_ns(const sb_meter *m);

/* One counter as it was last read, for whoever must know after a restart what it counted. */
typedef struct sb_meter_raw_row {
    char name[64];
    uint64_t raw_uj, range_uj; /* it turns over after range_uj; 0: never */
} sb_meter_raw_row;
/* At most max rows, in a fixed order; the number of them. 0 when the counters begin anew with every
 * process, or there are none. */
int sb_meter_raw(const sb_meter *m, sb_meter_raw_row *rows, int max);

const char *sb_energy_source_name(sb_energy_source s);
/* Adds an answer's energy to a sum: measured only when both are, unavailable when one is; with a
 * fit to the wall only when both have the same. The stretch's duration is the caller's. */
void sb_energy_add(sb_energy *sum, const sb_energy *e);
/* The larger distance from energy_uj to an end of its range, in percent of it. */
double sb_energy_error_pct(const sb_energy *e);
/* How many digits of it are known: three of a meter, two of an estimate calibrated here, else one.
 */
int sb_energy_digits(const sb_energy *e);
/* "12.3 J (11.8 J to 12.9 J), measured: METER (SCOPE)" or "about 9 J (4 J to 20 J), estimated:
 * ...": three significant digits for a meter, one for an estimate nobody calibrated. out, of
 * SB_ENERGY_TEXT_BYTES, is always NUL-terminated. */
void sb_energy_text(const sb_energy *e, char *out, size_t out_bytes);
#endif
