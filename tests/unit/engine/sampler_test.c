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

/* The k likeliest, whatever k and wherever they stand, equals a plain search; ties go to lower
 * ids. */
static void the_likeliest_are_found(void **state)
{
    (void)state;
    static const int32_t ks[] = {1, 2, 7, 31, 32, 33, 39, 40, 100};
    for (int round = 0; round < 3; round++) {
        fill();
        for (int i = 0; i < N; i++) /* few values: many ties */
            if (round) logits[i] = floorf(logits[i] * (round == 1 ? 2 : 40));
        for (size_t c = 0; c < SB_ARRAY_LEN(ks); c++) {
            static bool first[N], seen[N];
            memset(first, 0, sizeof first);
            memset(seen, 0, sizeof seen);
            for (int32_t n = 0; n < ks[c]; n++) {
                int32_t best = -1;
                for (int32_t i = 0; i < N; i++)
                    if (!first[i] && (best < 0 || logits[i] > logits[best])) best = i;
                first[best] = true;
            }
            sb_sampler *s = make((sb_sampling){.temp = 100, .top_k = ks[c], .top_p = 1, .seed = 1});
            int32_t n_seen = 0;
            for (int i = 0; i < 40 * ks[c]; i++) {
                const int32_t id = sb_sampler_draw(s, logits, NULL);
                assert_true(first[id]);
                n_seen += !seen[id];
                seen[id] = true;
            }
            assert_int_equal(n_seen, ks[c]);
            sb_sampler_free(s);
        }
    }
}

/* Any id, by its probability, at any temperature; what is masked or banned never. */
static void all_ids_are_drawn_from(void **state)
{
    (void)state;
    static int seen[N];
    const sb_logit_bias ban = {.id = 700, .bias = -INFINITY};
    uint32_t mask[N / 32 + 1];
    memset(mask, 0xff, sizeof mask);
    mask[300 / 32] &= ~(1u << 300 % 32);
    for (int i = 0; i < N; i++)
        logits[i] = (float)(i % 2); /* e times as likely at an odd id */
    sb_sampler *s =
        make((sb_sampling){.temp = 1, .top_p = 1, .seed = 2, .bias = &ban, .n_bias = 1});
    int n_odd = 0;
    for (int i = 0; i < 60000; i++) {
        const int32_t id = sb_sampler_draw(s, logits, mask);
        n_odd += id % 2;
        seen[id]++;
    }
    assert_in_range(n_odd, 43500, 44200); /* e / (1 + e) of them */
    assert_int_equal(seen[300] + seen[700], 0);
    for (int i = 1; i < N; i += 2)
        assert_true(seen[i] > 0);
    sb_sampler_free(s);
    for (int i = 0; i < N; i++)
        logits[i] = -INFINITY;
    logits[42] = -3;
    s = make((sb_sampling){.temp = 0.01f, .top_p = 1, .seed = 2});
    for (int i = 0; i < 100; i++)
        assert_int_equal(sb_sampler_draw(s, logits, NULL), 42);
    sb_sampler_free(s);
}

/* Where many ids share the mass, top-p keeps the fewest that hold it, min-p those large enough. */
static void wide_cuts_keep_what_they_say(void **state)
{
    (void)state;
    static int seen[N], rank[N];
    fill();
    for (int i = 0; i < N; i += 3) /* ties, and ids that may not be drawn */
        logits[i] = i % 2 ? 4 : -INFINITY;
    double total = 0, sum = 0;
    for (int i = 0; i < N; i++) {
        total += exp((double)logits[i] / 4);
        rank[i] = 0;
        for (int k = 0; k < N; k++)
            rank[i] += logits[k] > logits[i] || (logits[k] == logits[i] && k < i);
    }
    int n_kept = 0;
    for (; sum < 0.6 * total; n_kept++)
        for (int i = 0; i < N; i++)
            if (rank[i] == n_kept) sum += exp((double)logits[i] / 4);
    assert_true(n_kept > 500);
    for (int with_min = 0; with_min < 2; with_min++) {
        const sb_sampling p = {.temp = 4, .top_p = 0.6f, .seed = 9, .min_p = with_min ? 0.45f : 0};
        float max = 0;
        for (int i = 0; i < N; i++)
            max = logits[i] > max ? logits[i] : max;
        sb_sampler *s = make(p);
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < 40000; i++)
            seen[sb_sampler_draw(s, logits, NULL)]++;
        for (int i = 0; i < N; i++) {
            const double of_max = exp((double)(logits[i] - max) / 4);
            if (rank[i] > n_kept || (with_min && of_max < 0.449)) assert_int_equal(seen[i], 0);
            if (rank[i] < n_kept - 1 && (!with_min || of_max > 0.451)) assert_true(seen[i] > 0);
        }
        sb_sampler_free(s);
    }
}

