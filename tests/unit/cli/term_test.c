/* SPDX-License-Identifier: Apache-2.0
 * term_test.c - what reaches a terminal, and an output that fails. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/json_out.h"
#include "cli/term.h"

#define STR(s) ((sb_str){(s), sizeof(s) - 1})

static void escapes(void **state)
{
    (void)state;
    static const struct {
        sb_str in;
        bool lines;
        const char *out;
    } cases[] = {
        {{"plain é 漢 🙂", 17}, false, "plain é 漢 🙂"},
        {{"\x1b[31m\a\x7f", 7}, false, "\\x1B[31m\\x07\\x7F"},
        {{"a\nb\tc\r", 6}, false, "a\\x0Ab\\x09c\\x0D"},
        {{"a\nb\tc\r", 6}, true, "a\nb\tc\\x0D"},
        {{"\xc2\x9b"
          "31m",
          5},
         false,
         "\\u{009B}31m"},
        {{"\xe2\x80\xae"
          "evil",
          7},
         false,
         "\\u{202E}evil"},
        {{"a\0b", 3}, false, "a\\x00b"},
        {{"\xff\xc3(\xed\xa0\x80", 6}, false, "\\xFF\\xC3(\\xED\\xA0\\x80"},
        {{"", 0}, false, ""},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_buf b;
        sb_buf_init(&b, 1000, "text");
        assert_int_equal(sb_term_escape(&b, cases[i].in, cases[i].lines, NULL), SB_OK);
        assert_string_equal(b.p ? b.p : "", cases[i].out);
        sb_buf_deinit(&b);
    }
}

static void a_pipe_without_reader(void **state)
{
    (void)state;
    int fd[2];
    sb_out o;
    sb_error err = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fd), 0);
    sb_out_init(&o, fd[1]);
    sb_out_add(&o, "a", 1);
    sb_out_flush(&o);
    assert_int_equal(o.why, 0);
    (void)close(fd[0]);
    sb_out_add(&o, "b", 1);
    assert_int_equal(o.why, 0); /* held */
    sb_out_flush(&o);
    assert_int_equal(o.why, EPIPE);
    sb_out_addf(&o, "%d", 5);
    assert_int_equal(sb_out_end(&o, &err), SB_IO);
    assert_non_null(strstr(err.msg, "reader"));
    (void)close(fd[1]);
}

static void bytes_arrive_in_order(void **state)
{
    (void)state;
    int fd[2];
    sb_out o;
    static char big[20000], got[30000];
    memset(big, 'x', sizeof big);
    assert_int_equal(pipe(fd), 0);
    sb_out_init(&o, fd[1]);
    sb_out_add(&o, "first", 5);
    sb_out_add(&o, big, sizeof big); /* larger than what is held */
    sb_out_addf(&o, "%s", "last");
    assert_int_equal(sb_out_end(&o, NULL), SB_OK);
    (void)close(fd[1]);
    size_t n = 0;
    for (ssize_t k; (k = read(fd[0], got + n, sizeof got - n)) > 0;)
        n += (size_t)k;
    assert_int_equal(n, 5 + sizeof big + 4);
    assert_memory_equal(got, "firstx", 6);
    assert_memory_equal(got + n - 5, "xlast", 5);
    (void)close(fd[0]);
}

static void json_of_energy(void **state)
{
    (void)state;
    sb_energy e = {.source = SB_ENERGY_ESTIMATED,
                   .energy_uj = 3600000,
                   .lo_uj = 1800000,
                   .hi_uj = 7200000,
                   .prefill_uj = 600000,
                   .duration_ns = 2000000000,
                   .ratio = 1,
                   .method = "m"};
    json_t *j = sb_json_energy(&e);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "source")), "estimated");
    assert_int_equal(json_integer_value(json_object_get(j, "energy_uj")), 3600000);
    assert_true(json_real_value(json_object_get(j, "energy_joules")) == 3.6);
    assert_true(json_real_value(json_object_get(j, "energy_kwh")) == 1e-6); /* J / 3.6e6 */
    assert_true(json_real_value(json_object_get(j, "avg_power_watts")) == 1.8);
    assert_true(json_real_value(json_object_get(j, "error_pct")) == 100);
    assert_true(json_real_value(json_object_get(j, "prefill_joules")) == 0.6);
    assert_true(json_real_value(json_object_get(j, "decode_joules")) == 3.0);
    json_decref(j);
    e.source = SB_ENERGY_UNAVAILABLE;
    j = sb_json_energy(&e);
    assert_string_equal(json_string_value(json_object_get(j, "source")), "unavailable");
    assert_null(json_object_get(j, "energy_uj")); /* no number rather than a zero */
    assert_null(json_object_get(j, "energy_joules"));
    json_decref(j);
}

static void json_of_any_bytes(void **state)
{
    (void)state;
    json_t *j = sb_json_text(STR("a\xff"));
    assert_string_equal(json_string_value(j), "a\\xFF");
    json_decref(j);
    j = sb_json_text(STR("a\0b"));
    assert_int_equal(json_string_length(j), 3);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(a_pipe_without_reader),
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(json_of_energy),
        cmocka_unit_test(json_of_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
