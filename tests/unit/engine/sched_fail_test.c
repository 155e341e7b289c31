/* SPDX-License-Identifier: Apache-2.0
 * sched_fail_test.c - broken numbers, a changed file, refused memory: who fails, who goes on. */
#include "base/alloc.h"
#include "engine/sched_state.h"
#include "house.h"
#include "starve.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int32_t ids[HOUSE_CTX];

/* Copies a model, with `n` bytes of 0xff from `at` on. */
static void copy_broken(const char *from, const char *to, uint64_t at, uint64_t n)
{
    FILE *f = fopen(from, "rb"), *g = fopen(to, "wb");
    assert_non_null(f);
    assert_non_null(g);
    uint64_t pos = 0;
    for (int c; (c = fgetc(f)) != EOF; pos++)
        (void)fputc(pos >= at && pos < at + n ? 0xff : c, g);
    (void)fclose(f);
    (void)fclose(g);
}

/* A prompt with the one token whose embedding is not a number fails; those beside it do not. */
static void only_the_guilty_one_fails(void **state)
{
    (void)state;
    enum { N = 6, BAD_ID = 77 };
    char whole[160], broken[160];
    (void)snprintf(whole, sizeof whole, "%s-untied", house_model());
    (void)snprintf(broken, sizeof broken, "%s-nan", house_model());
    sb_tiny t;
    sb_rig rig;
    sb_error err = {0};
    sb_sched *s = NULL;
    sb_tiny_defaults(&t);
    t.tied = false; /* a head of its own: else every logit of that token would be broken */
    t.n_vocab = HOUSE_VOCAB;
    const sb_engine_opts eo = house_opts(N);
    if (sb_tiny_write(&t, whole, &err) != SB_OK) fail_msg("%s", err.msg);
    if (sb_rig_open(&rig, whole, 1, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    const sb_weight *w = &rig.model->weights[sb_model_weight(rig.model, SB_T_TOKEN_EMBD, -1)];
    const uint64_t row_bytes = sb_format_row_bytes(w->format, w->k);
    copy_broken(whole, broken, w->offset + BAD_ID * row_bytes, row_bytes);
    const sb_sched_opts so = {.max_queue = 8};
    static int32_t all[N][HOUSE_CTX], alone[N][10], n_alone[N];
    const sb_logit_bias never = {.id = BAD_ID, .bias = -INFINITY};
    sb_rig_seq r[N];
    sb_seq_opts o[N];
    for (int i = 0; i < N; i++) {
        house_ids(all[i], HOUSE_CTX, (uint64_t)(20 + i));
        for (int k = 0; k < HOUSE_CTX; k++)
            if (all[i][k] == BAD_ID) all[i][k]++;
        if (i == 2 || i == 4) all[i][19] = BAD_ID; /* the head sees it in the last row */
        o[i] = sb_rig_seq_opts(&r[i], all[i], i == 2 || i == 4 ? 20 : 30 + 40 * i, 10);
        o[i].sampling.bias = &never;
        o[i].sampling.n_bias = 1;
        o[i].scope = (uint64_t)i;
        assert_int_equal(sb_rig_alone(rig.engine, &o[i], alone[i], &n_alone[i], &err), SB_OK);
    }
    sb_rig_close(&rig);
    if (sb_rig_open(&rig, broken, 2, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(sb_sched_new(&s, rig.engine, &so, &err), SB_OK);
    for (int i = 0; i < N; i++)
        assert_int_equal(sb_rig_seq_begin(&r[i], s, &o[i], &err), SB_OK);
    sb_rig_drain(s);
    for (int i = 0; i < N; i++) {
        assert_int_equal(atomic_load(&r[i].n_ends), 1);
        if (i == 2 || i == 4) {
            assert_int_equal(r[i].why, SB_SEQ_FAILED);
            assert_int_equal(r[i].err.code, SB_CORRUPT);
            assert_non_null(strstr(r[i].err.msg, "numeric error"));
        } else {
            assert_int_equal(r[i].n_out, n_alone[i]);
            assert_memory_equal(r[i].out, alone[i], (size_t)n_alone[i] * sizeof alone[i][0]);
        }
        sb_rig_seq_end(&r[i]);
    }
    assert_int_equal(sb_sched_get_stats(s).pages_held, 0);
    sb_sched_free(s);
    sb_rig_close(&rig);
    (void)unlink(whole);
    (void)unlink(broken);
}

static void a_changed_file_fails_all_cleanly(void **state)
{
    (void)state;
    enum { N = 5 };
    char copy[160];
    (void)snprintf(copy, sizeof copy, "%s-copy", house_model());
    copy_broken(house_model(), copy, 0, 0);
    sb_rig rig;
    sb_error err = {0};
    sb_sched *s = NULL;
    const sb_engine_opts eo = house_opts(2);
    const sb_sched_opts so = {.max_queue = 8};
    if (sb_rig_open(&rig, copy, 1, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(sb_sched_new(&s, rig.engine, &so, &err), SB_OK);
    house_ids(ids, HOUSE_CTX, 3);
    sb_rig_seq r[N];
    for (int i = 0; i < N; i++) {
        sb_seq_opts o = sb_rig_seq_opts(&r[i], ids + i, 60, 50);
        o.ignore_end = true;
        assert_int_equal(sb_rig_seq_begin(&r[i], s, &o, &err), SB_OK);
    }
    bool did = false;
    while (r[0].n_out < 3)
        sb_sched_step(s, &did);
    FILE *f = fopen(copy, "r+b");
    assert_non_null(f);
    (void)fputc('X', f);
    (void)fclose(f);
    sb_rig_drain(s);
    for (int i = 0; i < N; i++) {
        assert_int_equal(atomic_load(&r[i].n_ends), 1);
        assert_int_equal(r[i].why, SB_SEQ_FAILED);
        assert_int_equal(r[i].err.code, SB_IO);
        sb_rig_seq_end(&r[i]);
    }
    sb_sched_free(s);
    sb_rig_close(&rig);
    (void)unlink(copy);
}

static void refused_memory_leaves_nothing(void **state)
{
    (void)state;
    sb_rig rig;
    sb_error err = {0};
    const sb_engine_opts eo = house_opts(3);
    if (sb_rig_open(&rig, house_model(), 1, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    const sb_sched_opts so = {.max_queue = 4};
    const long live = starve_live();
    sb_sched *s = NULL;
    bool refused = true;
    for (long n = 0; refused; n++) {
        starve_from(n, false);
        const sb_status st = sb_sched_new(&s, rig.engine, &so, &err);
        refused = starve_end();
        assert_int_equal(st, refused ? SB_NO_MEMORY : SB_OK);
        if (refused) assert_int_equal(starve_live(), live);
    }
    house_ids(ids, HOUSE_CTX, 3);
    const sb_logit_bias bias = {.id = 3, .bias = 1};
    const long with_sched = starve_live();
    refused = true;
    for (long n = 0; refused; n++) {
        sb_rig_seq r;
        sb_seq_opts o = sb_rig_seq_opts(&r, ids, 40, 5);
        o.sampling.repeat_penalty = 1.5f;
        o.sampling.bias = &bias;
        o.sampling.n_bias = 1;
        starve_from(n, false);
        const sb_status st = sb_sched_submit(s, &o, &r.q, &err);
        refused = starve_end();
        assert_int_equal(st, refused ? SB_NO_MEMORY : SB_OK);
        if (refused) {
            assert_int_equal(atomic_load(&r.n_ends), 0);
        } else {
            sb_rig_drain(s);
            assert_int_equal(atomic_load(&r.n_ends), 1);
            sb_rig_seq_end(&r);
        }
        assert_int_equal(starve_live(), with_sched);
    }
    sb_sched_free(s);
    assert_int_equal(starve_live(), live);
    sb_rig_close(&rig);
}

/* Admission, cached prefixes, displacing, eviction and drawing: all without the heap. */
static void a_step_allocates_nothing(void **state)
{
    (void)state;
    enum { N = 12 };
    static int32_t all[N][HOUSE_CTX];
    sb_memory_plan one = {0};
    sb_error err = {0};
    sb_engine_opts eo = house_opts(1);
    house h = house_open(&eo, 1, (sb_sched_opts){0});
    assert_int_equal(sb_engine_plan_memory(h.rig.model, &eo, 1, &one, &err), SB_OK);
    house_close(&h);
    eo.n_sessions = 3;
    eo.kv_bytes = one.kv_bytes;
    h = house_open(&eo, 1, (sb_sched_opts){0});
    sb_rig_seq r[N + 1];
    sb_seq_opts o[N + 1];
    for (int i = 0; i < N; i++) {
        house_ids(all[i], HOUSE_CTX, (uint64_t)(i / 2));
        o[i] = sb_rig_seq_opts(&r[i], all[i], 10 + 30 * i, 20);
        o[i].sampling = (sb_sampling){.temp = 1, .top_p = 0.9f, .repeat_penalty = 1.1f};
        house_begin(&h, &r[i], &o[i]);
    }
    const uint64_t before = sb_alloc_forbidden_count();
    bool did = true;
    for (int k = 0; did; k++) {
        if (k == 9) { /* submitting may */
            o[N] = sb_rig_seq_opts(&r[N], all[0], 200, 20);
            o[N].priority = 1;
            house_begin(&h, &r[N], &o[N]);
        }
        sb_alloc_forbid_begin();
        sb_sched_step(h.sched, &did);
        sb_alloc_forbid_end();
    }
    assert_int_equal(sb_alloc_forbidden_count(), before);
    for (int i = 0; i <= N; i++) {
        house_check_alone(&h, &r[i], &o[i]);
        sb_rig_seq_end(&r[i]);
    }
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_guilty_one_fails),
        cmocka_unit_test(a_changed_file_fails_all_cleanly),
        cmocka_unit_test(refused_memory_leaves_nothing),
        cmocka_unit_test(a_step_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, house_make_model, house_drop_model);
}
