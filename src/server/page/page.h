/* SPDX-License-Identifier: Apache-2.0
 * page.h - the web page of the server: its files, and its own routes under /sobre/v1/.
 *
 * Purpose     Conversations of the data base, answers that run whether or not a browser looks, and
 *             one feed of events for each browser that does. docs/page-api.md has the routes.
 * Invariants  Nothing is shown to anyone but its owner. What was acknowledged is in the data base;
 *             of an answer under way at most the last second is not.
 * Threads     _new and _free where the server is made and unmade; _handle and _stop on the loop's
 *             thread.
 * Ownership   The server owns the page and outlives its runs. Before _free all runs have ended and
 *             the workers are idle.
 * Cost        Without requests nothing runs; an open feed costs its connection. */
#ifndef SB_SERVER_PAGE_H
#define SB_SERVER_PAGE_H
#include "server/serve.h"

typedef struct sb_page sb_page;

sb_status sb_page_new(sb_page **out, sb_server *sv, sb_error *err) SB_MUST_USE;
/* Ends all feeds, so that a drain need not wait for them; browsers come back by themselves. */
void sb_page_stop(sb_page *p);
void sb_page_free(sb_page *p);

/* The server's page; the server's to implement. */
sb_page *sb_server_page(sb_server *sv);
#endif
