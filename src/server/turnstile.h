/* SPDX-License-Identifier: Apache-2.0
 * turnstile.h - the processors, for one step of one model at a time, in order of coming.
 *
 * Purpose     Two models whose threads ran at once would each wait for the other's at every barrier
 *             of a step. One after the other both are faster, and who came first goes first.
 * Threads     Any. A thread that is inside must not enter again.
 * Cost        A lock; nothing is allocated, and who waits sleeps. */
#ifndef SB_SERVER_TURNSTILE_H
#define SB_SERVER_TURNSTILE_H
#include "base/base.h"

#include <pthread.h>

typedef struct sb_turnstile {
    pthread_mutex_t lock;
    pthread_cond_t next;
    uint64_t n_taken, n_served; /* tickets: served is inside unless equal to taken */
} sb_turnstile;

void sb_turnstile_init(sb_turnstile *t);
void sb_turnstile_deinit(sb_turnstile *t);
void sb_turnstile_enter(sb_turnstile *t);
void sb_turnstile_leave(sb_turnstile *t);
#endif
