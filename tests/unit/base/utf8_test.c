/* SPDX-License-Identifier: Apache-2.0
 * utf8_test.c - every code point there and back, every ill-formed shape refused, prefixes cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/utf8.h"

#include <string.h>

static void every_code_point_round_trips(void **state)
{
    (void)state;
    size_t n_good = 0;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF) continue;
        char b[4];
        uint32_t back = 0;
        const size_t n = sb_utf8_encode(cp, b);
        if (sb_utf8_decode(b, n, &back) == n && back == cp && sb_utf8_valid(b, n) == n &&
            sb_utf8_whole(b, n) == n && (n < 2 || sb_utf8_decode(b, n - 1, &back) == 0))
            n_good++;
    }
    assert_int_equal(n_good, 0x110000 - 0x800);
}

static void ill_formed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFE",
                                      "\xFF",
                                      "\xC3(",
                                      "\xE2\x82(",
                                      "\xE2(\xAC",
                                      "\xF0\x9F\x98("};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        uint32_t cp;
        assert_int_equal(sb_utf8_decode(bad[i], strlen(bad[i]), &cp), 0);
        assert_int_equal(sb_utf8_valid(bad[i], strlen(bad[i])), 0);
    }
    assert_int_equal(sb_utf8_valid("ab\xC3\xA9\xFFz", 6), 4);
    assert_int_equal(sb_utf8_valid("", 0), 0);
    assert_int_equal(sb_utf8_valid("a\0b", 3), 3); // NUL is a character
}

static void prefixes_are_cut_before_an_open_sequence(void **state)
{
    (void)state;
    const char *s = "a\xF0\x9F\x98\x80"; // a, grinning face
    assert_int_equal(sb_utf8_whole(s, 5), 5);
    assert_int_equal(sb_utf8_whole(s, 4), 1);
    assert_int_equal(sb_utf8_whole(s, 3), 1);
    assert_int_equal(sb_utf8_whole(s, 2), 1);
    assert_int_equal(sb_utf8_whole(s, 1), 1);
    assert_int_equal(sb_utf8_whole(s, 0), 0);
    assert_int_equal(sb_utf8_whole("\xE2\x82", 2), 0);
    // What can no longer become valid is not held back.
    assert_int_equal(sb_utf8_whole("a\x80", 2), 2);
    assert_int_equal(sb_utf8_whole("a\xED\xA0", 3), 3);
    assert_int_equal(sb_utf8_whole("\xC3\xA9\xA9", 3), 3);
    assert_int_equal(sb_utf8_whole("\xFF", 1), 1);
    assert_int_equal(sb_utf8_whole("\x80\x80\x80\x80", 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_round_trips),
        cmocka_unit_test(ill_formed_is_refused),
        cmocka_unit_test(prefixes_are_cut_before_an_open_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
