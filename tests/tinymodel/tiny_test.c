/* SPDX-License-Identifier: Apache-2.0
 * tiny_test.c - the tiny models are valid, repeatable, and their weights have the stated spread. */
#include "base/alloc.h"
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/sb-tiny-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof(path), "%s/t.gguf", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    (void)remove(path);
    return rmdir(dir);
}

static sb_gguf *write_and_open(const sb_tiny *o)
{
    sb_gguf *g = NULL;
    sb_error err = {0};
    if (sb_tiny_write(o, path, &err) != SB_OK) fail_msg("%s", err.msg);
    if (sb_gguf_open(&g, path, &err) != SB_OK) fail_msg("%s", err.msg);
    return g;
}

static void every_format_has_the_spread_asked_for(void **state)
{
    (void)state;
    enum { K = 512, ROWS = 64 };
    float *v = sb_alloc(K * ROWS, sizeof(*v));
    unsigned char *p = sb_alloc(K * ROWS, 4);
    assert_non_null(v);
    assert_non_null(p);
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        uint64_t seed = 7;
        double sum = 0, square = 0;
        sb_tiny_fill((sb_format)f, p, K, ROWS, 0.05, &seed);
        sb_unpack_row((sb_format)f, p, v, K * ROWS);
        for (int i = 0; i < K * ROWS; i++) {
            assert_true(isfinite(v[i]));
            sum += (double)v[i];
            square += (double)v[i] * (double)v[i];
        }
        const double mean = sum / (K * ROWS), dev = sqrt(square / (K * ROWS));
        if (fabs(mean) > 0.01 || dev < 0.035 || dev > 0.07) {
            fail_msg("%s: mean %g deviation %g", sb_format_get((sb_format)f)->name, mean, dev);
        }
    }
    sb_free(p);
    sb_free(v);
}

static void models_open_in_every_format(void **state)
{
    (void)state;
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        sb_tiny o;
        sb_tiny_defaults(&o);
        o.format = (sb_format)f;
        o.n_embd = 256;
        o.n_ff = 288; // no multiple of 256: down rows fall back in the K formats
        o.tied = f % 2 == 0;
        sb_gguf *g = write_and_open(&o);
        const bool wide = sb_format_get(o.format)->block_elems == 256;
        assert_int_equal(sb_gguf_tensor_find(g, "blk.1.attn_k.weight")->format, f);
        assert_int_equal(sb_gguf_tensor_find(g, "token_embd.weight")->format, f);
        assert_int_equal(sb_gguf_tensor_find(g, "blk.1.ffn_down.weight")->format,
                         wide ? SB_F_Q8_0 : (sb_format)f);
        assert_int_equal(!sb_gguf_tensor_find(g, "output.weight"), o.tied);
        assert_int_equal(sb_gguf_n_tensors(g), 1 + 2 * 9 + 1 + !o.tied);
        sb_gguf_close(g);
    }
}

static void kformat_goes_where_it_fits(void **state)
{
    (void)state;
    sb_tiny o;
    sb_tiny_defaults(&o);
    o.arch = "gemma3";
    o.format = SB_F_Q5_0;
    o.kformat = SB_F_Q6_K;
    o.embd_format = SB_F_Q8_0;
    o.n_ff = 512;
    o.n_layers = 7;
    sb_gguf *g = write_and_open(&o);
    assert_int_equal(sb_gguf_tensor_find(g, "blk.6.ffn_down.weight")->format, SB_F_Q6_K);
    assert_int_equal(sb_gguf_tensor_find(g, "blk.6.ffn_up.weight")->format, SB_F_Q5_0);
    assert_int_equal(sb_gguf_tensor_find(g, "token_embd.weight")->format, SB_F_Q8_0);
    assert_non_null(sb_gguf_tensor_find(g, "blk.6.post_ffw_norm.weight"));
    assert_int_equal(sb_gguf_kv_find(g, "tokenizer.ggml.scores")->count, o.n_vocab);
    assert_null(sb_gguf_kv_find(g, "tokenizer.chat_template"));
    int64_t window = 0;
    const sb_gguf_int want = {.key = "gemma3.attention.sliding_window", .lo = 1, .hi = 100};
    assert_int_equal(sb_gguf_get_int(g, &want, &window, NULL), SB_OK);
    assert_int_equal(window, 8);
    sb_gguf_close(g);
}

static void families_have_their_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *has, *has_not;
    } rows[] = {
        {"llama", "blk.1.attn_q.weight", "blk.1.attn_q.bias"},
        {"qwen2", "blk.1.attn_v.bias", "blk.1.attn_q_norm.weight"},
        {"qwen3", "blk.1.attn_k_norm.weight", "blk.1.attn_k.bias"},
        {"smollm3", "blk.1.ffn_up.weight", "blk.1.attn_k_norm.weight"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_tiny o;
        sb_tiny_defaults(&o);
        o.arch = rows[i].arch;
        sb_gguf *g = write_and_open(&o);
        assert_non_null(sb_gguf_tensor_find(g, rows[i].has));
        assert_null(sb_gguf_tensor_find(g, rows[i].has_not));
        sb_gguf_close(g);
    }
}

