/* SPDX-License-Identifier: Apache-2.0
 * clock.h - time in nanoseconds. */
#ifndef SB_BASE_CLOCK_H
#define SB_BASE_CLOCK_H
#include "base/base.h"

uint64_t sb_now_ns(void);         /* monotonic wall time */
uint64_t sb_thread_cpu_ns(void);  /* CPU time of the calling thread */
int64_t sb_now_local_s(void);     /* wall clock: seconds since 1970 plus the local offset */
uint64_t sb_process_cpu_ns(void); /* CPU time of the process */
#endif
