/* SPDX-License-Identifier: Apache-2.0
 * kv_test.c - what keys and values are kept as where nobody said: float32 where the products of the
 * layers are of floats, so that fast is exact there, to the last bit. */
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

enum { N = 150, N_MORE = 3, N_VOCAB = 700 };

static char path[128];

static sb_tiny shape(const char *arch, sb_format f)
{
    sb_tiny t;
    sb_tiny_defaults(&t);
    sb_tiny_in_format(&t, f);
    t.arch = arch, t.window = 40, t.seed = 3, t.n_vocab = N_VOCAB;
    return t;
}

static void write_model(const sb_tiny *t)
{
    sb_error err = {0};
    (void)snprintf(path, sizeof path, "/tmp/sobre-kv-%d.gguf", (int)getpid());
    if (sb_tiny_write(t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

static int drop_model(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static sb_rig open_rig(sb_precision precision, sb_kv_type kv, sb_level cap)
{
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(N + N_MORE + 1);
    o.precision = precision, o.kv = kv, o.cap = cap;
    if (sb_rig_open(&r, path, 2, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    return r;
}

/* What the model at `path` gets when `asked` for it, by the engine and by the estimate. */
static sb_kv_type type_of(sb_precision precision, sb_kv_type asked)
{
    sb_error err = {0};
    sb_memory_plan plan = {0}, same = {0};
    sb_rig r = open_rig(precision, asked, sb_level_best());
    const sb_kv_type kv = sb_engine_kv(r.engine);
    sb_engine_opts o = sb_rig_opts(N);
    o.precision = precision, o.kv = asked;
    assert_int_equal(sb_engine_plan_memory(r.model, &o, 2, &plan, &err), SB_OK);
    assert_int_equal(plan.kv, kv);
    o.kv = kv;
    assert_int_equal(sb_engine_plan_memory(r.model, &o, 2, &same, &err), SB_OK);
    assert_int_equal(plan.kv_bytes, same.kv_bytes);
    sb_rig_close(&r);
    return kv;
}

static void the_format_of_the_matrices_decides(void **state)
{
    (void)state;
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        const bool is_float = f == SB_F_F32 || f == SB_F_F16 || f == SB_F_BF16;
        const sb_tiny t = shape("llama", (sb_format)f);
        write_model(&t);
        assert_int_equal(type_of(SB_FAST, SB_KV_AUTO), is_float ? SB_KV_F32 : SB_KV_BF16);
        assert_int_equal(type_of(SB_EXACT, SB_KV_AUTO), SB_KV_F32);
    }
}

static void one_matrix_is_enough_and_the_head_is_none(void **state)
{
    (void)state;
    sb_tiny t = shape("llama", SB_F_F16);
    t.embd_format = SB_F_Q8_0;
    write_model(&t);
    assert_int_equal(type_of(SB_FAST, SB_KV_AUTO), SB_KV_F32);
    const sb_tiny_change down = {.name = "blk.1.ffn_down.weight",
                                 .to = SB_TINY_TENSOR,
                                 .ne = {t.n_ff, t.n_embd},
                                 .format = SB_F_Q8_0};
    t = shape("llama", SB_F_F16);
    t.changes = &down, t.n_changes = 1;
    write_model(&t);
    assert_int_equal(type_of(SB_FAST, SB_KV_AUTO), SB_KV_BF16);
}

static void who_asks_gets_it(void **state)
{
    (void)state;
    static const sb_format formats[] = {SB_F_F16, SB_F_Q4_0};
    for (size_t i = 0; i < SB_ARRAY_LEN(formats); i++) {
        const sb_tiny t = shape("llama", formats[i]);
        write_model(&t);
        for (int kv = 0; kv < SB_KV_TYPE_COUNT; kv++) {
            assert_int_equal(type_of(SB_FAST, (sb_kv_type)kv), kv);
            assert_int_equal(type_of(SB_EXACT, (sb_kv_type)kv), kv);
        }
    }
    sb_rig r = open_rig(SB_FAST, SB_KV_AUTO, sb_level_best());
    sb_engine_opts o = sb_rig_opts(N);
    sb_memory_plan plan;
    sb_error err = {0};
    o.kv = (sb_kv_type)(SB_KV_AUTO + 1);
    assert_int_equal(sb_engine_plan_memory(r.model, &o, 2, &plan, &err), SB_INVALID);
    sb_rig_close(&r);
}

static void logits(sb_precision precision, sb_kv_type kv, sb_level cap, float *out)
{
    int32_t ids[N];
    sb_error err = {0};
    sb_rig r = open_rig(precision, kv, cap);
    sb_rig_ids(ids, N, N_VOCAB, 9);
    if (sb_rig_run(&r, ids, N, N_MORE, (sb_rig_way){.chunk = 64}, out, &err) != SB_OK)
        fail_msg("%s", err.msg);
    sb_rig_close(&r);
}

static void check_exact(const char *arch, sb_format f)
{
    static float exact[(1 + N_MORE) * N_VOCAB], fast[(1 + N_MORE) * N_VOCAB];
    const sb_tiny t = shape(arch, f);
    write_model(&t);
    for (int level = 0; level <= (int)sb_level_best(); level++) {
        const sb_level cap = (sb_level)level;
        logits(SB_EXACT, SB_KV_F32, cap, exact);
        logits(SB_FAST, SB_KV_AUTO, cap, fast);
        if (memcmp(exact, fast, sizeof exact) != 0)
            fail_msg("%s, %s, %s: fast is not exact", arch, sb_format_get(f)->name,
                     sb_level_name(cap));
        logits(SB_FAST, SB_KV_BF16, cap, fast); /* what the choice spares */
        assert_memory_not_equal(exact, fast, sizeof exact);
    }
}

static void fast_is_exact_on_floats(void **state)
{
    (void)state;
    static const sb_format formats[] = {SB_F_F32, SB_F_F16, SB_F_BF16};
    for (size_t i = 0; i < SB_ARRAY_LEN(formats); i++) {
        check_exact("llama", formats[i]);
        check_exact("gemma3", formats[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_of_the_matrices_decides),
        cmocka_unit_test(one_matrix_is_enough_and_the_head_is_none),
        cmocka_unit_test(who_asks_gets_it),
        cmocka_unit_test(fast_is_exact_on_floats),
    };
    return cmocka_run_group_tests(tests, NULL, drop_model);
}
