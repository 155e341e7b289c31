/* SPDX-License-Identifier: Apache-2.0
 * wire_starve_test.c - a request read and answered while memory is refused, in every dialect that
 * has golden requests: once and for good, at every place.
 *
 * What fails must say so, leave what was sent before as it was, and give everything back. The JSON
 * library's own blocks are granted: it loses a character without a word when one of them is not. */
#include "server/wire/ollama_list.h"
#include "server/wire/respond.h"

#include "base/limits.h"
#include "starve.h"
#include "voice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

#include "base/alloc.h"

static const struct {
    const sb_dialect *d;
    const char *file;
} rows[] = {
    {&sb_dialect_anthropic, "claude-code.json"},
    {&sb_dialect_anthropic, "claude-code-tools.json"},
    {&sb_dialect_ollama_chat, "open-webui.json"},
    {&sb_dialect_ollama_chat, "continue-chat.json"},
    {&sb_dialect_ollama_generate, "continue-autocomplete.json"},
    {&sb_dialect_responses, "codex.json"},
    {&sb_dialect_responses, "codex-tools.json"},
};

static char content[] = "some words", args[] = "{\"a\":1}";
static sb_tool_call call = {{"c", 1}, {"f", 1}, {args, sizeof args - 1}};
static int32_t ids[] = {65, 66, 67};

static sb_turn turn_of(void)
{
    return (sb_turn){.content = {.p = content, .n = sizeof content - 1},
                     .reasoning = {.p = content, .n = sizeof content - 1},
                     .calls = &call,
                     .n_calls = 1,
                     .ids = {.v = ids, .n = 3},
                     .prompt_ids = {.v = ids, .n = 3},
                     .finish = SB_FINISH_TOOL_CALLS};
}

static sb_status tell(sb_voice *v, const sb_dialect *d, sb_buf *out, sb_error *err)
{
    const sb_turn t = turn_of();
    const sb_output_event events[] = {
        {.kind = SB_OUTPUT_REASONING, .text = {content, sizeof content - 1}},
        {.kind = SB_OUTPUT_CONTENT, .text = {content, sizeof content - 1}},
        {.kind = SB_OUTPUT_CALL_BEGIN, .id = call.id, .text = call.name},
        {.kind = SB_OUTPUT_CALL_ARGS, .id = call.id, .text = call.arguments},
        {.kind = SB_OUTPUT_CALL_END, .id = call.id, .text = {"", 0}},
    };
    SB_TRY(d->begin(v, out, err));
    if (d->progress) SB_TRY(d->progress(v, 0, 0, 3, 3, out, err));
    for (size_t i = 0; i < SB_ARRAY_LEN(events); i++) {
        const size_t before = out->n;
        const sb_status s = d->event(v, 0, &events[i], &t, out, err);
        if (s != SB_OK) assert_int_equal(out->n, before);
        SB_TRY(s);
    }
    SB_TRY(d->choice(v, 0, &t, out, err));
    return d->end(v, &t, out, err);
}

static sb_status answer(const sb_dialect *d, sb_str body, bool stream, sb_error *err)
{
    static const sb_voice_facts facts = {.id = "x", .request_id = "r", .model = "m"};
    sb_wire_error w;
    sb_ask a = {0};
    sb_buf out;
    sb_buf_init(&out, SB_MAX_REPLY_BYTES, "answer");
    sb_status s = sb_wire_read(&a, d, body, &w);
    if (s != SB_OK) *err = w.err;
    sb_voice *v = NULL;
    if (s == SB_OK) {
        a.stream = stream;
        v = sb_voice_new(&a, &facts);
        if (!v) s = SB_FAIL(err, SB_NO_MEMORY, "voice: out of memory");
    }
    if (s == SB_OK) s = tell(v, d, &out, err);
    if (s == SB_OK && d == &sb_dialect_responses) {
        sb_respond_record rec;
        s = sb_respond_get_record(v, &rec, err);
    }
    sb_voice_free(v, d);
    sb_ask_deinit(&a);
    sb_buf_deinit(&out);
    return s;
}

static void every_refusal_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        char *body = rig_file(rows[i].file);
        for (int way = 0; way < 4; way++) {
            const long before = starve_live();
            sb_error err = {0};
            for (long n = 0;; n++) {
                starve_from(n, way & 1);
                const sb_status s = answer(rows[i].d, (sb_str){body, strlen(body)}, way & 2, &err);
                const bool refused = starve_end();
                assert_int_equal(starve_live(), before);
                if (!refused) {
                    if (s != SB_OK) fail_msg("%s: %s", rows[i].file, err.msg);
                    assert_true(n > 3);
                    break;
                }
                if (s != SB_NO_MEMORY || !err.msg[0])
                    fail_msg("%s, allocation %ld: %d: %s", rows[i].file, n, s, err.msg);
            }
        }
        sb_free(body);
    }
}

int main(int argc, char **argv)
{
    rig_args(argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_refusal_is_said)};
    return cmocka_run_group_tests_name("wire without memory", tests, NULL, NULL);
}
