/* SPDX-License-Identifier: Apache-2.0
 * guard_test.c - Host, Origin and body types: what passes and what does not. */
#include "server/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

enum { MAX_HEADERS = 8 };

/* "name: value" lines, up to NULL, as a request. */
static sb_verdict judge(const sb_guard *g, const char *method, const char *path, ...)
{
    static sb_http_header headers[MAX_HEADERS];
    sb_http_request r = {
        .method = {method, strlen(method)}, .path = {path, strlen(path)}, .headers = headers};
    va_list ap;
    va_start(ap, path);
    for (const char *line; r.n_headers < MAX_HEADERS && (line = va_arg(ap, const char *));) {
        const char *colon = strstr(line, ": ");
        headers[r.n_headers++] = (sb_http_header){.name = {line, (size_t)(colon - line)},
                                                  .value = {colon + 2, strlen(colon + 2)}};
    }
    va_end(ap);
    return sb_guard_judge(g, &r);
}

static const char *const hosts[] = {"chat.example", "api.example:8443"};
static const char *const origins[] = {"https://app.example"};
static const sb_guard loopback = {.host = "127.0.0.1", .port = 8080};
static const sb_guard open_guard = {.host = "0.0.0.0",
                                    .port = 8080,
                                    .allow_hosts = hosts,
                                    .n_allow_hosts = 2,
                                    .allow_origins = origins,
                                    .n_allow_origins = 1};

static int host(const sb_guard *g, const char *value)
{
    char line[128];
    (void)snprintf(line, sizeof line, "host: %s", value);
    return judge(g, "GET", "/v1/models", line, NULL).status;
}

static void test_hosts_of_loopback(void **state)
{
    static const char *const good[] = {
        "localhost", "LOCALHOST:1", "a.localhost", "localhost.",    "127.0.0.1:99",
        "127.1.2.3", "[::1]",       "[::1]:7",     "[0:0::1]:8080", "localhost:8080"};
    static const char *const bad[] = {"evil.example",
                                      "127.0.0.1.evil.example",
                                      "localhost.evil.example",
                                      "xlocalhost",
                                      "10.0.0.1:8080",
                                      "[::1",
                                      "[::2]",
                                      "localhost:",
                                      "localhost:x",
                                      "localhost:70000",
                                      "",
                                      "chat.example"};
    (void)state;
    for (size_t i = 0; i < SB_ARRAY_LEN(good); i++)
        if (host(&loopback, good[i]) != 0) fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        if (host(&loopback, bad[i]) != 421) fail_msg("taken: %s", bad[i]);
    assert_int_equal(judge(&loopback, "GET", "/", NULL).status, 421);
}

static void test_hosts_of_others(void **state)
{
    (void)state;
    assert_int_equal(host(&open_guard, "192.168.1.7:8080"), 0); /* nobody's name */
    assert_int_equal(host(&open_guard, "192.168.1.7:8081"), 421);
    assert_int_equal(host(&open_guard, "192.168.1.7"), 421);
    assert_int_equal(host(&open_guard, "chat.example"), 0);
    assert_int_equal(host(&open_guard, "CHAT.example:1"), 0);
    assert_int_equal(host(&open_guard, "api.example:8443"), 0);
    assert_int_equal(host(&open_guard, "api.example"), 421);
    assert_int_equal(host(&open_guard, "evil.example:8080"), 421);
    const sb_guard one = {.host = "10.1.1.1", .port = 80};
    assert_int_equal(host(&one, "10.1.1.1"), 0);
    assert_int_equal(host(&one, "10.1.1.2"), 421);
}

static void test_origins(void **state)
{
    static const struct {
        const char *origin, *site;
        int status;
    } rows[] = {{"http://localhost:8080", NULL, 0},       {"http://localhost:8081", NULL, 403},
                {"http://localhost", NULL, 403},          {"null", NULL, 403},
                {"https://app.example", "cross-site", 0}, {"https://app.example.evil", NULL, 403},
                {"https://app.example:1", NULL, 403},     {"http://app.example", NULL, 403}};
    (void)state;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        char origin[64], site[64];
        (void)snprintf(origin, sizeof origin, "origin: %s", rows[i].origin);
        (void)snprintf(site, sizeof site, "sec-fetch-site: %s",
                       rows[i].site ? rows[i].site : "none");
        const sb_verdict v =
            judge(&open_guard, "GET", "/v1/models", "host: localhost:8080", origin, site, NULL);
        if (v.status != rows[i].status) fail_msg("%s: %d", rows[i].origin, v.status);
        assert_int_equal(v.cors.p != NULL, i == 4); /* only who was allowed is named */
    }
}

