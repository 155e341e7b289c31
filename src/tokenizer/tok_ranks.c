/* SPDX-License-Identifier: Apache-2.0
 * tok_ranks.c - which merge comes first.
 *
 * Both kinds of model are run by one merger that asks: do these neighbouring bytes, split here,
 * make a token, and how early? Where the file lists merges, a token keeps those that make it
 * (nearly always one): the split point and the rank, which is the line number. That needs one
 * look-up per merge line instead of the three of a (left id, right id) table, and usually none,
 * because converters write tokens in the order of their merges: the token after the last one made
 * is tried first. For "llama" the score decides. */
#include "base/alloc.h"
#include "base/limits.h"
#include "tokenizer/internal.h"

#include <math.h>
#include <string.h>

/* Byte of a character of GPT-2's alphabet, or -1. The 68 bytes without a printing character of
 * their own are written as U+0100 and up, in order: 00-20, 7F-A0, AD. */
static int alphabet_byte(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 0x100 || cp > 0x143) return -1;
    const int k = (int)cp - 0x100;
    return k <= 32 ? k : k <= 66 ? 127 + k - 33 : 173;
}

bool sb_tok_from_alphabet(sb_str s, char *out, size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        const uint8_t c = (uint8_t)s.p[i];
        uint32_t cp = c;
        if (c >= 0x80) { // two-byte sequences are all the alphabet has
            if (c < 0xC2 || c > 0xC5 || i + 1 >= s.n || ((uint8_t)s.p[i + 1] & 0xC0) != 0x80)
                return false;
            cp = (uint32_t)(c & 0x1F) << 6 | ((uint8_t)s.p[i + 1] & 0x3F);
            i++;
        }
        i++;
        const int b = alphabet_byte(cp);
        if (b < 0) return false;
        out[n++] = (char)b;
    }
    *out_n = n;
    return true;
}

size_t sb_tok_from_marks(sb_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; n++) {
        const bool mark = s.n - i >= 3 && !memcmp(s.p + i, "\xE2\x96\x81", 3);
        out[n] = mark ? ' ' : s.p[i];
        i += mark ? 3 : 1;
    }
    return n;
}

/* A part of a merge line as the bytes of its piece. */
static bool read_part(const sb_tokenizer *t, sb_str s, char *out, size_t *out_n)
{
    if (!t->spm) return sb_tok_from_alphabet(s, out, out_n);
    *out_n = sb_tok_from_marks(s, out);
    return true;
}

/* Token whose piece is p[n], or -1; guess is tried before the table. */
static int32_t product(const sb_tokenizer *t, const char *p, size_t n, int32_t guess)
{
    if (guess < t->n_tok && (t->flags[guess] & SB_TOK_F_MERGE)) {
        const sb_str s = sb_tok_text(t, guess);
        if (s.n == n && !memcmp(s.p, p, n)) return guess;
    }
    return sb_tok_table_find(t, p, n);
}

/* Notes that merge i, left_n bytes and the rest, makes token id. The first of equal merges
 * stays. */
static void note_merge(sb_tokenizer *t, int32_t i, int32_t id, size_t left_n)
{
    for (int32_t k = t->first_merge[id]; k >= 0; k = t->next_merge[k])
        if (t->left_bytes[k] == left_n) return;
    t->left_bytes[i] = (uint16_t)left_n;
    t->next_merge[i] = t->first_merge[id];
    t->first_merge[id] = i;
}

/* Reads all merge lines; scratch holds 3 * max_merge_bytes. Lines that make no token are idle. */
static sb_status read_merges(sb_tokenizer *t, const sb_tokenizer_desc *d, char *scratch,
                             sb_error *err)
{
    int32_t guess = 0;
    for (int32_t i = 0; i < (int32_t)d->n_merges; i++) {
        const sb_str s = d->merges[i];
        const char *space = s.n > 2 ? memchr(s.p + 1, ' ', s.n - 2) : NULL;
        if (!space)
            return SB_FAIL(err, SB_CORRUPT, "tokenizer: merge %d is not two parts and a space", i);
        if (s.n - 1 > 3 * t->max_merge_bytes) continue; // a byte is written with at most three
        const sb_str left = {s.p, (size_t)(space - s.p)};
        const sb_str right = {space + 1, s.n - left.n - 1};
        size_t left_n, right_n;
        if (!read_part(t, left, scratch, &left_n)) continue;
        if (!read_part(t, right, scratch + left_n, &right_n)) continue;
        const int32_t id = product(t, scratch, left_n + right_n, guess);
        if (id < 0) continue;
        note_merge(t, i, id, left_n);
        guess = id + 1;
    }
    return SB_OK;
}

sb_status sb_tok_ranks_from_merges(sb_tokenizer *t, const sb_tokenizer_desc *d, sb_error *err)
{
    if (d->n_merges < 0 || d->n_merges > SB_MAX_MERGES)
        return SB_FAIL(err, SB_LIMIT, "tokenizer: %lld merges (at most %d)", (long long)d->n_merges,
                       SB_MAX_MERGES);
    const size_t n_tok = (size_t)t->n_tok, n_merges = (size_t)d->n_merges;
    t->first_merge = sb_alloc(n_tok, sizeof *t->first_merge);
    t->next_merge = sb_alloc(n_merges, sizeof *t->next_merge);
    t->left_bytes = sb_alloc(n_merges, sizeof *t->left_bytes);
    char *scratch = sb_alloc(t->max_merge_bytes, 3);
    sb_status s;
    if (!t->first_merge || !t->next_merge || !t->left_bytes || !scratch) {
        s = SB_FAIL(err, SB_NO_MEMORY, "tokenizer: no memory for %zu merges", n_merges);
    } else {
        memset(t->first_merge, 0xFF, n_tok * sizeof *t->first_merge); // -1
        s = read_merges(t, d, scratch, err);
    }
    sb_free(scratch);
    return s;
}

/* Finite scores to integers, higher score to lower number; never below 2^23. */
static uint32_t descending(float score)
{
    const float f = score + 0.0f; // -0 is 0
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u & 0x80000000u ? u : ~(u | 0x80000000u);
}

sb_status sb_tok_ranks_from_scores(sb_tokenizer *t, const sb_tokenizer_desc *d, sb_error *err)
{
    if (!d->scores)
        return SB_FAIL(err, SB_CORRUPT, "tokenizer: a \"llama\" vocabulary has no scores");
    t->prio = sb_alloc((size_t)t->n_tok, sizeof *t->prio);
    if (!t->prio) return SB_FAIL(err, SB_NO_MEMORY, "tokenizer: no memory for scores");
    uint32_t n_runs = 0; // at most one per length, far below 2^23
    for (int32_t i = 0; i < t->n_tok; i++) {
        if (!isfinite(d->scores[i]))
            return SB_FAIL(err, SB_CORRUPT, "tokenizer: token %d has no finite score", i);
        const bool run = sb_tok_type_of(t, i) == SB_TOK_USER && (t->flags[i] & SB_TOK_F_MERGE);
        t->prio[i] = run ? n_runs++ : descending(d->scores[i]);
    }
    return SB_OK;
}
