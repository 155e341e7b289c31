/* SPDX-License-Identifier: Apache-2.0
 * budget.c - a list of pots, one for each key that has a limit and was seen.
 *
 * The day's sum is read once a day and key, for the answers since then are in the pot already: what
 * waits to be written, what is being written and what still runs need not be told apart. So a pot
 * is kept, and emptied, also while a factor is missing: it may come back. */
#include "server/budget.h"

#include "base/alloc.h"

#include <pthread.h>

__extension__ typedef __int128 wide;

enum { DAY_S = 86400 };

typedef struct pot {
    struct pot *next;
    int64_t key, day;
    sb_budget_limits limits;
    int64_t limit_uj; /* what it was filled to; INT64_MAX: nothing limits */
    sb_energy_pot pot;
} pot;

struct sb_budgets {
    pthread_mutex_t lock; /* guards the list, the filling of pots, and the rates */
    pot *first;
    sb_budget_rates rates;
    sb_budget_read read;
    void *ctx;
};

sb_status sb_budgets_new(sb_budgets **out, const sb_budget_rates *rates, sb_budget_read read,
                         void *ctx, sb_error *err)
{
    sb_budgets *b = sb_calloc(1, sizeof *b);
    if (!b) return SB_FAIL(err, SB_NO_MEMORY, "budgets: out of memory");
    (void)pthread_mutex_init(&b->lock, NULL);
    b->rates = *rates;
    b->read = read;
    b->ctx = ctx;
    *out = b;
    return SB_OK;
}

void sb_budgets_free(sb_budgets *b)
{
    if (!b) return;
    for (pot *p = b->first, *next; p; p = next) {
        next = p->next;
        sb_free(p);
    }
    (void)pthread_mutex_destroy(&b->lock);
    sb_free(b);
}

/* n units of which a kilowatt-hour, 3.6e12 microjoules, makes per_kwh. */
static int64_t uj_of(int64_t n, int64_t per_kwh)
{
    const wide uj = (wide)n * INT64_C(3600000000000) / per_kwh;
    return uj > INT64_MAX ? INT64_MAX : uj < 1 ? 1 : (int64_t)uj;
}

int64_t sb_budget_day_uj(const sb_budget_limits *l, const sb_budget_rates *rates)
{
    int64_t least = l->uj > 0 ? l->uj : INT64_MAX;
    if (l->co2e_ug > 0 && rates->mg_per_kwh > 0) {
        const int64_t uj = uj_of(l->co2e_ug, 1000 * rates->mg_per_kwh);
        if (uj < least) least = uj;
    }
    if (l->cost_nano > 0 && rates->nano_per_kwh > 0) {
        const int64_t uj = uj_of(l->cost_nano, rates->nano_per_kwh);
        if (uj < least) least = uj;
    }
    return least == INT64_MAX ? 0 : least;
}

/* Lock held. */
static pot *find(const sb_budgets *b, int64_t key)
{
    pot *p = b->first;
    while (p && p->key != key)
        p = p->next;
    return p;
}

/* Lock held: INT64_MAX when nothing limits. */
static int64_t limit_of(const sb_budgets *b, const sb_budget_limits *l)
{
    const int64_t uj = sb_budget_day_uj(l, &b->rates);
    return uj ? uj : INT64_MAX;
}

/* Lock held: a pot's limit by the rates in force; what was used of it stays used. */
static void tune(const sb_budgets *b, pot *p)
{
    const int64_t limit_uj = limit_of(b, &p->limits);
    atomic_fetch_add(&p->pot.left_uj, limit_uj - p->limit_uj);
    p->limit_uj = limit_uj;
}

void sb_budgets_set_rates(sb_budgets *b, const sb_budget_rates *rates)
{
    (void)pthread_mutex_lock(&b->lock);
    b->rates = *rates;
    for (pot *p = b->first; p; p = p->next)
        tune(b, p);
    (void)pthread_mutex_unlock(&b->lock);
}

static sb_budget_state state_of(const pot *p, int64_t now_s)
{
    const int64_t left = (int64_t)atomic_load(&p->pot.left_uj);
    return (sb_budget_state){.limit_uj = p->limit_uj == INT64_MAX ? 0 : p->limit_uj,
                             .left_uj = left > 0 ? left : 0,
                             .retry_s = DAY_S - (int)(now_s % DAY_S)};
}

/* Lock held: the key's pot, filled for the day. */
static sb_status fill(sb_budgets *b, int64_t key, const sb_budget_limits *l, int64_t day, pot **out,
                      sb_error *err)
{
    pot *p = find(b, key);
    if (p && p->day == day) {
        p->limits = *l;
        tune(b, p);
        *out = p;
        return SB_OK;
    }
    int64_t used = 0;
    SB_TRY(b->read(b->ctx, key, day, &used, err));
    if (!p) {
        p = sb_calloc(1, sizeof *p);
        if (!p) return SB_FAIL(err, SB_NO_MEMORY, "budgets: out of memory");
        p->key = key;
        p->next = b->first;
        b->first = p;
    }
    p->day = day;
    p->limits = *l;
    p->limit_uj = limit_of(b, l);
    atomic_store(&p->pot.left_uj, p->limit_uj - used); /* at once: answers may be taking from it */
    *out = p;
    return SB_OK;
}

static bool has_limit(const sb_budget_limits *l)
{
    return l->uj > 0 || l->co2e_ug > 0 || l->cost_nano > 0;
}

sb_status sb_budget_begin(sb_budgets *b, int64_t key, const sb_budget_limits *l, int64_t now_s,
                          sb_energy_pot **out_pot, sb_budget_state *out_state, sb_error *err)
{
    pot *p = NULL;
    *out_pot = NULL;
    *out_state = (sb_budget_state){0};
    if (!has_limit(l)) return SB_OK;
    (void)pthread_mutex_lock(&b->lock);
    const sb_status s = fill(b, key, l, now_s / DAY_S, &p, err);
    if (s == SB_OK) {
        *out_pot = &p->pot;
        *out_state = state_of(p, now_s);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return s;
}

void sb_budget_settle(sb_budgets *b, int64_t key, int64_t more_uj, int64_t now_s)
{
    (void)pthread_mutex_lock(&b->lock);
    pot *p = find(b, key);
    if (p && p->day == now_s / DAY_S) (void)atomic_fetch_sub(&p->pot.left_uj, more_uj);
    (void)pthread_mutex_unlock(&b->lock);
}

sb_budget_state sb_budget_look(sb_budgets *b, int64_t key, const sb_budget_limits *l, int64_t now_s)
{
    if (!has_limit(l)) return (sb_budget_state){0};
    (void)pthread_mutex_lock(&b->lock);
    const pot *p = find(b, key);
    const sb_budget_state st =
        p && p->day == now_s / DAY_S ? state_of(p, now_s) : (sb_budget_state){0};
    (void)pthread_mutex_unlock(&b->lock);
    return st;
}
