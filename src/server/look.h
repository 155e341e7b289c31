/* SPDX-License-Identifier: Apache-2.0
 * look.h - a reply that a worker makes, because it looks at the disk or the data base. */
#ifndef SB_SERVER_LOOK_H
#define SB_SERVER_LOOK_H
#include "server/serve.h"

/* fn runs on a worker and replies; the exchange is given back after it. */
void sb_look_begin(sb_server *sv, sb_x *x, const sb_caller *who,
                   void (*fn)(sb_server *sv, sb_x *x, const sb_caller *who));
/* A body in a buffer, or the failure to make it. Takes the buffer's content; it is deinitialised.
 * */
void sb_look_reply(sb_x *x, sb_buf *body, sb_status s, const sb_error *err);
#endif
