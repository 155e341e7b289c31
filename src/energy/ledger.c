/* SPDX-License-Identifier: Apache-2.0
 * ledger.c - steps to weights, ticks to accounts.
 *
 * An answer that ends inside a tick leaves its weights with a copy of its account, so that the tick
 * still finds them when it closes; there is room for LATE of these, more than end in a tenth of a
 * second. Where the meter failed, what it could tell is lost, and the answers get an estimate
 * beside it, in a tick of its own: the sum stays the meter, and no receipt is empty. */
#include "energy/ledger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "energy/split.h"

__extension__ typedef unsigned __int128 wide;

enum { CHAINS = 256, LATE = 256, IDLE_SECONDS = 30, PARTS_OF_STEP = 128 };

/* An account that ended inside an open tick. */
typedef struct late {
    sb_ledger_account a;
    bool settled;
} late;

struct sb_ledger {
    pthread_mutex_t lock; /* guards all below, and the open accounts */
    sb_ledger_opts o;
    sb_meter_mark mark; /* where the open tick begins */
    sb_ledger_account *chain[CHAINS];
    size_t n_open;
    uint64_t n_owners, n_late; /* late ones so far: the newest LATE are kept */
    late *late;
    uint64_t system_pj, steps_ns; /* of the open tick */
    int64_t idle_mw;
    sb_ledger_totals measured, estimated;
    sb_energy_source source;
    sb_stretch peek; /* of the open tick, and the event after which it was read */
    uint64_t n_events, peek_event;
    sb_split_item *items; /* scratch for a tick */
    sb_ledger_account **who;
    sb_tick_part *parts;
    size_t cap;
    uint64_t *step_pj;
    size_t step_cap;
};

/* ---- accounts ---- */

static sb_ledger_account *find(const sb_ledger *l, uint64_t owner)
{
    sb_ledger_account *a = l->chain[owner % CHAINS];
    while (a && a->owner != owner)
        a = a->next;
    return a;
}

static uint64_t weight_of(const sb_ledger_account *a)
{
    return a->open.prefill_pj + a->open.decode_pj + a->open.recompute_pj;
}

/* Room for a tick of n accounts and the system. */
static bool make_room(sb_ledger *l, size_t n)
{
    if (n <= l->cap) return true;
    const size_t cap = n + n / 2;
    sb_split_item *items = sb_realloc(l->items, cap, sizeof *items);
    if (items) l->items = items;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
    sb_ledger_account **who = sb_realloc(l->who, cap, sizeof *who);
    if (who) l->who = who;
    sb_tick_part *parts = sb_realloc(l->parts, cap, sizeof *parts);
    if (parts) l->parts = parts;
    if (!items || !who || !parts) return false;
    l->cap = cap;
    return true;
}

static late *late_of(const sb_ledger *l, uint64_t i)
{
    return &l->late[i % LATE];
}

static uint64_t first_late(const sb_ledger *l)
{
    return l->n_late > LATE ? l->n_late - LATE : 0;
}

/* ---- one tick ---- */

/* Everybody who worked in the open tick, the older first, and the sum of their weights. */
static size_t gather(sb_ledger *l)
{
    size_t n = 0;
    for (uint64_t i = first_late(l); i < l->n_late; i++)
        if (!late_of(l, i)->settled) l->who[n++] = &late_of(l, i)->a;
    for (int c = 0; c < CHAINS; c++)
        for (sb_ledger_account *a = l->chain[c]; a; a = a->next)
            if (weight_of(a)) l->who[n++] = a;
    return n;
}

/* What of a stretch is to be shared, and what is not. */
typedef struct cut {
    int64_t idle_uj, other_uj, shared_uj;
    int64_t steps_ns; /* time in steps, without other programs' part */
} cut;

/* ns of a power, in microjoules. */
static int64_t energy_of(int64_t mw, uint64_t ns)
{
    return (int64_t)((wide)(uint64_t)mw * ns / 1000000);
}

static int64_t part_of(int64_t whole, uint64_t share, wide all)
{
    return all && whole > 0 ? (int64_t)((wide)(uint64_t)whole * share / all) : 0;
}

