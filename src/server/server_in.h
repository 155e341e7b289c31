/* SPDX-License-Identifier: Apache-2.0
 * server_in.h - the server's own structure, shared by the files of src/server only.
 *
 * Threads     Fields are set before the threads start and then constant, but for those with a word
 *             about it. */
#ifndef SB_SERVER_IN_H
#define SB_SERVER_IN_H
#include "energy/ledger.h"
#include "server/grid_watch.h"
#include "server/guard.h"
#include "server/helper.h"
#include "server/journal.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/pulls.h"
#include "server/quota.h"
#include "server/page/page.h"
#include "server/receipts.h"
#include "server/router.h"
#include "server/run.h"
#include "server/server.h"
#include "store/db.h"
#include "store/keyring.h"
#include "store/store.h"
#include "store/sums.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SB_SERVER_WORKERS = 2 };

/* Sums of one owner, model and source that are not in the data base yet. */
typedef struct sb_sum_held {
    int64_t owner, n_answers, n_in, n_cached, n_out, energy_uj, n_wall, wall_uj;
    char model[SB_SUM_MODEL_BYTES + 1];
    sb_sum_source source;
} sb_sum_held;
enum { SB_SUMS_HELD = 64 };

struct event_base;
struct event;

struct sb_server {
    sb_server_opts o; /* the host is set */
    struct event_base *base;
    struct event *wake, *signals[3], *grace, *helper_event, *meter_event, *settle_event,
        *grid_event; /* the last: NULL unless --grid names a file */
    sb_http *http;
    sb_guard guard;
    sb_store *store;
    sb_db *db;
    sb_keyring *keyring;
    sb_meter *meter;
    sb_ledger *ledger;
    sb_receipts *receipts;
    sb_models *models;
    sb_workers *workers;
    sb_quotas *quotas;
    sb_budgets *budgets;
    sb_grid_watch *grid;     /* or NULL: nobody asked for grams */
    sb_task grid_task;       /* reads the file, while: */
    atomic_int n_grid_asked; /* how often that was asked for since it last began */
    sb_metrics metrics;
    sb_page *page;
    sb_journal *journal;
    sb_helper *helper;   /* the loop's; NULL: none, or it has ended */
    sb_watcher *watcher; /* the meter's; NULL: no plug or endpoint counts */
    sb_pulls *pulls;     /* the loop's */
    uint64_t start_ns;
    int64_t start_s; /* since 1970 */
    char fingerprint[64];
    int notify_fd;
    int wake_fd;
    pthread_mutex_t loop_lock; /* of loop_tasks */
    sb_task_list loop_tasks;
    pthread_mutex_t runs_lock; /* of runs and the sums */
    sb_run *runs;              /* all that have not ended */
    sb_sum_held sums[SB_SUMS_HELD];
    int n_sums;
    uint64_t sums_ns; /* when they were last written */
    atomic_bool draining, ended;
    atomic_int n_runs;   /* not ended, also those whose body is being read */
    atomic_int n_paused; /* of them: wait for a slow reader */
    atomic_int n_places; /* answers at once plus those that may wait: above, 503 */
    int n_stops;         /* the loop's: signals seen */
    bool told_end;       /* the loop's: the grace is over */
    sb_status failed;    /* the loop's: why run() ends */
    sb_error why;
    bool start_told;    /* the loader's: how the first model fared */
    sb_error start_why; /* the loader's until start_task runs */
    sb_task start_task;
};

/* What belongs to one exchange beside the exchange; sb_x_user. The loop's. */
typedef struct sb_visit {
    sb_server *sv;
    const sb_route *route; /* NULL: none */
    sb_caller who;
    void (*done)(void *ctx);
    void *done_ctx;
    /* For the log, set before the reply ends: */
    const char *model; /* static or of the registry */
    int64_t n_prompt, n_cached, n_generated, energy_uj;
    bool counted; /* in n_runs, until a run takes it over */
} sb_visit;

/* visit.c */
sb_visit *sb_visit_of(const sb_x *x);
/* The same: what http calls. */
int64_t sb_visit_head(void *server, sb_x *x, const sb_http_request *r);
void sb_visit_request(void *server, sb_x *x, const sb_http_request *r);
const char *sb_visit_refused(void *server, int status, const char *why, sb_str path, sb_buf *body);
void sb_visit_done(void *server, sb_x *x, const struct sb_http_outcome *o);
/* contain.c: closes the sandbox. */
sb_status sb_server_contain(sb_server *sv, sb_error *err) SB_MUST_USE;
/* server_energy.c: the meter and its ledger; while idle it is read before a counter could wrap. */
sb_status sb_server_energy_open(sb_server *sv, sb_error *err) SB_MUST_USE;
sb_status sb_server_energy_watch(sb_server *sv, sb_error *err) SB_MUST_USE;
/* An answer has ended: its receipt settles soon, though no other follows. On the loop. */
void sb_server_energy_settle(sb_server *sv);
void sb_server_energy_close(sb_server *sv);
/* server_grid.c: the factor of --grid; its file is read now and then, and when somebody asks. The
 * latter on the loop. */
sb_status sb_server_grid_open(sb_server *sv, sb_error *err) SB_MUST_USE;
sb_status sb_server_grid_watch(sb_server *sv, sb_error *err) SB_MUST_USE;
void sb_server_grid_ask(sb_server *sv);
void sb_server_grid_close(sb_server *sv);
/* server.c: the loop looks at what there is. Any thread. */
void sb_server_wake(sb_server *sv);
/* server.c: the end of a drain, when nothing is left; on the loop. */
void sb_server_check_end(sb_server *sv);
/* run.c: asks the run of this id and owner to end; false: there is none. */
bool sb_runs_cancel(sb_server *sv, int64_t owner, sb_str id);
/* run.c: ends all runs with an error; for the end of a drain. */
void sb_runs_end_all(sb_server *sv, const sb_error *err);
/* sums.c: counts what an answer took; writes to the data base now and then. Waits for the disk. */
void sb_server_sum(sb_server *sv, int64_t owner, const char *model, const sb_turn *t);
/* An answer's energy is no longer provisional: the sums get the difference. ctx: the server; for
 * sb_receipts_opts. */
void sb_server_sum_settled(void *ctx, int64_t owner, const char *model, const sb_energy *was,
                           const sb_energy *now);
void sb_server_sum_flush(sb_server *sv);
/* routes_receipts.c: makes the receipt of a request that is over, of all its turns that began. */
void sb_server_receipt(sb_server *sv, int64_t owner, sb_str id, sb_str model, const sb_turn *turns,
                       size_t n);
/* The shape of sb_budget_read; ctx: the server. What its key used in a day of UTC. */
sb_status sb_server_sum_of_day(void *ctx, int64_t key, int64_t day, int64_t *out_uj, sb_error *err);
#endif
