/* SPDX-License-Identifier: Apache-2.0
 * http_stream_test.c - streams: slow readers, clients that go, keeping alive, threads that
 * write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static rig g;
static char block[65536];

static int open_rig(void **state)
{
    (void)state;
    sb_http_opts o = rig_opts(&g);
    o.stall_ms = 300;
    memset(block, 'x', sizeof block);
    rig_open(&g, &o);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&g);
    return 0;
}

static sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

/* A client whose exchange the test holds. */
static int hold(const char *path)
{
    char text[128];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, text);
    for (int i = 0; i < 1000 && !g.x; i++)
        rig_turn(&g, 1);
    assert_non_null(g.x);
    return fd;
}

static void pieces_come_as_they_are_written(void **state)
{
    (void)state;
    const int fd = hold("/hold");
    sb_x_header(g.x, "X-One", "1");
    sb_x_header(g.x, "X-Bad", "1\r\nX-Two: 2");
    sb_x_header(g.x, "X Bad", "1");
    sb_x_header(g.x, "Content-Length", "7");
    sb_x_header(g.x, "cache-control", "no-cache");
    sb_x_begin(g.x, 200, "text/event-stream", (sb_str){0}, 0);
    assert_true(rig_read(&g, fd, "\r\n\r\n"));
    assert_non_null(strstr(g.got, "X-One: 1\r\n"));
    assert_null(strstr(g.got, "X-Two"));
    assert_null(strstr(g.got, "Bad"));
    assert_null(strstr(g.got, "Content-Length"));
    assert_non_null(strstr(g.got, "cache-control: no-cache\r\n"));
    assert_null(strstr(g.got, "no-store"));
    sb_x_write(g.x, str("a"));
    assert_true(rig_read(&g, fd, "1\r\na\r\n"));
    sb_x_write(g.x, str(""));
    sb_x_write(g.x, str("bc"));
    assert_true(rig_read(&g, fd, "2\r\nbc\r\n"));
    assert_int_equal(g.n_done, 0);
    assert_int_equal(sb_http_n_exchanges(g.http), 1);
    sb_x_end(g.x);
    sb_x_write(g.x, str("late")); // all of these come too late and do nothing
    sb_x_end(g.x);
    sb_x_reply(g.x, 500, NULL, str("late"));
    sb_x_begin(g.x, 500, NULL, (sb_str){0}, 0);
    assert_true(rig_read(&g, fd, "0\r\n\r\n"));
    assert_null(strstr(g.got, "late"));
    assert_int_equal(g.n_done, 1);
    assert_int_equal(sb_http_n_exchanges(g.http), 0);
    rig_say(&g, fd, GET("/hello"));
    assert_true(rig_read(&g, fd, "hello"));
    (void)close(fd);
    rig_turn(&g, 5);
    assert_int_equal(g.n_gone, 0);
    sb_x_abort(g.x); // of an exchange that is over: nothing
    rig_turn(&g, 1);
}

/* H15: one that does not read makes its writer wait, and is dropped; others go on. */
static void a_slow_reader_stops_its_writer(void **state)
{
    (void)state;
    const int fd = hold("/hold");
    sb_x_begin(g.x, 200, "text/plain", (sb_str){0}, 0);
    size_t written = 0;
    while (!g.n_full && written < (64u << 20)) {
        sb_x_write(g.x, (sb_str){block, sizeof block});
        written += sizeof block;
        rig_turn(&g, 0);
    }
    assert_int_equal(g.n_full, 1);
    const size_t waits = sb_http_get_stats(g.http).buffered_bytes;
    assert_true(waits > 256u << 10 && waits < (256u << 10) + 2 * sizeof block);
    const int other = rig_connect(&g, NULL);
    rig_say(&g, other, GET("/hello"));
    assert_true(rig_read(&g, other, "hello"));
    (void)close(other);
    size_t got = 0;
    while (!g.n_free && got < written) {
        rig_turn(&g, 0);
        static char sink[65536];
        const ssize_t k = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        got += k > 0 ? (size_t)k : 0;
    }
    assert_int_equal(g.n_free, 1);
    assert_int_equal(g.n_gone, 0);
    const uint64_t begin = sb_now_ns(); // before it took anything for the last time
    sb_x_write(g.x, (sb_str){block, sizeof block});
    while (g.n_full < 2) {
        sb_x_write(g.x, (sb_str){block, sizeof block});
        rig_turn(&g, 0);
    }
    while (!g.n_gone && sb_now_ns() - begin < 9000000000u)
        rig_turn(&g, 1);
    assert_int_equal(g.n_gone, 1);
    assert_true(sb_now_ns() - begin > 250000000u);
    assert_true(sb_x_is_gone(g.x));
    assert_int_equal(sb_http_get_stats(g.http).n_dropped_slow, 1);
    assert_int_equal(sb_http_get_stats(g.http).buffered_bytes, 0);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
    assert_true(g.last.is_gone);
    sb_x_write(g.x, str("too late"));
    sb_x_end(g.x);
    rig_turn(&g, 1);
    assert_int_equal(g.n_gone, 1);
    (void)close(fd);
}

