/* SPDX-License-Identifier: Apache-2.0
 * http_rig.h - a server and its clients in one thread, for tests.
 *
 * Use         rig_open() with options (or NULL), connect, send, and read until a text or the end
 *             has come: the loop turns while a client waits. Routes: see http_rig.c.
 * Threads     One, but for what a test does to `x` from others. */
#ifndef HTTP_RIG_H
#define HTTP_RIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/http/http.h"

struct event_base;

enum { RIG_BYTES = 1 << 20 };

typedef struct rig {
    struct event_base *base;
    sb_http *http;
    sb_x *x; /* of /hold: lent to the test, which calls rig_let_go() */
    int n_heads, n_requests, n_refused, n_done, n_gone, n_full, n_free; /* calls, in all */
    sb_http_outcome last;
    int last_refused;
    char last_why[128], last_path[256];
    char body[4096]; /* last request's body, cut off */
    size_t body_n;
    char peer[64];
    bool is_tls, is_unix;
    bool wordless;       /* on_refused words nothing */
    char got[RIG_BYTES]; /* what the last read brought, NUL-terminated */
    size_t got_n;
} rig;

sb_http_opts rig_opts(rig *r);
void rig_open(rig *r, const sb_http_opts *o); /* NULL: rig_opts() */
void rig_close(rig *r);
void rig_let_go(rig *r);
/* Turns the loop for so long. */
void rig_turn(rig *r, int for_ms);
/* A client's socket, not blocking; path: of a unix socket, or NULL. */
int rig_connect(rig *r, const char *path);
void rig_send(rig *r, int fd, const void *p, size_t n);
void rig_say(rig *r, int fd, const char *text);
/* Reads into r->got until `until` is in it (NULL: until the end of the stream); false after 5 s, or
 * when the end comes before. A reset is an end. */
bool rig_read(rig *r, int fd, const char *until);
/* Connects, says text, reads to the end and closes. */
void rig_ask(rig *r, const char *text);
/* Times that word stands in r->got. */
int rig_count(const rig *r, const char *word);
#endif
