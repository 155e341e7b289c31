/* SPDX-License-Identifier: Apache-2.0
 * wire_json_test.c - JSON of requests read strictly, JSON of answers written right. */
#include "server/wire/json_writer.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "server/wire/wire.h"
#include "wire_rig.h"

/* Refused at this byte with this code, without an echo of the bytes. */
static void refused(const char *text, size_t n, size_t at, const char *code)
{
    sb_wire_error w = {0};
    json_t *j = NULL;
    char want[64];
    (void)snprintf(want, sizeof want, "body: byte %zu: ", at);
    const sb_status s = sb_wire_json(&j, (sb_str){text, n}, &w);
    if (s == SB_OK || strncmp(w.err.msg, want, strlen(want)) != 0 || strcmp(w.code, code) != 0)
        print_error("'%.60s': %d %s %s\n", text, s, w.code ? w.code : "", w.err.msg);
    assert_int_not_equal(s, SB_OK);
    assert_null(j);
    assert_string_equal(w.code, code);
    assert_int_equal(strncmp(w.err.msg, want, strlen(want)), 0);
    sb_wire_status(&w);
    assert_int_equal(w.status, 400);
}

static void refused_text(const char *text, size_t at, const char *code)
{
    refused(text, strlen(text), at, code);
}

/* R1 */
static void bodies_that_are_no_json(void **state)
{
    (void)state;
    refused_text("", 0, "invalid_json");
    refused_text("   ", 3, "invalid_json");
    refused_text("\xef\xbb\xbf{}", 0, "invalid_json");
    refused_text("{} x", 3, "invalid_json");
    refused_text("{}{}", 2, "invalid_json");
    refused_text("{\"a\":1,}", 7, "invalid_json");
    refused_text("[1,]", 3, "invalid_json");
    refused_text("// c\n{}", 0, "invalid_json");
    refused_text("{/* c */}", 1, "invalid_json");
    refused_text("{\"a\":1 # c\n}", 7, "invalid_json");
    refused_text("{'a':1}", 1, "invalid_json");
    refused_text("{a:1}", 1, "invalid_json");
    refused_text("{\"a\"", 4, "invalid_json");
    refused_text("{\"a\":\"b", 7, "invalid_json");
    refused_text("{\"a\":\"b\\", 8, "invalid_json");
    refused_text("{\"a\":tru}", 5, "invalid_json");
    refused_text("{\"a\":\"\n\"}", 6, "invalid_json");
    refused_text("{\"a\":\"\\x\"}", 7, "invalid_json");
    refused("{\"a\":1}\0", 8, 7, "invalid_json");
}