static void samplers_share_a_room(void **state)
{
    (void)state;
    enum { N_SAMPLERS = 4 };
    static const sb_sampling p[N_SAMPLERS] = {
        {.top_p = 1, .repeat_penalty = 2},
        {.temp = 1, .top_p = 0.9f, .seed = 3, .presence_penalty = 1},
        {.temp = 1, .top_p = 1, .seed = 3},
        {.temp = 1, .top_p = 1, .top_k = 20, .seed = 5}};
    sb_sampler_room *room = NULL;
    sb_sampler *own[N_SAMPLERS], *lent[N_SAMPLERS];
    sb_error err = {0};
    fill();
    assert_int_equal(sb_sampler_room_new(&room, N, &err), SB_OK);
    for (int i = 0; i < N_SAMPLERS; i++) {
        own[i] = make(p[i]);
        assert_int_equal(sb_sampler_new_bare(&lent[i], N, &p[i], &err), SB_OK);
    }
    for (int k = 0; k < 50; k++)
        for (int i = 0; i < N_SAMPLERS; i++) {
            const int32_t id = sb_sampler_draw(own[i], logits, NULL);
            assert_int_equal(sb_sampler_draw_in(lent[i], room, logits, NULL), id);
            sb_sampler_accept(own[i], id);
            sb_sampler_accept(lent[i], id);
        }
    for (int i = 0; i < N_SAMPLERS; i++) {
        sb_sampler_free(own[i]);
        sb_sampler_free(lent[i]);
    }
    sb_sampler_room_free(room);
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
    const sb_logit_bias twice[] = {{3, 1}, {3, 2}};
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
        {{.top_p = 1, .typical_p = 1.1f}, "typical-p"},
        {{.top_p = 1, .typical_p = -0.1f}, "typical-p"},
        {{.top_p = 1, .repeat_penalty = -3}, "repeat-penalty"},
        {{.top_p = 1, .repeat_penalty = INFINITY}, "repeat-penalty"},
        {{.top_p = 1, .repeat_last_n = -1}, "repeat-last-n"},
        {{.top_p = 1, .presence_penalty = 2.5f}, "presence-penalty"},
        {{.top_p = 1, .frequency_penalty = NAN}, "frequency-penalty"},
        {{.top_p = 1, .bias = &(sb_logit_bias){N, 1}, .n_bias = 1}, "logit-bias: token 5000"},
        {{.top_p = 1, .bias = &(sb_logit_bias){-1, 1}, .n_bias = 1}, "logit-bias: token -1"},
        {{.top_p = 1, .bias = &(sb_logit_bias){3, 1e30f}, .n_bias = 1}, "logit-bias"},
        {{.top_p = 1, .bias = &(sb_logit_bias){3, INFINITY}, .n_bias = 1}, "logit-bias"},
        {{.top_p = 1, .bias = twice, .n_bias = 2}, "token 3 is given twice"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_sampler *s = NULL;
        sb_error err = {0};
        assert_int_equal(sb_sampler_new(&s, N, &bad[i].p, &err), SB_INVALID);
        assert_non_null(strstr(err.msg, bad[i].name));
        assert_null(s);
    }
    sb_sampler *s = NULL;
    sb_error err = {0};
    const sb_sampling many = {.top_p = 1, .bias = twice, .n_bias = SB_MAX_LOGIT_BIAS + 1};
    assert_int_equal(sb_sampler_new(&s, N, &many, &err), SB_LIMIT);
}

/* ---- penalties, bias and typical-p beside plain code ---- */

static uint64_t next_random(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33;
}

/* What the header says of the logit of `id`, with the history as it lies there. */
static float plain_logit(const sb_sampling *p, int32_t id, const int32_t *all, int n_prompt, int n)
{
    float x = logits[id];
    int n_all = 0, n_answer = 0;
    for (int i = 0; i < n; i++) {
        if (p->repeat_last_n && i < n - p->repeat_last_n) continue;
        n_all += all[i] == id;
        n_answer += all[i] == id && i >= n_prompt;
    }
    if (p->repeat_penalty != 0 && n_all) x = x > 0 ? x / p->repeat_penalty : x * p->repeat_penalty;
    if (n_answer) x -= p->presence_penalty + (float)n_answer * p->frequency_penalty;
    for (int32_t i = 0; i < p->n_bias; i++)
        if (p->bias[i].id == id) x += p->bias[i].bias;
    return x;
}

