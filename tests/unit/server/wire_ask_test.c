/* SPDX-License-Identifier: Apache-2.0
 * wire_ask_test.c - requests read: what they ask for, and what is refused naming the field. */
#include "server/wire/ask_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "server/wire/dialog.h"
#include "server/wire/json_writer.h"
#include "server/wire/nonce.h"
#include "wire_rig.h"

#define CHAT &sb_dialect_openai_chat
#define TEXT &sb_dialect_openai_text
#define LLAMA &sb_dialect_llama_completion
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* A chat body with this member beside its messages. */
static void refused_member(const char *member, const char *param)
{
    char body[1024];
    (void)snprintf(body, sizeof body, "{" HI ",%s}", member);
    rig_refused(CHAT, body, 400, param, NULL, NULL);
}

static void accepted_member(sb_ask *a, const char *member)
{
    char body[1024];
    (void)snprintf(body, sizeof body, "{" HI ",%s}", member);
    rig_read(a, CHAT, body);
}

static void accepted(const char *member)
{
    sb_ask a;
    accepted_member(&a, member);
    sb_ask_deinit(&a);
}

/* A body made by repeating `part` n times between head and tail. */
static char *repeated(const char *head, const char *part, size_t n, const char *tail)
{
    sb_buf b;
    sb_buf_init(&b, SB_MAX_REPLY_BYTES, "body");
    sb_status s = sb_buf_add(&b, head, strlen(head), NULL);
    for (size_t i = 0; s == SB_OK && i < n; i++)
        s = sb_buf_add(&b, part, strlen(part), NULL);
    if (s == SB_OK) s = sb_buf_add(&b, tail, strlen(tail), NULL);
    assert_int_equal(s, SB_OK);
    return b.p;
}

static void refused_repeated(const char *head, const char *part, size_t n, const char *tail,
                             const char *param)
{
    char *body = repeated(head, part, n, tail);
    rig_refused(CHAT, body, 400, param, NULL, NULL);
    sb_free(body);
}

/* ---- R1: what is JSON and no request ---- */

static void a_body_is_an_object(void **state)
{
    (void)state;
    static const char *const bad[] = {"null", "[]", "\"x\"", "1", "true", "[{\"model\":\"x\"}]"};
    sb_wire_error w;
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        rig_refused(CHAT, bad[i], 400, "", NULL, &w);
        assert_string_equal(w.err.msg, "body: byte 0: a JSON object is expected");
    }
    rig_refused(CHAT, "", 400, "", "invalid_json", NULL);
    rig_refused(CHAT, "{}", 400, "messages", NULL, NULL);
}

/* ---- R3: fields nobody knows ---- */

static void unknown_fields_are_warned_of(void **state)
{
    (void)state;
    sb_ask a;
    accepted_member(&a, "\"n_discard\":3,\"Temperature\":9,\"temperature\":0.5");
    assert_int_equal(json_array_size(a.warnings), 2);
    assert_string_equal(json_string_value(json_array_get(a.warnings, 0)),
                        "n_discard: unknown field, ignored");
    assert_true(a.turns[0].sampling.temp == 0.5f);
    sb_ask_deinit(&a);
    accepted_member(&a, "\"store\":true,\"user\":\"me\"");
    assert_null(a.warnings);
    sb_ask_deinit(&a);

    sb_wire_error w;
    static const char body[] = "{" HI ",\"n_discard\":3}";
    sb_ask strict = {.opts.strict = true};
    assert_int_not_equal(sb_wire_read(&strict, CHAT, (sb_str){body, sizeof body - 1}, &w), SB_OK);
    assert_int_equal(w.status, 400);
    assert_non_null(strstr(w.err.msg, "n_discard"));
    assert_true(strict.opts.strict);
}

static void warnings_are_few_and_short(void **state)
{
    (void)state;
    sb_buf b;
    sb_ask a;
    sb_buf_init(&b, 1 << 24, "body");
    assert_int_equal(sb_buf_addf(&b, NULL, "{" HI), SB_OK);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(sb_buf_addf(&b, NULL, ",\"x%d\":1", i), SB_OK);
    assert_int_equal(sb_buf_addf(&b, NULL, "}"), SB_OK);
    rig_read(&a, CHAT, b.p);
    assert_int_equal(json_array_size(a.warnings), SB_MAX_WARNINGS);
    sb_ask_deinit(&a);
    sb_buf_deinit(&b);
    char *body = repeated("{" HI ",\"", "\xc3\xa9", 1000, "\":1}");
    rig_read(&a, CHAT, body);
    const char *text = json_string_value(json_array_get(a.warnings, 0));
    assert_true(strlen(text) < 100);
    sb_ask_deinit(&a);
    sb_free(body);
}

/* ---- R6: ranges and types ---- */

