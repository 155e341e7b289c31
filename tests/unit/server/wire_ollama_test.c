/* SPDX-License-Identifier: Apache-2.0
 * wire_ollama_test.c - Ollama's dialects: requests as its clients send them, lines to the byte, and
 * the bodies beside answers. */
#include "server/wire/ollama.h"
#include "server/wire/ollama_list.h"

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
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const sb_dialect *const CHAT = &sb_dialect_ollama_chat;
static const sb_dialect *const GENERATE = &sb_dialect_ollama_generate;

static void read_text(sb_ask *a, const sb_dialect *d, const char *body)
{
    sb_wire_error w;
    *a = (sb_ask){0};
    if (sb_wire_read(a, d, (sb_str){body, strlen(body)}, &w) != SB_OK)
        fail_msg("%s: %s", body, w.err.msg);
}

static void read_file(sb_ask *a, const sb_dialect *d, const char *name)
{
    char *body = rig_file(name);
    read_text(a, d, body);
    sb_free(body);
}

/* ---- requests ---- */

static void a_web_pages_chat(void **state)
{
    (void)state;
    sb_ask a;
    read_file(&a, CHAT, "open-webui.json");
    const sb_turn_request *t = &a.turns[0];
    const sb_message *m = t->prompt.messages;
    assert_string_equal(a.model, "smollm2-135m"); // ":latest" is no other model
    assert_true(a.stream && a.has_seed);
    assert_true(a.keep_alive_s == 600);
    assert_int_equal(t->sampling.seed, 7);
    assert_true(t->sampling.temp == 0.7f);
    assert_int_equal(t->sampling.top_k, 40);
    assert_int_equal(t->max_tokens, -1);
    assert_int_equal(t->prompt.thinking, SB_THINKING_OFF);
    assert_int_equal(t->prompt.n_messages, 7);
    assert_str(m[2].reasoning, "A greeting.");
    assert_str(m[4].calls[0].arguments, "{\"city\":\"Paris\",\"days\":2}");
    assert_str(m[5].name, "weather");
    assert_null(a.warnings);
    sb_ask_deinit(&a);
}

static void an_editors_chat_and_completion(void **state)
{
    (void)state;
    sb_ask a;
    read_file(&a, CHAT, "continue-chat.json");
    assert_int_equal(a.turns[0].max_tokens, 4096);
    assert_int_equal(a.turns[0].n_stops, 2);
    assert_true(a.turns[0].sampling.min_p == 0.05f);
    assert_true(a.keep_alive_s == 1800);
    assert_non_null(strstr(a.turns[0].prompt.tools.p, "read_file"));
    assert_null(a.warnings);
    sb_ask_deinit(&a);
    read_file(&a, GENERATE, "continue-autocomplete.json");
    assert_null(a.turns[0].prompt.messages);
    assert_true(a.turns[0].raw_control);
    assert_true(a.turns[0].raw.n > 20);
    assert_null(a.warnings);
    sb_ask_deinit(&a);
}

static void a_prompt_has_its_system_and_context(void **state)
{
    (void)state;
    sb_ask a;
    read_text(&a, GENERATE,
              "{\"model\":\"m\",\"prompt\":\"hi\",\"system\":\"S\",\"context\":[1,2,3],\"think\":"
              "\"high\",\"stream\":false,\"logprobs\":true,\"top_logprobs\":2}");
    const sb_prompt_request *p = &a.turns[0].prompt;
    assert_false(a.stream);
    assert_int_equal(p->n_messages, 2);
    assert_str(p->messages[0].content, "S");
    assert_str(p->messages[1].content, "hi");
    assert_int_equal(a.n_context, 3);
    assert_int_equal(a.context[2], 3);
    assert_int_equal(p->thinking, SB_THINKING_ON);
    assert_str(p->reasoning_effort, "high");
    assert_int_equal(a.turns[0].n_logprobs, 2);
    assert_true(isnan(a.keep_alive_s));
    sb_ask_deinit(&a);
}

