/* SPDX-License-Identifier: Apache-2.0
 * server_energy.c - the server's meter and ledger.
 *
 * Counters in a register turn over after minutes, and nobody asks an idle server for anything: a
 * timer reads them four times before they can. Meters that do not wrap need none. Answers are worth
 * more than their chain: without a log the receipts are signed all the same. */
#include "base/limits.h"
#include "energy/meters.h"
#include "server/server_in.h"

#include <event2/event.h>
#include <string.h>
#include <time.h>

enum { MIN_POLL_NS = 1000000000, SETTLE_US = 150000 /* a tick, and some */, AGAIN_S = 1 };

static void journal_log(sb_server *sv, const char *event, const char *why)
{
    sb_journal_line l;
    sb_journal_begin(&l, event);
    if (why) sb_journal_text(&l, "why", (sb_str){why, strlen(why)});
    sb_journal_end(sv->journal, &l);
}

static void on_log(void *ctx, const sb_error *why)
{
    journal_log(ctx, why ? "ledger-stopped" : "ledger-goes-on", why ? why->msg : NULL);
}

static sb_status open_receipts(sb_server *sv, sb_error *err)
{
    sb_error note;
    const sb_receipts_opts o = {.home = sb_store_home(sv->store),
                                .meter = sv->meter,
                                .grid = sv->grid,
                                .tariff = sv->o.tariff,
                                .on_settled = sb_server_sum_settled,
                                .on_log = on_log,
                                .ctx = sv};
    SB_TRY(sb_receipts_open(&sv->receipts, &o, &note, err));
    if (note.msg[0]) journal_log(sv, "no-ledger", note.msg);
    return SB_OK;
}

/* From now on no reading waits for a plug; where none counts, nobody asks them any more. */
static void settle_watcher(sb_server *sv)
{
    const sb_meter_kind kind = sb_meter_chosen(sv->meter).kind;
    if (!sv->watcher) return;
    sb_watcher_opened(sv->watcher);
    if (kind == SB_METER_PLUG || kind == SB_METER_NODE) return;
    sb_watcher_close(sv->watcher);
    sv->watcher = NULL;
    if (kind == SB_METER_ESTIMATE && sv->o.say)
        sv->o.say(sv->o.ctx, "no plug and no endpoint answers at --meter-url or SOBRE_METER_URL: "
                             "energy is estimated");
}

/* With what `sobre energy calibrate` left, which is read here only: before the sandbox. */
static sb_status open_meter(sb_server *sv, sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of the calibration");
    sb_status s = sb_buf_addf(&path, err, "%s/calibration.json", sb_store_home(sv->store));
    sb_meter_roots roots = {.sysfs = sv->o.sysfs, .calibration = path.p};
    if (s == SB_OK && sv->watcher) s = sb_watcher_ready(sv->watcher, &roots, err);
    if (s == SB_OK) s = sb_meter_open(&sv->meter, &roots, err);
    if (s == SB_OK) settle_watcher(sv);
    sb_buf_deinit(&path);
    return s;
}

sb_status sb_server_energy_open(sb_server *sv, sb_error *err)
{
    SB_TRY(open_meter(sv, err));
    SB_TRY(open_receipts(sv, err));
    const sb_ledger_opts o = {.meter = sv->meter,
                              .tick_ns = SB_LEDGER_TICK_NS,
                              .on_tick = sb_receipts_on_tick,
                              .on_settled = sb_receipts_on_settled,
                              .ctx = sv->receipts,
                              .first_owner = sb_receipts_first_owner(sv->receipts)};
    SB_TRY(sb_ledger_open(&sv->ledger, &o, err));
    sb_receipts_set_ledger(sv->receipts, sb_ledger_settled, sv->ledger);
    return SB_OK;
}

static void on_poll(int fd, short what, void *server)
{
    (void)fd;
    (void)what;
    sb_ledger_poll(((sb_server *)server)->ledger);
}

static void on_settle(int fd, short what, void *server)
{
    sb_server *sv = server;
    const struct timeval again = {.tv_sec = AGAIN_S}; /* the meter has not moved yet */
    (void)fd;
    (void)what;
    if (sb_receipts_poll(sv->receipts) > 0) (void)event_add(sv->settle_event, &again);
}

void sb_server_energy_settle(sb_server *sv)
{
    const struct timeval soon = {.tv_usec = SETTLE_US};
    if (!event_pending(sv->settle_event, EV_TIMEOUT, NULL))
        (void)event_add(sv->settle_event, &soon);
}

sb_status sb_server_energy_watch(sb_server *sv, sb_error *err)
{
    sv->settle_event = event_new(sv->base, -1, 0, on_settle, sv);
    if (!sv->settle_event) return SB_FAIL(err, SB_NO_MEMORY, "event loop: out of memory");
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
    if (sv->settle_event) event_free(sv->settle_event);
    sb_ledger_close(sv->ledger);
    sb_receipts_close(sv->receipts);
    sb_meter_close(sv->meter);
}
