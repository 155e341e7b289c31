/* SPDX-License-Identifier: Apache-2.0
 * tokenizer_fuzz.c - libFuzzer entry: text through small vocabularies with every pre-tokenizer, and
 * vocabularies from bytes.
 *
 * Four bytes choose: the kind of model and the mode; the row of pretok.def; how the text is cut
 * into spans; what else the file says. The rest is text, or a vocabulary. What must hold: pieces
 * cover the text; composing twice is composing once; content gives no control token and no marker;
 * spans of one mode are the text of that mode; and text that nothing rewrites decodes to itself. */
#include "base/alloc.h"
#include "base/utf8.h"
#include "tok_vocab.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pretok.h"
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { HEAD = 4, MAX_SPANS = 16 };

static void must(bool holds)
{
    if (!holds) abort();
}

static bool equal(sb_str a, const char *p, size_t n)
{
    return a.n == n && (n == 0 || !memcmp(a.p, p, n));
}

/* Composes twice; true when the text was composed already. */
static bool check_nfc(sb_str text)
{
    sb_nfc once = {0}, twice = {0};
    sb_error err = {0};
    sb_str a = text;
    must(sb_nfc_compose(&once, &a, &err) == SB_OK);
    must(sb_utf8_valid(a.p, a.n) == a.n);
    sb_str b = a;
    must(sb_nfc_compose(&twice, &b, &err) == SB_OK);
    must(equal(a, b.p, b.n));
    const bool same = equal(text, a.p, a.n);
    sb_nfc_deinit(&twice);
    sb_nfc_deinit(&once);
    return same;
}

static void check_split(const sb_pretok *pre, sb_str text)
{
    sb_pretok_walk walk;
    sb_str piece;
    size_t at = 0;
    sb_pretok_begin(&walk, pre, text);
    while (sb_pretok_next(&walk, &piece)) {
        must(piece.n > 0 && piece.p == text.p + at);
        must(sb_utf8_valid(piece.p, piece.n) == piece.n);
        at += piece.n;
    }
    must(at == text.n);
}

static sb_status decode(const sb_tokenizer *t, const sb_ids *ids, sb_buf *out)
{
    sb_error err = {0};
    sb_detok d = {0};
    for (size_t i = 0; i < ids->n; i++)
        SB_TRY(sb_detok_push(&d, t, ids->v[i], true, out, &err));
    return sb_detok_finish(&d, false, out, &err);
}

static void check_text(const sb_tokenizer *t, sb_str text, sb_tok_mode mode, bool lossless)
{
    sb_error err = {0};
    sb_ids ids;
    sb_buf back;
    sb_ids_init(&ids, 1 << 20);
    sb_buf_init(&back, 1 << 22, "text");
    sb_status s = sb_tokenizer_encode(t, text, mode, true, &ids, &err);
    if (s == SB_OK) s = decode(t, &ids, &back);
    if (s == SB_OK && lossless) must(equal(text, back.p, back.n));
    for (size_t i = 0; s == SB_OK && mode == SB_TOK_CONTENT && i < ids.n; i++) {
        const sb_str name = sb_tokenizer_piece(t, ids.v[i], true);
        must(!sb_tokenizer_is_control(t, ids.v[i]));
        must(name.n < 4 || name.p[0] != '<' || name.p[name.n - 1] != '>');
    }
    sb_buf_deinit(&back);
    sb_ids_deinit(&ids);
}

/* Cuts the text into spans by the bits of how; a text of one mode is that text. */
static void check_spans(const sb_tokenizer *t, sb_str text, uint8_t how)
{
    sb_tok_span spans[MAX_SPANS];
    const sb_tok_mode one = how & 1 ? SB_TOK_LITERAL : SB_TOK_CONTENT;
    const bool mixed = how & 2;
    size_t n_spans = 0;
    for (size_t left = text.n; left > 0; n_spans++) {
        size_t n = ((size_t)how >> 2) + n_spans;
        if (n > left || n_spans + 1 == MAX_SPANS) n = left;
        spans[n_spans] = (sb_tok_span){n, mixed && n_spans % 2 ? SB_TOK_CONTENT : one};
        left -= n;
    }
    sb_ids a, b;
    sb_error err = {0};
    sb_ids_init(&a, 1 << 20);
    sb_ids_init(&b, 1 << 20);
    const sb_status s = sb_tokenizer_encode_spans(t, text, spans, n_spans, true, &a, &err);
    must(s == sb_tokenizer_encode(t, text, one, true, &b, &err));
    if (s == SB_OK && !mixed)
        must(a.n == b.n && (a.n == 0 || !memcmp(a.v, b.v, a.n * sizeof *a.v)));
    sb_ids_deinit(&a);
    sb_ids_deinit(&b);
}