static void numbers_have_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *member, *param;
    } bad[] = {
        {"\"max_tokens\":-1", "max_tokens"},
        {"\"max_tokens\":0", "max_tokens"},
        {"\"max_tokens\":9223372036854775808", "max_tokens"},
        {"\"max_tokens\":2147483648", "max_tokens"},
        {"\"max_tokens\":1.5", "max_tokens"},
        {"\"max_tokens\":\"10\"", "max_tokens"},
        {"\"max_completion_tokens\":0", "max_completion_tokens"},
        {"\"n\":0", "n"},
        {"\"n\":1000000", "n"},
        {"\"n\":17", "n"},
        {"\"seed\":18446744073709551616", "seed"},
        {"\"seed\":\"1\"", "seed"},
        {"\"temperature\":-1", "temperature"},
        {"\"temperature\":1e38", "temperature"},
        {"\"temperature\":\"hot\"", "temperature"},
        {"\"top_p\":-0.1", "top_p"},
        {"\"top_p\":1.1", "top_p"},
        {"\"top_k\":-2", "top_k"},
        {"\"top_k\":2147483648", "top_k"},
        {"\"repeat_penalty\":0", "repeat_penalty"},
        {"\"repeat_penalty\":-3", "repeat_penalty"},
        {"\"repetition_penalty\":0", "repetition_penalty"},
        {"\"presence_penalty\":-3", "presence_penalty"},
        {"\"frequency_penalty\":2.5", "frequency_penalty"},
        {"\"min_p\":2", "min_p"},
        {"\"typical_p\":-1", "typical_p"},
        {"\"repeat_last_n\":-2", "repeat_last_n"},
        {"\"top_logprobs\":21,\"logprobs\":true", "top_logprobs"},
        {"\"top_logprobs\":2", "top_logprobs"},
        {"\"logprobs\":3", "logprobs"},
        {"\"ignore_eos\":1", "ignore_eos"},
        {"\"max_energy_j\":0", "max_energy_j"},
        {"\"max_energy_j\":-1", "max_energy_j"},
        {"\"max_energy_j\":\"2\"", "max_energy_j"},
        {"\"max_energy_j\":1e12", "max_energy_j"},
        {"\"stream_options\":3", "stream_options"},
        {"\"stream_options\":{\"include_usage\":3}", "stream_options.include_usage"},
        {"\"reasoning_effort\":\"huge\"", "reasoning_effort"},
        {"\"thinking\":{\"type\":\"maybe\"}", "thinking.type"},
        {"\"thinking\":{}", "thinking.type"},
        {"\"chat_template_kwargs\":3", "chat_template_kwargs"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        refused_member(bad[i].member, bad[i].param);
}

static void edges_of_ranges_are_taken(void **state)
{
    (void)state;
    sb_ask a;
    accepted_member(&a, "\"seed\":-1,\"top_k\":-1,\"temperature\":0,\"top_p\":1,\"min_p\":1,"
                        "\"max_tokens\":1,\"n\":16,\"repeat_penalty\":1,\"presence_penalty\":-2");
    assert_false(a.has_seed);
    assert_int_equal(a.n_turns, 16);
    assert_int_equal(a.turns[0].sampling.top_k, 0);
    assert_int_equal(a.turns[15].max_tokens, 1);
    sb_ask_deinit(&a);
    accepted(
        "\"top_k\":0,\"max_tokens\":2147483647,\"temperature\":100,\"seed\":9223372036854775807");
    accepted("\"max_tokens\":10.0,\"n\":1.0");
    accepted("\"max_tokens\":null,\"temperature\":null,\"n\":null,\"stop\":null,\"tools\":null");
    accepted_member(&a, "\"top_p\":0,\"temperature\":3"); // nothing but the likeliest
    assert_true(a.turns[0].sampling.temp == 0);
    assert_true(a.turns[0].sampling.top_p == 1);
    sb_ask_deinit(&a);
    accepted_member(&a, "\"repeat_last_n\":0,\"presence_penalty\":1,\"repeat_penalty\":2");
    assert_true(a.turns[0].sampling.presence_penalty == 0);
    assert_true(a.turns[0].sampling.repeat_penalty == 0);
    sb_ask_deinit(&a);
}

static void choices_differ_in_their_seed(void **state)
{
    (void)state;
    sb_ask a;
    accepted_member(&a, "\"n\":3,\"seed\":41");
    assert_true(a.has_seed);
    for (uint64_t i = 0; i < 3; i++)
        assert_true(a.turns[i].sampling.seed == 41 + i);
    sb_ask_deinit(&a);
}

/* ---- R7 ---- */

static void biases_and_stops_have_limits(void **state)
{
    (void)state;
    sb_buf b;
    sb_buf_init(&b, 1 << 25, "body");
    assert_int_equal(sb_buf_addf(&b, NULL, "{" HI ",\"logit_bias\":{\"0\":1"), SB_OK);
    for (int i = 1; i < 1000000; i++)
        assert_int_equal(sb_buf_addf(&b, NULL, ",\"%d\":1", i), SB_OK);
    assert_int_equal(sb_buf_addf(&b, NULL, "}}"), SB_OK);
    rig_refused(CHAT, b.p, 400, "logit_bias", NULL, NULL);
    sb_buf_deinit(&b);
    refused_member("\"logit_bias\":{\"abc\":1}", "logit_bias");
    refused_member("\"logit_bias\":{\"\":1}", "logit_bias");
    refused_member("\"logit_bias\":{\"-1\":1}", "logit_bias");
    refused_member("\"logit_bias\":{\"4194304\":1}", "logit_bias");
    refused_member("\"logit_bias\":{\"99999999999\":1}", "logit_bias");
    refused_member("\"logit_bias\":{\"1\":1e308}", "logit_bias");
    refused_member("\"logit_bias\":{\"1\":\"x\"}", "logit_bias");
    refused_member("\"logit_bias\":{\"1\":1,\"01\":2}", "logit_bias");
    refused_member("\"logit_bias\":3", "logit_bias");
    refused_member("\"logit_bias\":[[1,2],3]", "logit_bias");
    refused_member("\"stop\":\"\"", "stop");
    refused_member("\"stop\":[\"a\",\"\"]", "stop");
    refused_member("\"stop\":[1]", "stop");
    refused_member("\"stop\":1", "stop");
    refused_repeated("{" HI ",\"stop\":[\"a\"", ",\"a\"", 9999, "]}", "stop");
    refused_repeated("{" HI ",\"stop\":\"", "a", 1000000, "\"}", "stop");
    sb_ask a;
    accepted_member(&a, "\"logit_bias\":{\"5\":-100,\"6\":250.5},\"stop\":[\"a\",\"b\\n\"]");
    assert_int_equal(a.turns[0].sampling.n_bias, 2);
    assert_true(a.turns[0].sampling.bias[1].bias == 100);
    assert_int_equal(a.turns[0].n_stops, 2);
    assert_memory_equal(a.turns[0].stops[1].p, "b\n", 2);
    sb_ask_deinit(&a);
    accepted_member(&a, "\"logit_bias\":[[7,false],[8,1.5]],\"stop\":\"x\"");
    assert_int_equal(a.turns[0].sampling.n_bias, 2);
    assert_true(a.turns[0].sampling.bias[0].bias < -1e30f);
    assert_int_equal(a.turns[0].n_stops, 1);
    sb_ask_deinit(&a);
    accepted("\"stop\":[],\"logit_bias\":{}");
}

/* ---- R8 ---- */

static void refused_messages(const char *messages, const char *param)
{
    char body[1024];
    (void)snprintf(body, sizeof body, "{\"messages\":%s}", messages);
    rig_refused(CHAT, body, 400, param, NULL, NULL);
}

static void messages_are_checked(void **state)
{
    (void)state;
    refused_messages("[]", "messages");
    refused_messages("null", "messages");
    refused_messages("\"hi\"", "messages");
    refused_messages("[5]", "messages[0].role");
    refused_messages("[{}]", "messages[0].role");
    refused_messages("[{\"role\":\"root\",\"content\":\"x\"}]", "messages[0].role");
    refused_messages("[{\"role\":5,\"content\":\"x\"}]", "messages[0].role");
    refused_messages("[{\"role\":\"user\\u0000\",\"content\":\"x\"}]", "messages[0].role");
    refused_messages("[{\"role\":\"user\",\"content\":5}]", "messages[0].content");
    refused_messages("[{\"role\":\"user\",\"content\":{\"a\":1}}]", "messages[0].content");
    refused_messages("[{\"role\":\"user\",\"content\":[[\"x\"]]}]", "messages[0].content[0].type");
    refused_messages("[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
                     "messages[0].content[0].text");
    refused_messages("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":[]}]}]",
                     "messages[0].content[0].text");
    refused_messages("[{\"role\":\"user\",\"content\":null}]", "messages");
    refused_messages("[{\"role\":\"user\"}]", "messages");
    refused_messages("[{\"role\":\"assistant\",\"content\":null}]", "messages");
    refused_messages("[{\"role\":\"tool\",\"tool_call_id\":\"x\"}]", "messages");
    refused_messages("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"x\"}]}]",
                     "messages[0].tool_calls[0].function");
    refused_messages("[{\"role\":\"assistant\",\"tool_calls\":[5]}]", "messages[0].tool_calls[0].");
    refused_messages(
        "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"a b\"}}]}]",
        "messages[0].tool_calls[0].function.name");
    refused_messages("[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                     "\"arguments\":5}}]}]",
                     "messages[0].tool_calls[0].function.arguments");
    refused_repeated("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}",
                     ",{\"role\":\"user\",\"content\":\"x\"}", 99999, "]}", NULL);
}

