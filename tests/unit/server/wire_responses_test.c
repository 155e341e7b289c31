/* SPDX-License-Identifier: Apache-2.0
 * wire_responses_test.c - the Responses dialect: requests as agents send them, events to the byte,
 * what is stored, and going on from it. */
#include "server/wire/respond.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "tiny_open.h"
#include "voice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const sb_dialect *const D = &sb_dialect_responses;

static void read_text(sb_ask *a, const char *body, const sb_wire_opts *opts)
{
    sb_wire_error w;
    *a = (sb_ask){0};
    if (opts) a->opts = *opts;
    if (sb_wire_read(a, D, (sb_str){body, strlen(body)}, &w) != SB_OK)
        fail_msg("%s: %s", body, w.err.msg);
}

static void read_file(sb_ask *a, const char *name)
{
    char *body = rig_file(name);
    read_text(a, body, NULL);
    sb_free(body);
}

/* The messages as "ROLE" one after the other. */
static void assert_roles(const sb_ask *a, const char *want)
{
    char seen[256] = "";
    const sb_prompt_request *p = &a->turns[0].prompt;
    for (size_t i = 0; i < p->n_messages; i++) {
        const size_t n = strlen(seen);
        (void)snprintf(seen + n, sizeof seen - n, "%s%.*s", i ? " " : "",
                       (int)p->messages[i].role.n, p->messages[i].role.p);
    }
    assert_string_equal(seen, want);
}

/* ---- requests ---- */

static void an_agents_first_request(void **state)
{
    (void)state;
    sb_ask a;
    read_file(&a, "codex.json");
    const sb_turn_request *t = &a.turns[0];
    const sb_message *m = t->prompt.messages;
    assert_true(a.stream && !a.store && a.one_call);
    assert_roles(&a, "system user user");
    assert_int_equal(m[0].n_parts, 2); // instructions and the developer's text are one
    assert_str(m[2].content, "list the files");
    assert_str(t->prompt.reasoning_effort, "medium");
    assert_int_equal(t->prompt.thinking, SB_THINKING_ON);
    assert_non_null(strstr(t->prompt.tools.p, "\"name\":\"shell_command\""));
    assert_null(strstr(t->prompt.tools.p, "apply_patch"));
    assert_int_equal(json_array_size(a.warnings), 3); // tools that are not on offer
    assert_int_equal(t->max_tokens, -1);
    sb_ask_deinit(&a);
}

static void an_agents_replay(void **state)
{
    (void)state;
    sb_ask a;
    read_file(&a, "codex-tools.json");
    const sb_message *m = a.turns[0].prompt.messages;
    assert_roles(&a, "system user assistant tool assistant user");
    assert_str(m[2].reasoning, "I should run ls.");
    assert_null(m[2].content.p);
    assert_str(m[2].calls[0].id, "call_3_0");
    assert_str(m[2].calls[0].arguments, "{\"command\":\"ls\"}");
    assert_str(m[3].name, "shell_command");
    assert_str(m[4].content, "There is main.c.");
    assert_int_equal(a.turns[0].prompt.end, SB_PROMPT_ASK);
    assert_null(a.warnings);
    sb_ask_deinit(&a);
}

static void items_of_all_kinds(void **state)
{
    (void)state;
    sb_ask a;
    read_text(
        &a,
        "{\"input\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"a\"},"
        "{\"type\":\"reasoning\",\"id\":\"r\",\"summary\":[],\"content\":[{\"type\":\"reasoning_"
        "text\",\"text\":\"R\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\"}]},"
        "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},"
        "{\"type\":\"web_search_call\",\"id\":\"w\",\"status\":\"completed\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{\"type\":\"input_text\","
        "\"text\":\"o\"}]},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c\"},"
        "{\"type\":\"reasoning\",\"id\":\"r\",\"summary\":[],\"encrypted_content\":\"x\"},"
        "{\"role\":\"developer\",\"content\":\"D\"}],"
        "\"tool_choice\":\"none\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],"
        "\"top_logprobs\":2,\"include\":[\"message.output_text.logprobs\"],"
        "\"reasoning\":{\"effort\":\"none\"},\"text\":{\"format\":{\"type\":\"text\"}}}",
        NULL);
    const sb_message *m = a.turns[0].prompt.messages;
    assert_roles(&a, "system user assistant tool tool user");
    assert_str(m[2].reasoning, "R");
    assert_str(m[2].content, "b");
    assert_int_equal(m[2].n_calls, 1);
    assert_str(m[3].content, "o");
    assert_str(m[4].content, "");
    assert_str(m[5].content, "D");
    assert_int_equal(a.turns[0].prompt.tools.n, 0);
    assert_int_equal(a.turns[0].prompt.thinking, SB_THINKING_OFF);
    assert_int_equal(a.turns[0].n_logprobs, 2);
    assert_int_equal(json_array_size(a.warnings), 1);
    assert_true(a.store && !a.stream);
    sb_ask_deinit(&a);
}

