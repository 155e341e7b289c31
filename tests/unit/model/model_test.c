/* SPDX-License-Identifier: Apache-2.0
 * model_test.c - keys and tensors of a hostile file, defaults that files leave out, ropes. */
#include "base/alloc.h"
#include "model/arch.h"
#include "model/model.h"
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

static char path[128], damaged[160];

static int make_model(void **state)
{
    (void)state;
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    t.arch = "gemma3", t.n_layers = 7, t.window = 40;
    (void)snprintf(path, sizeof path, "/tmp/sobre-model-%d.gguf", (int)getpid());
    (void)snprintf(damaged, sizeof damaged, "%s-damaged", path);
    const sb_status s = sb_tiny_write(&t, path, &err);
    if (s != SB_OK) print_error("%s\n", err.msg);
    return s == SB_OK ? 0 : -1;
}

static int drop_model(void **state)
{
    (void)state;
    (void)unlink(damaged);
    return unlink(path);
}

/* Copies the model with n bytes at `at` replaced. */
static void damage(uint64_t at, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "rb"), *g = fopen(damaged, "wb");
    assert_non_null(f);
    assert_non_null(g);
    for (int c; (c = fgetc(f)) != EOF;)
        (void)fputc(c, g);
    (void)fclose(f);
    assert_int_equal(fseek(g, (long)at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, g), n);
    (void)fclose(g);
}

static void refuse(sb_status want, const char *word)
{
    sb_model *m = NULL;
    sb_error err = {0};
    const sb_status s = sb_model_open(&m, damaged, &err);
    if (s != want || !strstr(err.msg, word) || !strstr(err.msg, "damaged"))
        fail_msg("wanted status %d naming '%s', got %d: %s", want, word, s, err.msg);
    assert_null(m);
}

static void keys_out_of_range_are_named(void **state)
{
    (void)state;
    const float nan_value = NAN, zero = 0, huge = 1e30f;
    const struct {
        const char *key;
        const void *value;
    } bad[] = {
        {"gemma3.block_count", &(uint32_t){0}},
        {"gemma3.block_count", &(uint32_t){1025}},
        {"gemma3.block_count", &(uint32_t){0x80000000u}},
        {"gemma3.attention.head_count", &(uint32_t){0}},
        {"gemma3.attention.head_count_kv", &(uint32_t){0}},
        {"gemma3.attention.head_count_kv", &(uint32_t){3}},
        {"gemma3.attention.head_count_kv", &(uint32_t){64}},
        {"gemma3.embedding_length", &(uint32_t){0}},
        {"gemma3.embedding_length", &(uint32_t){4095}},
        {"gemma3.context_length", &(uint32_t){0}},
        {"gemma3.attention.value_length", &(uint32_t){17}},
        {"gemma3.rope.freq_base", &zero},
        {"gemma3.rope.freq_base", &nan_value},
        {"gemma3.attention.layer_norm_rms_epsilon", &zero},
        {"gemma3.attention.layer_norm_rms_epsilon", &nan_value},
        {"gemma3.attention.layer_norm_rms_epsilon", &huge},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_gguf *g = NULL;
        assert_int_equal(sb_gguf_open(&g, path, NULL), SB_OK);
        const sb_gguf_kv *kv = sb_gguf_kv_find(g, bad[i].key);
        if (!kv) fail_msg("the tiny model has no %s", bad[i].key);
        const uint64_t value_at = (uint64_t)(kv->data - sb_gguf_map(g, 0)->p);
        damage(value_at, bad[i].value, 4);
        sb_gguf_close(g);
        sb_model *m = NULL;
        sb_error err = {0};
        const sb_status s = sb_model_open(&m, damaged, &err);
        const char *suffix = strchr(bad[i].key, '.') + 1;
        if (s == SB_OK || !strstr(err.msg, suffix) || !strstr(err.msg, "byte"))
            fail_msg("%s: status %d: %s", bad[i].key, s, err.msg);
    }
}

