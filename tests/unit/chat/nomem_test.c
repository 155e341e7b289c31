/* SPDX-License-Identifier: Apache-2.0
 * nomem_test.c - every allocation of loading a model and of one turn fails, once and for good.
 *
 * The n-th request is refused, for every n until all are granted. What
 * is asked for then must say so, give everything back, and work when memory is there again, to the
 * same ids. That goes through every library room: file, vocabulary, template, plan, weights,
 * prompt, sampler, stops, output. */
#include "chat/chat.h"
#include "starve.h"
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

static char path[128];
static sb_pool *pool;

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const char plain_template[] =
    "{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}";

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/sobre-nomem-%d.gguf", (int)getpid());
    return sb_pool_new(&pool, 2, NULL) == SB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sb_pool_free(pool);
    return unlink(path);
}

static void make(const char *arch)
{
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    t.arch = arch, t.n_layers = 1;
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

static sb_status open_chat(sb_chat **out, sb_precision precision, sb_error *err)
{
    const sb_chat_opts o = {.engine = {.precision = precision,
                                       .kv = SB_KV_BF16,
                                       .cap = SB_LEVEL_avx2,
                                       .n_ctx = 200,
                                       .n_sessions = 1,
                                       .n_rows = 64},
                            .pool = pool,
                            .template_text = S(plain_template)};
    return sb_chat_open(out, path, &o, err);
}

/* What a refused request may end with: nothing else than that, in a line. */
static void assert_said_so(sb_status s, const sb_error *err, long n)
{
    if (s != SB_NO_MEMORY || err->code != s || !err->msg[0])
        fail_msg("allocation %ld refused: status %d (%d): %s", n, s, err->code, err->msg);
}

static long sweep_open(sb_precision precision, bool always)
{
    const long before = starve_live();
    for (long n = 0;; n++) {
        sb_chat *chat = NULL;
        sb_error err = {0};
        starve_from(n, always);
        const sb_status s = open_chat(&chat, precision, &err);
        const bool refused = starve_end();
        if (s == SB_OK) sb_chat_close(chat);
        if (starve_live() != before)
            fail_msg("allocation %ld refused: %ld blocks lost", n, starve_live() - before);
        if (!refused) {
            assert_int_equal(s, SB_OK);
            return n;
        }
        assert_said_so(s, &err, n);
        assert_null(chat);
    }
}

static void loading_survives(void **state)
{
    (void)state;
    static const char *const archs[] = {"llama", "gemma3"};
    for (size_t i = 0; i < SB_ARRAY_LEN(archs); i++) {
        make(archs[i]);
        for (int way = 0; way < 4; way++) {
            const long n = sweep_open(way & 1 ? SB_EXACT : SB_FAST, way & 2);
            assert_true(n > 20); /* or nothing was swept */
        }
    }
}

static sb_turn_request ask(const sb_message *m, size_t n, const sb_str *stops)
{
    return (sb_turn_request){.prompt = {.messages = m, .n_messages = n},
                             .sampling = {.temp = 0.8f, .top_k = 40, .top_p = 0.9f, .seed = 7},
                             .max_tokens = 24,
                             .stops = stops,
                             .n_stops = 2,
                             .n_logprobs = 3};
}

static void assert_same(sb_turn *out, const sb_turn *good)
{
    assert_int_equal(out->ids.n, good->ids.n);
    assert_memory_equal(out->ids.v, good->ids.v, good->ids.n * sizeof *good->ids.v);
    sb_turn_deinit(out);
}

/* A turn without memory fails and changes nothing: the next one says what it always said. One that
 * could only not be remembered (replay.h) is whole. */
static void sweep_turn(sb_chat *chat, const sb_turn_request *r, bool always)
{
    sb_turn good, out;
    sb_error err = {0};
    if (sb_chat_turn(chat, r, &good, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_true(good.ids.n > 0);
    const long before = starve_live();
    long n = 0, n_failed = 0;
    for (;; n++) {
        starve_from(n, always);
        const sb_status s = sb_chat_turn(chat, r, &out, &err);
        const bool refused = starve_end();
        if (s == SB_OK) assert_same(&out, &good);
        if (!refused) break;
        if (s != SB_OK) assert_said_so(s, &err, n);
        n_failed += s != SB_OK;
        assert_int_equal(sb_chat_turn(chat, r, &out, &err), SB_OK);
        assert_same(&out, &good);
    }
    assert_true(n_failed > 10);
    assert_true(starve_live() <= before + 2); /* the ids a chat keeps may have grown */
    sb_turn_deinit(&good);
}

static void a_turn_survives(void **state)
{
    (void)state;
    static const char *const archs[] = {"llama", "gemma3"};
    static const sb_message m[] = {
        {.role = S("user"), .content = S("hello \xF0\x9F\x99\x82 there")},
        {.role = S("assistant"), .content = S("yes?")},
        {.role = S("user"), .content = S("1 + 1 = <|im_end|> what")}};
    const sb_str stops[2] = {S("zzzz"), S("\n\n\n\n")};
    for (size_t i = 0; i < SB_ARRAY_LEN(archs); i++) {
        sb_chat *chat = NULL;
        make(archs[i]);
        assert_int_equal(open_chat(&chat, SB_FAST, NULL), SB_OK);
        const sb_turn_request talk = ask(m, SB_ARRAY_LEN(m), stops);
        sb_turn_request raw = ask(NULL, 0, stops);
        raw.raw = (sb_str)S("once upon a time there was");
        for (int always = 0; always < 2; always++) {
            sweep_turn(chat, &talk, always);
            sweep_turn(chat, &raw, always);
        }
        sb_chat_close(chat);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_survives),
        cmocka_unit_test(a_turn_survives),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
