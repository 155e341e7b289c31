/* SPDX-License-Identifier: Apache-2.0
 * router.h - from method and path to a row of routes.def.
 *
 * Invariants  HEAD finds what GET finds. A path that is known under other methods is 405 and says
 *             which in `allow`; OPTIONS of a known path is 405, too (guard.h answers preflights
 *             before). Methods that are none of ours are 501 wherever they are sent.
 * Threads     Pure functions.
 * Cost        One walk over the rows. */
#ifndef SB_SERVER_ROUTER_H
#define SB_SERVER_ROUTER_H
#include "server/serve.h"

typedef enum sb_route_auth { SB_AUTH_OPEN, SB_AUTH_USER, SB_AUTH_MANAGE } sb_route_auth;
typedef enum sb_route_kind { SB_KIND_LOOK, SB_KIND_WORK, SB_KIND_RUN } sb_route_kind;
typedef enum sb_route_body { SB_BODY_NONE, SB_BODY_SMALL, SB_BODY_FULL } sb_route_body;

typedef struct sb_route {
    const char *method; /* "ANY": all but HEAD's own */
    const char *path;
    sb_handler handler;
    sb_route_auth auth;
    sb_route_kind kind;
    sb_route_body body;
    const sb_dialect *dialect; /* of its errors */
    const char *what;
} sb_route;

const sb_route *sb_route_rows(size_t *out_n);

enum { SB_ALLOW_BYTES = 64 };

/* 200 and *out; else 404, 405 (allow: the methods it has) or 501. */
int sb_route_find(sb_str method, sb_str path, const sb_route **out, char allow[SB_ALLOW_BYTES]);
/* The dialect a path is refused in, whether or not it has a row. */
const sb_dialect *sb_route_dialect(sb_str path);
/* The i-th segment of a path, from 0; empty when there is none. */
sb_str sb_path_segment(sb_str path, int i);

#define X(method, path, handler, auth, kind, body, dialect, what)                                  \
    void sb_route_##handler(sb_server *sv, sb_x *x, const sb_caller *who);
#include "server/routes.def"
#undef X
#endif
