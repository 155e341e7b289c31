/* SPDX-License-Identifier: Apache-2.0
 * server_energy.c - the server's meter and ledger.
 *
 * Counters in a register turn over after minutes, and nobody asks an idle server for anything: a
 * timer reads them four times before they can. Meters that do not wrap need none. */
#include "server/server_in.h"

#include <event2/event.h>
#include <time.h>

enum { MIN_POLL_NS = 1000000000 };

/* Numbers of owners differ from one start to the next: seconds, and a million answers in each. */
static uint64_t first_owner(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec << 20;
}

sb_status sb_server_energy_open(sb_server *sv, sb_error *err)
{
    const sb_meter_roots roots = {.sysfs = sv->o.sysfs};
    SB_TRY(sb_meter_open(&sv->meter, &roots, err));
    const sb_ledger_opts o = {
        .meter = sv->meter, .tick_ns = SB_LEDGER_TICK_NS, .first_owner = first_owner()};
    return sb_ledger_open(&sv->ledger, &o, err);
}

static void on_poll(int fd, short what, void *server)
{
    (void)fd;
    (void)what;
    sb_ledger_poll(((sb_server *)server)->ledger);
}

sb_status sb_server_energy_watch(sb_server *sv, sb_error *err)
{
    uint64_t ns = sb_meter_poll_ns(sv->meter);
    if (ns == 0) return SB_OK;
    if (ns < MIN_POLL_NS) ns = MIN_POLL_NS;
    const struct timeval t = {.tv_sec = (time_t)(ns / 1000000000u),
                              .tv_usec = (suseconds_t)(ns % 1000000000u / 1000u)};
    sv->meter_event = event_new(sv->base, -1, EV_PERSIST, on_poll, sv);
    if (!sv->meter_event || event_add(sv->meter_event, &t) != 0)
        return SB_FAIL(err, SB_NO_MEMORY, "event loop: out of memory");
    return SB_OK;
}

void sb_server_energy_close(sb_server *sv)
{
    if (sv->meter_event) event_free(sv->meter_event);
    sb_ledger_close(sv->ledger);
    sb_meter_close(sv->meter);
}
