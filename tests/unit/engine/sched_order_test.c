/* SPDX-License-Identifier: Apache-2.0
 * sched_order_test.c - who goes first: places, shares, priorities, sleepers, chunks. */
#include "base/alloc.h"
#include "engine/sched_state.h"
#include "house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

enum { MAX_SEQS = 40 };

static int32_t ids[MAX_SEQS][HOUSE_CTX];
static sb_rig_seq r[MAX_SEQS];
static sb_seq_opts o[MAX_SEQS];

static int fill_ids(void **state)
{
    for (int i = 0; i < MAX_SEQS; i++)
        house_ids(ids[i], HOUSE_CTX, (uint64_t)i + 1);
    return house_make_model(state);
}

/* Sequence i, with a scope of its own, so that nobody waits for prefixes. */
static void begin(house *h, int i, uint64_t share, int32_t priority, int32_t n_ids, int32_t n_out)
{
    o[i] = sb_rig_seq_opts(&r[i], ids[i], n_ids, n_out);
    o[i].share = share;
    o[i].scope = (uint64_t)i + 1;
    o[i].priority = priority;
    o[i].ignore_end = true;
    house_begin(h, &r[i], &o[i]);
}

static void close_all(house *h, int n)
{
    for (int i = 0; i < n; i++)
        sb_rig_seq_end(&r[i]);
    house_close(h);
}

/* Drains, noting in which order sequences had their first token. */
static void drain_in_order(house *h, int n, int *order)
{
    int k = 0;
    bool seen[MAX_SEQS] = {0};
    while (house_step(h))
        for (int i = 0; i < n; i++)
            if (!seen[i] && r[i].n_out) seen[i] = true, order[k++] = i;
    assert_int_equal(k, n);
}

static void places_are_kept(void **state)
{
    (void)state;
    enum { N = 12 };
    const sb_engine_opts eo = house_opts(1);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    for (int i = 0; i < N; i++) /* three of share 1 for each of share 2 and of share 3 */
        begin(&h, i, i % 5 < 3 ? 1 : i % 5 == 3 ? 2 : 3, i == 10, 20, 10);
    int32_t place[N];
    int order[N];
    for (int i = 0; i < N; i++)
        place[i] = sb_seq_place(r[i].q);
    assert_int_equal(place[10], 0);
    drain_in_order(&h, N, order);
    for (int k = 0; k < N; k++)
        assert_int_equal(place[order[k]], k);
    assert_int_equal(sb_seq_place(r[3].q), 0);
    close_all(&h, N);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){.max_queue = 3});
    for (int i = 0; i < 5; i++) /* two find a place in the next step */
        begin(&h, i, 1, 0, 20, 10);
    sb_error err = {0};
    o[5] = sb_rig_seq_opts(&r[5], ids[5], 20, 10);
    assert_int_equal(sb_sched_submit(h.sched, &o[5], &r[5].q, &err), SB_BUSY);
    assert_true(house_step(&h));
    assert_int_equal(sb_sched_get_stats(h.sched).n_waiting, 3);
    assert_int_equal(sb_sched_submit(h.sched, &o[5], &r[5].q, &err), SB_BUSY);
    sb_seq_info info[8];
    assert_int_equal(sb_sched_list(h.sched, info, 8), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(info[i].waiting, i >= 2);
        assert_int_equal(info[i].place, i < 2 ? 0 : i - 2);
        assert_int_equal(info[i].n_prompt, 20);
    }
    assert_int_equal(sb_sched_list(h.sched, info, 1), 5);
    sb_seq_cancel(r[4].q);
    assert_true(house_step(&h));
    assert_int_equal(r[4].why, SB_SEQ_CANCELLED);
    begin(&h, 5, 1, 0, 20, 10);
    house_drain(&h);
    for (int i = 0; i < 6; i++)
        assert_int_equal(atomic_load(&r[i].n_ends), 1);
    assert_int_equal(atomic_load(&r[5].n_ends), 1);
    close_all(&h, 6);
}

