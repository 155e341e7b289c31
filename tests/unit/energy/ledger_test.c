/* SPDX-License-Identifier: Apache-2.0
 * ledger_test.c - the ledger's promises on random traces: a meter, a clock and an engine made up
 * here, with wraps, gaps, idling, other programs, answers that come, go and are computed again.
 *
 * The ledger is compiled into this program with the clock's name replaced, and this file is its
 * meter. */
#include "energy/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/clock.h"

/* ---- a machine ---- */

struct sb_meter {
    uint64_t now_ns;
    uint64_t sum_uj, cpu_ns, host_ns;
    uint32_t n_lost;
    bool is_model;   /* no counters */
    bool has_wall;   /* they were fitted to a plug, as were the coefficients */
    bool loses_wall; /* these were not */
    int n_looks;     /* at what it says of a stretch */
    uint64_t n_bytes;
};
static sb_meter machine;
static const sb_wall_fit plug = {
    .base_mw = 41234, .slope_permille = 1357, .mape_permille = 21, .worst_permille = 55, .n = 18};
static uint64_t state = 1;

static uint64_t draw(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

uint64_t sb_test_now_ns(void)
{
    return machine.now_ns;
}

sb_meter_mark sb_meter_begin(sb_meter *m)
{
    return (sb_meter_mark){.now_ns = m->now_ns,
                           .cpu_ns = m->cpu_ns,
                           .host_busy_ns = m->host_ns,
                           .sum_uj = m->sum_uj,
                           .n_lost = m->n_lost};
}

void sb_meter_add_bytes(sb_meter *m, uint64_t n_bytes)
{
    m->n_bytes += n_bytes;
}

sb_stretch sb_meter_stretch(sb_meter *m, sb_meter_mark *mark)
{
    const sb_meter_mark a = *mark, b = sb_meter_begin(m);
    m->n_looks++;
    sb_stretch t = {.source = SB_ENERGY_MEASURED,
                    .all_uj = (int64_t)(b.sum_uj - a.sum_uj),
                    .is_lost = b.n_lost != a.n_lost,
                    .duration_ns = b.now_ns - a.now_ns,
                    .cpu_ns = b.cpu_ns - a.cpu_ns,
                    .ratio = 1,
                    .method = "test"};
    t.estimate_uj = (int64_t)(t.cpu_ns / 500000);
    if (m->is_model) t.all_uj = t.estimate_uj;
    t.is_short = !t.is_lost && !m->is_model && t.all_uj == 0;
    if (m->is_model || t.is_lost || t.is_short) t.source = SB_ENERGY_ESTIMATED;
    const uint64_t host = b.host_busy_ns - a.host_busy_ns;
    if (t.source == SB_ENERGY_MEASURED && host > t.cpu_ns)
        t.other_uj = (int64_t)((double)t.all_uj * (double)(host - t.cpu_ns) / (double)host);
    const int64_t own = t.source == SB_ENERGY_MEASURED ? t.all_uj - t.other_uj : t.estimate_uj;
    t.lo_uj = own / 2;
    t.hi_uj = own * 2;
    if (m->has_wall && !(m->loses_wall && t.source == SB_ENERGY_ESTIMATED)) t.wall = plug;
    if (!t.is_short) *mark = b;
    return t;
}

/* Time goes by, with energy, our work and that of others. */
static void pass(uint64_t ns, uint64_t watts, uint64_t cpu_ns, uint64_t other_ns)
{
    machine.now_ns += ns;
    machine.sum_uj += ns * watts / 1000;
    machine.cpu_ns += cpu_ns;
    machine.host_ns += cpu_ns + other_ns;
}

/* ---- a trace ---- */

enum { MOST = 64, OWNERS = 4096 };

typedef struct trace {
    sb_ledger *l;
    sb_ledger_account a[MOST];
    bool open[MOST];
    int64_t by_tick_uj[OWNERS]; /* what the ticks gave each owner */
    int64_t told_uj[OWNERS];    /* what its receipt said, once settled */
    bool worked[OWNERS];        /* in the open tick */
    bool system_worked;
    uint64_t last_owner;
    int64_t meter_uj, idle_uj, other_uj, system_uj, lost_uj, parts_uj, estimate_uj;
    int64_t naive_uj, crowd_uj; /* counter at begin and end of each; meter times answers open */
    int64_t begun_uj[MOST];
    int n_open;
    uint64_t end_ns;
    uint64_t steps_ns, idle_ns, share_ns; /* in the open tick; without steps; given to answers */
    int64_t wall_uj;                      /* of answers, once settled */
} trace;

static void on_tick(void *ctx, const sb_tick *t)
{
    trace *x = ctx;
    int64_t sum = t->idle_uj + t->other_uj + t->system_uj + t->lost_uj;
    assert_true(t->idle_uj >= 0 && t->other_uj >= 0 && t->system_uj >= 0 && t->lost_uj >= 0);
    for (size_t i = 0; i < t->n_part; i++) {
        const sb_tick_part *p = &t->parts[i];
        assert_true(p->uj >= 0 && p->owner > 0 && p->owner <= x->last_owner);
        assert_true(i == 0 || t->parts[i - 1].owner < p->owner);
        assert_true(x->worked[p->owner]); /* null player: no work, no part */
        x->by_tick_uj[p->owner] += p->uj;
        sum += p->uj;
        if (t->source == SB_ENERGY_MEASURED)
            x->parts_uj += p->uj;
        else
            x->estimate_uj += p->uj;
    }
    assert_true(t->system_uj == 0 || x->system_worked);
    assert_int_equal(sum, t->meter_uj);
    assert_true(t->end_ns >= x->end_ns && t->begin_ns <= t->end_ns);
    x->end_ns = t->end_ns;
    if (t->source == SB_ENERGY_MEASURED) {
        x->meter_uj += t->meter_uj;
        x->idle_uj += t->idle_uj;
        x->other_uj += t->other_uj;
        x->system_uj += t->system_uj;
        x->lost_uj += t->lost_uj;
    } else {
        assert_int_equal(t->lost_uj, 0);
    }
    /* a lost tick comes before the estimate beside it: the same work */
    if (t->lost_ns) return;
    const uint64_t ns = t->end_ns - t->begin_ns;
    x->idle_ns += ns > x->steps_ns ? ns - x->steps_ns : 0;
    x->steps_ns = 0;
    memset(x->worked, 0, sizeof x->worked);
    x->system_worked = false;
}

/* What an answer comes to at the wall. */
static void told(trace *x, uint64_t owner, const sb_energy *e)
{
    const sb_wall w = sb_wall_apply(&e->wall, e->energy_uj, e->lo_uj, e->hi_uj, e->share_ns);
    x->told_uj[owner] = e->energy_uj;
    x->share_ns += e->share_ns;
    x->wall_uj += w.uj;
    assert_true(w.lo_uj <= w.uj && w.uj <= w.hi_uj);
    assert_true(!w.known || machine.has_wall);
}

static void on_settled(void *ctx, uint64_t owner, const sb_energy *e)
{
    assert_true(e->settled);
    told(ctx, owner, e);
}

static void begin(trace *x, int i)
{
    sb_ledger_begin(x->l, &x->a[i]);
    assert_int_equal(x->a[i].owner, x->last_owner + 1);
    x->last_owner = x->a[i].owner;
    x->open[i] = true;
    x->n_open++;
    x->begun_uj[i] = (int64_t)machine.sum_uj;
}

static void end(trace *x, int i)
{
    const sb_energy e = sb_ledger_end(x->l, &x->a[i]);
    assert_true(e.lo_uj <= e.energy_uj && e.energy_uj <= e.hi_uj);
    assert_true(e.split_lo_uj <= e.energy_uj && e.energy_uj <= e.split_hi_uj);
    assert_true(e.prefill_uj >= 0 && e.recompute_uj >= 0 &&
                e.prefill_uj + e.recompute_uj <= e.energy_uj);
    if (e.settled) told(x, x->a[i].owner, &e);
    x->open[i] = false;
    x->n_open--;
    x->naive_uj += (int64_t)machine.sum_uj - x->begun_uj[i];
}

/* One step of some of the open answers, in the order `turned` by so many. */
static void step(trace *x, uint64_t turned, bool faulty)
{
    sb_work_part parts[MOST + 1];
    int32_t n = 0;
    for (int k = 0; k < MOST; k++) {
        const int i = (int)((turned + (uint64_t)k) % MOST);
        if (!x->open[i] || draw(4) == 0) continue;
        sb_work_part p = {
            .owner = x->a[i].owner, .kv_bytes = draw(1 << 20), .own_ns = draw(100000)};
        switch (draw(4)) {
        case 0:
            p.n_prefill = 1 + (int32_t)draw(255);
            break;
        case 1:
            p.n_recomputed = 1 + (int32_t)draw(10);
            p.n_prefill = (int32_t)draw(3);
            break;
        default:
            p.n_decode = 1;
            p.n_rejected = (int32_t)draw(3);
        }
        p.n_ops = (uint64_t)(p.n_prefill + p.n_recomputed + p.n_decode + p.n_rejected) * 100000000;
        x->worked[p.owner] = true;
        parts[n++] = p;
    }
    if (n == 0 || draw(50) == 0) {
        parts[n++] = (sb_work_part){.owner = 0, .n_prefill = 1, .n_ops = 1};
        x->system_worked = true;
    }
    const uint64_t ns = 1000000 + draw(30000000), before = machine.now_ns;
    const int64_t was_uj = (int64_t)machine.sum_uj;
    pass(ns, 5 + draw(200), 2 * ns, draw(3) ? 0 : draw(ns));
    x->crowd_uj += ((int64_t)machine.sum_uj - was_uj) * x->n_open;
    if (faulty && draw(40) == 0) machine.n_lost++;
    const sb_work_record r = {.begin_ns = before,
                              .end_ns = machine.now_ns,
                              .n_threads = 2,
                              .dense_bytes = 100000000,
                              .n_part = n,
                              .parts = parts};
    x->steps_ns += ns;
    sb_ledger_step(x->l, &r);
}

static void rest(trace *x)
{
    const int64_t was_uj = (int64_t)machine.sum_uj;
    pass(draw(2000000000), draw(40), 1000, draw(2) ? 0 : draw(1000000));
    x->crowd_uj += ((int64_t)machine.sum_uj - was_uj) * x->n_open;
}

static trace *run_trace(uint64_t seed, int n_event, int most, bool faulty, bool is_model)
{
    trace *x = calloc(1, sizeof *x);
    assert_non_null(x);
    state = seed * 2654435769u + 88172645463325252u;
    machine = (sb_meter){
        .now_ns = 1000, .sum_uj = draw(1000000), .is_model = is_model, .has_wall = seed % 4 > 0};
    const sb_ledger_opts o = {.meter = &machine,
                              .tick_ns = draw(2) ? SB_LEDGER_TICK_NS : 0,
                              .idle_mw = draw(2) ? 3000 : 0,
                              .on_tick = on_tick,
                              .on_settled = on_settled,
                              .ctx = x};
    const int64_t at_uj = (int64_t)machine.sum_uj;
    assert_int_equal(sb_ledger_open(&x->l, &o, NULL), SB_OK);
    for (int k = 0; k < n_event; k++) {
        const int i = (int)draw((uint64_t)most);
        switch (draw(8)) {
        case 0:
            if (!x->open[i]) begin(x, i);
            break;
        case 1:
            if (x->open[i]) end(x, i);
            break;
        case 2:
            if (draw(4) == 0) rest(x);
            break;
        case 3:
            if (draw(4) == 0) sb_ledger_poll(x->l);
            if (draw(4) == 0 && x->open[i]) (void)sb_ledger_used_uj(x->l, &x->a[i]);
            if (draw(20)) break;
            x->system_worked = true;
            x->steps_ns += 4000000;
            sb_ledger_system(x->l, 5000000, 4000000);
            break;
        default:
            step(x, draw(MOST), faulty);
        }
    }
    for (int i = 0; i < most; i++)
        if (x->open[i]) end(x, i);
    pass(1000000000, 10, 1000, 0);
    const sb_ledger_totals t = sb_ledger_get_totals(x->l);
    (void)t;
    sb_ledger_close(x->l);
    if (!is_model) assert_int_equal(x->meter_uj, (int64_t)machine.sum_uj - at_uj);
    return x;
}

static void every_joule_has_an_owner(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 1200; seed++) {
        const bool faulty = seed % 3 == 0, is_model = seed % 10 == 0;
        trace *x = run_trace(seed, 300, 1 + (int)(seed % MOST), faulty, is_model);
        assert_int_equal(x->meter_uj,
                         x->idle_uj + x->other_uj + x->system_uj + x->lost_uj + x->parts_uj);
        int64_t told = 0;
        for (uint64_t i = 1; i <= x->last_owner; i++) {
            assert_int_equal(x->told_uj[i], x->by_tick_uj[i]); /* a receipt is its ticks */
            told += x->told_uj[i];
        }
        assert_int_equal(told, x->parts_uj + x->estimate_uj);
        if (is_model) assert_int_equal(x->parts_uj, 0);
        free(x);
    }
}

