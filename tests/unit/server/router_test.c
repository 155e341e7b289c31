/* SPDX-License-Identifier: Apache-2.0
 * router_test.c - methods and paths to rows of routes.def. */
#include "server/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

static sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static int find(const char *method, const char *path, const char **out_row, char *allow)
{
    const sb_route *r = NULL;
    const int status = sb_route_find(str(method), str(path), &r, allow);
    *out_row = r ? r->path : "";
    return status;
}

static void test_every_row_is_reached(void **state)
{
    size_t n = 0;
    const sb_route *rows = sb_route_rows(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        char path[64], allow[SB_ALLOW_BYTES];
        const sb_route *got = NULL;
        size_t k = 0;
        for (const char *p = rows[i].path; *p; p++) { /* a star stands for "x" */
            if (*p == '*' && p[1] == '*') p++;
            path[k++] = *p == '*' ? 'x' : *p;
        }
        path[k] = 0;
        const char *method = strcmp(rows[i].method, "ANY") == 0 ? "PATCH" : rows[i].method;
        assert_int_equal(sb_route_find(str(method), str(path), &got, allow), 200);
        if (got != &rows[i]) fail_msg("%s %s is taken by %s", method, path, got->path);
    }
}

static void test_methods(void **state)
{
    char allow[SB_ALLOW_BYTES];
    const char *row;
    (void)state;
    assert_int_equal(find("HEAD", "/", &row, allow), 200);
    assert_int_equal(find("PUT", "/v1/models", &row, allow), 405);
    assert_string_equal(allow, "GET, HEAD");
    assert_int_equal(find("POST", "/v1/responses/resp_1", &row, allow), 405);
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_int_equal(find("HEAD", "/v1/messages", &row, allow), 405);
    assert_string_equal(allow, "POST");
    assert_int_equal(find("BREW", "/", &row, allow), 501);
    assert_int_equal(find("get", "/", &row, allow), 501);
    assert_int_equal(find("OPTIONS", "/sobre/v1/x", &row, allow), 405);
}

static void test_paths(void **state)
{
    static const char *const none[] = {
        "/v1",     "/v1/",        "/v1/models/",       "/v1/chat/completions/",
        "//",      "/api/tags/x", "/v1/responses/a/b", "/sobre/",
        "/healthz"};
    char allow[SB_ALLOW_BYTES];
    const char *row;
    (void)state;
    for (size_t i = 0; i < SB_ARRAY_LEN(none); i++)
        if (find("GET", none[i], &row, allow) != 404) fail_msg("%s is %s", none[i], row);
    assert_int_equal(find("GET", "/v1/models/hf.co/a/b:Q4", &row, allow), 200);
    assert_string_equal(row, "/v1/models/**");
    assert_int_equal(find("POST", "/v1/responses/input_tokens", &row, allow), 200);
    assert_string_equal(row, "/v1/responses/input_tokens");
    assert_int_equal(find("GET", "/v1/responses/resp_1/input_items", &row, allow), 200);
    assert_string_equal(row, "/v1/responses/*/input_items");
}

static void test_segments(void **state)
{
    (void)state;
    const sb_str path = str("/v1/responses/resp_1/cancel");
    const sb_str id = sb_path_segment(path, 2);
    assert_int_equal(id.n, 6);
    assert_memory_equal(id.p, "resp_1", 6);
    assert_int_equal(sb_path_segment(path, 0).n, 2);
    assert_int_equal(sb_path_segment(path, 3).n, 6);
    assert_int_equal(sb_path_segment(path, 4).n, 0);
    assert_int_equal(sb_path_segment(str("/"), 0).n, 0);
}

static void test_dialects(void **state)
{
    (void)state;
    assert_ptr_equal(sb_route_dialect(str("/api/none")), &sb_dialect_ollama_chat);
    assert_ptr_equal(sb_route_dialect(str("/v1/none")), &sb_dialect_openai_chat);
    assert_ptr_equal(sb_route_dialect(str("/v1/messages")), &sb_dialect_anthropic);
    assert_ptr_equal(sb_route_dialect(str("/v1/messages/count_tokens")), &sb_dialect_anthropic);
    assert_ptr_equal(sb_route_dialect(str("/health")), &sb_dialect_llama_completion);
    assert_ptr_equal(sb_route_dialect(str("")), &sb_dialect_llama_completion);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_reached),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_dialects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