static void a_greedy_share_waits_behind_others(void **state)
{
    (void)state;
    enum { GREEDY = 20, OTHERS = 4 };
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    for (int i = 0; i < GREEDY; i++)
        begin(&h, i, 1, 0, 30, 8);
    for (int i = 0; i < 6; i++)
        assert_true(house_step(&h));
    for (int i = 0; i < OTHERS; i++) /* they come last, and go first */
        begin(&h, GREEDY + i, 2, 0, 30, 8);
    for (int i = 0; i < OTHERS; i++)
        assert_in_range(sb_seq_place(r[GREEDY + i].q), 0, 2 * i + 1);
    int order[MAX_SEQS], last = 0, k = 0;
    bool seen[MAX_SEQS] = {0};
    while (house_step(&h))
        for (int i = 0; i < GREEDY + OTHERS; i++)
            if (!seen[i] && atomic_load(&r[i].n_ends)) seen[i] = true, order[k++] = i;
    for (int i = 0; i < k; i++)
        if (order[i] >= GREEDY) last = i;
    assert_true(last < 3 * OTHERS + 2);
    close_all(&h, GREEDY + OTHERS);
}

static void weights_weigh(void **state)
{
    (void)state;
    enum { N = 24 };
    const sb_engine_opts eo = house_opts(1);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    for (int i = 0; i < N; i++) {
        o[i] = sb_rig_seq_opts(&r[i], ids[i], 20, 10);
        o[i].share = (uint64_t)(1 + i % 2);
        o[i].weight = i % 2 ? 3 : 1;
        o[i].ignore_end = true;
        house_begin(&h, &r[i], &o[i]);
    }
    int order[N], n_heavy = 0;
    drain_in_order(&h, N, order);
    for (int k = 0; k < 12; k++)
        n_heavy += order[k] % 2;
    assert_in_range(n_heavy, 8, 10);
    close_all(&h, N);
}

static void the_urgent_displace_the_others(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    begin(&h, 0, 1, 0, 200, 30);
    begin(&h, 1, 1, -1, 300, 30);
    begin(&h, 2, 1, 0, 50, 10); /* waits: nobody is below it but 1 */
    while (r[1].n_out < 5 && !r[2].n_out)
        assert_true(house_step(&h));
    begin(&h, 3, 2, 5, 100, 20);
    begin(&h, 4, 2, 5, 100, 20);
    assert_true(house_step(&h));
    assert_int_equal(sb_seq_place(r[3].q) + sb_seq_place(r[4].q), 0);
    assert_int_equal(sb_sched_get_stats(h.sched).n_waiting, 3);
    house_drain(&h);
    assert_true(r[3].last_ns < r[0].last_ns && r[4].last_ns < r[1].last_ns);
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    assert_true(st.n_preempted >= 2);
    for (int i = 0; i < 5; i++) {
        o[i].ignore_end = false;
        assert_int_equal(r[i].why, SB_SEQ_LENGTH);
        house_check_alone(&h, &r[i], &o[i]);
    }
    close_all(&h, 5);
}

/* Who was displaced and finds nothing kept is computed again, and the record says so. */
static void what_is_computed_again_is_counted(void **state)
{
    (void)state;
    sb_engine_opts eo = house_opts(1);
    eo.no_guess = true; /* a token each step */
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    begin(&h, 0, 1, 0, 200, 30);
    while (r[0].n_out < 10)
        assert_true(house_step(&h));
    begin(&h, 1, 1, 1, HOUSE_CTX - 10, 5);
    assert_true(house_step(&h));
    sb_sched_forget(h.sched, 0);
    house_drain(&h);
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    assert_int_equal(st.n_recomputed_tok, 200 + 9);
    assert_int_equal(st.n_prefill_tok, 200 + HOUSE_CTX - 10);
    assert_int_equal(st.n_decode_tok, 29 + 4);
    house_check_alone(&h, &r[0], &o[0]);
    close_all(&h, 2);
}

static void sleepers_draw_nothing(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    begin(&h, 0, 1, 0, 100, 30);
    begin(&h, 1, 1, 0, 100, 30);
    while (r[0].n_out < 5)
        assert_true(house_step(&h));
    sb_seq_pause(r[0].q, true);
    const int32_t n = r[0].n_out;
    house_drain(&h); /* 1 ends, 0 sleeps on */
    assert_int_equal(atomic_load(&r[1].n_ends), 1);
    assert_int_equal(r[0].n_out, n);
    assert_int_equal(sb_sched_get_stats(h.sched).n_paused, 1);
    assert_true(sb_sched_get_stats(h.sched).pages_held > 0);
    begin(&h, 2, 1, 0, 100, 40);
    begin(&h, 3, 1, 0, 100, 40); /* takes the sleeper's place */
    for (int i = 0; i < 10; i++)
        assert_true(house_step(&h));
    assert_true(r[2].n_out && r[3].n_out);
    assert_int_equal(sb_sched_get_stats(h.sched).n_preempted, 1);
    sb_seq_pause(r[0].q, false);
    assert_int_equal(sb_seq_place(r[0].q), 0);
    house_drain(&h);
    for (int i = 0; i < 4; i++)
        house_check_alone(&h, &r[i], &o[i]);
    close_all(&h, 4);
}

