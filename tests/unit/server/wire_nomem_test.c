/* SPDX-License-Identifier: Apache-2.0
 * wire_nomem_test.c - requests and answers with each request for memory refused in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/wire/listing.h"
#include "server/wire/voice.h"
#include "server/wire/wire.h"
#include "starve.h"
#include "wire_rig.h"

static void *take(size_t n)
{
    return sb_alloc(n, 1);
}

static const char chat[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":"
    "\"x-anthropic-billing-header: 1\"},{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
    "\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":"
    "null,"
    "\"reasoning\":\"d\",\"tool_calls\":[{\"id\":\"e\",\"function\":{\"name\":\"f\",\"arguments\":{"
    "\"g\""
    ":[1,2.5,null]}}}]},{\"role\":\"tool\",\"tool_call_id\":\"e\",\"content\":\"h\"}],\"tools\":[{"
    "\"function\":{\"name\":\"f\",\"parameters\":{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"b\":{"
    "\"$ref\":\"#/$defs/"
    "c\"}},\"c\":{}}}}}],\"stop\":[\"i\",\"j\"],\"logit_bias\":{\"1\":2},\"n\":3,"
    "\"chat_template_kwargs\":{\"k\":1},\"unknown\":1,\"response_format\":{\"type\":\"text\"}}";

static void read_starving(const sb_dialect *d, const char *body)
{
    for (long n = 0;; n++) {
        const long live = starve_live();
        sb_ask a = {0};
        sb_wire_error w;
        starve_from(n, false);
        const sb_status s = sb_wire_read(&a, d, (sb_str){body, strlen(body)}, &w);
        const bool refused = starve_end();
        if (s != SB_OK) {
            assert_int_equal(s, SB_NO_MEMORY);
            assert_int_equal(w.status, 503);
            assert_true(refused);
        }
        sb_ask_deinit(&a);
        assert_int_equal(starve_live(), live);
        if (refused) continue;
        assert_int_equal(s, SB_OK);
        return;
    }
}

static void requests_without_memory(void **state)
{
    (void)state;
    read_starving(&sb_dialect_openai_chat, chat);
    read_starving(&sb_dialect_openai_text, "{\"prompt\":[[1,2],[3]],\"n\":2,\"x\":1}");
    read_starving(&sb_dialect_llama_completion, "{\"prompt\":[\"a\",\"b\"],\"stop\":\"c\"}");
}

static void bodies_without_memory(void **state)
{
    (void)state;
    sb_tokenizer *tok = rig_tokenizer();
    json_t *root = rig_json("{\"tokens\":[72,105]}");
    for (long n = 0, more = 1; more; n++) {
        const long live = starve_live();
        sb_wire_error w;
        sb_buf b;
        sb_buf_init(&b, 4096, "body");
        starve_from(n, false);
        const sb_status s = sb_detokenize_body(&b, tok, root, &w);
        more = starve_end();
        assert_int_equal(s, more ? SB_NO_MEMORY : SB_OK);
        assert_true(!more || b.n == 0);
        sb_buf_deinit(&b);
        assert_int_equal(starve_live(), live);
    }
    json_decref(root);
    sb_tokenizer_free(tok);
}

/* ---- voices ---- */

static int32_t ids[] = {'a', 'b', 'c'};
static sb_token_logprob logprobs[] = {{.logprob = -1, .n_top = 1, .top_ids = {'x'}},
                                      {.logprob = -2, .n_top = 1, .top_ids = {'y'}},
                                      {.logprob = -3, .n_top = 1, .top_ids = {'z'}}};
static sb_tool_call calls[] = {{{"id", 2}, {"f", 1}, {"{}", 2}}};
static char said[] = "said";