static void bad_bodies_name_their_field(void **state)
{
    (void)state;
#define HI "\"input\":\"hi\""
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"5", ""},
        {"{}", "input"},
        {"{\"input\":[]}", "input"},
        {"{\"input\":5}", "input"},
        {"{\"input\":[5]}", "input[0]."},
        {"{\"input\":[{}]}", "input[0].role"},
        {"{\"input\":[{\"type\":\"odd\"}]}", "input[0].type"},
        {"{\"input\":[{\"role\":\"root\",\"content\":\"x\"}]}", "input[0].role"},
        {"{\"input\":[{\"role\":\"user\"}]}", "input[0].content"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"x\"}]}]}",
         "input[0].content[0].type"},
        {"{\"input\":[{\"type\":\"function_call\",\"name\":\"f\"}]}", "input[0].call_id"},
        {"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":{}"
         "}"
         "]}",
         "input[0].arguments"},
        {"{\"input\":[{\"type\":\"function_call_output\",\"output\":\"f\"}]}", "input[0].call_id"},
        {"{\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_x_1\"}]}", "input[0].id"},
        {"{\"input\":[{\"id\":\"msg_\"}]}", "input[0].id"},
        {"{" HI ",\"previous_response_id\":\"resp_x\"}", "previous_response_id"},
        {"{" HI ",\"conversation\":\"conv_1\"}", "conversation"},
        {"{" HI ",\"background\":true}", "background"},
        {"{" HI ",\"max_tool_calls\":3}", "max_tool_calls"},
        {"{" HI ",\"prompt\":{\"id\":\"p\"}}", "prompt"},
        {"{" HI ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{}}}}",
         "text.format"},
        {"{" HI ",\"text\":{\"format\":{\"type\":\"json_object\"}}}", "text.format"},
        {"{" HI ",\"tool_choice\":\"required\"}", "tool_choice"},
        {"{" HI ",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}}", "tool_choice"},
        {"{" HI ",\"tools\":[{\"type\":\"function\",\"name\":\"a\\nb\"}]}", "tools[0].name"},
        {"{" HI ",\"tools\":[5]}", "tools[0]."},
        {"{" HI ",\"max_output_tokens\":0}", "max_output_tokens"},
        {"{" HI ",\"temperature\":1e38}", "temperature"},
        {"{" HI ",\"reasoning\":{\"effort\":\"huge\"}}", "reasoning.effort"},
        {"{" HI ",\"include\":[5]}", "include"},
        {"{" HI ",\"store\":\"no\"}", "store"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_wire_error w;
        if (rig_refused(D, rows[i].body, &w) == SB_OK) fail_msg("taken: %s", rows[i].body);
        if (strcmp(w.param, rows[i].param) != 0 || w.status != 400)
            fail_msg("%s: %d '%s' (%s)", rows[i].body, w.status, w.param, w.err.msg);
    }
}

/* ---- answers ---- */

#define TOOLS                                                                                      \
    "\"instructions\":\"Be kind.\",\"temperature\":0.5,\"metadata\":{\"a\":\"b\"},\"tools\":[{"    \
    "\"type\":\"function\",\"name\":\"ls\",\"parameters\":{\"type\":\"object\"}}]"

