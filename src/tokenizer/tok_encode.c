/* SPDX-License-Identifier: Apache-2.0
 * tok_encode.c - text to ids: added tokens first, then the pieces between them, merged one by one.
 *
 * A "gpt2" text is cut by its pre-tokenizer. A "llama" text is one piece in the reference, and so
 * is a line of a "gemma4" text; here they are cut before spaces where no token reaches across (some
 * vocabularies have tokens with a space inside, so the bytes before such spaces are remembered),
 * which gives the same ids from smaller heaps. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"
#include "tokenizer/unicode.h"

#include <string.h>

/* Room for n bytes of rewritten text, or NULL: SB_NO_MEMORY. */
static char *room_for_copy(sb_tok_work *w, size_t n, sb_error *err)
{
    if (w->copy && n <= w->cap_copy) return w->copy;
    char *p = sb_realloc(w->copy, n, 1);
    if (!p) {
        (void)SB_FAIL(err, SB_NO_MEMORY, "text: no memory for %zu bytes", n);
        return NULL;
    }
    w->copy = p;
    w->cap_copy = n;
    return p;
}

/* One piece of a "gpt2" text. Bytes that no token holds vanish before merging, as in the reference;
 * vocabularies lack only bytes that text all but never has. */
static sb_status encode_piece(const sb_tokenizer *t, sb_tok_work *w, sb_str piece, sb_ids *out,
                              sb_error *err)
{
    if (t->whole) {
        const int32_t id = sb_tok_table_find(t, piece.p, piece.n);
        if (id >= 0) return sb_ids_add(out, id, err);
    }
    size_t n_lost = 0;
    for (size_t i = 0; t->drops && i < piece.n; i++)
        n_lost += t->byte_id[(uint8_t)piece.p[i]] < 0;
    if (n_lost) {
        char *copy = room_for_copy(w, piece.n, err);
        if (!copy) return SB_NO_MEMORY;
        size_t n = 0;
        for (size_t i = 0; i < piece.n; i++)
            if (t->byte_id[(uint8_t)piece.p[i]] >= 0) copy[n++] = piece.p[i];
        piece = (sb_str){copy, n};
    }
    return sb_tok_merge(t, w, piece, out, err);
}

/* Text as a "llama" vocabulary has it: U+2581 is a space, and one may be put in front. */
static sb_status normalise(sb_tok_work *w, sb_str *text, bool prefix, sb_error *err)
{
    if (!prefix && !memmem(text->p, text->n, "\xE2\x96\x81", 3)) return SB_OK;
    char *copy = room_for_copy(w, text->n + 1, err);
    if (!copy) return SB_NO_MEMORY;
    copy[0] = ' ';
    *text = (sb_str){copy, sb_tok_from_marks(*text, copy + prefix) + prefix};
    return SB_OK;
}

static bool may_cut(const sb_tokenizer *t, const char *p)
{
    const uint8_t b = (uint8_t)p[-1];
    return p[0] == ' ' && b != ' ' && !(t->before_space[b / 64] >> (b % 64) & 1);
}

static sb_status encode_words(const sb_tokenizer *t, sb_tok_work *w, sb_str text, sb_ids *out,
                              sb_error *err)
{
    for (size_t i = 0, end; i < text.n; i = end) {
        for (end = i + 1; end < text.n && !may_cut(t, text.p + end);)
            end++;
        SB_TRY(sb_tok_merge(t, w, (sb_str){text.p + i, end - i}, out, err));
    }
    return SB_OK;
}

/* Text between added tokens. */
static sb_status encode_plain(const sb_tokenizer *t, sb_tok_work *w, sb_str text, bool prefix,
                              sb_ids *out, sb_error *err)
{
    if (text.n == 0) return SB_OK;
    if (t->spm) SB_TRY(normalise(w, &text, prefix && t->space_prefix, err));
    if (!t->pre) return encode_words(t, w, text, out, err);
    if (t->nfc) SB_TRY(sb_nfc_compose(&w->nfc, &text, err));
    sb_pretok_walk walk;
    sb_str piece;
    sb_pretok_begin(&walk, t->pre, text);
    while (sb_pretok_next(&walk, &piece))
        SB_TRY(t->spm ? encode_words(t, w, piece, out, err) : encode_piece(t, w, piece, out, err));
    return SB_OK;
}

/* Where a walk over spans is: the run of spans around it that are all trusted, or all content. */
typedef struct span_run {
    const sb_tok_span *next, *end; /* spans behind the run */
    size_t to;                     /* byte of the text where the run ends */
    bool trusted;
} span_run;