static cut cut_of(const sb_ledger *l, const sb_stretch *t, int64_t all_uj, bool worked)
{
    cut c = {.idle_uj = all_uj};
    if (!worked) return c; /* nobody asked for anything */
    const uint64_t still_ns = t->duration_ns > l->steps_ns ? t->duration_ns - l->steps_ns : 0;
    c.idle_uj = t->source == SB_ENERGY_MEASURED ? energy_of(l->idle_mw, still_ns) : 0;
    if (c.idle_uj > all_uj) c.idle_uj = all_uj;
    const int64_t awake_uj = all_uj - c.idle_uj;
    if (t->all_uj > 0)
        c.other_uj =
            (int64_t)((wide)(uint64_t)awake_uj * (uint64_t)t->other_uj / (uint64_t)t->all_uj);
    c.shared_uj = awake_uj - c.other_uj;
    const int64_t steps_ns = (int64_t)(t->duration_ns - still_ns); /* several engines' at once */
    c.steps_ns = awake_uj > 0 ? part_of(steps_ns, (uint64_t)c.shared_uj, (wide)(uint64_t)awake_uj)
                              : steps_ns;
    return c;
}

/* What is not known of one stretch is not known of the whole; a sum with estimates is one. */
static void add_words(sb_energy *sum, const sb_stretch *t)
{
    const bool worse = sum->source == SB_ENERGY_MEASURED && t->source == SB_ENERGY_ESTIMATED;
    if (sum->method && !worse) return;
    sum->source = t->source;
    sum->method = t->method;
    memcpy(sum->meter, t->meter, sizeof sum->meter);
    memcpy(sum->scope, t->scope, sizeof sum->scope);
}

/* Sums over everybody that shares of one account are taken of. */
typedef struct sums {
    wide weight, rule[SB_LEDGER_RULES];
} sums;

static sums sums_of(const sb_ledger *l, size_t n)
{
    sums s = {.weight = l->system_pj};
    for (size_t i = 0; i < n; i++) {
        s.weight += weight_of(l->who[i]);
        for (int k = 0; k < SB_LEDGER_RULES; k++)
            s.rule[k] += l->who[i]->open.rule[k];
    }
    return s;
}

/* Adds uj of the shared to an account, and what goes with it. */
static void give(sb_ledger_account *a, const sb_stretch *t, const sums *s, const cut *c, int64_t uj)
{
    const uint64_t own_pj = weight_of(a);
    sb_energy *e = &a->sum;
    const int64_t prefill_uj = part_of(uj, a->open.prefill_pj, own_pj);
    const int64_t again_uj = part_of(uj, a->open.recompute_pj, own_pj);
    /* The range is the stretch's, moved as idling moved its middle. */
    const int64_t mid_uj =
        t->source == SB_ENERGY_MEASURED ? t->all_uj - t->other_uj : t->estimate_uj;
    e->energy_uj += uj;
    e->prefill_uj += prefill_uj;
    e->recompute_uj += again_uj;
    if (t->source == SB_ENERGY_ESTIMATED) e->estimated_uj += uj;
    e->lo_uj += mid_uj > 0 ? part_of(uj, (uint64_t)t->lo_uj, (wide)(uint64_t)mid_uj) : 0;
    e->hi_uj += mid_uj > 0 ? part_of(uj, (uint64_t)t->hi_uj, (wide)(uint64_t)mid_uj) + 1 : uj;
    e->cpu_ns += (uint64_t)part_of((int64_t)t->cpu_ns, own_pj, s->weight);
    e->ratio = t->ratio * (double)own_pj / (double)s->weight;
    e->share_ns += (uint64_t)part_of(c->steps_ns, own_pj, s->weight);
    if (!e->method || t->wall.n == 0) e->wall = t->wall; /* a fit holds for all of it, or not */
    add_words(e, t);
    for (int k = 0; k < SB_LEDGER_RULES; k++)
        a->rule_uj[k] += part_of(c->shared_uj, a->open.rule[k], s->rule[k]);
}

/* The parts of a tick, the older owner first. */
static int by_owner(const void *a, const void *b)
{
    const sb_tick_part *x = a, *y = b;
    return (x->owner > y->owner) - (x->owner < y->owner);
}

