/* SPDX-License-Identifier: Apache-2.0
 * http_conn_test.c - connections as clients meet them: order, keeping alive, bodies, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GET_LAST(path) "GET " path " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"

static rig g;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&g, NULL);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&g);
    return 0;
}

static void one_request_is_answered(void **state)
{
    (void)state;
    rig_ask(&g, GET_LAST("/hello"));
    assert_non_null(strstr(g.got, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(g.got, "Content-Length: 5\r\n"));
    assert_non_null(strstr(g.got, "Content-Type: text/plain\r\n"));
    assert_non_null(strstr(g.got, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(g.got, "Referrer-Policy: no-referrer\r\n"));
    assert_non_null(strstr(g.got, "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    assert_non_null(strstr(g.got, "\r\nX-Request-Id: req_"));
    assert_non_null(strstr(g.got, "\r\nDate: "));
    assert_non_null(strstr(g.got, "\r\n\r\nhello"));
    assert_int_equal(g.n_done, 1);
    assert_int_equal(g.last.status, 200);
    assert_false(g.last.is_gone);
    assert_int_equal(g.last.sent_bytes, g.got_n);
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    const int fd = rig_connect(&g, NULL);
    for (int i = 0; i < 5; i++) {
        rig_say(&g, fd, GET("/hello"));
        assert_true(rig_read(&g, fd, "\r\n\r\nhello"));
        assert_null(strstr(g.got, "Connection:"));
    }
    assert_int_equal(sb_http_get_stats(g.http).n_accepted, 1);
    assert_int_equal(sb_http_get_stats(g.http).n_requests, 5);
    (void)close(fd);
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
}

/* H14: 100 at once, answered in order. */
static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char all[16384];
    size_t n = 0;
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(all + n, sizeof all - n,
                              "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%04d", i);
    const int fd = rig_connect(&g, NULL);
    rig_send(&g, fd, all, n);
    assert_int_equal(shutdown(fd, SHUT_WR), 0); // they are answered in full all the same
    assert_true(rig_read(&g, fd, NULL));
    const char *at = g.got;
    for (int i = 0; i < 100; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "\r\n\r\n%04d", i);
        at = strstr(at, want);
        if (!at) fail_msg("answer %d is missing", i);
    }
    assert_int_equal(rig_count(&g, "HTTP/1.1 200 OK"), 100);
    (void)close(fd);
}

static void a_stream_comes_in_chunks(void **state)
{
    (void)state;
    rig_ask(&g, GET_LAST("/three"));
    assert_non_null(strstr(g.got, "Transfer-Encoding: chunked\r\n"));
    assert_null(strstr(g.got, "Content-Length"));
    assert_non_null(strstr(g.got, "\r\n\r\n4\r\none\n\r\n4\r\ntwo\n\r\n6\r\nthree\n\r\n0\r\n\r\n"));
}

static void http_1_0_gets_a_stream_that_ends(void **state)
{
    (void)state;
    rig_ask(&g, "GET /three HTTP/1.0\r\n\r\n");
    assert_null(strstr(g.got, "Transfer-Encoding"));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    assert_non_null(strstr(g.got, "\r\n\r\none\ntwo\nthree\n"));
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(rig_read(&g, fd, "\r\n\r\nhello"));
    assert_non_null(strstr(g.got, "Connection: keep-alive\r\n"));
    rig_say(&g, fd, "GET /hello HTTP/1.0\r\n\r\n");
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    (void)close(fd);
}

static void head_has_no_body(void **state)
{
    (void)state;
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    rig_say(&g, fd, "HEAD /three HTTP/1.1\r\n" HOST "\r\n" GET_LAST("/none"));
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "Content-Length: 5\r\n"));
    assert_int_equal(rig_count(&g, "hello"), 0);
    assert_int_equal(rig_count(&g, "three"), 0);
    assert_int_equal(rig_count(&g, "\r\n\r\nHTTP/1.1 "), 2);
    assert_int_equal(rig_count(&g, "HTTP/1.1 404 Not Found"), 1);
    (void)close(fd);
}

