/* SPDX-License-Identifier: Apache-2.0
 * machine.h - how much memory a model may take on this machine.
 *
 * Purpose     The smaller of what the machine has and what the control group of this process allows
 *             (containers, services), so that an advice fits where it is read.
 * Errors      SB_IO when /proc/meminfo cannot be read or says nothing.
 * Threads     Any. */
#ifndef SB_BASE_MACHINE_H
#define SB_BASE_MACHINE_H
#include "base/base.h"

typedef struct sb_machine_memory {
    uint64_t total_bytes;     /* of the machine or the group */
    uint64_t available_bytes; /* without pushing others out */
} sb_machine_memory;

/* root: prefix of /proc and /sys, NULL or "" = none (tests give one). */
sb_status sb_machine_memory_read(const char *root, sb_machine_memory *out,
                                 sb_error *err) SB_MUST_USE;
/* What a model may take of it: nine tenths of what is available. */
uint64_t sb_machine_spare_bytes(const sb_machine_memory *m);
#endif
