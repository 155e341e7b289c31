/* SPDX-License-Identifier: Apache-2.0
 * sampler_test.c - selection, cuts, draws and log probabilities, and the stop strings. */
#include "base/alloc.h"
#include "base/limits.h"
#include "engine/sampler.h"
#include "engine/stops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { N = 5000 };
static float logits[N];

static void fill(void)
{
    uint64_t x = 1;
    for (int i = 0; i < N; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        logits[i] = (float)((double)(x >> 40) / (double)(1 << 24)) * 8;
    }
}

static sb_sampler *make(sb_sampling p)
{
    sb_sampler *s = NULL;
    sb_error err = {0};
    if (sb_sampler_new(&s, N, &p, &err) != SB_OK) fail_msg("%s", err.msg);
    return s;
}

static void greedy_takes_the_lower_id_on_a_tie(void **state)
{
    (void)state;
    fill();
    logits[77] = logits[2077] = 99;
    sb_sampler *s = make((sb_sampling){.top_p = 1});
    assert_int_equal(sb_sampler_draw(s, logits, NULL), 77);
    assert_int_equal(sb_argmax(logits, N), 77);
    uint32_t mask[N / 32 + 1] = {0};
    mask[2077 / 32] |= 1u << 2077 % 32;
    mask[5 / 32] |= 1u << 5;
    assert_int_equal(sb_sampler_draw(s, logits, mask), 2077);
    sb_sampler_free(s);
}

/* Draws many times and returns how many different ids came, all of which `allowed` must accept. */
static int distinct(sb_sampling p, bool (*allowed)(int32_t), int n_draw)
{
    static int seen[N];
    memset(seen, 0, sizeof seen);
    sb_sampler *s = make(p);
    int n = 0;
    for (int i = 0; i < n_draw; i++) {
        const int32_t id = sb_sampler_draw(s, logits, NULL);
        assert_in_range(id, 0, N - 1);
        assert_true(allowed(id));
        n += seen[id]++ == 0;
    }
    sb_sampler_free(s);
    return n;
}

/* Rank of an id: how many logits stand before it. */
static int rank_of(int32_t id)
{
    int n = 0;
    for (int i = 0; i < N; i++)
        n += logits[i] > logits[id] || (logits[i] == logits[id] && i < id);
    return n;
}

static bool among_10(int32_t id)
{
    return rank_of(id) < 10;
}
static bool any(int32_t id)
{
    (void)id;
    return true;
}

/* Mass of everything that stands before an id, of all mass, at temperature 1. */
static bool in_top_p_half(int32_t id)
{
    double before = 0, all = 0;
    for (int i = 0; i < N; i++) {
        const double p = exp((double)logits[i]);
        all += p;
        if (logits[i] > logits[id]) before += p;
    }
    return before < 0.5 * all;
}

static bool in_min_p_half(int32_t id)
{
    return exp((double)logits[id]) >= 0.5 * exp((double)logits[sb_argmax(logits, N)]) * (1 - 1e-9);
}

static void cuts_keep_what_they_say(void **state)
{
    (void)state;
    fill();
    assert_int_equal(
        distinct((sb_sampling){.temp = 5, .top_k = 10, .top_p = 1, .seed = 1}, among_10, 400), 10);
    assert_true(distinct((sb_sampling){.temp = 1, .top_p = 0.5f, .seed = 1}, in_top_p_half, 500) >
                64);
    assert_true(distinct((sb_sampling){.temp = 1, .top_p = 1, .min_p = 0.5f, .seed = 2},
                         in_min_p_half, 500) > 20);
    assert_true(distinct((sb_sampling){.temp = 10, .top_p = 1, .seed = 3}, any, 2000) > 1000);
}

static void seeds_repeat_and_differ(void **state)
{
    (void)state;
    fill();
    int32_t a[32], b[32];
    for (int pass = 0; pass < 3; pass++) {
        sb_sampler *s = make((sb_sampling){.temp = 1, .top_p = 1, .seed = pass == 2 ? 8 : 7});
        int same = 1;
        for (int i = 0; i < 32; i++) {
            const int32_t id = sb_sampler_draw(s, logits, NULL);
            if (pass == 0) a[i] = id;
            if (pass == 1) b[i] = id;
            same &= id == a[i];
        }
        assert_int_equal(same, pass < 2);
        sb_sampler_free(s);
    }
    assert_memory_equal(a, b, sizeof a);
}

