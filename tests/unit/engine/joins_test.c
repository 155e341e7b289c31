/* SPDX-License-Identifier: Apache-2.0
 * joins_test.c - sessions that join a batch, feed what they like, sit out, go back and leave at
 * random: each row has the bits it has alone. Batches of 1 to 64 sessions, several threads, each
 * type of keys and values, each level of kernels. */
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

enum { N_SLOTS = 64, N_TEXTS = 24, N_LEN = 150, N_VOCAB = 370, N_ROWS = 200, N_THREADS = 3 };

/* Sanitizers slow the plain loops of ref down thirty times: there the strongest level alone, whose
 * code they leave as it is, and the most threads. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool brief = true;
#else
static const bool brief = false;
#endif

static char path[128];
static uint64_t seed;

static int32_t rnd(int32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((seed >> 33) % (uint64_t)below);
}

/* Texts, and the logits behind each of their tokens when nobody else is there. */
typedef struct texts {
    int32_t ids[N_TEXTS][N_LEN], n_prompt[N_TEXTS];
    float logits[N_TEXTS][N_LEN][N_VOCAB];
} texts;

static texts all;

typedef struct slot {
    sb_session *s; /* NULL: nobody */
    int32_t text, pos, n_now;
} slot;

typedef struct batch {
    sb_rig rig;
    slot slots[N_SLOTS];
    sb_span spans[N_SLOTS];
    int32_t who[N_SLOTS]; /* slot of each span */
    int32_t n, n_compared;
} batch;