static void bodies_come_whole(void **state)
{
    (void)state;
    rig_ask(&g, "POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 3\r\n\r\nabc");
    assert_non_null(strstr(g.got, "\r\n\r\nabc"));
    rig_ask(&g, "POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\n"
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0B\r\n0123456789x\r\n0\r\n\r\n");
    assert_non_null(strstr(g.got, "\r\n\r\nabc0123456789x"));
    assert_int_equal(g.body_n, 14);
}

static void a_refusal_is_worded_by_the_handler(void **state)
{
    (void)state;
    rig_ask(&g, "GET /v1/x HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(g.got, "HTTP/1.1 400 Bad Request\r\n"));
    assert_non_null(strstr(g.got, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    assert_non_null(strstr(g.got, "\r\n\r\n{\"refused\":400}"));
    assert_string_equal(g.last_path, "/v1/x");
    assert_string_equal(g.last_why, "Host is missing");
    assert_int_equal(g.n_heads, 0);
    g.wordless = true;
    rig_ask(&g, "GET http://a/ HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(g.got, "\r\n\r\nthe target must begin with '/'\n"));
    assert_string_equal(g.last_path, "");
    assert_int_equal(sb_http_get_stats(g.http).n_refused, 2);
}

/* H8, H9 on the wire: an answer or a close, and the next client is served. */
static void noise_is_refused(void **state)
{
    (void)state;
    static const char *const noise[] = {"GET /\r\n",
                                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                        "\x16\x03\x01\x02\x01\x01",
                                        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
                                        "TRACE / HTTP/1.1\r\n" HOST "\r\n",
                                        "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n",
                                        "get / HTTP/1.1\r\n" HOST "\r\n"};
    for (size_t i = 0; i < SB_ARRAY_LEN(noise); i++) {
        rig_ask(&g, noise[i]);
        assert_non_null(strstr(g.got, i < 4 ? "HTTP/1.1 400 " : "HTTP/1.1 501 "));
    }
    static char bytes[65536];
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
    const int fd = rig_connect(&g, NULL);
    rig_send(&g, fd, bytes, sizeof bytes);
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "HTTP/1.1 400 "));
    (void)close(fd);
    rig_ask(&g, GET_LAST("/hello"));
    assert_non_null(strstr(g.got, "HTTP/1.1 200 "));
}

/* H13: the head is refused before a body is asked for. */
static void a_body_is_asked_for_only_when_wanted(void **state)
{
    (void)state;
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd,
            "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
            "Content-Length: 3\r\n\r\n");
    assert_true(rig_read(&g, fd, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(g.n_requests, 0);
    rig_say(&g, fd, "abc");
    assert_true(rig_read(&g, fd, "\r\n\r\nabc"));
    rig_say(&g, fd,
            "POST /deny HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
            "Content-Length: 3\r\n\r\n");
    assert_true(rig_read(&g, fd, NULL));
    assert_int_equal(rig_count(&g, "100 Continue"), 0);
    assert_non_null(strstr(g.got, "HTTP/1.1 401 Unauthorized\r\n"));
    assert_non_null(strstr(g.got, "WWW-Authenticate: Bearer\r\n"));
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
    (void)close(fd);
}

static void a_small_refused_body_is_skipped(void **state)
{
    (void)state;
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    assert_true(rig_read(&g, fd, "\r\n\r\nno"));
    assert_null(strstr(g.got, "Connection:"));
    rig_say(&g, fd, "ab");
    rig_turn(&g, 2);
    assert_int_equal(sb_http_get_stats(g.http).buffered_bytes, 0); // not kept
    rig_say(&g, fd, "c" GET_LAST("/hello"));
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "\r\n\r\nhello"));
    assert_int_equal(g.n_requests, 1);
    (void)close(fd);
    rig_ask(&g, "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 900000\r\n\r\n");
    assert_non_null(strstr(g.got, "Connection: close\r\n"));
}

/* H11: over the limit by its head, and by its chunks. */
static void a_body_over_the_limit_is_refused(void **state)
{
    (void)state;
    rig_ask(&g, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n");
    assert_non_null(strstr(g.got, "HTTP/1.1 413 "));
    rig_ask(&g, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                "A\r\n0123456789\r\n1\r\n");
    assert_non_null(strstr(g.got, "HTTP/1.1 413 "));
    assert_string_equal(g.last_path, "/small");
    rig_ask(&g, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n");
    assert_non_null(strstr(g.got, "HTTP/1.1 413 "));
    assert_int_equal(g.n_requests, 0);
    assert_int_equal(g.last.status, 413);
    rig_ask(&g, "POST /mute HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(g.got, "HTTP/1.1 500 "));
}

static void a_request_that_ends_early_is_refused(void **state)
{
    (void)state;
    static const char *const parts[] = {"GET / HT", "POST /echo HTTP/1.1\r\n" HOST
                                                    "Content-Length: 3\r\n\r\nab"};
    for (size_t i = 0; i < SB_ARRAY_LEN(parts); i++) {
        const int fd = rig_connect(&g, NULL);
        rig_say(&g, fd, parts[i]);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        assert_true(rig_read(&g, fd, NULL));
        assert_non_null(strstr(g.got, "HTTP/1.1 400 "));
        (void)close(fd);
    }
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, GET("/hello") "GET /he"); // behind a whole one
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "\r\n\r\nhelloHTTP/1.1 400 "));
    (void)close(fd);
    const int two = rig_connect(&g, NULL); // the end has come before the reply
    rig_say(&g, two, GET("/quiet") "GET /he");
    assert_int_equal(shutdown(two, SHUT_WR), 0);
    rig_turn(&g, 5);
    sb_x_reply(g.x, 200, NULL, (sb_str){"kept", 4});
    assert_true(rig_read(&g, two, NULL));
    assert_non_null(strstr(g.got, "\r\n\r\nkeptHTTP/1.1 400 "));
    (void)close(two);
}

/* Every byte by itself, over a socket. */
static void one_byte_at_a_time_is_fine(void **state)
{
    (void)state;
    static const char text[] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\n" GET_LAST("/hello");
    const int fd = rig_connect(&g, NULL);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        rig_send(&g, fd, text + i, 1);
        rig_turn(&g, 0);
    }
    assert_true(rig_read(&g, fd, NULL));
    assert_non_null(strstr(g.got, "\r\n\r\nabcHTTP/1.1 200 OK"));
    assert_non_null(strstr(g.got, "\r\n\r\nhello"));
    (void)close(fd);
}

/* H16: good ids are kept, others replaced; nothing is shared. */
static void request_ids_are_checked(void **state)
{
    (void)state;
    rig_ask(&g,
            "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: a-1_b.C\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(g.got, "X-Request-Id: a-1_b.C\r\n"));
    rig_ask(&g, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: <b>\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(g.got, "X-Request-Id: req_"));
    rig_ask(&g, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: a\rb: c\r\n\r\n");
    assert_non_null(strstr(g.got, "HTTP/1.1 400 "));
    const int a = rig_connect(&g, NULL), b = rig_connect(&g, NULL);
    rig_say(&g, a, "GET /quiet HTTP/1.1\r\n" HOST "X-Request-Id: same\r\n\r\n");
    rig_turn(&g, 5);
    rig_say(&g, b,
            "POST /echo HTTP/1.1\r\n" HOST "X-Request-Id: same\r\nContent-Length: 1\r\n\r\nb");
    assert_true(rig_read(&g, b, "\r\n\r\nb"));
    sb_x_reply(g.x, 200, NULL, (sb_str){"a", 1});
    assert_true(rig_read(&g, a, "\r\n\r\na"));
    assert_non_null(strstr(g.got, "X-Request-Id: same\r\n"));
    (void)close(a);
    (void)close(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        T(one_request_is_answered),
        T(a_connection_is_kept),
        T(pipelined_requests_are_answered_in_order),
        T(a_stream_comes_in_chunks),
        T(http_1_0_gets_a_stream_that_ends),
        T(head_has_no_body),
        T(bodies_come_whole),
        T(a_refusal_is_worded_by_the_handler),
        T(noise_is_refused),
        T(a_body_is_asked_for_only_when_wanted),
        T(a_small_refused_body_is_skipped),
        T(a_body_over_the_limit_is_refused),
        T(a_request_that_ends_early_is_refused),
        T(one_byte_at_a_time_is_fine),
        T(request_ids_are_checked),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