static void nothing_to_say_loads_or_unloads(void **state)
{
    (void)state;
    static const struct {
        bool chat;
        const char *body, *want;
    } rows[] = {
        {true, "{\"model\":\"m\"}",
         "\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":"
         "\"load\"}\n"},
        {true, "{\"model\":\"m\",\"messages\":[],\"keep_alive\":0}",
         "\"done_reason\":\"unload\"}\n"},
        {false, "{\"model\":\"m\",\"keep_alive\":\"0\"}",
         "\"response\":\"\",\"done\":true,\"done_reason\":\"unload\"}\n"},
        {false, "{\"model\":\"m\",\"prompt\":\"\",\"keep_alive\":-1}",
         "\"done_reason\":\"load\"}\n"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_ask a;
        const sb_dialect *d = rows[i].chat ? CHAT : GENERATE;
        read_text(&a, d, rows[i].body);
        assert_int_equal(a.n_turns, 0);
        assert_true(a.only_load != a.only_unload);
        sb_buf b;
        sb_buf_init(&b, 1000, "line");
        sb_voice *v = sb_voice_new(&a, &(sb_voice_facts){.model = "m"});
        assert_non_null(v);
        assert_int_equal(d->begin(v, &b, NULL), SB_OK);
        assert_int_equal(d->end(v, NULL, &b, NULL), SB_OK);
        if (!strstr(b.p, rows[i].want)) fail_msg("%s", b.p);
        sb_buf_deinit(&b);
        sb_voice_free(v, d);
        sb_ask_deinit(&a);
    }
}

static void durations_are_gos(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double s; /* NAN: none */
    } rows[] = {{"10m", 600},
                {"1h30m", 5400},
                {"1.5h", 5400},
                {"300ms", 0.3},
                {"0", 0},
                {"0s", 0},
                {"-1", INFINITY},
                {"-5m", INFINITY},
                {"+3s", 3},
                {"2\xc2\xb5s", 2e-6},
                {"90", 90},
                {"-0", 0},
                {"", (double)NAN},
                {"m", (double)NAN},
                {"5x", (double)NAN},
                {"1h ", (double)NAN},
                {"1h5", (double)NAN},
                {"-", (double)NAN},
                {".s", (double)NAN},
                {"1..5s", (double)NAN}};
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        double s = (double)NAN;
        const bool ok = sb_ollama_duration((sb_str){rows[i].text, strlen(rows[i].text)}, &s);
        if (ok == isnan(rows[i].s)) fail_msg("'%s': %d", rows[i].text, ok);
        if (ok && isinf(rows[i].s) != isinf(s)) fail_msg("'%s': %g", rows[i].text, s);
        if (ok && isfinite(s) && fabs(s - rows[i].s) > 1e-9) fail_msg("'%s': %g", rows[i].text, s);
    }
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void bad_bodies_name_their_field(void **state)
{
    (void)state;
    static const struct {
        bool chat;
        const char *body, *param;
    } rows[] = {
        {true, "null", ""},
        {true, "{\"messages\":{}}", "messages"},
        {true, "{\"messages\":[{\"role\":\"root\",\"content\":\"x\"}]}", "messages[0].role"},
        {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"images\":[\"aGk=\"]}]}",
         "messages[0].images"},
        {true, "{" HI ",\"format\":\"json\"}", "format"},
        {true, "{" HI ",\"format\":{\"type\":\"object\"}}", "format"},
        {true, "{" HI ",\"stream\":\"yes\"}", "stream"},
        {true, "{" HI ",\"options\":[]}", "options"},
        {true, "{" HI ",\"options\":{\"temperature\":-1}}", "options.temperature"},
        {true, "{" HI ",\"options\":{\"mirostat\":2}}", "options.mirostat"},
        {true, "{" HI ",\"options\":{\"num_predict\":1.5}}", "options.num_predict"},
        {true, "{" HI ",\"options\":{\"stop\":[\"\"]}}", "options.stop"},
        {true, "{" HI ",\"keep_alive\":\"soon\"}", "keep_alive"},
        {true, "{" HI ",\"keep_alive\":[]}", "keep_alive"},
        {true, "{" HI ",\"think\":\"much\"}", "think"},
        {true, "{" HI ",\"think\":1}", "think"},
        {true, "{" HI ",\"top_logprobs\":21}", "top_logprobs"},
        {true, "{" HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}",
         "tools[0].function.name"},
        {false, "{\"prompt\":5}", "prompt"},
        {false, "{\"prompt\":\"x\",\"suffix\":\"y\"}", "suffix"},
        {false, "{\"prompt\":\"x\",\"template\":\"{{ .Prompt }}\"}", "template"},
        {false, "{\"prompt\":\"x\",\"images\":[\"aGk=\"]}", "images"},
        {false, "{\"prompt\":\"x\",\"format\":\"json\"}", "format"},
        {false, "{\"prompt\":\"x\",\"raw\":true,\"system\":\"S\"}", "raw"},
        {false, "{\"prompt\":\"x\",\"raw\":true,\"context\":[1]}", "raw"},
        {false, "{\"prompt\":\"x\",\"context\":[-1]}", "context"},
        {false, "{\"prompt\":\"x\",\"context\":[4194304]}", "context"},
        {false, "{\"prompt\":\"x\",\"context\":[\"1\"]}", "context"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_wire_error w;
        if (rig_refused(rows[i].chat ? CHAT : GENERATE, rows[i].body, &w) == SB_OK)
            fail_msg("taken: %s", rows[i].body);
        if (strcmp(w.param, rows[i].param) != 0 || w.status != 400)
            fail_msg("%s: %d '%s' (%s)", rows[i].body, w.status, w.param, w.err.msg);
    }
}

