/* SPDX-License-Identifier: Apache-2.0
 * http_limits_test.c - deadlines, numbers of connections, descriptors, draining, idling, and the
 * kinds of sockets there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http_rig.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GET_LAST(path) "GET " path " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"

static rig g;

static void open_short(void)
{
    sb_http_opts o = rig_opts(&g);
    o.head_ms = 300;
    o.idle_ms = 300;
    o.stall_ms = 300;
    o.body_ms_per_mib = 1000;
    rig_open(&g, &o);
}

static uint64_t ms_since(uint64_t begin)
{
    return (sb_now_ns() - begin) / 1000000u;
}

/* Reads to the end; ms until it came. */
static uint64_t read_until_closed(int fd)
{
    const uint64_t begin = sb_now_ns();
    assert_true(rig_read(&g, fd, NULL));
    return ms_since(begin);
}

/* H1: nothing, a byte now and then, a head without end, a body that drips. */
static void slow_requests_meet_their_deadline(void **state)
{
    (void)state;
    open_short();
    const int silent = rig_connect(&g, NULL), dripping = rig_connect(&g, NULL);
    const int body = rig_connect(&g, NULL);
    rig_say(&g, body, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    rig_say(&g, dripping, "GET / HTTP/1.1\r\n");
    const uint64_t begin = sb_now_ns();
    for (int i = 0; ms_since(begin) < 700; i++) {
        rig_say(&g, dripping, i % 8 ? "x" : "X: x\r\n");
        rig_say(&g, body, "b");
        rig_turn(&g, 20);
    }
    const int fds[] = {silent, dripping, body};
    for (size_t i = 0; i < SB_ARRAY_LEN(fds); i++) {
        assert_true(rig_read(&g, fds[i], NULL)); // has been closed by now
        assert_non_null(strstr(g.got, "HTTP/1.1 408 "));
        (void)close(fds[i]);
    }
    assert_int_equal(sb_http_get_stats(g.http).n_timed_out, 3);
    assert_int_equal(sb_http_get_stats(g.http).n_refused, 0);
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
    assert_int_equal(g.last.status, 408);
    rig_close(&g);
}

/* A large body that comes steadily has more time than a head. */
static void a_steady_body_has_its_time(void **state)
{
    (void)state;
    sb_http_opts o = rig_opts(&g);
    o.head_ms = 300;
    o.body_ms_per_mib = 5000;
    rig_open(&g, &o);
    static char block[16384];
    memset(block, 'b', sizeof block);
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 983040\r\n\r\n");
    const uint64_t begin = sb_now_ns();
    for (int i = 0; i < 60; i++) { // 600 ms at 1.6 MB/s
        rig_send(&g, fd, block, sizeof block);
        rig_turn(&g, 8);
    }
    assert_true(ms_since(begin) > 400);
    while (!g.n_requests && ms_since(begin) < 5000)
        rig_turn(&g, 1);
    assert_int_equal(g.n_requests, 1);
    assert_int_equal(g.body_n, 983040);
    (void)close(fd);
    rig_close(&g);
}

static void idle_connections_are_closed(void **state)
{
    (void)state;
    open_short();
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, GET("/hello"));
    assert_true(rig_read(&g, fd, "hello"));
    const uint64_t took = read_until_closed(fd);
    assert_int_equal(g.got_n, 0); // nothing is said
    assert_true(took >= 250 && took < 4000);
    assert_int_equal(sb_http_get_stats(g.http).n_timed_out, 0);
    (void)close(fd);
    const int two = rig_connect(&g, NULL); // a second request has a deadline of its own
    rig_say(&g, two, GET("/hello"));
    assert_true(rig_read(&g, two, "hello"));
    rig_turn(&g, 150);
    rig_say(&g, two, "GET /");
    assert_true(read_until_closed(two) >= 250);
    assert_non_null(strstr(g.got, "HTTP/1.1 408 "));
    (void)close(two);
    rig_close(&g);
}

