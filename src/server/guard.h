/* SPDX-License-Identifier: Apache-2.0
 * guard.h - may this request be here at all: Host, Origin, what a browser says of where it comes
 * from, and the type of its body.
 *
 * Purpose     Against pages of other sites that a visitor's browser lets loose on this server (DNS
 *             rebinding, cross-site posts). Holds on every path and on every address it listens on.
 * Host        Loopback names (localhost, *.localhost, 127.0.0.0/8, [::1]) with any port; the
 *             address it is bound to and, bound to all addresses, any literal address, with its own
 *             port; the names of --allow-host (NAME or NAME:PORT). Anything else is 421: a name
 *             that leads here without being known was made by somebody else.
 * Origin      None, the same as Host, or one of --allow-origin; else 403. Sec-Fetch-Site cross-site
 *             and same-site are 403 without an allowed Origin, but for somebody who follows a link
 *             to `/`.
 * CORS        No header of it, ever, unless the Origin is one of --allow-origin.
 * Body        Encoded bodies are 415. Types other than application/json are 415; a form's type, or
 *             none, is taken where no browser speaks (`curl -d`).
 * Threads     Read-only after _init. */
#ifndef SB_SERVER_GUARD_H
#define SB_SERVER_GUARD_H
#include "server/http/http.h"

typedef struct sb_guard {
    const char *host; /* bound to; NULL: a socket that was handed over */
    int port;
    const char *const *allow_hosts;
    size_t n_allow_hosts;
    const char *const *allow_origins;
    size_t n_allow_origins;
} sb_guard;

typedef struct sb_verdict {
    int status;      /* 0: go on; 204: a preflight to be answered with cors alone */
    const char *why; /* static text */
    sb_str cors;     /* the Origin to be named in the reply's CORS headers, or {NULL, 0} */
} sb_verdict;

/* Of the head; the body has not come. */
sb_verdict sb_guard_judge(const sb_guard *g, const sb_http_request *r);
/* Is this address one that only this machine reaches? */
bool sb_guard_is_loopback(const char *host);
/* An entry of --allow-host or --allow-origin that can never fit is SB_INVALID. */
sb_status sb_guard_check(const sb_guard *g, sb_error *err) SB_MUST_USE;
#endif
