/* SPDX-License-Identifier: Apache-2.0
 * wire_openai_test.c - what OpenAI's and llama-server's clients read, to the letter.
 *
 * Usage: PROGRAM FOLDER [--remake]. The folder's openai-* files are what tests/e2e hands to the
 * official client; --remake writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "server/wire/listing.h"
#include "server/wire/openai.h"
#include "wire_rig.h"

#define CHAT &sb_dialect_openai_chat
#define TEXT &sb_dialect_openai_text
#define LLAMA &sb_dialect_llama_completion
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

#define ENERGY                                                                                     \
    "{\"source\":\"estimated\",\"energy_joules\":1.5,\"energy_kwh\":4.1666666666666667e-07,"       \
    "\"avg_power_watts\":3.0,\"duration_seconds\":0.5,\"energy_uj\":1500000,"                      \
    "\"energy_uj_low\":1000000,\"energy_uj_high\":2000000,\"error_pct\":33.333333333333336,"       \
    "\"prefill_joules\":0.5,\"decode_joules\":1.0,\"recompute_joules\":0.0,"                       \
    "\"energy_uj_estimated\":0,\"split_uj_low\":0,\"split_uj_high\":0,\"concurrency_mean\":0.0,"   \
    "\"settled\":false,\"attribution_method\":\"cpu-time\","                                       \
    "\"attribution_ratio\":1.0,\"cpu_seconds\":0.75,\"meter\":\"test\",\"scope\":\"package\"}"
#define CHUNK                                                                                      \
    "data: {\"id\":\"chatcmpl-abc\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"  \
    "\"model\":\"tiny\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":"
#define REST ",\"logprobs\":null,\"finish_reason\":null}]}\n\n"
#define TIMINGS(prompt_n, prompt_each, prompt_rate, n, each, rate)                                 \
    "\"timings\":{\"cache_n\":2,\"prompt_n\":" prompt_n ",\"prompt_ms\":20.0,"                     \
    "\"prompt_per_token_ms\":" prompt_each ",\"prompt_per_second\":" prompt_rate                   \
    ",\"predicted_n\":" n ",\"predicted_ms\":80.0,\"predicted_per_token_ms\":" each                \
    ",\"predicted_per_second\":" rate "}"

static sb_tokenizer *tok;

static const rig_step talk[] = {{SB_OUTPUT_REASONING, "Let me think.", 3, 0},
                                {SB_OUTPUT_CONTENT, "It is \"\xc3\xa9t\xc3\xa9\".\n", 5, 0},
                                {SB_OUTPUT_CALL_BEGIN, "weather", 4, 0},
                                {SB_OUTPUT_CALL_ARGS, "{\"city\":", 0, 0},
                                {SB_OUTPUT_CALL_ARGS, "\"Paris\"}", 0, 0},
                                {SB_OUTPUT_CALL_END, "", 0, 0},
                                {SB_OUTPUT_CALL_BEGIN, "clock", 2, 1},
                                {SB_OUTPUT_CALL_ARGS, "{}", 0, 1},
                                {SB_OUTPUT_CALL_END, "", 0, 1}};
static const rig_answer talked = {.steps = talk,
                                  .n = SB_ARRAY_LEN(talk),
                                  .finish = SB_FINISH_TOOL_CALLS,
                                  .n_prompt = 10,
                                  .n_cached = 2,
                                  .n_tail = 2};

static const rig_step words[] = {{SB_OUTPUT_CONTENT, "Hello", 1, 0},
                                 {SB_OUTPUT_CONTENT, " there", 1, 0}};
static const rig_answer said = {
    .steps = words, .n = 2, .finish = SB_FINISH_STOP, .n_prompt = 10, .n_cached = 2};

/* What a request of this dialect and body gets for these answers. */
static char *told(const sb_dialect *d, const char *body, const rig_say *say)
{
    sb_ask a;
    sb_error err = {0};
    rig_read(&a, d, body);
    rig_say with_tok = *say;
    with_tok.tok = tok;
    char *s = rig_tell(&a, &with_tok, &err);
    if (!s) print_error("%s\n", err.msg);
    assert_non_null(s);
    sb_ask_deinit(&a);
    return s;
}

static void expect(char *got, const char *want)
{
    size_t at = 0;
    while (got[at] && got[at] == want[at])
        at++;
    if (got[at] != want[at])
        print_error("differs at %zu:\n got: %.300s\nwant: %.300s\n", at, got + at, want + at);
    assert_string_equal(got, want);
    sb_free(got);
}

/* ---- chat, streamed ---- */

static void a_stream_to_the_letter(void **state)
{
    (void)state;
    static const char want[] = CHUNK
        "0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}" REST CHUNK
        "0,\"delta\":{\"reasoning_content\":\"Let me think.\"}" REST CHUNK
        "0,\"delta\":{\"content\":\"It is \\\"\xc3\xa9t\xc3\xa9\\\".\\n\"}" REST CHUNK
        "0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_0\",\"type\":\"function\","
        "\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}" REST CHUNK
        "0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
        "\"{\\\"city\\\":\"}}]}" REST CHUNK
        "0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
        "\"\\\"Paris\\\"}\"}}]}" REST CHUNK
        "0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_1\",\"type\":\"function\","
        "\"function\":{\"name\":\"clock\",\"arguments\":\"\"}}]}" REST CHUNK
        "0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}" REST
            CHUNK "0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}]," TIMINGS(
                "8", "2.5", "400.0", "16", "5.0", "200.0") "}\n\n"
                                                           ": energy " ENERGY "\n\n"
                                                           "data: [DONE]\n\n";
    const rig_say say = {.answers = &talked};
    char *s = told(CHAT, "{" MESSAGES ",\"stream\":true}", &say);
    assert_int_equal(rig_check_sse(s), 9);
    expect(s, want);
}