/* The share of an id comes out as its probability says. */
static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        logits[i] = -30;
    logits[3] = 0, logits[9] = logf(3);
    sb_sampler *s = make((sb_sampling){.temp = 1, .top_p = 1, .seed = 4});
    int n9 = 0;
    for (int i = 0; i < 4000; i++)
        n9 += sb_sampler_draw(s, logits, NULL) == 9;
    assert_in_range(n9, 2850, 3150);
    sb_sampler_free(s);
}

static void logprobs_add_up(void **state)
{
    (void)state;
    fill();
    double sum = 0, top[5];
    int32_t ids[5];
    for (int i = 0; i < 100; i++)
        sum += exp(sb_logprob(logits, N, i * 50));
    assert_true(sum > 0 && sum < 1);
    sb_top_logprobs(logits, N, 5, ids, top);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rank_of(ids[i]), i);
        assert_true(fabs(top[i] - sb_logprob(logits, N, ids[i])) < 1e-12);
    }
}

static void parameters_out_of_range_are_named(void **state)
{
    (void)state;
    const struct {
        sb_sampling p;
        const char *name;
    } bad[] = {
        {{.temp = -1, .top_p = 1}, "temperature"},
        {{.temp = NAN, .top_p = 1}, "temperature"},
        {{.temp = 101, .top_p = 1}, "temperature"},
        {{.top_k = -1, .top_p = 1}, "top-k"},
        {{.top_p = 0}, "top-p"},
        {{.top_p = 1.5f}, "top-p"},
        {{.top_p = 1, .min_p = 2}, "min-p"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_sampler *s = NULL;
        sb_error err = {0};
        assert_int_equal(sb_sampler_new(&s, N, &bad[i].p, &err), SB_INVALID);
        assert_non_null(strstr(err.msg, bad[i].name));
        assert_null(s);
    }
}

/* Feeds text cut at every place; the shown part and the hit must not depend on the cut. */
static void stops_at_every_split(void **state)
{
    (void)state;
    const sb_str stop[] = {{"STOP", 4}, {"TOP!", 4}};
    const char text[] = "a STO ST STOP! after", want[] = "a STO ST ";
    for (size_t cut = 0; cut < sizeof text; cut++) {
        sb_stops s;
        sb_buf out;
        sb_buf_init(&out, 100, "shown");
        assert_int_equal(sb_stops_init(&s, stop, 2, NULL), SB_OK);
        assert_int_equal(sb_stops_push(&s, (sb_str){text, cut}, &out, NULL), SB_OK);
        if (out.n) assert_memory_equal(out.p, want, out.n); /* never part of a stop string */
        assert_int_equal(sb_stops_push(&s, (sb_str){text + cut, sizeof text - 1 - cut}, &out, NULL),
                         SB_OK);
        assert_int_equal(sb_stops_finish(&s, &out, NULL), SB_OK);
        assert_int_equal(s.i_hit, 0);
        assert_string_equal(out.p, want);
        sb_stops_deinit(&s);
        sb_buf_deinit(&out);
    }
}

static void stops_give_back_what_was_held(void **state)
{
    (void)state;
    const sb_str stop[] = {{"xyz", 3}};
    sb_stops s;
    sb_buf out;
    sb_buf_init(&out, 100, "shown");
    assert_int_equal(sb_stops_init(&s, stop, 1, NULL), SB_OK);
    assert_int_equal(sb_stops_push(&s, (sb_str){"ab xy", 5}, &out, NULL), SB_OK);
    assert_string_equal(out.p, "ab ");
    assert_int_equal(sb_stops_push(&s, (sb_str){"", 0}, &out, NULL), SB_OK);
    assert_int_equal(sb_stops_finish(&s, &out, NULL), SB_OK);
    assert_string_equal(out.p, "ab xy");
    assert_int_equal(s.i_hit, -1);
    sb_stops_deinit(&s);
    sb_buf_deinit(&out);
    assert_int_equal(sb_stops_init(&s, &(sb_str){"", 0}, 1, NULL), SB_INVALID);
    assert_int_equal(sb_stops_init(&s, stop, SB_MAX_STOPS + 1, NULL), SB_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_lower_id_on_a_tie),
        cmocka_unit_test(cuts_keep_what_they_say),
        cmocka_unit_test(seeds_repeat_and_differ),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(logprobs_add_up),
        cmocka_unit_test(parameters_out_of_range_are_named),
        cmocka_unit_test(stops_at_every_split),
        cmocka_unit_test(stops_give_back_what_was_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