/* H15: beyond the limit 503, and room again when one leaves. */
static void connections_beyond_the_limit_are_told(void **state)
{
    (void)state;
    sb_http_opts o = rig_opts(&g);
    o.max_connections = 3;
    rig_open(&g, &o);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = rig_connect(&g, NULL);
    rig_say(&g, fds[0], GET("/hold"));
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 3);
    for (int i = 0; i < 10; i++) {
        rig_ask(&g, GET_LAST("/hello"));
        assert_non_null(strstr(g.got, "HTTP/1.1 503 Service Unavailable\r\n"));
        assert_non_null(strstr(g.got, "Retry-After: 1\r\n"));
        assert_non_null(strstr(g.got, "{\"refused\":503}"));
    }
    assert_int_equal(sb_http_get_stats(g.http).n_refused, 10);
    sb_x_reply(g.x, 200, NULL, (sb_str){"kept", 4});
    assert_true(rig_read(&g, fds[0], "kept")); // the ones inside go on
    (void)close(fds[1]);
    rig_turn(&g, 5);
    rig_ask(&g, GET_LAST("/hello"));
    assert_non_null(strstr(g.got, "HTTP/1.1 200 "));
    (void)close(fds[0]);
    (void)close(fds[2]);
    rig_close(&g);
}

/* A crowd far beyond it: bounded, and none of it stays. */
static void a_crowd_is_bounded(void **state)
{
    (void)state;
    enum { CROWD = 200 };
    static int fds[CROWD];
    sb_http_opts o = rig_opts(&g);
    o.max_connections = 2;
    rig_open(&g, &o);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = rig_connect(&g, NULL);
        if (i % 50 == 0) rig_turn(&g, 2);
    }
    rig_turn(&g, 10);
    const sb_http_stats s = sb_http_get_stats(g.http);
    assert_true(s.n_connections <= 2 + 64);
    assert_int_equal(s.n_accepted, CROWD);
    for (int i = 0; i < CROWD; i++)
        (void)close(fds[i]);
    rig_turn(&g, 10);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
    rig_close(&g);
}

static void bodies_together_are_bounded(void **state)
{
    (void)state;
    sb_http_opts o = rig_opts(&g);
    o.max_bodies_bytes = 100000;
    rig_open(&g, &o);
    static char block[60000];
    const int one = rig_connect(&g, NULL), two = rig_connect(&g, NULL);
    rig_say(&g, one, "POST /quiet HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    rig_send(&g, one, block, sizeof block);
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).buffered_bytes, 60000);
    rig_say(&g, two, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    rig_send(&g, two, block, sizeof block);
    assert_true(rig_read(&g, two, NULL));
    assert_non_null(strstr(g.got, "HTTP/1.1 503 "));
    (void)close(two);
    rig_ask(&g, GET_LAST("/hello")); // without a body there is room
    assert_non_null(strstr(g.got, "HTTP/1.1 200 "));
    sb_x_reply(g.x, 200, NULL, (sb_str){"x", 1});
    rig_let_go(&g);
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).buffered_bytes, 0);
    (void)close(one);
    rig_close(&g);
}

