/* SPDX-License-Identifier: Apache-2.0
 * sched_test.c - the scheduler: same tokens in every company, ends, prefixes, records. */
#include "base/alloc.h"
#include "house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <math.h>
#include <string.h>

/* More than there is room for, prompts that share beginnings, greedy and drawn. */
static void check_crowd(sb_kv_type kv, int n_threads, int32_t n_rows)
{
    enum { N = 9 };
    static int32_t ids[N][HOUSE_CTX];
    sb_engine_opts eo = house_opts(4);
    eo.kv = kv;
    eo.n_rows = n_rows;
    house h = house_open(&eo, n_threads, (sb_sched_opts){0});
    sb_rig_seq r[N];
    sb_seq_opts o[N];
    for (int i = 0; i < N; i++) {
        house_ids(ids[i], HOUSE_CTX, (uint64_t)(1 + i / 2));
        o[i] = sb_rig_seq_opts(&r[i], ids[i], 1 + 45 * i, 20);
        if (i % 3 == 1) o[i].sampling = (sb_sampling){.temp = 1, .top_p = 0.9f, .seed = 5};
        house_begin(&h, &r[i], &o[i]);
    }
    house_drain(&h);
    for (int i = 0; i < N; i++) {
        house_check_alone(&h, &r[i], &o[i]);
        sb_rig_seq_end(&r[i]);
    }
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    assert_int_equal(st.n_ended, N);
    assert_int_equal(st.pages_held, 0);
    assert_true(st.pages_cached > 0 && st.n_cached_tok > 0);
    house_close(&h);
}

static void a_crowd_gets_what_each_gets_alone(void **state)
{
    (void)state;
    for (int kv = 0; kv < SB_KV_TYPE_COUNT; kv++)
        for (int n_threads = 1; n_threads <= 3; n_threads++)
            check_crowd((sb_kv_type)kv, n_threads, HOUSE_CTX);
    check_crowd(SB_KV_BF16, 2, 1);
    check_crowd(SB_KV_BF16, 2, 5);
}

static void it_ends_for_the_right_reason(void **state)
{
    (void)state;
    static int32_t ids[HOUSE_CTX];
    const sb_engine_opts eo = house_opts(4);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    house_ids(ids, HOUSE_CTX, 3);
    const sb_logit_bias end = {.id = house_end_id(&h), .bias = 100};
    sb_rig_seq r[5];
    sb_seq_opts o[5];
    o[0] = sb_rig_seq_opts(&r[0], ids, 50, 7); /* as many as asked for */
    o[1] = sb_rig_seq_opts(&r[1], ids, 60, 0); /* none */
    o[2] = sb_rig_seq_opts(&r[2], ids, HOUSE_CTX - 1, -1);
    o[3] = sb_rig_seq_opts(&r[3], ids, 80, 30);
    r[3].stop_after = 4;
    o[4] = sb_rig_seq_opts(&r[4], ids, 90, 30);
    o[4].sampling.bias = &end;
    o[4].sampling.n_bias = 1;
    for (int i = 0; i < 5; i++)
        house_begin(&h, &r[i], &o[i]);
    house_drain(&h);
    static const sb_seq_end why[] = {SB_SEQ_LENGTH, SB_SEQ_LENGTH, SB_SEQ_LENGTH, SB_SEQ_STOPPED,
                                     SB_SEQ_END_TOKEN};
    static const int32_t n_out[] = {7, 0, 2, 4, 0}; /* 2: the last position's token is not fed */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(atomic_load(&r[i].n_ends), 1);
        assert_int_equal(r[i].why, why[i]);
        assert_int_equal(r[i].n_out, n_out[i]);
        assert_int_equal(r[i].n_prefilled, r[i].n_ids);
        sb_rig_seq_end(&r[i]);
    }
    o[4] = sb_rig_seq_opts(&r[4], ids, 90, 9); /* the same, but it may not end */
    o[4].sampling.bias = &end;
    o[4].sampling.n_bias = 1;
    o[4].ignore_end = true;
    house_begin(&h, &r[4], &o[4]);
    house_drain(&h);
    assert_int_equal(r[4].why, SB_SEQ_LENGTH);
    assert_int_equal(r[4].n_out, 9);
    for (int i = 0; i < 9; i++)
        assert_false(sb_tokenizer_is_end(h.rig.model->tok, r[4].out[i]));
    sb_rig_seq_end(&r[4]);
    house_close(&h);
}

