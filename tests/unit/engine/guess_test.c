/* SPDX-License-Identifier: Apache-2.0
 * guess_test.c - tokens computed ahead: fewer steps, the same words, and a record that says what
 * came true. */
#include "house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

static int32_t ids[HOUSE_CTX];

/* What the records say of all steps. */
typedef struct seen {
    int n_steps, n_decode, n_rejected, n_most; /* n_most: of one step's true guesses */
} seen;

static void on_step(void *ctx, const sb_work_record *r)
{
    seen *s = ctx;
    s->n_steps++;
    for (int32_t i = 0; i < r->n_part; i++) {
        s->n_decode += r->parts[i].n_decode;
        s->n_rejected += r->parts[i].n_rejected;
        if (r->parts[i].n_decode - 1 > s->n_most) s->n_most = r->parts[i].n_decode - 1;
    }
}

/* One answer, the same as alone; what its steps were. */
static seen answer(const sb_seq_opts *like, int stop_after, bool no_guess)
{
    seen s = {0};
    sb_engine_opts eo = house_opts(2);
    eo.no_guess = no_guess;
    house h = house_open(&eo, 1, (sb_sched_opts){.on_step = on_step, .ctx = &s});
    sb_rig_seq r;
    sb_seq_opts o = sb_rig_seq_opts(&r, ids, like->n_ids, like->max_tokens);
    o.sampling = like->sampling;
    o.n_logprobs = like->n_logprobs;
    r.stop_after = stop_after;
    house_begin(&h, &r, &o);
    house_drain(&h);
    house_check_alone(&h, &r, &o);
    if (stop_after) assert_int_equal(r.why, SB_SEQ_STOPPED);
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    const seen its = s;
    assert_int_equal(st.n_decode_tok, s.n_decode);
    if (!stop_after) assert_int_equal(s.n_decode, r.n_out - (r.why == SB_SEQ_LENGTH));
    /* What is kept is what was said, and nothing behind it. */
    int32_t again[HOUSE_CTX];
    memcpy(again, ids, sizeof again);
    memcpy(again + like->n_ids, r.out, (size_t)r.n_out * sizeof *again);
    const int32_t n = like->n_ids + r.n_out;
    again[n] = (r.n_out ? r.out[r.n_out - 1] : 0) + 1;
    sb_rig_seq_end(&r);
    const int32_t kept = house_once(&h, again, n + 1, 1);
    assert_true(kept == n - 1 || kept == n);
    house_close(&h);
    return its;
}

static const sb_logit_bias always = {.id = 321, .bias = 100};

static void what_repeats_takes_fewer_steps(void **state)
{
    (void)state;
    const sb_sampling same = {.top_p = 1, .bias = &always, .n_bias = 1};
    const sb_seq_opts o = {.n_ids = 100, .max_tokens = 60, .sampling = same, .n_logprobs = -1};
    house_ids(ids, HOUSE_CTX, 3);
    const seen s = answer(&o, 0, false), plain = answer(&o, 0, true);
    assert_true(s.n_steps < plain.n_steps && s.n_most >= 1); /* how many is a matter of time */
    assert_int_equal(plain.n_steps, 2 + 59);                 /* the prompt's come first */
    assert_int_equal(plain.n_rejected, 0);
    sb_seq_opts with = o; /* their log probabilities are those of one token at a time */
    with.n_logprobs = 2;
    assert_int_equal(answer(&with, 0, false).n_steps, 2 + 59);
}

/* A prompt that repeats itself and a model that does not go on so. */
static void wrong_guesses_change_nothing(void **state)
{
    (void)state;
    int n_rejected = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const sb_sampling drawn = {.temp = seed % 3 ? 1 : 0,
                                   .top_p = 1,
                                   .top_k = seed % 2 ? 4 : 0,
                                   .seed = seed,
                                   .repeat_penalty = seed % 4 ? 0 : 1.2F};
        const sb_seq_opts o = {.n_ids = 120, .max_tokens = 60, .sampling = drawn, .n_logprobs = -1};
        for (int32_t i = 0; i < HOUSE_CTX; i++)
            ids[i] = 40 + i % (5 + (int32_t)seed);
        n_rejected += answer(&o, 0, false).n_rejected;
    }
    assert_true(n_rejected > 0);
}

static void stopped_among_guesses(void **state)
{
    (void)state;
    const sb_sampling same = {.top_p = 1, .bias = &always, .n_bias = 1};
    const sb_seq_opts o = {.n_ids = 100, .max_tokens = 60, .sampling = same, .n_logprobs = -1};
    house_ids(ids, HOUSE_CTX, 4);
    for (int n = 1; n <= 12; n++)
        (void)answer(&o, n, false);
}

static void not_beside_others(void **state)
{
    (void)state;
    seen s = {0};
    const sb_sampling same = {.top_p = 1, .bias = &always, .n_bias = 1};
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){.on_step = on_step, .ctx = &s});
    sb_rig_seq r[2];
    house_ids(ids, HOUSE_CTX, 5);
    sb_seq_opts o[2];
    for (int i = 0; i < 2; i++) {
        o[i] = sb_rig_seq_opts(&r[i], ids, 64, 20);
        o[i].sampling = same;
        house_begin(&h, &r[i], &o[i]);
    }
    while (r[0].n_out < 19 && r[1].n_out < 19)
        assert_true(house_step(&h));
    assert_true(s.n_steps >= 19 && s.n_rejected == 0);
    house_drain(&h);
    for (int i = 0; i < 2; i++) {
        house_check_alone(&h, &r[i], &o[i]);
        sb_rig_seq_end(&r[i]);
    }
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_repeats_takes_fewer_steps),
        cmocka_unit_test(wrong_guesses_change_nothing),
        cmocka_unit_test(stopped_among_guesses),
        cmocka_unit_test(not_beside_others),
    };
    return cmocka_run_group_tests(tests, house_make_model, house_drop_model);
}
