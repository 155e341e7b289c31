/* SPDX-License-Identifier: Apache-2.0
 * tok_hostile_test.c - vocabularies and texts that mean harm: refused by name, or linear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "tok_vocab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static tv v;

static int teardown(void **state)
{
    (void)state;
    tv_deinit(&v);
    return 0;
}

/* d must be refused with this status, and the message must hold the word. */
static void refused(const sb_tokenizer_desc *d, sb_status status, const char *word)
{
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    assert_int_equal(sb_tokenizer_new(&t, d, &err), status);
    assert_null(t);
    if (!strstr(err.msg, word)) fail_msg("'%s' is not in: %s", word, err.msg);
}

static void accepted(const sb_tokenizer_desc *d)
{
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    if (sb_tokenizer_new(&t, d, &err) != SB_OK) fail_msg("%s", err.msg);
    sb_tokenizer_free(t);
}

static void counts_and_names(void **state)
{
    (void)state;
    tv_bpe(&v);
    sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    d.n_tok = 1;
    refused(&d, SB_CORRUPT, "1 tokens");
    d.n_tok = SB_MAX_VOCAB + 1;
    refused(&d, SB_CORRUPT, "4194305");
    d = tv_desc(&v, "gpt2");
    d.tokens = NULL;
    refused(&d, SB_CORRUPT, "tokens");
    d = tv_desc(&v, "");
    refused(&d, SB_CORRUPT, "tokenizer.ggml.model");
    d = tv_desc(&v, "bert");
    refused(&d, SB_UNSUPPORTED, "'bert'");
    d = tv_desc(&v, "gpt2");
    d.pre = (sb_str){"foo", 3};
    refused(&d, SB_UNSUPPORTED, "'foo'");
    refused(&d, SB_UNSUPPORTED, "'foo' is none of: gpt-2, llama-bpe, qwen2, deepseek-v3, gpt-4o,");
    refused(&d, SB_UNSUPPORTED, "tekken, qwen35 ...");
    d = tv_desc(&v, "gpt2");
    d.n_merges = (int64_t)SB_MAX_MERGES + 1;
    refused(&d, SB_LIMIT, "merges");
}

static void ids_scores_types(void **state)
{
    (void)state;
    tv_spm(&v);
    sb_tokenizer_desc d = tv_desc(&v, "llama");
    d.bos = v.n_tok;
    refused(&d, SB_CORRUPT, "bos");
    d.bos = -2;
    refused(&d, SB_CORRUPT, "bos");
    d = tv_desc(&v, "llama");
    d.pad = INT32_MAX;
    refused(&d, SB_CORRUPT, "padding");
    d = tv_desc(&v, "llama");
    d.scores = NULL;
    refused(&d, SB_CORRUPT, "scores");
    v.types[5] = 99;
    d = tv_desc(&v, "llama");
    refused(&d, SB_CORRUPT, "token 5 has type 99");
    v.types[5] = 0;
    refused(&d, SB_CORRUPT, "token 5 has type 0");
    v.types[5] = SB_TOK_BYTE;
    v.scores[9] = NAN;
    refused(&d, SB_CORRUPT, "token 9");
    v.scores[9] = INFINITY;
    refused(&d, SB_CORRUPT, "token 9");
}

static void byte_tokens(void **state)
{
    (void)state;
    static const char *const wrong[] = {"<0x-1>", "<0xZZ>", "<0x1", "<0x100>", "<0x>", "<0x4a>"};
    tv_spm(&v);
    const sb_str right = v.tokens[10];
    for (size_t i = 0; i < SB_ARRAY_LEN(wrong); i++) {
        v.tokens[10] = (sb_str){wrong[i], strlen(wrong[i])};
        const sb_tokenizer_desc d = tv_desc(&v, "llama");
        refused(&d, SB_CORRUPT, "token 10 is no valid byte token");
    }
    v.tokens[10] = v.tokens[11];
    sb_tokenizer_desc d = tv_desc(&v, "llama");
    refused(&d, SB_CORRUPT, "token 11 is a second equal byte token");
    v.tokens[10] = right; // tv owns it
    v.types[10] = SB_TOK_NORMAL;
    d = tv_desc(&v, "llama");
    refused(&d, SB_CORRUPT, "255 byte tokens");
    v.types[10] = SB_TOK_BYTE;
    accepted(&d);
}

