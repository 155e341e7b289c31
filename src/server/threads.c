/* SPDX-License-Identifier: Apache-2.0
 * threads.c - pthread_create with all signals blocked around it. */
#include "server/threads.h"

#include <signal.h>
#include <stdio.h>

enum { STACK_BYTES = 1 << 20 }; /* templates and JSON are bounded in depth, tests run in 256 KB */

void sb_thread_name(const char *name)
{
    char full[16];
    (void)snprintf(full, sizeof full, "sobre-%s", name);
    (void)pthread_setname_np(pthread_self(), full);
}

sb_status sb_thread_start(pthread_t *out, void *(*fn)(void *), void *ctx, sb_error *err)
{
    sigset_t all, before;
    pthread_attr_t attr;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGBUS); /* raised by the thread itself */
    if (pthread_attr_init(&attr) != 0) return SB_FAIL(err, SB_NO_MEMORY, "thread: out of memory");
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(out, &attr, fn, ctx);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (failed) return SB_FAIL(err, SB_NO_MEMORY, "a thread cannot be started (error %d)", failed);
    return SB_OK;
}