/* A writer that does not stop when told costs its own stream. */
static void a_writer_that_never_stops_is_broken_off(void **state)
{
    (void)state;
    const int fd = hold("/hold");
    sb_x_begin(g.x, 200, "text/plain", (sb_str){0}, 0);
    for (int i = 0; i < 2000 && !g.n_gone; i++) {
        sb_x_write(g.x, (sb_str){block, sizeof block});
        if (i % 8 == 0) rig_turn(&g, 0);
    }
    assert_int_equal(g.n_gone, 1);
    assert_int_equal(sb_http_get_stats(g.http).n_dropped_slow, 1);
    (void)close(fd);
}

static void a_whole_reply_waits_for_its_reader(void **state)
{
    (void)state;
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, GET("/big"));
    size_t got = 0;
    const uint64_t start = sb_now_ns();
    while (got <= 4u << 20 && sb_now_ns() - start < 5000000000u) {
        static char sink[65536];
        rig_turn(&g, 0);
        const ssize_t k = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        got += k > 0 ? (size_t)k : 0;
    }
    assert_true(got > 4u << 20);
    rig_say(&g, fd, GET("/hello"));
    assert_true(rig_read(&g, fd, "hello"));
    rig_say(&g, fd, GET("/big")); // and this time nobody reads
    const uint64_t begin = sb_now_ns();
    while (sb_http_get_stats(g.http).n_connections && sb_now_ns() - begin < 3000000000u)
        rig_turn(&g, 1);
    assert_int_equal(sb_http_get_stats(g.http).n_dropped_slow, 1);
    (void)close(fd);
}

/* B3: the end of its side, or a reset, cancels what is watched. */
static void a_client_that_goes_is_noticed(void **state)
{
    (void)state;
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (int how = 0; how < 3; how++) {
        const int fd = hold("/hold");
        if (how != 2) sb_x_begin(g.x, 200, "text/plain", (sb_str){0}, 0);
        rig_turn(&g, 2);
        assert_false(sb_x_is_gone(g.x));
        if (how == 0) {
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
        } else {
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            (void)close(fd);
        }
        const uint64_t begin = sb_now_ns();
        while (g.n_gone <= how && sb_now_ns() - begin < 1000000000u)
            rig_turn(&g, 1);
        assert_int_equal(g.n_gone, how + 1);
        assert_true(sb_x_is_gone(g.x));
        assert_int_equal(g.last.status, how == 2 ? 0 : 200);
        if (how == 0) (void)close(fd);
        rig_let_go(&g);
    }
    assert_int_equal(g.n_done, 3);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
}

static void count_gone(void *ctx)
{
    ++*(int *)ctx;
}

/* Also when it went before anybody watched, and behind pipelined bytes. */
static void one_that_went_before_is_noticed(void **state)
{
    (void)state;
    const int fd = hold("/quiet");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_turn(&g, 5);
    assert_false(sb_x_is_gone(g.x)); // not watched: it would be answered
    static int n_told;
    n_told = 0;
    sb_x_watch(g.x, NULL, NULL, NULL);
    rig_turn(&g, 2);
    assert_int_equal(n_told, 0);
    sb_x_watch(g.x, NULL, count_gone, &n_told);
    rig_turn(&g, 5);
    assert_int_equal(n_told, 1);
    sb_x_watch(g.x, NULL, count_gone, &n_told); // told once
    rig_turn(&g, 5);
    assert_int_equal(n_told, 1);
    (void)close(fd);
    rig_let_go(&g);
    const int two = rig_connect(&g, NULL);
    rig_say(&g, two, GET("/hold") GET("/hello"));
    while (!g.x)
        rig_turn(&g, 1);
    (void)close(two);
    const uint64_t begin = sb_now_ns();
    while (!g.n_gone && sb_now_ns() - begin < 1000000000u)
        rig_turn(&g, 1);
    assert_int_equal(g.n_gone, 1);
    assert_int_equal(g.n_requests, 2); // the one behind was never begun
}

