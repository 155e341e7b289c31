/* SPDX-License-Identifier: Apache-2.0
 * http.h - strict HTTP/1.1 on a port: whole requests in, replies and streams out.
 *
 * Purpose     Framing, deadlines, limits, TLS and back-pressure. Hands whole requests (head and
 *             body) to one handler and sends what it is told. It knows no route, no JSON, no key.
 * Strictness  RFC 9112 without its tolerances: what two readers could understand differently is
 *             refused (400) and the connection closed. docs/hostile-input.md has the rows H1-H16.
 *             Only GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS come through (others: 501).
 * Invariants  Requests of one connection are answered in order, one at a time. At most
 *             `backlog_bytes` of a stream wait for a slow reader before `on_full` is called; one
 *             that takes nothing for `stall_ms` is dropped. Deadlines are absolute. No timer runs
 *             while nothing can expire.
 * Threads     Everything runs on the loop's thread, but sb_x_* below, which any thread may call.
 *             Of one exchange, header, reply, begin, write and end come from one thread at a time.
 * Ownership   An exchange is counted. on_request hands over a hold, which ends by sb_x_release();
 *             request and its texts live as long as the exchange. Exchanges may outlive the server.
 * Errors      SB_IO (the port cannot be had), SB_INVALID, SB_NO_MEMORY, SB_LIMIT. Memory that is
 *             short later costs the connection that wanted it, no more. SIGPIPE is not raised. */
#ifndef SB_SERVER_HTTP_H
#define SB_SERVER_HTTP_H
#include "base/buf.h"

typedef struct sb_http sb_http; /* the listener and its connections */
typedef struct sb_x sb_x;       /* one exchange: a request and its reply */

typedef struct sb_http_header {
    sb_str name, value; /* name in lower case */
} sb_http_header;

typedef struct sb_http_request {
    sb_str method; /* as it came: a token */
    sb_str path;   /* percent-decoded, valid UTF-8, begins with '/', no dot segments, no NUL */
    sb_str query;  /* as it came, without '?' */
    const sb_http_header *headers;
    size_t n_headers;
    sb_str body;
    sb_str peer;  /* address of the peer as text, or "unix"; with trusted proxies, the client's */
    bool is_tls;  /* also as a trusted proxy says */
    bool is_unix; /* came through a unix socket */
} sb_http_request;

/* The header's value or {NULL, 0}; name in lower case. A header that came twice was refused when
 * it may come once (Host, Authorization, Content-Type ...), else its values are joined by ", ". */
sb_str sb_http_header_find(const sb_http_request *r, const char *name);
/* The first value of this name in a query, decoded (valid UTF-8, may hold NUL), into out (cleared
 * first). False when there is none, it is broken, or out's limit or memory ends. */
bool sb_http_query_find(sb_str query, const char *name, sb_buf *out);
/* Host, ":port" (kept in *port, else -1) taken off; "[v6]" keeps its brackets. False: malformed. */
bool sb_http_host_split(sb_str text, sb_str *host, int *port);

/* How an exchange ended. */
typedef struct sb_http_outcome {
    int status;          /* of its reply; 0: there was none */
    bool is_gone;        /* not all of the reply was taken */
    uint64_t sent_bytes; /* given to the system, head and framing included */
    uint64_t begin_ns;   /* when its first byte came (sb_now_ns) */
} sb_http_outcome;

