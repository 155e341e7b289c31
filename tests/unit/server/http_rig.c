/* SPDX-License-Identifier: Apache-2.0
 * http_rig.c - a server and its clients in one thread.
 *
 * Routes: /echo gives the body back; /hello says hello; /who tells the peer; /three streams three
 * pieces; /big is 4 MB; /hold keeps the exchange for the test, watched; /quiet keeps it, not
 * watched; /deny is refused by its head; /small takes a body of 10 bytes; /mute is refused without
 * a reply. */
#include "http_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static bool is(sb_str s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static int64_t on_head(void *ctx, sb_x *x, const sb_http_request *r)
{
    rig *g = ctx;
    g->n_heads++;
    assert_int_equal(r->body.n, 0);
    if (is(r->path, "/mute")) return -1;
    if (is(r->path, "/small")) return 10;
    if (!is(r->path, "/deny")) return INT64_MAX;
    sb_x_header(x, "WWW-Authenticate", "Bearer");
    sb_x_reply(x, 401, "text/plain", str("no"));
    return -1;
}

static void on_full(void *ctx, bool full)
{
    rig *g = ctx;
    if (full)
        g->n_full++;
    else
        g->n_free++;
}

static void on_gone(void *ctx)
{
    ((rig *)ctx)->n_gone++;
}

static void stream_three(sb_x *x)
{
    sb_x_begin(x, 200, "text/event-stream", (sb_str){0}, 0);
    sb_x_write(x, str("one\n"));
    sb_x_write(x, str("two\n"));
    sb_x_write(x, str("three\n"));
    sb_x_end(x);
}

static void send_big(sb_x *x)
{
    static char big[4 << 20];
    memset(big, 'b', sizeof big);
    sb_x_reply(x, 200, "text/plain", (sb_str){big, sizeof big});
}

static void on_request(void *ctx, sb_x *x, const sb_http_request *r)
{
    rig *g = ctx;
    g->n_requests++;
    g->body_n = r->body.n;
    memcpy(g->body, r->body.p, r->body.n < sizeof g->body ? r->body.n : sizeof g->body);
    (void)snprintf(g->peer, sizeof g->peer, "%.*s", (int)r->peer.n, r->peer.p);
    g->is_tls = r->is_tls;
    g->is_unix = r->is_unix;
    if (is(r->path, "/hold") || is(r->path, "/quiet")) {
        if (g->x) sb_x_release(g->x);
        g->x = x;
        if (is(r->path, "/hold")) sb_x_watch(x, on_full, on_gone, g);
        return;
    }
    if (is(r->path, "/echo"))
        sb_x_reply(x, 200, "application/octet-stream", r->body);
    else if (is(r->path, "/hello"))
        sb_x_reply(x, 200, "text/plain", str("hello"));
    else if (is(r->path, "/who"))
        sb_x_reply(x, 200, "text/plain", r->peer);
    else if (is(r->path, "/three"))
        stream_three(x);
    else if (is(r->path, "/big"))
        send_big(x);
    else
        sb_x_reply(x, 404, NULL, (sb_str){0});
    sb_x_release(x);
}

static const char *on_refused(void *ctx, int status, const char *why, sb_str path, sb_buf *body)
{
    rig *g = ctx;
    g->n_refused++;
    g->last_refused = status;
    (void)snprintf(g->last_why, sizeof g->last_why, "%s", why);
    (void)snprintf(g->last_path, sizeof g->last_path, "%.*s", (int)path.n, path.p);
    if (g->wordless || sb_buf_addf(body, NULL, "{\"refused\":%d}", status) != SB_OK) return NULL;
    return "application/json";
}

static void on_done(void *ctx, sb_x *x, const sb_http_outcome *o)
{
    rig *g = ctx;
    g->n_done++;
    g->last = *o;
    assert_non_null(sb_x_request(x)->path.p);
}

sb_http_opts rig_opts(rig *r)
{
    return (sb_http_opts){.host = "127.0.0.1",
                          .listen_fd = -1,
                          .max_body_bytes = 1 << 20,
                          .on_head = on_head,
                          .on_request = on_request,
                          .on_refused = on_refused,
                          .on_done = on_done,
                          .ctx = r};
}

void rig_open(rig *r, const sb_http_opts *o)
{
    sb_error err = {0};
    const sb_http_opts usual = rig_opts(r);
    memset(r, 0, sizeof *r);
    r->base = event_base_new();
    assert_non_null(r->base);
    if (sb_http_open(&r->http, r->base, o ? o : &usual, &err) != SB_OK) fail_msg("%s", err.msg);
}

void rig_let_go(rig *r)
{
    sb_x_release(r->x);
    r->x = NULL;
}

void rig_close(rig *r)
{
    sb_http_close(r->http);
    rig_let_go(r);
    event_base_free(r->base);
    assert_int_equal(r->n_done, r->n_heads); // each has been told its end
}

static void turn_once(rig *r)
{
    assert_true(event_base_loop(r->base, EVLOOP_NONBLOCK) >= 0);
}

void rig_turn(rig *r, int for_ms)
{
    const uint64_t end = sb_now_ns() + (uint64_t)for_ms * 1000000u;
    do {
        turn_once(r);
        (void)usleep(500);
    } while (sb_now_ns() < end);
}

int rig_connect(rig *r, const char *path)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    a.sin_port = htons((uint16_t)sb_http_port(r->http));
    if (path) (void)snprintf(u.sun_path, sizeof u.sun_path, "%s", path);
    const int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *to = path ? (const struct sockaddr *)&u : (const struct sockaddr *)&a;
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, to, path ? sizeof u : sizeof a), 0);
    return fd;
}

void rig_send(rig *r, int fd, const void *p, size_t n)
{
    const char *at = p;
    for (int i = 0; n && i < 20000; i++) {
        const ssize_t k = send(fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k > 0) {
            at += k;
            n -= (size_t)k;
        } else if (errno != EAGAIN) {
            return; // the server has hung up: the test sees that when it reads
        }
        turn_once(r);
    }
}

void rig_say(rig *r, int fd, const char *text)
{
    rig_send(r, fd, text, strlen(text));
}

bool rig_read(rig *r, int fd, const char *until)
{
    const uint64_t end = sb_now_ns() + 5000000000u;
    r->got_n = 0;
    r->got[0] = 0;
    while (sb_now_ns() < end) {
        turn_once(r);
        const size_t room = sizeof r->got - 1 - r->got_n;
        if (!room) return false;
        const ssize_t k = recv(fd, r->got + r->got_n, room, MSG_DONTWAIT);
        if (k == 0 || (k < 0 && errno != EAGAIN)) return !until;
        if (k < 0) {
            (void)usleep(200);
            continue;
        }
        r->got_n += (size_t)k;
        r->got[r->got_n] = 0;
        if (until && strstr(r->got, until)) return true;
    }
    return false;
}

void rig_ask(rig *r, const char *text)
{
    const int fd = rig_connect(r, NULL);
    rig_say(r, fd, text);
    assert_true(rig_read(r, fd, NULL));
    (void)close(fd);
    rig_turn(r, 0);
}

int rig_count(const rig *r, const char *word)
{
    int n = 0;
    for (const char *p = r->got; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}
