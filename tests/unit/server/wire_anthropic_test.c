/* SPDX-License-Identifier: Apache-2.0
 * wire_anthropic_test.c - the Messages dialect: requests as agents send them, answers to the byte,
 * errors, and the bodies beside them. */
#include "server/wire/anthropic.h"

#include "base/limits.h"
#include "voice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static const sb_dialect *const D = &sb_dialect_anthropic;

static void read_file(sb_ask *a, const char *name)
{
    sb_wire_error w;
    char *body = rig_file(name);
    *a = (sb_ask){0};
    if (sb_wire_read(a, D, (sb_str){body, strlen(body)}, &w) != SB_OK) fail_msg("%s", w.err.msg);
    sb_free(body);
}

/* ---- requests ---- */

static void an_agents_first_request(void **state)
{
    (void)state;
    sb_ask a;
    read_file(&a, "claude-code.json");
    const sb_turn_request *t = &a.turns[0];
    const sb_prompt_request *p = &t->prompt;
    assert_true(a.stream);
    assert_int_equal(a.n_turns, 1);
    assert_int_equal(t->max_tokens, 32000);
    assert_int_equal(p->thinking, SB_THINKING_DEFAULT);
    assert_str(p->reasoning_effort, "medium");
    assert_int_equal(p->n_messages, 2);
    assert_str(p->messages[0].role, "system");
    assert_int_equal(p->messages[0].n_parts, 2); // the billing line is gone
    assert_str(p->messages[0].parts[0].text,
               "You are Claude Code, Anthropic's official CLI for Claude.");
    assert_non_null(a.nonce_removed);
    assert_int_equal(p->messages[1].n_parts, 2);
    assert_str(p->messages[1].parts[1].text, "what does main.c do?");
    assert_non_null(strstr(p->tools.p, "{\"type\":\"function\",\"function\":{\"name\":\"Bash\","));
    assert_null(strstr(p->tools.p, "web_search"));
    assert_int_equal(json_array_size(a.warnings), 1);
    sb_ask_deinit(&a);
}

