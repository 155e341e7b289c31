/* SPDX-License-Identifier: Apache-2.0
 * owner_map.h - what ticks gave each owner that has no receipt yet.
 *
 * Purpose     The log knows with it what a receipt rests on, and the audit adds it up again.
 * Invariants  An owner is there from its first part until it is taken.
 * Errors      SB_LIMIT beyond SB_MAX_LEDGER_OWNERS, SB_NO_MEMORY, SB_CORRUPT (a sum beyond 63
 *             bits); the map is unchanged then.
 * Threads     One.
 * Cost        Constant, on average. */
#ifndef SB_ENERGY_OWNER_MAP_H
#define SB_ENERGY_OWNER_MAP_H
#include "base/base.h"

typedef struct sb_owner_sum {
    uint64_t owner; /* 0: none */
    int64_t measured_uj, estimated_uj;
} sb_owner_sum;

typedef struct sb_owner_map {
    sb_owner_sum *v; /* [cap], a power of two, open addressing */
    size_t n, cap;
} sb_owner_map;

void sb_owner_map_deinit(sb_owner_map *m);
/* Adds to an owner (not 0) what one tick gave it. */
sb_status sb_owner_map_add(sb_owner_map *m, uint64_t owner, int64_t uj, bool measured,
                           sb_error *err) SB_MUST_USE;
/* Takes an owner out; of one that is not there both sums are 0. */
sb_owner_sum sb_owner_map_take(sb_owner_map *m, uint64_t owner);
/* Forgets all, and tells what they had together (it stops at the largest number). */
sb_owner_sum sb_owner_map_clear(sb_owner_map *m);
#endif
