/* SPDX-License-Identifier: Apache-2.0
 * listener.c - the port: opened or handed over, accepting, drained, closed.
 *
 * When descriptors have run out, the spare one is given up for a moment, so that the client in the
 * queue is told 503 and does not keep the loop awake by waiting there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "server/http/internal.h"

enum {
    QUEUE = 512,            /* connections the system may hold for us */
    ACCEPTS_PER_EVENT = 64, /* others want their turn */
    OVER = 64,              /* connections beyond the limit that are told so at the same time */
    RESUME_NS = 250000000
};

/* ---- sockets ---- */

static sb_status fail(sb_error *err, const char *what, const char *host, int port)
{
    const int code = errno;
    char shown[128];
    sb_path_escape(shown, sizeof shown, host);
    if (port < 0) return SB_FAIL(err, SB_IO, "%s '%s': %s", what, shown, strerror(code));
    return SB_FAIL(err, SB_IO, "%s %s port %d: %s", what, shown, port, strerror(code));
}

static bool is_stale(const struct sockaddr_un *a)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    const bool refused =
        connect(fd, (const struct sockaddr *)a, sizeof *a) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

static sb_status listen_unix(sb_http *h, const char *path, sb_error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const size_t n = strlen(path);
    if (!n || n >= sizeof a.sun_path)
        return SB_FAIL(err, SB_INVALID, "unix socket: a path of %zu bytes, at most %zu", n,
                       sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, n + 1);
    if (is_stale(&a)) (void)unlink(path); // of a server that was killed
    h->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0 || bind(h->fd, (const struct sockaddr *)&a, sizeof a) != 0)
        return fail(err, "unix socket", path, -1);
    h->unix_path = sb_strdup_n(path, n);
    h->is_unix = true;
    if (!h->unix_path) return SB_FAIL(err, SB_NO_MEMORY, "unix socket: no memory");
    return listen(h->fd, QUEUE) == 0 ? SB_OK : fail(err, "unix socket", path, -1);
}

static sb_status listen_tcp(sb_http *h, const char *host, int port, sb_error *err)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    char bare[SB_ADDRESS_BYTES];
    const size_t n = strlen(host);
    const bool bracketed = n > 2 && host[0] == '[' && host[n - 1] == ']';
    (void)snprintf(bare, sizeof bare, "%.*s", (int)(bracketed ? n - 2 : n), host + bracketed);
    const char *address = strcmp(bare, "localhost") == 0 ? "127.0.0.1" : bare;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
    } else {
        errno = EINVAL;
        return fail(err, "not an address to listen on:", host, -1);
    }
    const int on = 1, off = 0;
    const socklen_t size = a.ss_family == AF_INET ? sizeof *v4 : sizeof *v6;
    h->fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0) return fail(err, "cannot listen on", host, port);
    (void)setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a.ss_family == AF_INET6)
        (void)setsockopt(h->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(h->fd, (const struct sockaddr *)&a, size) != 0 || listen(h->fd, QUEUE) != 0)
        return fail(err, "cannot listen on", host, port);
    return SB_OK;
}

/* A socket of whoever started us; what kind it is shows in its name. */
static sb_status take_over(sb_http *h, int fd, sb_error *err)
{
    int is_listening = 0;
    socklen_t size = sizeof is_listening;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 ||
        !is_listening || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return SB_FAIL(err, SB_INVALID, "descriptor %d: not a socket that listens", fd);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    h->fd = fd;
    return SB_OK;
}

static void note_port(sb_http *h)
{
    struct sockaddr_storage a = {0};
    socklen_t size = sizeof a;
    if (getsockname(h->fd, (struct sockaddr *)&a, &size) != 0) return;
    h->is_unix = a.ss_family == AF_UNIX;
    if (a.ss_family == AF_INET) h->port = ntohs(((struct sockaddr_in *)&a)->sin_port);
    if (a.ss_family == AF_INET6) h->port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
}

static sb_status begin_listening(sb_http *h, sb_error *err)
{
    static const char scheme[] = "unix:";
    const sb_http_opts *o = &h->o;
    if (!o->host && o->listen_fd < 0)
        return SB_FAIL(err, SB_INVALID, "no address and no socket to listen on");
    if (o->port < 0 || o->port > 65535)
        return SB_FAIL(err, SB_INVALID, "port %d: at most 65535", o->port);
    if (!o->host)
        SB_TRY(take_over(h, o->listen_fd, err));
    else if (strncmp(o->host, scheme, sizeof scheme - 1) == 0)
        SB_TRY(listen_unix(h, o->host + sizeof scheme - 1, err));
    else
        SB_TRY(listen_tcp(h, o->host, o->port, err));
    note_port(h);
    return SB_OK;
}

