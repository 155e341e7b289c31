/* SPDX-License-Identifier: Apache-2.0
 * session_test.c - steps and sessions: limits, pages, records, no allocation, broken numbers. */
#include "base/alloc.h"
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
#include <string.h>
#include <unistd.h>

static char path[128];

static int make_model(void **state)
{
    (void)state;
    sb_tiny t;
    sb_tiny_defaults(&t);
    t.arch = "gemma3", t.format = SB_F_Q4_1, t.n_layers = 7, t.n_embd = 64, t.n_ff = 128;
    t.n_heads = 4, t.n_kv_heads = 2, t.head_dim = 32, t.window = 70, t.n_vocab = 700;
    (void)snprintf(path, sizeof path, "/tmp/sobre-session-%d.gguf", (int)getpid());
    sb_error err = {0};
    const sb_status s = sb_tiny_write(&t, path, &err);
    if (s != SB_OK) print_error("%s\n", err.msg);
    return s == SB_OK ? 0 : -1;
}

static int drop_model(void **state)
{
    (void)state;
    return unlink(path);
}

static sb_rig open_rig(int32_t n_ctx, int32_t n_rows)
{
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(n_ctx);
    o.n_rows = n_rows;
    if (sb_rig_open(&r, path, 2, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    return r;
}

static void limits_leave_sessions_unchanged(void **state)
{
    (void)state;
    sb_rig r = open_rig(100, 32);
    sb_session *s[4] = {0};
    sb_error err = {0};
    int32_t ids[200];
    sb_rig_ids(ids, 200, 700, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sb_session_open(&s[i], r.engine, 1, &err), SB_OK);
    assert_int_equal(sb_session_open(&s[3], r.engine, 1, &err), SB_LIMIT);
    sb_span a = {.s = s[0], .ids = ids, .n = 33};
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_LIMIT);
    a.n = 20;
    assert_int_equal(sb_engine_step(r.engine, (sb_span[]){a, a}, 2, &err), SB_INVALID);
    ids[3] = 700;
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "700"));
    ids[3] = 0;
    assert_int_equal(sb_session_n_pos(s[0]), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_OK);
    assert_int_equal(sb_session_room(s[0]), 0);
    a.n = 1;
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_LIMIT);
    assert_int_equal(sb_session_n_pos(s[0]), 100);
    for (int i = 0; i < 3; i++)
        sb_session_close(s[i]);
    sb_rig_close(&r);
}

/* Window layers give pages back and go on with a few; the answer equals a fresh session's. */
static void windows_reuse_their_pages(void **state)
{
    (void)state;
    enum { N = 900 };
    sb_rig r = open_rig(1000, 64);
    int32_t ids[N];
    sb_rig_ids(ids, N, 700, 2);
    float first[2 * 700], again[2 * 700];
    sb_error err = {0};
    assert_int_equal(sb_rig_run(&r, ids, N, 1, (sb_rig_way){.chunk = 64}, first, &err), SB_OK);
    for (int i = 0; i < 3; i++) /* pages used before by other tokens */
        assert_int_equal(
            sb_rig_run(&r, ids, N, 1, (sb_rig_way){.chunk = 50, .crowd = true}, again, &err),
            SB_OK);
    assert_memory_equal(first, again, sizeof first);
    sb_rig_close(&r);
}

static void rewinding_forgets(void **state)
{
    (void)state;
    sb_rig r = open_rig(400, 64);
    sb_session *s = NULL;
    sb_error err = {0};
    int32_t ids[64];
    float first[700];
    sb_rig_ids(ids, 64, 700, 3);
    assert_int_equal(sb_session_open(&s, r.engine, 1, &err), SB_OK);
    sb_span a = {.s = s, .ids = ids, .n = 64, .want = SB_WANT_LAST};
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_OK);
    memcpy(first, sb_engine_logits(r.engine, 0, 0), sizeof first);
    assert_int_equal(sb_session_rewind(s, 65, &err), SB_INVALID);
    assert_int_equal(sb_session_rewind(s, 30, &err), SB_OK);
    a.ids = ids + 30, a.n = 34;
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_OK);
    assert_memory_equal(first, sb_engine_logits(r.engine, 0, 0), sizeof first);
    for (int i = 0; i < 4; i++) {
        a.ids = ids, a.n = 64;
        assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_OK);
    }
    assert_int_equal(sb_session_rewind(s, 10, &err), SB_INVALID); /* the window moved on */
    assert_int_equal(sb_session_rewind(s, 0, &err), SB_OK);
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_OK);
    assert_memory_equal(first, sb_engine_logits(r.engine, 0, 0), sizeof first);
    sb_session_close(s);
    sb_rig_close(&r);
}

