/* SPDX-License-Identifier: Apache-2.0
 * deadline.c - the one timer of a server.
 *
 * It is set for the earliest moment at which any connection can expire, on a coarse grid, and not
 * moved when that connection gets more time: it then fires once for nothing. All connections are
 * looked at when it fires. A timer for each was refused: a thousand idle connections would wake
 * the process a thousand times a minute. */
#include "base/clock.h"
#include "server/http/internal.h"

enum { GRID_NS = 100000000 };

void sb_deadline_want(sb_http *h, uint64_t at_ns)
{
    if (!at_ns) return;
    at_ns = (at_ns / GRID_NS + 1) * GRID_NS;
    if (h->clock_ns && h->clock_ns <= at_ns) return;
    const uint64_t now = sb_now_ns(), wait = at_ns > now ? at_ns - now : 0;
    const struct timeval tv = {(time_t)(wait / 1000000000u),
                               (suseconds_t)(wait % 1000000000u / 1000u) + 1};
    h->clock_ns = event_add(&h->ev_clock, &tv) == 0 ? at_ns : 0;
}

void sb_deadline_tick(evutil_socket_t fd, short what, void *ctx)
{
    sb_http *h = ctx;
    (void)fd;
    (void)what;
    sb_relay_enter(h->relay);
    h->clock_ns = 0;
    const uint64_t now = sb_now_ns();
    if (h->resume_ns && h->resume_ns <= now) sb_listener_resume(h);
    sb_conn *next = NULL;
    for (sb_conn *c = h->conns; c; c = next) {
        next = c->next;
        const uint64_t at = sb_conn_deadline(c);
        if (at && at <= now) sb_conn_expire(c);
    }
    sb_http_settle(h);
    for (const sb_conn *c = h->conns; c; c = c->next)
        sb_deadline_want(h, sb_conn_deadline(c));
    sb_deadline_want(h, h->resume_ns);
    sb_relay_leave(h->relay);
}