static void an_agents_tool_round(void **state)
{
    (void)state;
    sb_ask a;
    read_file(&a, "claude-code-tools.json");
    const sb_prompt_request *p = &a.turns[0].prompt;
    static const char *const roles[] = {"system", "user", "assistant", "tool", "tool", "user"};
    assert_int_equal(p->n_messages, SB_ARRAY_LEN(roles));
    for (size_t i = 0; i < SB_ARRAY_LEN(roles); i++)
        assert_str(p->messages[i].role, roles[i]);
    const sb_message *m = p->messages;
    assert_str(m[2].reasoning, "I should run ls.");
    assert_str(m[2].content, "Let me look.");
    assert_int_equal(m[2].n_calls, 2);
    assert_str(m[2].calls[0].id, "call_1_0");
    assert_str(m[2].calls[0].arguments, "{\"command\":\"ls\",\"timeout\":5000}");
    assert_str(m[3].tool_call_id, "call_1_0");
    assert_str(m[3].content, "main.c\nREADME.md");
    assert_str(m[4].name, "Read");
    assert_str(m[4].content, "no such file");
    assert_int_equal(m[5].n_parts, 2); // a system text in the middle, and the user's
    assert_str(m[5].parts[0].text, "The user opened README.md.");
    assert_int_equal(p->thinking, SB_THINKING_ON);
    assert_int_equal(p->end, SB_PROMPT_ASK);
    sb_ask_deinit(&a);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HEAD "{\"model\":\"m\",\"max_tokens\":2048," HI

static void read_text(sb_ask *a, const char *body, const sb_wire_opts *opts)
{
    sb_wire_error w;
    *a = (sb_ask){0};
    if (opts) a->opts = *opts;
    if (sb_wire_read(a, D, (sb_str){body, strlen(body)}, &w) != SB_OK)
        fail_msg("%s: %s", body, w.err.msg);
}

static void a_prefill_is_gone_on_with(void **state)
{
    (void)state;
    sb_ask a;
    read_text(&a,
              "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
              "{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":\"(\"}]}",
              NULL);
    assert_int_equal(a.turns[0].prompt.end, SB_PROMPT_CONTINUE);
    assert_int_equal(a.turns[0].prompt.n_messages, 2); // two of the user's are one
    assert_int_equal(a.turns[0].prompt.messages[0].n_parts, 2);
    sb_ask_deinit(&a);
}

static void blocks_of_all_kinds(void **state)
{
    (void)state;
    sb_ask a;
    read_text(
        &a,
        "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":["
        "{\"type\":\"document\",\"title\":\"t\",\"source\":{\"type\":\"text\",\"media_type\":"
        "\"text/"
        "plain\",\"data\":\"D\"}},"
        "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"text\","
        "\"text\":\"E\"}]}},"
        "{\"type\":\"search_result\",\"title\":\"T\",\"source\":\"S\",\"content\":[{\"type\":"
        "\"text\","
        "\"text\":\"F\"}]}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"redacted_thinking\",\"data\":\"x\"},"
        "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}},"
        "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[]}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"x\"},"
        "{\"type\":\"tool_result\",\"tool_use_id\":\"y\",\"content\":[{\"type\":\"tool_reference\","
        "\"tool_name\":\"N\"}]}]}]}",
        NULL);
    const sb_message *m = a.turns[0].prompt.messages;
    assert_int_equal(a.turns[0].prompt.n_messages, 4);
    assert_int_equal(m[0].n_parts, 5);
    assert_str(m[0].parts[0].text, "D");
    assert_str(m[0].parts[1].text, "E");
    assert_str(m[0].parts[4].text, "F");
    assert_str(m[1].content, ""); // nothing of it can be told
    assert_str(m[2].content, "");
    assert_str(m[3].content, "N");
    assert_int_equal(json_array_size(a.warnings), 2);
    sb_ask_deinit(&a);
}

static void counting_needs_no_max_tokens(void **state)
{
    (void)state;
    const sb_wire_opts opts = {.count_only = true};
    sb_wire_error w;
    sb_ask a;
    assert_int_equal(rig_refused(D, "{" HI "}", &w), SB_INVALID);
    assert_string_equal(w.param, "max_tokens");
    read_text(&a, "{" HI "}", &opts);
    assert_int_equal(a.turns[0].prompt.n_messages, 1);
    sb_ask_deinit(&a);
    sb_buf b;
    sb_buf_init(&b, 100, "count");
    assert_int_equal(sb_anthropic_count(&b, 31, NULL), SB_OK);
    assert_string_equal(b.p, "{\"input_tokens\":31}");
    sb_buf_deinit(&b);
}

static void thinking_and_choices_are_obeyed(void **state)
{
    (void)state;
    sb_ask a;
    read_text(&a, HEAD ",\"thinking\":{\"type\":\"disabled\"}}", NULL);
    assert_int_equal(a.turns[0].prompt.thinking, SB_THINKING_OFF);
    sb_ask_deinit(&a);
    read_text(&a,
              HEAD ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],"
                   "\"tool_choice\":{\"type\":\"none\",\"disable_parallel_tool_use\":true},"
                   "\"stop_sequences\":[\"END\"],\"top_k\":5,\"temperature\":0.5}",
              NULL);
    assert_int_equal(a.turns[0].prompt.tools.n, 0);
    assert_true(a.one_call);
    assert_int_equal(a.turns[0].sampling.top_k, 5);
    assert_true(a.turns[0].sampling.temp == 0.5f);
    assert_str(a.turns[0].stops[0], "END");
    sb_ask_deinit(&a);
}

static void bad_bodies_name_their_field(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param;
        int status;
    } rows[] = {
        {"[]", "", 400},
        {"{\"max_tokens\":5}", "messages", 400},
        {"{\"max_tokens\":5,\"messages\":[]}", "messages", 400},
        {"{\"max_tokens\":0," HI "}", "max_tokens", 400},
        {"{\"max_tokens\":\"5\"," HI "}", "max_tokens", 400},
        {"{\"max_tokens\":5,\"messages\":[5]}", "messages[0].", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"root\",\"content\":\"x\"}]}",
         "messages[0].role", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":5}]}",
         "messages[0].content", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
         "\"source\":{}}]}]}",
         "messages[0].content[0].type", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
         "messages[0].content[0].text", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\","
         "\"source\":{\"type\":\"base64\"}}]}]}",
         "messages[0].content[0].source.type", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_use\","
         "\"id\":\"a\",\"name\":\"b\",\"input\":{}}]}]}",
         "messages[0].content[0].type", 400},
        {"{\"max_tokens\":5,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_"
         "use\",\"id\":\"a\",\"name\":\"b\\n\",\"input\":{}}]}]}",
         "messages[0].content[0].name", 400},
        {HEAD ",\"system\":5}", "system", 400},
        {HEAD ",\"stream\":\"yes\"}", "stream", 400},
        {HEAD ",\"temperature\":-1}", "temperature", 400},
        {HEAD ",\"stop_sequences\":[\"\"]}", "stop_sequences", 400},
        {HEAD ",\"thinking\":{\"type\":\"enabled\"}}", "thinking.budget_tokens", 400},
        {HEAD ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":100}}",
         "thinking.budget_tokens", 400},
        {HEAD ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}",
         "thinking.budget_tokens", 400},
        {HEAD ",\"thinking\":{\"type\":\"maybe\"}}", "thinking.type", 400},
        {HEAD ",\"tool_choice\":{\"type\":\"any\"}}", "tool_choice", 400},
        {HEAD ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}}", "tool_choice", 400},
        {HEAD ",\"tools\":[{\"name\":\"f\"}]}", "tools[0].input_schema", 400},
        {HEAD ",\"output_config\":{\"format\":{\"type\":\"json_schema\"}}}", "output_config.format",
         400},
        {HEAD ",\"output_format\":{\"type\":\"json_schema\"}}", "output_format", 400},
        {HEAD ",\"container\":\"c\"}", "container", 400},
        {HEAD ",\"mcp_servers\":[{\"url\":\"http://x\"}]}", "mcp_servers", 400},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_wire_error w;
        if (rig_refused(D, rows[i].body, &w) == SB_OK) fail_msg("taken: %s", rows[i].body);
        if (strcmp(w.param, rows[i].param) != 0 || w.status != rows[i].status)
            fail_msg("%s: %d '%s' (%s)", rows[i].body, w.status, w.param, w.err.msg);
    }
}

