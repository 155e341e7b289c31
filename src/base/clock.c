/* SPDX-License-Identifier: Apache-2.0
 * clock.c - the clocks; clock_gettime cannot fail for these on Linux. */
#include "base/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec t = {0};
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t sb_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t sb_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t sb_now_local_s(void)
{
    const time_t now = time(NULL);
    struct tm local = {0};
    return (int64_t)now + (localtime_r(&now, &local) ? local.tm_gmtoff : 0);
}

uint64_t sb_process_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}