/* Sixteen answers drawn from a few logits; how many ended before they were full. */
static int n_ended(house *h, bool ignore_end)
{
    enum { MANY = 16, N_OUT = 300 };
    static int32_t ids[MANY][HOUSE_CTX];
    static sb_rig_seq r[MANY];
    sb_seq_opts o[MANY];
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        house_ids(ids[i], HOUSE_CTX, (uint64_t)i + 1);
        o[i] = sb_rig_seq_opts(&r[i], ids[i], 20, N_OUT);
        o[i].sampling = (sb_sampling){.temp = 5, .top_k = 40, .top_p = 1, .seed = (uint64_t)i};
        o[i].ignore_end = ignore_end;
        house_begin(h, &r[i], &o[i]);
    }
    house_drain(h);
    for (int i = 0; i < MANY; i++) {
        n += r[i].why == SB_SEQ_END_TOKEN;
        for (int32_t k = 0; ignore_end && k < r[i].n_out; k++)
            assert_false(sb_tokenizer_is_end(h->rig.model->tok, r[i].out[k]));
        sb_rig_seq_end(&r[i]);
    }
    return n;
}

static void few_logits_may_hold_ends_that_are_barred(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(16);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    assert_true(n_ended(&h, false) > 0); /* or nothing was barred below */
    assert_int_equal(n_ended(&h, true), 0);
    house_close(&h);
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    static int32_t ids[HOUSE_CTX];
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    house_ids(ids, HOUSE_CTX, 3);
    sb_rig_seq r;
    sb_error err = {0};
    const sb_seq_opts good = sb_rig_seq_opts(&r, ids, 5, 5);
    const struct {
        sb_status status;
        sb_seq_opts o;
    } bad[] = {
        {SB_LIMIT, {.n_ids = HOUSE_CTX, .owner = 1}},
        {SB_INVALID, {.n_ids = 0, .owner = 1}},
        {SB_INVALID, {.n_ids = 5, .owner = 0}},
        {SB_INVALID, {.n_ids = 5, .owner = 1, .max_tokens = -2}},
        {SB_INVALID, {.n_ids = 5, .owner = 1, .n_logprobs = SB_MAX_LOGPROBS + 1}},
        {SB_INVALID, {.n_ids = 5, .owner = 1, .sampling = {.temp = -1}}},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_seq_opts o = good;
        o.n_ids = bad[i].o.n_ids;
        o.owner = bad[i].o.owner;
        o.max_tokens = bad[i].o.max_tokens;
        o.n_logprobs = bad[i].o.n_logprobs;
        if (bad[i].o.sampling.temp < 0) o.sampling.temp = -1;
        assert_int_equal(sb_sched_submit(h.sched, &o, &r.q, &err), bad[i].status);
    }
    sb_seq_opts o = good;
    ids[2] = HOUSE_VOCAB;
    assert_int_equal(sb_sched_submit(h.sched, &o, &r.q, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "700"));
    o.on_end = NULL;
    ids[2] = 0;
    assert_int_equal(sb_sched_submit(h.sched, &o, &r.q, &err), SB_INVALID);
    assert_false(house_step(&h));
    assert_int_equal(atomic_load(&r.n_ends), 0);
    sb_sched *second = NULL;
    const sb_sched_opts so = {.max_queue = 4};
    assert_int_equal(sb_sched_new(&second, h.rig.engine, &so, &err), SB_BUSY);
    house_close(&h);
}

