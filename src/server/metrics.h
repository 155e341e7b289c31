/* SPDX-License-Identifier: Apache-2.0
 * metrics.h - what the server counted since it started, for Prometheus.
 *
 * Purpose     Counters and histograms that whoever acts adds to; what others count (schedulers,
 *             http, memory) is read when somebody asks. No text of a request, no model's words, no
 *             key.
 * Threads     Any: every counter is one atomic addition.
 * Cost        Nothing is computed until somebody asks. */
#ifndef SB_SERVER_METRICS_H
#define SB_SERVER_METRICS_H
#include "base/buf.h"
#include "chat/chat.h"
#include "energy/ledger.h"
#include "server/grid_watch.h"

#include <stdatomic.h>

enum { SB_HIST_BUCKETS = 16 };

typedef struct sb_hist {
    atomic_uint_fast64_t n[SB_HIST_BUCKETS + 1], sum_ns;
} sb_hist;

typedef struct sb_metrics {
    atomic_uint_fast64_t n_requests[6]; /* by the first digit of the status */
    atomic_uint_fast64_t n_ended[SB_FINISH_COUNT];
    atomic_uint_fast64_t n_failed; /* runs that ended with an error */
    atomic_uint_fast64_t n_refused_host, n_refused_key, n_refused_limit, n_refused_queue;
    atomic_uint_fast64_t n_prompt, n_cached, n_generated;
    atomic_uint_fast64_t energy_uj[SB_ENERGY_SOURCE_COUNT], cancelled_uj;
    atomic_int_fast64_t n_running; /* answers under way, waiting ones too */
    sb_hist ttft, gap, wait;
} sb_metrics;

void sb_hist_add(sb_hist *h, uint64_t ns);
/* Upper bound of bucket i in ns; UINT64_MAX for the last. */
uint64_t sb_hist_bound(int i);
/* A turn that ended. */
void sb_metrics_turn(sb_metrics *m, const sb_turn *t);
/* What answers have used, each with its source, as one number: for products only. */
int64_t sb_metrics_answers_uj(const sb_metrics *m);
/* Appends the ledger's accounts as Prometheus' text. */
sb_status sb_metrics_ledger(sb_buf *b, const sb_ledger_totals *t, sb_error *err) SB_MUST_USE;
/* Appends what uj microjoules stand for: grams by account, and money; n 0, t NULL: nobody asked. */
sb_status sb_metrics_footprint(sb_buf *b, int64_t uj, const sb_grid_account *grams, size_t n,
                               const sb_tariff *t, sb_error *err) SB_MUST_USE;
#endif
