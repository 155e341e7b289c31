/* SPDX-License-Identifier: Apache-2.0
 * output_test.c - answers of every family, cut at every byte, give the events that cases.def and
 * the tests below say. */
#include "output/output.h"

#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"parameters\": "
    "{\"type\": "
    "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\": "
    "\"integer\"}, "
    "\"opts\": {\"type\": \"object\"}, \"fast\": {\"type\": \"boolean\"}}}}},"
    "{\"type\": \"function\", \"function\": {\"name\": \"now\", \"parameters\": {}}}]";

/* Events as text: what belongs together is written as one, so that the cuts do not show.
 * <content>, {reasoning}, [id name arguments]. */
typedef struct log {
    sb_buf text;
    char open; /* bracket that closes the run in progress, or 0 */
    int32_t fail_at, n_events;
} log_of;

static sb_status add(log_of *l, const char *p, size_t n, sb_error *err)
{
    return sb_buf_add(&l->text, p, n, err);
}

static sb_status on_event(void *ctx, const sb_output_event *e, sb_error *err)
{
    static const char opens[] = "<{[", closes[] = ">}]";
    log_of *l = ctx;
    if (l->n_events++ == l->fail_at) return SB_FAIL(err, SB_IO, "the reader is gone");
    const int kind = e->kind == SB_OUTPUT_CONTENT ? 0 : e->kind == SB_OUTPUT_REASONING ? 1 : 2;
    if (kind == 2 && e->kind != SB_OUTPUT_CALL_BEGIN) {
        if (e->kind == SB_OUTPUT_CALL_ARGS) return add(l, e->text.p, e->text.n, err);
        l->open = 0;
        return add(l, "]", 1, err);
    }
    assert_true(e->text.n > 0);
    if (l->open != closes[kind] || kind == 2) {
        if (l->open) SB_TRY(add(l, &l->open, 1, err));
        SB_TRY(add(l, &opens[kind], 1, err));
        l->open = closes[kind];
    }
    if (kind == 2) {
        SB_TRY(add(l, e->id.p, e->id.n, err));
        SB_TRY(add(l, " ", 1, err));
        SB_TRY(add(l, e->text.p, e->text.n, err));
        return add(l, " ", 1, err);
    }
    return add(l, e->text.p, e->text.n, err);
}

typedef struct way {
    sb_output_format format;
    const char *tail; /* of the prompt */
    bool has_tools;
} way;

