/* SPDX-License-Identifier: Apache-2.0
 * golden_test.c - every tiny model of tests/golden/tiny answers as the reference did, and every
 * architecture has one.
 *
 * The files carry the reference's prompt, greedy ids and logits; tools/make-tiny-golden.py says
 * how they were made. */
#include "base/alloc.h"
#include "engine/sampler.h"
#include "rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const folder = SB_TEST_GOLDEN "/tiny";

/* Mean distance of fast mode (8-bit activations, bf16 keys and values) from exact mode. Rows of 32
 * values have one scale, and random weights hide nothing: real models stay near 1e-3. */
static const double FAST_NATS = 4e-3;

enum { MAX_IDS = 1024, MAX_STEPS = 64, MAX_FILES = 64 };

/* What the reference did, and where the file is. */
typedef struct golden {
    char path[512], arch[32];
    int32_t ids[MAX_IDS], greedy[MAX_STEPS], steps[MAX_STEPS];
    int32_t n_ids, n_greedy, n_steps, n_vocab;
    float *logits; /* [n_steps][n_vocab] */
} golden;

static golden files[MAX_FILES];
static size_t n_files;

static const sb_gguf_kv *array(const sb_gguf *g, const char *key, uint64_t max)
{
    const sb_gguf_kv *kv = sb_gguf_kv_find(g, key);
    if (!kv || kv->type != SB_GGUF_ARR || kv->count < 1 || kv->count > max)
        fail_msg("%s: %s: no array of 1 to %u", sb_gguf_path(g, 0), key, (unsigned)max);
    return kv;
}

static int32_t ints(const sb_gguf *g, const char *key, int32_t *out, uint64_t max)
{
    const sb_gguf_kv *kv = array(g, key, max);
    assert_int_equal(sb_gguf_kv_ints(g, kv, out, kv->count, NULL), SB_OK);
    return (int32_t)kv->count;
}

static void load(golden *f, const char *name)
{
    sb_gguf *g = NULL;
    sb_error err = {0};
    sb_str arch = {0};
    (void)snprintf(f->path, sizeof f->path, "%s/%s", folder, name);
    if (sb_gguf_open(&g, f->path, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(sb_gguf_get_str(g, "general.architecture", &arch, NULL), SB_OK);
    (void)snprintf(f->arch, sizeof f->arch, "%.*s", (int)arch.n, arch.p);
    f->n_ids = ints(g, "reference.ids", f->ids, MAX_IDS);
    f->n_greedy = ints(g, "reference.greedy", f->greedy, MAX_STEPS);
    f->n_steps = ints(g, "reference.steps", f->steps, MAX_STEPS);
    const sb_gguf_kv *kv = array(g, "reference.logits", 1 << 20);
    f->n_vocab = (int32_t)kv->count / f->n_steps;
    f->logits = sb_alloc((size_t)kv->count, sizeof *f->logits);
    assert_non_null(f->logits);
    assert_int_equal(sb_gguf_kv_floats(g, kv, f->logits, kv->count, NULL), SB_OK);
    assert_true(f->n_greedy >= 32);
    sb_gguf_close(g);
}

static int load_all(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    if (!d) return -1;
    for (struct dirent *e; (e = readdir(d)) && n_files < MAX_FILES;)
        if (strstr(e->d_name, ".gguf")) load(&files[n_files++], e->d_name);
    return closedir(d);
}

static int drop_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_files; i++)
        sb_free(files[i].logits);
    return 0;
}

/* How a model is run: fast or exact, cache type, prompt tokens of a step. */
typedef struct way {
    sb_precision precision;
    sb_kv_type kv;
    int32_t chunk;
} way;