/* Moves to the run that holds byte `at`; the spans cover the text. */
static void run_at(span_run *r, size_t at)
{
    while (r->to <= at && r->next < r->end) {
        r->trusted = r->next->mode != SB_TOK_CONTENT;
        for (; r->next < r->end; r->next++) {
            if (r->next->bytes > 0 && (r->next->mode != SB_TOK_CONTENT) != r->trusted) break;
            r->to += r->next->bytes;
        }
    }
}

/* The added token at byte `at`, or -1: one that content may use anywhere, also across spans; any
 * other only inside a trusted run. The longer wins. */
static int32_t added_at(const sb_tokenizer *t, sb_str text, size_t at, span_run *r, size_t *len)
{
    if (!t->root[(uint8_t)text.p[at]]) return -1;
    run_at(r, at);
    const sb_str rest = {text.p + at, text.n - at};
    int32_t id = sb_tok_added_match(t, rest, SB_TOK_CONTENT, len);
    if (!r->trusted) return id;
    size_t n = 0;
    const sb_str inside = {rest.p, r->to - at};
    const int32_t literal = sb_tok_added_match(t, inside, SB_TOK_LITERAL, &n);
    if (literal < 0 || (id >= 0 && *len >= n)) return id;
    *len = n;
    return literal;
}

/* The white space at the end of s, or at its start. */
static size_t space_at_end(sb_str s)
{
    size_t i = s.n;
    while (i > 0) {
        size_t k = i - 1;
        uint32_t cp = 0;
        while (k > 0 && ((uint8_t)s.p[k] & 0xC0) == 0x80)
            k--;
        if (!sb_utf8_decode(s.p + k, i - k, &cp) || !(sb_uc_class(cp) & SB_UC_SPACE)) break;
        i = k;
    }
    return s.n - i;
}

static size_t space_at_start(sb_str s)
{
    size_t i = 0;
    uint32_t cp = 0;
    for (size_t n; i < s.n; i += n) {
        n = sb_utf8_decode(s.p + i, s.n - i, &cp);
        if (!n || !(sb_uc_class(cp) & SB_UC_SPACE)) break;
    }
    return i;
}

static sb_status encode(const sb_tokenizer *t, sb_tok_work *w, sb_str text, span_run r, bool first,
                        sb_ids *out, sb_error *err)
{
    size_t from = 0;
    for (size_t i = 0; i < text.n;) {
        size_t len = 1;
        const int32_t id = added_at(t, text, i, &r, &len);
        if (id >= 0) {
            sb_str plain = {text.p + from, i - from};
            if (t->flags[id] & SB_TOK_F_LSTRIP) plain.n -= space_at_end(plain);
            SB_TRY(encode_plain(t, w, plain, first, out, err));
            SB_TRY(sb_ids_add(out, id, err));
            first = true; // what follows an added token starts anew
            if (t->flags[id] & SB_TOK_F_RSTRIP)
                len += space_at_start((sb_str){text.p + i + len, text.n - i - len});
            from = i + len;
        }
        i += len;
    }
    return encode_plain(t, w, (sb_str){text.p + from, text.n - from}, first, out, err);
}

sb_status sb_tokenizer_encode_spans(const sb_tokenizer *t, sb_str text, const sb_tok_span *spans,
                                    size_t n_spans, bool first, sb_ids *out, sb_error *err)
{
    size_t sum = 0;
    for (size_t i = 0; i < n_spans; i++)
        if (ckd_add(&sum, sum, spans[i].bytes)) sum = SIZE_MAX;
    if (sum != text.n)
        return SB_FAIL(err, SB_INVALID, "text: spans cover %zu bytes of %zu", sum, text.n);
    const size_t bad = sb_utf8_valid(text.p, text.n);
    if (bad < text.n) return SB_FAIL(err, SB_INVALID, "text: byte %zu is not valid UTF-8", bad);
    const size_t before = out->n;
    sb_tok_work w = {0};
    const span_run r = {.next = spans, .end = spans + n_spans};
    const sb_status s = encode(t, &w, text, r, first, out, err);
    sb_tok_work_deinit(&w);
    if (s != SB_OK) out->n = before;
    return s;
}

sb_status sb_tokenizer_encode(const sb_tokenizer *t, sb_str text, sb_tok_mode mode, bool first,
                              sb_ids *out, sb_error *err)
{
    const sb_tok_span all = {text.n, mode};
    return sb_tokenizer_encode_spans(t, text, &all, 1, first, out, err);
}