static void merges(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "a", "ab", " a", "a ", " "};
    tv_bpe(&v);
    const sb_str right = v.merges[3];
    for (size_t i = 0; i < SB_ARRAY_LEN(wrong); i++) {
        v.merges[3] = (sb_str){wrong[i], strlen(wrong[i])};
        const sb_tokenizer_desc d = tv_desc(&v, "gpt2");
        refused(&d, SB_CORRUPT, "merge 3");
    }
    static const char *const idle[] = {"no such", "h e", "\xE2\x82\xAC a", "a \xC4", "<| im"};
    for (size_t i = 0; i < SB_ARRAY_LEN(idle); i++) {
        v.merges[3] = (sb_str){idle[i], strlen(idle[i])};
        const sb_tokenizer_desc d = tv_desc(&v, "gpt2");
        accepted(&d);
    }
    v.merges[3] = right;
}

static void odd_tokens(void **state)
{
    (void)state;
    tv_bpe(&v);
    const int32_t hello = tv_find(&v, "hello");
    const int32_t twice = tv_add(&v, "hello", SB_TOK_NORMAL, 0);
    const int32_t raw = tv_add_n(&v, "\xFF\xFE", 2, SB_TOK_NORMAL, 0);
    tv_add_n(&v, "h\xC3", 2, SB_TOK_CONTROL, 0);
    tv_add(&v, "<|im_end|>", SB_TOK_CONTROL, 0);
    sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_OK);
    assert_int_equal(sb_tokenizer_find(t, (sb_str){"hello", 5}), hello); // the first counts
    assert_int_equal(sb_tokenizer_piece(t, twice, false).n, 5);          // the other still prints
    assert_memory_equal(sb_tokenizer_piece(t, raw, false).p, "\xFF\xFE", 2);
    assert_int_equal(sb_tokenizer_find(t, (sb_str){"<|im_end|>", 10}), tv_find(&v, "<|im_end|>"));
    sb_ids ids; // a control token that is no UTF-8 cannot cut a character of the text in two
    sb_ids_init(&ids, 10);
    assert_int_equal(sb_tokenizer_encode(t, (sb_str){"h\xC3\xBC", 3}, SB_TOK_ALL, true, &ids, &err),
                     SB_OK);
    assert_int_equal(ids.n, 2);
    sb_ids_deinit(&ids);
    sb_tokenizer_free(t);
    const int32_t empty = tv_add(&v, "", SB_TOK_NORMAL, 0);
    d = tv_desc(&v, "gpt2");
    refused(&d, SB_CORRUPT, "is empty");
    v.tokens[empty].n = (size_t)SB_MAX_TOKEN_BYTES + 1; // refused by its length, before it is read
    refused(&d, SB_LIMIT, "65537 bytes");
    v.tokens[empty].n = 0;
    char long_marker[SB_MAX_ADDED_BYTES + 2];
    memset(long_marker, 'm', sizeof long_marker);
    const sb_str own = v.tokens[empty];
    v.tokens[empty] = (sb_str){long_marker, sizeof long_marker - 1};
    v.types[empty] = SB_TOK_CONTROL;
    refused(&d, SB_LIMIT, "added token");
    v.tokens[empty] = own;
}