static void an_unwatched_reply_is_given_to_half_a_client(void **state)
{
    (void)state;
    const int fd = hold("/quiet");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_turn(&g, 5);
    sb_x_reply(g.x, 200, "text/plain", str("all of it"));
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "\r\n\r\nall of it"));
    assert_int_equal(g.n_gone, 0);
    assert_false(g.last.is_gone);
    (void)close(fd);
}

/* Whoever floods while somebody waits for the client's end is dropped. */
static void a_flood_behind_a_stream_is_cut_off(void **state)
{
    (void)state;
    const int fd = hold("/hold");
    for (int i = 0; i < 8; i++)
        rig_send(&g, fd, block, sizeof block);
    rig_turn(&g, 5);
    assert_int_equal(g.n_gone, 1);
    rig_let_go(&g);
    const int two = hold("/quiet");
    int sent = 0;
    for (int i = 0; i < 400; i++) {
        const ssize_t k = send(two, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += k > 0 ? (int)k : 0;
        rig_turn(&g, 0);
    }
    sb_x_reply(g.x, 200, NULL, str("still here"));
    assert_true(rig_read(&g, two, "still here")); // reading paused, memory did not grow
    assert_true(sent > 1 << 17);
    (void)close(fd);
    (void)close(two);
}

static void silence_is_filled(void **state)
{
    (void)state;
    const int fd = hold("/hold");
    sb_x_begin(g.x, 200, "text/event-stream", str(": alive\n\n"), 400);
    assert_true(rig_read(&g, fd, "9\r\n: alive\n\n\r\n"));
    assert_true(rig_read(&g, fd, "9\r\n: alive\n\n\r\n"));
    const uint64_t end = sb_now_ns() + 600000000u;
    size_t n = 0;
    while (sb_now_ns() < end) { // no silence, nothing to fill
        sb_x_write(g.x, str("w"));
        rig_turn(&g, 20);
        n++;
    }
    sb_x_end(g.x);
    assert_true(rig_read(&g, fd, "0\r\n\r\n"));
    assert_int_equal(rig_count(&g, "alive"), 0);
    assert_int_equal(rig_count(&g, "1\r\nw\r\n"), n);
    rig_turn(&g, 300);
    assert_int_equal(recv(fd, block, 1, MSG_DONTWAIT), -1); // and none behind the end
    (void)close(fd);
}

static void an_abort_is_seen_as_a_break(void **state)
{
    (void)state;
    const int fd = hold("/hold");
    sb_x_begin(g.x, 200, "text/plain", (sb_str){0}, 0);
    sb_x_write(g.x, str("half"));
    assert_true(rig_read(&g, fd, "half"));
    sb_x_abort(g.x);
    rig_turn(&g, 5);
    char c;
    assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1); // a reset, not an end
    assert_int_equal(g.n_gone, 0);                       // its own doing
    assert_true(g.last.is_gone);
    (void)close(fd);
}

/* ---- threads ---- */

enum { N_THREADS = 4, N_WRITES = 3000 };

static void *write_all(void *ctx)
{
    sb_x *x = ctx;
    char line[32];
    sb_x_begin(x, 200, "text/plain", (sb_str){0}, 0);
    for (int i = 0; i < N_WRITES; i++) {
        const int n = snprintf(line, sizeof line, "<%d>", i);
        sb_x_write(x, (sb_str){line, (size_t)n});
        if (i % 64 == 0) (void)sb_x_is_gone(x);
    }
    sb_x_end(x);
    sb_x_release(x);
    return NULL;
}

