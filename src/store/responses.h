/* SPDX-License-Identifier: Apache-2.0
 * responses.h - stored answers of the Responses API, chained by previous_response_id.
 *
 * Purpose     Keeps each response object and its input items as the server wrote them, so that a
 *             chain goes on after a restart.
 * Invariants  Found only by their owner. A chain has no cycle: a response is stored after the one
 *             it names, and is never changed.
 * Threads, ownership, errors as in db.h. */
#ifndef SB_STORE_RESPONSES_H
#define SB_STORE_RESPONSES_H
#include "store/db.h"

typedef struct sb_response {
    sb_str id, previous; /* previous: "" = none */
    int64_t created_ms;  /* set when stored, unless it is > 0 */
    sb_str object;       /* JSON of the response */
    sb_str items;        /* JSON array of its own input items, without those before */
    sb_str state;        /* the server's own JSON, never shown: what replays the turn; or "" */
} sb_response;
typedef sb_status (*sb_response_row)(void *ctx, const sb_response *r, sb_error *err);

/* SB_INVALID: the id is taken. SB_NOT_FOUND: `previous` is not there. */
sb_status sb_response_add(sb_db *db, sb_owner owner, const sb_response *r,
                          sb_error *err) SB_MUST_USE;
sb_status sb_response_get(sb_db *db, sb_owner owner, sb_str id, sb_response_row row, void *ctx,
                          sb_error *err) SB_MUST_USE;
sb_status sb_response_delete(sb_db *db, sb_owner owner, sb_str id, sb_error *err) SB_MUST_USE;
/* The response, the one before it, and so on: newest first. SB_INVALID: longer than
 * SB_MAX_RESPONSE_CHAIN. SB_NOT_FOUND names the one that was deleted. */
sb_status sb_response_chain(sb_db *db, sb_owner owner, sb_str id, sb_response_row row, void *ctx,
                            sb_error *err) SB_MUST_USE;
/* Removes the oldest that are older than max_age_ms (0: any age will do) or beyond max_bytes in all
 * (0: no limit); at most n_max a call, so that a clock that jumped cannot empty the store at once.
 * *out_n: removed. A chain that reaches a removed one is SB_NOT_FOUND. */
sb_status sb_response_expire(sb_db *db, int64_t max_age_ms, int64_t max_bytes, int32_t n_max,
                             int32_t *out_n, sb_error *err) SB_MUST_USE;
#endif