static void what_was_computed_is_not_computed_again(void **state)
{
    (void)state;
    static int32_t ids[HOUSE_CTX], other[HOUSE_CTX];
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    house_ids(ids, HOUSE_CTX, 4);
    assert_int_equal(house_once(&h, ids, 150, 1), 0);
    assert_int_equal(house_once(&h, ids, 150, 1), 149);
    assert_int_equal(house_once(&h, ids, 150, 2), 0); /* somebody else's */
    assert_int_equal(house_once(&h, ids, 230, 1), 150);
    /* Another word in the middle of a block, at the end of one, at the start. */
    static const int32_t at[] = {100, 127, 128, 3, 0};
    for (size_t i = 0; i < SB_ARRAY_LEN(at); i++) {
        memcpy(other, ids, sizeof ids);
        other[at[i]] = (other[at[i]] + 1) % HOUSE_VOCAB;
        assert_int_equal(house_once(&h, other, 200, 1), at[i]);
    }
    /* An answer that is said again with the next question. */
    sb_rig_seq r;
    sb_seq_opts o = sb_rig_seq_opts(&r, ids, 230, 30);
    o.ignore_end = true;
    house_begin(&h, &r, &o);
    house_drain(&h);
    memcpy(other, ids, sizeof ids);
    memcpy(other + 230, r.out, 30 * sizeof *other);
    sb_rig_seq_end(&r);
    assert_int_equal(house_once(&h, other, 300, 1), 230 + 29); /* the last one was never fed */
    sb_sched_forget(h.sched, 2);
    assert_int_equal(house_once(&h, ids, 150, 2), 0);
    assert_int_equal(house_once(&h, ids, 150, 1), 149);
    sb_sched_forget(h.sched, 0);
    assert_int_equal(house_once(&h, ids, 150, 1), 0);
    house_close(&h);
}

/* n sequences of n_ids same tokens (but the last, when differ): what was prefilled in all. */
static uint64_t prefill_together(int n, int32_t n_ids, bool differ, uint64_t *n_cached)
{
    static int32_t ids[8][HOUSE_CTX];
    const sb_engine_opts eo = house_opts(8);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    sb_rig_seq r[8];
    sb_seq_opts o[8];
    for (int i = 0; i < n; i++) {
        house_ids(ids[i], n_ids, 9);
        if (differ) ids[i][n_ids - 1] = i;
        o[i] = sb_rig_seq_opts(&r[i], ids[i], n_ids, 10);
        o[i].sampling = (sb_sampling){.temp = 1, .top_p = 1, .seed = (uint64_t)i};
        house_begin(&h, &r[i], &o[i]);
    }
    house_drain(&h);
    for (int i = 0; i < n; i++) {
        house_check_alone(&h, &r[i], &o[i]);
        sb_rig_seq_end(&r[i]);
    }
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    *n_cached = st.n_cached_tok;
    house_close(&h);
    return st.n_prefill_tok;
}

static void choices_prefill_once(void **state)
{
    (void)state;
    static const int32_t n_ids[] = {300, 128, 129, 64, 40, 7};
    uint64_t n_cached = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(n_ids); i++) {
        const uint64_t n = (uint64_t)n_ids[i];
        assert_int_equal(prefill_together(6, n_ids[i], false, &n_cached), n + 5);
        assert_int_equal(n_cached, 5 * (n - 1));
        assert_int_equal(prefill_together(6, n_ids[i], true, &n_cached), n + 5);
    }
}