/* R2 */
static void nesting_is_counted_first(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *deep = sb_alloc(N * 5 + 1, 1);
    assert_non_null(deep);
    memset(deep, '[', N);
    refused(deep, N, 64, "json_depth");
    for (size_t i = 0; i < N; i++)
        memcpy(deep + 5 * i, "{\"a\":", 5);
    refused(deep, 5 * (size_t)N, (size_t)5 * 64, "json_depth");
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    refused(deep, 130, 64, "json_depth");
    sb_wire_error w = {0};
    json_t *j = NULL;
    assert_int_equal(sb_wire_json(&j, (sb_str){deep + 1, 128}, &w), SB_OK);
    json_decref(j);
    sb_free(deep);
    // brackets in strings nest nothing
    json_decref(rig_json("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                         "[[[[[[[[[[[[[[[[[[[[\\\"{{{{{{{{{{\"]"));
}

/* R3 */
static void a_field_twice(void **state)
{
    (void)state;
    refused_text("{\"model\":\"a\",\"model\":\"b\"}", 13, "duplicate_field");
    refused_text("{\"a\":{\"b\":1,\"b\":1}}", 12, "duplicate_field");
    json_decref(rig_json("{\"a\":{\"b\":1},\"b\":{\"a\":1}}"));
}

/* R4 */
static void texts_are_unicode(void **state)
{
    (void)state;
    refused_text("{\"a\":\"\\uD800\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\\uDC00\\uD800\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\\uD800\\u0041\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\\uD83D \\uDE00\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\\uD83", 11, "invalid_json");
    refused_text("{\"a\":\"\\u00G0\"}", 6, "invalid_json");
    refused_text("{\"a\":\"\xff\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\xc0\x80\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\xed\xa0\x80\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\xf4\x90\x80\x80\"}", 6, "invalid_unicode");
    refused_text("{\"a\":\"\xf0\x9f\x98\"}", 6, "invalid_unicode");
    refused_text("\xff{}", 0, "invalid_unicode");
    json_t *j = rig_json("{\"a\":\"x\\u0000y\\uD83D\\uDE00\\u00e9\"}");
    const json_t *v = json_object_get(j, "a");
    assert_int_equal(json_string_length(v), 9);
    assert_memory_equal(json_string_value(v), "x\0y\xf0\x9f\x98\x80\xc3\xa9", 9);
    json_decref(j);
    refused_text("{\"a\\u0000b\":1}", 1, "invalid_json");
}

/* R5 */
static void numbers_are_in_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"NaN", "Infinity", "-Infinity", "0x10", "01",  "1.", ".5",
                                      "+1",  "1e",       "-",         "1e+",  "--1", "0x", "1.e5"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        char text[64];
        sb_wire_error w = {0};
        json_t *j = NULL;
        (void)snprintf(text, sizeof text, "{\"a\":%s}", bad[i]);
        assert_int_not_equal(sb_wire_json(&j, (sb_str){text, strlen(text)}, &w), SB_OK);
        assert_string_equal(w.code, "invalid_json");
        assert_int_equal(strncmp(w.err.msg, "body: byte ", 11), 0);
    }
    refused_text("{\"a\":1e9999}", 5, "invalid_value");
    refused_text("{\"a\":-1e9999}", 5, "invalid_value");
    refused_text("{\"a\":123456789012345678901234567890}", 5, "invalid_value");
    json_t *j = rig_json("{\"a\":-0,\"b\":-0.0,\"c\":9223372036854775807,\"d\":1e-9999}");
    assert_int_equal(json_integer_value(json_object_get(j, "a")), 0);
    assert_true(json_integer_value(json_object_get(j, "c")) == INT64_MAX);
    json_decref(j);
}

static void a_number_too_large_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *param;
    } cases[] = {{"{\"max_tokens\": 9223372036854775808}", "max_tokens"},
                 {"{\"seed\" :\n18446744073709551616 }", "seed"},
                 {"[18446744073709551616]", ""},
                 {"{\"a b\":18446744073709551616}", ""},
                 {"{\"a\\\"b\":18446744073709551616}", ""},
                 {"18446744073709551616", ""},
                 {":18446744073709551616", ""}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_wire_error w = {0};
        json_t *j = NULL;
        assert_int_not_equal(sb_wire_json(&j, (sb_str){cases[i].text, strlen(cases[i].text)}, &w),
                             SB_OK);
        assert_string_equal(w.param, cases[i].param);
    }
}

static void values_are_counted(void **state)
{
    (void)state;
    const size_t n = 2 * (size_t)SB_MAX_JSON_VALUES + 64;
    char *text = sb_alloc(n, 1);
    assert_non_null(text);
    memset(text, '[', n);
    for (size_t i = 1; i + 1 < n; i += 2)
        memcpy(text + i, "1,", 2);
    refused(text, n, 2 * (size_t)SB_MAX_JSON_VALUES - 1, "json_size"); // the list is one itself
    sb_free(text);
}

/* Reading takes time in proportion to the body, and little stack. */
static void *read_large(void *ctx)
{
    const size_t n = 16u << 20;
    char *text = sb_alloc(n + 1, 1);
    uint64_t *ns = ctx;
    if (!text) return NULL;
    for (int kind = 0; kind < 3; kind++) { // one string; many fields; digits
        sb_wire_error w = {0};
        json_t *j = NULL;
        memset(text, kind == 2 ? '7' : 'x', n);
        text[0] = kind == 2 ? '[' : '{';
        if (kind == 0) {
            memcpy(text, "{\"a\":\"", 6);
            memcpy(text + n - 2, "\"}", 2);
        } else if (kind == 1) {
            size_t at = 1;
            for (int i = 0; i < 1000000; i++)
                at += (size_t)snprintf(text + at, n - at, "%s\"k%d\":1", i ? "," : "", i);
            text[at] = '}';
            memset(text + at + 1, ' ', n - at - 1);
        }
        const uint64_t begin = sb_now_ns();
        (void)(sb_wire_json(&j, (sb_str){text, n}, &w) == SB_OK);
        json_decref(j);
        ns[kind] = sb_now_ns() - begin;
    }
    sb_free(text);
    return ns;
}

static void large_bodies_take_linear_time(void **state)
{
    (void)state;
    uint64_t ns[3] = {0};
    void *done = NULL;
    pthread_attr_t attr;
    pthread_t t;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, 256 * 1024), 0);
    assert_int_equal(pthread_create(&t, &attr, read_large, ns), 0);
    assert_int_equal(pthread_join(t, &done), 0);
    (void)pthread_attr_destroy(&attr);
    assert_non_null(done);
    for (int i = 0; i < 3; i++)
        assert_true(ns[i] < UINT64_C(20000000000)); // a sanitizer on a busy machine, too
}

/* ---- writing ---- */

static char *written(void (*write)(sb_jw *w))
{
    sb_buf b;
    sb_jw w;
    sb_buf_init(&b, 1 << 20, "test");
    sb_jw_begin(&w, &b, NULL);
    write(&w);
    assert_int_equal(sb_jw_end(&w), SB_OK);
    return b.p;
}

static void write_all(sb_jw *w)
{
    static const char text[] = "a\"b\\c/d\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80\0z";
    static const char broken[] = "x\xff\xc3y\xe2\x82";
    sb_jw_open(w, '{');
    sb_jw_put_text(w, "text", (sb_str){text, sizeof text - 1});
    sb_jw_put_text(w, "broken", (sb_str){broken, sizeof broken - 1});
    sb_jw_put_text(w, "none", (sb_str){NULL, 0});
    sb_jw_put_word(w, "null", NULL);
    sb_jw_put_int(w, "int", INT64_MIN);
    sb_jw_key(w, "uint");
    sb_jw_uint(w, UINT64_MAX);
    sb_jw_put_bool(w, "yes", true);
    sb_jw_put_open(w, "list", '[');
    sb_jw_real(w, 0);
    sb_jw_real(w, 1.5);
    sb_jw_real(w, -2e300);
    sb_jw_real(w, 0.1);
    sb_jw_real(w, 1.0 / 3);
    sb_jw_real(w, (double)NAN);
    sb_jw_real(w, -(double)INFINITY);
    sb_jw_open(w, '[');
    sb_jw_close(w, ']');
    sb_jw_open(w, '{');
    sb_jw_close(w, '}');
    sb_jw_close(w, ']');
    sb_jw_key_text(w, (sb_str){"k\"\n", 3});
    sb_jw_null(w);
    sb_jw_key(w, "raw");
    sb_jw_raw(w, (sb_str){"[1, 2]", 6});
    sb_jw_close(w, '}');
}

static const char all_text[] =
    "{\"text\":\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80\\u0000z\","
    "\"broken\":\"x\xef\xbf\xbd\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\",\"none\":\"\",\"null\":null,"
    "\"int\":-9223372036854775808,\"uint\":18446744073709551615,\"yes\":true,"
    "\"list\":[0.0,1.5,-2e+300,0.1,0.33333333333333331,null,null,[],{}],\"k\\\"\\n\":null,"
    "\"raw\":[1, 2]}";

static void values_are_written(void **state)
{
    (void)state;
    char *s = written(write_all);
    assert_string_equal(s, all_text);
    sb_free(s);
}

static void decimals_have_a_point_everywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8"};
    for (size_t i = 0; i < SB_ARRAY_LEN(names); i++) {
        if (!setlocale(LC_ALL, names[i])) continue;
        char *s = written(write_all);
        assert_string_equal(s, all_text);
        sb_free(s);
        json_t *j = rig_json("[0.25]");
        assert_true(json_real_value(json_array_get(j, 0)) == 0.25);
        json_decref(j);
    }
    (void)setlocale(LC_ALL, "C");
}

static void reals_read_back(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double d;
        char *s;
        sb_buf b;
        sb_jw w;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(&d, &x, sizeof d);
        if (!isfinite(d)) continue;
        sb_buf_init(&b, 64, "real");
        sb_jw_begin(&w, &b, NULL);
        sb_jw_real(&w, d);
        assert_int_equal(sb_jw_end(&w), SB_OK);
        s = b.p;
        assert_true(strtod(s, NULL) == d);
        assert_non_null(strpbrk(s, ".e"));
        sb_buf_deinit(&b);
    }
}

static void write_tree(sb_jw *w)
{
    json_t *j = rig_json("{\"a\":[1,-2,2.5,true,false,null,\"x\\n\"],\"b\":{\"c\":{}}}");
    sb_jw_json(w, j);
    json_decref(j);
}

static void trees_are_written(void **state)
{
    (void)state;
    char *s = written(write_tree);
    assert_string_equal(s, "{\"a\":[1,-2,2.5,true,false,null,\"x\\n\"],\"b\":{\"c\":{}}}");
    sb_free(s);
}

static void a_limit_takes_all_back(void **state)
{
    (void)state;
    sb_buf b;
    sb_jw w;
    sb_error err;
    sb_buf_init(&b, 16, "reply");
    assert_int_equal(sb_buf_add(&b, "before", 6, NULL), SB_OK);
    sb_jw_begin(&w, &b, &err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "a", "a long text that does not fit");
    sb_jw_close(&w, '}');
    assert_int_equal(sb_jw_end(&w), SB_LIMIT);
    assert_string_equal(b.p, "before");
    assert_non_null(strstr(err.msg, "reply"));
    sb_buf_deinit(&b);
}

/* Any bytes, cut anywhere, make texts that read back. */
static void random_texts_read_back(void **state)
{
    (void)state;
    uint64_t x = 2463534242u;
    for (int i = 0; i < 3000; i++) {
        unsigned char bytes[40];
        sb_buf b;
        sb_jw w;
        for (size_t k = 0; k < sizeof bytes; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            bytes[k] = (unsigned char)(x >> 56);
        }
        sb_buf_init(&b, 1024, "text");
        sb_jw_begin(&w, &b, NULL);
        sb_jw_open(&w, '[');
        sb_jw_text(&w, (sb_str){(const char *)bytes, (size_t)i % sizeof bytes});
        sb_jw_close(&w, ']');
        assert_int_equal(sb_jw_end(&w), SB_OK);
        json_decref(rig_json(b.p));
        sb_buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_are_no_json),
        cmocka_unit_test(nesting_is_counted_first),
        cmocka_unit_test(a_field_twice),
        cmocka_unit_test(texts_are_unicode),
        cmocka_unit_test(numbers_are_in_range),
        cmocka_unit_test(a_number_too_large_names_its_field),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(large_bodies_take_linear_time),
        cmocka_unit_test(values_are_written),
        cmocka_unit_test(decimals_have_a_point_everywhere),
        cmocka_unit_test(reals_read_back),
        cmocka_unit_test(trees_are_written),
        cmocka_unit_test(a_limit_takes_all_back),
        cmocka_unit_test(random_texts_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