static void what_is_no_text_is_not_there_yet(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA\"}}",
        "{\"type\":\"image_url\",\"image_url\":\"http://x/y.png\"}",
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"\",\"format\":\"wav\"}}",
        "{\"type\":\"file\",\"file\":{\"file_id\":\"x\"}}"};
    for (size_t i = 0; i < SB_ARRAY_LEN(parts); i++) {
        char body[1024];
        (void)snprintf(body, sizeof body,
                       "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                       "\"text\":\"see\"},%s]}]}",
                       parts[i]);
        rig_refused(CHAT, body, 400, "messages[0].content[1].type", "unsupported_value", NULL);
    }
}

static void a_large_text_is_taken_whole(void **state)
{
    (void)state;
    sb_ask a;
    char *body = repeated("{\"messages\":[{\"role\":\"user\",\"content\":\"", "0123456789",
                          5000000 / 10, "\"}]}");
    rig_read(&a, CHAT, body);
    assert_int_equal(a.turns[0].prompt.messages[0].content.n, 5000000);
    sb_ask_deinit(&a);
    sb_free(body);
}

static void messages_of_every_shape(void **state)
{
    (void)state;
    static const char body[] =
        "{\"messages\":["
        "{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"be brief\"}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},\"b\","
        "{\"type\":\"input_text\",\"text\":\"c\"}]},"
        "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
        "\\\"x\\\": "
        "1}\"}},{\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":{\"y\":[1,2.5]}}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"one\"}]},"
        "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":\"no\",\"reasoning\":\"why\"},"
        "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"},"
        "{\"role\":\"function\",\"name\":\"g\",\"content\":\"z\"},"
        "{\"role\":\"assistant\",\"thinking\":\"t\",\"content\":[]}]}";
    static const char want[] =
        "{\"role\":\"developer\",\"content\":\"be brief\"}\n"
        "{\"role\":\"user\",\"part\":\"a\",\"part\":\"b\",\"part\":\"c\"}\n"
        "{\"role\":\"assistant\",\"reasoning\":\"hm\",\"call\":\"c1\",\"name\":\"f\","
        "\"arguments\":\"{\\\"x\\\": 1}\",\"call\":\"c2\",\"name\":\"g\","
        "\"arguments\":\"{\\\"y\\\":[1,2.5]}\"}\n"
        "{\"role\":\"tool\",\"content\":\"two\",\"answers\":\"c2\",\"name\":\"g\"}\n"
        "{\"role\":\"tool\",\"content\":\"one\",\"answers\":\"c1\",\"name\":\"f\"}\n"
        "{\"role\":\"assistant\",\"content\":\"\",\"reasoning\":\"why\"}\n"
        "{\"role\":\"assistant\",\"content\":\"no\"}\n"
        "{\"role\":\"tool\",\"content\":\"z\",\"name\":\"g\"}\n"
        "{\"role\":\"assistant\",\"content\":\"\",\"reasoning\":\"t\"}\n";
    sb_ask a;
    rig_read(&a, CHAT, body);
    char *text = rig_ask_text(&a);
    const char *from = strchr(text, '\n') + 1;
    if (strncmp(from, want, strlen(want)) != 0) print_error("%s\n", from);
    assert_int_equal(strncmp(from, want, strlen(want)), 0);
    sb_free(text);
    sb_ask_deinit(&a);
}