static void the_cancelled_are_out_within_one_step(void **state)
{
    (void)state;
    sb_engine_opts eo = house_opts(2);
    eo.n_rows = 40;
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    begin(&h, 0, 1, 0, 10, 40);
    begin(&h, 1, 1, 0, 440, 10);
    begin(&h, 2, 1, 0, 10, 10);
    begin(&h, 3, 1, 0, 10, 10);
    while (r[0].n_out < 2)
        assert_true(house_step(&h));
    assert_true(r[1].n_prefilled < 440 && !r[1].n_out);
    for (int i = 0; i < 3; i++) { /* decoding, in its prompt, waiting */
        sb_seq_cancel(r[i].q);
        sb_seq_cancel(r[i].q);
    }
    const int32_t n = r[0].n_out;
    assert_true(house_step(&h));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&r[i].n_ends), 1);
        assert_int_equal(r[i].why, SB_SEQ_CANCELLED);
    }
    assert_int_equal(r[0].n_out, n);
    assert_int_equal(r[3].n_out, 1); /* it had the free place in that step */
    house_drain(&h);
    sb_seq_cancel(r[3].q); /* over already */
    house_check_alone(&h, &r[3], &o[3]);
    assert_int_equal(sb_sched_get_stats(h.sched).n_cancelled, 3);
    assert_int_equal(sb_sched_get_stats(h.sched).pages_held, 0);
    close_all(&h, 4);
}

static void freeing_ends_those_left(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(1);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    for (int i = 0; i < 3; i++)
        begin(&h, i, 1, 0, 50, 40);
    for (int i = 0; i < 5; i++)
        assert_true(house_step(&h));
    sb_sched_free(h.sched);
    h.sched = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&r[i].n_ends), 1);
        assert_int_equal(r[i].why, SB_SEQ_CANCELLED);
        sb_seq_cancel(r[i].q); /* still ours */
        assert_int_equal(sb_seq_place(r[i].q), 0);
    }
    close_all(&h, 3);
}

/* As if a step took base_ns, and row_ns more for each row that is above 1. */
static void set_pace(house *h, double base_ns, double row_ns)
{
    sb_pace *p = &h->sched->pace;
    for (int kind = 0; kind < 2; kind++)
        for (int k = 0; k < SB_PACE_KNOTS; k++)
            p->knot_ns[kind][k] = base_ns + row_ns * ((1 << k) - 1);
    p->ns_per_byte[0] = p->ns_per_byte[1] = 1e-9;
}

/* Many streams of one share beside one of another: where rows cost time, each share gets one. */
static void many_streams_of_one_share_cost_others_little(void **state)
{
    (void)state;
    enum { GREEDY = 8 };
    const sb_engine_opts eo = house_opts(GREEDY + 1);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    for (int i = 0; i <= GREEDY; i++)
        begin(&h, i, i < GREEDY ? 1 : 2, 0, 20, 300);
    for (int i = 0; i <= GREEDY; i++)
        while (!r[i].n_out)
            assert_true(house_step(&h));
    for (int round = 0; round < 2; round++) {
        const bool dear = round == 0;
        int32_t before[GREEDY + 1], greedy = 0;
        for (int i = 0; i <= GREEDY; i++)
            before[i] = r[i].n_out;
        for (int k = 0; k < 2 * GREEDY; k++) {
            set_pace(&h, 1e6, dear ? 1e6 : 0);
            assert_true(house_step(&h));
        }
        for (int i = 0; i < GREEDY; i++) {
            const int32_t n = r[i].n_out - before[i];
            greedy += n;
            assert_int_equal(n, dear ? 2 : 2 * GREEDY); /* its streams take turns */
        }
        assert_int_equal(r[GREEDY].n_out - before[GREEDY], 2 * GREEDY);
        assert_int_equal(greedy, dear ? 2 * GREEDY : 2 * GREEDY * GREEDY);
    }
    house_drain(&h);
    for (int i = 0; i <= GREEDY; i++)
        assert_int_equal(r[i].why, SB_SEQ_LENGTH);
    close_all(&h, GREEDY + 1);
}

/* A house in which sequence 0, of share 1, decodes n_out tokens. */
static house open_decoding(int32_t n_sessions, int32_t n_out)
{
    const sb_engine_opts eo = house_opts(n_sessions);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    begin(&h, 0, 1, 0, 20, n_out);
    while (!r[0].n_out)
        assert_true(house_step(&h));
    return h;
}