static void steps_allocate_nothing_and_tell_who_worked(void **state)
{
    (void)state;
    sb_rig r = open_rig(300, 64);
    sb_session *s[2] = {0};
    sb_error err = {0};
    int32_t ids[64];
    sb_rig_ids(ids, 64, 700, 4);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sb_session_open(&s[i], r.engine, 10 + (uint64_t)i, &err), SB_OK);
    const uint64_t refused = sb_alloc_forbidden_count();
    for (int step = 1; step <= 3; step++) {
        const sb_span spans[] = {
            {.s = s[0], .ids = ids, .n = 20, .want = SB_WANT_ALL},
            {.s = s[1], .ids = ids, .n = 1, .want = SB_WANT_LAST, .is_decode = true}};
        sb_alloc_forbid_begin();
        const sb_status st = sb_engine_step(r.engine, spans, 2, &err);
        sb_alloc_forbid_end();
        assert_int_equal(st, SB_OK);
        const sb_work_record *w = sb_engine_record(r.engine);
        assert_int_equal(w->i_step, step);
        assert_int_equal(w->n_part, 2);
        assert_int_equal(w->parts[0].owner, 10);
        assert_int_equal(w->parts[0].n_prefill, 20);
        assert_int_equal(w->parts[0].n_decode, 0);
        assert_int_equal(w->parts[1].n_decode, 1);
        assert_true(w->parts[0].n_ops > 19 * w->parts[1].n_ops);
        assert_true(w->parts[0].kv_bytes > w->parts[1].kv_bytes && w->parts[1].kv_bytes > 0);
        assert_true(w->end_ns > w->begin_ns && w->dense_bytes > 0 && w->n_threads == 2);
    }
    assert_int_equal(sb_alloc_forbidden_count(), refused);
    assert_null(sb_engine_logits(r.engine, 0, 20));
    assert_null(sb_engine_logits(r.engine, 2, 0));
    assert_non_null(sb_engine_logits(r.engine, 0, 19));
    for (int i = 0; i < 2; i++)
        sb_session_close(s[i]);
    sb_rig_close(&r);
}

static void memory_is_planned_by_the_code_that_takes_it(void **state)
{
    (void)state;
    sb_rig r = open_rig(300, 64);
    sb_memory_plan p = {0}, small = {0};
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(300);
    assert_int_equal(sb_engine_plan_memory(r.model, &o, 2, &p, &err), SB_OK);
    o.n_sessions = 1;
    assert_int_equal(sb_engine_plan_memory(r.model, &o, 2, &small, &err), SB_OK);
    assert_true(p.packed_bytes > 0 && p.work_bytes > 0 && p.logits_bytes > 0);
    assert_true(p.kv_bytes == 3 * small.kv_bytes && p.packed_bytes == small.packed_bytes);
    o.n_ctx = 0;
    assert_int_equal(sb_engine_plan_memory(r.model, &o, 2, &p, &err), SB_INVALID);
    sb_rig_close(&r);
}

