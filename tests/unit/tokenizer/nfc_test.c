/* SPDX-License-Identifier: Apache-2.0
 * nfc_test.c - composing by hand-picked cases; splits.jsonl holds hundreds of the reference's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tokenizer/nfc.h"

#include <stdlib.h>
#include <string.h>

static void check(const char *text, const char *want)
{
    sb_nfc w = {0};
    sb_error err = {0};
    sb_str s = {text, strlen(text)};
    assert_int_equal(sb_nfc_compose(&w, &s, &err), SB_OK);
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
    sb_nfc_deinit(&w);
}

static void composed_text_is_not_copied(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "plain", "\xC3\xA9", "\xE1\xBB\x87", "\xEA\xB0\x81"};
    for (size_t i = 0; i < SB_ARRAY_LEN(texts); i++) {
        sb_nfc w = {0};
        sb_error err = {0};
        sb_str s = {texts[i], strlen(texts[i])};
        assert_int_equal(sb_nfc_compose(&w, &s, &err), SB_OK);
        assert_ptr_equal(s.p, texts[i]);
        assert_null(w.out);
        sb_nfc_deinit(&w);
    }
}

static void cases(void **state)
{
    (void)state;
    check("", "");
    check("plain", "plain");
    check("e\xCC\x81", "\xC3\xA9");
    check("xe\xCC\x81x", "x\xC3\xA9x");
    check("\xC3\xA9", "\xC3\xA9");
    check("\xCC\x81", "\xCC\x81");                      // a mark with nothing before it
    check("a\xCC\xA3\xCC\x87", "\xE1\xBA\xA1\xCC\x87"); // below first: it composes, the dot stays
    check("a\xCC\x87\xCC\xA3", "\xE1\xBA\xA1\xCC\x87"); // the same in the other order
    check("e\xCC\x81\xCC\x81", "\xC3\xA9\xCC\x81");     // the second one is blocked from nothing
    check("\xE2\x84\xAB", "\xC3\x85");                  // Angstrom sign
    check("\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC");  // U+0958 is never composed
    check("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"); // jamo to a syllable
    check("\xEA\xB0\x80\xE1\x86\xA8", "\xEA\xB0\x81");             // U+AC00 and a last consonant
    check("\xEA\xB0\x81\xE1\x86\xA8", "\xEA\xB0\x81\xE1\x86\xA8"); // it has one already
    check("\xCC\x81\xCC\xB4", "\xCC\xB4\xCC\x81");                 // by class, 1 before 230
    check("\xE1\xAB\x8B\xCC\xB4", "\xE1\xAB\x8B\xCC\xB4"); // newer than the reference's tables
    check("\xE1\xBB\x87", "\xE1\xBB\x87");                 // U+1EC7 stays, though it has parts
    check("\xE1\xBB\x87\xCC\x81", "\xE1\xBB\x87\xCC\x81");
}

/* CPU nanoseconds to compose n bytes of a and b, by turns. */
static uint64_t cost(const char *a, const char *b, size_t n)
{
    sb_nfc w = {0};
    sb_error err = {0};
    char *text = malloc(n);
    size_t at = 0;
    for (int i = 0; at + 4 <= n; i++) {
        const char *unit = i % 2 ? b : a;
        memcpy(text + at, unit, strlen(unit));
        at += strlen(unit);
    }
    sb_str s = {text, at};
    const uint64_t t0 = sb_thread_cpu_ns();
    assert_int_equal(sb_nfc_compose(&w, &s, &err), SB_OK);
    const uint64_t t = sb_thread_cpu_ns() - t0;
    assert_true(s.n > 0);
    sb_nfc_deinit(&w);
    free(text);
    return t;
}

/* Marks in the wrong order are what exchanging neighbours takes hours for. */
static void linear(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"\xCC\x81", "\xCC\xA3"},         // classes 230, 220
                                           {"\xCC\x81", "\xCC\x81"},         // one class
                                           {"e\xCC\x81", "\xE2\x84\xAB"},    // all change
                                           {"\xE0\xA5\x98", "\xE0\xA5\x98"}, // all grow
                                           {"\xE1\x84\x80", "\xE1\x85\xA1"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(pairs); i++) {
        const uint64_t t = cost(pairs[i][0], pairs[i][1], 1 << 20);
        if (t > UINT64_C(3000000000)) fail_msg("pair %zu: %llu ns", i, (unsigned long long)t);
    }
}

static void no_memory(void **state)
{
    (void)state;
    sb_nfc w = {0};
    sb_error err = {0};
    sb_str s = {"e\xCC\x81", 3};
    sb_alloc_forbid_begin();
    assert_int_equal(sb_nfc_compose(&w, &s, &err), SB_NO_MEMORY);
    sb_alloc_forbid_end();
    assert_int_equal(s.n, 3);
    assert_int_equal(sb_nfc_compose(&w, &s, &err), SB_OK);
    assert_int_equal(s.n, 2);
    sb_nfc_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases),
                                       cmocka_unit_test(composed_text_is_not_copied),
                                       cmocka_unit_test(linear), cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("nfc", tests, NULL, NULL);
}