/* H15: no descriptor left. */
static void running_out_of_descriptors_is_survived(void **state)
{
    (void)state;
    enum { LIMIT = 64 };
    struct rlimit old, low;
    rig_open(&g, NULL);
    const int stream = rig_connect(&g, NULL);
    rig_say(&g, stream, GET("/hold"));
    rig_turn(&g, 5);
    sb_x_begin(g.x, 200, NULL, (sb_str){0}, 0);
    const int waiting = rig_connect(&g, NULL), later = rig_connect(&g, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){LIMIT, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int filled[LIMIT], n = 0;
    for (int fd = dup(0); fd >= 0; fd = dup(0))
        filled[n++] = fd;
    assert_int_equal(errno, EMFILE);
    assert_true(rig_read(&g, waiting, NULL));
    assert_non_null(strstr(g.got, "HTTP/1.1 503 "));
    assert_true(rig_read(&g, later, NULL));
    sb_x_write(g.x, (sb_str){"on", 2});
    assert_true(rig_read(&g, stream, "on"));
    assert_int_equal(sb_http_get_stats(g.http).n_refused, 2);
    while (n)
        (void)close(filled[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    rig_ask(&g, GET_LAST("/hello"));
    assert_non_null(strstr(g.got, "HTTP/1.1 200 "));
    (void)close(waiting);
    (void)close(later);
    (void)close(stream);
    rig_close(&g);
}

/* The same without even the spare one: accepting pauses and goes on by itself. */
static void accepting_pauses_and_goes_on(void **state)
{
    (void)state;
    enum { LIMIT = 64 };
    struct rlimit old, low;
    rig_open(&g, NULL);
    const int waiting = rig_connect(&g, NULL);
    rig_turn(&g, 5);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){LIMIT, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    const int queued = rig_connect(&g, NULL), second = rig_connect(&g, NULL);
    low.rlim_cur = 3; // nothing can be opened any more, the spare one neither
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    rig_turn(&g, 50);
    const uint64_t begin = sb_thread_cpu_ns();
    assert_int_equal(event_base_loopexit(g.base, &(struct timeval){0, 200000}), 0);
    assert_true(event_base_dispatch(g.base) >= 0);
    assert_true(sb_thread_cpu_ns() - begin < 50000000u); // it does not spin meanwhile
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    rig_turn(&g, 400);
    rig_ask(&g, GET_LAST("/hello"));
    assert_non_null(strstr(g.got, "HTTP/1.1 200 "));
    (void)close(queued);
    (void)close(second);
    (void)close(waiting);
    rig_close(&g);
}

/* B6 */
static void draining_ends_what_is_under_way(void **state)
{
    (void)state;
    rig_open(&g, NULL);
    const int fresh = rig_connect(&g, NULL), idle = rig_connect(&g, NULL);
    const int busy = rig_connect(&g, NULL), half = rig_connect(&g, NULL);
    rig_say(&g, idle, GET("/hello"));
    assert_true(rig_read(&g, idle, "hello"));
    rig_say(&g, busy, GET("/hold"));
    rig_say(&g, half, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na");
    rig_turn(&g, 5);
    const int port = sb_http_port(g.http);
    sb_http_drain(g.http);
    assert_true(read_until_closed(idle) < 2000);
    assert_true(read_until_closed(fresh) < 2000);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)port);
    const int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, (const struct sockaddr *)&a, sizeof a), -1);
    rig_say(&g, half, "b");
    assert_true(rig_read(&g, half, NULL));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    assert_non_null(strstr(g.got, "\r\n\r\nab"));
    assert_int_equal(sb_http_n_exchanges(g.http), 1);
    assert_int_equal(g.n_gone, 0);
    sb_x_begin(g.x, 200, NULL, (sb_str){0}, 0);
    sb_x_end(g.x);
    assert_true(rig_read(&g, busy, NULL));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    assert_non_null(strstr(g.got, "\r\n0\r\n\r\n"));
    assert_int_equal(sb_http_n_exchanges(g.http), 0);
    (void)close(late);
    (void)close(fresh);
    (void)close(idle);
    (void)close(busy);
    (void)close(half);
    rig_close(&g);
}

/* A server that idles sleeps: a second with open connections and a silent stream. */
static void idling_costs_nothing(void **state)
{
    (void)state;
    int fds[20];
    rig_open(&g, NULL);
    for (size_t i = 0; i < SB_ARRAY_LEN(fds); i++) {
        fds[i] = rig_connect(&g, NULL);
        rig_say(&g, fds[i], i ? GET("/hello") : GET("/hold"));
    }
    rig_turn(&g, 20);
    assert_int_equal(g.n_requests, 20);
    sb_x_begin(g.x, 200, "text/event-stream", (sb_str){": \n\n", 4}, 15000);
    rig_turn(&g, 20);
    struct rusage before, after;
    const uint64_t cpu = sb_thread_cpu_ns();
    assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
    assert_int_equal(event_base_loopexit(g.base, &(struct timeval){1, 0}), 0);
    assert_true(event_base_dispatch(g.base) >= 0);
    assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 2);
    assert_true(sb_thread_cpu_ns() - cpu < 5000000u);
    for (size_t i = 0; i < SB_ARRAY_LEN(fds); i++)
        (void)close(fds[i]);
    rig_close(&g);
}

static long n_switches(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return u.ru_nvcsw;
}

