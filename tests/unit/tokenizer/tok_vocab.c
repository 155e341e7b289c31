/* SPDX-License-Identifier: Apache-2.0
 * tok_vocab.c - small vocabularies made by hand. */
#include "tok_vocab.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sb_str copy(const char *p, size_t n)
{
    char *q = malloc(n + 1);
    assert(q);
    if (n) memcpy(q, p, n);
    q[n] = 0;
    return (sb_str){q, n};
}

int32_t tv_add_n(tv *v, const char *p, size_t n, int32_t type, float score)
{
    assert(v->n_tok < TV_MAX);
    v->tokens[v->n_tok] = copy(p, n);
    v->types[v->n_tok] = type;
    v->scores[v->n_tok] = score;
    return v->n_tok++;
}

int32_t tv_add(tv *v, const char *text, int32_t type, float score)
{
    return tv_add_n(v, text, strlen(text), type, score);
}

int32_t tv_find(const tv *v, const char *text)
{
    for (int32_t i = 0; i < v->n_tok; i++)
        if (v->tokens[i].n == strlen(text) && !memcmp(v->tokens[i].p, text, v->tokens[i].n))
            return i;
    return -1;
}

void tv_add_alphabet(tv *v)
{
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; b++) {
        const bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        char c[4];
        tv_add_n(v, c, sb_utf8_encode(plain ? b : next++, c), SB_TOK_NORMAL, 0);
    }
}

void tv_add_byte_tokens(tv *v)
{
    for (int b = 0; b < 256; b++) {
        char s[8];
        snprintf(s, sizeof s, "<0x%02X>", b);
        tv_add(v, s, SB_TOK_BYTE, 0);
    }
}

int32_t tv_merge(tv *v, const char *left, const char *right)
{
    char s[256];
    assert(v->n_merges < TV_MAX);
    snprintf(s, sizeof s, "%s%s", left, right);
    if (tv_find(v, s) < 0) tv_add(v, s, SB_TOK_NORMAL, 0);
    snprintf(s, sizeof s, "%s %s", left, right);
    v->merges[v->n_merges] = copy(s, strlen(s));
    return v->n_merges++;
}

void tv_deinit(tv *v)
{
    for (int32_t i = 0; i < v->n_tok; i++)
        free((void *)(uintptr_t)v->tokens[i].p);
    for (int32_t i = 0; i < v->n_merges; i++)
        free((void *)(uintptr_t)v->merges[i].p);
    *v = (tv){0};
}

sb_tokenizer_desc tv_desc(const tv *v, const char *model)
{
    return (sb_tokenizer_desc){.model = {model, strlen(model)},
                               .pre = {"smollm", 6},
                               .n_tok = v->n_tok,
                               .tokens = v->tokens,
                               .scores = v->scores,
                               .types = v->types,
                               .n_merges = v->n_merges,
                               .merges = v->merges,
                               .bos = -1,
                               .eos = -1,
                               .unk = -1,
                               .pad = -1,
                               .eot = -1,
                               .add_bos = -1,
                               .add_eos = -1,
                               .add_space_prefix = -1};
}

#define G "\xC4\xA0" // the alphabet's space, U+0120

void tv_bpe(tv *v)
{
    static const char *const merges[][2] = {
        {"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {G, "w"},    {G "w", "o"},
        {G, G},     {G G, G G}, {"a", "a"},   {"aa", "aa"},  {"aa", "a"}, {"\xC3\x83", "\xC2\xBC"},
        {"r", "e"}};
    tv_add_alphabet(v);
    for (size_t i = 0; i < SB_ARRAY_LEN(merges); i++)
        tv_merge(v, merges[i][0], merges[i][1]);
    tv_add(v, "<|im_start|>", SB_TOK_CONTROL, 0);
    tv_add(v, "<|im_end|>", SB_TOK_CONTROL, 0);
    tv_add(v, "<|im_end|>x", SB_TOK_CONTROL, 0);
    tv_add(v, "<unk>", SB_TOK_UNKNOWN, 0);
    tv_add(v, "<think>", SB_TOK_USER, 0);
    tv_add(v, "Answer:", SB_TOK_USER, 0);
    tv_add(v, "\n\n", SB_TOK_USER, 0);
    tv_add(v, "\xC3\xB6", SB_TOK_USER, 0); // o with diaeresis
}

#define S "\xE2\x96\x81" // U+2581

void tv_spm(tv *v)
{
    static const char *const words[] = {"a",    "b",       "c",  "h",   "e",   "l",       "o",
                                        S,      "ab",      "bc", S "h", "he",  "ll",      "llo",
                                        S "he", S "hello", "lo", "aa",  "aaa", "b" S "c", S "c"};
    tv_add(v, "<unk>", SB_TOK_UNKNOWN, 0);
    tv_add(v, "<s>", SB_TOK_CONTROL, 0);
    tv_add(v, "</s>", SB_TOK_CONTROL, 0);
    tv_add_byte_tokens(v);
    for (size_t i = 0; i < SB_ARRAY_LEN(words); i++)
        tv_add(v, words[i], SB_TOK_NORMAL, i < 8 ? -100 : -(float)i);
    tv_add(v, "  ", SB_TOK_USER, -1000); // as spaces, or as U+2581: both are runs of spaces
    tv_add(v, S S S, SB_TOK_USER, -1000);
    tv_add(v, "\n", SB_TOK_USER, -1000);
    tv_add(v, "\n\n", SB_TOK_USER, -1000);
    tv_add(v, "<td>", SB_TOK_USER, -1000);
}

void tv_chars(tv *v)
{
    static const char *const chars[] = {"h", "e", "l", "o", "w", "a", S, "\n", "\xC3\xBC"};
    static const char *const merges[][2] = {{"l", "l"}, {"h", "e"},   {"he", "ll"}, {"hell", "o"},
                                            {S, "w"},   {S, S},       {S S, S S},   {"\n", "\n"},
                                            {"a", "a"}, {S "w", "o"}, {"l", "o"}};
    tv_add(v, "<pad>", SB_TOK_CONTROL, 0);
    tv_add(v, "<eos>", SB_TOK_CONTROL, 0);
    tv_add(v, "<bos>", SB_TOK_CONTROL, 0);
    tv_add(v, "<unk>", SB_TOK_CONTROL, 0);
    tv_add_byte_tokens(v);
    for (size_t i = 0; i < SB_ARRAY_LEN(chars); i++)
        tv_add(v, chars[i], SB_TOK_NORMAL, 0);
    for (size_t i = 0; i < SB_ARRAY_LEN(merges); i++)
        tv_merge(v, merges[i][0], merges[i][1]);
    tv_add(v, "<|turn>", SB_TOK_CONTROL, 0);
    tv_add(v, "<turn|>", SB_TOK_CONTROL, 0);
    tv_add(v, "<|channel>", SB_TOK_USER, 0);
}