#define USED ",\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"

static void a_stream_with_usage_and_warnings(void **state)
{
    (void)state;
    static const char want[] = CHUNK
        "0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
        "\"finish_reason\":null}],\"warnings\":[\"x: unknown field, ignored\"],"
        "\"usage\":null}\n\n" CHUNK "0,\"delta\":{\"content\":\"Hello\"}" USED CHUNK
        "0,\"delta\":{\"content\":\" there\"}" USED CHUNK
        "0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]," TIMINGS(
            "8", "2.5", "400.0", "2", "40.0",
            "25.0") ",\"usage\":null}\n\n"
                    "data: "
                    "{\"id\":\"chatcmpl-abc\",\"object\":\"chat.completion.chunk\",\"created\":"
                    "1700000000,"
                    "\"model\":\"tiny\",\"system_fingerprint\":\"fp_1\",\"choices\":[],\"usage\":{"
                    "\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":2},"
                    "\"completion_tokens_details\":{\"reasoning_tokens\":0},\"prompt_cache_hit_"
                    "tokens\":2,"
                    "\"prompt_cache_miss_tokens\":8,\"energy\":" ENERGY
                    "}," TIMINGS("8", "2.5", "400.0", "2", "40.0", "25.0") "}\n\n"
                                                                           ": energy " ENERGY "\n\n"
                                                                           "data: [DONE]\n\n";
    const rig_say say = {.answers = &said};
    expect(told(CHAT,
                "{" MESSAGES ",\"stream\":true,\"x\":1,"
                "\"stream_options\":{\"include_usage\":true}}",
                &say),
           want);
}

static void a_stream_of_choices_with_probabilities(void **state)
{
    (void)state;
#define LP(t, b, p)                                                                                \
    ",\"logprobs\":{\"content\":[{\"token\":\"" t "\",\"bytes\":[" b "],\"logprob\":" p            \
    ",\"top_logprobs\":[{\"token\":\"A\",\"bytes\":[65],\"logprob\":-0.25}]}],\"refusal\":null},"  \
    "\"finish_reason\":null}]}\n\n"
    static const char want[] =
        CHUNK "0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}" REST CHUNK
              "1,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}" REST CHUNK
              "0,\"delta\":{\"content\":\"Hello\"}" LP("a", "97", "-0.5") CHUNK
        "0,\"delta\":{\"content\":\" there\"}" LP("b", "98", "-1.5") CHUNK
        "0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]," TIMINGS(
            "8", "2.5", "400.0", "2", "40.0",
            "25.0") "}\n\n" CHUNK "1,\"delta\":{\"content\":\"Hello\"}" LP("a", "97", "-0.5") CHUNK
        "1,\"delta\":{\"content\":\" there\"}" LP("b", "98", "-1.5") CHUNK
        "1,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}]," TIMINGS(
            "8", "2.5", "400.0", "2", "40.0", "25.0") "}\n\n";
    const rig_answer two[] = {
        said, {.steps = words, .n = 2, .finish = SB_FINISH_LENGTH, .n_prompt = 10, .n_cached = 2}};
    const rig_say say = {.answers = two};
    char *s = told(
        CHAT, "{" MESSAGES ",\"stream\":true,\"n\":2,\"logprobs\":true,\"top_logprobs\":1}", &say);
    char *end = strstr(s, ": energy ");
    assert_non_null(end);
    assert_non_null(strstr(end, "\"energy_uj\":3000000,")); // of both
    assert_non_null(strstr(end, "\n\ndata: [DONE]\n\n"));
    *end = 0;
    expect(s, want);
}

static void probabilities_come_once_each(void **state)
{
    (void)state;
    const rig_say say = {.answers = &talked};
    char *s = told(CHAT, "{" MESSAGES ",\"stream\":true,\"logprobs\":true}", &say);
    size_t n = 0;
    for (const char *p = s; (p = strstr(p, "\"logprob\":")) != NULL; p++)
        n++;
    assert_int_equal(n, 16); // every id, those behind the last event, too
    sb_free(s);
}

static void progress_when_asked(void **state)
{
    (void)state;
    const rig_say say = {.answers = &said, .progress = true};
    char *s = told(CHAT, "{" MESSAGES ",\"stream\":true,\"return_progress\":true}", &say);
    assert_non_null(strstr(s, CHUNK "0,\"delta\":{},\"logprobs\":null,\"finish_reason\":null}],"
                                    "\"prompt_progress\":{\"total\":8,\"cache\":3,\"processed\":5,"
                                    "\"time_ms\":0}}\n\n"));
    sb_free(s);
    s = told(CHAT, "{" MESSAGES ",\"stream\":true}", &say);
    assert_null(strstr(s, "prompt_progress"));
    sb_free(s);
    s = told(CHAT, "{" MESSAGES ",\"return_progress\":true}", &say);
    assert_null(strstr(s, "prompt_progress"));
    sb_free(s);
    s = told(LLAMA, "{\"prompt\":\"x\",\"stream\":true,\"return_progress\":true}", &say);
    assert_non_null(strstr(s, "data: {\"index\":0,\"content\":\"\",\"id_slot\":-1,\"stop\":false,"
                              "\"prompt_progress\":{\"total\":8,\"cache\":3,\"processed\":5,"));
    sb_free(s);
}