/* Feeds prompt and the reference's answer; out[n_greedy][n_vocab] are the logits before each id. */
static void answer(const golden *f, way w, float *out)
{
    sb_rig r;
    sb_error err = {0};
    sb_session *s = NULL;
    const int32_t n_vocab = f->n_vocab;
    sb_engine_opts o = sb_rig_opts(f->n_ids + f->n_greedy);
    o.precision = w.precision, o.kv = w.kv;
    if (sb_rig_open(&r, f->path, 2, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(r.model->hp.n_vocab, n_vocab);
    assert_int_equal(r.model->n_unbound, 0);
    assert_int_equal(sb_session_open(&s, r.engine, 1, &err), SB_OK);
    sb_span span = {.s = s, .want = SB_WANT_LAST};
    for (int32_t at = 0; at < f->n_ids; at += span.n) {
        span.ids = f->ids + at;
        span.n = f->n_ids - at < w.chunk ? f->n_ids - at : w.chunk;
        if (sb_engine_step(r.engine, &span, 1, &err) != SB_OK) fail_msg("%s", err.msg);
    }
    for (int32_t i = 0; i < f->n_greedy; i++) {
        memcpy(out + (size_t)i * (size_t)n_vocab, sb_engine_logits(r.engine, 0, 0),
               (size_t)n_vocab * sizeof *out);
        span.ids = &f->greedy[i], span.n = 1;
        if (sb_engine_step(r.engine, &span, 1, &err) != SB_OK) fail_msg("%s", err.msg);
    }
    sb_session_close(s);
    sb_rig_close(&r);
}

/* Largest |a - b| over the largest |b|. */
static double distance(const float *a, const float *b, int32_t n)
{
    double most = 0, largest = 0;
    for (int32_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}

static float *new_rows(const golden *f)
{
    float *p = sb_alloc((size_t)f->n_greedy * (size_t)f->n_vocab, sizeof *p);
    assert_non_null(p);
    return p;
}

static void every_architecture_has_a_model(void **state)
{
    (void)state;
    static const char *const archs[] = {
#define X(name) #name,
#include "model/arch.def"
#undef X
    };
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++) {
        size_t n = 0;
        for (size_t i = 0; i < n_files; i++)
            n += strcmp(files[i].arch, archs[a]) == 0;
        if (!n) fail_msg("%s: no model in %s", archs[a], folder);
    }
}

/* Exact mode computes what the reference computed, in another order: 1e-5 of the largest logit. */
static void exact_mode_is_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_files; i++) {
        const golden *f = &files[i];
        const size_t n_vocab = (size_t)f->n_vocab;
        float *y = new_rows(f);
        double worst = 0;
        answer(f, (way){SB_EXACT, SB_KV_F32, 50}, y);
        for (int32_t s = 0; s < f->n_steps; s++)
            worst = fmax(worst, distance(y + (size_t)f->steps[s] * n_vocab,
                                         f->logits + (size_t)s * n_vocab, f->n_vocab));
        print_message("%s: %.1e of the largest logit\n", f->path, worst);
        if (!(worst <= 1e-5)) fail_msg("%s: %g", f->path, worst);
        for (int32_t s = 0; s < f->n_greedy; s++)
            if (sb_argmax(y + (size_t)s * n_vocab, f->n_vocab) != f->greedy[s])
                fail_msg("%s: step %d: another word", f->path, s);
        sb_free(y);
    }
}

/* KL divergence of the words of b from those of a, in nats. */
static double divergence(const float *a, const float *b, int32_t n)
{
    double top_a = -INFINITY, top_b = -INFINITY, sum_a = 0, sum_b = 0, kl = 0;
    for (int32_t i = 0; i < n; i++) {
        top_a = fmax(top_a, (double)a[i]);
        top_b = fmax(top_b, (double)b[i]);
    }
    for (int32_t i = 0; i < n; i++) {
        sum_a += exp((double)a[i] - top_a);
        sum_b += exp((double)b[i] - top_b);
    }
    for (int32_t i = 0; i < n; i++) {
        const double log_a = (double)a[i] - top_a - log(sum_a);
        kl += exp(log_a) * (log_a - ((double)b[i] - top_b - log(sum_b)));
    }
    return kl;
}

static void stays_near(sb_kv_type kv)
{
    for (size_t i = 0; i < n_files; i++) {
        const golden *f = &files[i];
        const size_t n_vocab = (size_t)f->n_vocab;
        float *exact = new_rows(f), *fast = new_rows(f);
        double kl = 0;
        answer(f, (way){SB_EXACT, SB_KV_F32, 50}, exact);
        answer(f, (way){SB_FAST, kv, 50}, fast);
        for (size_t s = 0; s < (size_t)f->n_greedy; s++)
            kl += divergence(exact + s * n_vocab, fast + s * n_vocab, f->n_vocab) / f->n_greedy;
        print_message("%s: %.1e nats\n", f->path, kl);
        if (!(kl <= FAST_NATS)) fail_msg("%s: fast mode is %g nats from exact mode", f->path, kl);
        sb_free(exact);
        sb_free(fast);
    }
}

static void fast_mode_stays_near(void **state)
{
    (void)state;
    stays_near(SB_KV_BF16);
}

static void int8_keys_and_values_stay_near(void **state)
{
    (void)state;
    stays_near(SB_KV_I8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture_has_a_model),
        cmocka_unit_test(exact_mode_is_the_reference),
        cmocka_unit_test(fast_mode_stays_near),
        cmocka_unit_test(int8_keys_and_values_stay_near),
    };
    return cmocka_run_group_tests(tests, load_all, drop_all);
}
