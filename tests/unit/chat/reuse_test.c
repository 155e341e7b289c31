/* SPDX-License-Identifier: Apache-2.0
 * reuse_test.c - a turn that goes on from the one before says what a cold one says, bit for bit. */
#include "chat/chat.h"
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

#define S(text) ((sb_str){text, sizeof(text) - 1})

static sb_pool *pool;

static int make_pool(void **state)
{
    (void)state;
    return sb_pool_new(&pool, 2, NULL) == SB_OK ? 0 : -1;
}

static int drop_pool(void **state)
{
    (void)state;
    sb_pool_free(pool);
    return 0;
}

/* A chat that keeps its session, and one that is told to forget before each turn. */
typedef struct pair {
    char path[128];
    sb_chat *warm, *cold;
} pair;

static sb_chat *open_chat(const char *path)
{
    sb_chat *c = NULL;
    sb_error err = {0};
    const sb_chat_opts o = {
        .engine = {.cap = SB_LEVEL_avx2, .n_ctx = 1024, .n_sessions = 1, .n_rows = 48},
        .pool = pool};
    if (sb_chat_open(&c, path, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    return c;
}

static pair open_pair(const char *arch, int32_t window)
{
    pair p;
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    t.arch = arch, t.n_ctx = 1024;
    if (window) t.window = window, t.n_layers = 7, t.n_vocab = 700;
    (void)snprintf(p.path, sizeof p.path, "/tmp/sobre-reuse-%d.gguf", (int)getpid());
    if (sb_tiny_write(&t, p.path, &err) != SB_OK) fail_msg("%s", err.msg);
    p.warm = open_chat(p.path);
    p.cold = open_chat(p.path);
    return p;
}

static void close_pair(pair *p)
{
    sb_chat_close(p->warm);
    sb_chat_close(p->cold);
    (void)unlink(p->path);
}

static sb_turn_request ask(sb_str raw, int32_t n)
{
    return (sb_turn_request){
        .raw = raw, .sampling = {.top_p = 1}, .max_tokens = n, .n_logprobs = 2};
}

/* The same turn warm and cold; returns how many tokens the warm one kept. The cold one is given the
 * warm one's ids: answers of before keep those they were sampled as, and this model spells oddly.
 * */
static int32_t both(pair *p, const sb_turn_request *r)
{
    sb_turn a, b;
    sb_error err = {0};
    if (sb_chat_turn(p->warm, r, &a, &err) != SB_OK) fail_msg("%s", err.msg);
    sb_chat_forget(p->cold, 0);
    sb_turn_request cold = *r;
    cold.prompt = (sb_prompt_request){0};
    cold.raw_ids = a.prompt_ids.v, cold.n_raw_ids = a.prompt_ids.n;
    if (sb_chat_turn(p->cold, &cold, &b, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(b.n_cached, 0);
    assert_true(a.n_cached < (int32_t)a.prompt_ids.n);
    assert_int_equal(a.ids.n, b.ids.n);
    for (size_t i = 0; i < a.ids.n; i++) {
        assert_int_equal(a.ids.v[i], b.ids.v[i]);
        assert_memory_equal(a.logprobs[i].top, b.logprobs[i].top, 2 * sizeof(double));
    }
    assert_int_equal(a.finish, b.finish);
    const int32_t n = a.n_cached;
    sb_turn_deinit(&a);
    sb_turn_deinit(&b);
    return n;
}

/* n bytes of text that hardly repeats; the first ones are always the same. */
static sb_str text_of(size_t n)
{
    static char text[4096];
    uint64_t x = 1;
    for (size_t i = 0; i < sizeof text; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)('a' + (x >> 60));
    }
    return (sb_str){text, n};
}

static void growing_prompts_keep_what_they_share(void **state)
{
    (void)state;
    pair p = open_pair("llama", 0);
    int32_t last = 0;
    sb_turn_request r = ask(text_of(30), 5);
    assert_int_equal(both(&p, &r), 0);
    for (size_t n = 60; n <= 600; n += 90) { /* crosses pages of 64 and a segment of 256 */
        r.raw = text_of(n);
        const int32_t kept = both(&p, &r);
        assert_true(kept > last);
        last = kept;
    }
    const int32_t again = both(&p, &r); /* the same prompt: all but its last token */
    assert_true(again > last);
    r.raw = text_of(200); /* back to the middle of a page */
    assert_true(both(&p, &r) > 60);
    r.raw = S("something else");
    assert_true(both(&p, &r) <= 1);
    close_pair(&p);
}

static void windows_keep_what_they_can(void **state)
{
    (void)state;
    pair p = open_pair("gemma3", 70);
    sb_turn_request r = ask(text_of(300), 8);
    assert_int_equal(both(&p, &r), 0);
    r.raw = text_of(340);
    assert_true(both(&p, &r) > 0); /* a few tokens back: the window is still there */
    r.raw = text_of(700);
    assert_true(both(&p, &r) > 0);
    r.raw = text_of(100); /* far back: it is gone */
    assert_int_equal(both(&p, &r), 0);
    close_pair(&p);
}

/* What a person does: messages with the answers put back. */
static void conversations_go_on(void **state)
{
    (void)state;
    pair p = open_pair("llama", 0);
    sb_message m[7] = {{.role = S("user"), .content = S("hello there")}};
    char said[3][2048];
    for (size_t turn = 0; turn < 3; turn++) {
        sb_turn_request r = ask((sb_str){0}, 6);
        r.prompt = (sb_prompt_request){.messages = m, .n_messages = 2 * turn + 1};
        const int32_t kept = both(&p, &r);
        assert_true(turn == 0 ? kept == 0 : kept > 10);
        sb_turn t;
        assert_int_equal(sb_chat_turn(p.warm, &r, &t, NULL), SB_OK);
        assert_int_equal(t.n_cached, t.prompt_ids.n - 1);
        (void)snprintf(said[turn], sizeof said[turn], "%s", t.content.p ? t.content.p : "");
        sb_turn_deinit(&t);
        m[2 * turn + 1] =
            (sb_message){.role = S("assistant"), .content = {said[turn], strlen(said[turn])}};
        m[2 * turn + 2] = (sb_message){.role = S("user"), .content = S("and then?")};
    }
    close_pair(&p);
}

static bool stop_at_once(void *ctx, const sb_output_event *e)
{
    (void)ctx, (void)e;
    return false;
}

/* Stopped, refused and forgotten turns leave a chat that says the same. */
static void turns_after_a_broken_off_one(void **state)
{
    (void)state;
    pair p = open_pair("gemma3", 70);
    atomic_bool cancel = true;
    sb_turn t;
    sb_turn_request r = ask(text_of(120), 8);
    r.on_event = stop_at_once;
    assert_int_equal(sb_chat_turn(p.warm, &r, &t, NULL), SB_OK);
    sb_turn_deinit(&t);
    r.cancel = &cancel, r.raw = text_of(300);
    assert_int_equal(sb_chat_turn(p.warm, &r, &t, NULL), SB_OK);
    assert_int_equal(t.finish, SB_FINISH_CANCELLED);
    assert_int_equal(t.ids.n, 0);
    sb_turn_deinit(&t);
    r.cancel = NULL, r.raw = text_of(4000);
    assert_int_equal(sb_chat_turn(p.warm, &r, &t, NULL), SB_LIMIT);
    r.on_event = NULL, r.raw = text_of(150);
    assert_true(both(&p, &r) > 0);
    sb_chat_forget(p.warm, 0);
    assert_int_equal(both(&p, &r), 0);
    close_pair(&p);
}

/* Finds nothing, leaves nothing, says the same, and what others left stays. */
static void a_turn_that_wants_no_cache(void **state)
{
    (void)state;
    pair p = open_pair("llama", 0);
    sb_turn_request r = ask(text_of(300), 6), bare = r;
    sb_turn a, b;
    bare.no_cache = true;
    assert_int_equal(sb_chat_turn(p.warm, &bare, &a, NULL), SB_OK);
    assert_int_equal(both(&p, &r), 0);
    assert_int_equal(sb_chat_turn(p.warm, &bare, &b, NULL), SB_OK);
    assert_int_equal(b.n_cached, 0);
    assert_int_equal(a.ids.n, b.ids.n);
    assert_memory_equal(a.ids.v, b.ids.v, a.ids.n * sizeof *a.ids.v);
    assert_int_equal(both(&p, &r), b.prompt_ids.n - 1);
    sb_turn_deinit(&a);
    sb_turn_deinit(&b);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_prompts_keep_what_they_share),
        cmocka_unit_test(windows_keep_what_they_can),
        cmocka_unit_test(conversations_go_on),
        cmocka_unit_test(turns_after_a_broken_off_one),
        cmocka_unit_test(a_turn_that_wants_no_cache),
    };
    return cmocka_run_group_tests(tests, make_pool, drop_pool);
}
