/* SPDX-License-Identifier: Apache-2.0
 * tokenizer_fuzz.c - libFuzzer entry: text through a small vocabulary, and vocabularies from bytes.
 *
 * The first byte chooses the model, the mode and whether the input is text or a vocabulary. Of text
 * that is accepted, decoding what was encoded must give the text back. */
#include "base/alloc.h"
#include "tok_vocab.h"
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const sb_tokenizer *t, sb_str text, sb_tok_mode mode, bool lossless)
{
    sb_error err = {0};
    sb_ids ids;
    sb_buf back;
    sb_detok d = {0};
    sb_ids_init(&ids, 1 << 20);
    sb_buf_init(&back, 1 << 22, "text");
    sb_status s = sb_tokenizer_encode(t, text, mode, true, &ids, &err);
    for (size_t i = 0; s == SB_OK && i < ids.n; i++)
        s = sb_detok_push(&d, t, ids.v[i], true, &back, &err);
    if (s == SB_OK) s = sb_detok_finish(&d, false, &back, &err);
    const bool same = back.n == text.n && (text.n == 0 || !memcmp(back.p, text.p, text.n));
    if (s == SB_OK && lossless && !same) abort();
    sb_buf_deinit(&back);
    sb_ids_deinit(&ids);
}

/* A vocabulary cut out of the input at its line breaks; types and scores from the bytes too. */
static void fuzz_vocab(tv *v, const char *model, const uint8_t *p, size_t n)
{
    sb_tokenizer_desc d;
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    size_t from = 0;
    for (size_t i = 0; i < n && v->n_tok < TV_MAX - 1 && v->n_merges < TV_MAX - 1; i++) {
        if (p[i] != '\n' && i + 1 < n) continue;
        const int32_t id = tv_add_n(v, (const char *)p + from, i - from, p[from] % 8, (float)p[i]);
        if (p[from] & 0x40) v->merges[v->n_merges++] = v->tokens[--v->n_tok];
        (void)id;
        from = i + 1;
    }
    d = tv_desc(v, model);
    if (sb_tokenizer_new(&t, &d, &err) != SB_OK) return;
    check_text(t, (sb_str){(const char *)p, n}, SB_TOK_ALL, false);
    sb_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1) return 0;
    tv v = {0};
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    const bool spm = data[0] & 1;
    const char *model = spm ? "llama" : "gpt2";
    if (spm)
        tv_spm(&v);
    else
        tv_bpe(&v);
    if (data[0] & 2) {
        fuzz_vocab(&v, model, data + 1, n - 1);
    } else {
        sb_tokenizer_desc d = tv_desc(&v, model);
        d.add_space_prefix = 0;
        const sb_str text = {(const char *)data + 1, n - 1};
        const bool lossless = !spm || !memmem(text.p, text.n, "\xE2\x96\x81", 3);
        if (sb_tokenizer_new(&t, &d, &err) == SB_OK)
            check_text(t, text, data[0] & 4 ? SB_TOK_ALL : SB_TOK_CONTENT, lossless);
        sb_tokenizer_free(t);
    }
    tv_deinit(&v);
    return 0;
}
