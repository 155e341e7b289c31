/* SPDX-License-Identifier: Apache-2.0
 * turnstile.c - tickets under a lock: a bare mutex lets the one who just left go first again. */
#include "server/turnstile.h"

void sb_turnstile_init(sb_turnstile *t)
{
    *t = (sb_turnstile){0};
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->next, NULL);
}

void sb_turnstile_deinit(sb_turnstile *t)
{
    (void)pthread_cond_destroy(&t->next);
    (void)pthread_mutex_destroy(&t->lock);
}

void sb_turnstile_enter(sb_turnstile *t)
{
    (void)pthread_mutex_lock(&t->lock);
    const uint64_t mine = t->n_taken++;
    while (t->n_served != mine)
        (void)pthread_cond_wait(&t->next, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

void sb_turnstile_leave(sb_turnstile *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->n_served++;
    if (t->n_served != t->n_taken) (void)pthread_cond_broadcast(&t->next);
    (void)pthread_mutex_unlock(&t->lock);
}
