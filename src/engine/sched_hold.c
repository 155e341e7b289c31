/* SPDX-License-Identifier: Apache-2.0
 * sched_hold.c - a first step that waits for company.
 *
 * Sequences that decode together share each reading of the weights, and prompts that are prefilled
 * together share theirs. Who comes while others compute joins them in the next step and loses
 * nothing; only where nobody computes may a moment's wait make one step out of two. Whether it will
 * is told by the load: where the gaps between arrivals are short, the next one is near; where they
 * are long, nobody waits for anybody. */
#include "base/clock.h"
#include "engine/sched_state.h"

enum {
    GAP_STEPS = 8,  /* a gap moves what is expected by its eighth */
    LIKELY_GAPS = 2 /* after so many of them nobody is expected any more */
};

void sb_hold_arrival(sb_sched *s, uint64_t now_ns)
{
    const double most = (double)s->o.batch_wait_ns;
    const double gap = (double)(now_ns - s->arrived_ns);
    s->gap_ns += ((s->arrived_ns && gap < most ? gap : most) - s->gap_ns) / GAP_STEPS;
    s->arrived_ns = now_ns;
}

uint64_t sb_hold_until_ns(const sb_sched *s)
{
    const double near_ns = LIKELY_GAPS * s->gap_ns;
    if (s->n_waiting >= s->n_slots || s->first->o.priority > 0) return 0;
    if (near_ns > (double)s->o.batch_wait_ns) return 0;
    const uint64_t likely = s->arrived_ns + (uint64_t)near_ns;
    const uint64_t most = s->hold_ns + s->o.batch_wait_ns;
    return likely < most ? likely : most;
}

bool sb_sched_hold(sb_sched *s)
{
    if (s->o.batch_wait_ns == 0 || s->n_run > 0 || !s->first) {
        s->hold_ns = 0;
        return false;
    }
    const uint64_t now = sb_now_ns();
    if (s->hold_ns == 0) s->hold_ns = now;
    const uint64_t until = sb_hold_until_ns(s);
    if (now >= until) return false;
    if (s->ended || s->stop) return true;
    s->stats.n_held++;
    sb_sched_sleep(s, until);
    return true;
}