/* Answers at the wall, and what the wall gives while nobody asks, are never more than the fit says
 * of all that the counters saw in all that time; nor with estimates beside it, of these as well. */
static void the_wall_is_never_more_than_its_fit(void **unused)
{
    (void)unused;
    int n_walls = 0;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        const bool faulty = seed % 3 == 0, is_model = seed % 10 == 0;
        trace *x = run_trace(seed, 300, 1 + (int)(seed % MOST), faulty, is_model);
        const uint64_t all_ns = machine.now_ns - 1000;
        const int64_t counted_uj = x->meter_uj - x->lost_uj, all_uj = counted_uj + x->estimate_uj;
        const int64_t most_uj = sb_wall_apply(&plug, all_uj, 0, 0, all_ns).uj;
        const int64_t rest_uj = sb_wall_apply(&plug, x->idle_uj, 0, 0, x->idle_ns).uj;
        assert_true(x->share_ns + x->idle_ns <= all_ns);
        if (!machine.has_wall) assert_int_equal(x->wall_uj, 0);
        if (machine.has_wall)
            assert_true(x->wall_uj >= (x->parts_uj + x->estimate_uj) * 1357 / 1000);
        if (!faulty && !is_model) assert_int_equal(all_uj, x->meter_uj);
        assert_true(x->wall_uj + rest_uj <= most_uj);
        n_walls += x->wall_uj > 0;
        free(x);
    }
    assert_true(n_walls > 400);
}

