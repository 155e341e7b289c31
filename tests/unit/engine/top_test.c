/* SPDX-License-Identifier: Apache-2.0
 * top_test.c - the largest logits, gathered where they are computed, are those of the whole row, in
 * order, and so are the tokens drawn from them. */
#include "engine/internal.h"
#include "engine/sampler.h"
#include "rig.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 3001, N_VOCAB = 700, N_SPANS = 3, N_IDS = 20 }; /* neither is whole panels */

static uint64_t seed = 1;

static uint32_t rnd(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static int in_order(const void *a, const void *b)
{
    const sb_logit *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id > y->id ? 1 : -1;
}

/* The plain way: all in order. Returns how many of k there are. */
static int32_t sorted(const float *x, int32_t n, int32_t k, sb_logit *out)
{
    static sb_logit all[N];
    for (int32_t i = 0; i < n; i++)
        all[i] = (sb_logit){.logit = x[i], .id = i};
    qsort(all, (size_t)n, sizeof *all, in_order);
    k = k < n ? k : n;
    memcpy(out, all, (size_t)k * sizeof *out);
    return k;
}

static void check_top(const sb_top *t, const float *x, int32_t n, int32_t k)
{
    sb_logit want[SB_TOP_MOST];
    assert_non_null(t);
    assert_int_equal(t->n, sorted(x, n, k, want));
    for (int32_t i = 0; i < t->n; i++) {
        assert_int_equal(t->at[i].id, want[i].id);
        assert_true(t->at[i].logit == want[i].logit);
    }
}

/* Pieces of any length in any order, by three gatherers; few different values, so many ties. */
static void pieces_in_any_order(void **state)
{
    (void)state;
    static float x[N];
    for (int round = 0; round < 300; round++) {
        const int32_t n = 1 + (int32_t)rnd(N), k = 1 + (int32_t)rnd(SB_TOP_MOST),
                      len = 1 + (int32_t)rnd(500), n_piece = (n + len - 1) / len;
        const uint32_t n_values = round % 3 ? 1 + rnd(50) : 1u << 30;
        for (int32_t i = 0; i < n; i++)
            x[i] = (float)rnd(n_values) - (float)(n_values / 2);
        sb_top t[3] = {0};
        const int32_t from = (int32_t)rnd((uint32_t)n_piece), up = round % 2;
        for (int32_t i = 0; i < n_piece; i++) {
            const int32_t p = ((up ? i : n_piece - 1 - i) + from) % n_piece, at = p * len;
            sb_top_gather(&t[rnd(3)], k, x + at, n - at < len ? n - at : len, at);
        }
        sb_top_join(&t[0], k, &t[1]);
        sb_top_join(&t[0], k, &t[2]);
        check_top(&t[0], x, n, k);
        sb_sampler *s = NULL;
        if (n < 2) continue;
        assert_int_equal(sb_sampler_new(&s, n, &(sb_sampling){.top_p = 1}, NULL), SB_OK);
        assert_int_equal(sb_sampler_draw_top(s, &t[0], NULL), sb_sampler_draw(s, x, NULL));
        sb_sampler_free(s);
    }
}

/* A draw from all logits and one from the k largest, with some of the largest barred. */
static void check_draw(sb_sampler *all, sb_sampler *few, int32_t k, int32_t n_barred, bool ties)
{
    static float x[N];
    uint32_t mask[N / 32 + 1];
    for (int32_t i = 0; i < N; i++)
        x[i] = (float)rnd(ties ? 40 : 1u << 20) / (ties ? 8.0f : 100000.0f);
    sb_top t = {0};
    sb_top_gather(&t, k, x, N, 0);
    memset(mask, 0xff, sizeof mask);
    for (int32_t i = 0; i < n_barred; i++) {
        const int32_t id = t.at[i * (k - 1) / n_barred].id;
        mask[id / 32] &= ~(1u << id % 32);
    }
    const uint32_t *m = n_barred ? mask : NULL;
    assert_int_equal(sb_sampler_draw_top(few, &t, m), sb_sampler_draw(all, x, m));
}

/* Two samplers of the same parameters: one sees all logits, one the few it asks for. */
static void draws_are_the_same(void **state)
{
    (void)state;
    static const sb_sampling ways[] = {
        {.top_p = 1},
        {.temp = 0.7f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f},
        {.temp = 1, .top_k = 1, .top_p = 1},
        {.temp = 2, .top_k = SB_TOP_MOST, .top_p = 1},
        {.temp = 3, .top_k = 20, .top_p = 0.6f},
        {.temp = 0.5f, .top_k = 33, .top_p = 1, .min_p = 0.2f},
        {.temp = 1, .top_k = 50, .top_p = 0.9f, .typical_p = 0.4f},
    };
    for (size_t w = 0; w < SB_ARRAY_LEN(ways); w++)
        for (int32_t n_barred = 0; n_barred <= 4; n_barred += 2) {
            sb_sampler *all = NULL, *few = NULL;
            sb_sampling p = ways[w];
            p.seed = w + 5;
            assert_int_equal(sb_sampler_new(&all, N, &p, NULL), SB_OK);
            assert_int_equal(sb_sampler_new_bare(&few, N, &p, NULL), SB_OK);
            const int32_t k = sb_sampler_n_top(few, n_barred);
            const int32_t want = (p.temp == 0 ? 1 : p.top_k) + n_barred;
            assert_int_equal(k, want > SB_TOP_MOST ? 0 : want);
            for (int round = 0; k && round < 400; round++)
                check_draw(all, few, k, n_barred, round % 2);
            sb_sampler_free(all);
            sb_sampler_free(few);
        }
}

static void who_needs_all_says_so(void **state)
{
    (void)state;
    static const sb_logit_bias bias = {.id = 3, .bias = 1};
    static const sb_sampling ways[] = {
        {.temp = 1, .top_p = 1},
        {.temp = 1, .top_p = 0.9f},
        {.temp = 1, .top_k = SB_TOP_MOST + 1, .top_p = 1},
        {.temp = 1, .top_k = N, .top_p = 1},
        {.top_p = 1, .presence_penalty = 1},
        {.top_p = 1, .repeat_penalty = 1.1f},
        {.top_p = 1, .bias = &bias, .n_bias = 1},
    };
    for (size_t w = 0; w < SB_ARRAY_LEN(ways); w++) {
        sb_sampler *s = NULL;
        assert_int_equal(sb_sampler_new_bare(&s, N, &ways[w], NULL), SB_OK);
        assert_int_equal(sb_sampler_n_top(s, 0), 0);
        assert_int_equal(sb_sampler_n_top(s, 3), 0);
        sb_sampler_free(s);
    }
}

/* One step of three sessions, each wanting what n_top says of its last row or of all. */
static void step(sb_rig *r, sb_session **s, const int32_t *ids, const int32_t n_top[N_SPANS])
{
    sb_error err = {0};
    sb_span a[N_SPANS];
    for (int i = 0; i < N_SPANS; i++) {
        assert_int_equal(sb_session_rewind(s[i], 0, &err), SB_OK);
        a[i] = (sb_span){.s = s[i],
                         .ids = ids + i,
                         .n = N_IDS - 3 * i,
                         .want = i == 1 ? SB_WANT_LAST : SB_WANT_ALL,
                         .n_top = n_top[i]};
    }
    if (sb_engine_step(r->engine, a, N_SPANS, &err) != SB_OK) fail_msg("%s", err.msg);
}

static void check_engine(const char *path, int n_threads, float softcap)
{
    static const int32_t tops[][N_SPANS] = {{1, 1, 1},  {40, 40, 40}, {1, 64, 7},
                                            {1, 0, 64}, {0, 1, 1},    {2, 2, 0}};
    static float whole[N_SPANS][N_IDS][N_VOCAB];
    sb_rig r;
    sb_error err = {0};
    sb_session *s[N_SPANS] = {NULL};
    int32_t ids[N_IDS + N_SPANS];
    const sb_engine_opts o = sb_rig_opts(64);
    if (sb_rig_open(&r, path, n_threads, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    r.model->plan.steps[r.model->plan.n_steps - 1].softcap = softcap;
    sb_rig_ids(ids, N_IDS + N_SPANS, N_VOCAB, 3);
    for (int i = 0; i < N_SPANS; i++)
        assert_int_equal(sb_session_open(&s[i], r.engine, 1, &err), SB_OK);
    step(&r, s, ids, (const int32_t[N_SPANS]){0});
    for (int i = 0; i < N_SPANS; i++)
        for (int j = 0; sb_engine_logits(r.engine, i, j); j++)
            memcpy(whole[i][j], sb_engine_logits(r.engine, i, j), sizeof whole[i][j]);
    for (size_t t = 0; t < SB_ARRAY_LEN(tops); t++) {
        step(&r, s, ids, tops[t]);
        for (int i = 0; i < N_SPANS; i++)
            for (int j = 0; j < (i == 1 ? 1 : N_IDS - 3 * i); j++) {
                const float *now = sb_engine_logits(r.engine, i, j);
                if (tops[t][i]) assert_null(now);
                if (tops[t][i])
                    check_top(sb_engine_top(r.engine, i, j), whole[i][j], N_VOCAB, tops[t][i]);
                else
                    assert_memory_equal(now, whole[i][j], sizeof whole[i][j]);
                if (!tops[t][i]) assert_null(sb_engine_top(r.engine, i, j));
            }
    }
    for (int i = 0; i < N_SPANS; i++)
        sb_session_close(s[i]);
    sb_rig_close(&r);
}

/* Rows of several sessions, some wanted whole; a tight softcap makes most logits equal. */
static void engine_gathers_the_same(void **state)
{
    (void)state;
    char path[128];
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    t.n_layers = 1, t.n_vocab = N_VOCAB, t.seed = 9;
    (void)snprintf(path, sizeof path, "/tmp/sobre-top-%d.gguf", (int)getpid());
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        check_engine(path, n_threads, 0);
        check_engine(path, n_threads, 30);
        check_engine(path, n_threads, 1e-3f);
    }
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_any_order),
        cmocka_unit_test(draws_are_the_same),
        cmocka_unit_test(who_needs_all_says_so),
        cmocka_unit_test(engine_gathers_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
