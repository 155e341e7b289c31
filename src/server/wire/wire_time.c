/* SPDX-License-Identifier: Apache-2.0
 * wire_time.c - the calendar is the C library's; the fraction is ours. */
#include "server/wire/wire_time.h"

#include <stdio.h>
#include <time.h>

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what four digits of a year can say. */
#define FIRST_S (-INT64_C(62135596800))
#define LAST_S INT64_C(253402300799)

void sb_wire_time(int64_t seconds, int64_t ns, char out[SB_WIRE_TIME_BYTES])
{
    const int64_t within = seconds < FIRST_S ? FIRST_S : seconds > LAST_S ? LAST_S : seconds;
    const time_t t = (time_t)within;
    struct tm tm = {0};
    (void)gmtime_r(&t, &tm);
    char fraction[12] = "";
    if (ns >= 0) (void)snprintf(fraction, sizeof fraction, ".%09u", (unsigned)(ns % 1000000000));
    (void)snprintf(out, SB_WIRE_TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d%sZ",
                   (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                   tm.tm_sec, fraction);
}
