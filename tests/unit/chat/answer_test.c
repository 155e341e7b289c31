/* SPDX-License-Identifier: Apache-2.0
 * answer_test.c - ids of an answer become content, reasoning and calls of a turn. */
#include "chat/answer.h"

#include "base/limits.h"
#include "tiny_open.h"

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

static const sb_message hello = {.role = {"user", 4}, .content = {"hi", 2}};

static sb_turn_request ask(void)
{
    return (sb_turn_request){
        .prompt = {.messages = &hello,
                   .n_messages = 1,
                   .tools = S("[{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]")}};
}

/* The turn that the ids of `text` make, behind a prompt that ends with `tail`. */
static sb_turn answer(sb_output_format format, const sb_turn_request *r, sb_str tail, sb_str text)
{
    sb_turn o = {0};
    sb_answer a;
    sb_ids ids;
    sb_error err = {0};
    sb_ids_init(&ids, 4096);
    sb_ids_init(&o.prompt_ids, 4096);
    sb_ids_init(&o.ids, 4096);
    sb_buf_init(&o.text, 4096, "text");
    sb_buf_init(&o.content, 4096, "content");
    sb_buf_init(&o.reasoning, 4096, "reasoning");
    const sb_tokenizer *t = tiny_opened->tok;
    assert_int_equal(sb_tokenizer_encode(t, tail, SB_TOK_ALL, false, &o.prompt_ids, &err), SB_OK);
    assert_int_equal(sb_tokenizer_encode(t, text, SB_TOK_ALL, false, &ids, &err), SB_OK);
    if (sb_answer_init(&a, t, format, r, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(sb_answer_take(&a, ids.v[i], &err), SB_OK);
    assert_int_equal(sb_answer_finish(&a, false, &err), SB_OK);
    sb_answer_deinit(&a);
    sb_ids_deinit(&ids);
    return o;
}

static void is_text(const sb_buf *b, const char *want)
{
    assert_string_equal(b->p ? b->p : "", want);
}

static void parts_of_an_answer(void **state)
{
    (void)state;
    const sb_turn_request r = ask();
    const sb_str text =
        S("<think>\nHm.\n</think>\n\nI look.<tool_call>{\"name\": \"now\", \"arguments\": "
          "{\"a\": 1}}</tool_call>");
    sb_turn o = answer(SB_OUTPUT_HERMES, &r, S("assistant\n"), text);
    is_text(&o.text, text.p);
    is_text(&o.reasoning, "Hm.");
    is_text(&o.content, "I look.");
    assert_int_equal(o.n_calls, 1);
    assert_string_equal(o.calls[0].id.p, "call_1_0");
    assert_string_equal(o.calls[0].name.p, "now");
    assert_string_equal(o.calls[0].arguments.p, "{\"a\":1}");
    assert_int_equal(o.calls[0].arguments.n, 7);
    sb_turn_deinit(&o);
    o = answer(SB_OUTPUT_HERMES, &r, S("assistant\n<think>\n"), S("Hm.</think>Yes."));
    is_text(&o.reasoning, "Hm.");
    is_text(&o.content, "Yes.");
    sb_turn_deinit(&o);
}

/* What a raw prompt brings is content, whatever it looks like. */
static void raw_answers_are_content(void **state)
{
    (void)state;
    const sb_turn_request r = {.raw = S("x")};
    sb_turn o = answer(SB_OUTPUT_HERMES, &r, S("x"), S("<think>a</think>b"));
    is_text(&o.content, "<think>a</think>b");
    assert_int_equal(o.reasoning.n, 0);
    sb_turn_deinit(&o);
}

/* Control tokens are silent but where the format reads them. */
static void control_tokens_are_silent(void **state)
{
    (void)state;
    const sb_turn_request r = ask();
    sb_turn o = answer(SB_OUTPUT_HERMES, &r, S(""), S("a<|im_start|>b"));
    is_text(&o.content, "ab");
    sb_turn_deinit(&o);
}

static bool stop_at_reasoning(void *ctx, const sb_output_event *e)
{
    (void)ctx;
    return e->kind != SB_OUTPUT_REASONING;
}

static void readers_and_stop_strings_end_it(void **state)
{
    (void)state;
    const sb_str stop = S("END");
    sb_turn_request r = ask();
    r.stops = &stop, r.n_stops = 1, r.on_event = stop_at_reasoning;
    sb_turn o = answer(SB_OUTPUT_HERMES, &r, S(""), S("<think>x</think>So END never"));
    is_text(&o.content, "So ");
    is_text(&o.text, "<think>x</think>So ");
    is_text(&o.reasoning, "x");
    sb_turn_deinit(&o);
}

static void broken_tools_are_refused(void **state)
{
    (void)state;
    sb_turn_request r = ask();
    sb_turn o = {0};
    sb_answer a;
    sb_error err = {0};
    r.prompt.tools = S("{\"no\": \"list\"}");
    assert_int_equal(sb_answer_init(&a, tiny_opened->tok, SB_OUTPUT_HERMES, &r, &o, &err),
                     SB_INVALID);
    assert_non_null(strstr(err.msg, "tools"));
    sb_answer_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_an_answer),
        cmocka_unit_test(raw_answers_are_content),
        cmocka_unit_test(control_tokens_are_silent),
        cmocka_unit_test(readers_and_stop_strings_end_it),
        cmocka_unit_test(broken_tools_are_refused),
    };
    return cmocka_run_group_tests(tests, tiny_open, tiny_close);
}