static void play(rig *r, const char *body, const sb_wire_opts *opts)
{
    rig_open(r, D, body, opts);
    rig_say(r, SB_OUTPUT_REASONING, "I should ", 2);
    rig_say(r, SB_OUTPUT_REASONING, "look.", 3);
    rig_say(r, SB_OUTPUT_CONTENT, "Let me \"look\"\n", 3);
    rig_say(r, SB_OUTPUT_CONTENT, "\xc3\xa9t\xc3\xa9.", 1);
    rig_call(r, "call_1_0", "ls", "{\"dir\":", "\"/\"}");
    rig_call(r, "call_1_1", "ls", "{", "}");
    rig_end(r, SB_FINISH_TOOL_CALLS);
}

static void a_stream_to_the_byte(void **state)
{
    (void)state;
    rig r;
    play(&r, "{" HI "," TOOLS ",\"stream\":true}", NULL);
    rig_golden(&r.out, "responses-stream.txt");
    rig_close(&r);
}

static void a_whole_answer_to_the_byte(void **state)
{
    (void)state;
    rig r;
    play(&r, "{" HI "," TOOLS "}", NULL);
    rig_golden(&r.out, "responses-whole.json");
    rig_close(&r);
}

/* What the events say, put together, is what the answer without a stream says. */
static void a_stream_ends_with_the_whole(void **state)
{
    (void)state;
    rig stream, whole;
    play(&stream, "{" HI "," TOOLS ",\"stream\":true}", NULL);
    play(&whole, "{" HI "," TOOLS "}", NULL);
    const char *last = strstr(stream.out.p, "event: response.completed\n");
    assert_non_null(last);
    const char *object = strstr(last, "\"response\":");
    assert_non_null(object);
    assert_memory_equal(object + 11, whole.out.p, whole.out.n);
    rig_close(&stream);
    rig_close(&whole);
}

static void a_summary_is_told_where_it_is_asked_for(void **state)
{
    (void)state;
    rig r;
    play(&r, "{" HI ",\"stream\":true,\"reasoning\":{\"summary\":\"auto\"}}", NULL);
    rig_golden(&r.out, "responses-summary.txt");
    rig_close(&r);
}

static void logprobs_stand_with_their_text(void **state)
{
    (void)state;
    static const char want[] = "\"include\":[\"message.output_text.logprobs\"]}";
    char body[256];
    for (int stream = 0; stream < 2; stream++) {
        rig r;
        (void)snprintf(body, sizeof body, "{" HI ",\"stream\":%s,%s", stream ? "true" : "false",
                       want);
        rig_open(&r, D, body, NULL);
        rig_logprobs(&r, tiny_opened->tok);
        rig_say(&r, SB_OUTPUT_CONTENT, "a", 1);
        rig_say(&r, SB_OUTPUT_CONTENT, "b", 2);
        rig_end(&r, SB_FINISH_STOP);
        if (stream)
            assert_non_null(strstr(r.out.p, "\"delta\":\"b\",\"logprobs\":[{\"token\":\"?\""));
        const char *last = stream ? strstr(r.out.p, "event: response.completed\n") : r.out.p;
        assert_non_null(last);
        json_t *o = json_loads(strchr(last, '{'), JSON_DISABLE_EOF_CHECK, NULL);
        const json_t *response = stream ? json_object_get(o, "response") : o;
        const json_t *item = json_array_get(json_object_get(response, "output"), 0);
        const json_t *part = json_array_get(json_object_get(item, "content"), 0);
        assert_string_equal(json_string_value(json_object_get(part, "text")), "ab");
        assert_int_equal(json_array_size(json_object_get(part, "logprobs")), 3);
        json_decref(o);
        rig_close(&r);
    }
}

static void ends_have_their_words(void **state)
{
    (void)state;
    static const struct {
        sb_finish finish;
        const char *event, *status;
    } rows[] = {
        {SB_FINISH_STOP, "event: response.completed\n", "\"status\":\"completed\""},
        {SB_FINISH_LENGTH, "event: response.incomplete\n",
         "\"status\":\"incomplete\",\"background\":false,\"completed_at\":null,\"error\":null,"
         "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"},
        {SB_FINISH_CANCELLED, "event: response.failed\n", "\"status\":\"cancelled\""},
        {SB_FINISH_NUMERIC_ERROR, "event: response.failed\n",
         "\"finish_detail\":\"numeric_error\""},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        rig r;
        rig_open(&r, D, "{" HI ",\"stream\":true}", NULL);
        rig_say(&r, SB_OUTPUT_CONTENT, "x", 1);
        rig_end(&r, rows[i].finish);
        const char *last = strstr(r.out.p, rows[i].event);
        if (!last || !strstr(last, rows[i].status)) fail_msg("%zu: %s", i, r.out.p);
        rig_close(&r);
    }
}