static void text_that_is_no_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
        const char *byte;
    } bad[] = {{"ab\xC0\x80", 4, "byte 2 "},
               {"\xED\xA0\x80", 3, "byte 0 "},
               {"x\xF4\x90\x80\x80", 5, "byte 1 "},
               {"xyz\x85", 4, "byte 3 "},
               {"\xE2\x82", 2, "byte 0 "}};
    for (int k = 0; k < 2; k++) {
        sb_tokenizer *t = NULL;
        sb_error err = {0};
        if (k)
            tv_spm(&v);
        else
            tv_bpe(&v);
        const sb_tokenizer_desc d = tv_desc(&v, k ? "llama" : "gpt2");
        assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_OK);
        sb_ids ids;
        sb_ids_init(&ids, 100);
        assert_int_equal(sb_ids_add(&ids, 7, &err), SB_OK);
        for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
            const sb_str s = {bad[i].p, bad[i].n};
            assert_int_equal(sb_tokenizer_encode(t, s, SB_TOK_CONTENT, true, &ids, &err),
                             SB_INVALID);
            assert_non_null(strstr(err.msg, bad[i].byte));
            assert_int_equal(ids.n, 1);
        }
        const sb_str nul = {"a\0b", 3};
        assert_int_equal(sb_tokenizer_encode(t, nul, SB_TOK_CONTENT, false, &ids, &err), SB_OK);
        assert_true(ids.n >= 4);
        sb_ids_deinit(&ids);
        sb_tokenizer_free(t);
        tv_deinit(&v);
    }
}

static void ids_have_a_limit(void **state)
{
    (void)state;
    tv_bpe(&v);
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    const sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_OK);
    sb_ids ids;
    sb_ids_init(&ids, 3);
    assert_int_equal(sb_tokenizer_encode(t, (sb_str){"xyzzy", 5}, SB_TOK_CONTENT, true, &ids, &err),
                     SB_LIMIT);
    assert_int_equal(ids.n, 0);
    sb_ids_deinit(&ids);
    sb_tokenizer_free(t);
}

static void run_too_long(void **state)
{
    (void)state;
    tv_bpe(&v);
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    const sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_OK);
    const size_t n = (size_t)SB_MAX_PIECE_BYTES + 1;
    char *text = malloc(n);
    memset(text, 'x', n);
    sb_ids ids;
    sb_ids_init(&ids, 2 * n);
    assert_int_equal(sb_tokenizer_encode(t, (sb_str){text, n}, SB_TOK_ALL, true, &ids, &err),
                     SB_LIMIT);
    assert_int_equal(ids.n, 0);
    sb_ids_deinit(&ids);
    free(text);
    sb_tokenizer_free(t);
}

static void no_memory(void **state)
{
    (void)state;
    tv_bpe(&v);
    const sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    sb_alloc_forbid_begin();
    assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_NO_MEMORY);
    sb_alloc_forbid_end();
    assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_OK);
    sb_ids ids;
    sb_ids_init(&ids, 100);
    sb_alloc_forbid_begin();
    assert_int_equal(sb_tokenizer_encode(t, (sb_str){"hello", 5}, SB_TOK_ALL, true, &ids, &err),
                     SB_NO_MEMORY);
    sb_alloc_forbid_end();
    assert_int_equal(ids.n, 0);
    sb_ids_deinit(&ids);
    sb_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(counts_and_names, teardown),
                                       cmocka_unit_test_teardown(ids_scores_types, teardown),
                                       cmocka_unit_test_teardown(byte_tokens, teardown),
                                       cmocka_unit_test_teardown(merges, teardown),
                                       cmocka_unit_test_teardown(odd_tokens, teardown),
                                       cmocka_unit_test_teardown(text_that_is_no_utf8, teardown),
                                       cmocka_unit_test_teardown(ids_have_a_limit, teardown),

                                       cmocka_unit_test_teardown(run_too_long, teardown),
                                       cmocka_unit_test_teardown(no_memory, teardown)};
    return cmocka_run_group_tests_name("hostile vocabularies", tests, NULL, NULL);
}
