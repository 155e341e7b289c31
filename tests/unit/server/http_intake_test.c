/* SPDX-License-Identifier: Apache-2.0
 * http_intake_test.c - requests as bytes: what is taken, what is refused and how, and that no
 * way of cutting them changes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "http_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BODY = 64, LOG_BYTES = 1 << 20 };

/* A row: bytes, and the end of what they mean. */
typedef struct row {
    const char *bytes;
    size_t n;
    const char *means;
} row;
#define R(bytes, means)                                                                            \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, means                                                            \
    }
#define HEAD "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define SAID "POST /? 1.1 keep\nhost: a\n"
#define SAID_CHUNKED SAID "transfer-encoding: chunked\n"

static sb_buf read_as(const row *r, http_cut cut, size_t k)
{
    sb_buf log;
    sb_buf_init(&log, LOG_BYTES, "log");
    assert_true(http_log(&log, r->bytes, r->n, MAX_BODY, cut, &k));
    assert_int_equal(sb_buf_add(&log, "", 0, NULL), SB_OK);
    return log;
}

static void check_row(const row *r, size_t step)
{
    sb_buf whole = read_as(r, http_cut_once, r->n);
    if (strcmp(whole.p, r->means) != 0) {
        print_error("in:\n%.300s\nwanted:\n%.300s\ngot:\n%.300s\n", r->bytes, r->means, whole.p);
        fail();
    }
    for (size_t i = 0; i <= r->n; i += step) {
        sb_buf cut = read_as(r, http_cut_once, i);
        if (strcmp(cut.p, whole.p) != 0) fail_msg("cut at %zu: %s", i, cut.p);
        sb_buf_deinit(&cut);
    }
    for (size_t k = 1; k <= 3; k++) {
        sb_buf cut = read_as(r, http_cut_every, k);
        assert_string_equal(cut.p, whole.p);
        sb_buf_deinit(&cut);
    }
    sb_buf_deinit(&whole);
}

static void check_rows(const row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i], 1);
}

static void good_requests_are_read(void **state)
{
    (void)state;
    static const row rows[] = {
        R("GET /a%20b/c?x=1?y HTTP/1.1\r\nHost: a:80\r\n\r\n",
          "GET /a b/c?x=1?y 1.1 keep\nhost: a:80\nbody 0 \n"),
        R("GET / HTTP/1.0\r\n\r\n", "GET /? 1.0 close\nbody 0 \n"),
        R("GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n",
          "GET /? 1.0 keep\nconnection: x, Keep-Alive\nbody 0 \n"),
        R("GET / HTTP/1.1\r\nHOST:a\r\nConnection: CLOSE\r\n\r\n",
          "GET /? 1.1 close\nhost: a\nconnection: CLOSE\nbody 0 \n"),
        R(HEAD "X:\r\nY: \t a\tb \t \r\n\r\n", SAID "x: \ny: a.b\nbody 0 \n"),
        R(HEAD "X: \xc3\xa9\xff\r\n\r\n", SAID "x: \xc3\xa9\xff\nbody 0 \n"),
        R(HEAD "Content-Length: 3\r\n\r\nabc", SAID "content-length: 3\nbody 3 abc\n"),
        R(HEAD "Content-Length: 0\r\n\r\n", SAID "content-length: 0\nbody 0 \n"),
        R(HEAD "Content-Encoding: identity\r\n\r\n", SAID "content-encoding: identity\nbody 0 \n"),
        R(HEAD "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
          "POST /? 1.1 keep expects\nhost: a\nexpect: 100-Continue\ncontent-length: 1\nbody 1 x\n"),
        R(CHUNKED "3\r\nabc\r\n0\r\n\r\n", SAID_CHUNKED "body 3 abc\n"),
        R(CHUNKED "0000000A\r\n0123456789\r\n01\r\n!\r\n00\r\nTrailer: x\r\nb:\r\n\r\n",
          SAID_CHUNKED "body 11 0123456789!\n"),
        R(HEAD "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
          SAID "transfer-encoding: Chunked\nbody 0 \n"),
        R("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\nGET",
          "GET /? 1.1 keep\nhost: a\nbody 0 \nGET /b? 1.1 keep\nhost: b\nbody 0 \nmore\n"),
    };
    check_rows(rows, SB_ARRAY_LEN(rows));
}

