/* SPDX-License-Identifier: Apache-2.0
 * tok_models_test.c - what the name of a pre-tokenizer says, and what models do besides merging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tok_vocab.h"
#include "tokenizer/pretok.h"

#include <stdio.h>
#include <string.h>

static tv vocab;
static sb_tokenizer *tok;

static void build(const sb_tokenizer_desc *d)
{
    sb_error err = {0};
    sb_tokenizer_free(tok);
    tok = NULL;
    if (sb_tokenizer_new(&tok, d, &err) != SB_OK) fail_msg("%s", err.msg);
}

static sb_tokenizer_desc bpe_with(const char *pre)
{
    sb_tokenizer_desc d = tv_desc(&vocab, "gpt2");
    d.pre = (sb_str){pre, strlen(pre)};
    return d;
}

static int setup(void **state)
{
    (void)state;
    tv_bpe(&vocab);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_tokenizer_free(tok);
    tok = NULL;
    tv_deinit(&vocab);
    return 0;
}

static void show(const sb_ids *ids, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < ids->n; i++) {
        const sb_str s = sb_tokenizer_piece(tok, ids->v[i], true);
        at += (size_t)snprintf(out + at, n - at, "%s%.*s", i ? "|" : "", (int)s.n, s.p);
    }
}

static void check(const char *text, sb_tok_mode mode, const char *want)
{
    char got[1024];
    sb_error err = {0};
    sb_ids ids;
    sb_ids_init(&ids, 1000);
    const sb_str s = {text, strlen(text)};
    if (sb_tokenizer_encode(tok, s, mode, true, &ids, &err) != SB_OK) fail_msg("%s", err.msg);
    show(&ids, got, sizeof got);
    sb_ids_deinit(&ids);
    assert_string_equal(got, want);
}

/* Every row makes a tokenizer, and what it encodes decodes to itself. */
static void every_row(void **state)
{
    (void)state;
    static const char text[] = "hello wow 12345 <x> I'LL\r\n\r\n \xE4\xB8\xAD\xE3\x81\x82 \xCC\x81";
    const sb_pretok *pre;
    size_t n = 0;
    for (; (pre = sb_pretok_at(n)); n++) {
        assert_ptr_equal(sb_pretok_find((sb_str){pre->name, strlen(pre->name)}), pre); // no twin
        tv_deinit(&vocab);
        const bool chars = pre->flags & SB_PRE_CHARS;
        if (chars)
            tv_chars(&vocab);
        else
            tv_bpe(&vocab);
        sb_tokenizer_desc d = bpe_with(pre->name);
        d.bos = 3;
        d.unk = chars ? 3 : -1;
        build(&d);
        assert_null(sb_tokenizer_warning(tok));
        assert_int_equal(sb_tokenizer_add_bos(tok), (pre->flags & SB_PRE_BOS) != 0);
        sb_ids ids;
        sb_buf back;
        sb_detok detok = {0};
        sb_error err = {0};
        sb_ids_init(&ids, 1000);
        sb_buf_init(&back, 1000, "text");
        assert_int_equal(sb_tokenizer_encode(tok, (sb_str){text, sizeof text - 1}, SB_TOK_CONTENT,
                                             true, &ids, &err),
                         SB_OK);
        for (size_t i = 0; i < ids.n; i++)
            assert_int_equal(sb_detok_push(&detok, tok, ids.v[i], false, &back, &err), SB_OK);
        assert_string_equal(back.p, text);
        sb_buf_deinit(&back);
        sb_ids_deinit(&ids);
    }
    assert_true(n >= 70);
}

static void whole_pieces_stay(void **state)
{
    (void)state;
    tv_add(&vocab, "zap", SB_TOK_NORMAL, 0); // no merge makes it
    sb_tokenizer_desc d = bpe_with("llama-bpe");
    build(&d);
    check("zap", SB_TOK_CONTENT, "zap");
    check("zaps", SB_TOK_CONTENT, "z|a|p|s");
    check("1zap1", SB_TOK_CONTENT, "1|zap|1");
    d = bpe_with("qwen2");
    build(&d);
    check("zap", SB_TOK_CONTENT, "z|a|p");
    // a piece with the text of a control token is none
    d = bpe_with("llama-bpe");
    build(&d);
    check("<unk>", SB_TOK_CONTENT, "<|u|n|k|>");
}

static void bos_by_name_unless_said(void **state)
{
    (void)state;
    sb_tokenizer_desc d = bpe_with("tekken");
    d.bos = 5;
    build(&d);
    assert_true(sb_tokenizer_add_bos(tok));
    d.add_bos = 0;
    build(&d);
    assert_false(sb_tokenizer_add_bos(tok));
    d = bpe_with("qwen2");
    d.bos = 5;
    build(&d);
    assert_false(sb_tokenizer_add_bos(tok));
    d.add_bos = 1;
    build(&d);
    assert_true(sb_tokenizer_add_bos(tok));
}

