/* SPDX-License-Identifier: Apache-2.0
 * http_target_test.c - paths and queries decoded, hosts split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "server/http/http.h"
#include "server/http/target.h"

#include <string.h>

static sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static void good_paths_are_decoded(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"/", "/", ""},
        {"/v1/models/", "/v1/models/", ""},
        {"/v1/models/a%2Fb", "/v1/models/a/b", ""},
        {"/a%20b%c3%A9?", "/a b\xc3\xa9", ""},
        {"/a?b=/../%zz", "/a", "b=/../%zz"},
        {"/..a/b../.../a.b/", "/..a/b../.../a.b/", ""},
        {"/%25%32%65", "/%2e", ""}, // decoded once
        {"/a+b", "/a+b", ""},
        {"/%3Fx", "/?x", ""},
    };
    sb_buf path;
    sb_buf_init(&path, SB_MAX_REQUEST_TARGET_BYTES, "path");
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_str query;
        assert_int_equal(sb_target_parse(str(rows[i][0]), &path, &query).status, 0);
        assert_string_equal(path.p, rows[i][1]);
        assert_int_equal(query.n, strlen(rows[i][2]));
        assert_memory_equal(query.p, rows[i][2], query.n);
    }
    sb_buf_deinit(&path);
}

/* H10 */
static void paths_that_climb_or_hide_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"/../../etc/passwd",
                                       "/..",
                                       "/.",
                                       "/a/..",
                                       "/a/./b",
                                       "/a/../b",
                                       "/%2e%2e/a",
                                       "/%2e%2e%2fa",
                                       "/a%2f..",
                                       "/.%2e/",
                                       "//",
                                       "//a",
                                       "/a//b",
                                       "/a%2f/b",
                                       "/a/%2fb",
                                       "/..\\a",
                                       "/a\\b",
                                       "/%5c..%5c",
                                       "/%00",
                                       "/a%00.png",
                                       "/%0a",
                                       "/%7f",
                                       "/%c0%ae%c0%ae/",
                                       "/%c0%af",
                                       "/%ff",
                                       "/%ed%a0%80",
                                       "/%c3",
                                       "/%",
                                       "/%1",
                                       "/%g0",
                                       "/%0g",
                                       "/%-1",
                                       "/a%"};
    sb_buf path;
    sb_buf_init(&path, SB_MAX_REQUEST_TARGET_BYTES, "path");
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_str query;
        const sb_refusal r = sb_target_parse(str(rows[i]), &path, &query);
        if (r.status != 400) fail_msg("%s: %d", rows[i], r.status);
        assert_non_null(r.why);
    }
    sb_buf_deinit(&path);
}

static void queries_are_looked_up(void **state)
{
    (void)state;
    sb_buf out;
    sb_buf_init(&out, 16, "value");
    assert_true(sb_http_query_find(str("a=1&b=x%20y+z&b=2&c"), "b", &out));
    assert_string_equal(out.p, "x y z");
    assert_true(sb_http_query_find(str("a=1&b=x&c"), "c", &out));
    assert_string_equal(out.p, "");
    assert_true(sb_http_query_find(str("%61=1=2"), "a", &out));
    assert_string_equal(out.p, "1=2");
    assert_true(sb_http_query_find(str("&&=&a="), "a", &out));
    assert_int_equal(out.n, 0);
    assert_false(sb_http_query_find(str(""), "a", &out));
    assert_false(sb_http_query_find(str("ab=1"), "a", &out));
    assert_false(sb_http_query_find(str("a=%f"), "a", &out));
    assert_false(sb_http_query_find(str("a=%ff"), "a", &out));
    assert_false(sb_http_query_find(str("a=12345678901234567"), "a", &out)); // over out's limit
    sb_buf_deinit(&out);
}

static void hosts_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } rows[] = {
        {"a", "a", -1},
        {"a:80", "a", 80},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"[::1]", "[::1]", -1},
        {"[::1]:8080", "[::1]", 8080},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"a:", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:123456", NULL, 0},
        {"a:8x", NULL, 0},
        {"::1", NULL, 0},
        {"[::1", NULL, 0},
        {"[::1]x", NULL, 0},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_str host;
        int port;
        const bool ok = sb_http_host_split(str(rows[i].text), &host, &port);
        if (ok != (rows[i].host != NULL)) fail_msg("%s", rows[i].text);
        if (!ok) continue;
        assert_int_equal(port, rows[i].port);
        assert_int_equal(host.n, strlen(rows[i].host));
        assert_memory_equal(host.p, rows[i].host, host.n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_paths_are_decoded),
        cmocka_unit_test(paths_that_climb_or_hide_are_refused),
        cmocka_unit_test(queries_are_looked_up),
        cmocka_unit_test(hosts_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