/* One that comes while another decodes starts in the page that one is filling. */
static void a_page_being_filled_is_shared(void **state)
{
    (void)state;
    static int32_t ids[HOUSE_CTX];
    const sb_engine_opts eo = house_opts(4);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    sb_rig_seq a, b;
    house_ids(ids, HOUSE_CTX, 5);
    const sb_seq_opts oa = sb_rig_seq_opts(&a, ids, 100, 50);
    house_begin(&h, &a, &oa);
    while (a.n_out < 10)
        (void)house_step(&h);
    const sb_seq_opts ob = sb_rig_seq_opts(&b, ids, 130, 50);
    house_begin(&h, &b, &ob);
    house_drain(&h);
    assert_true(b.n_cached >= 100);
    house_check_alone(&h, &a, &oa);
    house_check_alone(&h, &b, &ob);
    sb_rig_seq_end(&a);
    sb_rig_seq_end(&b);
    house_close(&h);
}

typedef struct ledger {
    int64_t n_prefill[4], n_decode[4], n_again[4];
} ledger;

static void on_step(void *ctx, const sb_work_record *r)
{
    ledger *l = ctx;
    for (int32_t i = 0; i < r->n_part; i++) {
        const uint64_t owner = r->parts[i].owner;
        l->n_prefill[owner] += r->parts[i].n_prefill;
        l->n_decode[owner] += r->parts[i].n_decode;
        l->n_again[owner] += r->parts[i].n_recomputed;
    }
}

static void every_token_has_an_owner(void **state)
{
    (void)state;
    static int32_t ids[4][HOUSE_CTX];
    ledger l = {0};
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){.on_step = on_step, .ctx = &l});
    sb_rig_seq r[4];
    for (int i = 1; i < 4; i++) {
        house_ids(ids[i], HOUSE_CTX, (uint64_t)i);
        sb_seq_opts o = sb_rig_seq_opts(&r[i], ids[i], 60 * i, 5 * i);
        o.owner = (uint64_t)i;
        o.ignore_end = true;
        house_begin(&h, &r[i], &o);
    }
    house_drain(&h);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(l.n_prefill[i], 60 * i);
        assert_int_equal(l.n_decode[i], 5 * i - 1);
        assert_int_equal(l.n_again[i], 0);
        sb_rig_seq_end(&r[i]);
    }
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    assert_int_equal(st.n_prefill_tok, 360);
    assert_int_equal(st.n_decode_tok, 27);
    house_close(&h);
}

typedef struct lps {
    sb_rig_seq r;
    sb_token_logprob lp[HOUSE_OUT];
    int n;
} lps;

static bool keep_lp(void *ctx, int32_t id, const sb_token_logprob *lp)
{
    lps *l = ctx;
    assert_true(lp->top_ids[0] == id); /* greedy */
    l->lp[l->n++] = *lp;
    return true;
}

static void log_probabilities_are_handed_out(void **state)
{
    (void)state;
    static int32_t ids[HOUSE_CTX];
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    house_ids(ids, HOUSE_CTX, 6);
    static lps l;
    sb_seq_opts o = sb_rig_seq_opts(&l.r, ids, 20, 10);
    o.n_logprobs = 4;
    o.on_token = keep_lp;
    house_begin(&h, &l.r, &o);
    house_drain(&h);
    assert_true(l.n > 0);
    for (int i = 0; i < l.n; i++) {
        assert_int_equal(l.lp[i].n_top, 4);
        assert_true(l.lp[i].logprob < 0 && l.lp[i].logprob == l.lp[i].top[0]);
        assert_true(l.lp[i].top[0] >= l.lp[i].top[3] && isfinite(l.lp[i].top[3]));
    }
    sb_rig_seq_end(&l.r);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_gets_what_each_gets_alone),
        cmocka_unit_test(it_ends_for_the_right_reason),
        cmocka_unit_test(few_logits_may_hold_ends_that_are_barred),
        cmocka_unit_test(wrong_requests_are_refused),
        cmocka_unit_test(what_was_computed_is_not_computed_again),
        cmocka_unit_test(choices_prefill_once),
        cmocka_unit_test(a_page_being_filled_is_shared),
        cmocka_unit_test(every_token_has_an_owner),
        cmocka_unit_test(log_probabilities_are_handed_out),
    };
    return cmocka_run_group_tests(tests, house_make_model, house_drop_model);
}