/* The usual way, a counter read at both ends of a request, gives everybody everything. */
static void counting_at_both_ends_counts_the_crowd(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        trace *x = run_trace(seed * 3 + 1, 600, 32, false, false);
        assert_int_equal(x->naive_uj, x->crowd_uj); /* meter times answers open, exactly */
        assert_true(x->naive_uj > 3 * x->meter_uj);
        assert_true(x->parts_uj <= x->meter_uj);
        free(x);
    }
}

/* A machine that was just switched on, and a ledger that tells nobody. */
static sb_ledger *open_ledger(void)
{
    machine = (sb_meter){.now_ns = 1000};
    sb_ledger *l = NULL;
    assert_int_equal(sb_ledger_open(&l, &(sb_ledger_opts){.meter = &machine}, NULL), SB_OK);
    return l;
}

/* A step of one answer's token. */
static void decode_alone(sb_ledger *l, uint64_t owner, uint64_t begin_ns, uint64_t end_ns)
{
    const sb_work_part part = {.owner = owner, .n_decode = 1, .n_ops = 100};
    const sb_work_record r = {
        .begin_ns = begin_ns, .end_ns = end_ns, .n_threads = 2, .n_part = 1, .parts = &part};
    sb_ledger_step(l, &r);
}

/* Three answers in steps that leave no pause, and nobody else: they share all of the wall. */
static void the_wall_adds_up(void **unused)
{
    (void)unused;
    enum { N = 3, STEPS = 50 };
    sb_ledger *l = open_ledger();
    sb_ledger_account a[N];
    machine.has_wall = true;
    for (int i = 0; i < N; i++)
        sb_ledger_begin(l, &a[i]);
    for (int k = 0; k < STEPS; k++) {
        const uint64_t before = machine.now_ns;
        pass(40000000, 33, 80000000, 0);
        sb_work_part parts[N];
        for (int i = 0; i < N; i++)
            parts[i] = (sb_work_part){
                .owner = a[i].owner, .n_decode = 1, .n_ops = 1000000 * (uint64_t)(i + 1)};
        sb_ledger_step(l, &(sb_work_record){.begin_ns = before,
                                            .end_ns = machine.now_ns,
                                            .n_threads = 2,
                                            .dense_bytes = 1000000,
                                            .n_part = N,
                                            .parts = parts});
    }
    int64_t sum_uj = 0;
    for (int i = 0; i < N; i++) {
        const sb_energy e = sb_ledger_end(l, &a[i]);
        sum_uj += sb_wall_apply(&e.wall, e.energy_uj, e.lo_uj, e.hi_uj, e.share_ns).uj;
    }
    const int64_t all_uj =
        sb_wall_apply(&plug, STEPS * INT64_C(1320000), 0, 0, STEPS * UINT64_C(40000000)).uj;
    assert_in_range(sum_uj, all_uj - STEPS, all_uj);
    sb_ledger_close(l);
}

