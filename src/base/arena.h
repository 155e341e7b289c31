/* SPDX-License-Identifier: Apache-2.0
 * arena.h - one block cut into pieces that die together; can also only measure.
 *
 * Purpose     A layout function takes an arena and asks for its pieces in order. Run once on a
 *             measuring arena it tells the bytes needed; run again on a real one it hands out the
 *             memory. Estimate and use cannot differ because they are the same code.
 * Invariants  Every piece is 64-byte aligned. A measuring arena returns NULL for every piece and
 *             only counts. An arena that ran out returns NULL and sets `failed`. */
#ifndef SB_BASE_ARENA_H
#define SB_BASE_ARENA_H
#include "base/base.h"

typedef struct sb_arena {
    unsigned char *p;
    size_t used, cap;
    bool measure, failed;
} sb_arena;

void sb_arena_measure(sb_arena *a);
sb_status sb_arena_init(sb_arena *a, size_t bytes,
                        sb_error *err) SB_MUST_USE; /* big, zeroed pages */
void sb_arena_deinit(sb_arena *a);
void *sb_arena_take(sb_arena *a, size_t n, size_t size);
#endif