static void tensors_missing_or_misshapen_are_named(void **state)
{
    (void)state;
    sb_gguf *g = NULL;
    assert_int_equal(sb_gguf_open(&g, path, NULL), SB_OK);
    const sb_gguf_tensor *t = sb_gguf_tensor_find(g, "blk.3.attn_output.weight");
    assert_non_null(t);
    const uint64_t name_at = (uint64_t)((const unsigned char *)t->name.p - sb_gguf_map(g, 0)->p);
    const uint64_t dims_at = name_at + t->name.n + 4;
    const uint64_t swapped[2] = {(uint64_t)t->ne[1], (uint64_t)t->ne[0]};
    sb_gguf_close(g);
    damage(name_at, "blk.3.attn_xutput.weight", 24);
    refuse(SB_CORRUPT, "blk.3.attn_output.weight");
    if (swapped[0] != swapped[1]) {
        damage(dims_at, swapped, sizeof swapped);
        refuse(SB_CORRUPT, "attn_output");
    }
}

static void unknown_architectures_list_the_known(void **state)
{
    (void)state;
    sb_gguf *g = NULL;
    assert_int_equal(sb_gguf_open(&g, path, NULL), SB_OK);
    sb_str name = {0};
    assert_int_equal(sb_gguf_get_str(g, "general.architecture", &name, NULL), SB_OK);
    const uint64_t at = (uint64_t)((const unsigned char *)name.p - sb_gguf_map(g, 0)->p);
    sb_gguf_close(g);
    damage(at, "gemma9", 6);
    refuse(SB_UNSUPPORTED, "llama, gemma3");
    sb_model *m = NULL; /* the vocabulary alone opens all the same */
    assert_int_equal(sb_model_open_vocab(&m, damaged, NULL), SB_OK);
    assert_true(sb_tokenizer_n_tok(m->tok) > 256);
    sb_model_close(m);
}

/* Keys that converters leave out: every sixth layer is global, the local rope's base is 10000. */
static void gemma_defaults_hold(void **state)
{
    (void)state;
    sb_model *m = NULL;
    sb_error err = {0};
    if (sb_model_open(&m, path, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(m->plan.n_kvs, 7);
    for (int32_t l = 0; l < 7; l++)
        assert_int_equal(m->plan.kvs[l].window, l == 5 ? 0 : 40);
    assert_int_equal(m->hp.window_period, 6);
    assert_true(m->hp.rope_base_local == 10000.0f);
    const sb_rope *local = &m->plan.ropes[0];
    assert_true(fabs((double)local->inv_freq[1] - pow(10000, -2.0 / (2.0 * local->n_pair))) < 1e-7);
    sb_model_close(m);
}

/* YaRN for the shape of a published model: up to pair 8 untouched, from pair 18 divided. */
static void rope_scalings_follow_their_formulas(void **state)
{
    (void)state;
    sb_plan p;
    sb_plan_init(&p);
    sb_rope_spec s = {.n_rot = 64,
                      .base = 150000,
                      .factor = 32,
                      .yarn = true,
                      .orig_ctx = 4096,
                      .ext_factor = 1,
                      .attn_factor = 1,
                      .beta_fast = 32,
                      .beta_slow = 1};
    const sb_rope *yarn = &p.ropes[sb_plan_rope_add(&p, &s)];
    for (int i = 0; i < 32; i++) {
        const double plain = pow(150000, -2.0 * i / 64), scaled = plain / 32;
        const double f = (double)yarn->inv_freq[i];
        if (i <= 8) assert_true(fabs(f - plain) < 1e-6 * plain);
        if (i >= 18) assert_true(fabs(f - scaled) < 1e-6 * scaled);
        if (i > 8 && i < 18) assert_true(f < plain && f > scaled);
    }
    assert_true(fabsf(yarn->amplitude - 1.34657f) < 1e-4f);
    s.yarn = false;
    const float factors[32] = {[0] = 4, [1] = 2, [2] = 1};
    float all[32];
    for (int i = 0; i < 32; i++)
        all[i] = i < 3 ? factors[i] : 1;
    s.factor = 2, s.freq_factors = (const unsigned char *)all;
    const sb_rope *table = &p.ropes[sb_plan_rope_add(&p, &s)];
    assert_true(fabsf(table->inv_freq[0] - 1.0f / 8) < 1e-7f);
    assert_true(fabs((double)table->inv_freq[1] - pow(150000, -2.0 / 64) / 4) < 1e-7);
    assert_true(table->amplitude == 1.0f);
    assert_int_equal(sb_plan_finish(&p, NULL), SB_INVALID); /* no head: not a model */
    sb_plan_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_out_of_range_are_named),
        cmocka_unit_test(tensors_missing_or_misshapen_are_named),
        cmocka_unit_test(unknown_architectures_list_the_known),
        cmocka_unit_test(gemma_defaults_hold),
        cmocka_unit_test(rope_scalings_follow_their_formulas),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