/* H5: what a proxy in front could read as another request. */
static void smuggling_is_refused(void **state)
{
    (void)state;
#define LENGTH "refused 400 Content-Length is not a length\n"
#define OTHER "refused 400 a Transfer-Encoding other than chunked\n"
#define TWICE "refused 400 a header that may come once came twice\n"
    static const row rows[] = {
        R(HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "refused 400 both Transfer-Encoding and Content-Length\n"),
        R(HEAD "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
          "refused 400 both Transfer-Encoding and Content-Length\n"),
        R(HEAD "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", TWICE),
        R(HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", TWICE),
        R(HEAD "Content-Length: 3, 3\r\n\r\nabc", LENGTH),
        R(HEAD "Content-Length: -1\r\n\r\n", LENGTH),
        R(HEAD "Content-Length: +5\r\n\r\n", LENGTH),
        R(HEAD "Content-Length: 0x10\r\n\r\n", LENGTH),
        R(HEAD "Content-Length: 1e3\r\n\r\n", LENGTH),
        R(HEAD "Content-Length: 1 0\r\n\r\n", LENGTH),
        R(HEAD "Content-Length:\r\n\r\n", LENGTH),
        R(HEAD "Content-Length: 18446744073709551616\r\n\r\n", LENGTH),
        R(HEAD "Content-Length: 18446744073709551619\r\n\r\n", LENGTH),
        R(HEAD "Transfer-Encoding: xchunked\r\n\r\n", OTHER),
        R(HEAD "Transfer-Encoding: chunked, identity\r\n\r\n", OTHER),
        R(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", OTHER),
        R(HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n", OTHER),
        R(HEAD "Transfer-Encoding: chunked;a=b\r\n\r\n", OTHER),
        R(HEAD "Transfer-Encoding:\r\n\r\n", OTHER),
        R(HEAD "Transfer-Encoding: \x0b"
               "chunked\r\n\r\n",
          "refused 400 a control byte in a header\n"),
        R(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", TWICE),
        R(HEAD "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", TWICE),
        R(HEAD "Transfer-Encoding : chunked\r\n\r\n",
          "refused 400 a space before a header's colon\n"),
        R("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "refused 400 Transfer-Encoding in HTTP/1.0\n"),
    };
    check_rows(rows, SB_ARRAY_LEN(rows));
}

/* H6 */
static void bad_chunks_are_refused(void **state)
{
    (void)state;
#define SIZE SAID_CHUNKED "refused 400 a chunk's size is not a size\n"
#define LONG SAID_CHUNKED "refused 400 a chunk's size is too long\n"
#define STRAY SAID_CHUNKED "refused 400 a CR that does not end a line\n"
    static const row rows[] = {
        R(CHUNKED "-2\r\n", SIZE),
        R(CHUNKED "+2\r\n", SIZE),
        R(CHUNKED "0x2\r\n", SIZE),
        R(CHUNKED " 2\r\n", SIZE),
        R(CHUNKED "2 \r\n", SIZE),
        R(CHUNKED "\r\n", SIZE),
        R(CHUNKED "2\nab\r\n", SIZE),
        R(CHUNKED "2;a=b\r\nab\r\n", SIZE),
        R(CHUNKED "2\r\rab\r\n", STRAY),
        R(CHUNKED "FFFFFFFFFFFFFFFF\r\n", LONG),
        R(CHUNKED "00000000000000001\r\n", LONG),
        R(CHUNKED "FFFFFFFF\r\n", SAID_CHUNKED "refused 413 the body is too large\n"),
        R(CHUNKED "41\r\n", SAID_CHUNKED "refused 413 the body is too large\n"),
        R(CHUNKED "1\r\na\r\n40\r\n", SAID_CHUNKED "refused 413 the body is too large\n"),
        R(CHUNKED "2\r\nabc\r\n", SAID_CHUNKED "refused 400 a chunk is longer than its size\n"),
        R(CHUNKED "2\r\nab\n", SAID_CHUNKED "refused 400 a chunk is longer than its size\n"),
        R(CHUNKED "2\r\nab\r0\r\n\r\n", STRAY),
        R(CHUNKED "0\r\nx y\r\n\r\n", SAID_CHUNKED "refused 400 a space before a header's colon\n"),
        R(CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n",
          SAID_CHUNKED "refused 400 a space before a header's colon\n"),
        R(CHUNKED "0\r\n\rx", STRAY),
        R(CHUNKED "2\r\nab\r\n", SAID_CHUNKED "more\n"),
        R(CHUNKED "0\r\n", SAID_CHUNKED "more\n"),
    };
    check_rows(rows, SB_ARRAY_LEN(rows));
}

/* H7 and the rest of the line. */
static void bad_lines_are_refused(void **state)
{
    (void)state;
#define NOISE "refused 400 this is not an HTTP request\n"
#define TARGET "refused 400 the target has a byte that must be percent-encoded\n"
#define NO_VERSION "refused 400 the request line has no HTTP/1 version\n"
#define CR "refused 400 a CR that does not end a line\n"
#define CONTROL "refused 400 a control byte in a header\n"
#define NO_TOKEN "refused 400 a header's name is not a token\n"
    static const row rows[] = {
        R("\r\nGET / HTTP/1.1\r\n", NOISE),
        R(" GET / HTTP/1.1\r\n", NOISE),
        R("G\xc3\x89T / HTTP/1.1\r\n", NOISE),
        R("GET\t/ HTTP/1.1\r\n", NOISE),
        R("GET", "more\n"),
        R("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "refused 400 the method is too long\n"),
        R("GET  / HTTP/1.1\r\n", TARGET),
        R("GET /\t HTTP/1.1\r\n", TARGET),
        R("GET /\x7f HTTP/1.1\r\n", TARGET),
        R("GET /\xc3\xa9 HTTP/1.1\r\n", TARGET),
        R("GET /#a HTTP/1.1\r\n", TARGET),
        R("GET /\0 HTTP/1.1\r\n", TARGET),
        R("GET /\r\n", TARGET),
        R("GET /\n", TARGET),
        R("GET / \r\n", NO_VERSION),
        R("GET /  HTTP/1.1\r\n", NO_VERSION),
        R("GET / http/1.1\r\n", NO_VERSION),
        R("GET / HTTP/2.0\r\n", NO_VERSION),
        R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NO_VERSION),
        R("GET / HTTP/1.2\r\n", "refused 400 the version is neither 1.0 nor 1.1\n"),
        R("GET / HTTP/1.\r\n", "refused 400 the version is neither 1.0 nor 1.1\n"),
        R("GET / HTTP/1.1\n", "refused 400 the request line goes on behind its version\n"),
        R("GET / HTTP/1.1 \r\n", "refused 400 the request line goes on behind its version\n"),
        R("GET / HTTP/1.1\r\r\n", CR),
        R("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "refused 400 a header line is folded\n"),
        R(HEAD "X: a\r\n\tb\r\n\r\n", "refused 400 a header line is folded\n"),
        R(HEAD "X: a\r\n b\r\n\r\n", "refused 400 a header line is folded\n"),
        R(HEAD "X : a\r\n\r\n", "refused 400 a space before a header's colon\n"),
        R(HEAD "X\t: a\r\n\r\n", "refused 400 a space before a header's colon\n"),
        R(HEAD ": a\r\n\r\n", NO_TOKEN),
        R(HEAD "X(: a\r\n\r\n", NO_TOKEN),
        R(HEAD "X\r\n\r\n", NO_TOKEN),
        R(HEAD "X\n: a\r\n", NO_TOKEN),
        R(HEAD "\xc3\xa9: a\r\n\r\n", NO_TOKEN),
        R(HEAD "\nX: a\r\n\r\n", NO_TOKEN),
        R(HEAD "X: a\rb\r\n\r\n", CR),
        R(HEAD "X: a\nb: c\r\n\r\n", "refused 400 a line ends without CR\n"),
        R(HEAD "X: a\0b\r\n\r\n", CONTROL),
        R(HEAD "X: \x01\r\n\r\n", CONTROL),
        R(HEAD "X: \x7f\r\n\r\n", CONTROL),
        R(HEAD "\rX: a\r\n\r\n", CR),
    };
    check_rows(rows, SB_ARRAY_LEN(rows));
}

/* H3, H9, H12 and what else the head says as a whole. */
static void wrong_heads_are_refused(void **state)
{
    (void)state;
#define METHOD "refused 501 this method is not known here\n"
#define START "refused 400 the target must begin with '/'\n"
    static const row rows[] = {
        R("GET / HTTP/1.1\r\n\r\n", "refused 400 Host is missing\n"),
        R("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", TWICE),
        R("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", TWICE),
        R("GET / HTTP/1.1\r\nHost:\r\n\r\n", "refused 400 Host is empty\n"),
        R("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "refused 400 Host is not a host\n"),
        R("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "refused 400 Host is not a host\n"),
        R("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "refused 400 Host is not a host\n"),
        R("get / HTTP/1.1\r\nHost: a\r\n\r\n", METHOD),
        R("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", METHOD),
        R("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", METHOD),
        R("GETT / HTTP/1.1\r\nHost: a\r\n\r\n", METHOD),
        R("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", START),
        R("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", START),
        R(HEAD "Content-Encoding: gzip\r\n\r\n", "refused 415 an encoded body is not taken\n"),
        R(HEAD "Expect: 200-ok\r\n\r\n", "refused 417 an unknown expectation\n"),
        R(HEAD "Authorization: a\r\nAuthorization: b\r\n\r\n", TWICE),
        R(HEAD "Content-Length: 65\r\n\r\n",
          SAID "content-length: 65\nrefused 413 the body is too large\n"),
        R("GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400 the path has a dot segment\n"),
    };
    check_rows(rows, SB_ARRAY_LEN(rows));
}

/* A request of `before`, n times `byte`, `after`; its log's last line is checked. */
static void check_long(const char *before, size_t n, const char *after, const char *means)
{
    const size_t n_before = strlen(before), n_after = strlen(after);
    row r = {NULL, n_before + n + n_after, NULL};
    char *all = malloc(r.n + 1);
    assert_non_null(all);
    memcpy(all, before, n_before);
    memset(all + n_before, 'a', n);
    memcpy(all + n_before + n, after, n_after + 1);
    r.bytes = all;
    sb_buf log = read_as(&r, http_cut_once, r.n);
    const char *last = strstr(log.p, means);
    if (!last || strlen(last) != strlen(means)) fail_msg("%zu: %.100s", n, log.p);
    char *copy = strdup(log.p);
    r.means = copy;
    check_row(&r, 997);
    free(copy);
    free(all);
    sb_buf_deinit(&log);
}

/* H2: each limit, at it and one beyond. */
static void limits_hold(void **state)
{
    (void)state;
    const size_t target = SB_MAX_REQUEST_TARGET_BYTES - 1, line = SB_MAX_REQUEST_FIELD_BYTES - 2;
    check_long("GET /", target, " HTTP/1.1\r\nHost: a\r\n\r\n", "body 0 \n");
    check_long("GET /", target + 1, " HTTP/1.1\r\nHost: a\r\n\r\n",
               "refused 414 the target is too long\n");
    check_long(HEAD "X:", line, "\r\n\r\n", "body 0 \n");
    check_long(HEAD "X:", line + 1, "\r\n\r\n", "refused 431 a header line is too long\n");
    check_long(HEAD, line + 2, "", "more\n");
    check_long(HEAD, line + 3, "", "refused 431 a header line is too long\n");
    check_long(HEAD "X-Request-Id: ", 1 << 20, "\r\n\r\n",
               "refused 431 a header line is too long\n");
    check_long(CHUNKED "0\r\nX:", line + 1, "\r\n\r\n", "refused 431 a header line is too long\n");
}

static void check_fields(const char *before, int n, size_t value_n, const char *means)
{
    const size_t room = strlen(before) + (size_t)n * (value_n + 16) + 8;
    char *all = malloc(room);
    assert_non_null(all);
    size_t at = (size_t)snprintf(all, room, "%s", before);
    for (int i = 0; i < n; i++) {
        at += (size_t)snprintf(all + at, room - at, "h%d: ", i);
        memset(all + at, 'v', value_n);
        at += value_n;
        at += (size_t)snprintf(all + at, room - at, "\r\n");
    }
    at += (size_t)snprintf(all + at, room - at, "\r\n");
    const row r = {all, at, NULL};
    sb_buf log = read_as(&r, http_cut_once, at);
    const char *last = strstr(log.p, means);
    if (!last || strlen(last) != strlen(means)) fail_msg("%d: %.200s", n, log.p);
    sb_buf_deinit(&log);
    free(all);
}

static void numbers_of_lines_hold(void **state)
{
    (void)state;
    check_fields(HEAD, SB_MAX_REQUEST_FIELDS - 1, 1, "body 0 \n"); // Host is one
    check_fields(HEAD, SB_MAX_REQUEST_FIELDS, 1, "refused 431 too many header lines\n");
    check_fields(HEAD, 90, 800, "refused 431 the request's head is too large\n");
    check_fields(HEAD, 3, 16000, "body 0 \n");
    check_fields(CHUNKED "0\r\n", SB_MAX_REQUEST_FIELDS, 1, "body 0 \n");
    check_fields(CHUNKED "0\r\n", SB_MAX_REQUEST_FIELDS + 1, 1,
                 "refused 431 too many header lines\n");
    check_fields(CHUNKED "0\r\n", 90, 800, "refused 431 the request's head is too large\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_read),  cmocka_unit_test(smuggling_is_refused),
        cmocka_unit_test(bad_chunks_are_refused),  cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(wrong_heads_are_refused), cmocka_unit_test(limits_hold),
        cmocka_unit_test(numbers_of_lines_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