/* Other programs pay their part of the base as they pay theirs of the counters. */
static void others_pay_their_base(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a;
    machine.has_wall = true;
    sb_ledger_begin(l, &a);
    const uint64_t before = machine.now_ns;
    pass(100000000, 40, 200000000, 600000000); /* three quarters of the time are others' */
    decode_alone(l, a.owner, before, machine.now_ns);
    const sb_energy e = sb_ledger_end(l, &a);
    assert_int_equal(e.energy_uj, 1000000);
    assert_int_equal(e.share_ns, 25000000);
    assert_int_equal(sb_wall_apply(&e.wall, e.energy_uj, e.lo_uj, e.hi_uj, e.share_ns).uj,
                     1357000 + 41234 * 25);
    sb_ledger_close(l);
}

/* One stretch that no fit holds for, and there is no figure of the whole; also if it comes first.
 * */
static void a_fit_holds_for_all_or_not(void **unused)
{
    (void)unused;
    for (int lost = -1; lost < 2; lost++) {
        sb_ledger *l = open_ledger();
        sb_ledger_account a;
        machine.has_wall = machine.loses_wall = true;
        sb_ledger_begin(l, &a);
        for (int k = 0; k < 3; k++) {
            const uint64_t before = machine.now_ns;
            pass(SB_LEDGER_WINDOW_NS, 10, 1000000, 0);
            if (k == 2 * lost) machine.n_lost++;
            decode_alone(l, a.owner, before, machine.now_ns);
        }
        const sb_energy e = sb_ledger_end(l, &a);
        assert_int_equal(e.wall.n, lost < 0 ? plug.n : 0);
        assert_int_equal(e.source, lost < 0 ? SB_ENERGY_MEASURED : SB_ENERGY_ESTIMATED);
        sb_ledger_close(l);
    }
}

