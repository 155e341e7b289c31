/* SPDX-License-Identifier: Apache-2.0
 * conv_rows.h - what the files behind conv.h share: finding, checking and reading their rows.
 *
 * All run inside a turn of the data base; errors are those of conv.h. */
#ifndef SB_STORE_CONV_ROWS_H
#define SB_STORE_CONV_ROWS_H
#include "store/conv.h"
#include "store/db_sql.h"

/* The conversation's row number, if it is this owner's. */
sb_status sb_conv_find(sb_db *db, sb_owner owner, const char *id, int64_t *out_seq,
                       sb_error *err) SB_MUST_USE;
/* Puts it in front of its owner's list. */
sb_status sb_conv_touch(sb_db *db, int64_t seq, sb_error *err) SB_MUST_USE;
/* A message nobody has, of a conversation this owner has. */
sb_status sb_msg_unknown(int64_t msg, sb_error *err);

/* Adds m at a place that the caller has checked, and to the conversation's counts. */
typedef struct sb_msg_place {
    int64_t conv; /* row number */
    int64_t id, parent, depth, created_ms;
} sb_msg_place;
sb_status sb_msg_insert(sb_db *db, const sb_msg_place *at, const sb_msg *m,
                        sb_error *err) SB_MUST_USE;
sb_status sb_msg_check(const sb_msg *m, sb_error *err) SB_MUST_USE;
/* Tells message msg of conversation conv; *out_parent (may be NULL): its parent. */
sb_status sb_msg_tell(sb_db *db, int64_t conv, int64_t msg, sb_msg_row row, void *ctx,
                      int64_t *out_parent, sb_error *err) SB_MUST_USE;
/* Tells the conversation. */
sb_status sb_conv_tell(sb_db *db, int64_t seq, sb_conv_row row, void *ctx,
                       sb_error *err) SB_MUST_USE;
#endif