static void test_sites(void **state)
{
    static const char h[] = "host: localhost";
    (void)state;
    assert_int_equal(
        judge(&loopback, "GET", "/v1/models", h, "sec-fetch-site: same-origin", NULL).status, 0);
    assert_int_equal(judge(&loopback, "GET", "/", h, "sec-fetch-site: same-site", NULL).status,
                     403);
    assert_int_equal(judge(&loopback, "GET", "/", h, "sec-fetch-site: cross-site",
                           "sec-fetch-mode: navigate", "sec-fetch-dest: document", NULL)
                         .status,
                     0);
    assert_int_equal(judge(&loopback, "GET", "/", h, "sec-fetch-site: cross-site",
                           "sec-fetch-mode: navigate", "sec-fetch-dest: iframe", NULL)
                         .status,
                     403);
    assert_int_equal(judge(&loopback, "POST", "/", h, "sec-fetch-site: cross-site",
                           "sec-fetch-mode: navigate", "sec-fetch-dest: document", NULL)
                         .status,
                     403);
    assert_int_equal(judge(&loopback, "GET", "/v1/models", h, "sec-fetch-site: cross-site",
                           "sec-fetch-mode: navigate", "sec-fetch-dest: document", NULL)
                         .status,
                     403);
}

static void test_preflights(void **state)
{
    static const char h[] = "host: localhost:8080", m[] = "access-control-request-method: POST";
    (void)state;
    assert_int_equal(
        judge(&open_guard, "OPTIONS", "/v1/models", h, m, "origin: https://app.example", NULL)
            .status,
        204);
    assert_int_equal(
        judge(&open_guard, "OPTIONS", "/v1/models", h, m, "origin: http://localhost:8080", NULL)
            .status,
        403);
}

static void test_bodies(void **state)
{
    static const char h[] = "host: localhost", n[] = "content-length: 2";
    static const struct {
        const char *type;
        bool browser;
        int status;
    } rows[] = {{"application/json", true, 0},
                {"Application/JSON;charset=utf-8", false, 0},
                {"application/jsonx", false, 415},
                {"text/plain", false, 415},
                {"multipart/form-data; boundary=x", false, 415},
                {"application/x-www-form-urlencoded", false, 0},
                {"application/x-www-form-urlencoded", true, 415}};
    (void)state;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        char type[80];
        (void)snprintf(type, sizeof type, "content-type: %s", rows[i].type);
        const sb_verdict v = judge(&loopback, "POST", "/v1/x", h, n, type,
                                   rows[i].browser ? "sec-fetch-site: same-origin" : NULL, NULL);
        if (v.status != rows[i].status) fail_msg("%s: %d", rows[i].type, v.status);
    }
    assert_int_equal(judge(&loopback, "POST", "/v1/x", h, n, NULL).status, 0);
    assert_int_equal(
        judge(&loopback, "POST", "/v1/x", h, n, "sec-fetch-site: same-origin", NULL).status, 415);
    assert_int_equal(judge(&loopback, "POST", "/v1/x", h, n, "content-type: application/json",
                           "content-encoding: gzip", NULL)
                         .status,
                     415);
}

static void test_lists(void **state)
{
    static const char *const bad[] = {"app.example", "http://", "ftp://x", "http://x:y"};
    sb_error err;
    (void)state;
    assert_int_equal(sb_guard_check(&open_guard, &err), SB_OK);
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        const sb_guard g = {.allow_origins = &bad[i], .n_allow_origins = 1};
        assert_int_equal(sb_guard_check(&g, &err), SB_INVALID);
    }
    assert_true(sb_guard_is_loopback("::1") || sb_guard_is_loopback("[::1]"));
    assert_true(sb_guard_is_loopback("127.0.0.9"));
    assert_false(sb_guard_is_loopback("0.0.0.0"));
    assert_false(sb_guard_is_loopback("192.168.0.1"));
    assert_false(sb_guard_is_loopback(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_of_loopback),
        cmocka_unit_test(test_hosts_of_others),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_preflights),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