/* A vocabulary cut out of the input at its line breaks; types and scores from the bytes too. */
static void fuzz_vocab(tv *v, const char *model, const sb_pretok *pre, const uint8_t *p, size_t n)
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
    d.pre = (sb_str){pre->name, strlen(pre->name)};
    if (sb_tokenizer_new(&t, &d, &err) != SB_OK) return;
    check_text(t, (sb_str){(const char *)p, n}, SB_TOK_ALL, false);
    sb_tokenizer_free(t);
}

static void fuzz_text(const tv *v, const char *model, const sb_pretok *pre, const uint8_t *head,
                      sb_str text)
{
    static const sb_str literals[] = {{"Answer:", 7}, {"<think>\n\n<|im_end|>", 19}};
    sb_tokenizer *t = NULL;
    sb_error err = {0};
    const bool chars = strcmp(model, "gpt2") != 0;
    sb_tokenizer_desc d = tv_desc(v, model);
    d.pre = (sb_str){pre->name, strlen(pre->name)};
    d.unk = chars ? 0 : -1;
    d.add_space_prefix = head[3] & 1;
    d.rstrip_added = head[3] & 2;
    d.n_tok -= !(head[3] & 4); // [MASK] is the last
    if (sb_tokenizer_new(&t, &d, &err) != SB_OK) return;
    for (size_t i = 0; i < 2; i++)
        if (head[3] & 8 << i) must(sb_tokenizer_reserve_literal(t, literals[i], &err) == SB_OK);
    const bool valid = sb_utf8_valid(text.p, text.n) == text.n;
    const bool composed = !valid || check_nfc(text);
    if (valid) check_split(pre, text);
    const bool strips = d.rstrip_added || (head[3] & 4);
    const bool marks = chars && memmem(text.p, text.n, "\xE2\x96\x81", 3);
    const bool rewritten = !chars && (pre->flags & SB_PRE_NFC) && !composed;
    const sb_tok_mode mode = (head[0] >> 3) % 3 == 0   ? SB_TOK_CONTENT
                             : (head[0] >> 3) % 3 == 1 ? SB_TOK_LITERAL
                                                       : SB_TOK_ALL;
    const bool prefixed = d.add_space_prefix && !strcmp(model, "llama"); // behind each added token
    const bool misfit =
        !chars && (pre->flags & SB_PRE_CHARS); // such a vocabulary has no such tokens
    check_text(t, text, mode, !strips && !marks && !rewritten && !prefixed && !misfit);
    check_spans(t, text, head[2]);
    sb_tokenizer_free(t);
}

static void make(tv *v, int kind)
{
    if (kind == 1)
        tv_spm(v);
    else if (kind == 2)
        tv_chars(v);
    else
        tv_bpe(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < HEAD) return 0;
    static const char *const models[] = {"gpt2", "llama", "gemma4", "gpt2"};
    const int kind = data[0] & 3;
    size_t n_rows = 0;
    while (sb_pretok_at(n_rows))
        n_rows++;
    const sb_pretok *pre = sb_pretok_at(data[1] % n_rows);
    static tv kept[SB_ARRAY_LEN(models)]; // made once: it takes longer than a short text
    if (kept[kind].n_tok == 0) {
        make(&kept[kind], kind);
        tv_add(&kept[kind], "[MASK]", SB_TOK_CONTROL, 0);
    }
    const sb_str text = {(const char *)data + HEAD, n - HEAD};
    if (data[0] & 4) {
        tv v = {0};
        make(&v, kind);
        fuzz_vocab(&v, models[kind], pre, data + HEAD, n - HEAD);
        tv_deinit(&v);
    } else {
        fuzz_text(&kept[kind], models[kind], pre, data, text);
    }
    return 0;
}
