/* SPDX-License-Identifier: Apache-2.0
 * rest.c - a balance of time: processor time used must last so long, wall time went by.
 *
 * Sleeping step time x (100 - N) / N behind each step was refused: a step whose threads wait for
 * memory, for each other or for a processor takes less of them than its length says, and every
 * sleep ends late. The balance takes both in. */
#include "engine/rest.h"

#include "base/clock.h"

void sb_rest_init(sb_rest *r, int percent, int n_threads)
{
    *r = (sb_rest){.percent = percent < 1     ? 1
                              : percent > 100 ? 100
                                              : percent,
                   .n_threads = n_threads < 1 ? 1 : n_threads,
                   .wall_ns = sb_now_ns(),
                   .cpu_ns = sb_process_cpu_ns()};
    (void)pthread_mutex_init(&r->lock, NULL);
}

void sb_rest_deinit(sb_rest *r)
{
    if (r->n_threads) (void)pthread_mutex_destroy(&r->lock);
    *r = (sb_rest){0};
}

/* How long so much processor time must last. */
static int64_t must_last_ns(const sb_rest *r, uint64_t cpu_ns)
{
    return (int64_t)((double)cpu_ns * 100 / ((double)r->percent * r->n_threads));
}

int64_t sb_rest_at(sb_rest *r, uint64_t wall_ns, uint64_t cpu_ns)
{
    const uint64_t cpu = cpu_ns > r->cpu_ns ? cpu_ns - r->cpu_ns : 0;
    const int64_t most = SB_REST_PAUSE_NS + r->step_ns;
    r->owed_ns += must_last_ns(r, cpu) - (int64_t)(wall_ns - r->wall_ns);
    if (r->owed_ns < -SB_REST_CREDIT_NS) r->owed_ns = -SB_REST_CREDIT_NS;
    if (r->owed_ns > most) r->owed_ns = most;
    r->wall_ns = wall_ns;
    r->cpu_ns = cpu_ns;
    return r->owed_ns > 0 ? r->owed_ns : 0;
}

int64_t sb_rest_due_ns(sb_rest *r)
{
    if (!r || r->percent >= 100) return 0;
    (void)pthread_mutex_lock(&r->lock);
    const int64_t due = sb_rest_at(r, sb_now_ns(), sb_process_cpu_ns());
    (void)pthread_mutex_unlock(&r->lock);
    return due;
}

void sb_rest_step(sb_rest *r, uint64_t cpu_ns)
{
    if (!r || r->percent >= 100) return;
    (void)pthread_mutex_lock(&r->lock);
    r->step_ns = must_last_ns(r, cpu_ns);
    (void)pthread_mutex_unlock(&r->lock);
}

void sb_rest_skip(sb_rest *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->wall_ns = sb_now_ns();
    r->cpu_ns = sb_process_cpu_ns();
    (void)pthread_mutex_unlock(&r->lock);
}