/* Two answers of the same work in the same steps. */
static void same_work_same_part(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a[3];
    for (int i = 0; i < 3; i++)
        sb_ledger_begin(l, &a[i]);
    for (int k = 0; k < 50; k++) {
        const uint64_t before = machine.now_ns;
        pass(20000000, 33, 40000000, 0);
        sb_work_part parts[3];
        for (int i = 0; i < 3; i++)
            parts[i] = (sb_work_part){
                .owner = a[(i + k) % 3].owner, .n_decode = 1, .n_ops = 1000000, .kv_bytes = 777};
        sb_ledger_step(l, &(sb_work_record){.begin_ns = before,
                                            .end_ns = machine.now_ns,
                                            .n_threads = 2,
                                            .dense_bytes = 1000000,
                                            .n_part = 3,
                                            .parts = parts});
    }
    int64_t uj[3], sum = 0;
    for (int i = 0; i < 3; i++) {
        uj[i] = sb_ledger_end(l, &a[i]).energy_uj;
        sum += uj[i];
    }
    for (int i = 0; i < 3; i++)
        assert_true(llabs(uj[i] - uj[0]) <= 50); /* a microjoule a tick */
    assert_int_equal(sum, 50 * 660000);
    sb_ledger_close(l);
}

/* The order in which the scheduler lists its sequences changes no receipt. */
static void slots_change_nothing(void **unused)
{
    (void)unused;
    int64_t uj[2][5];
    for (int turn = 0; turn < 2; turn++) {
        machine = (sb_meter){.now_ns = 1000};
        sb_ledger *l = NULL;
        sb_ledger_account a[5];
        assert_int_equal(sb_ledger_open(&l, &(sb_ledger_opts){.meter = &machine}, NULL), SB_OK);
        for (int i = 0; i < 5; i++)
            sb_ledger_begin(l, &a[i]);
        for (int k = 0; k < 200; k++) {
            const uint64_t before = machine.now_ns;
            pass(7000000, 21, 14000000, 0);
            sb_work_part parts[5];
            for (int i = 0; i < 5; i++) {
                const int j = turn ? (4 * i + k) % 5 : i;
                parts[i] = (sb_work_part){.owner = a[j].owner,
                                          .n_decode = 1,
                                          .n_ops = 1000000 + (uint64_t)j,
                                          .kv_bytes = 1000 * (uint64_t)(j + k)};
            }
            sb_ledger_step(l, &(sb_work_record){.begin_ns = before,
                                                .end_ns = machine.now_ns,
                                                .n_threads = 2,
                                                .dense_bytes = 1000000,
                                                .n_part = 5,
                                                .parts = parts});
        }
        for (int i = 0; i < 5; i++)
            uj[turn][i] = sb_ledger_end(l, &a[i]).energy_uj;
        sb_ledger_close(l);
    }
    assert_memory_equal(uj[0], uj[1], sizeof uj[0]);
}