static void changes_are_made(void **state)
{
    (void)state;
    static const sb_tiny_change changes[] = {
        {.name = "qwen2.block_count", .to = SB_TINY_INT, .type = SB_GGUF_I64, .n = -1},
        {.name = "qwen2.context_length", .to = SB_TINY_DROP},
        {.name = "qwen2.rope.scaling.type", .to = SB_TINY_TEXT, .text = "yarn"},
        {.name = "blk.1.attn_q.bias", .to = SB_TINY_DROP},
        {.name = "blk.0.ffn_norm.weight", .to = SB_TINY_TENSOR, .ne = {32}, .format = SB_F_F16},
        {.name = "more", .to = SB_TINY_TENSOR, .ne = {32, 2}, .format = SB_F_Q4_0},
    };
    sb_tiny o;
    sb_tiny_defaults(&o);
    o.arch = "qwen2", o.changes = changes, o.n_changes = SB_ARRAY_LEN(changes);
    sb_gguf *g = write_and_open(&o);
    assert_int_equal(sb_gguf_kv_find(g, "qwen2.block_count")->type, SB_GGUF_I64);
    assert_null(sb_gguf_kv_find(g, "qwen2.context_length"));
    assert_int_equal(sb_gguf_kv_find(g, "qwen2.rope.scaling.type")->type, SB_GGUF_STR);
    assert_null(sb_gguf_tensor_find(g, "blk.1.attn_q.bias"));
    assert_int_equal(sb_gguf_tensor_find(g, "blk.0.ffn_norm.weight")->format, SB_F_F16);
    assert_int_equal(sb_gguf_tensor_find(g, "more")->ne[1], 2);
    sb_gguf_close(g);
}

static uint64_t file_sum(uint64_t seed)
{
    sb_tiny o;
    sb_tiny_defaults(&o);
    o.seed = seed;
    o.format = SB_F_Q4_1;
    sb_gguf *g = write_and_open(&o);
    const sb_map *m = sb_gguf_map(g, 0);
    uint64_t sum = 14695981039346656037u; // FNV-1a
    for (size_t i = 0; i < m->bytes; i++) {
        sum = (sum ^ m->p[i]) * 1099511628211u;
    }
    sb_gguf_close(g);
    return sum;
}

static void a_seed_fixes_every_byte(void **state)
{
    (void)state;
    assert_true(file_sum(1) == file_sum(1));
    assert_true(file_sum(1) != file_sum(2));
}

static bool has_token(const sb_str *v, int32_t n, const char *text)
{
    for (int32_t i = 0; i < n; i++) {
        if (v[i].n == strlen(text) && memcmp(v[i].p, text, v[i].n) == 0) return true;
    }
    return false;
}

static void vocabularies_are_whole(void **state)
{
    (void)state;
    sb_tiny o;
    sb_tiny_defaults(&o);
    o.n_vocab = 20000; // more than there are letter groups: unused tokens fill it
    sb_str *v = sb_alloc((size_t)o.n_vocab, sizeof(*v));
    assert_non_null(v);
    for (int i = 0; i < 2; i++) {
        o.arch = i ? "gemma3" : "llama";
        sb_gguf *g = write_and_open(&o);
        const sb_gguf_kv *kv = sb_gguf_kv_find(g, "tokenizer.ggml.tokens");
        assert_int_equal(sb_gguf_kv_strs(g, kv, v, (uint64_t)o.n_vocab, NULL), SB_OK);
        assert_true(has_token(v, o.n_vocab, i ? "<0xFF>" : "<|im_start|>"));
        assert_true(has_token(v, o.n_vocab,
                              i ? "\xe2\x96\x81"
                                  "a"
                                : "\xc4\xa0"
                                  "a"));
        assert_true(has_token(v, o.n_vocab, "zz"));
        sb_gguf_close(g);
    }
    sb_free(v);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    sb_error err = {0};
    sb_tiny o;
    sb_tiny_defaults(&o);
    o.n_vocab = sb_tiny_min_vocab("llama") - 1;
    assert_int_equal(sb_tiny_write(&o, path, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "vocab: 258"));
    sb_tiny_defaults(&o);
    o.n_kv_heads = 3;
    assert_int_equal(sb_tiny_write(&o, path, &err), SB_INVALID);
    sb_tiny_defaults(&o);
    o.arch = "bert";
    assert_int_equal(sb_tiny_write(&o, path, &err), SB_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_has_the_spread_asked_for),
        cmocka_unit_test(models_open_in_every_format),
        cmocka_unit_test(kformat_goes_where_it_fits),
        cmocka_unit_test(families_have_their_tensors),
        cmocka_unit_test(changes_are_made),
        cmocka_unit_test(a_seed_fixes_every_byte),
        cmocka_unit_test(vocabularies_are_whole),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