/* ---- R9 ---- */

static void names_and_switches(void **state)
{
    (void)state;
    sb_ask a;
    accepted_member(&a, "\"model\":\"../../x\""); // whether there is one is not the reader's to say
    assert_string_equal(a.model, "../../x");
    sb_ask_deinit(&a);
    accepted_member(&a, "\"model\":\"\"");
    assert_null(a.model);
    sb_ask_deinit(&a);
    refused_repeated("{" HI ",\"model\":\"", "m", 1000000, "\"}", "model");
    refused_member("\"model\":5", "model");
    refused_member("\"model\":\"a\\u0000b\"", "model");
    refused_member("\"stream\":\"yes\"", "stream");
    refused_member("\"stream\":1", "stream");
}

/* ---- R10 ---- */

static void tools_are_checked(void **state)
{
    (void)state;
    static const char f[] = "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}";
    char part[128];
    (void)snprintf(part, sizeof part, ",%s", f);
    char *head = repeated("{" HI ",\"tools\":[", f, 1, "");
    refused_repeated(head, part, 9999, "]}", NULL);
    sb_free(head);
    refused_member("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\\nb\"}}]",
                   "tools[0].function.name");
    refused_member("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]",
                   "tools[0].function.name");
    refused_member("\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name");
    refused_member("\"tools\":[{\"type\":\"function\"}]", "tools[0].function");
    refused_member("\"tools\":[5]", "tools[0].");
    refused_member("\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"x\"}}]",
                   "tools[0].type");
    refused_member("\"tools\":{\"a\":1}", "tools");
    refused_member("\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":[]}}]",
                   "tools[0].function.parameters");
    refused_repeated("{\"messages\":[{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"", "x",
                     1000000, "\"}]}", "messages[0].tool_call_id");
    refused_repeated("{" HI ",\"tools\":[{\"function\":{\"name\":\"f\",\"description\":\"",
                     "0123456789", SB_MAX_TOOLS_BYTES / 10, "\"}}]}", NULL);
    sb_ask a;
    accepted_member(
        &a, "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true,"
            "\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}},"
            "{\"function\":{\"name\":\"mcp.x/y:z\"}}]");
    const sb_str t = a.turns[0].prompt.tools;
    static const char want[] =
        "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
        "{"
        "\"type\":\"object\"}}},{\"type\":\"function\",\"function\":{\"name\":\"mcp.x/y:z\"}}]";
    assert_int_equal(t.n, sizeof want - 1);
    assert_memory_equal(t.p, want, t.n);
    sb_ask_deinit(&a);
}

static void refused_parameters(const char *schema)
{
    char member[512];
    (void)snprintf(member, sizeof member,
                   "\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":%s}}]", schema);
    refused_member(member, "tools[0].function.parameters");
}

static void circles_of_references_are_refused(void **state)
{
    (void)state;
    refused_parameters("{\"$ref\":\"#\"}");
    refused_parameters("{\"properties\":{\"a\":{\"$ref\":\"#\"}}}");
    refused_parameters("{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"$ref\":\"#/$defs/B\"},"
                       "\"B\":{\"items\":{\"$ref\":\"#/$defs/A\"}}}}");
    refused_parameters("{\"$ref\":\"http://x/y\"}");
    refused_parameters("{\"$ref\":\"file:///etc/passwd\"}");
    refused_parameters("{\"$ref\":\"#/$defs/none\"}");
    refused_parameters("{\"$ref\":\"\"}");
    accepted(
        "\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"$ref\":\"#/$defs/A\","
        "\"$defs\":{\"A\":{\"items\":[{\"$ref\":\"#/$defs/x~1y~0z\"},{\"$ref\":"
        "\"#/$defs/L/1\"}]},\"x/y~z\":{\"type\":\"string\"},\"L\":[1,{\"type\":\"null\"}]}}}}]");
    // a property that is called $ref is no reference
    accepted("\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"$ref\":"
             "{\"type\":\"string\"}}}}}]");
    char *body = repeated("{" HI ",\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"a\":["
                          "{\"$ref\":\"#/b\"}",
                          ",{\"$ref\":\"#/b\"}", SB_MAX_TOOL_REFS, "],\"b\":{}}}}]}");
    rig_refused(CHAT, body, 400, "tools[0].function.parameters", NULL, NULL);
    sb_free(body);
}

static void a_choice_of_tools(void **state)
{
    (void)state;
#define F "\"tools\":[{\"function\":{\"name\":\"f\"}}]"
    sb_ask a;
    refused_member(F ",\"tool_choice\":\"required\"", "tool_choice");
    refused_member(F ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
                   "tool_choice");
    refused_member(F ",\"tool_choice\":\"some\"", "tool_choice");
    refused_member(F ",\"tool_choice\":5", "tool_choice");
    accepted_member(&a, F ",\"tool_choice\":\"auto\",\"parallel_tool_calls\":true");
    assert_true(a.turns[0].prompt.tools.n > 0);
    assert_false(a.one_call);
    sb_ask_deinit(&a);
    accepted_member(&a, F ",\"tool_choice\":\"none\",\"parallel_tool_calls\":false");
    assert_int_equal(a.turns[0].prompt.tools.n, 0);
    assert_true(a.one_call);
    sb_ask_deinit(&a);
    refused_member("\"functions\":[{\"name\":\"f\"}]", "functions");
    refused_member("\"function_call\":{\"name\":\"f\"}", "function_call");
    accepted("\"function_call\":\"auto\"");
}