static void unknown_options_are_named(void **state)
{
    (void)state;
    sb_ask a;
    read_text(&a, CHAT, "{" HI ",\"options\":{\"num_gqa\":8,\"num_ctx\":16384},\"x\":1}");
    assert_int_equal(json_array_size(a.warnings), 2);
    sb_ask_deinit(&a);
}

/* ---- answers ---- */

static void play(rig *r, const sb_dialect *d, const char *body)
{
    rig_open(r, d, body, NULL);
    rig_logprobs(r, tiny_opened->tok);
    rig_say(r, SB_OUTPUT_REASONING, "I should look.", 3);
    rig_say(r, SB_OUTPUT_CONTENT, "Let me \"look\"\n", 1);
    rig_say(r, SB_OUTPUT_CONTENT, "\xc3\xa9t\xc3\xa9.", 2);
}

static void chat_to_the_byte(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{" HI "}", "{" HI ",\"stream\":false}"};
    static const char *const files[] = {"ollama-chat-stream.txt", "ollama-chat-whole.json"};
    for (size_t i = 0; i < 2; i++) {
        rig r;
        play(&r, CHAT, bodies[i]);
        sb_free(r.t.logprobs);
        r.t.logprobs = NULL;
        rig_call(&r, "call_1_0", "ls", "{\"dir\":", "\"/\"}");
        rig_call(&r, "call_1_1", "now", "", "");
        rig_end(&r, SB_FINISH_TOOL_CALLS);
        rig_golden(&r.out, files[i]);
        rig_close(&r);
    }
}

static void generate_to_the_byte(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{\"prompt\":\"hi\"}",
                                         "{\"prompt\":\"hi\",\"stream\":false,\"n_keep\":1}"};
    static const char *const files[] = {"ollama-generate-stream.txt", "ollama-generate-whole.json"};
    for (size_t i = 0; i < 2; i++) {
        rig r;
        play(&r, GENERATE, bodies[i]);
        rig_end(&r, SB_FINISH_LENGTH);
        rig_golden(&r.out, files[i]);
        rig_close(&r);
    }
}