/* Shares a stretch of the meter, or the estimate beside a lost one, out and writes it down. */
static void share_out(sb_ledger *l, const sb_stretch *t, int64_t all_uj, size_t n)
{
    const sums s = sums_of(l, n);
    const cut c = cut_of(l, t, all_uj, s.weight > 0);
    sb_tick tick = {.begin_ns = l->mark.now_ns - t->duration_ns,
                    .end_ns = l->mark.now_ns,
                    .source = t->source,
                    .meter_uj = all_uj,
                    .idle_uj = c.idle_uj,
                    .other_uj = c.other_uj,
                    .sum_uj = l->mark.sum_uj,
                    .parts = l->parts};
    for (size_t i = 0; i < n; i++)
        l->items[i] = (sb_split_item){.owner = l->who[i]->owner, .weight = weight_of(l->who[i])};
    l->items[n] = (sb_split_item){.owner = 0, .weight = l->system_pj};
    (void)sb_split_whole(c.shared_uj, l->items, n + 1);
    sb_ledger_totals *sum = t->source == SB_ENERGY_MEASURED ? &l->measured : &l->estimated;
    for (size_t i = 0; i <= n; i++) {
        const sb_split_item *x = &l->items[i];
        if (x->owner == 0)
            tick.system_uj = x->uj;
        else if (x->weight)
            l->parts[tick.n_part++] = (sb_tick_part){x->owner, x->uj};
    }
    qsort(l->parts, tick.n_part, sizeof *l->parts, by_owner);
    if (l->o.on_tick) l->o.on_tick(l->o.ctx, &tick);
    for (size_t i = 0; i < n; i++) {
        const sb_tick_part key = {.owner = l->who[i]->owner};
        const sb_tick_part *p = bsearch(&key, l->parts, tick.n_part, sizeof key, by_owner);
        if (!p) continue;
        give(l->who[i], t, &s, &c, p->uj);
        sum->owned_uj += p->uj;
    }
    sum->meter_uj += all_uj;
    sum->idle_uj += c.idle_uj;
    sum->other_uj += c.other_uj;
    sum->system_uj += tick.system_uj;
    l->source = t->source;
}

static void write_lost(sb_ledger *l, const sb_stretch *t)
{
    const sb_tick tick = {.begin_ns = l->mark.now_ns - t->duration_ns,
                          .end_ns = l->mark.now_ns,
                          .source = SB_ENERGY_MEASURED,
                          .meter_uj = t->all_uj,
                          .lost_uj = t->all_uj,
                          .lost_ns = t->duration_ns,
                          .sum_uj = l->mark.sum_uj};
    if (l->o.on_tick) l->o.on_tick(l->o.ctx, &tick);
    l->measured.meter_uj += t->all_uj;
    l->measured.lost_uj += t->all_uj;
    l->measured.lost_ns += t->duration_ns;
}

/* The words and the ends of a sum that an answer is told. */
static void finish(sb_ledger_account *a)
{
    sb_energy *e = &a->sum;
    e->concurrency = a->busy_ns ? (double)a->answers_ns / (double)a->busy_ns : 0;
    e->split_lo_uj = e->split_hi_uj = e->energy_uj;
    for (int k = 0; k < SB_LEDGER_RULES; k++) {
        if (a->rule_uj[k] < e->split_lo_uj) e->split_lo_uj = a->rule_uj[k];
        if (a->rule_uj[k] > e->split_hi_uj) e->split_hi_uj = a->rule_uj[k];
    }
    if (!e->method) { /* no step was made for it: it cost nothing that can be told apart */
        e->source = SB_ENERGY_ESTIMATED;
        e->method = "no_work";
        e->ratio = 0;
    }
    if (e->energy_uj < e->lo_uj) e->lo_uj = e->energy_uj; /* sums of rounded parts */
    if (e->energy_uj > e->hi_uj) e->hi_uj = e->energy_uj;
}

/* What ended in the tick is settled; what goes on begins the next one with nothing. */
static void clear(sb_ledger *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memset(&l->who[i]->open, 0, sizeof l->who[i]->open);
    for (uint64_t i = first_late(l); i < l->n_late; i++) {
        late *x = late_of(l, i);
        if (x->settled) continue;
        x->settled = true;
        x->a.sum.settled = true;
        finish(&x->a);
        if (l->o.on_settled) l->o.on_settled(l->o.ctx, x->a.owner, &x->a.sum);
    }
    l->system_pj = l->steps_ns = 0;
}

/* The least power that the machine was seen to draw while nobody asked for anything. */
static void learn_idle(sb_ledger *l, const sb_stretch *t)
{
    if (t->source != SB_ENERGY_MEASURED || t->all_uj <= 0) return;
    if (t->duration_ns < UINT64_C(1000000000) * IDLE_SECONDS) return;
    const int64_t mw = (int64_t)((wide)(uint64_t)t->all_uj * 1000000 / t->duration_ns);
    if (mw > 0 && (l->idle_mw == 0 || mw < l->idle_mw)) l->idle_mw = mw;
}

static bool has_work(const sb_ledger *l)
{
    return l->steps_ns > 0 || l->system_pj > 0;
}

/* Closes the open tick unless it is too short for the meter to tell. */
static bool close_tick(sb_ledger *l)
{
    const sb_stretch t = sb_meter_stretch(l->o.meter, &l->mark);
    l->n_events++;
    if (t.is_short) return false;
    const size_t n = gather(l);
    if (!has_work(l)) learn_idle(l, &t);
    if (t.is_lost) write_lost(l, &t);
    if (!t.is_lost)
        share_out(l, &t, t.all_uj, n);
    else if (has_work(l))
        share_out(l, &t, t.estimate_uj, n);
    clear(l, n);
    return true;
}