/* Connections that fell idle one by one leave together. */
static void idle_connections_leave_in_parties(void **state)
{
    (void)state;
    int fds[30];
    sb_http_opts o = rig_opts(&g);
    o.idle_ms = 3200; // parties 200 ms apart
    rig_open(&g, &o);
    const uint64_t begin = sb_now_ns();
    for (size_t i = 0; i < SB_ARRAY_LEN(fds); i++) {
        fds[i] = rig_connect(&g, NULL);
        rig_say(&g, fds[i], GET("/hello"));
        rig_turn(&g, 40);
    }
    const long before = n_switches(), n_parties = (long)ms_since(begin) / 200 + 1;
    assert_int_equal(event_base_loopexit(g.base, &(struct timeval){3, 600000}), 0);
    assert_true(event_base_dispatch(g.base) >= 0);
    assert_true(n_switches() - before <= 2 * n_parties + 6); // a busy machine wakes late, and again
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
    for (size_t i = 0; i < SB_ARRAY_LEN(fds); i++)
        (void)close(fds[i]);
    rig_close(&g);
}

/* Our end of a client's connection. */
static int server_end(int client)
{
    struct sockaddr_in want, peer;
    socklen_t size = sizeof want;
    assert_int_equal(getsockname(client, (struct sockaddr *)&want, &size), 0);
    for (int fd = 3; fd < 256; fd++) {
        size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) continue;
        if (peer.sin_family == AF_INET && peer.sin_port == want.sin_port) return fd;
    }
    fail_msg("no end of it here");
    return -1;
}

static int option(int fd, int level, int name)
{
    int v = 0;
    socklen_t size = sizeof v;
    assert_int_equal(getsockopt(fd, level, name, &v, &size), 0);
    return v;
}

