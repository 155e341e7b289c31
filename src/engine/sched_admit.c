/* SPDX-License-Identifier: Apache-2.0
 * sched_admit.c - who gets a session and pages, and who gives them back.
 *
 * A sequence is admitted when the pages of its prompt and its longest answer are free of other
 * promises, so a step never finds none. Promises count shared pages for each who shares them:
 * simpler to prove than counting them once, and what is free beyond serves as cache meanwhile.
 * Nobody overtakes one that does not fit: a long prompt would wait for ever behind short ones. */
#include "engine/sched_state.h"

#include <assert.h>
#include <string.h>

enum {
    WORTH_WAITING = 32, /* tokens that another one is computing right now */
    WORTH_COPYING = 16, /* tokens in a page that another one is still filling */
    LOOKS = 8           /* at sequences that may have to wait for a prefix, besides the places */
};

static int32_t n_common(const sb_seq *q, const sb_seq *r, int32_t n_r)
{
    const int32_t n = q->n_all - 1 < n_r ? q->n_all - 1 : n_r;
    int32_t i = 0;
    while (i < n && q->ids[i] == r->ids[i])
        i++;
    return i;
}

static bool is_out(const sb_seq *q)
{
    return q->is_ending || atomic_load(&q->cancelled);
}

/* True when a running sequence is about to compute a good part of what q begins with. */
static bool should_wait(sb_sched *s, const sb_seq *q)
{
    int32_t have = -1;
    for (int32_t i = 0; i < s->n_run; i++) {
        sb_seq *r = s->run[i];
        if (r->o.scope != q->o.scope || r->o.priority < q->o.priority || is_out(r) ||
            atomic_load(&r->paused) || r->mark.node < 0 || r->session->n_pos >= r->o.n_ids)
            continue;
        const int32_t n = n_common(q, r, r->o.n_ids);
        int32_t there = SB_ALIGN_UP(n, SB_KV_PAGE);
        if (there > r->o.n_ids) there = r->o.n_ids;
        if (r->session->n_pos >= there) continue;
        if (have < 0) have = sb_prefix_find(s->prefix, q->o.scope, q->ids, q->n_all);
        if (n - have < WORTH_WAITING && 2 * (n - have) < q->n_all - have) continue;
        if (n <= have) continue;
        if (n > r->o.n_ids / SB_KV_PAGE * SB_KV_PAGE) r->is_wanted = true;
        return true;
    }
    return false;
}

/* Has those that run keep the pages they are filling, where q begins as they do. */
static void share_tails(sb_sched *s, const sb_seq *q)
{
    int32_t have = -1;
    for (int32_t i = 0; i < s->n_run; i++) {
        sb_seq *r = s->run[i];
        if (r->o.scope != q->o.scope || is_out(r)) continue;
        const int32_t n = n_common(q, r, r->session->n_pos);
        if (n < r->mark.n_kept + WORTH_COPYING) continue;
        if (have < 0) have = sb_prefix_find(s->prefix, q->o.scope, q->ids, q->n_all);
        if (n < have + WORTH_COPYING) continue;
        sb_prefix_keep_tail(s->prefix, r->session, r->ids, &r->mark);
        have = n;
    }
}

/* Whether q fits, were n_idle more sessions and `more` pages free. */
static bool fits(const sb_sched *s, const sb_seq *q, int32_t n_idle, const int32_t *more)
{
    if (s->n_idle + n_idle < 1) return false;
    for (int32_t g = 0; g < s->e->n_groups; g++)
        if (s->reserved[g] - more[g] + sb_seq_pages(q, g) > s->e->groups[g].n_pages) return false;
    return true;
}

/* True when q may take r's place: r is less urgent, or sleeps. */
static bool may_displace(const sb_seq *q, const sb_seq *r)
{
    if (r->is_ending) return false;
    return r->o.priority < q->o.priority ||
           (r->o.priority == q->o.priority && atomic_load(&r->paused));
}

/* Of those whose place q may take, the one to go first: a sleeper, then the least urgent, then who
 * came last. */
static sb_seq *find_victim(const sb_sched *s, const sb_seq *q)
{
    sb_seq *best = NULL;
    for (int32_t i = 0; i < s->n_run; i++) {
        sb_seq *r = s->run[i];
        if (!may_displace(q, r)) continue;
        const bool sleeps = atomic_load(&r->paused);
        const bool best_sleeps = best && atomic_load(&best->paused);
        if (!best || (sleeps && !best_sleeps) ||
            (sleeps == best_sleeps &&
             (r->o.priority < best->o.priority ||
              (r->o.priority == best->o.priority && r->arrival > best->arrival))))
            best = r;
    }
    return best;
}

