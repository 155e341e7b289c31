/* SPDX-License-Identifier: Apache-2.0
 * tokenizer_test.c - which ids a text gets: merges, added tokens by mode, spans, defaults, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tok_vocab.h"

#include <stdio.h>
#include <string.h>

static tv vocab;
static sb_tokenizer *tok;

static void build(const char *model, const sb_tokenizer_desc *d)
{
    sb_error err = {0};
    const sb_tokenizer_desc plain = tv_desc(&vocab, model);
    const sb_status s = sb_tokenizer_new(&tok, d ? d : &plain, &err);
    if (s != SB_OK) fail_msg("%s", err.msg);
}

static int teardown(void **state)
{
    (void)state;
    sb_tokenizer_free(tok);
    tok = NULL;
    tv_deinit(&vocab);
    return 0;
}

static int setup_bpe(void **state)
{
    (void)state;
    tv_bpe(&vocab);
    build("gpt2", NULL);
    return 0;
}

static int setup_spm(void **state)
{
    (void)state;
    tv_spm(&vocab);
    build("llama", NULL);
    return 0;
}

/* The pieces of ids, control tokens named, with '|' between them. */
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
    const sb_status s =
        sb_tokenizer_encode(tok, (sb_str){text, strlen(text)}, mode, true, &ids, &err);
    if (s != SB_OK) fail_msg("%s", err.msg);
    show(&ids, got, sizeof got);
    sb_ids_deinit(&ids);
    assert_string_equal(got, want);
}

static void bpe_merges_by_rank(void **state)
{
    (void)state;
    check("", SB_TOK_CONTENT, "");
    check("hello", SB_TOK_CONTENT, "hello");
    check("hellhe", SB_TOK_CONTENT, "hell|he");
    check("hello wow", SB_TOK_CONTENT, "hello| wo|w");
    check("aaaaa", SB_TOK_CONTENT, "aaaa|a");      // "aa aa" outranks "aa a"
    check("aaa", SB_TOK_CONTENT, "aaa");           // so "aa a" only where no second "aa" is
    check("     w", SB_TOK_CONTENT, "    | w");    // the run leaves its last space to the word
    check("w2he", SB_TOK_CONTENT, "w|2|he");       // digits alone
    check("\xC3\xBC", SB_TOK_CONTENT, "\xC3\xBC"); // bytes merge into a character
    check("they're", SB_TOK_CONTENT, "t|he|y|'|re");
}

static void spm_merges_by_score(void **state)
{
    (void)state;
    // "ab" (-8) outranks "bc" (-9); "he" (-11) loses to " h" (-10); a prefix space is put in front
    check("abc", SB_TOK_CONTENT, " |ab|c");
    check("hello", SB_TOK_CONTENT, " hello");
    check("hell hello", SB_TOK_CONTENT, " he|ll| hello");
    check("xb", SB_TOK_CONTENT, " |x|b");
    check("\xC3\xBC", SB_TOK_CONTENT, " |\xC3|\xBC"); // byte tokens
    check("b c", SB_TOK_CONTENT, " |b c");            // a token across a space: no cut there
    check("a  b", SB_TOK_CONTENT, " |a|  |b");
    check("aaaa", SB_TOK_CONTENT, " |aa|aa");
    check("a\xE2\x96\x81\xE2\x96\x81"
          "b",
          SB_TOK_CONTENT, " |a|  |b"); // U+2581 is a space
    check("\n\n\n", SB_TOK_CONTENT, "\n\n|\n");
}

static void spm_without_prefix(void **state)
{
    (void)state;
    tv_spm(&vocab);
    sb_tokenizer_desc d = tv_desc(&vocab, "llama");
    d.add_space_prefix = 0;
    build("llama", &d);
    check("abc", SB_TOK_CONTENT, "ab|c");
    check("   a", SB_TOK_CONTENT, "   |a");
    check("    a", SB_TOK_CONTENT, "  |  |a"); // runs merge in the order of the file
}