/* Greedy answers under penalties equal those of plain code, token for token. */
static void penalties_do_what_they_say(void **state)
{
    (void)state;
    enum { PROMPT = 40, ALL = 160, IDS = 300 };
    const sb_logit_bias bias[] = {{7, -100}, {11, 0.75f}, {13, -INFINITY}};
    const sb_sampling ways[] = {
        {.top_p = 1, .repeat_penalty = 1.3f},
        {.top_p = 1, .repeat_penalty = 0.7f, .repeat_last_n = 20},
        {.top_p = 1, .presence_penalty = 1.5f},
        {.top_p = 1, .frequency_penalty = 0.3f, .repeat_last_n = 33},
        {.top_p = 1, .presence_penalty = -0.5f, .frequency_penalty = 0.2f, .repeat_penalty = 1.1f},
        {.top_p = 1, .bias = bias, .n_bias = 3},
        {.top_p = 1, .bias = bias, .n_bias = 3, .frequency_penalty = 1, .repeat_last_n = 1},
    };
    for (size_t w = 0; w < SB_ARRAY_LEN(ways); w++) {
        sb_sampler *s = NULL;
        int32_t all[ALL];
        uint64_t x = w;
        int n_changed = 0;
        for (int i = 0; i < PROMPT; i++)
            all[i] = (int32_t)(next_random(&x) % IDS);
        assert_int_equal(sb_sampler_new(&s, IDS, &ways[w], NULL), SB_OK);
        sb_sampler_prompt(s, all, PROMPT);
        for (int n = PROMPT; n < ALL; n++) {
            for (int i = 0; i < IDS; i++)
                logits[i] = (float)(next_random(&x) % 1000) / 250 - 2;
            const int32_t raw = sb_argmax(logits, IDS);
            int32_t best = 0;
            float largest = -INFINITY;
            for (int32_t i = 0; i < IDS; i++) {
                const float v = plain_logit(&ways[w], i, all, PROMPT, n);
                if (v > largest) largest = v, best = i;
            }
            sb_alloc_forbid_begin();
            all[n] = sb_sampler_draw(s, logits, NULL);
            sb_alloc_forbid_end();
            assert_int_equal(all[n], best);
            sb_sampler_accept(s, all[n]);
            n_changed += best != raw;
        }
        assert_true(n_changed > 0); /* it does something */
        sb_sampler_free(s);
    }
}

/* One id forbidden to a sampler that would always take it; all forbidden but one. */
static void bans_hold_when_drawing(void **state)
{
    (void)state;
    sb_logit_bias bias[4];
    for (int i = 0; i < 4; i++)
        bias[i] = (sb_logit_bias){i, -INFINITY};
    const float five[5] = {50, 40, 30, 20, 1};
    sb_sampler *s = NULL;
    const sb_sampling p = {.temp = 1, .top_p = 1, .bias = bias, .n_bias = 4};
    assert_int_equal(sb_sampler_new(&s, 5, &p, NULL), SB_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(sb_sampler_draw(s, five, NULL), 4);
    sb_sampler_free(s);
}

/* Typical-p by the book: all ids by how far their surprise is from the expected one. */
static int typical_set(double typical_p, double temp, int n, bool *in)
{
    double p[N], all = 0, expected = 0, sum = 0;
    int kept = 0;
    memset(in, 0, (size_t)n * sizeof *in);
    for (int i = 0; i < n; i++)
        all += exp((double)logits[i] / temp);
    for (int i = 0; i < n; i++) {
        p[i] = exp((double)logits[i] / temp) / all;
        expected -= p[i] * log(p[i]);
    }
    while (sum < typical_p && kept < n) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (!in[i] &&
                (best < 0 || fabs(-log(p[i]) - expected) < fabs(-log(p[best]) - expected)))
                best = i;
        in[best] = true;
        sum += p[best];
        kept++;
    }
    return kept;
}

static void typical_p_keeps_what_is_expected(void **state)
{
    (void)state;
    enum { IDS = 200 };
    static bool in[IDS], seen[IDS];
    uint64_t x = 9;
    for (int i = 0; i < IDS; i++)
        logits[i] = (float)(next_random(&x) % 4096) / 512 + (float)i * 1e-4f;
    const double shares[] = {0.05, 0.2, 0.5};
    for (size_t w = 0; w < SB_ARRAY_LEN(shares); w++) {
        const int kept = typical_set((double)(float)shares[w], 1.25, IDS, in);
        sb_sampler *s = NULL;
        const sb_sampling p = {
            .temp = 1.25f, .top_p = 1, .typical_p = (float)shares[w], .seed = 1 + w};
        assert_int_equal(sb_sampler_new(&s, IDS, &p, NULL), SB_OK);
        int n_seen = 0;
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < 6000; i++) {
            const int32_t id = sb_sampler_draw(s, logits, NULL);
            assert_true(in[id]);
            n_seen += !seen[id];
            seen[id] = true;
        }
        assert_int_equal(n_seen, kept);
        assert_false(in[sb_argmax(logits, IDS)] && w == 0); /* the likeliest is not typical */
        sb_sampler_free(s);
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
        cmocka_unit_test(the_likeliest_are_found),
        cmocka_unit_test(all_ids_are_drawn_from),
        cmocka_unit_test(wide_cuts_keep_what_they_say),
        cmocka_unit_test(samplers_share_a_room),
        cmocka_unit_test(logprobs_add_up),
        cmocka_unit_test(parameters_out_of_range_are_named),
        cmocka_unit_test(penalties_do_what_they_say),
        cmocka_unit_test(bans_hold_when_drawing),
        cmocka_unit_test(typical_p_keeps_what_is_expected),
        cmocka_unit_test(stops_at_every_split),
        cmocka_unit_test(stops_give_back_what_was_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
