/* SPDX-License-Identifier: Apache-2.0
 * http_nomem_test.c - each request for memory refused in turn, the loop's own too: what it costs is
 * one connection, and the server goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http_rig.h"
#include "starve.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define GET_LAST(path) "GET " path " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"

static rig g;

static void *take(size_t n)
{
    return sb_alloc(n, 1);
}

static void *resize(void *p, size_t n)
{
    return sb_realloc(p, n, 1);
}

/* Everything a client can ask for, on one connection that may break anywhere. */
static void use(void)
{
    static const char text[] =
        "POST /echo HTTP/1.1\r\n" HOST "A: 1\r\nA: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n"
        "GET /three HTTP/1.1\r\n" HOST "\r\n"
        "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
        "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
        "GET /hold HTTP/1.1\r\n" HOST "\r\n";
    const int fd = rig_connect(&g, NULL);
    rig_say(&g, fd, text);
    rig_turn(&g, 2);
    if (g.x) {
        sb_x_header(g.x, "X-A", "b");
        sb_x_begin(g.x, 200, "text/event-stream", (sb_str){": \n", 3}, 1);
        for (int i = 0; i < 3; i++)
            sb_x_write(g.x, (sb_str){"some words of a stream that is not short", 40});
        sb_x_end(g.x);
        rig_turn(&g, 2);
        rig_let_go(&g);
    }
    rig_say(&g, fd, "GET /\r\n"); // refused
    rig_turn(&g, 2);
    (void)close(fd);
    rig_turn(&g, 2);
}

static void a_server_goes_on_without_memory(void **state)
{
    (void)state;
    long n = 0;
    for (int for_good = 0; for_good < 2; for_good++) {
        rig_open(&g, NULL);
        use(); // what is allocated once is there
        bool refused = true;
        for (n = 0; refused; n++) {
            const long before = starve_live();
            starve_from(n, for_good);
            use();
            refused = starve_end();
            rig_turn(&g, 1);
            assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
            assert_int_equal(sb_http_n_exchanges(g.http), 0);
            rig_ask(&g, GET_LAST("/hello"));
            assert_non_null(strstr(g.got, "HTTP/1.1 200 "));
            assert_non_null(strstr(g.got, "\r\n\r\nhello"));
            assert_true(starve_live() - before <= 2); // no leak: the loop may keep a table
        }
        assert_true(n > 50);
        rig_close(&g);
    }
}

static void a_server_that_cannot_open_says_so(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    bool refused = true;
    long n = 0;
    for (; refused; n++) {
        sb_http *h = NULL;
        sb_error err = {0};
        const sb_http_opts o = rig_opts(&g);
        const long before = starve_live();
        starve_from(n, false);
        const sb_status s = sb_http_open(&h, base, &o, &err);
        refused = starve_end();
        assert_true(refused ? s == SB_NO_MEMORY && !h && err.msg[0] : s == SB_OK);
        sb_http_close(h);
        if (n > 5) assert_true(starve_live() - before <= 2);
    }
    assert_true(n > 3);
    event_base_free(base);
}

int main(void)
{
    event_set_mem_functions(take, resize, sb_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_goes_on_without_memory),
        cmocka_unit_test(a_server_that_cannot_open_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
