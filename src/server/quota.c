/* SPDX-License-Identifier: Apache-2.0
 * quota.c - sixty counters a key, found by a walk over the keys seen so far. */
#include "server/quota.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { SECONDS = 60 };

typedef struct usage {
    int64_t key;
    uint64_t second; /* of the newest counter */
    int64_t requests[SECONDS], tokens[SECONDS];
    int32_t n_answers;
} usage;

struct sb_quotas {
    pthread_mutex_t lock;
    usage *all; /* [n] */
    size_t n, cap;
};

sb_status sb_quotas_new(sb_quotas **out, sb_error *err)
{
    sb_quotas *q = sb_calloc(1, sizeof *q);
    if (!q) return SB_FAIL(err, SB_NO_MEMORY, "quotas: out of memory");
    (void)pthread_mutex_init(&q->lock, NULL);
    *out = q;
    return SB_OK;
}

void sb_quotas_free(sb_quotas *q)
{
    if (!q) return;
    (void)pthread_mutex_destroy(&q->lock);
    sb_free(q->all);
    sb_free(q);
}

/* Lock held. NULL: out of memory. */
static usage *find(sb_quotas *q, int64_t key)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->all[i].key == key) return &q->all[i];
    if (q->n == q->cap) {
        const size_t cap = q->cap ? 2 * q->cap : 8;
        usage *all = sb_realloc(q->all, cap, sizeof *all);
        if (!all) return NULL;
        q->all = all;
        q->cap = cap;
    }
    usage *u = &q->all[q->n++];
    *u = (usage){.key = key};
    return u;
}

/* Moves the window to now. */
static void turn(usage *u, uint64_t now_ns)
{
    const uint64_t second = now_ns / 1000000000;
    uint64_t gap = second > u->second ? second - u->second : 0;
    if (gap > SECONDS) gap = SECONDS;
    for (uint64_t i = 1; i <= gap; i++) {
        const size_t at = (size_t)((second - gap + i) % SECONDS);
        u->requests[at] = 0;
        u->tokens[at] = 0;
    }
    if (second > u->second) u->second = second;
}

static int64_t sum(const int64_t v[SECONDS])
{
    int64_t s = 0;
    for (int i = 0; i < SECONDS; i++)
        s += v[i];
    return s;
}

/* Seconds until enough of v has left the window that its sum is below limit. */
static int wait_for(const usage *u, const int64_t v[SECONDS], int64_t limit)
{
    int64_t s = sum(v);
    for (int k = 1; k < SECONDS; k++) {
        s -= v[(size_t)((u->second + (uint64_t)k) % SECONDS)];
        if (s < limit) return k;
    }
    return SECONDS;
}

static int64_t *newest(const usage *u, int64_t v[SECONDS])
{
    return &v[(size_t)(u->second % SECONDS)];
}

sb_quota_bound sb_quota_request(sb_quotas *q, int64_t key, const sb_quota_limits *l,
                                uint64_t now_ns, int *out_retry_s)
{
    sb_quota_bound b = SB_QUOTA_FREE;
    if (l->rpm <= 0) return b;
    (void)pthread_mutex_lock(&q->lock);
    usage *u = find(q, key);
    if (u) {
        turn(u, now_ns);
        if (sum(u->requests) >= l->rpm) {
            b = SB_QUOTA_REQUESTS;
            *out_retry_s = wait_for(u, u->requests, l->rpm);
        } else {
            ++*newest(u, u->requests);
        }
    }
    (void)pthread_mutex_unlock(&q->lock);
    return b;
}

sb_quota_bound sb_quota_begin(sb_quotas *q, int64_t key, const sb_quota_limits *l,
                              int64_t set_aside, uint64_t now_ns, sb_quota_hold *out,
                              int *out_retry_s)
{
    sb_quota_bound b = SB_QUOTA_FREE;
    *out = (sb_quota_hold){0};
    (void)pthread_mutex_lock(&q->lock);
    usage *u = find(q, key);
    if (u) {
        turn(u, now_ns);
        if (l->concurrent > 0 && u->n_answers >= l->concurrent) {
            b = SB_QUOTA_ANSWERS;
            *out_retry_s = 1;
        } else if (l->tpm > 0 && sum(u->tokens) >= l->tpm) {
            b = SB_QUOTA_TOKENS;
            *out_retry_s = wait_for(u, u->tokens, l->tpm);
        } else {
            u->n_answers++;
            *newest(u, u->tokens) += set_aside;
            *out = (sb_quota_hold){
                .key = key, .set_aside = set_aside, .second = u->second, .held = true};
        }
    }
    (void)pthread_mutex_unlock(&q->lock);
    return b;
}

void sb_quota_end(sb_quotas *q, sb_quota_hold *h, int64_t used, uint64_t now_ns)
{
    if (!h->held) return;
    (void)pthread_mutex_lock(&q->lock);
    usage *u = find(q, h->key);
    if (u) {
        turn(u, now_ns);
        if (u->n_answers > 0) u->n_answers--;
        *newest(u, u->tokens) += used;
        if (u->second - h->second < SECONDS) /* what was set aside is still in the window */
            u->tokens[(size_t)(h->second % SECONDS)] -= h->set_aside;
    }
    (void)pthread_mutex_unlock(&q->lock);
    *h = (sb_quota_hold){0};
}