/* A weight that is not a number ends the step with a clear error and leaves the engine usable. */
static void broken_numbers_are_an_error(void **state)
{
    (void)state;
    FILE *f = fopen(path, "rb");
    char broken[160];
    (void)snprintf(broken, sizeof broken, "%s-nan", path);
    FILE *g = fopen(broken, "wb");
    assert_non_null(f);
    assert_non_null(g);
    sb_rig r = open_rig(64, 64);
    const uint64_t at = r.model->weights[sb_model_weight(r.model, SB_T_OUTPUT_NORM, -1)].offset;
    sb_rig_close(&r);
    uint64_t pos = 0;
    for (int c; (c = fgetc(f)) != EOF; pos++)
        (void)fputc(pos >= at && pos < at + 4 ? 0xff : c, g);
    (void)fclose(f);
    (void)fclose(g);
    sb_error err = {0};
    const sb_engine_opts o = sb_rig_opts(64);
    assert_int_equal(sb_rig_open(&r, broken, 2, &o, &err), SB_OK);
    sb_session *s = NULL;
    const int32_t id = 5;
    assert_int_equal(sb_session_open(&s, r.engine, 1, &err), SB_OK);
    const sb_span a = {.s = s, .ids = &id, .n = 1, .want = SB_WANT_LAST};
    assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_CORRUPT);
    assert_non_null(strstr(err.msg, "numeric error: tensor 'output_norm.weight'"));
    assert_int_equal(sb_session_n_pos(s), 0);
    sb_session_close(s);
    sb_rig_close(&r);
    (void)unlink(broken);
}

/* A prompt, then tokens one by one: the logits after each, and the threads that computed them. */
static void run_few(int n_decode, float *logits, int32_t n_threads[4])
{
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(100);
    o.n_decode_threads = n_decode;
    int32_t ids[43];
    sb_rig_ids(ids, 43, 700, 6);
    sb_session *s = NULL;
    if (sb_rig_open(&r, path, 4, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(sb_session_open(&s, r.engine, 1, &err), SB_OK);
    for (int i = 0; i < 4; i++) {
        const sb_span a = {.s = s,
                           .ids = ids + (i ? 39 + i : 0),
                           .n = i ? 1 : 40,
                           .want = SB_WANT_LAST,
                           .is_decode = i > 0};
        assert_int_equal(sb_engine_step(r.engine, &a, 1, &err), SB_OK);
        memcpy(logits + (size_t)i * 700, sb_engine_logits(r.engine, 0, 0), 700 * sizeof *logits);
        n_threads[i] = sb_engine_record(r.engine)->n_threads;
    }
    sb_session_close(s);
    sb_rig_close(&r);
}

/* The prompt by all, tokens by as many as were asked for. */
static void few_threads_decode(void **state)
{
    (void)state;
    static float all[4 * 700], few[4 * 700];
    int32_t n_all[4], n_few[4];
    run_few(0, all, n_all);
    for (int n = 1; n <= 3; n++) {
        run_few(n, few, n_few);
        assert_memory_equal(all, few, sizeof all);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(n_all[i], 4);
            assert_int_equal(n_few[i], i == 0 ? 4 : n);
        }
    }
}

/* Of three sessions that decode together, when two rows are the most that few threads compute. */
static void many_rows_take_all_threads(void **state)
{
    (void)state;
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(64);
    o.n_sessions = 3;
    sb_session *s[3];
    sb_span spans[3];
    const int32_t id = 5;
    if (sb_rig_open(&r, path, 3, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    sb_engine_set_decode_threads(r.engine, 2, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sb_session_open(&s[i], r.engine, 1, &err), SB_OK);
        spans[i] =
            (sb_span){.s = s[i], .ids = &id, .n = 1, .want = SB_WANT_LAST, .is_decode = true};
    }
    for (int n = 1; n <= 3; n++) {
        assert_int_equal(sb_engine_step(r.engine, spans, n, &err), SB_OK);
        assert_int_equal(sb_engine_record(r.engine)->n_threads, n == 3 ? 3 : 2);
    }
    for (int i = 0; i < 3; i++)
        sb_session_close(s[i]);
    sb_rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_leave_sessions_unchanged),
        cmocka_unit_test(windows_reuse_their_pages),
        cmocka_unit_test(rewinding_forgets),
        cmocka_unit_test(steps_allocate_nothing_and_tell_who_worked),
        cmocka_unit_test(memory_is_planned_by_the_code_that_takes_it),
        cmocka_unit_test(broken_numbers_are_an_error),
        cmocka_unit_test(few_threads_decode),
        cmocka_unit_test(many_rows_take_all_threads),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