typedef struct sb_http_opts {
    const char *host;                   /* address, "localhost", "unix:/path"; NULL: listen_fd */
    int port;                           /* 0: the system chooses */
    int listen_fd;                      /* a socket handed over (socket activation), else -1 */
    const char *tls_cert, *tls_key;     /* PEM files, or NULL */
    const char *const *trusted_proxies; /* [n] "a.b.c.d", "a.b.c.d/len", IPv6 likewise, "unix" */
    size_t n_trusted_proxies;
    int max_connections;     /* 0: 1024; beyond, a client is told 503 */
    size_t max_body_bytes;   /* of one request: 413 beyond; on_head may lower it */
    size_t max_bodies_bytes; /* of all requests together: 503 beyond; 0: 256 MiB */
    size_t backlog_bytes;    /* 0: 256 KiB */
    /* 0: 10 s, 60 s, 60 s (and up to 1/16 more), 30 s. A body has head_ms, and body_ms_per_mib more
     * for each MiB. */
    int head_ms, body_ms_per_mib, idle_ms, stall_ms;
    /* Called when the head is complete, before the body is read (r->body is empty): the greatest
     * body it may have, or -1 after sb_x_reply() has refused it (key missing, unknown route ...).
     * x is lent. */
    int64_t (*on_head)(void *ctx, sb_x *x, const sb_http_request *r);
    /* The request is whole. The handler owns one hold of x. */
    void (*on_request)(void *ctx, sb_x *x, const sb_http_request *r);
    /* What to tell a client whose request was refused here (framing, a limit, a deadline): puts
     * the reply's body into `body` (empty; at most SB_MAX_REFUSAL_BYTES) and returns its content
     * type. NULL, or no such function: `why` as plain text. path: decoded, as far as it is known,
     * else empty; then there was no on_head either. */
    const char *(*on_refused)(void *ctx, int status, const char *why, sb_str path, sb_buf *body);
    /* The last call for an exchange that on_head saw, for logs: nothing of its watch is called
     * any more. May be NULL. */
    void (*on_done)(void *ctx, sb_x *x, const sb_http_outcome *o);
    void *ctx;
} sb_http_opts;

struct event_base;
sb_status sb_http_open(sb_http **out, struct event_base *base, const sb_http_opts *o,
                       sb_error *err) SB_MUST_USE;
int sb_http_port(const sb_http *h); /* 0: a unix socket */
/* Takes no new connections, closes idle ones; the others end with their exchange. */
void sb_http_drain(sb_http *h);
/* Requests whose reply is not all with the system yet. */
size_t sb_http_n_exchanges(const sb_http *h);
typedef struct sb_http_stats {
    uint64_t n_accepted;     /* connections */
    uint64_t n_refused;      /* requests, and connections beyond the limits */
    uint64_t n_requests;     /* whole ones */
    uint64_t n_dropped_slow; /* readers that stalled */
    uint64_t n_timed_out;    /* heads and bodies that missed their deadline */
    size_t n_connections, n_exchanges;
    size_t buffered_bytes; /* bodies, and replies that wait to be taken */
} sb_http_stats;
sb_http_stats sb_http_get_stats(const sb_http *h);
/* Breaks off what is left; not inside a callback of this server. */
void sb_http_close(sb_http *h);

/* ---- one exchange; any thread ----
 * Calls out of order (a second reply, a write after the end) and calls after the client is gone do
 * nothing, so that nobody needs to look first. */

const sb_http_request *sb_x_request(const sb_x *x);
const char *sb_x_id(const sb_x *x);    /* the request id: the client's if it is good, else ours */
uint64_t sb_x_begin_ns(const sb_x *x); /* when its first byte came */
/* A pointer of the caller's, NULL at first. */
void sb_x_set_user(sb_x *x, void *user);
void *sb_x_user(const sb_x *x);
/* A header of the reply to come; before reply or begin. Names and values are checked: what cannot
 * stand in a header, or belongs to the framing, is dropped. Each reply says nosniff, no-referrer
 * and Cache-Control: no-store unless these are set here. */
void sb_x_header(sb_x *x, const char *name, const char *value);
/* The whole reply. type: content type or NULL. */
void sb_x_reply(sb_x *x, int status, const char *type, sb_str body);
/* A stream: head at once, then pieces, then the end (chunked; HTTP/1.0 clients get a closed
 * connection). `keep_alive` bytes, if any, are sent when nothing else was for keep_alive_ms. */
void sb_x_begin(sb_x *x, int status, const char *type, sb_str keep_alive, int keep_alive_ms);
void sb_x_write(sb_x *x, sb_str bytes);
void sb_x_end(sb_x *x);
/* Breaks the connection off where no error can be told any more. */
void sb_x_abort(sb_x *x);
/* on_full(true) when the backlog passes its limit, on_full(false) when half of it is taken; on_gone
 * when the client is (its read side closed while a reply is under way, reset, or dropped as too
 * slow), at once if it is already. Called on the loop's thread, at most once for gone, not begun
 * after reply or end; a call may be under way while another thread ends the exchange, so ctx lives
 * until on_done. An exchange that nobody watches is answered in full to a client that has closed
 * its own side. NULLs to stop. */
void sb_x_watch(sb_x *x, void (*on_full)(void *ctx, bool full), void (*on_gone)(void *ctx),
                void *ctx);
bool sb_x_is_gone(const sb_x *x);
void sb_x_hold(sb_x *x);
void sb_x_release(sb_x *x);
#endif