static void timings_of_each_token_when_asked(void **state)
{
    (void)state;
    const rig_say say = {.answers = &said};
    char *s = told(CHAT, "{" MESSAGES ",\"stream\":true,\"timings_per_token\":true}", &say);
    size_t n = 0;
    for (const char *p = s; (p = strstr(p, "\"timings\":")) != NULL; p++)
        n++;
    assert_int_equal(n, 3);
    assert_non_null(strstr(s, "\"predicted_n\":1,\"predicted_ms\":0.0,")); // none has passed yet
    sb_free(s);
}

static void one_call_when_asked(void **state)
{
    (void)state;
    const rig_say say = {.answers = &talked};
    char *s = told(CHAT, "{" MESSAGES ",\"stream\":true,\"parallel_tool_calls\":false}", &say);
    assert_non_null(strstr(s, "weather"));
    assert_null(strstr(s, "clock"));
    assert_null(strstr(s, "\"delta\":{\"tool_calls\":[{\"index\":1"));
    sb_free(s);
    s = told(CHAT, "{" MESSAGES ",\"parallel_tool_calls\":false}", &say);
    assert_non_null(strstr(s, "weather"));
    assert_null(strstr(s, "clock"));
    sb_free(s);
}

/* ---- chat, whole ---- */

static void a_whole_answer_to_the_letter(void **state)
{
    (void)state;
    static const char want[] =
        "{\"id\":\"chatcmpl-abc\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"tiny\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"message\":{"
        "\"role\":\"assistant\",\"content\":\"It is "
        "\\\"\xc3\xa9t\xc3\xa9\\\".\\n\",\"refusal\":null,"
        "\"reasoning_content\":\"Let me think.\",\"tool_calls\":[{\"id\":\"call_0\",\"type\":"
        "\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":"
        "\\\"Paris\\\"}"
        "\"}},{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"clock\","
        "\"arguments\":\"{}\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{"
        "\"prompt_tokens\":10,\"completion_tokens\":16,\"total_tokens\":26,"
        "\"prompt_tokens_details\":{\"cached_tokens\":2},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":3},\"prompt_cache_hit_tokens\":2,"
        "\"prompt_cache_miss_tokens\":8,\"energy\":" ENERGY "},\"energy\":" ENERGY
        "," TIMINGS("8", "2.5", "400.0", "16", "5.0",
                    "200.0") ",\"warnings\":[\"x: unknown field, ignored\"]}";
    const rig_say say = {.answers = &talked};
    expect(told(CHAT, "{" MESSAGES ",\"x\":0}", &say), want);
}

static void content_is_null_beside_calls_only(void **state)
{
    (void)state;
    const rig_answer silent = {.n_prompt = 1, .finish = SB_FINISH_LENGTH};
    const rig_answer calls = {.steps = talk + 2, .n = 7, .finish = SB_FINISH_TOOL_CALLS};
    char *s = told(CHAT, "{" MESSAGES "}", &(rig_say){.answers = &silent});
    assert_non_null(strstr(s, "\"content\":\"\",\"refusal\":null}"));
    sb_free(s);
    s = told(CHAT, "{" MESSAGES "}", &(rig_say){.answers = &calls});
    assert_non_null(strstr(s, "\"content\":null,\"refusal\":null,\"tool_calls\":["));
    sb_free(s);
}

static void a_prompt_counts_once(void **state)
{
    (void)state;
    const rig_answer all[] = {said, said, said, said};
    char *s = told(CHAT, "{" MESSAGES ",\"n\":3}", &(rig_say){.answers = all});
    assert_non_null(strstr(s, "\"prompt_tokens\":10,\"completion_tokens\":6,\"total_tokens\":16,"));
    assert_non_null(strstr(s, "{\"index\":2,"));
    sb_free(s);
    s = told(TEXT, "{\"prompt\":[\"a\",\"b\"],\"n\":2}", &(rig_say){.answers = all});
    assert_non_null(strstr(s, "\"prompt_tokens\":20,\"completion_tokens\":8,\"total_tokens\":28,"));
    sb_free(s);
}

