/* SPDX-License-Identifier: Apache-2.0
 * quota.h - what one key may do a minute: requests, tokens, answers at once.
 *
 * Purpose     Counts by the second over the last sixty, so that no minute, wherever it begins,
 *             holds more than the limit by over 1/60. A bucket that fills up would let the first
 *             minute have twice the limit.
 * Tokens      What an answer may take (its max_tokens, where it says so) is set aside when it
 *             begins and settled when it ends; the prompt counts, cached or not.
 * Threads     Any; a lock inside.
 * Cost        No timer: the window moves when it is looked at. */
#ifndef SB_SERVER_QUOTA_H
#define SB_SERVER_QUOTA_H
#include "base/base.h"

typedef struct sb_quotas sb_quotas;

typedef struct sb_quota_limits {
    int64_t rpm, tpm;   /* 0: none */
    int32_t concurrent; /* 0: none */
} sb_quota_limits;

typedef enum sb_quota_bound {
    SB_QUOTA_FREE,
    SB_QUOTA_REQUESTS,
    SB_QUOTA_TOKENS,
    SB_QUOTA_ANSWERS
} sb_quota_bound;

sb_status sb_quotas_new(sb_quotas **out, sb_error *err) SB_MUST_USE;
void sb_quotas_free(sb_quotas *q);

/* Counts a request of the key; else says which limit it met and after how many seconds to come
 * again. now_ns: monotonic. */
sb_quota_bound sb_quota_request(sb_quotas *q, int64_t key, const sb_quota_limits *l,
                                uint64_t now_ns, int *out_retry_s);
/* What an answer under way holds. Zero: nothing. */
typedef struct sb_quota_hold {
    int64_t key, set_aside;
    uint64_t second;
    bool held;
} sb_quota_hold;

/* An answer begins: set_aside tokens are counted at once. */
sb_quota_bound sb_quota_begin(sb_quotas *q, int64_t key, const sb_quota_limits *l,
                              int64_t set_aside, uint64_t now_ns, sb_quota_hold *out,
                              int *out_retry_s);
/* It ended: `used` tokens in all. Zeroes the hold; one that holds nothing is allowed. */
void sb_quota_end(sb_quotas *q, sb_quota_hold *h, int64_t used, uint64_t now_ns);
#endif
