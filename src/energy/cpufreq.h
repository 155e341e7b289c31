/* SPDX-License-Identifier: Apache-2.0
 * cpufreq.h - the highest frequency that processors may take, where this user may set it.
 *
 * Purpose     For the governor (chat/governor.h). A limit is lowered, never raised over what it was
 *             when it was opened, and put back at the end.
 * Invariants  What was there before is there after sb_cpufreq_close() or sb_cpufreq_restore(). A
 *             process that is killed outright leaves its limit; the kernel's own comes back with
 *             the next boot.
 * Threads     One caller; _restore also from a signal handler.
 * Cost        One descriptor a processor; a set is one write for each. */
#ifndef SB_ENERGY_CPUFREQ_H
#define SB_ENERGY_CPUFREQ_H
#include "base/base.h"

typedef struct sb_cpufreq sb_cpufreq;

/* sysfs as in sb_meter_roots. *out NULL: no processor has a limit that may be set. */
sb_status sb_cpufreq_open(sb_cpufreq **out, const char *sysfs, sb_error *err) SB_MUST_USE;
/* NULL is allowed. */
void sb_cpufreq_close(sb_cpufreq *f);
/* What all processors can be limited to, in kHz. */
void sb_cpufreq_range(const sb_cpufreq *f, int64_t *out_lo_khz, int64_t *out_hi_khz);
/* Limits all of them, each to its own limit of before at most; 0 puts those back. False when the
 * kernel refuses one: all are then as before. */
bool sb_cpufreq_set(sb_cpufreq *f, int64_t khz);
/* Async-signal-safe. NULL is allowed. */
void sb_cpufreq_restore(const sb_cpufreq *f);
#endif