/* The i-th thing a voice may be told; SB_INVALID: there are no more. */
static sb_status tell(sb_voice *v, int i, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    static const sb_output_kind kinds[] = {SB_OUTPUT_REASONING, SB_OUTPUT_CONTENT,
                                           SB_OUTPUT_CALL_BEGIN, SB_OUTPUT_CALL_ARGS,
                                           SB_OUTPUT_CALL_END};
    const sb_dialect *d = sb_voice_head_of(v)->ask->dialect;
    static const sb_wire_error w = {.status = 500, .err.msg = "broke"};
    if (i == 0) return d->begin(v, out, err);
    if (i == 1) return d->progress ? d->progress(v, 0, 1, 2, 3, out, err) : SB_OK;
    if (i < 7) {
        const sb_output_event e = {.kind = kinds[i - 2], .text = {"text", 4}, .id = {"id", 2}};
        return d->event(v, 0, &e, turns, out, err);
    }
    if (i == 7) return d->choice(v, 0, turns, out, err);
    if (i == 8) return d->end(v, turns, out, err);
    if (i == 9) return (d->fail)(v, &w, out, err);
    if (i == 10) return d->refuse(&w, "r", out, err);
    return SB_INVALID;
}

/* Each piece that memory was missing for comes whole when it is told again, in a new voice. */
static void tell_starving(const sb_dialect *d, const char *body, const sb_tokenizer *tok)
{
    const sb_turn t = {.content = {.p = said, .n = 4},
                       .reasoning = {.p = said, .n = 4},
                       .calls = calls,
                       .n_calls = 1,
                       .ids = {.v = ids, .n = 3},
                       .prompt_ids = {.v = ids, .n = 2},
                       .logprobs = logprobs};
    const sb_turn turns[] = {t, t};
    const sb_voice_facts f = {.id = "i", .model = "m", .fingerprint = "f", .tok = tok};
    sb_ask a;
    rig_read(&a, d, body);
    const long live = starve_live();
    for (int i = 0; i <= 10; i++) {
        for (long n = 0;; n++) {
            sb_buf out;
            sb_error err = {0};
            sb_voice *v = sb_voice_new(&a, &f);
            assert_non_null(v);
            sb_buf_init(&out, SB_MAX_REPLY_BYTES, "reply");
            starve_from(n, false);
            const sb_status s = tell(v, i, turns, &out, &err);
            const bool refused = starve_end();
            assert_true(s == SB_OK || (refused && s == SB_NO_MEMORY));
            if (s != SB_OK) assert_int_equal(out.n, 0);
            sb_buf_deinit(&out);
            sb_voice_free(v, d);
            assert_int_equal(starve_live(), live);
            if (!refused) break;
        }
    }
    sb_ask_deinit(&a);
}

static void answers_without_memory(void **state)
{
    (void)state;
    static const struct {
        const sb_dialect *d;
        const char *least;
    } cases[] = {{&sb_dialect_openai_chat, "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                                           "\"logprobs\":true,\"n\":2"},
                 {&sb_dialect_openai_text, "\"prompt\":[1,2],\"echo\":true,\"n\":2"},
                 {&sb_dialect_openai_text, "\"prompt\":\"x\",\"logprobs\":1"},
                 {&sb_dialect_llama_completion, "\"prompt\":[1,2],\"n_probs\":1,\"stop\":\"zz\""}};
    sb_tokenizer *tok = rig_tokenizer();
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        char body[256];
        (void)snprintf(body, sizeof body, "{%s}", cases[i].least);
        tell_starving(cases[i].d, body, tok);
        (void)snprintf(body, sizeof body, "{%s,\"stream\":true,\"return_progress\":true}",
                       cases[i].least);
        tell_starving(cases[i].d, body, tok);
    }
    sb_tokenizer_free(tok);
}

static void a_voice_without_memory(void **state)
{
    (void)state;
    sb_ask a;
    const sb_voice_facts f = {.id = "i"};
    rig_read(&a, &sb_dialect_openai_chat, chat);
    starve_from(0, false);
    assert_null(sb_voice_new(&a, &f));
    assert_true(starve_end());
    sb_voice_free(NULL, a.dialect);
    sb_ask_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_without_memory),
        cmocka_unit_test(bodies_without_memory),
        cmocka_unit_test(answers_without_memory),
        cmocka_unit_test(a_voice_without_memory),
    };
    json_set_alloc_funcs(take, sb_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