/* What an answer costs from a to c is what it costs from a to b and from b to c. */
static void parts_of_time_add_up(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a, b;
    sb_ledger_begin(l, &a);
    sb_ledger_begin(l, &b);
    int64_t at[3] = {0};
    for (int k = 0; k < 60; k++) {
        const uint64_t before = machine.now_ns;
        pass(50000000, 17, 100000000, 0);
        const sb_work_part parts[2] = {{.owner = a.owner, .n_decode = 1, .n_ops = 100},
                                       {.owner = b.owner, .n_decode = 1, .n_ops = 100}};
        sb_ledger_step(l, &(sb_work_record){.begin_ns = before,
                                            .end_ns = machine.now_ns,
                                            .n_threads = 2,
                                            .n_part = 2,
                                            .parts = parts});
        if (k == 29) at[0] = sb_ledger_used_uj(l, &a);
    }
    at[1] = sb_ledger_used_uj(l, &a);
    at[2] = sb_ledger_end(l, &a).energy_uj;
    assert_int_equal(at[0], at[2] / 2);
    assert_int_equal(at[1], at[2]);
    (void)sb_ledger_end(l, &b);
    sb_ledger_close(l);
}

/* Many budgets that ask behind one step are one look at the meter; the next step is another. */
static void budgets_of_a_step_look_once(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a[3];
    sb_work_part parts[3];
    for (int i = 0; i < 3; i++) {
        sb_ledger_begin(l, &a[i]);
        parts[i] = (sb_work_part){.owner = a[i].owner, .n_decode = 1, .n_ops = 100};
    }
    for (int k = 1; k <= 2; k++) {
        const uint64_t before = machine.now_ns;
        pass(1000000, 30, 2000000, 0);
        sb_ledger_step(l, &(sb_work_record){.begin_ns = before,
                                            .end_ns = machine.now_ns,
                                            .n_threads = 2,
                                            .n_part = 3,
                                            .parts = parts});
        const int looks = machine.n_looks;
        for (int i = 0; i < 3; i++)
            assert_int_equal(sb_ledger_used_uj(l, &a[i]), k * 10000);
        assert_int_equal(machine.n_looks, looks + 1);
    }
    for (int i = 0; i < 3; i++)
        (void)sb_ledger_end(l, &a[i]);
    sb_ledger_close(l);
}

/* While nobody asks, all is idle; the least of it is taken off what answers share later. */
static void idling_is_learnt(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a;
    pass(UINT64_C(40000000000), 5, 0, 0);
    sb_ledger_begin(l, &a);
    assert_int_equal(sb_ledger_idle_mw(l), 5000);
    const uint64_t before = machine.now_ns;
    pass(10000000, 50, 20000000, 0);
    decode_alone(l, a.owner, before, machine.now_ns);
    pass(100000000, 5, 0, 0); /* a pause inside the answer, at idle power */
    const sb_energy e = sb_ledger_end(l, &a);
    assert_int_equal(e.energy_uj, 500000);
    const sb_ledger_totals t = sb_ledger_get_totals(l);
    assert_int_equal(t.idle_uj, 200000000 + 500000);
    assert_int_equal(t.meter_uj, 201000000);
    sb_ledger_close(l);
}