static void a_failure_ends_the_stream(void **state)
{
    (void)state;
    rig r;
    sb_respond_record rec;
    rig_open(&r, D, "{" HI ",\"stream\":true}", NULL);
    rig_say(&r, SB_OUTPUT_CONTENT, "half", 1);
    rig_fail(&r, 500, SB_IO, "the file changed");
    const char *last = strstr(r.out.p, "event: response.failed\n");
    assert_non_null(last);
    assert_non_null(strstr(last, "\"status\":\"failed\""));
    assert_non_null(strstr(last, "\"message\":\"the file changed\""));
    assert_non_null(strstr(last, "\"text\":\"half\""));
    assert_int_equal(sb_respond_get_record(r.v, &rec, &r.err), SB_OK);
    assert_non_null(strstr(rec.object.p, "\"status\":\"failed\""));
    rig_close(&r);
}

/* ---- stored ---- */

enum { MAX_KEPT = 4 };

/* A store of a few responses, each with the one before it. */
typedef struct shelf {
    struct {
        char id[32], previous[32];
        char *object, *items;
    } rows[MAX_KEPT];
    size_t n;
    size_t n_asked;
} shelf;

static sb_status look_up(void *ctx, sb_str id, bool chain, sb_wire_row row, void *row_ctx,
                         sb_error *err)
{
    shelf *s = ctx;
    char want[32];
    (void)snprintf(want, sizeof want, "%.*s", (int)id.n, id.p);
    s->n_asked++;
    for (size_t i = s->n; i-- > 0;) {
        if (strcmp(s->rows[i].id, want) != 0) continue;
        SB_TRY(row(row_ctx, (sb_str){s->rows[i].object, strlen(s->rows[i].object)},
                   (sb_str){s->rows[i].items, strlen(s->rows[i].items)}, err));
        if (!chain || !s->rows[i].previous[0]) return SB_OK;
        (void)snprintf(want, sizeof want, "%s", s->rows[i].previous);
    }
    return SB_FAIL(err, SB_NOT_FOUND, "no such response");
}

static void keep(shelf *s, rig *r, const char *id)
{
    sb_respond_record rec;
    assert_int_equal(sb_respond_get_record(r->v, &rec, &r->err), SB_OK);
    (void)snprintf(s->rows[s->n].id, sizeof s->rows[s->n].id, "%s", id);
    (void)snprintf(s->rows[s->n].previous, sizeof s->rows[s->n].previous, "%.*s",
                   (int)rec.previous.n, rec.previous.p ? rec.previous.p : "");
    s->rows[s->n].object = sb_strdup_n(rec.object.p, rec.object.n);
    s->rows[s->n++].items = sb_strdup_n(rec.items.p, rec.items.n);
}

static void empty(shelf *s)
{
    for (size_t i = 0; i < s->n; i++) {
        sb_free(s->rows[i].object);
        sb_free(s->rows[i].items);
    }
}