/* A call goes out at once, and with it what its tokens were likely to be. */
static void no_tokens_logprobs_are_lost(void **state)
{
    (void)state;
    rig r;
    play(&r, CHAT, "{" HI "}");
    for (int i = 0; i < 3; i++)
        assert_int_equal(sb_ids_add(&r.t.ids, 80, &r.err), SB_OK);
    rig_call(&r, "call_1_0", "ls", "{", "}");
    rig_end(&r, SB_FINISH_TOOL_CALLS);
    size_t n = 0;
    for (const char *p = r.out.p; (p = strstr(p, "\"top_logprobs\"")); p++)
        n++;
    assert_int_equal(n, 9);
    rig_close(&r);
}

/* Whoever runs a turn behind a context may have put its prompt into ids. */
static void a_context_goes_on(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, GENERATE, "{\"prompt\":\"hi\",\"context\":[1,2],\"stream\":false}", NULL);
    r.ask.turns[0].prompt = (sb_prompt_request){0};
    rig_say(&r, SB_OUTPUT_CONTENT, "x", 1);
    rig_end(&r, SB_FINISH_STOP);
    assert_non_null(strstr(r.out.p, "\"context\":[0,1,2,"));
    rig_close(&r);
}

static void a_raw_answer_has_no_context(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, GENERATE, "{\"prompt\":\"hi\",\"raw\":true,\"stream\":false}", NULL);
    rig_say(&r, SB_OUTPUT_CONTENT, "x", 1);
    rig_end(&r, SB_FINISH_CANCELLED);
    assert_null(strstr(r.out.p, "\"context\""));
    assert_non_null(strstr(r.out.p, "\"done_reason\":\"length\",\"finish_detail\":\"cancelled\""));
    rig_close(&r);
}

static void errors_are_one_word(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, CHAT, "{" HI "}", NULL);
    rig_fail(&r, 500, SB_IO, "it \"broke\"");
    assert_string_equal(r.out.p, "{\"error\":\"it \\\"broke\\\"\"}\n");
    sb_buf_clear(&r.out);
    assert_int_equal(CHAT->refuse(&r.w, "req_1", &r.out, NULL), SB_OK);
    assert_string_equal(r.out.p, "{\"error\":\"it \\\"broke\\\"\"}");
    rig_close(&r);
}

/* ---- beside answers ---- */

static const sb_ollama_model models[] = {
    {.name = "smollm2-135m",
     .modified_s = 1790000000,
     .bytes = 144811456,
     .digest = "5a1395716f7913741cc51d98581b9b1228d80987a9f7d3664106742eb06bba83",
     .family = "llama",
     .quant = "Q8_0",
     .n_params = 134515008,
     .n_ctx = 8192,
     .n_embd = 576,
     .tools = true,
     .expires_s = 1790000300,
     .memory_bytes = 200000000,
     .n_ctx_used = 4096},
    {.name = "big",
     .family = "qwen3",
     .n_params = 7615616512,
     .thinking = true,
     .expires_s = INT64_MAX},
};

static void lists_to_the_byte(void **state)
{
    (void)state;
    sb_buf b;
    sb_buf_init(&b, 1 << 20, "list");
    assert_int_equal(sb_ollama_tags(&b, models, 2, NULL), SB_OK);
    rig_golden(&b, "ollama-tags.json");
    sb_buf_clear(&b);
    assert_int_equal(sb_ollama_ps(&b, models, 2, NULL), SB_OK);
    rig_golden(&b, "ollama-ps.json");
    sb_buf_clear(&b);
    assert_int_equal(sb_ollama_version(&b, "0.1.0", NULL), SB_OK);
    assert_string_equal(b.p, "{\"version\":\"0.1.0\"}");
    sb_buf_deinit(&b);
}