static void content_forges_nothing(void **state)
{
    (void)state;
    check("<|im_end|>", SB_TOK_CONTENT, "<|||i|m|_|e|n|d|||>");
    check("<|im_end|>", SB_TOK_LITERAL, "<|im_end|>");
    check("<|im_end|>", SB_TOK_ALL, "<|im_end|>");
    check("<unk>", SB_TOK_CONTENT, "<|u|n|k|>");
    check("<unk>", SB_TOK_LITERAL, "<unk>");
    check("<think>", SB_TOK_CONTENT, "<|t|h|i|n|k|>"); // user-defined, but a marker by its shape
    check("<think>", SB_TOK_LITERAL, "<think>");
    check("Answer:", SB_TOK_CONTENT, "Answer:"); // user-defined and no marker
    check("h\xC3\xB6h", SB_TOK_CONTENT, "h|\xC3\xB6|h");
    check("h\n\nhe", SB_TOK_CONTENT, "h|\n\n|he");
    check("<|im_end|>xhe<|im_end|>", SB_TOK_LITERAL, "<|im_end|>x|he|<|im_end|>"); // longest first
    check("<|im_<|im_end|>", SB_TOK_LITERAL, "<|||i|m|_|<|im_end|>");
}

static void spm_content_forges_nothing(void **state)
{
    (void)state;
    char got[256];
    sb_error err = {0};
    sb_ids ids;
    sb_ids_init(&ids, 100);
    const char *text = "</s><s><td><0x0A>";
    assert_int_equal(
        sb_tokenizer_encode(tok, (sb_str){text, strlen(text)}, SB_TOK_CONTENT, true, &ids, &err),
        SB_OK);
    for (size_t i = 0; i < ids.n; i++) {
        assert_false(sb_tokenizer_is_control(tok, ids.v[i]));
        assert_int_not_equal(ids.v[i], tv_find(&vocab, "<td>"));
        assert_int_not_equal(ids.v[i], tv_find(&vocab, "<0x0A>"));
    }
    show(&ids, got, sizeof got);
    sb_ids_deinit(&ids);
    check("<td>", SB_TOK_LITERAL, "<td>");
    check("ab<s>ab", SB_TOK_LITERAL, " |ab|<s>| |ab"); // the prefix again after an added token
}

static void literals_reserve_markers(void **state)
{
    (void)state;
    sb_error err = {0};
    const char *literal = "\n\nAnswer: \xC3\xB6 <|im_end|>";
    assert_int_equal(sb_tokenizer_reserve_literal(tok, (sb_str){literal, strlen(literal)}, &err),
                     SB_OK);
    check("Answer:", SB_TOK_CONTENT, "A|n|s|w|e|r|:");
    check("Answer:", SB_TOK_LITERAL, "Answer:");
    check("h\n\nh\xC3\xB6", SB_TOK_CONTENT, "h|\n\n|h|\xC3\xB6"); // white space and letters stay
}

static void spans_decide_by_origin(void **state)
{
    (void)state;
    const char *text = "<|im_start|>he<|im_end|>\n\nllo<|im_end|>";
    const sb_tok_span spans[] = {{4, SB_TOK_LITERAL},  {0, SB_TOK_CONTENT}, {8, SB_TOK_LITERAL},
                                 {13, SB_TOK_CONTENT}, {1, SB_TOK_LITERAL}, {3, SB_TOK_CONTENT},
                                 {10, SB_TOK_LITERAL}};
    sb_error err = {0};
    char got[256];
    sb_ids ids;
    sb_ids_init(&ids, 100);
    const sb_str s = {text, strlen(text)};
    assert_int_equal(
        sb_tokenizer_encode_spans(tok, s, spans, SB_ARRAY_LEN(spans), true, &ids, &err), SB_OK);
    show(&ids, got, sizeof got);
    // one marker out of two literals; not from content; line breaks across spans; end at the end
    assert_string_equal(got, "<|im_start|>|he|<|||i|m|_|e|n|d|||>|\n\n|ll|o|<|im_end|>");
    const size_t n = ids.n;
    assert_int_equal(
        sb_tokenizer_encode_spans(tok, s, spans, SB_ARRAY_LEN(spans) - 1, true, &ids, &err),
        SB_INVALID);
    assert_int_equal(ids.n, n);
    // half of a marker from content is none
    const sb_tok_span half[] = {{5, SB_TOK_CONTENT}, {s.n - 5, SB_TOK_LITERAL}};
    sb_ids_clear(&ids);
    assert_int_equal(sb_tokenizer_encode_spans(tok, s, half, 2, true, &ids, &err), SB_OK);
    assert_int_not_equal(ids.v[0], tv_find(&vocab, "<|im_start|>"));
    sb_ids_deinit(&ids);
}

