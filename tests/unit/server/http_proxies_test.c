/* SPDX-License-Identifier: Apache-2.0
 * http_proxies_test.c - whose word about the client counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_rig.h"
#include "server/http/proxies.h"

#include <string.h>

static const char *const trusted[] = {"10.0.0.0/8", "127.0.0.1", "fd00::/9", "unix"};

static void prefixes_are_read(void **state)
{
    (void)state;
    sb_proxies p;
    assert_int_equal(sb_proxies_init(&p, trusted, SB_ARRAY_LEN(trusted), NULL), SB_OK);
    static const char *const in[] = {"10.0.0.0", "10.255.255.255",  "127.0.0.1", "fd00::1",
                                     "fd7f::",   "::ffff:10.1.2.3", "unix"};
    static const char *const out[] = {
        "11.0.0.0", "9.255.255.255", "127.0.0.2", "fd80::1", "::1", "x", ""};
    for (size_t i = 0; i < SB_ARRAY_LEN(in); i++)
        if (!sb_proxies_trust(&p, in[i])) fail_msg("%s", in[i]);
    for (size_t i = 0; i < SB_ARRAY_LEN(out); i++)
        if (sb_proxies_trust(&p, out[i])) fail_msg("%s", out[i]);
    const char *all[] = {"0.0.0.0/0"};
    assert_int_equal(sb_proxies_init(&p, all, 1, NULL), SB_OK);
    assert_true(sb_proxies_trust(&p, "1.2.3.4"));
    assert_false(sb_proxies_trust(&p, "fd00::1"));
    assert_false(sb_proxies_trust(&p, "unix"));
}

static void bad_prefixes_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"a",
                                      "10.0.0.0/33",
                                      "10.0.0.0/",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/0x8",
                                      "::/129",
                                      "10.0.0",
                                      "",
                                      "/8",
                                      "10.0.0.1:80",
                                      "::/1280",
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_proxies p;
        sb_error err = {0};
        assert_int_equal(sb_proxies_init(&p, &bad[i], 1, &err), SB_INVALID);
        assert_non_null(strstr(err.msg, bad[i]));
    }
    sb_proxies p;
    const char *many[SB_MAX_PROXIES + 1];
    for (size_t i = 0; i < SB_ARRAY_LEN(many); i++)
        many[i] = "::1";
    assert_int_equal(sb_proxies_init(&p, many, SB_MAX_PROXIES, NULL), SB_OK);
    assert_int_equal(sb_proxies_init(&p, many, SB_MAX_PROXIES + 1, NULL), SB_LIMIT);
}

static void the_client_is_the_last_untrusted_hop(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "127.0.0.1"},
        {"1.2.3.4", "1.2.3.4"},
        {"6.6.6.6, 1.2.3.4", "1.2.3.4"},
        {"1.2.3.4, 10.0.0.7", "1.2.3.4"},
        {"6.6.6.6, 1.2.3.4 ,\t10.0.0.7, 10.0.0.8", "1.2.3.4"},
        {"1.2.3.4:5678", "1.2.3.4"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"2001:DB8:0::1", "2001:db8::1"},
        {"10.0.0.7", "10.0.0.7"},
        {"<script>", "127.0.0.1"},
        {"1.2.3.4, unknown, 10.0.0.7", "10.0.0.7"},
        {"1.2.3.4,", "127.0.0.1"},
        {"[::1", "127.0.0.1"},
        {"::ffff:1.2.3.4", "1.2.3.4"},
    };
    sb_proxies p;
    assert_int_equal(sb_proxies_init(&p, trusted, SB_ARRAY_LEN(trusted), NULL), SB_OK);
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        char out[SB_ADDRESS_BYTES];
        sb_proxies_client(&p, (sb_str){rows[i][0], strlen(rows[i][0])}, "127.0.0.1", out);
        assert_string_equal(out, rows[i][1]);
    }
}

static void only_trusted_peers_are_believed(void **state)
{
    (void)state;
    static const char text[] = "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                               "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4, 10.1.1.1\r\n"
                               "X-Forwarded-Proto: https\r\n\r\n";
    static rig g;
    rig_open(&g, NULL);
    rig_ask(&g, text);
    assert_string_equal(g.peer, "127.0.0.1");
    assert_false(g.is_tls);
    rig_close(&g);
    sb_http_opts o = rig_opts(&g);
    o.trusted_proxies = trusted;
    o.n_trusted_proxies = SB_ARRAY_LEN(trusted);
    rig_open(&g, &o);
    rig_ask(&g, text);
    assert_string_equal(g.peer, "1.2.3.4");
    assert_true(g.is_tls);
    rig_ask(&g, "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_string_equal(g.peer, "127.0.0.1");
    assert_false(g.is_tls);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_read),
        cmocka_unit_test(bad_prefixes_are_named),
        cmocka_unit_test(the_client_is_the_last_untrusted_hop),
        cmocka_unit_test(only_trusted_peers_are_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
