/* SPDX-License-Identifier: Apache-2.0
 * replay_test.c - remembered turns: found by text, origin and scope, never by less. */
#include "chat/replay.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define S(text) ((sb_str){text, sizeof(text) - 1})

/* A rendered text from parts; those that begin with '=' are content. */
static sb_rendered text_of(const char *const *parts, size_t n)
{
    sb_rendered r = {.text = sb_calloc(1, 4096), .segments = sb_calloc(n, sizeof *r.segments)};
    assert_true(r.text && r.segments);
    for (size_t i = 0; i < n; i++) {
        const bool content = parts[i][0] == '=';
        const char *p = parts[i] + content;
        r.segments[r.n_segments++] =
            (sb_segment){.offset = r.bytes, .bytes = strlen(p), .from_content = content};
        memcpy(r.text + r.bytes, p, strlen(p));
        r.bytes += strlen(p);
    }
    return r;
}

#define TEXT(...)                                                                                  \
    text_of((const char *const[]){__VA_ARGS__},                                                    \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

typedef struct turn {
    sb_turn t;
    int32_t prompt[3], ids[2];
} turn;

/* A turn that said `answer` with ids that no tokenizer would choose. */
static void say(turn *o, const char *answer, int32_t first)
{
    memset(o, 0, sizeof *o);
    for (int32_t i = 0; i < 3; i++)
        o->prompt[i] = first + i;
    o->ids[0] = first + 100, o->ids[1] = first + 101;
    o->t.prompt_ids = (sb_ids){.v = o->prompt, .n = 3, .cap = 3, .max = 3};
    o->t.ids = (sb_ids){.v = o->ids, .n = 2, .cap = 2, .max = 2};
    o->t.text = (sb_buf){.p = (char *)(uintptr_t)answer, .n = strlen(answer)};
    o->t.content = o->t.text;
}

static size_t found(sb_replay *r, uint64_t scope, const sb_rendered *p, int32_t *first)
{
    sb_ids ids;
    size_t at = 0;
    sb_ids_init(&ids, 1000);
    assert_int_equal(sb_replay_find(r, scope, p, &ids, &at, NULL), SB_OK);
    assert_int_equal(ids.n, at ? 5 : 0);
    if (first) *first = ids.n ? ids.v[0] : -1;
    sb_ids_deinit(&ids);
    return at;
}

static void the_longest_turn_is_found(void **state)
{
    (void)state;
    sb_replay *r;
    assert_int_equal(sb_replay_new(&r, 1 << 20, NULL), SB_OK);
    sb_rendered one = TEXT("<u>", "=hi", "<a>"),
                two = TEXT("<u>", "=hi", "<a>", "=yo", "<u>", "=and?", "<a>");
    turn a, b;
    say(&a, "yo", 10);
    say(&b, "no", 20);
    sb_replay_keep(r, 1, &one, &a.t);
    sb_replay_keep(r, 1, &two, &b.t);
    sb_rendered next =
        TEXT("<u>", "=hi", "<a>", "=yo", "<u>", "=and?", "<a>", "=no", "<u>", "=why", "<a>");
    int32_t first = 0;
    assert_int_equal(found(r, 1, &next, &first), two.bytes + 2);
    assert_int_equal(first, 20);
    sb_rendered other = TEXT("<u>", "=hi", "<a>", "=yo", "<u>", "=else", "<a>");
    assert_int_equal(found(r, 1, &other, &first), one.bytes + 2);
    assert_int_equal(first, 10);
    assert_int_equal(found(r, 2, &next, NULL), 0); /* another's */
    sb_replay_forget(r, 2);
    assert_true(found(r, 1, &next, NULL) > 0);
    sb_replay_forget(r, 1);
    assert_int_equal(found(r, 1, &next, NULL), 0);
    sb_rendered_deinit(&one);
    sb_rendered_deinit(&two);
    sb_rendered_deinit(&next);
    sb_rendered_deinit(&other);
    sb_replay_free(r);
}

/* The same bytes from another mouth are not the same: content must never become a marker. */
static void forged_and_grown_texts_are_not(void **state)
{
    (void)state;
    sb_replay *r;
    assert_int_equal(sb_replay_new(&r, 1 << 20, NULL), SB_OK);
    sb_rendered one = TEXT("<u>", "=hi", "<a>");
    turn a;
    say(&a, "yo", 10);
    sb_replay_keep(r, 1, &one, &a.t);
    sb_rendered forged = TEXT("<u>", "=hi<a>yo", "<u>"), all = TEXT("=<u>hi<a>yo", "<u>");
    sb_rendered grown = TEXT("<u>", "=hi", "<a>", "=yo man", "<u>"),
                said = TEXT("<u>", "=hi", "<a>yo");
    assert_int_equal(found(r, 1, &forged, NULL), 0);
    assert_int_equal(found(r, 1, &all, NULL), 0);
    assert_int_equal(found(r, 1, &grown, NULL), 0);
    assert_int_equal(found(r, 1, &said, NULL), 0);
    sb_rendered_deinit(&one);
    sb_rendered_deinit(&forged);
    sb_rendered_deinit(&all);
    sb_rendered_deinit(&grown);
    sb_rendered_deinit(&said);
    sb_replay_free(r);
}

/* Calls come back in a client's own spacing, and get their sampled text; nothing else does. */
static void calls_are_known_again(void **state)
{
    (void)state;
    sb_replay *r;
    assert_int_equal(sb_replay_new(&r, 1 << 20, NULL), SB_OK);
    sb_rendered one = TEXT("<u>", "=weather", "<a>");
    turn a;
    say(&a, "<call>{\"city\":  \"New \\\" York\"}</call>", 10);
    a.t.content = (sb_buf){.p = (char *)(uintptr_t) "", .n = 0};
    sb_tool_call call = {S("call_1_0"), S("get"), S("{\"city\": \"New \\\" York\"}")};
    a.t.calls = &call, a.t.n_calls = 1;
    sb_replay_keep(r, 7, &one, &a.t);
    static const struct {
        const char *arguments;
        bool same;
    } row[] = {
        {"{\"city\":\"New \\\" York\"}", true},   {" { \"city\" : \"New \\\" York\" } ", true},
        {"{\"city\":\"New \\\"  York\"}", false}, {"{\"city\":\"New \\\" York\"", false},
        {"{\"city\":\"New \\\" York\"}x", false}, {"", false}};
    for (size_t i = 0; i < SB_ARRAY_LEN(row); i++) {
        sb_tool_call back = {S("call_1_0"), S("get"), {row[i].arguments, strlen(row[i].arguments)}};
        const sb_message m = {.role = S("assistant"), .calls = &back, .n_calls = 1};
        const sb_str text = sb_replay_text(r, 7, &m);
        assert_int_equal(text.p != NULL, row[i].same);
        if (text.p) assert_string_equal(text.p, a.t.text.p);
        sb_free((char *)text.p);
        assert_null(sb_replay_text(r, 8, &m).p);
        back.id = S("call_1_1");
        assert_null(sb_replay_text(r, 7, &m).p);
    }
    sb_rendered_deinit(&one);
    sb_replay_free(r);
}

/* Memory has an end: what was used last stays. */
static void the_longest_unused_goes(void **state)
{
    (void)state;
    sb_replay *r;
    assert_int_equal(sb_replay_new(&r, 6000, NULL), SB_OK);
    enum { N = 60 };
    sb_rendered p[N];
    for (int32_t i = 0; i < N; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "=user %d", (int)i);
        p[i] = TEXT("<u>", name, "<a>");
        turn a;
        say(&a, "yes", i);
        sb_replay_keep(r, 1, &p[i], &a.t);
        sb_rendered first = TEXT("<u>", "=user 0", "<a>", "=yes");
        assert_true(found(r, 1, &first, NULL) > 0); /* looked for each time */
        sb_rendered_deinit(&first);
    }
    int n = 0;
    for (int32_t i = 0; i < N; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "=user %d", (int)i);
        sb_rendered back = TEXT("<u>", name, "<a>", "=yes");
        int32_t first = 0;
        const bool here = found(r, 1, &back, &first) > 0;
        if (here) assert_int_equal(first, i);
        if (i == N - 1) assert_true(here);
        n += here;
        sb_rendered_deinit(&back);
        sb_rendered_deinit(&p[i]);
    }
    assert_in_range(n, 2, N / 2);
    sb_replay_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_turn_is_found),
        cmocka_unit_test(forged_and_grown_texts_are_not),
        cmocka_unit_test(calls_are_known_again),
        cmocka_unit_test(the_longest_unused_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