static bool is_due(const sb_ledger *l)
{
    return sb_now_ns() - l->mark.now_ns >= l->o.tick_ns;
}

/* ---- the room's users ---- */

static void free_all(sb_ledger *l)
{
    sb_free(l->late);
    sb_free(l->step_pj);
    sb_free(l->items);
    sb_free(l->who);
    sb_free(l->parts);
    sb_free(l);
}

sb_status sb_ledger_open(sb_ledger **out, const sb_ledger_opts *o, sb_error *err)
{
    sb_ledger *l = sb_calloc(1, sizeof *l);
    if (!l) return SB_FAIL(err, SB_NO_MEMORY, "energy ledger: out of memory");
    l->late = sb_calloc(LATE, sizeof *l->late);
    l->step_pj = sb_calloc(PARTS_OF_STEP, sizeof *l->step_pj);
    if (!l->late || !l->step_pj || !make_room(l, LATE + 2)) {
        free_all(l);
        return SB_FAIL(err, SB_NO_MEMORY, "energy ledger: out of memory");
    }
    (void)pthread_mutex_init(&l->lock, NULL);
    l->o = *o;
    l->n_owners = o->first_owner;
    l->idle_mw = o->idle_mw;
    l->step_cap = PARTS_OF_STEP;
    l->n_events = 1;
    l->mark = sb_meter_begin(o->meter);
    *out = l;
    return SB_OK;
}

void sb_ledger_close(sb_ledger *l)
{
    if (!l) return;
    (void)close_tick(l);
    (void)pthread_mutex_destroy(&l->lock);
    free_all(l);
}

