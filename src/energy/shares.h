/* SPDX-License-Identifier: Apache-2.0
 * shares.h - one meter, many owners: what each answer cost while others were under way.
 *
 * Purpose     Every engine step leaves its work record; its time is split among those it worked for
 *             by their tokens. When an owner's account is settled, the meter is read, and what it
 *             counted since the last reading is split by those times.
 * Invariants  Whole microjoules; the parts of a reading, with what had no owner, are the reading.
 *             What the meter counts while no account is open is nobody's.
 * Ownership   Borrows the meter, which must have no other reader meanwhile. An account is the
 *             caller's memory, from _begin to _end.
 * Threads     Any; a lock inside.
 * Cost        A step: one lock and a walk over the open accounts for each part. A reading costs
 *             what sb_meter_end() does; there is one for each account begun or ended, and one every
 *             SB_SHARES_WINDOW_NS of work. */
#ifndef SB_ENERGY_SHARES_H
#define SB_ENERGY_SHARES_H
#include "energy/meter.h"
#include "energy/record.h"

#define SB_SHARES_WINDOW_NS UINT64_C(1000000000)

typedef struct sb_shares sb_shares;

/* What one owner was given; the fields are the ledger's. */
typedef struct sb_share_account {
    uint64_t owner;
    uint64_t prefill_ns, decode_ns; /* its part of the steps since the last reading */
    uint64_t begin_ns;
    sb_energy sum;
    struct sb_share_account *prev, *next;
} sb_share_account;

typedef struct sb_shares_totals {
    int64_t owned_uj, nobody_uj;
    sb_energy_source source; /* of the last reading */
} sb_shares_totals;

sb_status sb_shares_open(sb_shares **out, sb_meter *m, sb_error *err) SB_MUST_USE;
/* No account may be open. */
void sb_shares_close(sb_shares *s);
/* Opens an account and gives it an owner's number that was never used before. */
void sb_shares_begin(sb_shares *s, sb_share_account *a);
/* Closes it: the energy of all its steps. */
sb_energy sb_shares_end(sb_shares *s, sb_share_account *a);
/* After each step of any engine. Parts of owners without an account are nobody's. */
void sb_shares_step(sb_shares *s, const sb_work_record *r);
sb_shares_totals sb_shares_get_totals(sb_shares *s);
#endif
