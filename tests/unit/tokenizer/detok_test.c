/* SPDX-License-Identifier: Apache-2.0
 * detok_test.c - streaming decode: whole code points only, at every split; broken bytes;
 * prefixes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "tok_vocab.h"

#include <string.h>

static tv vocab;
static sb_tokenizer *tok;

static int setup(void **state)
{
    (void)state;
    sb_error err = {0};
    tv_bpe(&vocab);
    const sb_tokenizer_desc d = tv_desc(&vocab, "gpt2");
    return sb_tokenizer_new(&tok, &d, &err) == SB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sb_tokenizer_free(tok);
    tok = NULL;
    tv_deinit(&vocab);
    return 0;
}

/* Id of a single byte: where the alphabet's order puts it. */
static int32_t byte_id(unsigned char b)
{
    return b;
}

/* Decodes bytes one token each; after every push all that is out must be valid. */
static void check(const char *bytes, size_t n, bool drop, const char *want)
{
    sb_detok d = {0};
    sb_error err = {0};
    sb_buf out;
    sb_buf_init(&out, 1000, "text");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(
            sb_detok_push(&d, tok, byte_id((unsigned char)bytes[i]), false, &out, &err), SB_OK);
        assert_int_equal(sb_utf8_valid(out.p, out.n), out.n);
        assert_true(d.n_held <= 3);
    }
    assert_int_equal(sb_detok_finish(&d, drop, &out, &err), SB_OK);
    assert_int_equal(d.n_held, 0);
    assert_string_equal(out.p ? out.p : "", want);
    sb_buf_deinit(&out);
}

#define R "\xEF\xBF\xBD"

static void broken_bytes_become_replacements(void **state)
{
    (void)state;
    check("h\xC3\xBCh", 4, false, "h\xC3\xBCh");
    check("\x80", 1, false, R);
    check("\xFF"
          "a",
          2, false, R "a");
    check("\xE2\x82"
          "a",
          3, false, R "a"); // one start, one replacement
    check("\xE2\x82\xE2\x82\xAC", 5, false, R "\xE2\x82\xAC");
    check("\xC0\x80", 2, false, R R);             // overlong
    check("\xED\xA0\x80", 3, false, R R R);       // surrogate
    check("\xF4\x90\x80\x80", 4, false, R R R R); // above U+10FFFF
    check("\xF0\x9F\x98", 3, false, R);           // the end comes inside
    check("\xF0\x9F\x98", 3, true, "");
    check("a\xF0\x9F\x98\x80"
          "b\xF0\x9F",
          8, true,
          "a\xF0\x9F\x98\x80"
          "b");
}

/* Every way to cut a text into two tokens gives the same text, and never half a code point. */
static void every_split_point(void **state)
{
    (void)state;
    const char *text = "a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80z";
    const size_t n = strlen(text);
    for (size_t cut = 1; cut < n; cut++) {
        tv v = {0};
        sb_tokenizer *t = NULL;
        sb_error err = {0};
        sb_buf out;
        sb_buf_init(&out, 1000, "text");
        tv_add_alphabet(&v);
        // mislabelled tokens stand for their own bytes, which need not be UTF-8
        const int32_t a = tv_add_n(&v, text, cut, SB_TOK_USER, 0);
        const int32_t b = tv_add_n(&v, text + cut, n - cut, SB_TOK_USER, 0);
        const sb_tokenizer_desc desc = tv_desc(&v, "gpt2");
        assert_int_equal(sb_tokenizer_new(&t, &desc, &err), SB_OK);
        sb_detok d = {0};
        assert_int_equal(sb_detok_push(&d, t, a, false, &out, &err), SB_OK);
        assert_int_equal(out.n, sb_utf8_whole(text, cut));
        assert_int_equal(sb_detok_push(&d, t, b, false, &out, &err), SB_OK);
        assert_string_equal(out.p, text);
        sb_tokenizer_free(t);
        sb_buf_deinit(&out);
        tv_deinit(&v);
    }
}

static void control_prints_only_when_asked(void **state)
{
    (void)state;
    sb_error err = {0};
    sb_buf out;
    sb_buf_init(&out, 1000, "text");
    sb_detok d = {0};
    const int32_t id = tv_find(&vocab, "<|im_end|>");
    assert_int_equal(sb_detok_push(&d, tok, id, false, &out, &err), SB_OK);
    assert_int_equal(out.n, 0);
    assert_int_equal(sb_detok_push(&d, tok, id, true, &out, &err), SB_OK);
    assert_string_equal(out.p, "<|im_end|>");
    assert_int_equal(sb_tokenizer_piece(tok, id, false).n, 0);
    assert_int_equal(sb_tokenizer_piece(tok, -1, true).n, 0);
    assert_int_equal(sb_tokenizer_piece(tok, vocab.n_tok, true).n, 0);
    sb_buf_deinit(&out);
}

static void failure_changes_nothing(void **state)
{
    (void)state;
    sb_error err = {0};
    sb_buf out;
    sb_buf_init(&out, 3, "answer");
    sb_detok d = {0};
    assert_int_equal(sb_detok_push(&d, tok, byte_id(0xE2), false, &out, &err), SB_OK);
    const sb_detok before = d;
    assert_int_equal(sb_detok_push(&d, tok, tv_find(&vocab, "hello"), false, &out, &err), SB_LIMIT);
    assert_memory_equal(&d, &before, sizeof d);
    assert_int_equal(out.n, 0);
    assert_int_equal(sb_detok_push(&d, tok, byte_id(0x82), false, &out, &err), SB_OK);
    assert_int_equal(sb_detok_push(&d, tok, byte_id(0xAC), false, &out, &err), SB_OK);
    assert_string_equal(out.p, "\xE2\x82\xAC");
    sb_buf_deinit(&out);
}

/* A text's own prefix space goes, once; a text that goes on keeps its space. */
static void prefix_space_is_dropped_once(void **state)
{
    (void)state;
    tv v = {0};
    tv_spm(&v);
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    const sb_tokenizer_desc desc = tv_desc(&v, "llama");
    assert_int_equal(sb_tokenizer_new(&t, &desc, &err), SB_OK);
    const int32_t ids[] = {1, tv_find(&v, "\xE2\x96\x81hello"), tv_find(&v, "\xE2\x96\x81hello")};
    sb_buf out;
    sb_buf_init(&out, 1000, "text");
    sb_detok d = {0};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(sb_detok_push(&d, t, ids[i], false, &out, &err), SB_OK);
    assert_string_equal(out.p, "hello hello");
    sb_buf_clear(&out);
    d = (sb_detok){.started = true};
    assert_int_equal(sb_detok_push(&d, t, ids[1], false, &out, &err), SB_OK);
    assert_string_equal(out.p, " hello");
    sb_buf_deinit(&out);
    sb_tokenizer_free(t);
    tv_deinit(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(broken_bytes_become_replacements, setup, teardown),
        cmocka_unit_test(every_split_point),
        cmocka_unit_test_setup_teardown(control_prints_only_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(failure_changes_nothing, setup, teardown),
        cmocka_unit_test(prefix_space_is_dropped_once)};
    return cmocka_run_group_tests_name("detok", tests, NULL, NULL);
}
