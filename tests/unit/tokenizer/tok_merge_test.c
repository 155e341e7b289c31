/* SPDX-License-Identifier: Apache-2.0
 * tok_merge_test.c - the merger against its slow and obvious form: rescan all pairs, merge the
 * best. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tokenizer/internal.h"
#include "tok_vocab.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 64 };

/* Order of merging a and b by the vocabulary's own lists (lower first), or -1. For "llama" equal
 * tokens made in several ways prefer the longer left part. */
static double order(const tv *v, bool spm, sb_str a, sb_str b)
{
    for (int32_t i = 0; !spm && i < v->n_merges; i++) {
        const sb_str m = v->merges[i];
        if (m.n == a.n + b.n + 1 && !memcmp(m.p, a.p, a.n) && m.p[a.n] == ' ' &&
            !memcmp(m.p + a.n + 1, b.p, b.n))
            return i;
    }
    for (int32_t i = 0; spm && i < v->n_tok; i++) {
        const sb_str s = v->tokens[i];
        if (s.n == a.n + b.n && !memcmp(s.p, a.p, a.n) && !memcmp(s.p + a.n, b.p, b.n))
            return 1000.0 - (double)v->scores[i] - (double)a.n / 256;
    }
    return -1;
}

/* Cuts text[n] (n <= LONGEST bytes, each a token) into merged parts; returns how many. */
static size_t slow_merge(const tv *v, bool spm, const char *text, size_t n, size_t ends[])
{
    size_t n_parts = n;
    for (size_t i = 0; i < n; i++)
        ends[i] = i + 1;
    for (;;) {
        double best = -1;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n_parts; i++) {
            const size_t from = i ? ends[i - 1] : 0;
            const double o = order(v, spm, (sb_str){text + from, ends[i] - from},
                                   (sb_str){text + ends[i], ends[i + 1] - ends[i]});
            if (o < 0 || (best >= 0 && o >= best)) continue;
            best = o;
            at = i;
        }
        if (best < 0) return n_parts;
        memmove(ends + at, ends + at + 1, (n_parts - at - 1) * sizeof *ends);
        n_parts--;
    }
}

/* A vocabulary of random words over "abc"; every word is two earlier ones. */
static void random_vocab(tv *v, bool spm, uint64_t *rng)
{
    if (spm) {
        tv_add(v, "<unk>", SB_TOK_UNKNOWN, 0);
        tv_add(v, "a", SB_TOK_NORMAL, -1000);
        tv_add(v, "b", SB_TOK_NORMAL, -1000);
        tv_add(v, "c", SB_TOK_NORMAL, -1000);
    } else {
        tv_add_alphabet(v);
    }
    const int32_t base = spm ? 1 : 'a';
    int32_t made[64] = {base, base + 1, base + 2};
    for (size_t n = 3; n < 40; n++) {
        *rng = *rng * 6364136223846793005u + 1442695040888963407u;
        const sb_str l = v->tokens[made[(*rng >> 33) % n]], r = v->tokens[made[(*rng >> 45) % n]];
        char s[LONGEST];
        made[n] = made[0];
        if (l.n + r.n > 12) continue;
        snprintf(s, sizeof s, "%.*s%.*s", (int)l.n, l.p, (int)r.n, r.p);
        if (tv_find(v, s) < 0)
            made[n] = tv_add(v, s, SB_TOK_NORMAL, -(float)((*rng >> 20) % 1000));
        else
            made[n] = tv_find(v, s);
        char left[LONGEST], right[LONGEST];
        snprintf(left, sizeof left, "%.*s", (int)l.n, l.p);
        snprintf(right, sizeof right, "%.*s", (int)r.n, r.p);
        if (!spm) tv_merge(v, left, right);
    }
}

static void check(const tv *v, bool spm, const sb_tokenizer *t, sb_tok_work *w, uint64_t *rng)
{
    char text[LONGEST];
    size_t ends[LONGEST], at = 0;
    const size_t n = 1 + (*rng >> 40) % LONGEST;
    for (size_t i = 0; i < n; i++) {
        *rng = *rng * 6364136223846793005u + 1442695040888963407u;
        text[i] = "aabc"[*rng >> 62];
    }
    sb_ids ids;
    sb_error err = {0};
    sb_ids_init(&ids, LONGEST);
    assert_int_equal(sb_tok_merge(t, w, (sb_str){text, n}, &ids, &err), SB_OK);
    assert_int_equal(ids.n, slow_merge(v, spm, text, n, ends));
    for (size_t i = 0; i < ids.n; i++) {
        at += sb_tokenizer_piece(t, ids.v[i], false).n;
        assert_int_equal(at, ends[i]);
    }
    sb_ids_deinit(&ids);
}

static void equals_the_slow_form(void **state)
{
    (void)state;
    uint64_t rng = 42;
    for (int round = 0; round < 200; round++) {
        tv v = {0};
        const bool spm = round % 2;
        sb_tokenizer *t = NULL;
        sb_error err = {0};
        random_vocab(&v, spm, &rng);
        const sb_tokenizer_desc d = tv_desc(&v, spm ? "llama" : "gpt2");
        assert_int_equal(sb_tokenizer_new(&t, &d, &err), SB_OK);
        sb_tok_work w = {0};
        for (int i = 0; i < 100; i++)
            check(&v, spm, t, &w, &rng);
        sb_tok_work_deinit(&w);
        sb_tokenizer_free(t);
        tv_deinit(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_slow_form)};
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