/* Puts the chunks of a reply together. */
static size_t unchunk(const char *p, char *out)
{
    size_t n = 0;
    p = strstr(p, "\r\n\r\n") + 4;
    for (;;) {
        size_t k = 0;
        while (*p != '\r') {
            const char c = *p++;
            k = k * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        p += 2;
        if (!k) return n;
        memcpy(out + n, p, k);
        n += k;
        p += k + 2;
    }
}

static void threads_write_to_streams_of_their_own(void **state)
{
    (void)state;
    static char want[RIG_BYTES], all[RIG_BYTES];
    size_t want_n = 0;
    for (int i = 0; i < N_WRITES; i++)
        want_n += (size_t)snprintf(want + want_n, sizeof want - want_n, "<%d>", i);
    int fds[N_THREADS];
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        fds[i] = hold("/quiet");
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, g.x), 0);
        g.x = NULL;
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_true(rig_read(&g, fds[i], "\r\n0\r\n\r\n"));
        assert_int_equal(unchunk(g.got, all), want_n);
        assert_memory_equal(all, want, want_n);
    }
    for (int i = 0; i < N_THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        (void)close(fds[i]);
    }
    assert_int_equal(g.n_done, N_THREADS);
}

/* Clients that go while threads write, and a server that closes before they end. */
static void threads_outlive_clients_and_server(void **state)
{
    (void)state;
    static rig own;
    pthread_t threads[2 * N_THREADS];
    rig_open(&own, NULL);
    for (int i = 0; i < 2 * N_THREADS; i++) {
        const int fd = rig_connect(&own, NULL);
        rig_say(&own, fd, GET("/quiet"));
        while (!own.x)
            rig_turn(&own, 1);
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, own.x), 0);
        own.x = NULL;
        (void)close(fd);
        if (i % 2) rig_turn(&own, 1);
    }
    rig_close(&own);
    for (int i = 0; i < 2 * N_THREADS; i++)
        (void)pthread_join(threads[i], NULL);
}

static atomic_int n_wakes;

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);

/* The only writes of the server are those that wake its loop. */
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    atomic_fetch_add(&n_wakes, 1);
    return __real_write(fd, p, n);
}

/* What a step writes to all its streams wakes the loop once, and is one send to each. */
static void many_writes_are_one_wake(void **state)
{
    (void)state;
    const int one = hold("/hold");
    sb_x *x = g.x;
    g.x = NULL;
    const int two = hold("/hold");
    sb_x_begin(x, 200, "text/plain", (sb_str){0}, 0);
    sb_x_begin(g.x, 200, "text/plain", (sb_str){0}, 0);
    assert_true(rig_read(&g, one, "\r\n\r\n"));
    assert_true(rig_read(&g, two, "\r\n\r\n"));
    const int before = atomic_load(&n_wakes);
    for (int i = 0; i < 100; i++) {
        sb_x_write(x, str("y"));
        sb_x_write(g.x, str("y"));
    }
    assert_int_equal(atomic_load(&n_wakes) - before, 1);
    rig_turn(&g, 0);
    char got[2048];
    assert_int_equal(recv(one, got, sizeof got, MSG_DONTWAIT), 600);
    assert_int_equal(recv(two, got, sizeof got, MSG_DONTWAIT), 600);
    const int quiet = rig_connect(&g, NULL);
    rig_say(&g, quiet, GET("/hello")); // a handler on the loop wakes nobody
    assert_true(rig_read(&g, quiet, "hello"));
    assert_int_equal(atomic_load(&n_wakes) - before, 1);
    sb_x_release(x);
    (void)close(one);
    (void)close(two);
    (void)close(quiet);
    rig_turn(&g, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        T(pieces_come_as_they_are_written),
        T(a_slow_reader_stops_its_writer),
        T(a_writer_that_never_stops_is_broken_off),
        T(a_whole_reply_waits_for_its_reader),
        T(a_client_that_goes_is_noticed),
        T(one_that_went_before_is_noticed),
        T(an_unwatched_reply_is_given_to_half_a_client),
        T(a_flood_behind_a_stream_is_cut_off),
        T(silence_is_filled),
        T(an_abort_is_seen_as_a_break),
        T(threads_write_to_streams_of_their_own),
        T(threads_outlive_clients_and_server),
        T(many_writes_are_one_wake),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