void sb_sched_take_place(sb_sched *s, sb_seq *q, bool keep)
{
    int32_t i = 0;
    while (s->run[i] != q)
        i++;
    s->n_run--;
    memmove(s->run + i, s->run + i + 1, (size_t)(s->n_run - i) * sizeof(sb_seq *));
    if (keep) {
        sb_prefix_keep(s->prefix, q->session, q->ids, &q->mark);
        sb_prefix_keep_tail(s->prefix, q->session, q->ids, &q->mark);
    }
    sb_prefix_leave(s->prefix, &q->mark);
    sb_session_reset(q->session);
    s->idle[s->n_idle++] = q->session;
    q->session = NULL;
    for (int32_t g = 0; g < s->e->n_groups; g++)
        s->reserved[g] -= sb_seq_pages(q, g);
    q->share->promised -= q->work / q->share->weight;
}

/* Makes room for q among those it may displace; false, and nobody goes, when that is not enough. */
static bool make_room(sb_sched *s, const sb_seq *q)
{
    int32_t more[SB_MAX_KV_GROUPS] = {0}, n_idle = 0;
    if (fits(s, q, 0, more)) return true;
    for (int32_t i = 0; i < s->n_run; i++) {
        if (!may_displace(q, s->run[i])) continue;
        n_idle++;
        for (int32_t g = 0; g < s->e->n_groups; g++)
            more[g] += sb_seq_pages(s->run[i], g);
    }
    if (n_idle == 0 || !fits(s, q, n_idle, more)) return false;
    memset(more, 0, sizeof more);
    while (!fits(s, q, 0, more)) {
        sb_seq *v = find_victim(s, q);
        sb_sched_take_place(s, v, true);
        v->info.waiting = true;
        v->skip = true; /* a sleeper would be next, and go again */
        sb_sched_enqueue(s, v);
        s->stats.n_preempted++;
    }
    return true;
}

static void start(sb_sched *s, sb_seq *q)
{
    sb_sched_dequeue(s, q);
    share_tails(s, q);
    q->session = s->idle[--s->n_idle];
    sb_session_set_owner(q->session, q->o.owner);
    const int32_t n =
        sb_prefix_resume(s->prefix, q->o.scope, q->ids, q->n_all, q->session, &q->mark);
    if (!q->has_run) {
        q->n_cached = n;
        s->stats.n_cached_tok += (uint64_t)n;
    }
    q->has_run = true;
    if (q->n_high < n) q->n_high = n;
    for (int32_t g = 0; g < s->e->n_groups; g++)
        s->reserved[g] += sb_seq_pages(q, g);
    q->share->promised += q->work / q->share->weight;
    q->is_wanted = false;
    s->run[s->n_run++] = q;
    atomic_store(&q->state, SB_SEQ_RUNS);
}

static sb_seq *first_due(const sb_sched *s)
{
    sb_seq *best = NULL;
    for (sb_seq *q = s->first; q; q = q->next) {
        if (best && q->o.priority < best->o.priority) break;
        if (!q->skip && (!best || sb_seq_before(q, best))) best = q;
    }
    return best;
}

/* Whether anybody could get a place: who stands first could. */
static bool has_room(const sb_sched *s)
{
    if (!s->first) return false;
    bool room = s->n_idle > 0;
    for (int32_t i = 0; i < s->n_run && !room; i++)
        room = may_displace(s->first, s->run[i]);
    return room;
}

void sb_sched_admit(sb_sched *s)
{
    if (!has_room(s)) return;
    for (sb_seq *q = s->first; q; q = q->next)
        q->skip = atomic_load(&q->paused) || is_out(q);
    sb_sched_tag(s);
    /* Looking at everybody in a long queue could take longer than a step. */
    for (int32_t n_looks = 0; n_looks < 2 * s->n_slots + LOOKS; n_looks++) {
        sb_seq *q = first_due(s);
        if (!q) return;
        if (should_wait(s, q)) {
            q->skip = true;
            continue;
        }
        if (!make_room(s, q)) return;
        start(s, q);
        sb_sched_tag(s);
    }
}
