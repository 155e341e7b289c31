/* SPDX-License-Identifier: Apache-2.0
 * ledger.h - whose every microjoule of the meter is.
 *
 * Purpose     Cuts what a meter counts into ticks and gives each tick's whole microjoules to the
 *             answers whose steps ran in it, to idling, to other programs, to the system (loading,
 *             warming up), or, where the meter failed, to nobody (lost). Nothing is made up and
 *             nothing left over: the parts of a tick are the tick.
 * Method      A step's cost is what all of it share (its weights, read once: an equal part each)
 *             and what each brought alone (its multiply-adds, its keys and values, its own time).
 *             Equal shares of the one plus the other are the step's Shapley value. A tick is split
 *             by those weights; what is left of rounding goes to the largest remainders, ties to
 *             the older owner. The tick's time in steps is split the same way, for what is paid by
 *             time (wall.h).
 * Invariants  For every tick: meter = idle + other + system + lost + sum of parts, in integers,
 *             none negative. No work in a tick, no part of it. Same work, same part but for 1 uJ.
 * Ticks       One closes when an answer ends, and every SB_LEDGER_WINDOW_NS of work, once it is
 *             tick_ns long and the meter has moved. What ends inside an open tick gets a
 *             provisional receipt: its part of the tick so far. Servers take ticks of a tenth of a
 *             second and more: finer ones would tell strangers what a neighbour computes.
 * Ownership   Borrows the meter, which must have no other reader meanwhile. An account is the
 *             caller's memory, from _begin to _end.
 * Threads     Any; a lock inside. on_tick and on_settled are called under it.
 * Cost        A step: one lock, and a walk over its parts. */
#ifndef SB_ENERGY_LEDGER_H
#define SB_ENERGY_LEDGER_H
#include "energy/meter.h"
#include "energy/record.h"

#define SB_LEDGER_WINDOW_NS UINT64_C(1000000000)
#define SB_LEDGER_IDLE_NS UINT64_C(60000000000)
#define SB_LEDGER_TICK_NS UINT64_C(100000000) /* of servers */

typedef struct sb_ledger sb_ledger;

/* One owner's part of a tick. */
typedef struct sb_tick_part {
    uint64_t owner;
    int64_t uj;
} sb_tick_part;

/* A closed tick, as it is written down before any receipt is. */
typedef struct sb_tick {
    uint64_t begin_ns, end_ns; /* monotonic */
    sb_energy_source source;   /* ESTIMATED: meter_uj is a model's, no counter's */
    int64_t meter_uj, idle_uj, other_uj, system_uj, lost_uj;
    uint64_t lost_ns; /* of the tick, when the meter failed in it */
    uint64_t sum_uj;  /* the counters' total since the meter was opened, at end_ns */
    const sb_tick_part *parts;
    size_t n_part;
} sb_tick;

/* Other rules of splitting a tick, for the range a receipt tells: by tokens, by the time an answer
 * was in steps, equally. */
enum { SB_LEDGER_RULES = 3 };

/* What one owner was given; the fields are the ledger's. */
typedef struct sb_ledger_account {
    uint64_t owner;
    uint64_t begin_ns;
    struct sb_ledger_account **at, *next; /* in its chain */
    struct sb_ledger_weights {
        uint64_t prefill_pj, decode_pj, recompute_pj; /* by the split rule, in the open tick */
        uint64_t rule[SB_LEDGER_RULES];               /* by others */
    } open;
    uint64_t busy_ns, answers_ns; /* of its steps; the same times the owners of each */
    int64_t rule_uj[SB_LEDGER_RULES];
    sb_energy sum;
} sb_ledger_account;

/* Of measured ticks, or where there was none of estimated ones. */
typedef struct sb_ledger_totals {
    int64_t meter_uj, owned_uj, idle_uj, other_uj, system_uj, lost_uj;
    int64_t estimated_uj; /* given beside that by estimate, where the meter failed */
    uint64_t lost_ns;
    sb_energy_source source; /* of the last tick */
} sb_ledger_totals;

typedef struct sb_ledger_opts {
    sb_meter *meter;
    uint64_t tick_ns; /* the shortest tick; 0: whatever the meter can tell */
    int64_t idle_mw;  /* power of the idle machine known from before; 0: not known */
    /* Told of each tick before anyone is given a part of it. */
    void (*on_tick)(void *ctx, const sb_tick *t);
    /* Told when an owner that ended unsettled is settled. */
    void (*on_settled)(void *ctx, uint64_t owner, const sb_energy *e);
    void *ctx;
    uint64_t first_owner; /* numbers begin after it, so that those of another start differ */
} sb_ledger_opts;

sb_status sb_ledger_open(sb_ledger **out, const sb_ledger_opts *o, sb_error *err) SB_MUST_USE;
/* Closes the last tick. No account may be open. */
void sb_ledger_close(sb_ledger *l);
/* Opens an account and gives it an owner's number that was never used before. */
void sb_ledger_begin(sb_ledger *l, sb_ledger_account *a);
/* Closes it: the energy of all its steps. Not settled when the last of them lie in an open tick:
 * the rest comes to sb_ledger_settled(). */
sb_energy sb_ledger_end(sb_ledger *l, sb_ledger_account *a);
/* The settled energy of an owner that ended unsettled; false while its tick is open (which closes
 * here when it may), or when it ended too long ago. */
bool sb_ledger_settled(sb_ledger *l, uint64_t owner, sb_energy *out);
/* After each step of any engine. Parts of owner 0, or without an account, are the system's. */
void sb_ledger_step(sb_ledger *l, const sb_work_record *r);
/* Work that is nobody's answer: loading a model, warming up. */
void sb_ledger_system(sb_ledger *l, uint64_t cpu_ns, uint64_t wall_ns);
/* What an open account has used so far, the open tick guessed. For budgets. */
int64_t sb_ledger_used_uj(sb_ledger *l, const sb_ledger_account *a);
/* Reads the counters: for idle machines whose counters wrap (sb_meter_poll_ns). A tick of a minute
 * is closed and so written down, lest a kill take what wraps since would hide. */
void sb_ledger_poll(sb_ledger *l);
sb_ledger_totals sb_ledger_get_totals(sb_ledger *l);
/* Lowest power of 30 idle seconds seen, milliwatts; 0: none yet. */
int64_t sb_ledger_idle_mw(sb_ledger *l);
#endif