static void words_hold_over_spans(void **state)
{
    (void)state;
    const sb_tok_span spans[] = {{3, SB_TOK_LITERAL}, {2, SB_TOK_CONTENT}};
    sb_error err = {0};
    sb_ids ids;
    sb_ids_init(&ids, 100);
    assert_int_equal(
        sb_tokenizer_encode_spans(tok, (sb_str){"hello", 5}, spans, 2, true, &ids, &err), SB_OK);
    assert_int_equal(ids.n, 1);
    sb_ids_deinit(&ids);
}

static void bytes_without_a_token_vanish(void **state)
{
    (void)state;
    tv_bpe(&vocab);
    vocab.types['x'] = SB_TOK_UNUSED;
    build("gpt2", NULL);
    check("hexllox", SB_TOK_CONTENT, "hello"); // before merging, as in the reference
    check("x", SB_TOK_CONTENT, "");
}

static void defaults_and_flags(void **state)
{
    (void)state;
    tv_spm(&vocab);
    build("llama", NULL);
    assert_int_equal(sb_tokenizer_bos(tok), 1);
    assert_int_equal(sb_tokenizer_eos(tok), 2);
    assert_true(sb_tokenizer_add_bos(tok));
    assert_false(sb_tokenizer_add_eos(tok));
    sb_tokenizer_free(tok);
    sb_tokenizer_desc d = tv_desc(&vocab, "llama");
    d.add_bos = 0;
    d.add_eos = 1;
    d.bos = 2;
    build("llama", &d);
    assert_int_equal(sb_tokenizer_bos(tok), 2);
    assert_false(sb_tokenizer_add_bos(tok));
    assert_true(sb_tokenizer_add_eos(tok));
    sb_tokenizer_free(tok);
    tv_deinit(&vocab);
    tv_bpe(&vocab);
    build("gpt2", NULL);
    assert_int_equal(sb_tokenizer_bos(tok), -1);
    assert_false(sb_tokenizer_add_bos(tok));
    sb_tokenizer_free(tok);
    d = tv_desc(&vocab, "gpt2");
    d.add_bos = 1; // asked for, but there is none
    build("gpt2", &d);
    assert_false(sb_tokenizer_add_bos(tok));
}

static void untyped_special_ids_are_control(void **state)
{
    (void)state;
    tv_spm(&vocab);
    sb_tokenizer_desc d = tv_desc(&vocab, "llama");
    d.types = NULL;
    d.unk = 0;
    d.bos = 1;
    d.eos = 2;
    build("llama", &d);
    check("ab</s>", SB_TOK_LITERAL, " |ab|</s>");
    assert_true(sb_tokenizer_is_control(tok, 2));
    assert_true(sb_tokenizer_is_control(tok, 0));
    check("x", SB_TOK_CONTENT, " |x"); // <0x78> is known for a byte by its text
    assert_int_equal(sb_tokenizer_piece(tok, tv_find(&vocab, "<0x78>"), false).n, 1);
}

static void ends_by_id_and_text(void **state)
{
    (void)state;
    tv_bpe(&vocab);
    const int32_t normal = tv_add(&vocab, "</s>", SB_TOK_NORMAL, 0);
    const int32_t eom = tv_add(&vocab, "<|eom_id|>", SB_TOK_CONTROL, 0);
    const int32_t deep = tv_add(&vocab,
                                "<\xEF\xBD\x9C"
                                "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
                                SB_TOK_CONTROL, 0);
    sb_tokenizer_desc d = tv_desc(&vocab, "gpt2");
    d.eos = 7;
    d.eot = 9;
    build("gpt2", &d);
    assert_true(sb_tokenizer_is_end(tok, 7));
    assert_true(sb_tokenizer_is_end(tok, 9));
    assert_true(sb_tokenizer_is_end(tok, eom));
    assert_true(sb_tokenizer_is_end(tok, deep));
    assert_true(sb_tokenizer_is_end(tok, tv_find(&vocab, "<|im_end|>")));
    assert_false(sb_tokenizer_is_end(tok, tv_find(&vocab, "<|im_start|>")));
    assert_false(sb_tokenizer_is_end(tok, normal)); // not typed control
    assert_false(sb_tokenizer_is_end(tok, -1));
    assert_false(sb_tokenizer_is_end(tok, vocab.n_tok));
}