static sb_output *open_parser(const way *w, log_of *l)
{
    sb_output *p = NULL;
    sb_error err = {0};
    const sb_output_opts o = {.format = w->format,
                              .prompt_tail = {w->tail, strlen(w->tail)},
                              .tools = {tools, w->has_tools ? sizeof tools - 1 : 0},
                              .on_event = on_event,
                              .ctx = l};
    *l = (log_of){.fail_at = -1};
    sb_buf_init(&l->text, 1 << 26, "log");
    if (sb_output_new(&p, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    return p;
}

static void push(sb_output *p, const char *s, size_t n)
{
    sb_error err = {0};
    if (sb_output_push(p, (sb_str){s, n}, &err) != SB_OK) fail_msg("%s", err.msg);
}

static void end(sb_output *p, log_of *l)
{
    assert_int_equal(sb_output_finish(p, NULL), SB_OK);
    if (l->open) assert_int_equal(add(l, &l->open, 1, NULL), SB_OK);
    assert_int_equal(add(l, "", 0, NULL), SB_OK);
    sb_output_free(p);
}

/* Cut in two at every byte, then into single bytes. */
static void expect(const way *w, const char *text, const char *want)
{
    const size_t n = strlen(text);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        log_of l;
        sb_output *p = open_parser(w, &l);
        if (cut <= n) {
            push(p, text, cut);
            push(p, text + cut, n - cut);
        }
        for (size_t i = 0; cut > n && i < n; i++)
            push(p, text + i, 1);
        end(p, &l);
        const char *got = l.text.p ? l.text.p : "";
        if (strcmp(got, want) != 0)
            fail_msg("%s, cut at %zu of\n%s\ngot  %s\nwant %s", sb_output_format_word(w->format),
                     cut, text, got, want);
        sb_buf_deinit(&l.text);
    }
}

static void every_family_as_it_writes(void **state)
{
    (void)state;
#define X(format, tail, has_tools, text, want)                                                     \
    expect(&(way){SB_OUTPUT_##format, tail, has_tools}, text, want);
#include "cases.def"
#undef X
}

/* One text under one format, in one piece and in two: the same comes out, and without calls it is
 * what went in. */
static void expect_whole(const way *w, const char *text, size_t n, size_t cut)
{
    log_of l, two;
    sb_output *p = open_parser(w, &l), *q = open_parser(w, &two);
    push(p, text, n);
    end(p, &l);
    push(q, text, cut);
    push(q, text + cut, n - cut);
    end(q, &two);
    assert_int_equal(l.text.n, two.text.n);
    assert_memory_equal(l.text.p, two.text.p, l.text.n);
    const bool has_calls = memmem(l.text.p, l.text.n, "[call_", 6);
    const bool empty_list = memmem(text, n, "<tool_call>", 11) && memmem(text, n, "]", 1);
    if (!has_calls && !empty_list) {
        assert_int_equal(l.text.n, n + 2);
        assert_memory_equal(l.text.p + 1, text, n);
    }
    sb_buf_deinit(&l.text);
    sb_buf_deinit(&two.text);
}

/* Texts mixed from markers and pieces of all families, nearly all of them broken. */
static void nothing_is_lost(void **state)
{
    (void)state;
    static const char *const parts[] = {
#define X(text) text,
#include "pieces.def"
#undef X
    };
    uint64_t x = 5;
    for (int round = 0; round < 20000; round++) {
        char text[512];
        size_t n = 0;
        for (int k = 0; k < 12; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            const char *part = parts[(x >> 33) % SB_ARRAY_LEN(parts)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        const way w = {(sb_output_format)(1 + (x >> 50) % (SB_OUTPUT_FORMAT_COUNT - 1)), "", true};
        if (w.format != SB_OUTPUT_HARMONY) expect_whole(&w, text, n, (x >> 20) % n);
    }
}

/* Time of one text, in seconds of this thread. */
static double seconds_for(const way *w, const char *unit, size_t n_bytes)
{
    log_of l;
    struct timespec a, b;
    sb_output *p = open_parser(w, &l);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    const size_t n = strlen(unit);
    for (size_t at = 0; at < n_bytes; at += n)
        push(p, unit, n);
    end(p, &l);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    sb_buf_deinit(&l.text);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
}

static void cost_is_linear(void **state)
{
    (void)state;
    static const char *const units[] = {"<tool_call>",
                                        "<tool_call>{\"a\": [",
                                        "{\"a\": ",
                                        "[",
                                        " ",
                                        "\n",
                                        "<tool_call>[\"<tool_call>[\", ",
                                        "<code>f(",
                                        "```tool_code\nf('",
                                        "<function=f><parameter=k>",
                                        "<",
                                        "now(",
                                        "x<t"};
    for (int f = SB_OUTPUT_AUTO + 1; f < SB_OUTPUT_FORMAT_COUNT; f++)
        for (size_t u = 0; u < SB_ARRAY_LEN(units); u++) {
            const double s = seconds_for(&(way){(sb_output_format)f, "", true}, units[u], 200000);
            if (s > 1.0)
                fail_msg("%s, '%s': %.2f s for 200 kB", sb_output_format_word((sb_output_format)f),
                         units[u], s);
        }
}

static void a_call_too_long_is_content(void **state)
{
    (void)state;
    log_of l;
    sb_output *p = open_parser(&(way){SB_OUTPUT_HERMES, "", true}, &l);
    const char head[] = "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"";
    push(p, head, sizeof head - 1);
    char block[4096];
    memset(block, 'y', sizeof block);
    for (size_t i = 0; i <= SB_MAX_CALL_BYTES / sizeof block + 1; i++)
        push(p, block, sizeof block);
    assert_true(l.text.n > SB_MAX_CALL_BYTES); /* handed out before the answer ends */
    push(p, "\"}}</tool_call>", 15);
    end(p, &l);
    assert_null(memmem(l.text.p, l.text.n, "[call_", 6));
    sb_buf_deinit(&l.text);
}

static void name_ids(void *ctx, int32_t i_call, char id[SB_CALL_ID_BYTES])
{
    (void)ctx;
    (void)snprintf(id, SB_CALL_ID_BYTES, "own-%d", 7 + i_call);
}

static void ids_and_errors_are_the_callers(void **state)
{
    (void)state;
    const char text[] = "ok <tool_call>{\"name\": \"now\"}</tool_call>";
    log_of l = {.fail_at = -1};
    sb_buf_init(&l.text, 1000, "log");
    sb_output *p = NULL;
    sb_error err = {0};
    sb_output_opts o = {.format = SB_OUTPUT_HERMES,
                        .tools = {tools, sizeof tools - 1},
                        .make_id = name_ids,
                        .on_event = on_event,
                        .ctx = &l};
    assert_int_equal(sb_output_new(&p, &o, &err), SB_OK);
    push(p, text, sizeof text - 1);
    end(p, &l);
    assert_string_equal(l.text.p, "<ok>[own-7 now {}]");
    for (int32_t at = 0; at < 4; at++) { /* a failure of the callback comes out as it is */
        sb_buf_clear(&l.text);
        l.open = 0, l.n_events = 0, l.fail_at = at;
        assert_int_equal(sb_output_new(&p, &o, &err), SB_OK);
        assert_int_equal(sb_output_push(p, (sb_str){text, sizeof text - 1}, &err), SB_IO);
        sb_output_free(p);
    }
    sb_buf_deinit(&l.text);
    o.tools = (sb_str){"[{]", 3};
    assert_int_equal(sb_output_new(&p, &o, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "tools"));
}

static bool has_token(void *ctx, sb_str text)
{
    return strlen(ctx) == text.n && memcmp(ctx, text.p, text.n) == 0;
}

static void formats_are_recognised(void **state)
{
    (void)state;
    const struct {
        const char *chat_template, *token;
        sb_output_format want;
    } cases[] = {
        {"{{ '<|channel|>' }}{{ '<|message|>' }}", "", SB_OUTPUT_HARMONY},
        {"", "｜DSML｜", SB_OUTPUT_DSML},
        {"<｜tool▁calls▁begin｜>function\n```json", "", SB_OUTPUT_DEEPSEEK_R1},
        {"<｜tool▁calls▁begin｜>", "", SB_OUTPUT_DEEPSEEK_V31},
        {"<tool_call> <function=", "", SB_OUTPUT_QWEN3_CODER},
        {"xml_tools <tool_call> python_tools <code>", "", SB_OUTPUT_SMOLLM3},
        {"return <tool_call>[{...}]", "", SB_OUTPUT_SMOLLM2},
        {"<tool_call>\n{", "", SB_OUTPUT_HERMES},
        {"<start_of_turn>", "<start_function_call>", SB_OUTPUT_FUNCTION_GEMMA},
        {"<|start_header_id|>", "<|python_tag|>", SB_OUTPUT_LLAMA3},
        {"<start_of_turn>", "", SB_OUTPUT_GEMMA3},
        {"<|im_start|>", "<think>", SB_OUTPUT_PLAIN},
        {"", "", SB_OUTPUT_PLAIN},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        const sb_str t = {cases[i].chat_template, strlen(cases[i].chat_template)};
        assert_int_equal(sb_output_recognise(t, has_token, (void *)cases[i].token), cases[i].want);
    }
    for (int f = 0; f < SB_OUTPUT_FORMAT_COUNT; f++) {
        const char *word = sb_output_format_word((sb_output_format)f);
        assert_int_equal(sb_output_format_find((sb_str){word, strlen(word)}), f);
    }
    assert_int_equal(sb_output_format_find((sb_str){"no", 2}), SB_OUTPUT_FORMAT_COUNT);
    assert_true(sb_output_reads(SB_OUTPUT_HARMONY, (sb_str){"<|message|>", 11}));
    assert_true(sb_output_reads(SB_OUTPUT_DSML, (sb_str){"｜DSML｜", strlen("｜DSML｜")}));
    assert_true(sb_output_reads(SB_OUTPUT_FUNCTION_GEMMA, (sb_str){"<escape>", 8}));
    assert_false(sb_output_reads(SB_OUTPUT_HERMES, (sb_str){"<|message|>", 11}));
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(every_family_as_it_writes),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(cost_is_linear),
        cmocka_unit_test(a_call_too_long_is_content),
        cmocka_unit_test(ids_and_errors_are_the_callers),
        cmocka_unit_test(formats_are_recognised),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
