/* SPDX-License-Identifier: Apache-2.0
 * cpus.h - which processors this process may use; inside the base room.
 *
 * Threads     Pure reads of the kernel's answers. */
#ifndef SB_BASE_CPUS_H
#define SB_BASE_CPUS_H
#include "base/base.h"

enum { SB_CPUS_MAX = 8192 }; /* what the kernel can be built for */

typedef struct sb_cpu_mask {
    unsigned long bits[SB_CPUS_MAX / (8 * sizeof(unsigned long))];
    int n; /* processors in it; 0 when the kernel did not say */
} sb_cpu_mask;

/* The calling thread's affinity. */
void sb_cpu_mask_read(sb_cpu_mask *out);
/* Number of the i-th processor of the mask, or -1. */
int sb_cpu_mask_nth(const sb_cpu_mask *m, int i);
/* Restricts the calling thread to one processor, or to the mask; false when refused. */
bool sb_cpu_pin_one(int cpu);
bool sb_cpu_pin_mask(const sb_cpu_mask *m);
#endif