/* Chunks beside a stream take what is left of 180 %; alone, 200 ms; now and then none. */
static void chunks_are_cut_by_time(void **state)
{
    (void)state;
    house h = open_decoding(3, 60);
    const double prompt_row = (double)h.rig.engine->ops_per_row / h.sched->row_ops;
    begin(&h, 1, 2, 0, 400, 1);
    int32_t n = 0;
    for (int k = 0; k < 6; k++) {
        set_pace(&h, 1e6, 1e5); /* 8 rows for 0.8 ms */
        h.sched->n_since_burst = 0;
        const int32_t out = r[0].n_out;
        assert_true(house_step(&h));
        assert_int_equal(r[0].n_out, out + 1);
        assert_int_equal(r[1].n_prefilled - n, (int32_t)(8 / prompt_row));
        n = r[1].n_prefilled;
    }
    h.sched->n_mixed = 64;
    set_pace(&h, 1e6, 1e5);
    assert_true(house_step(&h)); /* none, to see what a step without takes */
    assert_int_equal(r[1].n_prefilled, n);
    sb_seq_cancel(r[0].q);
    set_pace(&h, 1e6, 2e6);
    assert_true(house_step(&h)); /* alone: 200 ms */
    assert_in_range(r[1].n_prefilled - n, 100 / prompt_row - 2, 100 / prompt_row + 2);
    house_drain(&h);
    house_check_alone(&h, &r[1], &o[1]);
    close_all(&h, 2);
}

/* Up to eight rows for the price of one, as where reading the weights is what a step costs: a short
 * prompt that does not fit whole comes in at once, in parts. */
static void free_rows_do_not_keep_a_prompt_out(void **state)
{
    (void)state;
    house h = open_decoding(2, 200);
    begin(&h, 1, 2, 0, 40, 1);
    h.sched->n_since_burst = h.sched->n_since_stall = 0;
    for (int kind = 0; kind < 2; kind++)
        for (int k = 0; k < SB_PACE_KNOTS; k++)
            h.sched->pace.knot_ns[kind][k] = 15e6 * (k <= 3 ? 1 : 1 << (k - 3));
    h.sched->pace.ns_per_byte[0] = h.sched->pace.ns_per_byte[1] = 1e-3;
    assert_true(house_step(&h));
    assert_in_range(r[1].n_prefilled, 8, 16);
    house_drain(&h);
    house_check_alone(&h, &r[1], &o[1]);
    close_all(&h, 2);
}

/* Where looking back is what a row costs, a stream is left alone, and every 25th step takes many
 * rows, of 50 ms. */
static void far_into_a_prompt_chunks_are_rare(void **state)
{
    (void)state;
    house h = open_decoding(2, 200);
    begin(&h, 1, 2, 0, 450, 1);
    set_pace(&h, 1e6, 1e4); /* some 80 rows */
    h.sched->n_since_burst = 0;
    assert_true(house_step(&h));
    int32_t n = r[1].n_prefilled, n_stalls = 0;
    h.sched->n_since_stall = 0;
    for (int k = 0; k < 50 && r[1].n_prefilled < 450; k++) {
        set_pace(&h, 1e6, 0);
        h.sched->pace.ns_per_byte[0] = 1e6 / (double)sb_kv_bytes_read(h.rig.engine, n, 1);
        h.sched->n_since_burst = h.sched->n_mixed = 0;
        const int32_t out = r[0].n_out;
        assert_true(house_step(&h));
        assert_int_equal(r[0].n_out, out + 1);
        if (r[1].n_prefilled == n) continue;
        assert_int_equal(k % 25, 24);
        assert_in_range(r[1].n_prefilled - n, 40, 55); /* a row costs a millisecond and more */
        n = r[1].n_prefilled;
        n_stalls++;
    }
    assert_int_equal(n_stalls, 2);
    house_drain(&h);
    for (int i = 0; i <= 1; i++)
        house_check_alone(&h, &r[i], &o[i]);
    close_all(&h, 2);
}

/* As on a small model: a share of a step holds so few rows that a long prompt is read sooner, and a
 * stream disturbed less, by many rows now and then; its end, or a short one, is not. */