/* ---- accepting ---- */

/* A copy of one we have: a sandbox may not let us open a file. */
static int open_spare(const sb_http *h)
{
    return fcntl(h->relay->fd, F_DUPFD_CLOEXEC, 0);
}

static void format_peer(const struct sockaddr_storage *a, char out[SB_ADDRESS_BYTES])
{
    char text[INET6_ADDRSTRLEN] = "unix";
    if (a->ss_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text);
    if (a->ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text, sizeof text);
    if (!sb_address_format((sb_str){text, strlen(text)}, out)) memcpy(out, text, strlen(text) + 1);
}

static void pause_accepting(sb_http *h)
{
    (void)event_del(&h->ev_accept);
    h->resume_ns = sb_now_ns() + RESUME_NS;
    sb_deadline_want(h, h->resume_ns);
}

void sb_listener_resume(sb_http *h)
{
    h->resume_ns = 0;
    if (h->is_draining) return;
    if (h->spare_fd < 0) h->spare_fd = open_spare(h);
    if (event_add(&h->ev_accept, NULL) != 0) pause_accepting(h);
}

/* No descriptor is left: the first in the queue is told so. False: not even that could be done. */
static bool refuse_one(sb_http *h)
{
    static const char text[] =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
        "Content-Length: 0\r\n\r\n";
    if (h->spare_fd < 0) return false;
    (void)close(h->spare_fd);
    const int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (!h->tls) (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        (void)close(fd);
        h->stats.n_accepted++;
        h->stats.n_refused++;
    }
    h->spare_fd = open_spare(h);
    return fd >= 0;
}

/* Small pieces leave at once. The system holds little that is not sent: it would take megabytes for
 * a reader that stands still, and then nothing for long from one that is slow. A peer that vanished
 * without a word (a cable, a lost lease) is found out by the system: a while after stall_ms when
 * something is under way to it, else by probes that wake nobody here. */
static void set_up(const sb_http *h, int fd)
{
    static const int on = 1, idle_s = 30, gap_s = 10, n_probes = 3;
    if (h->is_unix) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &gap_s, sizeof gap_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n_probes, sizeof n_probes);
    const unsigned unsent_bytes = (unsigned)(h->o.backlog_bytes / 2);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
    const unsigned give_up_ms = (unsigned)h->o.stall_ms + 2000; // our own deadline comes first
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &give_up_ms, sizeof give_up_ms);
}

static void accept_some(sb_http *h)
{
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct sockaddr_storage a = {0};
        socklen_t size = sizeof a;
        const int fd = accept4(h->fd, (struct sockaddr *)&a, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            const bool is_short =
                errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
            if (is_short && refuse_one(h)) continue;
            if (is_short) pause_accepting(h);
            return; // nobody waits, or that client is gone already
        }
        set_up(h, fd);
        h->stats.n_accepted++;
        const size_t max = (size_t)h->o.max_connections;
        char peer[SB_ADDRESS_BYTES];
        format_peer(&a, peer);
        if (h->n_conns >= max + OVER) {
            h->stats.n_refused++;
            (void)close(fd);
            continue;
        }
        sb_conn_new(h, fd, peer, h->is_unix, h->n_conns >= max);
    }
}

static void on_accept(evutil_socket_t fd, short what, void *ctx)
{
    sb_http *h = ctx;
    (void)fd;
    (void)what;
    sb_relay_enter(h->relay);
    accept_some(h);
    sb_http_settle(h);
    sb_relay_leave(h->relay);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    sb_http *h = ctx;
    (void)fd;
    (void)what;
    sb_relay_woken(h->relay);
    sb_relay_enter(h->relay);
    sb_http_settle(h);
    sb_relay_leave(h->relay);
}

static void bury(sb_http *h)
{
    while (h->dead) {
        sb_conn *c = h->dead;
        h->dead = c->next;
        sb_conn_free(c);
    }
}

void sb_http_settle(sb_http *h)
{
    for (sb_x *x = sb_relay_pop(h->relay); x; x = sb_relay_pop(h->relay)) {
        if (x->conn)
            sb_conn_serve(x->conn);
        else if (sb_x_is_gone(x))
            sb_x_tell_gone(x); // to who has begun to watch only now
        sb_x_release(x);
    }
    bury(h);
}

/* ---- life ---- */

