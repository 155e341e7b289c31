/* SPDX-License-Identifier: Apache-2.0
 * wire_wrong_test.c - agents' requests with a value of another kind somewhere: refused in a line,
 * or taken, and nothing else. */
#include "server/wire/wire.h"

#include "base/alloc.h"
#include "voice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

static const struct {
    const sb_dialect *d;
    const char *file;
} agents[] = {
    {&sb_dialect_anthropic, "claude-code.json"},
    {&sb_dialect_anthropic, "claude-code-tools.json"},
    {&sb_dialect_ollama_chat, "open-webui.json"},
    {&sb_dialect_ollama_generate, "continue-autocomplete.json"},
    {&sb_dialect_responses, "codex.json"},
    {&sb_dialect_responses, "codex-tools.json"},
};

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*seed * below) >> 32);
}

/* Puts a value of another kind where a value begins: behind a colon, a comma or a bracket. */
static void mutate(sb_buf *b, sb_str body, uint32_t *seed)
{
    static const char *const values[] = {"null,\"x\":", "5,\"y\":",     "[],\"z\":", "{}",
                                         "[[]]",        "\"\"",         "-1",        "true",
                                         "[5]",         "{\"type\":5}", ""};
    size_t at = draw(seed, (uint32_t)body.n);
    while (at < body.n && !strchr(":,[", body.p[at]))
        at++;
    if (at < body.n) at++;
    const char *v = values[draw(seed, SB_ARRAY_LEN(values))];
    size_t end = at; // of the value that goes
    if (draw(seed, 2))
        while (end < body.n && !strchr(",]}", body.p[end]))
            end++;
    sb_buf_clear(b);
    assert_int_equal(sb_buf_add(b, body.p, at, NULL), SB_OK);
    assert_int_equal(sb_buf_add(b, v, strlen(v), NULL), SB_OK);
    assert_int_equal(sb_buf_add(b, body.p + end, body.n - end, NULL), SB_OK);
}

static void wrong_requests_are_refused_in_a_line(void **state)
{
    (void)state;
    uint32_t seed = 1;
    size_t n_refused = 0, n_taken = 0;
    sb_buf b;
    sb_buf_init(&b, 1 << 20, "request");
    for (size_t i = 0; i < SB_ARRAY_LEN(agents); i++) {
        char *body = rig_file(agents[i].file);
        for (int k = 0; k < 1500; k++) {
            sb_wire_error w;
            mutate(&b, (sb_str){body, strlen(body)}, &seed);
            const sb_status s = rig_refused(agents[i].d, b.p, &w);
            n_taken += s == SB_OK;
            if (s == SB_OK) continue;
            n_refused++;
            if (w.status != 400 || !w.err.msg[0]) fail_msg("%s: %d", b.p, w.status);
        }
        sb_free(body);
    }
    assert_true(n_refused > 1000 && n_taken > 100);
    sb_buf_deinit(&b);
}

int main(int argc, char **argv)
{
    rig_args(argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(wrong_requests_are_refused_in_a_line)};
    return cmocka_run_group_tests_name("wire wrong", tests, NULL, NULL);
}
