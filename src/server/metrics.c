/* SPDX-License-Identifier: Apache-2.0
 * metrics.c - the counters themselves; metrics_text.c prints them. */
#include "server/metrics.h"

uint64_t sb_hist_bound(int i)
{
    static const uint64_t bound_us[SB_HIST_BUCKETS] = {
        1000,   2000,   5000,   10000,   20000,   35000,   50000,    75000,
        100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 60000000};
    return i < SB_HIST_BUCKETS ? bound_us[i] * 1000 : UINT64_MAX;
}

void sb_hist_add(sb_hist *h, uint64_t ns)
{
    int i = 0;
    while (ns > sb_hist_bound(i))
        i++;
    atomic_fetch_add_explicit(&h->n[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
}

void sb_metrics_turn(sb_metrics *m, const sb_turn *t)
{
    atomic_fetch_add(&m->n_ended[t->finish], 1);
    atomic_fetch_add(&m->n_prompt, t->prompt_ids.n);
    atomic_fetch_add(&m->n_cached, t->n_cached > 0 ? (uint64_t)t->n_cached : 0);
    atomic_fetch_add(&m->n_generated, t->ids.n);
    if (t->energy.source == SB_ENERGY_UNAVAILABLE || t->energy.energy_uj <= 0) return;
    atomic_fetch_add(&m->energy_uj[t->energy.source], (uint64_t)t->energy.energy_uj);
    if (t->finish == SB_FINISH_CANCELLED)
        atomic_fetch_add(&m->cancelled_uj, (uint64_t)t->energy.energy_uj);
}

int64_t sb_metrics_answers_uj(const sb_metrics *m)
{
    uint64_t uj = 0;
    for (int i = SB_ENERGY_MEASURED; i < SB_ENERGY_SOURCE_COUNT; i++)
        uj += atomic_load(&m->energy_uj[i]);
    return (int64_t)uj;
}
