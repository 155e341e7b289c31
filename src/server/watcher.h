/* SPDX-License-Identifier: Apache-2.0
 * watcher.h - the process beside the server that asks plugs and endpoints what they show.
 *
 * Purpose     The server connects nowhere, and reads its meter between two steps of its answers,
 *             where nobody may wait for a plug. So a small process, forked before the sandbox
 *             closes, asks, and leaves what it was told in memory that both see (letters.h).
 * Pace        Each reading makes the watcher ask again, once in again_ns at most; and every rest_ns
 *             when nobody reads, so that the first reading of an answer is not an old one.
 * Age         What was asked for longer ago than old_ns is no reading, nor is anything when the
 *             newest question found no answer, or the watcher has ended: the meter then loses that
 *             time, and answers get an estimate.
 * Trust       The watcher asks at the addresses it was forked with (energy/netmeter.h) and nowhere
 *             else: the server chooses among them by number. It holds no secret but what those
 *             addresses hold, and no file of the server's.
 * Life        It ends when the server's end of the socket closes, or the server is killed.
 * Ownership   sb_watcher owns its descriptor and the shared memory. The addresses are borrowed.
 * Threads     One at a time in each process: in the server, who reads the meter. */
#ifndef SB_SERVER_WATCHER_H
#define SB_SERVER_WATCHER_H
#include "energy/meter.h"

typedef struct sb_watcher_pace {
    uint64_t again_ns, rest_ns, old_ns;
    uint64_t wait_ns;   /* for one answer, while the server opens its meter */
    uint64_t forget_ns; /* an address that others outlive by so long is not asked any more */
} sb_watcher_pace;
extern const sb_watcher_pace sb_watcher_usual;

typedef struct sb_watcher sb_watcher;

/* Forks. *out_child: this is the watcher; it calls sb_watcher_work() and then ends. At most
 * SB_MAX_METER_URLS addresses. */
sb_status sb_watcher_fork(sb_watcher **out, const char *const *urls, size_t n_urls,
                          const sb_watcher_pace *pace, bool *out_child, sb_error *err) SB_MUST_USE;
/* In the watcher: asks until nobody is there to read. ask NULL: there is nothing to ask with, and
 * the server is told why. */
void sb_watcher_work(sb_watcher *w, const sb_meter_fetch *ask, const sb_error *why);
/* NULL is allowed. A process that was forked later calls it for what it inherited. */
void sb_watcher_close(sb_watcher *w);

/* In the server. Sets where its meter finds the watcher. Fails as the watcher did. */
sb_status sb_watcher_ready(sb_watcher *w, sb_meter_roots *out, sb_error *err) SB_MUST_USE;
/* The meter is open: from now on no reading waits. */
void sb_watcher_opened(sb_watcher *w);
#endif