/* ---- S: schemas and grammars ---- */

static void schemas_and_grammars_are_not_there_yet(void **state)
{
    (void)state;
    static const struct {
        const char *member, *param;
    } bad[] = {
        {"\"response_format\":{\"type\":\"json_object\"}", "response_format"},
        {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":"
         "{}}}",
         "response_format"},
        {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"$ref\":\"#"
         "\"}}}",
         "response_format"},
        {"\"response_format\":{\"type\":\"grammar\",\"grammar\":\"(((\"}", "response_format"},
        {"\"response_format\":\"json\"", "response_format"},
        {"\"grammar\":\"root ::= root\"", "grammar"},
        {"\"json_schema\":{\"type\":\"object\"}", "json_schema"},
        {"\"json_schema\":true", "json_schema"},
        {"\"guided_json\":{\"type\":123}", "guided_json"},
        {"\"guided_regex\":\"(a+)+b\"", "guided_regex"},
        {"\"guided_choice\":[\"a\"]", "guided_choice"},
        {"\"guided_grammar\":\"x\"", "guided_grammar"},
        {"\"structured_outputs\":{\"regex\":\"a\"}", "structured_outputs"},
        {"\"prediction\":{\"type\":\"content\",\"content\":\"x\"}", "prediction"},
        {"\"modalities\":[\"text\",\"audio\"]", "modalities"},
        {"\"web_search_options\":{\"x\":1}", "web_search_options"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        refused_member(bad[i].member, bad[i].param);
    accepted("\"response_format\":{\"type\":\"text\"},\"grammar\":\"\",\"json_schema\":null,"
             "\"modalities\":[\"text\"],\"web_search_options\":{}");
    rig_refused(TEXT, "{\"prompt\":\"x\",\"suffix\":\"y\"}", 400, "suffix", NULL, NULL);
    rig_refused(TEXT, "{\"prompt\":\"x\",\"grammar\":\"y\"}", 400, "grammar", NULL, NULL);
    rig_refused(LLAMA, "{\"prompt\":\"x\",\"grammar\":\"y\"}", 400, "grammar", NULL, NULL);
    rig_refused(LLAMA, "{\"prompt\":\"x\",\"json_schema\":{\"a\":1}}", 400, "json_schema", NULL,
                NULL);
}

/* ---- thinking ---- */

static void thinking_is_controlled(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        sb_thinking want;
        const char *effort;
    } cases[] = {{"\"reasoning_effort\":\"none\"", SB_THINKING_OFF, ""},
                 {"\"reasoning_effort\":\"high\"", SB_THINKING_ON, "high"},
                 {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5}", SB_THINKING_ON, ""},
                 {"\"thinking\":{\"type\":\"disabled\"}", SB_THINKING_OFF, ""},
                 {"\"thinking\":{\"type\":\"adaptive\"}", SB_THINKING_DEFAULT, ""},
                 {"\"enable_thinking\":true", SB_THINKING_ON, ""},
                 {"\"enable_thinking\":false", SB_THINKING_OFF, ""},
                 {"\"user\":\"x\"", SB_THINKING_DEFAULT, ""}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_ask a;
        accepted_member(&a, cases[i].member);
        const sb_prompt_request *p = &a.turns[0].prompt;
        assert_int_equal(p->thinking, cases[i].want);
        assert_int_equal(p->reasoning_effort.n, strlen(cases[i].effort));
        sb_ask_deinit(&a);
    }
    sb_ask a;
    accepted_member(&a, "\"chat_template_kwargs\":{\"enable_thinking\":false,\"x\":[1]}");
    const sb_str k = a.turns[0].prompt.kwargs;
    assert_int_equal(k.n, 33);
    assert_memory_equal(k.p, "{\"enable_thinking\":false,\"x\":[1]}", k.n);
    sb_ask_deinit(&a);
    refused_repeated("{" HI ",\"chat_template_kwargs\":{\"x\":\"", "0123456789",
                     SB_MAX_KWARGS_BYTES / 10 + 1, "\"}}", "chat_template_kwargs");
}

static void an_answer_may_go_on(void **state)
{
    (void)state;
#define OPEN                                                                                       \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"    \
    "\"b\"}]"
    static const struct {
        const char *body;
        sb_prompt_end want;
    } cases[] = {{OPEN "}", SB_PROMPT_ASK},
                 {OPEN ",\"continue_final_message\":true}", SB_PROMPT_CONTINUE},
                 {OPEN ",\"continue_final_message\":true,\"add_generation_prompt\":false}",
                  SB_PROMPT_CONTINUE},
                 {OPEN ",\"add_generation_prompt\":false}", SB_PROMPT_NONE}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_ask a;
        rig_read(&a, CHAT, cases[i].body);
        assert_int_equal(a.turns[0].prompt.end, cases[i].want);
        sb_ask_deinit(&a);
    }
    refused_member("\"continue_final_message\":true", "continue_final_message");
}

/* ---- prompts as they stand ---- */

static void completions_take_every_prompt(void **state)
{
    (void)state;
    sb_ask a;
    rig_read(&a, TEXT, "{\"prompt\":\"once\"}");
    assert_int_equal(a.n_turns, 1);
    assert_int_equal(a.turns[0].max_tokens, 16);
    assert_null(a.turns[0].prompt.messages);
    assert_true(a.turns[0].raw_control);
    assert_memory_equal(a.turns[0].raw.p, "once", 4);
    assert_int_equal(a.turns[0].n_logprobs, -1);
    sb_ask_deinit(&a);
    rig_read(&a, TEXT, "{\"prompt\":[\"a\",\"bc\"],\"n\":2,\"seed\":5,\"logprobs\":0}");
    assert_int_equal(a.n_turns, 4);
    assert_int_equal(a.turns[1].raw.n, 1);
    assert_int_equal(a.turns[2].raw.n, 2);
    assert_true(a.turns[3].sampling.seed == 6);
    assert_int_equal(a.turns[0].n_logprobs, 0);
    sb_ask_deinit(&a);
    rig_read(&a, TEXT, "{\"prompt\":[1,2,3],\"best_of\":1}");
    assert_int_equal(a.n_turns, 1);
    assert_int_equal(a.turns[0].n_raw_ids, 3);
    assert_int_equal(a.turns[0].raw_ids[2], 3);
    sb_ask_deinit(&a);
    rig_read(&a, TEXT, "{\"prompt\":[[1],[2,3]]}");
    assert_int_equal(a.n_turns, 2);
    assert_int_equal(a.turns[1].n_raw_ids, 2);
    sb_ask_deinit(&a);
    static const char *const bad[] = {"{}",
                                      "{\"prompt\":null}",
                                      "{\"prompt\":5}",
                                      "{\"prompt\":[]}",
                                      "{\"prompt\":[[]]}",
                                      "{\"prompt\":[1,\"a\"]}",
                                      "{\"prompt\":[\"a\",[1]]}",
                                      "{\"prompt\":[-1]}",
                                      "{\"prompt\":[4194304]}",
                                      "{\"prompt\":[1.5]}",
                                      "{\"prompt\":{\"a\":1}}"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        rig_refused(TEXT, bad[i], 400, "prompt", NULL, NULL);
    rig_refused(TEXT, "{\"prompt\":\"a\",\"best_of\":3}", 400, "best_of", NULL, NULL);
    rig_refused(TEXT, "{\"prompt\":\"a\",\"n\":2,\"best_of\":1}", 400, "best_of", NULL, NULL);
    rig_refused(TEXT, "{\"prompt\":\"a\",\"logprobs\":true}", 400, "logprobs", NULL, NULL);
    rig_refused(TEXT, "{\"prompt\":\"a\",\"logprobs\":1,\"echo\":true}", 400, "echo", NULL, NULL);
    char *many = repeated("{\"prompt\":[\"a\"", ",\"a\"", SB_MAX_CHOICES, "]}");
    rig_refused(TEXT, many, 400, "prompt", NULL, NULL);
    sb_free(many);
}

static void llama_completions(void **state)
{
    (void)state;
    sb_ask a;
    rig_read(&a, LLAMA, "{\"prompt\":\"x\",\"n_predict\":-1,\"n_probs\":2,\"cache_prompt\":true}");
    assert_int_equal(a.turns[0].max_tokens, -1);
    assert_int_equal(a.turns[0].n_logprobs, 2);
    assert_true(a.turns[0].sampling.temp == 0.8f);
    assert_int_equal(a.turns[0].sampling.repeat_last_n, 64);
    sb_ask_deinit(&a);
    rig_refused(LLAMA, "{\"prompt\":\"x\",\"n_predict\":0}", 400, "n_predict", NULL, NULL);
    rig_refused(LLAMA, "{\"prompt\":\"x\",\"n_predict\":-2}", 400, "n_predict", NULL, NULL);
}

/* ---- nonces ---- */

#define BILL "x-anthropic-billing-header: cc_version=2.0.1; cch=5f3a1;"

static void nonce_lines_are_taken_out(void **state)
{
    (void)state;
    static const struct {
        const char *system, *want; /* JSON; what is left of the first message */
    } cases[] = {{"\"" BILL "\\nYou are helpful.\"", "You are helpful."},
                 {"\"" BILL "\\n\\nYou are helpful.\"", "You are helpful."},
                 {"[{\"type\":\"text\",\"text\":\"" BILL
                  "\"},{\"type\":\"text\",\"text\":\"You.\"}]",
                  "You."},
                 {"\"" BILL "\"", "hi"},
                 {"\"" BILL "\\r\\n" BILL "\\nTwice.\"", "Twice."}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        char body[1024];
        (void)snprintf(body, sizeof body,
                       "{\"messages\":[{\"role\":\"system\",\"content\":%s},"
                       "{\"role\":\"user\",\"content\":\"hi\"}]}",
                       cases[i].system);
        sb_ask a;
        rig_read(&a, CHAT, body);
        assert_string_equal(a.nonce_removed, "anthropic-billing-header");
        const sb_message *m = &a.turns[0].prompt.messages[0];
        assert_int_equal(m->n_parts, 0);
        assert_int_equal(m->content.n, strlen(cases[i].want));
        assert_memory_equal(m->content.p, cases[i].want, m->content.n);
        sb_ask_deinit(&a);
        sb_ask kept = {.opts.keep_nonces = true};
        sb_wire_error w;
        assert_int_equal(sb_wire_read(&kept, CHAT, (sb_str){body, strlen(body)}, &w), SB_OK);
        assert_null(kept.nonce_removed);
        assert_int_equal(kept.turns[0].prompt.n_messages, 2);
        sb_ask_deinit(&kept);
    }
}

static void only_nonces_at_the_front_are(void **state)
{
    (void)state;
    sb_ask a;
    rig_read(&a, CHAT,
             "{\"messages\":[{\"role\":\"system\",\"content\":\"You.\\n" BILL "\"},"
             "{\"role\":\"user\",\"content\":\"" BILL "\"}]}");
    assert_null(a.nonce_removed);
    sb_ask_deinit(&a);
    rig_read(&a, CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"" BILL "\"}]}");
    assert_null(a.nonce_removed);
    sb_ask_deinit(&a);
    rig_refused(CHAT, "{\"messages\":[{\"role\":\"system\",\"content\":\"" BILL "\"}]}", 400,
                "messages", NULL, NULL);
    sb_str s = {"x-anthropic", 11};
    assert_null(sb_nonce_take(&s));
    assert_int_equal(s.n, 11);
}

/* ---- the list of fields ---- */

/* The smallest good request of each set. */
static const char *least_of(unsigned set)
{
    switch (set) {
    case SB_FIELDS_CHAT:
        return "{" HI "}";
    case SB_FIELDS_ANTHROPIC:
        return "{" HI ",\"max_tokens\":5}";
    case SB_FIELDS_RESPONSES:
        return "{\"input\":\"hi\"}";
    case SB_FIELDS_OLLAMA_CHAT:
    case SB_FIELDS_OLLAMA_OPTIONS:
        return "{\"model\":\"m\"," HI "}";
    case SB_FIELDS_OLLAMA_GENERATE:
        return "{\"model\":\"m\",\"prompt\":\"hi\"}";
    default:
        return "{\"prompt\":\"hi\"}";
    }
}

static const sb_dialect *dialect_of(unsigned set)
{
    static const sb_dialect *const all[] = {
#define X(name) &sb_dialect_##name,
#include "server/wire/dialects.def"
#undef X
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++)
        if (all[i]->fields == set) return all[i];
    assert_int_equal(set, SB_FIELDS_OLLAMA_OPTIONS); // inside a request of the chat
    return &sb_dialect_ollama_chat;
}

/* What top_logprobs says nothing without. */
static void add_companion(json_t *body, unsigned set, const char *name)
{
    if (strcmp(name, "top_logprobs") != 0) return;
    const bool by_list = set == SB_FIELDS_RESPONSES;
    json_t *v = by_list ? rig_json("[\"message.output_text.logprobs\"]") : json_true();
    assert_int_equal(json_object_set_new(body, by_list ? "include" : "logprobs", v), 0);
}

/* The least request with this member beside or in place of its own; value NULL: without. */
static char *with_member(unsigned set, const char *name, const char *value)
{
    json_t *j = rig_json(least_of(set)), *into = j;
    add_companion(j, set, name);
    if (set == SB_FIELDS_OLLAMA_OPTIONS && value) {
        into = json_object();
        assert_int_equal(json_object_set_new(j, "options", into), 0);
    }
    json_t *v = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    assert_true(v || !value);
    if (v) assert_int_equal(json_object_set_new(into, name, v), 0);
    sb_buf b;
    sb_jw w;
    sb_buf_init(&b, 1 << 16, "body");
    sb_jw_begin(&w, &b, NULL);
    sb_jw_json(&w, j);
    assert_int_equal(sb_jw_end(&w), SB_OK);
    json_decref(j);
    return b.p;
}

static char *ask_text_of(const sb_dialect *d, const char *body)
{
    sb_ask a;
    rig_read(&a, d, body);
    assert_null(a.warnings);
    char *text = rig_ask_text(&a);
    sb_ask_deinit(&a);
    return text;
}

static bool has_member(const char *text, const char *name)
{
    json_t *j = rig_json(text);
    const bool is_there = json_object_get(j, name) != NULL;
    json_decref(j);
    return is_there;
}

static void check_row(const sb_field_row *r, unsigned set)
{
    const sb_dialect *d = dialect_of(set);
    const bool needed = has_member(least_of(set), r->name);
    char *least = with_member(set, r->name, NULL), *plain = ask_text_of(d, least), param[64];
    if (r->class == SB_FIELD_NOT_YET) {
        char *body = with_member(set, r->name, "{\"some\":\"value\"}");
        (void)snprintf(param, sizeof param, "%s%s",
                       set == SB_FIELDS_OLLAMA_OPTIONS ? "options." : "", r->name);
        rig_refused(d, body, 400, param, "unsupported_value", NULL);
        sb_free(body);
    }
    const char *value = r->class == SB_FIELD_ACTED ? r->value : "";
    char *body = with_member(set, r->name, value[0] ? value : "null");
    if (value[0]) {
        char *text = ask_text_of(d, body);
        if (strcmp(text, plain) == 0) print_error("%s of %s is not read\n", r->name, d->name);
        assert_string_not_equal(text, plain);
        sb_free(text);
    } else if (!needed) { // null is as if it were not there
        char *text = ask_text_of(d, body);
        assert_string_equal(text, plain);
        sb_free(text);
    }
    sb_free(body);
    sb_free(plain);
    sb_free(least);
}

static void every_field_of_the_list_is_as_it_says(void **state)
{
    (void)state;
    size_t n, n_checked = 0;
    const sb_field_row *rows = sb_field_rows(&n);
    for (size_t i = 0; i < n; i++) {
        assert_true(rows[i].sets != 0 && (rows[i].sets & ~(unsigned)SB_FIELDS_ALL) == 0);
        for (size_t k = 0; k < i; k++) // one row for a field
            assert_false((rows[k].sets & rows[i].sets) && strcmp(rows[k].name, rows[i].name) == 0);
        for (unsigned set = 1; set <= SB_FIELDS_ALL; set <<= 1) {
            if (!(rows[i].sets & set)) continue;
            check_row(&rows[i], set);
            n_checked++;
        }
    }
    assert_true(n_checked > 250);
}

static void further_harmless_values_are_json(void **state)
{
    (void)state;
    size_t n;
    const sb_field_row *rows = sb_field_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].class == SB_FIELD_HARMLESS) assert_string_equal(rows[i].value, "");
        for (const char *p = rows[i].class == SB_FIELD_NOT_YET ? rows[i].value : ""; *p;) {
            const size_t len = strcspn(p, "|");
            json_t *j = json_loadb(p, len, JSON_DECODE_ANY, NULL);
            assert_non_null(j);
            json_decref(j);
            p += len + (p[len] == '|');
        }
    }
}