/* Only what was stored, as text, is there the second time: as after a restart. */
static void a_chain_goes_on_from_what_is_stored(void **state)
{
    (void)state;
    shelf s = {0};
    const sb_wire_opts opts = {.stored = look_up, .stored_ctx = &s};
    rig r;
    play(&r, "{" HI "," TOOLS "}", &opts);
    keep(&s, &r, "resp_2q7");
    rig_close(&r);
    rig_open(&r, D,
             "{\"previous_response_id\":\"resp_2q7\",\"input\":[{\"type\":\"function_call_output\","
             "\"call_id\":\"call_1_0\",\"output\":\"bin\"},{\"type\":\"function_call_output\","
             "\"call_id\":\"call_1_1\",\"output\":\"etc\"}]}",
             &opts);
    assert_roles(&r.ask, "user assistant tool tool"); // instructions are of one request
    rig_say(&r, SB_OUTPUT_CONTENT, "bin and etc", 1);
    rig_end(&r, SB_FINISH_STOP);
    keep(&s, &r, "resp_3a");
    rig_close(&r);
    sb_ask a;
    read_text(&a,
              "{\"previous_response_id\":\"resp_3a\",\"instructions\":\"New.\",\"input\":\"more\"}",
              &opts);
    const sb_message *m = a.turns[0].prompt.messages;
    assert_roles(&a, "system user assistant tool tool assistant user");
    assert_str(m[0].content, "New.");
    assert_str(m[1].content, "hi");
    assert_str(m[2].reasoning, "I should look.");
    assert_str(m[2].content, "Let me \"look\"\n\xc3\xa9t\xc3\xa9.");
    assert_int_equal(m[2].n_calls, 2);
    assert_str(m[2].calls[0].arguments, "{\"dir\":\"/\"}");
    assert_str(m[3].content, "bin");
    assert_str(m[3].name, "ls");
    assert_str(m[5].content, "bin and etc");
    assert_str(m[6].content, "more");
    sb_ask_deinit(&a);
    sb_wire_error w;
    a = (sb_ask){.opts = opts};
    static const char lost[] = "{\"previous_response_id\":\"resp_no\",\"input\":\"more\"}";
    assert_int_equal(sb_wire_read(&a, D, (sb_str){lost, sizeof lost - 1}, &w), SB_NOT_FOUND);
    assert_int_equal(w.status, 400);
    assert_string_equal(w.code, "previous_response_not_found");
    assert_string_equal(w.param, "previous_response_id");
    empty(&s);
}

static void items_may_be_named(void **state)
{
    (void)state;
    shelf s = {0};
    const sb_wire_opts opts = {.stored = look_up, .stored_ctx = &s};
    rig r;
    play(&r, "{" HI "," TOOLS ",\"stream\":true}", &opts);
    keep(&s, &r, "resp_2q7");
    rig_close(&r);
    sb_ask a;
    read_text(&a,
              "{\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_2q7_in0\"},"
              "{\"type\":\"item_reference\",\"id\":\"rs_2q7_0\"},{\"id\":\"msg_2q7_1\"},"
              "{\"type\":\"item_reference\",\"id\":\"fc_2q7_2\"},"
              "{\"type\":\"function_call_output\",\"call_id\":\"call_1_0\",\"output\":\"bin\"}]}",
              &opts);
    assert_roles(&a, "user assistant tool");
    assert_str(a.turns[0].prompt.messages[1].reasoning, "I should look.");
    assert_int_equal(a.turns[0].prompt.messages[1].n_calls, 1);
    assert_int_equal(s.n_asked, 1); // one response, asked for once
    sb_ask_deinit(&a);
    empty(&s);
}

static void stored_items_are_listed(void **state)
{
    (void)state;
    rig r;
    sb_respond_record rec;
    play(&r,
         "{\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
         "\"b\"},{\"id\":\"mine\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":"
         "\"c\"}]}]}",
         NULL);
    assert_int_equal(sb_respond_get_record(r.v, &rec, &r.err), SB_OK);
    sb_buf b;
    sb_buf_init(&b, 1 << 16, "list");
    const sb_respond_page first = {.limit = 2};
    assert_int_equal(sb_respond_item_list(&b, rec.items, &first, NULL), SB_OK);
    assert_string_equal(
        b.p, "{\"object\":\"list\",\"data\":[{\"type\":\"message\",\"id\":\"mine\",\"role\":"
             "\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"c\"}]},{\"id\":"
             "\"msg_2q7_in1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
             "\"output_text\",\"text\":\"b\"}]}],\"first_id\":\"mine\",\"last_id\":"
             "\"msg_2q7_in1\",\"has_more\":true}");
    sb_buf_clear(&b);
    const sb_respond_page next = {.limit = 2, .after = {"msg_2q7_in1", 11}};
    assert_int_equal(sb_respond_item_list(&b, rec.items, &next, NULL), SB_OK);
    assert_non_null(strstr(b.p, "\"first_id\":\"msg_2q7_in0\",\"last_id\":\"msg_2q7_in0\",\"has_"
                                "more\":false"));
    sb_buf_clear(&b);
    const sb_respond_page up = {.ascending = true, .after = {"mine", 4}};
    assert_int_equal(sb_respond_item_list(&b, rec.items, &up, NULL), SB_OK);
    assert_string_equal(b.p, "{\"object\":\"list\",\"data\":[],\"first_id\":\"\",\"last_id\":\"\","
                             "\"has_more\":false}");
    sb_buf_clear(&b);
    const sb_respond_page lost = {.after = {"no", 2}};
    assert_int_equal(sb_respond_item_list(&b, rec.items, &lost, NULL), SB_NOT_FOUND);
    assert_int_equal(b.n, 0);
    assert_int_equal(sb_respond_deleted(&b, (sb_str){"resp_2q7", 8}, NULL), SB_OK);
    assert_string_equal(b.p, "{\"id\":\"resp_2q7\",\"object\":\"response\",\"deleted\":true}");
    sb_buf_clear(&b);
    assert_int_equal(sb_respond_tokens(&b, 12, NULL), SB_OK);
    assert_string_equal(b.p, "{\"object\":\"response.input_tokens\",\"input_tokens\":12}");
    sb_buf_deinit(&b);
    rig_close(&r);
}