static void fill_defaults(sb_http_opts *o)
{
    if (!o->max_connections) o->max_connections = 1024;
    if (!o->max_bodies_bytes) o->max_bodies_bytes = (size_t)256 << 20;
    if (!o->backlog_bytes) o->backlog_bytes = (size_t)256 << 10;
    if (!o->head_ms) o->head_ms = 10000;
    if (!o->body_ms_per_mib) o->body_ms_per_mib = 60000;
    if (!o->idle_ms) o->idle_ms = 60000;
    if (!o->stall_ms) o->stall_ms = 30000;
}

static sb_status begin_events(sb_http *h, sb_error *err)
{
    event_assign(&h->ev_accept, h->base, h->fd, EV_READ | EV_PERSIST, on_accept, h);
    event_assign(&h->ev_wake, h->base, h->relay->fd, EV_READ | EV_PERSIST, on_wake, h);
    event_assign(&h->ev_clock, h->base, -1, 0, sb_deadline_tick, h);
    h->has_events = true;
    if (event_add(&h->ev_accept, NULL) != 0 || event_add(&h->ev_wake, NULL) != 0)
        return SB_FAIL(err, SB_NO_MEMORY, "the server's events: no memory");
    return SB_OK;
}

static sb_status init(sb_http *h, sb_error *err)
{
    const sb_http_opts *o = &h->o;
    if (!o->tls_cert != !o->tls_key)
        return SB_FAIL(err, SB_INVALID, "TLS needs a certificate and a key");
    SB_TRY(sb_proxies_init(&h->proxies, o->trusted_proxies, o->n_trusted_proxies, err));
    if (o->tls_cert) SB_TRY(sb_tls_new(&h->tls, o->tls_cert, o->tls_key, err));
    h->relay = sb_relay_new(o->backlog_bytes);
    h->scratch = sb_alloc(SB_SCRATCH_BYTES, 1);
    if (!h->relay || !h->scratch) return SB_FAIL(err, SB_NO_MEMORY, "the server: no memory");
    h->spare_fd = open_spare(h);
    SB_TRY(begin_listening(h, err));
    return begin_events(h, err);
}

sb_status sb_http_open(sb_http **out, struct event_base *base, const sb_http_opts *o, sb_error *err)
{
    sb_http *h = sb_calloc(1, sizeof *h);
    if (!h) return SB_FAIL(err, SB_NO_MEMORY, "the server: no memory");
    h->o = *o;
    h->base = base;
    h->fd = h->spare_fd = -1;
    fill_defaults(&h->o);
    const sb_status s = init(h, err);
    if (s != SB_OK) {
        sb_http_close(h);
        return s;
    }
    h->o.host = h->o.tls_cert = h->o.tls_key = NULL; // the caller's, used up
    h->o.trusted_proxies = NULL;
    *out = h;
    return SB_OK;
}

int sb_http_port(const sb_http *h)
{
    return h->port;
}

static void stop_listening(sb_http *h)
{
    if (h->has_events) (void)event_del(&h->ev_accept);
    if (h->unix_path) (void)unlink(h->unix_path);
    if (h->fd >= 0) (void)close(h->fd);
    sb_free(h->unix_path);
    h->unix_path = NULL;
    h->fd = -1;
}

void sb_http_drain(sb_http *h)
{
    h->is_draining = true;
    stop_listening(h);
    sb_conn *next = NULL;
    for (sb_conn *c = h->conns; c; c = next) {
        next = c->next;
        sb_conn_drain(c);
    }
}

size_t sb_http_n_exchanges(const sb_http *h)
{
    return h->n_exchanges;
}

sb_http_stats sb_http_get_stats(const sb_http *h)
{
    sb_http_stats s = h->stats;
    s.n_connections = h->n_conns;
    s.n_exchanges = h->n_exchanges;
    s.buffered_bytes = atomic_load(&h->relay->body_bytes);
    (void)pthread_mutex_lock(&h->relay->mu);
    for (const sb_conn *c = h->conns; c; c = c->next)
        s.buffered_bytes += c->out.n + (c->x ? c->x->out.n : 0);
    (void)pthread_mutex_unlock(&h->relay->mu);
    return s;
}

void sb_http_close(sb_http *h)
{
    if (!h) return;
    while (h->conns)
        sb_conn_drop(h->conns);
    bury(h);
    stop_listening(h);
    if (h->has_events) {
        (void)event_del(&h->ev_wake);
        (void)event_del(&h->ev_clock);
    }
    for (sb_x *x = h->relay ? sb_relay_pop(h->relay) : NULL; x; x = sb_relay_pop(h->relay))
        sb_x_release(x);
    if (h->spare_fd >= 0) (void)close(h->spare_fd);
    sb_relay_release(h->relay);
    sb_tls_free(h->tls);
    sb_free(h->scratch);
    sb_free(h);
}