/* Nobody asks for an hour: what a poll reads is idle, and written down by the minute. */
static void an_idle_hour_is_written_down(void **unused)
{
    (void)unused;
    trace *x = calloc(1, sizeof *x);
    assert_non_null(x);
    machine = (sb_meter){.now_ns = 1000};
    const sb_ledger_opts o = {.meter = &machine, .on_tick = on_tick, .ctx = x};
    assert_int_equal(sb_ledger_open(&x->l, &o, NULL), SB_OK);
    for (int i = 0; i < 120; i++) {
        pass(UINT64_C(30000000000), 4, 0, 0);
        sb_ledger_poll(x->l);
        assert_int_equal(x->idle_uj, (i + 1) / 2 * INT64_C(240000000));
    }
    assert_int_equal(sb_ledger_idle_mw(x->l), 4000);
    sb_ledger_close(x->l);
    free(x);
}

/* No label of a counter over a guess, whatever of an answer was guessed. */
static void a_lost_tick_makes_an_estimate(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a;
    sb_ledger_begin(l, &a);
    for (int k = 0; k < 3; k++) {
        const uint64_t before = machine.now_ns;
        pass(SB_LEDGER_WINDOW_NS, 10, 2 * SB_LEDGER_WINDOW_NS, 0);
        if (k == 1) machine.n_lost++;
        decode_alone(l, a.owner, before, machine.now_ns);
    }
    const sb_energy e = sb_ledger_end(l, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_int_equal(e.estimated_uj, 4000);
    assert_int_equal(e.energy_uj, 20000000 + 4000);
    const sb_ledger_totals t = sb_ledger_get_totals(l);
    assert_int_equal(t.lost_uj, 10000000);
    assert_int_equal(t.lost_ns, SB_LEDGER_WINDOW_NS);
    assert_int_equal(t.owned_uj, 20000000);
    assert_int_equal(t.estimated_uj, 4000);
    sb_ledger_close(l);
}

/* What ends inside a tick is told its part so far, and the whole once the tick has closed. */
static void a_provisional_receipt_settles(void **unused)
{
    (void)unused;
    machine = (sb_meter){.now_ns = 1000};
    sb_ledger *l = NULL;
    sb_ledger_account a;
    const sb_ledger_opts o = {.meter = &machine, .tick_ns = SB_LEDGER_TICK_NS};
    assert_int_equal(sb_ledger_open(&l, &o, NULL), SB_OK);
    sb_ledger_begin(l, &a);
    pass(10000000, 40, 20000000, 0);
    decode_alone(l, a.owner, 1000, machine.now_ns);
    sb_energy e = sb_ledger_end(l, &a);
    assert_false(e.settled);
    assert_int_equal(e.energy_uj, 400000);
    assert_false(sb_ledger_settled(l, a.owner, &e));
    pass(SB_LEDGER_TICK_NS, 1, 0, 0);
    assert_true(sb_ledger_settled(l, a.owner, &e));
    assert_true(e.settled);
    assert_int_equal(e.energy_uj, 500000);
    assert_false(sb_ledger_settled(l, a.owner + 1, &e));
    sb_ledger_close(l);
}

/* More ends inside one tick than is remembered: what the oldest took is the system's. */
static void too_many_ends_in_one_tick(void **unused)
{
    (void)unused;
    enum { N = 300, KEPT = 256 };
    machine = (sb_meter){.now_ns = 1000};
    sb_ledger *l = NULL;
    const sb_ledger_opts o = {.meter = &machine, .tick_ns = SB_LEDGER_TICK_NS};
    assert_int_equal(sb_ledger_open(&l, &o, NULL), SB_OK);
    for (int i = 0; i < N; i++) {
        sb_ledger_account a;
        sb_ledger_begin(l, &a);
        decode_alone(l, a.owner, machine.now_ns, machine.now_ns + 1000);
        pass(1000, 0, 2000, 0);
        (void)sb_ledger_end(l, &a);
    }
    pass(SB_LEDGER_TICK_NS, 3, 0, 0);
    sb_energy e;
    assert_true(sb_ledger_settled(l, N, &e));
    assert_int_equal(e.energy_uj, 1000);
    assert_int_equal(sb_ledger_get_totals(l).system_uj, 1000 * (N - KEPT));
    assert_false(sb_ledger_settled(l, N - KEPT, &e));
    sb_ledger_close(l);
}

/* 32 answers and a meter read once a second: what a step pays, far below 0.5 % of the quickest
 * decode step of 32 rows (11 ms, SmolLM2 on two cores). */
static void the_meter_hears_of_every_byte(void **unused)
{
    (void)unused;
    machine = (sb_meter){.now_ns = 1000};
    sb_ledger *l = NULL;
    const sb_work_part parts[] = {{.owner = 7, .n_decode = 1, .kv_bytes = 30},
                                  {.owner = 8, .n_decode = 1, .kv_bytes = 4}};
    const sb_work_record r = {
        .begin_ns = 1000, .end_ns = 2000, .dense_bytes = 500, .n_part = 2, .parts = parts};
    assert_int_equal(sb_ledger_open(&l, &(sb_ledger_opts){.meter = &machine}, NULL), SB_OK);
    sb_ledger_step(l, &r);
    sb_ledger_step(l, &r);
    assert_int_equal(machine.n_bytes, 2 * 534); /* whoever the owners are */
    sb_ledger_close(l);
}

static void wrong_guesses_are_told(void **unused)
{
    (void)unused;
    sb_ledger *l = open_ledger();
    sb_ledger_account a;
    sb_ledger_begin(l, &a);
    const sb_work_part part = {.owner = a.owner, .n_decode = 2, .n_rejected = 3, .n_ops = 1000};
    const sb_work_record r = {
        .begin_ns = 1000, .end_ns = 2000, .dense_bytes = 500, .n_part = 1, .parts = &part};
    sb_ledger_step(l, &r);
    sb_ledger_step(l, &r);
    assert_int_equal(sb_ledger_end(l, &a).n_rejected_tok, 6);
    sb_ledger_close(l);
}

static void a_step_costs_little(void **unused)
{
    (void)unused;
    enum { STEPS = 20000, N = 32, MOST_NS = 20000 };
    sb_ledger *l = open_ledger();
    sb_ledger_account a[N];
    sb_work_part parts[N];
    for (int i = 0; i < N; i++) {
        sb_ledger_begin(l, &a[i]);
        parts[i] = (sb_work_part){.owner = a[i].owner, .n_decode = 1, .n_ops = 134000000};
    }
    struct timespec before, after;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    for (int k = 0; k < STEPS; k++) {
        const uint64_t begin_ns = machine.now_ns;
        pass(11000000, 40, 22000000, 0);
        sb_ledger_step(l, &(sb_work_record){.begin_ns = begin_ns,
                                            .end_ns = machine.now_ns,
                                            .n_threads = 2,
                                            .dense_bytes = 84000000,
                                            .n_part = N,
                                            .parts = parts});
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    const long ns =
        ((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec) / STEPS;
    print_message("%ld ns a step\n", ns);
    assert_true(ns < MOST_NS);
    for (int i = 0; i < N; i++)
        (void)sb_ledger_end(l, &a[i]);
    sb_ledger_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_joule_has_an_owner),
        cmocka_unit_test(the_wall_is_never_more_than_its_fit),
        cmocka_unit_test(counting_at_both_ends_counts_the_crowd),
        cmocka_unit_test(the_wall_adds_up),
        cmocka_unit_test(others_pay_their_base),
        cmocka_unit_test(a_fit_holds_for_all_or_not),
        cmocka_unit_test(same_work_same_part),
        cmocka_unit_test(slots_change_nothing),
        cmocka_unit_test(parts_of_time_add_up),
        cmocka_unit_test(budgets_of_a_step_look_once),
        cmocka_unit_test(idling_is_learnt),
        cmocka_unit_test(an_idle_hour_is_written_down),
        cmocka_unit_test(a_lost_tick_makes_an_estimate),
        cmocka_unit_test(a_provisional_receipt_settles),
        cmocka_unit_test(too_many_ends_in_one_tick),
        cmocka_unit_test(the_meter_hears_of_every_byte),
        cmocka_unit_test(wrong_guesses_are_told),
        cmocka_unit_test(a_step_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
