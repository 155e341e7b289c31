/* SPDX-License-Identifier: Apache-2.0
 * tok_linear_test.c - no text is slow: a megabyte of one class, and of what splits find hardest,
 * takes at most a second with every pre-tokenizer (CPU time, so that neighbours do not count), and
 * of four times the text about four times as many characters are looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tok_vocab.h"
#include "tokenizer/pretok.h"

#include <stdlib.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
enum { MB = 1 << 18, MOST_MS = 10000 }; // checked for faults, not for speed
#else
enum { MB = 1 << 20, MOST_MS = 1000 };
#endif

enum { N_CLASSES = 7, N_HARD = 13 };

/* A text of n bytes: unit over and over, and `last` at its end. */
typedef struct text_kind {
    const char *unit, *last;
} text_kind;

static const text_kind kinds[] = {
    {"x", ""},
    {" ", ""},
    {"\n", ""},
    {"7", ""},
    {"\xE4\xB8\xAD", ""},                 // CJK
    {"\xCC\x81", ""},                     // combining marks
    {"\xF0\x9F\x91\xA9\xE2\x80\x8D", ""}, // emoji joined to the next
    {" ", "x"},                           // white space that does not end the text
    {" ", "\xE4\xB8\xAD"},                //
    {"\n ", "x"},                         //
    {"A", ""},                            // capitals that no small letter follows
    {"\xC2\xAA"                           // a letter without case, then capitals
     "AA",
     "!"}, //
    {"\xCC\x81"
     "A",
     ""},                             // marks that may stand before a word, or in it
    {"'", "s"},                       //
    {"\x01", "x"},                    // what no alternative takes
    {"!/", "\r\n"},                   //
    {"\xC3\xA9", " "},                //
    {"1a", ""},                       //
    {"\xE3\x80\x80", "\xE3\x80\x81"}, // white space that is punctuation, too
    {"\xCC\x81\xCC\xA3", "a"},        // marks out of order
    {"a", ""},                        // what merges
    {"hell", ""},                     //
    {"h e", ""},                      //
    {"<|im_", ""},                    // nearly a marker
    {"\t ", ""},                      //
};

static size_t fill(char *text, size_t n, const text_kind *k)
{
    const size_t unit = strlen(k->unit), last = strlen(k->last);
    size_t at = 0;
    for (; at + unit + last <= n; at += unit)
        memcpy(text + at, k->unit, unit);
    memcpy(text + at, k->last, last);
    return at + last;
}

static uint64_t n_looks; /* characters that were looked at, however often */
uint8_t __real_sb_uc_class(uint32_t cp);
uint8_t __wrap_sb_uc_class(uint32_t cp);

uint8_t __wrap_sb_uc_class(uint32_t cp) // see meson.build
{
    n_looks++;
    return __real_sb_uc_class(cp);
}

static void walk(const sb_pretok *pre, const char *text, size_t n)
{
    sb_pretok_walk w;
    sb_str piece;
    size_t sum = 0;
    sb_pretok_begin(&w, pre, (sb_str){text, n});
    while (sb_pretok_next(&w, &piece))
        sum += piece.n;
    assert_int_equal(sum, n);
}

/* Looks needed for n bytes of a kind. */
static uint64_t looks(const sb_pretok *pre, char *text, size_t n, const text_kind *k)
{
    n_looks = 0;
    walk(pre, text, fill(text, n, k));
    return n_looks;
}

static void every_split(void **state)
{
    (void)state;
    char *text = malloc(MB);
    const sb_pretok *pre, *before = NULL;
    for (size_t i = 0; (pre = sb_pretok_at(i)); before = pre, i++) {
        if (before && !memcmp(before->rules, pre->rules, sizeof pre->rules)) continue;
        for (size_t k = 0; k < SB_ARRAY_LEN(kinds); k++) {
            const uint64_t few = looks(pre, text, MB / 32, &kinds[k]);
            const uint64_t more = looks(pre, text, MB / 8, &kinds[k]);
            if (more > few * 9 / 2 + 100 || more > MB / 8 * 16)
                fail_msg("%s, text %zu: %llu looks, then %llu", pre->name, k,
                         (unsigned long long)few, (unsigned long long)more);
        }
        for (size_t k = 0; k < N_CLASSES; k++) {
            const size_t n = fill(text, MB, &kinds[k]);
            const uint64_t t0 = sb_thread_cpu_ns();
            walk(pre, text, n);
            const uint64_t ns = sb_thread_cpu_ns() - t0;
            if (ns > (uint64_t)MOST_MS * 1000000)
                fail_msg("%s, text %zu: %llu ns", pre->name, k, (unsigned long long)ns);
        }
    }
    free(text);
}

static void encode_all(const sb_tokenizer_desc *d)
{
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    char *text = malloc(MB);
    assert_int_equal(sb_tokenizer_new(&t, d, &err), SB_OK);
    for (size_t k = 0; k < SB_ARRAY_LEN(kinds); k++) {
        if (k >= N_CLASSES && k < N_CLASSES + N_HARD) continue; // splits only
        const sb_str s = {text, fill(text, MB, &kinds[k])};
        sb_ids ids;
        sb_ids_init(&ids, 2 * MB);
        const uint64_t t0 = sb_thread_cpu_ns();
        assert_int_equal(sb_tokenizer_encode(t, s, SB_TOK_ALL, true, &ids, &err), SB_OK);
        const uint64_t ns = sb_thread_cpu_ns() - t0;
        if (ns > (uint64_t)MOST_MS * 1000000)
            fail_msg("text %zu: %llu ns", k, (unsigned long long)ns);
        sb_ids_deinit(&ids);
    }
    free(text);
    sb_tokenizer_free(t);
}

/* To ids: merges, composing, characters and scores on top of the split. */
static void every_model(void **state)
{
    (void)state;
    static tv v;
    tv_bpe(&v);
    sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    encode_all(&d);
    d.pre = (sb_str){"qwen2", 5};
    encode_all(&d);
    d.pre = (sb_str){"llama-bpe", 9};
    encode_all(&d);
    tv_deinit(&v);
    tv_spm(&v);
    d = tv_desc(&v, "llama");
    encode_all(&d);
    tv_deinit(&v);
    tv_chars(&v);
    d = tv_desc(&v, "gemma4");
    encode_all(&d);
    tv_deinit(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_split),
                                       cmocka_unit_test(every_model)};
    return cmocka_run_group_tests_name("tok_linear", tests, NULL, NULL);
}
