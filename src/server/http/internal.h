/* SPDX-License-Identifier: Apache-2.0
 * internal.h - what the files of server/http share; nobody else includes it.
 *
 * exchange.c: an exchange and the relay through which other threads reach the loop. conn.c: one
 * connection from accept to close. deadline.c: the one timer. listener.c: the port. link.c: bytes
 * of a socket, plain or TLS.
 *
 * Threads     relay->mu guards the relay's list and what stands below "shared" in an exchange. All
 *             else belongs to the loop's thread. Nothing is called back or sent under it. */
#ifndef SB_SERVER_HTTP_INTERNAL_H
#define SB_SERVER_HTTP_INTERNAL_H
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http/http.h"
#include "server/http/intake.h"
#include "server/http/link.h"
#include "server/http/proxies.h"
#include "server/http/queue.h"
#include "server/http/reply.h"

typedef struct sb_conn sb_conn;

/* Outlives the server while an exchange is held. */
typedef struct sb_relay {
    pthread_mutex_t mu;
    atomic_int refs;
    atomic_size_t body_bytes; /* of all exchanges that live */
    size_t backlog_bytes;
    int fd;           /* wakes the loop; one write for any number of changes */
    bool is_woken;    /* the write is on its way */
    bool is_in_loop;  /* the loop's thread is in a callback of ours, and looks when it ends */
    pthread_t thread; /* the loop's, while is_in_loop */
    sb_x *first, *last;
} sb_relay;

sb_relay *sb_relay_new(size_t backlog_bytes) SB_MUST_USE;
void sb_relay_release(sb_relay *relay);
/* The next exchange that something was done to, or NULL; its hold is the caller's. */
sb_x *sb_relay_pop(sb_relay *relay);
/* Notes that something was done to x, and wakes the loop; under the lock. */
void sb_relay_list(sb_x *x);
/* The same, taking the lock. */
void sb_relay_poke(sb_x *x);
void sb_relay_woken(sb_relay *relay);
/* Around every callback of the loop. */
void sb_relay_enter(sb_relay *relay);
void sb_relay_leave(sb_relay *relay);

typedef enum sb_x_stage { SB_X_NEW, SB_X_BEGUN, SB_X_ENDED } sb_x_stage;

struct sb_x {
    atomic_int refs;
    sb_relay *relay;
    sb_conn *conn; /* NULL when it is over */
    sb_intake in;
    sb_http_request request;
    sb_http_header *headers;
    char *joined; /* values of headers that came more than once */
    char id[SB_MAX_REQUEST_ID_BYTES + 1];
    char peer[SB_ADDRESS_BYTES];
    uint64_t begin_ns, sent_bytes;
    size_t charged_bytes; /* of relay->body_bytes */
    bool is_announced;    /* on_head saw it */
    sb_buf own;           /* the handler's headers */
    _Atomic(void *) user;
    /* shared */
    sb_x *next;
    bool is_listed;
    sb_x_stage stage;
    int status;
    sb_framing framing;
    bool closes; /* the connection ends with the reply */
    bool is_gone, is_gone_told;
    bool is_broken, is_slow; /* to be broken off: by abort or for want of memory; for its backlog */
    bool is_full;
    sb_queue out;
    size_t n_unsent; /* bytes of it that the connection has taken over and not sent */
    sb_buf keep_alive;
    uint64_t keep_alive_ns, write_ns;
    void (*on_full)(void *ctx, bool full);
    void (*on_gone)(void *ctx);
    void *watch_ctx;
};

sb_x *sb_x_new(sb_relay *relay) SB_MUST_USE;
/* Fills the request from the head that has been read. */
sb_refusal sb_x_prepare(sb_x *x, const sb_proxies *proxies, const char *peer, bool is_tls,
                        bool is_unix);
/* Counts the body's bytes towards those of all; false when they pass max. */
bool sb_x_charge(sb_x *x, size_t max_bytes);
void sb_x_set_closes(sb_x *x, bool closes);
bool sb_x_has_reply(sb_x *x);
/* Takes the right to reply from the handler; false: it has replied already. */
bool sb_x_claim(sb_x *x, int status);
/* When the keep-alive bytes are due, or 0; sends them if that is past. */
uint64_t sb_x_ping_at(sb_x *x);
void sb_x_ping(sb_x *x);
bool sb_x_is_watched(sb_x *x);
/* Moves what is to be sent behind *to; *taken_ns is now when that was empty. False: it is to be
 * broken off. */
bool sb_x_take(sb_x *x, sb_queue *to, uint64_t *taken_ns);
/* The client is gone: tells whoever watches, once. */
void sb_x_tell_gone(sb_x *x);
/* After sending: notes what waits and tells whoever watches. */
void sb_x_tell_backlog(sb_x *x, size_t n_unsent);

typedef enum sb_phase {
    SB_PHASE_HANDSHAKE,
    SB_PHASE_IDLE, /* between requests */
    SB_PHASE_HEAD, /* also a new connection that has said nothing */
    SB_PHASE_BODY,
    SB_PHASE_REPLY,   /* the request is whole, or read no further */
    SB_PHASE_CLOSING, /* the last bytes go out; what comes in is thrown away */
    SB_PHASE_DEAD     /* waits to be freed */
} sb_phase;

struct sb_conn {
    sb_http *http;
    sb_conn *prev, *next;
    int fd;
    struct ssl_st *ssl; /* or NULL */
    sb_phase phase;
    struct event ev_read, ev_write;
    bool reads, writes; /* events that are set */
    sb_x *x;            /* from the first byte of a request until its reply is out */
    sb_queue in, out;   /* bytes read too early; bytes to send */
    bool is_eof, is_unix, is_shut;
    uint64_t since_ns; /* start of what the deadline counts */
    uint64_t taken_ns; /* when the peer last took something */
    char peer[SB_ADDRESS_BYTES];
};

/* Takes over the socket. refuse: say 503 and close. */
void sb_conn_new(sb_http *h, int fd, const char *peer, bool is_unix, bool refuse);
/* Sends what an exchange has for its connection. */
void sb_conn_serve(sb_conn *c);
/* Breaks it off; whoever watches is told. */
void sb_conn_drop(sb_conn *c);
void sb_conn_expire(sb_conn *c);
uint64_t sb_conn_deadline(const sb_conn *c); /* 0: none */
void sb_conn_drain(sb_conn *c);
void sb_conn_free(sb_conn *c);

struct sb_http {
    sb_http_opts o;
    struct event_base *base;
    sb_relay *relay;
    sb_tls *tls;
    sb_proxies proxies;
    int fd, spare_fd; /* spare: given up to answer a client when descriptors have run out */
    int port;
    bool is_unix, is_draining;
    char *unix_path; /* to be removed */
    struct event ev_accept, ev_wake, ev_clock;
    bool has_events;
    uint64_t clock_ns;  /* when ev_clock is due; 0: it is not set */
    uint64_t resume_ns; /* when accepting goes on; 0: it does */
    sb_conn *conns, *dead;
    size_t n_conns, n_exchanges;
    sb_http_stats stats;
    char *scratch;
};

enum { SB_SCRATCH_BYTES = 65536 };

/* After a callback: everything that was done to exchanges, then the dead are buried. */
void sb_http_settle(sb_http *h);
void sb_deadline_want(sb_http *h, uint64_t at_ns);
void sb_deadline_tick(evutil_socket_t fd, short what, void *ctx);
/* Accepts again after descriptors had run out. */
void sb_listener_resume(sb_http *h);
#endif
