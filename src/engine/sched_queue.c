/* SPDX-License-Identifier: Apache-2.0
 * sched_queue.c - those that wait, their shares, and whose turn it is.
 *
 * Each share has a clock: the work done for it, divided by its weight, and what its running
 * sequences are still expected to cost. Its waiting sequences are due one after the other on that
 * clock; the one due first goes next. So many requests of one share stand behind the first of
 * another, and the order is known before anybody goes: that is the place a client is told. A share
 * that comes back starts no further back than the least served one that is there, so that nobody
 * saves up. */
#include "engine/sched_state.h"

#include <math.h>

enum { EXPECTED_TOKENS = 256 }; /* of an answer whose end nobody knows */

/* The clock of the least served share that is there. */
static double least_served(const sb_sched *s, const sb_share *but)
{
    double least = INFINITY, most = 0;
    for (int32_t i = 0; i < s->n_shares; i++) {
        const sb_share *x = &s->shares[i];
        if (x == but) continue;
        if (x->n_seqs && x->served < least) least = x->served;
        if (x->served > most) most = x->served;
    }
    return least < INFINITY ? least : most;
}

/* The entry of a share, or of one that is gone and was served least. */
static sb_share *find_entry(sb_sched *s, uint64_t id, bool *is_new)
{
    sb_share *gone = NULL;
    *is_new = false;
    for (int32_t i = 0; i < s->n_shares; i++) {
        sb_share *x = &s->shares[i];
        if (x->id == id) return x;
        if (!x->n_seqs && (!gone || x->served < gone->served)) gone = x;
    }
    *is_new = true;
    return s->n_shares < s->cap_shares ? &s->shares[s->n_shares++] : gone;
}

sb_share *sb_sched_share(sb_sched *s, uint64_t id, uint32_t weight)
{
    bool is_new = false;
    sb_share *x = find_entry(s, id, &is_new);
    if (is_new) *x = (sb_share){.id = id};
    if (x->n_seqs == 0) {
        const double least = least_served(s, x);
        if (x->served < least) x->served = least;
        x->promised = 0;
    }
    x->weight = weight ? weight : 1;
    x->n_seqs++;
    return x;
}

/* Higher priority first, then who came first. */
static bool stands_before(const sb_seq *a, const sb_seq *b)
{
    if (a->o.priority != b->o.priority) return a->o.priority > b->o.priority;
    return a->arrival < b->arrival;
}

bool sb_seq_before(const sb_seq *a, const sb_seq *b)
{
    if (a->o.priority != b->o.priority) return a->o.priority > b->o.priority;
    if (a->tag != b->tag) return a->tag < b->tag;
    return a->arrival < b->arrival;
}

void sb_sched_enqueue(sb_sched *s, sb_seq *q)
{
    sb_seq *after = s->last;
    while (after && stands_before(q, after))
        after = after->prev;
    q->prev = after;
    q->next = after ? after->next : s->first;
    *(q->prev ? &q->prev->next : &s->first) = q;
    *(q->next ? &q->next->prev : &s->last) = q;
    s->n_waiting++;
    atomic_store(&q->state, SB_SEQ_WAITS);
    /* Work still to be done: what is not computed, and an answer of usual length. */
    const int32_t left = q->n_most - q->n_all;
    q->work = (double)q->n_all + (left < EXPECTED_TOKENS ? left : EXPECTED_TOKENS);
}

void sb_sched_dequeue(sb_sched *s, sb_seq *q)
{
    *(q->prev ? &q->prev->next : &s->first) = q->next;
    *(q->next ? &q->next->prev : &s->last) = q->prev;
    q->prev = q->next = NULL;
    s->n_waiting--;
}

void sb_sched_tag(sb_sched *s)
{
    for (int32_t i = 0; i < s->n_shares; i++)
        s->shares[i].tag = s->shares[i].served + s->shares[i].promised;
    for (sb_seq *q = s->first; q; q = q->next) {
        q->tag = q->share->tag;
        if (!atomic_load(&q->paused)) q->share->tag += q->work / q->share->weight;
    }
}

void sb_sched_serve(sb_seq *q, double work)
{
    const double kept = work < q->work ? work : q->work;
    q->share->served += work / q->share->weight;
    q->share->promised -= kept / q->share->weight;
    q->work -= kept;
}

int32_t sb_seq_pages(const sb_seq *q, int32_t group)
{
    const sb_kv_group *g = &q->sched->e->groups[group];
    /* The last token drawn is never fed. */
    const int32_t n_pos = q->n_most > q->o.n_ids ? q->n_most - 1 : q->n_most;
    const int32_t n = (n_pos + SB_KV_PAGE - 1) / SB_KV_PAGE;
    return n < g->n_worst ? n : g->n_worst;
}

int32_t sb_seq_place(const sb_seq *q)
{
    if (atomic_load(&q->state) != SB_SEQ_WAITS) return 0;
    sb_sched *s = q->sched;
    int32_t n = 0;
    (void)pthread_mutex_lock(&s->lock);
    sb_sched_tag(s);
    const bool waits = atomic_load(&q->state) == SB_SEQ_WAITS;
    for (const sb_seq *x = s->first; waits && x; x = x->next)
        n += x != q && !atomic_load(&x->paused) && sb_seq_before(x, q);
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

sb_sched_stats sb_sched_get_stats(const sb_sched *shared)
{
    sb_sched *s = (sb_sched *)shared; /* only its lock is written */
    (void)pthread_mutex_lock(&s->lock);
    sb_sched_stats stats = s->stats;
    stats.n_waiting = s->n_waiting;
    (void)pthread_mutex_unlock(&s->lock);
    return stats;
}

size_t sb_sched_list(const sb_sched *shared, sb_seq_info *out, size_t cap)
{
    sb_sched *s = (sb_sched *)shared; /* only its lock and scratch are written */
    size_t n = 0;
    (void)pthread_mutex_lock(&s->lock);
    sb_sched_tag(s);
    for (int32_t i = 0; i < s->n_run; i++, n++)
        if (n < cap) out[n] = s->run[i]->info;
    for (const sb_seq *q = s->first; q; q = q->next, n++) {
        if (n >= cap) continue;
        out[n] = q->info;
        for (const sb_seq *x = s->first; x; x = x->next)
            out[n].place += x != q && !atomic_load(&x->paused) && sb_seq_before(x, q);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}
