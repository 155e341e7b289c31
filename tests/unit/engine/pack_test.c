/* SPDX-License-Identifier: Apache-2.0
 * pack_test.c - how far packing is, and giving it up. */
#include "rig.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[128];

static int make_model(void **state)
{
    (void)state;
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    (void)snprintf(path, sizeof path, "/tmp/sobre-pack-%d.gguf", (int)getpid());
    return sb_tiny_write(&t, path, &err) == SB_OK ? 0 : -1;
}

static int drop_model(void **state)
{
    (void)state;
    return unlink(path);
}

typedef struct seen {
    int n_calls, give_up_at;
    uint64_t last, all;
} seen;

static bool note(void *ctx, uint64_t done_bytes, uint64_t all_bytes)
{
    seen *s = ctx;
    assert_true(done_bytes >= s->last && done_bytes < all_bytes);
    if (s->n_calls > 0) assert_true(s->all == all_bytes);
    s->last = done_bytes;
    s->all = all_bytes;
    return ++s->n_calls != s->give_up_at;
}

static sb_status open_with(seen *s, int n_threads)
{
    sb_rig r;
    sb_error err = {0};
    sb_engine_opts o = sb_rig_opts(32);
    o.on_pack = note;
    o.pack_ctx = s;
    const sb_status got = sb_rig_open(&r, path, n_threads, &o, &err);
    if (got == SB_OK) sb_rig_close(&r);
    return got;
}

static void progress_grows_and_ends_below_all(void **state)
{
    (void)state;
    seen s = {0};
    assert_int_equal(open_with(&s, 1), SB_OK);
    assert_true(s.n_calls >= 3 && s.last > s.all / 2);
    seen two = {0};
    assert_int_equal(open_with(&two, 2), SB_OK);
    assert_true(s.all > 0 && (two.n_calls == 0 || two.all == s.all));
}

static void giving_up_cancels(void **state)
{
    (void)state;
    for (int at = 1; at <= 3; at++) {
        seen s = {.give_up_at = at};
        assert_int_equal(open_with(&s, 1), SB_CANCELLED);
        assert_int_equal(s.n_calls, at);
    }
}

/* Cut short between opening and packing: an error, where a mapping would raise a signal. */
static void a_file_cut_short_is_said(void **state)
{
    (void)state;
    char copy[160], line[400];
    (void)snprintf(copy, sizeof copy, "%s.cut", path);
    (void)snprintf(line, sizeof line, "cp '%s' '%s'", path, copy);
    assert_int_equal(system(line), 0); // NOLINT(cert-env33-c): a path of ours
    sb_error err = {0};
    sb_model *model = NULL;
    sb_pool *pool = NULL;
    assert_int_equal(sb_model_open(&model, copy, &err), SB_OK);
    assert_int_equal(sb_pool_new(&pool, 2, &err), SB_OK);
    int32_t widest = 0;
    for (int32_t i = 1; i < model->n_weights; i++)
        if (model->weights[i].bytes > model->weights[widest].bytes) widest = i;
    const sb_weight *w = &model->weights[widest];
    assert_int_equal(truncate(copy, (off_t)(w->offset + w->bytes / 2)), 0);
    const sb_engine_opts o = sb_rig_opts(32);
    sb_engine *e = NULL;
    assert_int_equal(sb_engine_new(&e, model, pool, &o, &err), SB_IO);
    assert_non_null(strstr(err.msg, "cut short"));
    sb_pool_free(pool);
    sb_model_close(model);
    assert_int_equal(unlink(copy), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(progress_grows_and_ends_below_all),
                                       cmocka_unit_test(giving_up_cancels),
                                       cmocka_unit_test(a_file_cut_short_is_said)};
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
