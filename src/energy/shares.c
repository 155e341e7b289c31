/* SPDX-License-Identifier: Apache-2.0
 * shares.c - step times to accounts, readings to microjoules.
 *
 * A part of a reading is found as the difference of two rounded running sums, so that any number of
 * parts adds up without a table: whole * (w0 + ... + wi) / sum, each rounded down. That is within
 * one microjoule of the exact share, and needs no memory. */
#include "energy/shares.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

__extension__ typedef unsigned __int128 wide;

struct sb_shares {
    pthread_mutex_t lock; /* guards all below, and the open accounts */
    sb_meter *meter;
    sb_meter_mark mark; /* of the last reading */
    sb_share_account *first;
    uint64_t n_owners;
    uint64_t nobody_ns; /* of steps whose owner has no account */
    sb_shares_totals totals;
};

sb_status sb_shares_open(sb_shares **out, sb_meter *m, sb_error *err)
{
    sb_shares *s = sb_calloc(1, sizeof *s);
    if (!s) return SB_FAIL(err, SB_NO_MEMORY, "energy: out of memory");
    (void)pthread_mutex_init(&s->lock, NULL);
    s->meter = m;
    s->mark = sb_meter_begin(m);
    *out = s;
    return SB_OK;
}

void sb_shares_close(sb_shares *s)
{
    if (!s) return;
    (void)pthread_mutex_destroy(&s->lock);
    sb_free(s);
}

/* A running split: take(w) for every weight gives parts that sum to the whole. */
typedef struct split {
    int64_t whole, given;
    uint64_t sum, seen; /* of the weights: all, and those that came */
} split;

static int64_t take(split *p, uint64_t weight)
{
    p->seen += weight;
    const wide upto = (wide)p->whole * p->seen / p->sum;
    const int64_t part = (int64_t)upto - p->given;
    p->given = (int64_t)upto;
    return part;
}

/* What is not known of one stretch is not known of the whole; a sum with estimates is one. */
static void add_words(sb_energy *sum, const sb_energy *e)
{
    if (sum->source == SB_ENERGY_UNAVAILABLE && sum->method) return;
    const bool fresh = !sum->method,
               worse = e->source == SB_ENERGY_UNAVAILABLE ||
                       (sum->source == SB_ENERGY_MEASURED && e->source == SB_ENERGY_ESTIMATED);
    if (!fresh && !worse) return;
    sum->source = e->source;
    sum->method = e->method;
    memcpy(sum->meter, e->meter, sizeof sum->meter);
    memcpy(sum->scope, e->scope, sizeof sum->scope);
}

/* Reads the meter and gives everyone the part of the steps since the last reading. */
static void settle(sb_shares *s)
{
    const sb_energy e = sb_meter_lap(s->meter, &s->mark);
    uint64_t sum = s->nobody_ns;
    for (const sb_share_account *a = s->first; a; a = a->next)
        sum += a->prefill_ns + a->decode_ns;
    s->totals.source = e.source;
    if (sum == 0) { /* an estimate of idling is no reading */
        if (e.source == SB_ENERGY_MEASURED) s->totals.nobody_uj += e.energy_uj;
        return;
    }
    split mid = {.whole = e.energy_uj, .sum = sum}, lo = {.whole = e.lo_uj, .sum = sum};
    split hi = {.whole = e.hi_uj, .sum = sum}, cpu = {.whole = (int64_t)e.cpu_ns, .sum = sum};
    for (sb_share_account *a = s->first; a; a = a->next) {
        const uint64_t ns = a->prefill_ns + a->decode_ns;
        const int64_t prefill_uj = take(&mid, a->prefill_ns);
        const int64_t decode_uj = take(&mid, a->decode_ns);
        a->sum.prefill_uj += prefill_uj;
        a->sum.energy_uj += prefill_uj + decode_uj;
        a->sum.lo_uj += take(&lo, ns);
        a->sum.hi_uj += take(&hi, ns);
        a->sum.cpu_ns += (uint64_t)take(&cpu, ns);
        if (ns) add_words(&a->sum, &e);
        if (ns) a->sum.ratio = e.ratio * (double)ns / (double)sum;
        a->prefill_ns = a->decode_ns = 0;
    }
    s->totals.owned_uj += mid.given;
    s->totals.nobody_uj += e.energy_uj - mid.given;
    s->nobody_ns = 0;
}

void sb_shares_begin(sb_shares *s, sb_share_account *a)
{
    (void)pthread_mutex_lock(&s->lock);
    if (!s->first) settle(s); /* what nobody asked for is nobody's */
    *a = (sb_share_account){.owner = ++s->n_owners, .begin_ns = sb_now_ns(), .next = s->first};
    if (s->first) s->first->prev = a;
    s->first = a;
    (void)pthread_mutex_unlock(&s->lock);
}

sb_energy sb_shares_end(sb_shares *s, sb_share_account *a)
{
    (void)pthread_mutex_lock(&s->lock);
    settle(s);
    *(a->prev ? &a->prev->next : &s->first) = a->next;
    if (a->next) a->next->prev = a->prev;
    (void)pthread_mutex_unlock(&s->lock);
    sb_energy e = a->sum;
    e.duration_ns = sb_now_ns() - a->begin_ns;
    if (!e.method) { /* no step was made for it: it cost nothing that can be told apart */
        e.source = SB_ENERGY_ESTIMATED;
        e.method = "no_work";
        e.ratio = 0;
    } else if (e.energy_uj < e.lo_uj) { /* sums of rounded parts */
        e.lo_uj = e.energy_uj;
    }
    return e;
}

static sb_share_account *find(const sb_shares *s, uint64_t owner)
{
    sb_share_account *a = s->first;
    while (a && a->owner != owner)
        a = a->next;
    return a;
}

static uint64_t tokens_of(const sb_work_part *p)
{
    return (uint64_t)p->n_prefill + (uint64_t)p->n_decode + (uint64_t)p->n_recomputed +
           (uint64_t)p->n_rejected;
}

void sb_shares_step(sb_shares *s, const sb_work_record *r)
{
    (void)pthread_mutex_lock(&s->lock);
    split time = {.whole = (int64_t)(r->end_ns - r->begin_ns)};
    for (int32_t i = 0; i < r->n_part; i++)
        time.sum += tokens_of(&r->parts[i]);
    for (int32_t i = 0; i < r->n_part && time.sum; i++) {
        const sb_work_part *p = &r->parts[i];
        sb_share_account *a = find(s, p->owner);
        const uint64_t ns = (uint64_t)take(&time, tokens_of(p));
        *(!a ? &s->nobody_ns : p->n_decode ? &a->decode_ns : &a->prefill_ns) += ns;
    }
    if (sb_now_ns() - s->mark.now_ns >= SB_SHARES_WINDOW_NS) settle(s);
    (void)pthread_mutex_unlock(&s->lock);
}

sb_shares_totals sb_shares_get_totals(sb_shares *s)
{
    (void)pthread_mutex_lock(&s->lock);
    const sb_shares_totals t = s->totals;
    (void)pthread_mutex_unlock(&s->lock);
    return t;
}
