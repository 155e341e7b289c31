/* SPDX-License-Identifier: Apache-2.0
 * queue.h - bytes that wait to be sent: added at one end, taken at the other.
 *
 * Cost        Amortised: the front is closed up when half of it has been taken. An empty queue
 *             holds no memory after sb_queue_deinit(). */
#ifndef SB_SERVER_HTTP_QUEUE_H
#define SB_SERVER_HTTP_QUEUE_H
#include "base/base.h"

typedef struct sb_queue {
    char *p;
    size_t at, n, cap; /* bytes [at, at + n) wait */
} sb_queue;

void sb_queue_deinit(sb_queue *q);
/* False without memory; nothing was added then. */
bool sb_queue_add(sb_queue *q, const void *p, size_t n) SB_MUST_USE;
/* Room for n more, so that adding them cannot fail. */
bool sb_queue_reserve(sb_queue *q, size_t n) SB_MUST_USE;
void sb_queue_take(sb_queue *q, size_t n);
/* Moves all of `from` behind what is in `to`; without copying when that is empty. */
bool sb_queue_move(sb_queue *to, sb_queue *from) SB_MUST_USE;
#endif
