/* SPDX-License-Identifier: Apache-2.0
 * pretok_test.c - where the split rules cut; the cuts were read off the reference's splitters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tokenizer/pretok.h"
#include "tokenizer/unicode.h"

#include <string.h>

/* want: the text with '|' at the cuts. */
static void check(const char *name, const char *want)
{
    char text[256], got[512];
    size_t n = 0, at = 0;
    for (const char *p = want; *p; p++)
        if (*p != '|') text[n++] = *p;
    const sb_pretok *rules = sb_pretok_find((sb_str){name, strlen(name)});
    assert_non_null(rules);
    sb_pretok_walk w;
    sb_str piece;
    sb_pretok_begin(&w, rules, (sb_str){text, n});
    while (sb_pretok_next(&w, &piece)) {
        if (at) got[at++] = '|';
        memcpy(got + at, piece.p, piece.n);
        at += piece.n;
    }
    got[at] = 0;
    assert_string_equal(got, want);
}

static void gpt2_rule(void **state)
{
    (void)state;
    check("gpt-2", "");
    check("gpt-2", "Hello| world");
    check("gpt-2", "   | Hello|\n   | Hello");
    check("gpt-2", "\n\n\n");
    check("gpt-2", "a|\n|b");
    check("gpt-2", "a|\t|b|\t\t|\t|c");
    check("gpt-2", "a| ");
    check("gpt-2", "a|  | b|  ");
    check("gpt-2", "don|'t| we|'ll| I|'d| they|'ve| it|'s| a|'|lL| '|RE|'");
    check("gpt-2", "!'|s|'s|''|s");
    check("gpt-2", "abc|123|def| 45|  | 6");
    check("gpt-2", "a|!?| !?...");
    check("gpt-2", "ied| 4| \xC2\xBD| months"); // U+00BD is a number
    check("gpt-2",
          "a|\xC2\xA0|b|\xC2\x85|c|\xE2\x80\x8B|d"); // U+00A0, U+0085 are spaces, U+200B not
    check("gpt-2", "e|\xCC\x81|e");                  // a mark is neither letter nor space
    check("gpt-2", " |\xE3\x80\x80|x");              // U+3000
    check("gpt-2", "\xE6\x88\x91\xE6\x83\xB3|131");
    check("gpt-2", "\xF0\x90\x97\x80"); // U+105C0, a letter since Unicode 16
    check("gpt-2", "a\xF0\x90\x97\x80"
                   "b");
}

static void digits_first(void **state)
{
    (void)state;
    check("smollm", "a|3|3|3|b");
    check("smollm", "x| |4|2| y"); // the space before a digit stays alone
    check("smollm", "  |4");       // and does not see the digit: the run is whole
    check("smollm", "ied| |4| |\xC2\xBD| months");
    check("smollm", "!|\xF0\x91\xB7\xA0|!"); // U+11DE0: a number only since Unicode 17
    check("gpt-2", "!\xF0\x91\xB7\xA0!");
    check("starcoder", "1|2");
}

static void names(void **state)
{
    (void)state;
    assert_null(sb_pretok_find((sb_str){"no-such", 7}));
    assert_null(sb_pretok_find((sb_str){NULL, 0}));
    assert_null(sb_pretok_find((sb_str){"smoll", 5}));
}

static void classes(void **state)
{
    (void)state;
    static const struct {
        uint64_t set;
        int n;
    } sets[] = {{SB_UC_SET_L, 141028},  {SB_UC_SET_N, 1911},     {SB_UC_SET_SPACE, 25},
                {SB_UC_SET_M, 2501},    {SB_UC_SET_P, 855},      {SB_UC_SET_S, 8514},
                {SB_UC_SET_HAN, 99030}, {SB_UC_SET_DIGIT, 1924}, {SB_UC_SET_BREAK, 2}};
    for (size_t i = 0; i < SB_ARRAY_LEN(sets); i++) {
        int n = 0;
        for (uint32_t cp = 0; cp < 0x110000; cp++)
            n += (sb_uc_bits(cp) & sets[i].set) != 0;
        if (n != sets[i].n) fail_msg("set %zu: %d", i, n);
    }
    assert_int_equal(sb_uc_class(0x1C5) & SB_UC_GC_MASK, SB_UC_LT);
    assert_int_equal(sb_uc_class(0x301) & SB_UC_GC_MASK, SB_UC_MN);
    assert_int_equal(sb_uc_class(0x2160) & SB_UC_GC_MASK, SB_UC_NL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpt2_rule), cmocka_unit_test(digits_first),
                                       cmocka_unit_test(names), cmocka_unit_test(classes)};
    return cmocka_run_group_tests_name("pretok", tests, NULL, NULL);
}
