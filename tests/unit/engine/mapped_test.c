/* SPDX-License-Identifier: Apache-2.0
 * mapped_test.c - weights that are read from the file in each step: the same bits as packed ones,
 * chosen when memory is tight. */
#include "base/alloc.h"
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

enum { N = 40, N_MORE = 2, N_CTX = 64 };

static char path[128];

static void write_model(const char *arch, sb_format f)
{
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    sb_tiny_in_format(&t, f);
    t.arch = arch, t.window = 40, t.seed = 5, t.n_vocab = 700;
    (void)snprintf(path, sizeof path, "/tmp/sobre-mapped-%d.gguf", (int)getpid());
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

static void open_rig(sb_rig *r, sb_weights weights, sb_precision precision, int n_threads)
{
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(N_CTX);
    o.weights = weights, o.precision = precision;
    if (sb_rig_open(r, path, n_threads, &o, &err) != SB_OK) fail_msg("%s", err.msg);
}

/* Logits of a text in one way; the caller frees them. */
static float *logits(sb_rig *r, sb_rig_way way, size_t *bytes)
{
    int32_t ids[N];
    sb_error err = {0};
    *bytes = (size_t)(1 + N_MORE) * (size_t)r->model->hp.n_vocab * sizeof(float);
    float *out = sb_alloc(1, *bytes);
    assert_non_null(out);
    sb_rig_ids(ids, N, r->model->hp.n_vocab, 3);
    if (sb_rig_run(r, ids, N, N_MORE, way, out, &err) != SB_OK) fail_msg("%s", err.msg);
    return out;
}

static void check_same(sb_precision precision)
{
    static const sb_rig_way ways[] = {{100, false}, {1, false}, {7, true}};
    sb_rig packed, mapped;
    open_rig(&packed, SB_WEIGHTS_PACKED, precision, 2);
    open_rig(&mapped, SB_WEIGHTS_MAPPED, precision, 3);
    assert_false(sb_engine_is_mapped(packed.engine));
    assert_true(sb_engine_is_mapped(mapped.engine));
    for (size_t i = 0; i < SB_ARRAY_LEN(ways); i++) {
        size_t n = 0;
        float *a = logits(&packed, ways[i], &n), *b = logits(&mapped, ways[i], &n);
        assert_true(a[0] != a[1]);
        assert_memory_equal(a, b, n);
        sb_free(a);
        sb_free(b);
    }
    sb_rig_close(&packed);
    sb_rig_close(&mapped);
}

static void every_format_gives_the_same_bits(void **state)
{
    (void)state;
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        write_model("llama", (sb_format)f);
        check_same(SB_FAST);
        assert_int_equal(unlink(path), 0);
    }
}

static void so_do_biases_ties_and_float32(void **state)
{
    (void)state;
    write_model("qwen2", SB_F_Q4_0); // biases of q, k and v
    check_same(SB_FAST);
    check_same(SB_EXACT);
    write_model("gemma3", SB_F_Q6_K); // the head is the embedding
    check_same(SB_FAST);
    assert_int_equal(unlink(path), 0);
}

static bool chosen(uint64_t memory_bytes, sb_weights weights)
{
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(N_CTX);
    o.weights = weights, o.memory_bytes = memory_bytes;
    if (sb_rig_open(&r, path, 1, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    const bool is = sb_engine_is_mapped(r.engine);
    sb_rig_close(&r);
    return is;
}

static void tight_memory_chooses_it(void **state)
{
    (void)state;
    write_model("llama", SB_F_Q4_0);
    sb_model *m = NULL;
    sb_error err = {0};
    sb_memory_plan packed, mapped, same;
    sb_engine_opts o = sb_rig_opts(N_CTX);
    assert_int_equal(sb_model_open(&m, path, &err), SB_OK);
    assert_int_equal(sb_engine_plan_memory(m, &o, 1, &packed, &err), SB_OK);
    o.weights = SB_WEIGHTS_PACKED;
    assert_int_equal(sb_engine_plan_memory(m, &o, 1, &same, &err), SB_OK);
    o.weights = SB_WEIGHTS_MAPPED;
    assert_int_equal(sb_engine_plan_memory(m, &o, 1, &mapped, &err), SB_OK);
    sb_model_close(m);
    assert_true(packed.packed_bytes == same.packed_bytes && packed.work_bytes == same.work_bytes);
    assert_true(mapped.packed_bytes < packed.packed_bytes / 20); // the norms
    assert_true(mapped.work_bytes > packed.work_bytes);
    const uint64_t need = packed.packed_bytes + packed.work_bytes + packed.kv_bytes;
    assert_true(chosen(need - 1, SB_WEIGHTS_AUTO));
    assert_false(chosen(need, SB_WEIGHTS_AUTO));
    assert_false(chosen(1, SB_WEIGHTS_PACKED));
    assert_true(chosen(UINT64_MAX, SB_WEIGHTS_MAPPED));
    assert_int_equal(unlink(path), 0);
}

/* Rows that the file does not give any more fail the step and nothing else. */
static void a_file_cut_short_fails_the_step(void **state)
{
    (void)state;
    sb_rig r;
    sb_error err = {0};
    sb_session *s = NULL;
    write_model("llama", SB_F_Q8_0);
    open_rig(&r, SB_WEIGHTS_MAPPED, SB_FAST, 2);
    int32_t id = 1;
    assert_int_equal(sb_session_open(&s, r.engine, 1, &err), SB_OK);
    const sb_span span = {.s = s, .ids = &id, .n = 1, .want = SB_WANT_LAST};
    assert_int_equal(sb_engine_step(r.engine, &span, 1, &err), SB_OK);
    const sb_weight *last = &r.model->weights[0]; /* not the embedding: that one is mapped */
    for (int32_t i = 0; i < r.model->n_weights; i++)
        if (r.model->weights[i].offset > last->offset) last = &r.model->weights[i];
    assert_int_equal(truncate(path, (off_t)last->offset), 0);
    assert_int_equal(sb_engine_step(r.engine, &span, 1, &err), SB_IO);
    assert_int_equal(sb_session_n_pos(s), 1);
    sb_session_close(s);
    sb_rig_close(&r);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_format_gives_the_same_bits),
                                       cmocka_unit_test(so_do_biases_ties_and_float32),
                                       cmocka_unit_test(tight_memory_chooses_it),
                                       cmocka_unit_test(a_file_cut_short_fails_the_step)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
