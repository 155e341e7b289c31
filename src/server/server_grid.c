/* SPDX-License-Identifier: Apache-2.0
 * server_grid.c - the factor of --grid, kept fresh where it comes from a file.
 *
 * A timer of the loop, once a minute and only where there is a file, lets a worker read it: a file
 * may lie on a disk that hangs, and the loop waits for none. SIGHUP asks at once. Joules and ticks
 * do not know of it. */
#include "server/server_in.h"

#include <event2/event.h>
#include <string.h>
#include <time.h>

enum { READ_S = 60 };

sb_status sb_server_grid_open(sb_server *sv, sb_error *err)
{
    if (!sv->o.grid) return SB_OK;
    return sb_grid_watch_new(&sv->grid, sv->o.grid, sv->o.grid_path, err);
}

static void say_change(sb_server *sv, const sb_grid *now)
{
    char factor[32];
    sb_journal_line l;
    sb_journal_begin(&l, "grid");
    sb_journal_text(&l, "kind",
                    (sb_str){sb_grid_kind_name(now->kind), strlen(sb_grid_kind_name(now->kind))});
    sb_journal_text(&l, "zone", (sb_str){now->zone, strlen(now->zone)});
    sb_decimal_text(now->mg_per_kwh, 3, factor, sizeof factor);
    sb_journal_text(&l, "g_per_kwh", (sb_str){factor, strlen(factor)});
    if (now->why) sb_journal_text(&l, "why", (sb_str){now->why, strlen(now->why)});
    sb_journal_end(sv->journal, &l);
}

static void read_once(sb_server *sv)
{
    sb_grid was, now;
    sb_grid_watch_read(sv->grid, (int64_t)time(NULL), sb_metrics_answers_uj(&sv->metrics), &was,
                       &now);
    if ((was.kind == SB_GRID_live) != (now.kind == SB_GRID_live)) say_change(sv, &now);
    if (was.mg_per_kwh == now.mg_per_kwh) return;
    sb_budget_rates rates = sv->o.rates;
    rates.mg_per_kwh = now.mg_per_kwh;
    sb_budgets_set_rates(sv->budgets, &rates);
}

/* On a worker. Asked for again meanwhile, it reads once more: what it has read may be of before. */
static void on_task(sb_task *t)
{
    sb_server *sv = (sb_server *)(void *)((char *)t - offsetof(sb_server, grid_task));
    int n = 0;
    do {
        n = atomic_load(&sv->n_grid_asked);
        read_once(sv);
    } while (atomic_fetch_sub(&sv->n_grid_asked, n) != n);
}

void sb_server_grid_ask(sb_server *sv)
{
    if (!sv->o.grid_path || atomic_fetch_add(&sv->n_grid_asked, 1) > 0) return;
    sv->grid_task.fn = on_task;
    sb_server_work(sv, &sv->grid_task);
}

static void on_time(int fd, short what, void *server)
{
    (void)fd;
    (void)what;
    sb_server_grid_ask(server);
}

sb_status sb_server_grid_watch(sb_server *sv, sb_error *err)
{
    const struct timeval t = {.tv_sec = READ_S};
    if (!sv->o.grid_path) return SB_OK;
    sv->grid_event = event_new(sv->base, -1, EV_PERSIST, on_time, sv);
    if (!sv->grid_event || event_add(sv->grid_event, &t) != 0)
        return SB_FAIL(err, SB_NO_MEMORY, "event loop: out of memory");
    return SB_OK;
}

void sb_server_grid_close(sb_server *sv)
{
    if (sv->grid_event) event_free(sv->grid_event);
    sb_grid_watch_free(sv->grid);
}