void sb_ledger_begin(sb_ledger *l, sb_ledger_account *a)
{
    (void)pthread_mutex_lock(&l->lock);
    if (!has_work(l) || (l->n_open == 0 && is_due(l)))
        (void)close_tick(l); /* what nobody asked for is idle */
    *a = (sb_ledger_account){.owner = ++l->n_owners, .begin_ns = sb_now_ns()};
    if (make_room(l, l->n_open + LATE + 2)) { /* else its steps are the system's */
        sb_ledger_account **head = &l->chain[a->owner % CHAINS];
        a->next = *head;
        a->at = head;
        if (a->next) a->next->at = &a->next;
        *head = a;
        l->n_open++;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

/* The open tick so far, read once after each step: many budgets ask behind the same one. */
static sb_stretch peek(sb_ledger *l)
{
    if (l->peek_event != l->n_events) {
        sb_meter_mark mark = l->mark;
        l->peek = sb_meter_stretch(l->o.meter, &mark);
        l->peek_event = l->n_events;
    }
    return l->peek;
}

/* The account as it would be if the open tick closed now. */
static void guess_open(sb_ledger *l, sb_ledger_account *a)
{
    const size_t n = gather(l);
    const sums s = sums_of(l, n);
    if (weight_of(a) == 0 || s.weight == 0) return;
    const sb_stretch t = peek(l);
    const bool counted = !t.is_lost && !t.is_short;
    const cut c = cut_of(l, &t, counted ? t.all_uj : t.estimate_uj, true);
    give(a, &t, &s, &c, part_of(c.shared_uj, weight_of(a), s.weight));
}

/* Keeps an account whose last weights lie in the open tick. One that is still open after so many
 * others ended is the system's. */
static void keep_late(sb_ledger *l, const sb_ledger_account *a)
{
    late *x = late_of(l, l->n_late++);
    if (!x->settled) l->system_pj += weight_of(&x->a);
    *x = (late){.a = *a, .settled = a->sum.settled};
}

sb_energy sb_ledger_end(sb_ledger *l, sb_ledger_account *a)
{
    (void)pthread_mutex_lock(&l->lock);
    if (weight_of(a) && is_due(l)) (void)close_tick(l);
    if (a->at) {
        *a->at = a->next;
        if (a->next) a->next->at = a->at;
        l->n_open--;
    }
    l->n_events++; /* its last words count as well */
    a->sum.settled = weight_of(a) == 0;
    a->sum.duration_ns = sb_now_ns() - a->begin_ns;
    if (a->sum.settled) finish(a);
    keep_late(l, a);
    if (!a->sum.settled) {
        guess_open(l, a);
        finish(a);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return a->sum;
}

bool sb_ledger_settled(sb_ledger *l, uint64_t owner, sb_energy *out)
{
    (void)pthread_mutex_lock(&l->lock);
    bool found = false;
    for (uint64_t i = first_late(l); i < l->n_late && !found; i++) {
        late *x = late_of(l, i);
        if (x->a.owner != owner) continue;
        if (!x->settled && is_due(l)) (void)close_tick(l);
        found = x->settled;
        if (found) *out = x->a.sum;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return found;
}

/* One part's share of a step, by what its tokens were. */
static void add_part(sb_ledger_account *a, const sb_work_part *p, uint64_t pj, uint64_t step_ns,
                     uint64_t n_owner)
{
    const uint64_t n_again = (uint64_t)p->n_recomputed;
    const uint64_t n_tok =
        (uint64_t)p->n_prefill + (uint64_t)p->n_decode + (uint64_t)p->n_rejected + n_again;
    const uint64_t again_pj = (uint64_t)part_of((int64_t)pj, n_again, n_tok);
    const uint64_t new_pj = pj - again_pj;
    a->open.recompute_pj += again_pj;
    *(p->n_decode || p->n_rejected ? &a->open.decode_pj : &a->open.prefill_pj) += new_pj;
    a->sum.n_rejected_tok += p->n_rejected;
    a->open.rule[0] += n_tok;
    a->open.rule[1] += step_ns;
    a->open.rule[2] = 1;
    a->busy_ns += step_ns;
    a->answers_ns += step_ns * n_owner;
}

void sb_ledger_step(sb_ledger *l, const sb_work_record *r)
{
    if (r->n_part <= 0) return;
    (void)pthread_mutex_lock(&l->lock);
    const size_t n = (size_t)r->n_part;
    if (n > l->step_cap) {
        uint64_t *more = sb_realloc(l->step_pj, n, sizeof *more);
        if (more) l->step_pj = more;
        if (more) l->step_cap = n;
    }
    const uint64_t step_ns = r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0;
    uint64_t n_bytes = r->dense_bytes;
    for (size_t i = 0; i < n; i++)
        n_bytes += r->parts[i].kv_bytes;
    sb_meter_add_bytes(l->o.meter, n_bytes);
    if (n <= l->step_cap) {
        sb_split_step(r, &sb_split_usual, l->step_pj);
        for (size_t i = 0; i < n; i++) {
            sb_ledger_account *a = find(l, r->parts[i].owner);
            if (a)
                add_part(a, &r->parts[i], l->step_pj[i], step_ns, n);
            else
                l->system_pj += l->step_pj[i];
        }
        l->steps_ns += step_ns;
    }
    l->n_events++;
    if (is_due(l) && sb_now_ns() - l->mark.now_ns >= SB_LEDGER_WINDOW_NS) (void)close_tick(l);
    (void)pthread_mutex_unlock(&l->lock);
}

void sb_ledger_system(sb_ledger *l, uint64_t cpu_ns, uint64_t wall_ns)
{
    (void)pthread_mutex_lock(&l->lock);
    l->system_pj += cpu_ns * sb_split_usual.thread_mw;
    l->steps_ns += wall_ns;
    (void)pthread_mutex_unlock(&l->lock);
}

int64_t sb_ledger_used_uj(sb_ledger *l, const sb_ledger_account *a)
{
    (void)pthread_mutex_lock(&l->lock);
    sb_ledger_account now = *a;
    guess_open(l, &now);
    (void)pthread_mutex_unlock(&l->lock);
    return now.sum.energy_uj;
}

void sb_ledger_poll(sb_ledger *l)
{
    (void)pthread_mutex_lock(&l->lock);
    if (sb_now_ns() - l->mark.now_ns >= SB_LEDGER_IDLE_NS)
        (void)close_tick(l);
    else
        (void)sb_meter_begin(l->o.meter); /* reads the counters; the tick stays open */
    (void)pthread_mutex_unlock(&l->lock);
}

sb_ledger_totals sb_ledger_get_totals(sb_ledger *l)
{
    (void)pthread_mutex_lock(&l->lock);
    sb_ledger_totals t = l->measured.meter_uj || l->measured.lost_ns ? l->measured : l->estimated;
    if (l->measured.meter_uj || l->measured.lost_ns) t.estimated_uj = l->estimated.owned_uj;
    t.source = l->source;
    (void)pthread_mutex_unlock(&l->lock);
    return t;
}

int64_t sb_ledger_idle_mw(sb_ledger *l)
{
    (void)pthread_mutex_lock(&l->lock);
    const int64_t mw = l->idle_mw;
    (void)pthread_mutex_unlock(&l->lock);
    return mw;
}
