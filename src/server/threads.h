/* SPDX-License-Identifier: Apache-2.0
 * threads.h - starting a thread of the server: no signals, a name, a small stack.
 *
 * Purpose     Signals go to the loop's thread alone, which turns them into events.
 * Errors      SB_NO_MEMORY. */
#ifndef SB_SERVER_THREADS_H
#define SB_SERVER_THREADS_H
#include "base/base.h"

#include <pthread.h>

sb_status sb_thread_start(pthread_t *out, void *(*fn)(void *), void *ctx,
                          sb_error *err) SB_MUST_USE;
/* Of the calling thread, as `top` and `ps` show it. */
void sb_thread_name(const char *name);
#endif
