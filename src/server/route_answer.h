/* SPDX-License-Identifier: Apache-2.0
 * route_answer.h - what the routes that answer share with those that only count; inside src/server.
 * */
#ifndef SB_SERVER_ROUTE_ANSWER_H
#define SB_SERVER_ROUTE_ANSWER_H
#include "server/serve.h"

/* Whose stored responses are read. */
typedef struct sb_answer_owner {
    sb_server *sv;
    int64_t owner;
} sb_answer_owner;
/* The shape of sb_wire_opts.stored; ctx: sb_answer_owner. */
sb_status sb_answer_stored(void *ctx, sb_str id, bool chain, sb_wire_row row, void *rows_ctx,
                           sb_error *err);
/* sb_reply_error() in a dialect of one's choice. */
void sb_reply_error_as(sb_x *x, const sb_dialect *d, const sb_wire_error *w);
#endif