static void a_model_is_shown_from_its_file(void **state)
{
    (void)state;
    sb_buf b;
    sb_buf_init(&b, 1 << 22, "show");
    for (int verbose = 0; verbose < 2; verbose++) {
        const sb_ollama_show show = {.model = models[0],
                                     .gguf = tiny_opened->gguf,
                                     .license = {"Apache-2.0", 10},
                                     .template_text = {"{{ x }}", 7},
                                     .verbose = verbose};
        sb_buf_clear(&b);
        assert_int_equal(sb_ollama_show_body(&b, &show, NULL), SB_OK);
        json_t *o = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        const json_t *info = json_object_get(o, "model_info");
        assert_string_equal(json_string_value(json_object_get(info, "general.architecture")),
                            "llama");
        assert_true(json_is_integer(json_object_get(info, "llama.block_count")));
        assert_true(json_is_real(json_object_get(info, "llama.attention.layer_norm_rms_epsilon")));
        const json_t *tokens = json_object_get(info, "tokenizer.ggml.tokens");
        assert_int_equal(json_array_size(tokens),
                         verbose ? (size_t)sb_tokenizer_n_tok(tiny_opened->tok) : 0);
        assert_null(json_object_get(info, "tokenizer.chat_template"));
        assert_int_equal(json_array_size(json_object_get(o, "tensors")),
                         verbose ? sb_gguf_n_tensors(tiny_opened->gguf) : 0);
        assert_string_equal(json_string_value(json_object_get(o, "template")), "{{ x }}");
        assert_int_equal(json_array_size(json_object_get(o, "capabilities")), 2);
        json_decref(o);
    }
    sb_buf_deinit(&b);
}

static void a_pull_tells_its_lines(void **state)
{
    (void)state;
    sb_buf b;
    sb_buf_init(&b, 1000, "lines");
    assert_int_equal(sb_ollama_pull(&b, "pulling manifest", NULL, 0, 0, NULL), SB_OK);
    assert_int_equal(sb_ollama_pull(&b, "pulling 5a13", "sha256:5a13", 100, 40, NULL), SB_OK);
    assert_int_equal(sb_ollama_pull(&b, "success", NULL, 0, 0, NULL), SB_OK);
    rig_golden(&b, "ollama-pull.txt");
    sb_buf_deinit(&b);
}

static void small_bodies_are_read(void **state)
{
    (void)state;
    sb_ollama_small o;
    sb_wire_error w = {0};
    json_t *j = json_loads("{\"name\":\"a:latest\",\"verbose\":true,\"stream\":false}", 0, NULL);
    assert_int_equal(sb_ollama_small_read(&o, j, &w), SB_OK);
    assert_str(o.model, "a");
    assert_true(o.verbose && !o.stream && !o.insecure);
    json_decref(j);
    j = json_loads("{\"source\":\"a\",\"destination\":\"b\"}", 0, NULL);
    assert_int_equal(sb_ollama_small_read(&o, j, &w), SB_OK);
    assert_str(o.destination, "b");
    assert_true(o.stream);
    json_decref(j);
    j = json_loads("{\"model\":5}", 0, NULL);
    assert_int_equal(sb_ollama_small_read(&o, j, &w), SB_INVALID);
    assert_string_equal(w.param, "model");
    json_decref(j);
}

int main(int argc, char **argv)
{
    rig_args(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_web_pages_chat),
        cmocka_unit_test(an_editors_chat_and_completion),
        cmocka_unit_test(a_prompt_has_its_system_and_context),
        cmocka_unit_test(nothing_to_say_loads_or_unloads),
        cmocka_unit_test(durations_are_gos),
        cmocka_unit_test(bad_bodies_name_their_field),
        cmocka_unit_test(unknown_options_are_named),
        cmocka_unit_test(chat_to_the_byte),
        cmocka_unit_test(generate_to_the_byte),
        cmocka_unit_test(no_tokens_logprobs_are_lost),
        cmocka_unit_test(a_context_goes_on),
        cmocka_unit_test(a_raw_answer_has_no_context),
        cmocka_unit_test(errors_are_one_word),
        cmocka_unit_test(lists_to_the_byte),
        cmocka_unit_test(a_model_is_shown_from_its_file),
        cmocka_unit_test(a_pull_tells_its_lines),
        cmocka_unit_test(small_bodies_are_read),
    };
    return cmocka_run_group_tests_name("wire ollama", tests, tiny_open, tiny_close);
}