/* ---- failures ---- */

static void statuses_become_http(void **state)
{
    (void)state;
    static const struct {
        sb_status code;
        int status;
        bool retry;
    } cases[] = {{SB_INVALID, 400, false}, {SB_NOT_FOUND, 404, false}, {SB_UNSUPPORTED, 400, false},
                 {SB_BUSY, 503, true},     {SB_NO_MEMORY, 503, true},  {SB_LIMIT, 400, false},
                 {SB_CORRUPT, 500, false}, {SB_IO, 500, false}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_wire_error w = {.err = {.code = cases[i].code, .msg = "x"}};
        sb_wire_status(&w);
        assert_int_equal(w.status, cases[i].status);
        assert_int_equal(w.retry_after_s > 0, cases[i].retry);
        assert_non_null(w.code);
    }
    static const struct {
        sb_wire_error w;
        int status;
        const char *code, *param;
    } said[] = {
        {{.err = {.code = SB_LIMIT, .msg = "context_length: the prompt has 9 tokens"}},
         400,
         "context_length_exceeded",
         "messages"},
        {{.param = "prompt", .err = {.code = SB_LIMIT, .msg = "context_length: 9"}},
         400,
         "context_length_exceeded",
         "prompt"},
        {{.err = {.code = SB_LIMIT, .msg = "chat template, line 1, column 2: over its budget"}},
         422,
         "template_budget",
         ""},
        {{.err = {.code = SB_CORRUPT, .msg = "chat template, line 1, column 2: no such key"}},
         400,
         "template_error",
         ""},
        {{.err = {.code = SB_INVALID, .msg = "logit-bias: token 512 is outside 0..511"}},
         400,
         "invalid_value",
         "logit_bias"},
        {{.err = {.code = SB_INVALID, .msg = "chat_template_kwargs: 'x' is not allowed"}},
         400,
         "invalid_value",
         "chat_template_kwargs"},
        {{.err = {.code = SB_INVALID, .msg = "prompt: token id 9 is outside 0..8"}},
         400,
         "invalid_value",
         "prompt"},
        {{.err = {.code = SB_INVALID, .msg = "message 3: role 'x'"}}, 400, "invalid_value", ""},
        {{.err = {.code = SB_NOT_FOUND, .msg = "the model has no chat template"}},
         400,
         "no_chat_template",
         ""}};
    for (size_t i = 0; i < SB_ARRAY_LEN(said); i++) {
        sb_wire_error w = said[i].w;
        sb_wire_status(&w);
        assert_int_equal(w.status, said[i].status);
        assert_string_equal(w.code, said[i].code);
        assert_string_equal(w.param, said[i].param);
    }
    sb_wire_error set = {.status = 429, .code = "rate", .retry_after_s = 7, .err.code = SB_BUSY};
    sb_wire_status(&set);
    assert_int_equal(set.status, 429);
    assert_string_equal(set.code, "rate");
    assert_int_equal(set.retry_after_s, 7);
}