/* A damaged store is told from a wrong request. */
static void a_damaged_store_is_not_the_clients_fault(void **state)
{
    (void)state;
    shelf s = {.n = 1};
    (void)snprintf(s.rows[0].id, sizeof s.rows[0].id, "resp_x");
    static const char *const objects[] = {"{", "{\"output\":5}", "[]"};
    for (size_t i = 0; i < SB_ARRAY_LEN(objects); i++) {
        char items[] = "[]", object[32];
        (void)snprintf(object, sizeof object, "%s", objects[i]);
        s.rows[0].object = object;
        s.rows[0].items = items;
        sb_ask a = {.opts = {.stored = look_up, .stored_ctx = &s}};
        sb_wire_error w;
        static const char body[] = "{\"previous_response_id\":\"resp_x\",\"input\":\"more\"}";
        assert_int_equal(sb_wire_read(&a, D, (sb_str){body, sizeof body - 1}, &w), SB_CORRUPT);
        assert_int_equal(w.status, 500);
    }
}

/* A long chain of small requests is a great prompt: what is read of it has an end. */
static sb_status endless(void *ctx, sb_str id, bool chain, sb_wire_row row, void *row_ctx,
                         sb_error *err)
{
    (void)id, (void)chain;
    for (;;) {
        ++*(size_t *)ctx;
        static char items[1 << 20] = "[]";
        if (!items[2]) memset(items + 2, ' ', sizeof items - 2);
        SB_TRY(row(row_ctx, (sb_str){"{\"output\":[]}", 13}, (sb_str){items, sizeof items}, err));
    }
}

static void a_chain_has_an_end(void **state)
{
    (void)state;
    size_t n_rows = 0;
    sb_ask a = {.opts = {.stored = endless, .stored_ctx = &n_rows}};
    sb_wire_error w;
    static const char body[] = "{\"previous_response_id\":\"resp_x\",\"input\":\"more\"}";
    assert_int_equal(sb_wire_read(&a, D, (sb_str){body, sizeof body - 1}, &w), SB_LIMIT);
    assert_int_equal(w.status, 400);
    assert_string_equal(w.param, "previous_response_id");
    assert_int_equal(n_rows, 64);
}

int main(int argc, char **argv)
{
    rig_args(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agents_first_request),
        cmocka_unit_test(an_agents_replay),
        cmocka_unit_test(items_of_all_kinds),
        cmocka_unit_test(bad_bodies_name_their_field),
        cmocka_unit_test(a_stream_to_the_byte),
        cmocka_unit_test(a_whole_answer_to_the_byte),
        cmocka_unit_test(a_stream_ends_with_the_whole),
        cmocka_unit_test(a_summary_is_told_where_it_is_asked_for),
        cmocka_unit_test(logprobs_stand_with_their_text),
        cmocka_unit_test(ends_have_their_words),
        cmocka_unit_test(a_failure_ends_the_stream),
        cmocka_unit_test(a_chain_goes_on_from_what_is_stored),
        cmocka_unit_test(items_may_be_named),
        cmocka_unit_test(stored_items_are_listed),
        cmocka_unit_test(a_chain_has_an_end),
        cmocka_unit_test(a_damaged_store_is_not_the_clients_fault),
    };
    return cmocka_run_group_tests_name("wire responses", tests, tiny_open, tiny_close);
}
