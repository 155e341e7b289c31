/* SPDX-License-Identifier: Apache-2.0
 * pulls.h - the pulls under way and who watches them; inside src/server.
 *
 * Purpose     sb_server_pull(), _remove() and _unwatch() of serve.h live in pulls.c; this is their
 *             state's beginning and end.
 * Threads     The loop's. */
#ifndef SB_SERVER_PULLS_H
#define SB_SERVER_PULLS_H
#include "base/base.h"

typedef struct sb_pulls sb_pulls;
sb_status sb_pulls_new(sb_pulls **out, sb_error *err) SB_MUST_USE;
void sb_pulls_free(sb_pulls *p);
/* The helper's socket can be read; an event's callback. */
void sb_pulls_on_news(int fd, short what, void *server);
#endif