static void ends_that_clients_do_not_know(void **state)
{
    (void)state;
    static const struct {
        sb_finish finish;
        const char *want;
    } cases[] = {
        {SB_FINISH_STOP, "\"finish_reason\":\"stop\"}"},
        {SB_FINISH_LENGTH, "\"finish_reason\":\"length\"}"},
        {SB_FINISH_TOOL_CALLS, "\"finish_reason\":\"tool_calls\"}"},
        {SB_FINISH_CANCELLED, "\"finish_reason\":\"length\",\"finish_detail\":\"cancelled\"}"},
        {SB_FINISH_ERROR, "\"finish_reason\":\"length\",\"finish_detail\":\"error\"}"},
        {SB_FINISH_NUMERIC_ERROR,
         "\"finish_reason\":\"length\",\"finish_detail\":\"numeric_error\"}"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        const rig_answer a = {.steps = words, .n = 2, .finish = cases[i].finish};
        char *s = told(CHAT, "{" MESSAGES "}", &(rig_say){.answers = &a});
        assert_non_null(strstr(s, cases[i].want));
        sb_free(s);
        s = told(CHAT, "{" MESSAGES ",\"stream\":true}", &(rig_say){.answers = &a});
        assert_non_null(strstr(s, cases[i].want));
        sb_free(s);
    }
}

/* ---- however it is cut ---- */

static void add_member(sb_buf *b, const json_t *delta, const char *key)
{
    const char *s = json_string_value(json_object_get(delta, key));
    if (s) assert_int_equal(sb_buf_add(b, s, strlen(s), NULL), SB_OK);
}

/* Puts the deltas of a stream together as a client does. */
static void put_together(const char *stream, sb_buf *content, sb_buf *reasoning, sb_buf *calls)
{
    for (const char *p = stream; (p = strstr(p, "data: {")) != NULL; p++) {
        const char *end = strchr(p, '\n');
        char *line = sb_strdup_n(p + 6, (size_t)(end - p) - 6);
        json_t *j = rig_json(line);
        const json_t *d =
            json_object_get(json_array_get(json_object_get(j, "choices"), 0), "delta");
        const json_t *f =
            json_object_get(json_array_get(json_object_get(d, "tool_calls"), 0), "function");
        add_member(content, d, "content");
        add_member(reasoning, d, "reasoning_content");
        add_member(calls, f, "name");
        add_member(calls, f, "arguments");
        json_decref(j);
        sb_free(line);
    }
}

static void pieces_make_the_whole(void **state)
{
    (void)state;
    for (int piece = 0; piece < 8; piece++) {
        const rig_say say = {.answers = &talked, .piece_bytes = piece};
        char *s = told(CHAT, "{" MESSAGES ",\"stream\":true}", &say);
        sb_buf b[3];
        for (int i = 0; i < 3; i++)
            sb_buf_init(&b[i], 4096, "text");
        (void)rig_check_sse(s);
        put_together(s, &b[0], &b[1], &b[2]);
        assert_string_equal(b[0].p, "It is \"\xc3\xa9t\xc3\xa9\".\n");
        assert_string_equal(b[1].p, "Let me think.");
        assert_string_equal(b[2].p, "weather{\"city\":\"Paris\"}clock{}");
        for (int i = 0; i < 3; i++)
            sb_buf_deinit(&b[i]);
        sb_free(s);
    }
}

/* ---- completions ---- */

#define TEXT_CHUNK                                                                                 \
    "data: {\"id\":\"cmpl-abc\",\"object\":\"text_completion\",\"created\":1700000000,"            \
    "\"model\":\"tiny\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":"

static void completions_to_the_letter(void **state)
{
    (void)state;
    static const char streamed[] = TEXT_CHUNK
        "0,\"text\":\"Hello\",\"logprobs\":{\"tokens\":[\"a\"],\"token_logprobs\":[-0.5],"
        "\"top_logprobs\":[{\"A\":-0.25,\"B\":-0.5}],\"text_offset\":[0]},"
        "\"finish_reason\":null}]}\n\n" TEXT_CHUNK
        "0,\"text\":\" there\",\"logprobs\":{\"tokens\":[\"b\"],\"token_logprobs\":"
        "[-1.5],\"top_logprobs\":[{\"A\":-0.25,\"B\":-0.5}],\"text_offset\":[1]},"
        "\"finish_reason\":null}]}\n\n" TEXT_CHUNK
        "0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]," TIMINGS(
            "8", "2.5", "400.0", "2", "40.0", "25.0") "}\n\n"
                                                      ": energy " ENERGY "\n\ndata: [DONE]\n\n";
    static const char whole[] =
        "{\"id\":\"cmpl-abc\",\"object\":\"text_completion\",\"created\":1700000000,"
        "\"model\":\"tiny\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,"
        "\"text\":\"Hello there\",\"logprobs\":{\"tokens\":[\"a\",\"b\"],"
        "\"token_logprobs\":[-0.5,-1.5],\"top_logprobs\":[{\"A\":-0.25},{\"A\":-0.25}],"
        "\"text_offset\":[0,1]},\"finish_reason\":\"stop\"}],\"usage\":{";
    const rig_say say = {.answers = &said};
    expect(told(TEXT, "{\"prompt\":\"x\",\"stream\":true,\"logprobs\":2}", &say), streamed);
    char *s = told(TEXT, "{\"prompt\":\"x\",\"logprobs\":1}", &say);
    assert_int_equal(strncmp(s, whole, sizeof whole - 1), 0);
    json_decref(rig_json(s));
    sb_free(s);
}

static void an_echo_is_the_prompt(void **state)
{
    (void)state;
    const rig_say say = {.answers = &said};
    char *s = told(TEXT, "{\"prompt\":\"Say \\\"hi\\\": \",\"echo\":true}", &say);
    assert_non_null(strstr(s, "\"text\":\"Say \\\"hi\\\": Hello there\""));
    sb_free(s);
    s = told(TEXT, "{\"prompt\":[72,105],\"echo\":true}", &say);
    assert_non_null(strstr(s, "\"text\":\"HiHello there\""));
    sb_free(s);
    s = told(TEXT, "{\"prompt\":\"Say: \",\"echo\":true,\"stream\":true}", &say);
    assert_ptr_equal(strstr(s, TEXT_CHUNK "0,\"text\":\"Say: \",\"logprobs\":null,"), s);
    sb_free(s);
}

/* ---- llama-server ---- */

static void llama_completion_to_the_letter(void **state)
{
    (void)state;
    static const char want[] =
        "data: {\"index\":0,\"content\":\"Hello\",\"id_slot\":-1,\"stop\":false,\"tokens\":[97],"
        "\"tokens_predicted\":1,\"tokens_evaluated\":10}\n\n"
        "data: {\"index\":0,\"content\":\" there\",\"id_slot\":-1,\"stop\":false,\"tokens\":[98],"
        "\"tokens_predicted\":2,\"tokens_evaluated\":10}\n\n"
        "data: {\"index\":0,\"content\":\"\",\"id_slot\":-1,\"stop\":true,\"model\":\"tiny\","
        "\"tokens\":[],\"tokens_predicted\":2,\"tokens_evaluated\":10,\"generation_settings\":{"
        "\"seed\":7,\"temperature\":0.5,\"top_k\":40,\"top_p\":0.95,"
        "\"min_p\":0.05,\"typical_p\":1.0,\"repeat_last_n\":64,\"repeat_penalty\":1.0,"
        "\"presence_penalty\":0.0,\"frequency_penalty\":0.0,\"n_predict\":9,\"ignore_eos\":false,"
        "\"stop\":[\"b\",\"zz\"]},\"prompt\":\"x\",\"has_new_line\":false,\"truncated\":false,"
        "\"stop_type\":\"word\",\"stopping_word\":\"b\",\"tokens_cached\":2," TIMINGS(
            "8", "2.5", "400.0", "2", "40.0", "25.0") ",\"energy\":" ENERGY "}\n\n";
    const rig_say say = {.answers = &said};
    expect(told(LLAMA,
                "{\"prompt\":\"x\",\"stream\":true,\"return_tokens\":true,\"seed\":7,"
                "\"temperature\":0.5,\"n_predict\":9,\"stop\":[\"b\",\"zz\"]}",
                &say),
           want);
}

static void llama_completions_whole(void **state)
{
    (void)state;
    const rig_answer two[] = {said, {.steps = words, .n = 2, .finish = SB_FINISH_LENGTH}};
    char *s = told(LLAMA, "{\"prompt\":[\"x\",\"y\"],\"n_probs\":1}", &(rig_say){.answers = two});
    json_t *j = rig_json(s);
    assert_int_equal(json_array_size(j), 2);
    const json_t *first = json_array_get(j, 0), *second = json_array_get(j, 1);
    assert_string_equal(json_string_value(json_object_get(first, "content")), "Hello there");
    assert_string_equal(json_string_value(json_object_get(first, "stop_type")), "eos");
    assert_string_equal(json_string_value(json_object_get(second, "stop_type")), "limit");
    assert_int_equal(json_array_size(json_object_get(first, "completion_probabilities")), 2);
    json_decref(j);
    sb_free(s);
}

/* ---- errors ---- */

static void errors_to_the_letter(void **state)
{
    (void)state;
    static const char openai[] =
        "{\"error\":{\"message\":\"temperature: 3 is too hot\",\"type\":\"invalid_request_error\","
        "\"param\":\"temperature\",\"code\":\"invalid_value\"}}";
    static const char llama[] =
        "{\"error\":{\"code\":400,\"message\":\"temperature: 3 is too hot\","
        "\"type\":\"invalid_request_error\",\"param\":\"temperature\"}}";
    sb_buf b;
    sb_wire_error w = {.param = "temperature",
                       .err = {.code = SB_INVALID, .msg = "temperature: 3 is too hot"}};
    sb_wire_status(&w);
    sb_buf_init(&b, 4096, "error");
    assert_int_equal(sb_dialect_openai_chat.refuse(&w, "r", &b, NULL), SB_OK);
    assert_string_equal(b.p, openai);
    sb_buf_clear(&b);
    assert_int_equal(sb_dialect_openai_text.refuse(&w, "r", &b, NULL), SB_OK);
    assert_string_equal(b.p, openai);
    sb_buf_clear(&b);
    assert_int_equal(sb_dialect_llama_completion.refuse(&w, "r", &b, NULL), SB_OK);
    assert_string_equal(b.p, llama);
    sb_buf_clear(&b);
    sb_wire_error busy = {.err = {.code = SB_BUSY, .msg = "the queue is full"}};
    sb_wire_status(&busy);
    assert_int_equal(sb_dialect_openai_chat.refuse(&busy, "r", &b, NULL), SB_OK);
    assert_string_equal(b.p, "{\"error\":{\"message\":\"the queue is full\","
                             "\"type\":\"unavailable_error\",\"param\":null,"
                             "\"code\":\"overloaded\",\"retry_after\":1}}");
    sb_buf_deinit(&b);
}

static void types_follow_the_status(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
    } cases[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"},  {403, "permission_error"},
        {404, "not_found_error"},       {413, "invalid_request_error"}, {429, "rate_limit_error"},
        {500, "server_error"},          {501, "not_supported_error"},   {503, "unavailable_error"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_buf b;
        const sb_wire_error w = {.status = cases[i].status, .err.msg = "m"};
        sb_buf_init(&b, 4096, "error");
        assert_int_equal(sb_dialect_openai_chat.refuse(&w, "r", &b, NULL), SB_OK);
        assert_non_null(strstr(b.p, cases[i].type));
        sb_buf_deinit(&b);
    }
}

static void an_answer_that_breaks_off(void **state)
{
    (void)state;
    const sb_wire_error w = {.status = 500,
                             .code = "numeric_error",
                             .err = {.code = SB_CORRUPT, .msg = "layer 3: not a number"}};
    const rig_say say = {.answers = &said, .fail = &w};
#define BROKEN                                                                                     \
    "{\"error\":{\"message\":\"layer 3: not a number\",\"type\":\"server_error\",\"param\":null,"  \
    "\"code\":\"numeric_error\"}}"
    char *s = told(CHAT, "{" MESSAGES ",\"stream\":true}", &say);
    (void)rig_check_sse(s);
    assert_non_null(strstr(s, "\n\ndata: " BROKEN "\n\ndata: [DONE]\n\n"));
    sb_free(s);
    expect(told(CHAT, "{" MESSAGES "}", &say), BROKEN);
    s = told(LLAMA, "{\"prompt\":\"x\",\"stream\":true}", &say);
    (void)rig_check_sse(s);
    assert_non_null(strstr(s, "data: {\"error\":{\"code\":500,"));
    sb_free(s);
}

/* ---- hostile texts ---- */

/* Whatever a model says, a stream stays a stream. */
static void any_text_keeps_the_framing(void **state)
{
    (void)state;
    static const char *const texts[] = {"\n\ndata: [DONE]\n\n",
                                        "\r\n\r\n",
                                        ": energy {}",
                                        "\",\"x\":{\"",
                                        "</script>\x7f\x01",
                                        "\xe2\x80\xa8\xe2\x80\xa9",
                                        "\\u0000\\",
                                        "event: error\n"};
    for (size_t i = 0; i < SB_ARRAY_LEN(texts); i++) {
        const rig_step steps[] = {{SB_OUTPUT_REASONING, texts[i], 1, 0},
                                  {SB_OUTPUT_CONTENT, texts[i], 1, 0},
                                  {SB_OUTPUT_CALL_BEGIN, texts[i], 1, 0},
                                  {SB_OUTPUT_CALL_ARGS, texts[i], 1, 0}};
        const rig_answer a = {.steps = steps, .n = 4, .finish = SB_FINISH_STOP, .n_prompt = 1};
        char *s = told(CHAT, "{" MESSAGES ",\"stream\":true}", &(rig_say){.answers = &a});
        sb_buf b[3];
        for (int k = 0; k < 3; k++)
            sb_buf_init(&b[k], 4096, "text");
        assert_int_equal(rig_check_sse(s), 6);
        put_together(s, &b[0], &b[1], &b[2]);
        assert_string_equal(b[0].p, texts[i]);
        assert_string_equal(b[1].p, texts[i]);
        for (int k = 0; k < 3; k++)
            sb_buf_deinit(&b[k]);
        sb_free(s);
        s = told(CHAT, "{" MESSAGES "}", &(rig_say){.answers = &a});
        json_decref(rig_json(s));
        sb_free(s);
    }
}

/* ---- cost ---- */

static void a_chunk_costs_little(void **state)
{
    (void)state;
    enum { N = 20000 };
    sb_ask a;
    sb_buf out;
    sb_turn t = {0};
    const sb_voice_facts f = {.id = "abc", .model = "tiny", .fingerprint = "fp", .tok = tok};
    const sb_output_event e = {.kind = SB_OUTPUT_CONTENT, .text = {" token", 6}};
    rig_read(&a, CHAT, "{" MESSAGES ",\"stream\":true}");
    sb_voice *v = sb_voice_new(&a, &f);
    assert_non_null(v);
    sb_buf_init(&out, 1 << 20, "chunk");
    const uint64_t begin = sb_thread_cpu_ns();
    for (int i = 0; i < N; i++) {
        sb_buf_clear(&out);
        assert_int_equal(sb_dialect_openai_chat.event(v, 0, &e, &t, &out, NULL), SB_OK);
    }
    const uint64_t each = (sb_thread_cpu_ns() - begin) / N;
    print_message("%llu ns a chunk\n", (unsigned long long)each);
    assert_true(each < 100000); // a few thousand on a free machine without sanitizers
    sb_buf_deinit(&out);
    sb_voice_free(v, a.dialect);
    sb_ask_deinit(&a);
}

/* ---- lists ---- */

static void models_are_listed(void **state)
{
    (void)state;
    static const sb_listed_model models[] = {
        {.id = "org/m:q8",
         .created_s = 1700000000,
         .state = "loaded",
         .arch = "llama",
         .n_params = 135,
         .file_bytes = 99,
         .n_ctx = 2048,
         .is_default = true},
        {.id = "n", .created_s = 5, .owned_by = "me", .state = "loading", .load_part = 0.5}};
    static const char first[] =
        "{\"id\":\"org/m:q8\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"sobre\","
        "\"status\":{\"value\":\"loaded\"},\"default\":true,\"architecture\":{"
        "\"input_modalities\":[\"text\"],\"output_modalities\":[\"text\"]},\"meta\":{\"n_ctx\":"
        "2048,"
        "\"n_params\":135,\"size\":99,\"architecture\":\"llama\"}}";
    static const char second[] =
        "{\"id\":\"n\",\"object\":\"model\",\"created\":5,\"owned_by\":\"me\",\"status\":{"
        "\"value\":\"loading\",\"progress\":0.5},\"architecture\":{\"input_modalities\":[\"text\"],"
        "\"output_modalities\":[\"text\"]},\"meta\":{}}";
    char want[2048];
    sb_buf b;
    sb_buf_init(&b, 1 << 16, "list");
    assert_int_equal(sb_models_body(&b, models, 2, NULL), SB_OK);
    (void)snprintf(want, sizeof want, "{\"object\":\"list\",\"data\":[%s,%s]}", first, second);
    assert_string_equal(b.p, want);
    sb_buf_clear(&b);
    assert_int_equal(sb_model_body(&b, &models[0], NULL), SB_OK);
    assert_string_equal(b.p, first);
    sb_buf_clear(&b);
    assert_int_equal(sb_models_body(&b, NULL, 0, NULL), SB_OK);
    assert_string_equal(b.p, "{\"object\":\"list\",\"data\":[]}");
    sb_buf_deinit(&b);
}

static void the_server_is_described(void **state)
{
    (void)state;
    sb_buf b;
    const sb_seq_info seq = {.n_prompt = 9, .n_done = 9, .n_cached = 3, .n_drawn = 4};
    const sb_props props = {.model = "m",
                            .version = "v",
                            .n_parallel = 2,
                            .n_ctx = 64,
                            .chat_template = {"{{x}}", 5},
                            .eos = {"</s>", 4}};
    sb_buf_init(&b, 1 << 16, "text");
    assert_int_equal(sb_health_body(&b, NULL), SB_OK);
    assert_string_equal(b.p, "{\"status\":\"ok\"}");
    sb_buf_clear(&b);
    assert_int_equal(sb_props_body(&b, &props, NULL), SB_OK);
    assert_string_equal(b.p, "{\"default_generation_settings\":{\"n_ctx\":64},\"total_slots\":2,"
                             "\"model_alias\":\"m\",\"modalities\":{\"vision\":false,\"audio\":"
                             "false},\"chat_template\":\"{{x}}\",\"bos_token\":\"\","
                             "\"eos_token\":\"</s>\",\"build_info\":\"v\",\"is_sleeping\":false}");
    sb_buf_clear(&b);
    const sb_model_slots slots[] = {
        {.model = "m", .seqs = &seq, .n = 1, .n_parallel = 2, .n_ctx = 64}, {.model = "idle"}};
    assert_int_equal(sb_slots_body(&b, slots, 2, NULL), SB_OK);
    assert_string_equal(b.p, "[{\"id\":0,\"model\":\"m\",\"n_ctx\":64,\"speculative\":false,"
                             "\"is_processing\":true,\"is_waiting\":false,\"is_prefilling\":false,"
                             "\"is_paused\":false,\"place\":0,\"priority\":0,"
                             "\"n_prompt_tokens\":9,\"n_prompt_tokens_processed\":9,"
                             "\"n_prompt_tokens_cache\":3,\"next_token\":[{\"has_next_token\":true,"
                             "\"n_decoded\":4}]},{\"id\":1,\"model\":\"m\",\"n_ctx\":64,"
                             "\"speculative\":false,\"is_processing\":false}]");
    sb_buf_clear(&b);
    assert_int_equal(sb_prompt_body(&b, (sb_str){"<|im_start|>\n", 13}, NULL), SB_OK);
    assert_string_equal(b.p, "{\"prompt\":\"<|im_start|>\\n\"}");
    sb_buf_deinit(&b);
}

static void tokens_are_listed(void **state)
{
    (void)state;
    int32_t v[] = {'H', 0xc3, 0xa9, 256};
    const sb_ids ids = {.v = v, .n = 4};
    sb_buf b;
    sb_buf_init(&b, 1 << 16, "text");
    assert_int_equal(sb_tokenize_body(&b, tok, &ids, true, NULL), SB_OK);
    assert_string_equal(b.p,
                        "{\"tokens\":[{\"id\":72,\"piece\":\"H\"},{\"id\":195,\"piece\":[195]},"
                        "{\"id\":169,\"piece\":[169]},{\"id\":256,\"piece\":\"<|end|>\"}]}");
    sb_buf_clear(&b);
    assert_int_equal(sb_tokenize_body(&b, tok, &ids, false, NULL), SB_OK);
    assert_string_equal(b.p, "{\"tokens\":[72,195,169,256]}");
    sb_buf_deinit(&b);
}

static void what_to_tokenize(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "[]", "{\"content\":5}",
                                      "{\"content\":\"a\",\"with_pieces\":1}"};
    sb_tokenize_ask a;
    sb_wire_error w;
    json_t *j = rig_json("{\"content\":\"Hi\",\"add_special\":true,\"with_pieces\":true}");
    assert_int_equal(sb_tokenize_read(&a, j, &w), SB_OK);
    assert_true(a.add_special && a.parse_special && a.with_pieces);
    assert_int_equal(a.content.n, 2);
    json_decref(j);
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        j = rig_json(bad[i]);
        assert_int_not_equal(sb_tokenize_read(&a, j, &w), SB_OK);
        assert_int_equal(w.status, 400);
        json_decref(j);
    }
}