/* ---- answers ---- */

static void play(rig *r, const char *more)
{
    char body[512];
    (void)snprintf(body, sizeof body, HEAD "%s}", more);
    rig_open(r, D, body, NULL);
    rig_say(r, SB_OUTPUT_REASONING, "I should ", 2);
    rig_say(r, SB_OUTPUT_REASONING, "look.", 3);
    rig_say(r, SB_OUTPUT_CONTENT, "Let me \"look\"\n", 3);
    rig_say(r, SB_OUTPUT_CONTENT, "\xc3\xa9t\xc3\xa9.", 1);
    rig_call(r, "call_1_0", "Bash", "{\"command\":", "\"ls\"}");
    rig_call(r, "call_1_1", "Read", "{", "}");
    rig_end(r, SB_FINISH_TOOL_CALLS);
}

static void a_stream_to_the_byte(void **state)
{
    (void)state;
    rig r;
    play(&r, ",\"stream\":true");
    rig_golden(&r.out, "anthropic-stream.txt");
    rig_close(&r);
}

static void a_whole_answer_to_the_byte(void **state)
{
    (void)state;
    rig r;
    play(&r, "");
    rig_golden(&r.out, "anthropic-whole.json");
    rig_close(&r);
}

static void thinking_may_be_left_out(void **state)
{
    (void)state;
    static const char display[] = ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}";
    rig r;
    char more[128];
    play(&r, display);
    assert_non_null(
        strstr(r.out.p, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"msg_"));
    assert_null(strstr(r.out.p, "I should"));
    rig_close(&r);
    (void)snprintf(more, sizeof more, "%s,\"stream\":true", display);
    play(&r, more);
    assert_non_null(strstr(r.out.p, "signature_delta"));
    assert_null(strstr(r.out.p, "I should"));
    rig_close(&r);
}

static void one_call_is_told_where_one_is_wanted(void **state)
{
    (void)state;
    static const char choice[] =
        ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}";
    char more[128];
    for (int stream = 0; stream < 2; stream++) {
        rig r;
        (void)snprintf(more, sizeof more, "%s%s", choice, stream ? ",\"stream\":true" : "");
        play(&r, more);
        assert_non_null(strstr(r.out.p, "call_1_0"));
        assert_null(strstr(r.out.p, "call_1_1"));
        rig_close(&r);
    }
}

