/* SPDX-License-Identifier: Apache-2.0
 * relay.c - the way of other threads to the loop: a list of exchanges that something was done to,
 * and one descriptor that wakes the loop however many they are.
 *
 * libevent's own cross-thread calls were refused: they need its locks around every event, and wake
 * the loop once for each call. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/http/internal.h"

sb_relay *sb_relay_new(size_t backlog_bytes)
{
    sb_relay *relay = sb_calloc(1, sizeof *relay);
    if (!relay) return NULL;
    relay->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    relay->backlog_bytes = backlog_bytes;
    atomic_init(&relay->refs, 1);
    if (relay->fd < 0 || pthread_mutex_init(&relay->mu, NULL) != 0) {
        if (relay->fd >= 0) (void)close(relay->fd);
        sb_free(relay);
        return NULL;
    }
    return relay;
}

void sb_relay_release(sb_relay *relay)
{
    if (!relay || atomic_fetch_sub(&relay->refs, 1) != 1) return;
    (void)pthread_mutex_destroy(&relay->mu);
    (void)close(relay->fd);
    sb_free(relay);
}

sb_x *sb_relay_pop(sb_relay *relay)
{
    (void)pthread_mutex_lock(&relay->mu);
    sb_x *x = relay->first;
    if (x) {
        relay->first = x->next;
        if (!relay->first) relay->last = NULL;
        x->next = NULL;
        x->is_listed = false;
    }
    (void)pthread_mutex_unlock(&relay->mu);
    return x;
}

void sb_relay_enter(sb_relay *relay)
{
    (void)pthread_mutex_lock(&relay->mu);
    relay->is_in_loop = true;
    relay->thread = pthread_self();
    (void)pthread_mutex_unlock(&relay->mu);
}

void sb_relay_leave(sb_relay *relay)
{
    (void)pthread_mutex_lock(&relay->mu);
    relay->is_in_loop = false;
    (void)pthread_mutex_unlock(&relay->mu);
}

void sb_relay_list(sb_x *x)
{
    sb_relay *relay = x->relay;
    if (!x->is_listed) {
        x->is_listed = true;
        atomic_fetch_add(&x->refs, 1);
        if (relay->last)
            relay->last->next = x;
        else
            relay->first = x;
        relay->last = x;
    }
    if (relay->is_woken || (relay->is_in_loop && pthread_equal(relay->thread, pthread_self())))
        return;
    static const uint64_t one = 1;
    relay->is_woken = write(relay->fd, &one, sizeof one) == (ssize_t)sizeof one;
}

void sb_relay_poke(sb_x *x)
{
    (void)pthread_mutex_lock(&x->relay->mu);
    sb_relay_list(x);
    (void)pthread_mutex_unlock(&x->relay->mu);
}

void sb_relay_woken(sb_relay *relay)
{
    uint64_t n;
    (void)pthread_mutex_lock(&relay->mu);
    (void)!read(relay->fd, &n, sizeof n);
    relay->is_woken = false;
    (void)pthread_mutex_unlock(&relay->mu);
}