static void tokens_become_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}",
                                      "{\"tokens\":5}",
                                      "{\"tokens\":[\"a\"]}",
                                      "{\"tokens\":[-1]}",
                                      "{\"tokens\":[257]}",
                                      "{\"tokens\":[1.5]}"};
    sb_buf b;
    sb_wire_error w;
    sb_buf_init(&b, 1 << 16, "text");
    json_t *j = rig_json("{\"tokens\":[32,72,195,169,256,195]}");
    assert_int_equal(sb_detokenize_body(&b, tok, j, &w), SB_OK);
    assert_string_equal(b.p, "{\"content\":\" H\xc3\xa9<|end|>\xef\xbf\xbd\"}");
    json_decref(j);
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_buf_clear(&b);
        j = rig_json(bad[i]);
        assert_int_not_equal(sb_detokenize_body(&b, tok, j, &w), SB_OK);
        assert_int_equal(w.status, 400);
        assert_string_equal(w.param, "tokens");
        assert_int_equal(b.n, 0);
        json_decref(j);
    }
    sb_buf_deinit(&b);
}

/* ---- what the official client is given ---- */

static const char *folder = "tests/golden/wire";
static bool remake;

static void golden(char *got, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, remake ? "wb" : "rb");
    assert_non_null(f);
    char *want = sb_calloc(strlen(got) + 2, 1);
    assert_non_null(want);
    if (remake)
        assert_int_equal(fwrite(got, 1, strlen(got), f), strlen(got));
    else
        assert_int_equal(fread(want, 1, strlen(got) + 1, f), strlen(got));
    assert_int_equal(fclose(f), 0);
    if (!remake) assert_string_equal(got, want);
    sb_free(want);
    sb_free(got);
}