/* Small pieces leave at once; the system looks after peers that vanish. */
static void sockets_are_set_up(void **state)
{
    (void)state;
    rig_open(&g, NULL);
    const int fd = rig_connect(&g, NULL);
    rig_turn(&g, 5);
    const int end = server_end(fd);
    assert_int_equal(option(end, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(end, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(end, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option(end, IPPROTO_TCP, TCP_USER_TIMEOUT), 32000);
    assert_int_equal(option(end, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 131072);
    assert_true(fcntl(end, F_GETFD) & FD_CLOEXEC);
    (void)close(fd);
    rig_close(&g);
}

/* One that was refused and does not hang up, and one that does not read its last reply. */
static void the_end_has_a_deadline_too(void **state)
{
    (void)state;
    sb_http_opts o = rig_opts(&g);
    o.stall_ms = 300;
    rig_open(&g, &o);
    const int stays = rig_connect(&g, NULL), deaf = rig_connect(&g, NULL);
    rig_say(&g, deaf, GET_LAST("/big"));
    rig_say(&g, stays, "?\r\n");
    assert_true(rig_read(&g, stays, NULL));
    assert_non_null(strstr(g.got, "HTTP/1.1 400 "));
    rig_say(&g, stays, "more of what nobody wants");
    const uint64_t begin = sb_now_ns();
    while (sb_http_get_stats(g.http).n_connections && ms_since(begin) < 9000)
        rig_turn(&g, 20);
    assert_true(ms_since(begin) > 1500 && ms_since(begin) < 6000);
    assert_int_equal(sb_http_get_stats(g.http).n_dropped_slow, 1);
    (void)close(stays);
    (void)close(deaf);
    rig_close(&g);
}

/* With nothing that can expire no timer is set. */
static void no_timer_without_connections(void **state)
{
    (void)state;
    open_short();
    const int n = event_base_get_num_events(g.base, EVENT_BASE_COUNT_ADDED);
    const int fd = rig_connect(&g, NULL);
    rig_turn(&g, 5);
    assert_true(event_base_get_num_events(g.base, EVENT_BASE_COUNT_ADDED) > n);
    (void)close(fd);
    rig_turn(&g, 600); // fires once for nothing
    assert_int_equal(event_base_get_num_events(g.base, EVENT_BASE_COUNT_ADDED), n);
    rig_close(&g);
}

static void a_unix_socket_works(void **state)
{
    (void)state;
    char path[64], host[80];
    (void)snprintf(path, sizeof path, "/tmp/http_limits_%d.sock", (int)getpid());
    (void)snprintf(host, sizeof host, "unix:%s", path);
    sb_http_opts o = rig_opts(&g);
    o.host = host;
    for (int i = 0; i < 2; i++) {
        rig_open(&g, &o);
        const int fd = rig_connect(&g, path);
        rig_say(&g, fd, GET_LAST("/who"));
        assert_true(rig_read(&g, fd, NULL));
        assert_non_null(strstr(g.got, "\r\n\r\nunix"));
        assert_true(g.is_unix);
        assert_int_equal(sb_http_port(g.http), 0);
        sb_http *two = NULL;
        sb_error err = {0};
        assert_int_equal(sb_http_open(&two, g.base, &o, &err), SB_IO); // one is there
        assert_non_null(strstr(err.msg, path));
        (void)close(fd);
        rig_close(&g);
        assert_int_equal(access(path, F_OK), -1);
        if (i == 0) { // what a killed server leaves is taken away
            struct sockaddr_un u = {.sun_family = AF_UNIX};
            (void)snprintf(u.sun_path, sizeof u.sun_path, "%s", path);
            const int stale = socket(AF_UNIX, SOCK_STREAM, 0);
            assert_int_equal(bind(stale, (const struct sockaddr *)&u, sizeof u), 0);
            (void)close(stale);
        }
    }
    char longer[256];
    (void)snprintf(longer, sizeof longer, "unix:/%0200d", 1);
    o.host = longer;
    sb_http *h = NULL;
    struct event_base *base = event_base_new();
    assert_int_equal(sb_http_open(&h, base, &o, NULL), SB_INVALID);
    event_base_free(base);
}

static void a_socket_can_be_handed_over(void **state)
{
    (void)state;
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    sb_http_opts o = rig_opts(&g);
    o.host = NULL;
    o.listen_fd = fd;
    struct event_base *base = event_base_new();
    sb_http *h = NULL;
    sb_error err = {0};
    assert_int_equal(sb_http_open(&h, base, &o, &err), SB_INVALID); // it does not listen
    assert_non_null(strstr(err.msg, "listens"));
    event_base_free(base);
    assert_int_equal(listen(fd, 8), 0);
    rig_open(&g, &o);
    assert_true(sb_http_port(g.http) > 0);
    rig_ask(&g, GET_LAST("/who"));
    assert_string_equal(g.peer, "127.0.0.1"); // not ::ffff:127.0.0.1
    rig_close(&g);
}

static void bad_addresses_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        int port;
        const char *says;
    } rows[] = {{"example.com", 0, "example.com"},
                {"127.0.0.1", 65536, "65536"},
                {"127.0.0.1", -1, "-1"},
                {"192.0.2.1", 8080, "192.0.2.1 port 8080"},
                {"", 0, "''"},
                {NULL, 0, "no address"}};
    struct event_base *base = event_base_new();
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_http_opts o = rig_opts(&g);
        sb_http *h = NULL;
        sb_error err = {0};
        o.host = rows[i].host;
        o.port = rows[i].port;
        assert_int_not_equal(sb_http_open(&h, base, &o, &err), SB_OK);
        assert_null(h);
        if (!strstr(err.msg, rows[i].says)) fail_msg("%s", err.msg);
    }
    event_base_free(base);
    sb_http_opts o = rig_opts(&g);
    o.host = "localhost";
    rig_open(&g, &o);
    o.port = sb_http_port(g.http);
    sb_http *two = NULL;
    assert_int_equal(sb_http_open(&two, g.base, &o, NULL), SB_IO); // taken
    rig_close(&g);
    o.host = "[::1]";
    o.port = 0;
    rig_open(&g, &o);
    assert_true(sb_http_port(g.http) > 0);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_requests_meet_their_deadline),
        cmocka_unit_test(a_steady_body_has_its_time),
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(connections_beyond_the_limit_are_told),
        cmocka_unit_test(a_crowd_is_bounded),
        cmocka_unit_test(bodies_together_are_bounded),
        cmocka_unit_test(running_out_of_descriptors_is_survived),
        cmocka_unit_test(accepting_pauses_and_goes_on),
        cmocka_unit_test(draining_ends_what_is_under_way),
        cmocka_unit_test(idling_costs_nothing),
        cmocka_unit_test(idle_connections_leave_in_parties),
        cmocka_unit_test(sockets_are_set_up),
        cmocka_unit_test(the_end_has_a_deadline_too),
        cmocka_unit_test(no_timer_without_connections),
        cmocka_unit_test(a_unix_socket_works),
        cmocka_unit_test(a_socket_can_be_handed_over),
        cmocka_unit_test(bad_addresses_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