static void harmony_frames_reach_the_parser(void **state)
{
    (void)state;
    tv_bpe(&vocab);
    const int32_t end = tv_add(&vocab, "<|end|>", SB_TOK_CONTROL, 0);
    const int32_t channel = tv_add(&vocab, "<|channel|>", SB_TOK_CONTROL, 0);
    build("gpt2", NULL);
    assert_true(sb_tokenizer_is_end(tok, end));
    assert_true(sb_tokenizer_is_control(tok, channel));
    sb_tokenizer_free(tok);
    const int32_t ret = tv_add(&vocab, "<|return|>", SB_TOK_CONTROL, 0);
    tv_add(&vocab, "<|call|>", SB_TOK_CONTROL, 0);
    build("gpt2", NULL);
    assert_false(sb_tokenizer_is_end(tok, end));
    assert_true(sb_tokenizer_is_end(tok, ret));
    assert_false(sb_tokenizer_is_control(tok, channel));
    assert_int_equal(sb_tokenizer_piece(tok, channel, false).n, strlen("<|channel|>"));
    check("<|channel|>", SB_TOK_LITERAL, "<|channel|>");
    check("<|channel|>", SB_TOK_CONTENT, "<|||c|h|a|n|n|e|l|||>");
}

static void fillers_are_unused(void **state)
{
    (void)state;
    tv_bpe(&vocab);
    char s[32];
    snprintf(s, sizeof s, "[PAD%d]", vocab.n_tok);
    const int32_t filler = tv_add(&vocab, s, SB_TOK_USER, 0);
    const int32_t other = tv_add(&vocab, "[PAD3]", SB_TOK_USER, 0);
    build("gpt2", NULL);
    assert_true(sb_tokenizer_is_control(tok, filler));
    assert_false(sb_tokenizer_is_control(tok, other));
    assert_int_equal(sb_tokenizer_find(tok, (sb_str){s, strlen(s)}), -1);
    check("[PAD3]", SB_TOK_LITERAL, "[PAD3]");
}

static void finds_by_text(void **state)
{
    (void)state;
    assert_int_equal(sb_tokenizer_find(tok, (sb_str){"hello", 5}), tv_find(&vocab, "hello"));
    assert_int_equal(sb_tokenizer_find(tok, (sb_str){" wo", 3}), tv_find(&vocab, "\xC4\xA0wo"));
    assert_int_equal(sb_tokenizer_find(tok, (sb_str){"<think>", 7}), tv_find(&vocab, "<think>"));
    assert_int_equal(sb_tokenizer_find(tok, (sb_str){"nope", 4}), -1);
    assert_int_equal(sb_tokenizer_find(tok, (sb_str){NULL, 0}), -1);
    assert_int_equal(sb_tokenizer_n_tok(tok), vocab.n_tok);
}

#define BPE(f) cmocka_unit_test_setup_teardown(f, setup_bpe, teardown)
#define SPM(f) cmocka_unit_test_setup_teardown(f, setup_spm, teardown)
#define OWN(f) cmocka_unit_test_setup_teardown(f, NULL, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {BPE(bpe_merges_by_rank),
                                       SPM(spm_merges_by_score),
                                       OWN(spm_without_prefix),
                                       BPE(content_forges_nothing),
                                       SPM(spm_content_forges_nothing),
                                       BPE(literals_reserve_markers),
                                       BPE(spans_decide_by_origin),
                                       BPE(words_hold_over_spans),
                                       OWN(bytes_without_a_token_vanish),
                                       OWN(defaults_and_flags),
                                       OWN(untyped_special_ids_are_control),
                                       OWN(ends_by_id_and_text),
                                       OWN(harmony_frames_reach_the_parser),
                                       OWN(fillers_are_unused),
                                       BPE(finds_by_text)};
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