static void text_is_composed_where_the_model_wants_it(void **state)
{
    (void)state;
    sb_tokenizer_desc d = bpe_with("qwen2");
    build(&d);
    check("u\xCC\x88", SB_TOK_CONTENT, "\xC3\xBC"); // the vocabulary has it as one
    check("<|im_end|>u\xCC\x88<|im_end|>", SB_TOK_ALL, "<|im_end|>|\xC3\xBC|<|im_end|>");
    // a mark behind an added token joins nothing
    check("<|im_end|>\xCC\x88", SB_TOK_ALL, "<|im_end|>|\xCC|\x88");
    // also across spans, and no marker comes of it
    const sb_tok_span spans[] = {{1, SB_TOK_LITERAL}, {2, SB_TOK_CONTENT}};
    sb_error err = {0};
    sb_ids ids;
    sb_ids_init(&ids, 10);
    assert_int_equal(
        sb_tokenizer_encode_spans(tok, (sb_str){"u\xCC\x88", 3}, spans, 2, true, &ids, &err),
        SB_OK);
    assert_int_equal(ids.n, 1);
    sb_ids_deinit(&ids);
    d = bpe_with("smollm");
    build(&d);
    check("u\xCC\x88", SB_TOK_CONTENT, "u|\xCC|\x88");
}

static void missing_name_is_default_and_said(void **state)
{
    (void)state;
    sb_tokenizer_desc d = bpe_with("");
    build(&d);
    assert_non_null(strstr(sb_tokenizer_warning(tok), "tokenizer.ggml.pre"));
    check("he!w 1234", SB_TOK_CONTENT, "he|!|w| |1|2|3|4");
    d = bpe_with("default");
    build(&d);
    assert_null(sb_tokenizer_warning(tok));
}

static void masks_take_the_space_before(void **state)
{
    (void)state;
    tv_add(&vocab, "[MASK]", SB_TOK_CONTROL, 0);
    sb_tokenizer_desc d = bpe_with("modern-bert");
    build(&d);
    check("he \t\xE3\x80\x80[MASK] he", SB_TOK_ALL, "he|[MASK]| |he");
    check(" [MASK]", SB_TOK_ALL, "[MASK]");
    d = bpe_with("gpt-2");
    build(&d);
    check("he [MASK]", SB_TOK_ALL, "he| |[MASK]");
}

static void added_tokens_take_the_space_behind(void **state)
{
    (void)state;
    tv_deinit(&vocab);
    tv_spm(&vocab);
    tv_add(&vocab, "<|user|>", SB_TOK_CONTROL, 0);
    sb_tokenizer_desc d = tv_desc(&vocab, "llama");
    d.rstrip_added = true;
    build(&d);
    check("<|user|> \n ab", SB_TOK_LITERAL, "<|user|>| |ab");
    check("<s> ab", SB_TOK_LITERAL, "<s>|  |ab"); // not this one
    check("<|user|> \n", SB_TOK_LITERAL, "<|user|>");
    check("ab <|user|>", SB_TOK_CONTENT, " |ab| |<|||u|s|e|r|||>");
    d.rstrip_added = false;
    build(&d);
    check("<|user|>\nab", SB_TOK_LITERAL, "<|user|>|\n| |ab");
}

static void gemma4_merges_characters_by_rank(void **state)
{
    (void)state;
    tv_deinit(&vocab);
    tv_chars(&vocab);
    sb_tokenizer_desc d = tv_desc(&vocab, "gemma4");
    d.bos = 2;
    d.unk = 3;
    build(&d);
    assert_true(sb_tokenizer_add_bos(tok));
    check("hello", SB_TOK_CONTENT, "hello"); // no space is put in front
    check("hello wow", SB_TOK_CONTENT, "hello| wo|w");
    check("    w", SB_TOK_CONTENT, "  | | w"); // " w" outranks two spaces
    check("     ", SB_TOK_CONTENT, "    | ");
    check("lo\n\n\nlo", SB_TOK_CONTENT, "lo|\n\n|\n|lo");
    check("\xE2\x96\x81wo", SB_TOK_CONTENT, " wo");
    check("\xC3\xBC\xC3\xB6", SB_TOK_CONTENT, "\xC3\xBC|\xC3|\xB6"); // one by bytes
    check("<|turn>he<turn|>", SB_TOK_CONTENT, "<|||t|u|r|n|>|he|<|t|u|r|n|||>");
    check("<|turn>he<turn|>", SB_TOK_LITERAL, "<|turn>|he|<turn|>");
    check("<|channel>", SB_TOK_CONTENT, "<|||c|h|a|n|n|e|l|>");
    assert_true(sb_tokenizer_is_end(tok, tv_find(&vocab, "<turn|>")));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(every_row),
                                       T(whole_pieces_stay),
                                       T(bos_by_name_unless_said),
                                       T(text_is_composed_where_the_model_wants_it),
                                       T(missing_name_is_default_and_said),
                                       T(masks_take_the_space_before),
                                       T(added_tokens_take_the_space_behind),
                                       T(gemma4_merges_characters_by_rank)};
    return cmocka_run_group_tests_name("tok_models", tests, NULL, NULL);
}