static void long_prompts_of_cheap_rows_come_in_bursts(void **state)
{
    (void)state;
    house h = open_decoding(3, 200);
    for (int i = 1; i <= 2; i++) {
        begin(&h, i, 2, 0, i == 1 ? 450 : 60, 1);
        h.sched->n_since_stall = h.sched->n_since_burst = h.sched->n_mixed = 0;
        set_pace(&h, 1e6, 5e5); /* one row and a bit for 0.8 ms, some 100 for 50 ms */
        assert_true(house_step(&h));
        assert_in_range(r[i].n_prefilled, i == 1 ? 0 : 1, i == 1 ? 0 : 3);
    }
    h.sched->n_since_stall = 24;
    h.sched->n_since_burst = 0;
    sb_seq_cancel(r[2].q);
    set_pace(&h, 1e6, 5e5);
    assert_true(house_step(&h));
    assert_in_range(r[1].n_prefilled, 80, 120);
    house_drain(&h);
    house_check_alone(&h, &r[1], &o[1]);
    close_all(&h, 3);
}

/* Eight prompts beside one that decodes may take eight times as much, if they are of one share; of
 * another share they are worth no more than what they disturb. */
static void many_prompts_pass_few_who_decode(void **state)
{
    (void)state;
    enum { MANY = 8 };
    for (uint64_t share = 1; share <= 2; share++) {
        house h = open_decoding(MANY + 1, 60);
        const double prompt_row = (double)h.rig.engine->ops_per_row / h.sched->row_ops;
        for (int i = 1; i <= MANY; i++)
            begin(&h, i, share, 0, 400, 1);
        set_pace(&h, 1e6, 1e5); /* a row costs 0.1 ms: 8 rows, or 64 */
        h.sched->n_since_burst = 0;
        assert_true(house_step(&h));
        int32_t n = 0;
        for (int i = 1; i <= MANY; i++)
            n += r[i].n_prefilled;
        const double want = (share == 1 ? 64 : 8) / prompt_row;
        assert_in_range(n, want - 2, want + 1);
        for (int i = 0; i <= MANY; i++)
            sb_seq_cancel(r[i].q);
        house_drain(&h);
        close_all(&h, MANY + 1);
    }
}

/* A short prompt is finished at once, but not in each step. */
static void bursts_finish_short_prompts(void **state)
{
    (void)state;
    enum { SHORT = 40 };
    house h = open_decoding(4, 200);
    for (int i = 1; i <= 3; i++) { /* 40 rows: 5 ms; 440 rows: 45 ms, too long for a burst */
        begin(&h, i, 2, 0, i == 2 ? 440 : SHORT, 1);
        h.sched->n_since_burst = i == 3 ? 0 : 8;
        set_pace(&h, 1e6, 1e5);
        assert_true(house_step(&h));
        assert_int_equal(r[i].n_out, i == 1);
        if (i == 1) assert_int_equal(h.sched->n_since_burst, 0);
        if (i == 2) assert_in_range(r[i].n_prefilled, 5, 12);
        if (i == 3) assert_in_range(r[i].n_prefilled, 1, 12);
    }
    house_drain(&h);
    for (int i = 0; i <= 3; i++)
        house_check_alone(&h, &r[i], &o[i]);
    close_all(&h, 4);
}

/* A short prompt does not stand behind a long one that came first. */
static void a_question_passes_a_book(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(3);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    begin(&h, 0, 1, 0, 440, 5);
    begin(&h, 1, 1, 0, 30, 5);
    int n = 0;
    for (; !r[1].n_out; n++) {
        set_pace(&h, 1e6, 4e6); /* some 50 rows in 200 ms, 64 at least */
        assert_true(house_step(&h));
    }
    assert_true(n <= 2 && r[0].n_prefilled > 0);
    house_drain(&h);
    close_all(&h, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_kept),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_greedy_share_waits_behind_others),
        cmocka_unit_test(weights_weigh),
        cmocka_unit_test(the_urgent_displace_the_others),
        cmocka_unit_test(what_is_computed_again_is_counted),
        cmocka_unit_test(sleepers_draw_nothing),
        cmocka_unit_test(the_cancelled_are_out_within_one_step),
        cmocka_unit_test(freeing_ends_those_left),
        cmocka_unit_test(many_streams_of_one_share_cost_others_little),
        cmocka_unit_test(chunks_are_cut_by_time),
        cmocka_unit_test(free_rows_do_not_keep_a_prompt_out),
        cmocka_unit_test(far_into_a_prompt_chunks_are_rare),
        cmocka_unit_test(long_prompts_of_cheap_rows_come_in_bursts),
        cmocka_unit_test(many_prompts_pass_few_who_decode),
        cmocka_unit_test(bursts_finish_short_prompts),
        cmocka_unit_test(a_question_passes_a_book),
    };
    return cmocka_run_group_tests(tests, fill_ids, house_drop_model);
}
