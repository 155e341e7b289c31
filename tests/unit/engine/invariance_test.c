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

enum { N = 77, N_SHORT = 300, N_LONG = 1410, N_MORE = 3 };

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
    sb_tiny_in_format(&t, f);
    t.arch = arch, t.window = 40, t.seed = 5, t.n_vocab = 700;
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

/* A text of n tokens in each of these ways on each of these numbers of threads. */
typedef struct plan {
    int32_t n, n_ctx;
    const int *threads;
    const sb_rig_way *ways;
    size_t n_threads, n_ways;
} plan;

/* Every way gives the bits of the first. */
static void check_plan(const char *path, sb_precision precision, sb_kv_type kv, const plan *p)
{
    float *first = NULL, *now = NULL;
    int32_t ids[N_LONG];
    size_t bytes = 0;
    sb_error err = {0};
    for (size_t t = 0; t < p->n_threads; t++) {
        sb_rig r;
        sb_engine_opts o = sb_rig_opts(p->n_ctx);
        o.precision = precision, o.kv = kv;
        if (sb_rig_open(&r, path, p->threads[t], &o, &err) != SB_OK) fail_msg("%s", err.msg);
        bytes = (size_t)(1 + N_MORE) * (size_t)r.model->hp.n_vocab * sizeof *first;
        sb_rig_ids(ids, p->n, r.model->hp.n_vocab, 3);
        for (size_t w = 0; w < p->n_ways; w++) {
            const sb_rig_way way = p->ways[w];
            if (!first) first = sb_alloc(1, bytes), now = sb_alloc(1, bytes);
            float *out = t + w == 0 ? first : now;
            if (sb_rig_run(&r, ids, p->n, N_MORE, way, out, &err) != SB_OK) fail_msg("%s", err.msg);
            if (memcmp(first, out, bytes) != 0)
                fail_msg("%s: %d tokens, threads %d chunk %d %s differs", path, p->n, p->threads[t],
                         way.chunk, way.crowd ? "in a crowd" : "alone");
        }
        sb_rig_close(&r);
    }
    assert_true(first[0] != first[1]); /* not all zero: the model did compute */
    sb_free(first);
    sb_free(now);
}

static void check_ways(const char *path, sb_precision precision, sb_kv_type kv)
{
    static const int threads[] = {1, 2, 3, 5};
    static const sb_rig_way ways[] = {{100, false}, {1, false}, {7, false}, {64, false},
                                      {7, true},    {1, true},  {64, true}};
    const plan p = {N, 160, threads, ways, SB_ARRAY_LEN(threads), SB_ARRAY_LEN(ways)};
    check_plan(path, precision, kv, &p);
}

static void feed(sb_rig *r, const sb_span *spans, int32_t n)
{
    sb_error err = {0};
    if (sb_engine_step(r->engine, spans, n, &err) != SB_OK) fail_msg("%s", err.msg);
}

/* The logits of one token behind ids[0..N_SHORT), beside one that is far into a text when `beside`.
 * */
static void logits_of_short(const char *path, const int32_t *ids, int n_threads, bool beside,
                            float *out)
{
    sb_rig r;
    sb_error err = {0};
    sb_session *s[2] = {NULL, NULL};
    sb_engine_opts o = sb_rig_opts(1600);
    if (sb_rig_open(&r, path, n_threads, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    for (int i = 0; i < 2; i++)
        if (sb_session_open(&s[i], r.engine, 1, &err) != SB_OK) fail_msg("%s", err.msg);
    feed(&r, &(sb_span){.s = s[0], .ids = ids, .n = N_SHORT}, 1);
    for (int32_t at = 0; beside && at < N_LONG - 10; at += 100)
        feed(&r, &(sb_span){.s = s[1], .ids = ids + at, .n = 100}, 1);
    const sb_span both[] = {{.s = s[0], .ids = ids + N_SHORT, .n = 1, .want = SB_WANT_LAST},
                            {.s = s[1], .ids = ids, .n = 1}};
    feed(&r, both, beside ? 2 : 1);
    memcpy(out, sb_engine_logits(r.engine, 0, 0), (size_t)r.model->hp.n_vocab * sizeof *out);
    for (int i = 0; i < 2; i++)
        sb_session_close(s[i]);
    sb_rig_close(&r);
}

static void check_short_beside_long(const char *path)
{
    enum { N_VOCAB = 700 };
    float alone[N_VOCAB], beside[N_VOCAB];
    int32_t ids[N_LONG];
    sb_rig_ids(ids, N_LONG, N_VOCAB, 3);
    logits_of_short(path, ids, 1, false, alone);
    logits_of_short(path, ids, 3, true, beside);
    assert_memory_equal(alone, beside, sizeof alone);
}

/* Decoded tokens far into a text: one KV head on several threads is attended in parts, beside short
 * texts that have no segment for a part. */
static void parts_of_attention(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3};
    static const sb_rig_way ways[] = {{512, false}, {200, true}};
    static const sb_kv_type kvs[] = {SB_KV_BF16, SB_KV_F32, SB_KV_I8};
    const plan p = {N_LONG, 1600, threads, ways, SB_ARRAY_LEN(threads), SB_ARRAY_LEN(ways)};
    sb_tiny t;
    sb_error err = {0};
    char path[128];
    sb_tiny_defaults(&t);
    t.arch = "llama", t.format = SB_F_Q4_0, t.n_layers = 2, t.seed = 11;
    t.n_embd = 64, t.n_ff = 96, t.n_heads = 4, t.n_kv_heads = 1, t.head_dim = 24;
    t.n_vocab = 700, t.n_ctx = 2048;
    make_path(path, sizeof path, "parts", t.format);
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < SB_ARRAY_LEN(kvs); i++)
        check_plan(path, SB_FAST, kvs[i], &p);
    check_short_beside_long(path);
    (void)unlink(path);
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
        cmocka_unit_test(parts_of_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