static void ends_have_their_words(void **state)
{
    (void)state;
    static const struct {
        sb_finish finish;
        int n_ids;
        const char *want;
    } rows[] = {
        {SB_FINISH_STOP, 3, "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\""},
        {SB_FINISH_LENGTH, 4, "\"stop_reason\":\"max_tokens\",\"stop_sequence\":null,\"usage\""},
        {SB_FINISH_LENGTH, 3, "\"stop_reason\":\"model_context_window_exceeded\""},
        {SB_FINISH_CANCELLED, 3,
         "\"stop_reason\":\"max_tokens\",\"stop_sequence\":null,\"finish_detail\":\"cancelled\""},
        {SB_FINISH_NUMERIC_ERROR, 3, "\"finish_detail\":\"numeric_error\""},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        rig r;
        rig_open(&r, D, "{\"max_tokens\":4," HI "}", NULL);
        rig_say(&r, SB_OUTPUT_CONTENT, "x", (size_t)rows[i].n_ids);
        rig_end(&r, rows[i].finish);
        if (!strstr(r.out.p, rows[i].want)) fail_msg("%zu: %s", i, r.out.p);
        rig_close(&r);
    }
}

/* The stop string that was met is named. */
static void a_stop_sequence_is_named(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, D, HEAD ",\"stop_sequences\":[\"QQ\",\"END\"]}", NULL);
    r.t.i_stop = 1;
    rig_end(&r, SB_FINISH_STOP);
    assert_non_null(strstr(r.out.p, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\""));
    rig_close(&r);
}

static void errors_have_their_types(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
    } rows[] = {{400, "invalid_request_error"},
                {401, "authentication_error"},
                {402, "billing_error"},
                {403, "permission_error"},
                {404, "not_found_error"},
                {405, "invalid_request_error"},
                {413, "request_too_large"},
                {429, "rate_limit_error"},
                {500, "api_error"},
                {503, "overloaded_error"},
                {504, "timeout_error"},
                {529, "overloaded_error"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        assert_string_equal(sb_anthropic_error_type(rows[i].status), rows[i].type);
    sb_wire_error w = {.status = 404};
    sb_buf b;
    sb_buf_init(&b, 1000, "error");
    (void)SB_FAIL(&w.err, SB_NOT_FOUND, "no \"x\"");
    assert_int_equal(D->refuse(&w, "req_7", &b, NULL), SB_OK);
    assert_string_equal(b.p, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\","
                             "\"message\":\"no \\\"x\\\"\"},\"request_id\":\"req_7\"}");
    sb_buf_deinit(&b);
    rig r;
    rig_open(&r, D, HEAD ",\"stream\":true}", NULL);
    rig_say(&r, SB_OUTPUT_CONTENT, "x", 1);
    rig_fail(&r, 500, SB_IO, "the file changed");
    assert_non_null(strstr(r.out.p, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                    "\"api_error\",\"message\":\"the file changed\"},"
                                    "\"request_id\":\"req_1\"}\n\n"));
    rig_close(&r);
}

static void models_as_that_api_lists_them(void **state)
{
    (void)state;
    const sb_anthropic_model models[] = {{"b", "B model", 1790000000, 8192}, {"a", NULL, 0, 0}};
    sb_buf b;
    sb_buf_init(&b, 4096, "models");
    assert_int_equal(sb_anthropic_models(&b, models, 2, NULL), SB_OK);
    rig_golden(&b, "anthropic-models.json");
    sb_buf_clear(&b);
    assert_int_equal(sb_anthropic_models(&b, NULL, 0, NULL), SB_OK);
    assert_string_equal(b.p, "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}");
    sb_buf_deinit(&b);
}

int main(int argc, char **argv)
{
    rig_args(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agents_first_request),
        cmocka_unit_test(an_agents_tool_round),
        cmocka_unit_test(a_prefill_is_gone_on_with),
        cmocka_unit_test(blocks_of_all_kinds),
        cmocka_unit_test(counting_needs_no_max_tokens),
        cmocka_unit_test(thinking_and_choices_are_obeyed),
        cmocka_unit_test(bad_bodies_name_their_field),
        cmocka_unit_test(a_stream_to_the_byte),
        cmocka_unit_test(a_whole_answer_to_the_byte),
        cmocka_unit_test(thinking_may_be_left_out),
        cmocka_unit_test(one_call_is_told_where_one_is_wanted),
        cmocka_unit_test(ends_have_their_words),
        cmocka_unit_test(a_stop_sequence_is_named),
        cmocka_unit_test(errors_have_their_types),
        cmocka_unit_test(models_as_that_api_lists_them),
    };
    return cmocka_run_group_tests_name("wire anthropic", tests, NULL, NULL);
}
