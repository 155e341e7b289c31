/* SPDX-License-Identifier: Apache-2.0
 * queue.c - bytes that wait to be sent, in one block. A list of pieces was refused: a token's event
 * is a few dozen bytes, and one block is one system call. */
#include "server/http/queue.h"

#include "base/alloc.h"

#include <string.h>

enum { FIRST_CAP = 512 };

void sb_queue_deinit(sb_queue *q)
{
    sb_free(q->p);
    *q = (sb_queue){0};
}

bool sb_queue_reserve(sb_queue *q, size_t n)
{
    size_t want;
    if (ckd_add(&want, q->n, n)) return false;
    if (q->at + want <= q->cap) return true; // at + n <= cap: no overflow
    if (q->at >= q->n && want <= q->cap) {
        memcpy(q->p, q->p + q->at, q->n);
        q->at = 0;
        return true;
    }
    size_t cap = q->cap > SIZE_MAX / 2 ? want : q->cap * 2;
    if (cap < FIRST_CAP) cap = FIRST_CAP;
    if (cap < want) cap = want;
    char *p = sb_alloc(cap, 1);
    if (!p) return false;
    if (q->n) memcpy(p, q->p + q->at, q->n);
    sb_free(q->p);
    *q = (sb_queue){.p = p, .n = q->n, .cap = cap};
    return true;
}

bool sb_queue_add(sb_queue *q, const void *p, size_t n)
{
    if (!sb_queue_reserve(q, n)) return false;
    if (n) memcpy(q->p + q->at + q->n, p, n);
    q->n += n;
    return true;
}

void sb_queue_take(sb_queue *q, size_t n)
{
    q->n -= n;
    q->at = q->n ? q->at + n : 0;
}

bool sb_queue_move(sb_queue *to, sb_queue *from)
{
    if (!from->n) return true;
    if (!to->n) {
        const sb_queue empty = *to;
        *to = *from;
        *from = empty;
        from->at = 0;
        return true;
    }
    if (!sb_queue_add(to, from->p + from->at, from->n)) return false;
    sb_queue_take(from, from->n);
    return true;
}