static void write_model(const char *arch)
{
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    t.arch = arch, t.format = SB_F_Q4_1, t.n_layers = 2, t.window = 40, t.seed = 12;
    t.n_embd = 64, t.n_ff = 96, t.n_heads = 4, t.n_kv_heads = 2, t.head_dim = 24;
    t.n_vocab = N_VOCAB, t.n_ctx = 256;
    (void)snprintf(path, sizeof path, "/tmp/sobre-joins-%d.gguf", (int)getpid());
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

static sb_rig open_rig(int n_threads, sb_kv_type kv, sb_level cap)
{
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(N_LEN);
    o.kv = kv, o.cap = cap, o.n_sessions = N_SLOTS, o.n_rows = N_ROWS;
    if (sb_rig_open(&r, path, n_threads, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    return r;
}

/* One text after the other, each token by itself, on one thread. */
static void fill_alone(sb_kv_type kv, sb_level cap)
{
    sb_error err = {0};
    sb_rig r = open_rig(1, kv, cap);
    for (int32_t t = 0; t < N_TEXTS; t++) {
        sb_session *s = NULL;
        sb_rig_ids(all.ids[t], N_LEN, N_VOCAB, (uint64_t)t + 1);
        all.n_prompt[t] = 1 + t * 29 % 120;
        assert_int_equal(sb_session_open(&s, r.engine, 1, &err), SB_OK);
        for (int32_t i = 0; i < N_LEN; i++) {
            const sb_span a = {.s = s, .ids = &all.ids[t][i], .n = 1, .want = SB_WANT_LAST};
            if (sb_engine_step(r.engine, &a, 1, &err) != SB_OK) fail_msg("%s", err.msg);
            memcpy(all.logits[t][i], sb_engine_logits(r.engine, 0, 0), sizeof all.logits[t][i]);
        }
        sb_session_close(s);
    }
    sb_rig_close(&r);
}

/* Before a step: some leave, some go back a little, and who is at the end begins another text. */
static void move_about(batch *b)
{
    sb_error err = {0};
    for (int i = 0; i < N_SLOTS; i++) {
        slot *x = &b->slots[i];
        if (!x->s) continue;
        if (x->pos == N_LEN || rnd(20) == 0) {
            sb_session_close(x->s);
            x->s = NULL;
        } else if (x->pos > 0 && rnd(15) == 0) {
            const int32_t to = x->pos - rnd(x->pos < 30 ? x->pos + 1 : 30);
            if (sb_session_rewind(x->s, to, &err) == SB_OK) x->pos = to; /* or the window is gone */
        }
    }
}

/* Has a slot feed a chunk of its prompt, or one token behind it; at most `most` rows. */
static void add_span(batch *b, int32_t i, int32_t most)
{
    slot *x = &b->slots[i];
    sb_error err = {0};
    if (!x->s) {
        x->text = rnd(N_TEXTS), x->pos = 0;
        if (sb_session_open(&x->s, b->rig.engine, 1, &err) != SB_OK) fail_msg("%s", err.msg);
    }
    const int32_t left = all.n_prompt[x->text] - x->pos;
    int32_t n = left > 1 ? 1 + rnd(left < 60 ? left : 60) : 1;
    x->n_now = n < most ? n : most;
    b->who[b->n] = i;
    b->spans[b->n++] = (sb_span){.s = x->s,
                                 .ids = &all.ids[x->text][x->pos],
                                 .n = x->n_now,
                                 .want = (sb_want)rnd(3),
                                 .n_top = rnd(2) * (1 + rnd(5)),
                                 .is_decode = left <= 0};
}

static void compare_span(batch *b, int32_t i)
{
    slot *x = &b->slots[b->who[i]];
    const sb_span *a = &b->spans[i];
    const int32_t n = a->want == SB_WANT_ALL ? a->n : a->want == SB_WANT_LAST;
    for (int32_t k = 0; k < n; k++) {
        const float *want = all.logits[x->text][x->pos + a->n - n + k];
        const float *now = sb_engine_logits(b->rig.engine, i, k);
        const sb_top *top = sb_engine_top(b->rig.engine, i, k);
        b->n_compared++;
        for (int32_t t = 0; a->n_top && t < a->n_top; t++)
            if (memcmp(&top->at[t].logit, &want[top->at[t].id], sizeof(float)) != 0)
                fail_msg("batch of %d, text %d at %d: largest differ", b->n, x->text, x->pos + k);
        if (!a->n_top && memcmp(now, want, sizeof all.logits[0][0]) != 0)
            fail_msg("batch of %d, text %d at %d: logits differ", b->n, x->text, x->pos + k);
    }
    x->pos += a->n;
}

/* One step of exactly n sessions, drawn at random. */
static void step(batch *b, int32_t n)
{
    int32_t order[N_SLOTS], rows = N_ROWS;
    sb_error err = {0};
    move_about(b);
    for (int32_t i = 0; i < N_SLOTS; i++) {
        const int32_t at = rnd(i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    b->n = 0;
    for (int32_t i = 0; i < n; i++) {
        add_span(b, order[i], rows - (n - 1 - i));
        rows -= b->slots[order[i]].n_now;
    }
    if (sb_engine_step(b->rig.engine, b->spans, b->n, &err) != SB_OK) fail_msg("%s", err.msg);
    for (int32_t i = 0; i < b->n; i++)
        compare_span(b, i);
}

/* Every size of batch, in random order. */
static void check_batches(int n_threads, sb_kv_type kv, sb_level cap)
{
    static batch b;
    b = (batch){.rig = open_rig(n_threads, kv, cap)};
    int32_t sizes[N_SLOTS];
    for (int32_t i = 0; i < N_SLOTS; i++) {
        const int32_t at = rnd(i + 1);
        sizes[i] = sizes[at];
        sizes[at] = 1 + i;
    }
    for (int32_t i = 0; i < N_SLOTS; i++)
        step(&b, sizes[i]);
    assert_true(b.n_compared > 1000);
    for (int i = 0; i < N_SLOTS; i++)
        sb_session_close(b.slots[i].s);
    sb_rig_close(&b.rig);
}

static bool has_level(int level)
{
    sb_kernels k;
    sb_kernels_init(&k, (sb_level)level);
    return k.level == (sb_level)level;
}

/* The weakest level alone is the measure of all levels in crowds. */
static void check_arch(const char *arch)
{
    static const sb_kv_type kvs[] = {SB_KV_BF16, SB_KV_I8, SB_KV_F32};
    const int best = (int)sb_level_best(), first = brief ? best : SB_LEVEL_ref;
    write_model(arch);
    for (size_t i = 0; i < SB_ARRAY_LEN(kvs); i++) {
        fill_alone(kvs[i], (sb_level)first);
        for (int cap = first; cap <= best; cap++)
            for (int n_threads = brief ? N_THREADS : 1; n_threads <= N_THREADS; n_threads++) {
                if (!has_level(cap)) continue; // of another architecture
                seed = (uint64_t)(n_threads + 10 * cap) + 100 * i;
                check_batches(n_threads, kvs[i], (sb_level)cap);
            }
    }
    (void)unlink(path);
}

static void joins_and_leaves(void **state)
{
    (void)state;
    check_arch("llama");
}

/* With layers that see a window, and give pages back meanwhile. */
static void joins_and_leaves_in_windows(void **state)
{
    (void)state;
    check_arch("gemma3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_and_leaves),
        cmocka_unit_test(joins_and_leaves_in_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
