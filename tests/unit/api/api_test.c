/* SPDX-License-Identifier: Apache-2.0
 * api_test.c - the public API as a program outside uses it, linked with the shared library. */
#include <sobre.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char *model_path;

static sobre_model *open_model(int32_t n_threads, int32_t n_ctx)
{
    sobre_model *m = NULL;
    sobre_error err = {0};
    const sobre_model_options o = {
        .struct_bytes = sizeof o, .n_threads = n_threads, .n_ctx = n_ctx, .n_sessions = 2};
    if (sobre_model_open(&m, model_path, &o, &err) != SOBRE_OK) fail_msg("%s", err.message);
    return m;
}

static void version_and_errors(void **state)
{
    (void)state;
    sobre_model *m = NULL;
    sobre_error err = {0};
    assert_string_equal(sobre_version(), "0.1.0");
    assert_int_equal(sobre_model_open(&m, "/nonexistent.gguf", NULL, &err), SOBRE_NOT_FOUND);
    assert_int_equal(err.status, SOBRE_NOT_FOUND);
    assert_non_null(strstr(err.message, "nonexistent"));
    assert_null(m);
    assert_int_equal(sobre_model_open(NULL, model_path, NULL, &err), SOBRE_INVALID);
    sobre_model_close(NULL);
    sobre_session_close(NULL);
}

static void tokens_there_and_back(void **state)
{
    (void)state;
    sobre_model *m = open_model(1, 64);
    int32_t ids[64];
    size_t n = 0, at = 0;
    char back[64] = {0};
    const char text[] = "Hello <|im_start|> 123";
    assert_int_equal(sobre_tokenize(m, text, sizeof text - 1, 0, ids, 64, &n, NULL), SOBRE_OK);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        const char *p = sobre_token_text(m, ids[i], &bytes);
        memcpy(back + at, p, bytes);
        at += bytes;
    }
    assert_string_equal(back, text); /* content: no control token swallowed anything */
    const size_t n_content = n;
    assert_int_equal(
        sobre_tokenize(m, text, sizeof text - 1, SOBRE_TOKENIZE_CONTROL, ids, 64, &n, NULL),
        SOBRE_OK);
    assert_true(n < n_content);
    assert_int_equal(sobre_tokenize(m, text, sizeof text - 1, 0, ids, 2, &n, NULL), SOBRE_LIMIT);
    assert_int_equal(n, n_content);
    assert_null(sobre_token_text(m, -1, NULL));
    assert_null(sobre_token_text(m, sobre_model_n_vocab(m), NULL));
    sobre_model_close(m);
}

/* A greedy run of `n` tokens after a chat prompt. */
static void run(sobre_model *m, sobre_session *s, int32_t *out, int n)
{
    const sobre_message msg = {"user", "abc"};
    int32_t ids[256];
    size_t n_tok = 0;
    assert_int_equal(sobre_chat_ids(m, &msg, 1, ids, 256, &n_tok, NULL), SOBRE_OK);
    assert_int_equal(sobre_session_feed(s, ids, n_tok, NULL), SOBRE_OK);
    for (int i = 0; i < n; i++) {
        assert_int_equal(sobre_session_sample(s, &out[i], NULL, NULL), SOBRE_OK);
        assert_int_equal(sobre_session_feed(s, &out[i], 1, NULL), SOBRE_OK);
    }
}

static void sessions_are_repeatable(void **state)
{
    (void)state;
    int32_t a[8], b[8];
    sobre_model *m = open_model(2, 256);
    sobre_session *s = NULL, *t = NULL, *u = NULL;
    sobre_error err = {0};
    assert_int_equal(sobre_session_open(&s, m, NULL), SOBRE_OK);
    assert_null(sobre_session_logits(s));
    assert_int_equal(sobre_session_sample(s, a, NULL, NULL), SOBRE_INVALID);
    run(m, s, a, 8);
    const int32_t n_pos = sobre_session_n_pos(s);
    assert_int_equal(sobre_session_open(&t, m, NULL), SOBRE_OK);
    assert_int_equal(sobre_session_open(&u, m, &err), SOBRE_LIMIT);
    run(m, t, b, 8);
    assert_memory_equal(a, b, sizeof a);
    assert_null(sobre_session_logits(s)); /* the engine holds t's now */
    assert_int_equal(sobre_session_rewind(s, n_pos - 8, NULL), SOBRE_OK);
    assert_int_equal(sobre_session_feed(s, a, 8, NULL), SOBRE_OK);
    assert_int_equal(sobre_session_n_pos(s), n_pos);
    sobre_session_close(t);
    sobre_session_close(s);
    sobre_model_close(m);
}

static void full_context_is_refused_whole(void **state)
{
    (void)state;
    sobre_model *m = open_model(1, 16);
    sobre_session *s = NULL;
    sobre_error err = {0};
    int32_t ids[20] = {0};
    for (int i = 0; i < 20; i++)
        ids[i] = 40 + i;
    assert_int_equal(sobre_model_n_ctx(m), 16);
    assert_int_equal(sobre_session_open(&s, m, NULL), SOBRE_OK);
    assert_int_equal(sobre_session_feed(s, ids, 17, &err), SOBRE_LIMIT);
    assert_int_equal(sobre_session_n_pos(s), 0);
    assert_int_equal(sobre_session_feed(s, ids, 16, &err), SOBRE_OK);
    assert_int_equal(sobre_session_feed(s, ids, 1, &err), SOBRE_LIMIT);
    ids[0] = sobre_model_n_vocab(m);
    assert_int_equal(sobre_session_rewind(s, 0, NULL), SOBRE_OK);
    assert_int_equal(sobre_session_feed(s, ids, 1, &err), SOBRE_INVALID);
    sobre_session_close(s);
    sobre_model_close(m);
}

static void sampling_is_checked_and_seeded(void **state)
{
    (void)state;
    sobre_model *m = open_model(1, 64);
    sobre_session *s = NULL;
    int32_t id = 65, first[16], second[16];
    double lp = 1;
    assert_int_equal(sobre_session_open(&s, m, NULL), SOBRE_OK);
    sobre_sampling p = {.struct_bytes = sizeof p, .temperature = -1};
    assert_int_equal(sobre_session_sampling(s, &p, NULL), SOBRE_INVALID);
    p.temperature = 2, p.seed = 9;
    assert_int_equal(sobre_session_feed(s, &id, 1, NULL), SOBRE_OK);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(sobre_session_sampling(s, &p, NULL), SOBRE_OK);
        for (int i = 0; i < 16; i++)
            assert_int_equal(sobre_session_sample(s, &(pass ? second : first)[i], &lp, NULL),
                             SOBRE_OK);
        assert_true(lp < 0);
    }
    assert_memory_equal(first, second, sizeof first);
    int n_same = 0;
    for (int i = 1; i < 16; i++)
        n_same += first[i] == first[0];
    assert_true(n_same < 15); /* it does draw */
    sobre_session_close(s);
    sobre_model_close(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    model_path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_and_errors),
        cmocka_unit_test(tokens_there_and_back),
        cmocka_unit_test(sessions_are_repeatable),
        cmocka_unit_test(full_context_is_refused_whole),
        cmocka_unit_test(sampling_is_checked_and_seeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
