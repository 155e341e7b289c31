/* SPDX-License-Identifier: Apache-2.0
 * invariance_test.c - same words always: every format and architecture, any threads, chunk,
 * crowd. */
#include "base/alloc.h"
#include "rig.h"
#include "tiny.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N = 77, N_MORE = 3 };

static void make_path(char *out, size_t n, const char *arch, sb_format f)
{
    (void)snprintf(out, n, "/tmp/sobre-invariance-%d-%s-%s.gguf", (int)getpid(), arch,
                   sb_format_get(f)->name);
}

static void write_model(const char *path, const char *arch, sb_format f)
{
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    const bool wide = sb_format_get(f)->block_elems == 256;
    t.arch = arch, t.format = f, t.n_layers = 2, t.window = 40, t.seed = 5;
    t.n_embd = wide ? 256 : 96, t.n_ff = wide ? 512 : 160, t.n_heads = 6, t.n_kv_heads = 2;
    t.head_dim = wide ? 128 : 32, t.n_vocab = 700, t.n_ctx = 512;
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

/* Every way gives the bits of the first. */
static void check_ways(const char *path, sb_precision precision, sb_kv_type kv)
{
    static const int threads[] = {1, 2, 3, 5};
    static const sb_rig_way ways[] = {{100, false}, {1, false}, {7, false}, {64, false},
                                      {7, true},    {1, true},  {64, true}};
    float *first = NULL, *now = NULL;
    int32_t ids[N];
    size_t bytes = 0;
    sb_error err = {0};
    for (size_t t = 0; t < SB_ARRAY_LEN(threads); t++) {
        sb_rig r;
        sb_engine_opts o = sb_rig_opts(160);
        o.precision = precision, o.kv = kv;
        if (sb_rig_open(&r, path, threads[t], &o, &err) != SB_OK) fail_msg("%s", err.msg);
        bytes = (size_t)(1 + N_MORE) * (size_t)r.model->hp.n_vocab * sizeof *first;
        sb_rig_ids(ids, N, r.model->hp.n_vocab, 3);
        for (size_t w = 0; w < SB_ARRAY_LEN(ways); w++) {
            if (!first) first = sb_alloc(1, bytes), now = sb_alloc(1, bytes);
            float *out = t + w == 0 ? first : now;
            if (sb_rig_run(&r, ids, N, N_MORE, ways[w], out, &err) != SB_OK)
                fail_msg("%s", err.msg);
            if (memcmp(first, out, bytes) != 0)
                fail_msg("%s: threads %d chunk %d %s differs", path, threads[t], ways[w].chunk,
                         ways[w].crowd ? "in a crowd" : "alone");
        }
        sb_rig_close(&r);
    }
    assert_true(first[0] != first[1]); /* not all zero: the model did compute */
    sb_free(first);
    sb_free(now);
}

static void check_format(const char *arch, sb_format f)
{
    char path[128];
    make_path(path, sizeof path, arch, f);
    write_model(path, arch, f);
    check_ways(path, SB_FAST, SB_KV_BF16);
    (void)unlink(path);
}

#define X(name, id, elems, bytes, unpack)                                                          \
    static void format_##name(void **state)                                                        \
    {                                                                                              \
        (void)state;                                                                               \
        check_format("llama", SB_F_##name);                                                        \
        check_format("gemma3", SB_F_##name);                                                       \
    }
#include "quant/formats.def"
#undef X

/* The families that the formats above do not run, at seven queries to a key as the smallest have,
 * heads wider than n_embd / n_head. */
static void every_architecture(void **state)
{
    (void)state;
    static const char *const archs[] = {
#define X(name) #name,
#include "model/arch.def"
#undef X
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(archs); i++) {
        sb_tiny t;
        sb_error err = {0};
        char path[128];
        sb_tiny_defaults(&t);
        t.arch = archs[i], t.format = SB_F_Q5_1, t.n_layers = 4, t.window = 40, t.seed = 7;
        t.n_embd = 96, t.n_ff = 160, t.n_heads = 14, t.n_kv_heads = 2, t.head_dim = 16;
        t.tied = i % 2;
        make_path(path, sizeof path, archs[i], t.format);
        if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
        check_ways(path, SB_FAST, SB_KV_BF16);
        check_ways(path, SB_EXACT, SB_KV_F32);
        check_ways(path, SB_FAST, SB_KV_I8);
        (void)unlink(path);
    }
}

static void exact_and_f32_kv(void **state)
{
    (void)state;
    char path[128];
    make_path(path, sizeof path, "exact", SB_F_Q4_1);
    write_model(path, "gemma3", SB_F_Q4_1);
    check_ways(path, SB_EXACT, SB_KV_F32);
    check_ways(path, SB_FAST, SB_KV_F32);
    check_ways(path, SB_EXACT, SB_KV_I8);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(name, id, elems, bytes, unpack) cmocka_unit_test(format_##name),
#include "quant/formats.def"
#undef X
        cmocka_unit_test(every_architecture),
        cmocka_unit_test(exact_and_f32_kv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