static void files_for_the_official_client(void **state)
{
    (void)state;
    const rig_say chat = {.answers = &talked}, text = {.answers = &said};
#define FULL "\"logprobs\":true,\"top_logprobs\":2,\"stream_options\":{\"include_usage\":true}"
#define LIST "{\"prompt\":\"Say \",\"logprobs\":2,"
    golden(told(CHAT, "{" MESSAGES "," FULL ",\"stream\":true}", &chat), "openai-chat-stream.txt");
    golden(told(CHAT, "{" MESSAGES "," FULL "}", &chat), "openai-chat-whole.json");
    golden(told(TEXT, LIST "\"stream\":true}", &text), "openai-text-stream.txt");
    golden(told(TEXT, LIST "\"n\":1}", &text), "openai-text-whole.json");
    sb_buf b;
    const sb_listed_model m = {.id = "m:q8", .created_s = 7, .state = "loaded"};
    sb_buf_init(&b, 4096, "list");
    assert_int_equal(sb_models_body(&b, &m, 1, NULL), SB_OK);
    golden(b.p, "openai-models.json");
}

static int set_up(void **state)
{
    (void)state;
    tok = rig_tokenizer();
    return tok ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sb_tokenizer_free(tok);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_to_the_letter),
        cmocka_unit_test(a_stream_with_usage_and_warnings),
        cmocka_unit_test(a_stream_of_choices_with_probabilities),
        cmocka_unit_test(probabilities_come_once_each),
        cmocka_unit_test(progress_when_asked),
        cmocka_unit_test(timings_of_each_token_when_asked),
        cmocka_unit_test(one_call_when_asked),
        cmocka_unit_test(a_whole_answer_to_the_letter),
        cmocka_unit_test(content_is_null_beside_calls_only),
        cmocka_unit_test(a_prompt_counts_once),
        cmocka_unit_test(ends_that_clients_do_not_know),
        cmocka_unit_test(pieces_make_the_whole),
        cmocka_unit_test(completions_to_the_letter),
        cmocka_unit_test(an_echo_is_the_prompt),
        cmocka_unit_test(llama_completion_to_the_letter),
        cmocka_unit_test(llama_completions_whole),
        cmocka_unit_test(errors_to_the_letter),
        cmocka_unit_test(types_follow_the_status),
        cmocka_unit_test(an_answer_that_breaks_off),
        cmocka_unit_test(any_text_keeps_the_framing),
        cmocka_unit_test(a_chunk_costs_little),
        cmocka_unit_test(models_are_listed),
        cmocka_unit_test(the_server_is_described),
        cmocka_unit_test(tokens_are_listed),
        cmocka_unit_test(what_to_tokenize),
        cmocka_unit_test(tokens_become_text),
        cmocka_unit_test(files_for_the_official_client),
    };
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--remake") == 0)
            remake = true;
        else
            folder = argv[i];
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