static void messages_do_not_repeat_the_client(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"secret-canary\"",
        "{\"a\":secret-canary}",
        "{\"messages\":\"secret-canary\"}",
        "{\"messages\":[{\"role\":\"secret-canary\",\"content\":\"x\"}]}",
        "{" HI ",\"stop\":[\"\",\"secret-canary\"]}",
        "{" HI ",\"tool_choice\":\"secret-canary\"}",
        "{" HI ",\"reasoning_effort\":\"secret-canary\"}"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bodies); i++) {
        sb_wire_error w;
        rig_refused(CHAT, bodies[i], 400, NULL, NULL, &w);
        assert_null(strstr(w.err.msg, "canary"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_an_object),
        cmocka_unit_test(unknown_fields_are_warned_of),
        cmocka_unit_test(warnings_are_few_and_short),
        cmocka_unit_test(numbers_have_ranges),
        cmocka_unit_test(edges_of_ranges_are_taken),
        cmocka_unit_test(choices_differ_in_their_seed),
        cmocka_unit_test(biases_and_stops_have_limits),
        cmocka_unit_test(messages_are_checked),
        cmocka_unit_test(what_is_no_text_is_not_there_yet),
        cmocka_unit_test(a_large_text_is_taken_whole),
        cmocka_unit_test(messages_of_every_shape),
        cmocka_unit_test(names_and_switches),
        cmocka_unit_test(tools_are_checked),
        cmocka_unit_test(circles_of_references_are_refused),
        cmocka_unit_test(a_choice_of_tools),
        cmocka_unit_test(schemas_and_grammars_are_not_there_yet),
        cmocka_unit_test(thinking_is_controlled),
        cmocka_unit_test(an_answer_may_go_on),
        cmocka_unit_test(completions_take_every_prompt),
        cmocka_unit_test(llama_completions),
        cmocka_unit_test(nonce_lines_are_taken_out),
        cmocka_unit_test(only_nonces_at_the_front_are),
        cmocka_unit_test(every_field_of_the_list_is_as_it_says),
        cmocka_unit_test(further_harmless_values_are_json),
        cmocka_unit_test(statuses_become_http),
        cmocka_unit_test(messages_do_not_repeat_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
