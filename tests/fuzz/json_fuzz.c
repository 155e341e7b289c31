/* SPDX-License-Identifier: Apache-2.0
 * json_fuzz.c - libFuzzer entry: bodies of requests, as JSON and as each dialect's.
 *
 * Byte 0 chooses the dialect, byte 1 where texts are cut; the rest is the body. Our reader and the
 * library's agree on what is JSON and what it says, but for our own limits. A body that is a
 * request is answered with its own bytes, streamed and whole: what is sent is framed and is JSON. A
 * failure has a status, a code and a message. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "server/wire/listing.h"
#include "server/wire/voice.h"
#include "server/wire/wire.h"
#include "tok_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const sb_dialect *const dialects[] = {
#define X(name) &sb_dialect_##name,
#include "server/wire/dialects.def"
#undef X
};

static void check(bool good)
{
    if (!good) abort();
}

/* ---- the reader ---- */

static bool is_ours_alone(const sb_wire_error *w)
{
    static const char *const codes[] = {"json_depth", "json_size"};
    for (size_t i = 0; i < SB_ARRAY_LEN(codes); i++)
        if (strcmp(w->code, codes[i]) == 0) return true;
    // a number longer than any double needs
    return strcmp(w->code, "invalid_value") == 0;
}

static void compare(sb_str body)
{
    sb_wire_error w = {0};
    json_error_t why;
    json_t *ours = NULL;
    const sb_status s = sb_wire_json(&ours, body, &w);
    json_t *theirs =
        json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
    check((s == SB_OK) == (ours != NULL));
    if (s == SB_OK) {
        check(theirs && json_equal(ours, theirs));
    } else {
        check(w.err.msg[0] && w.code);
        // the library skips NUL bytes between values
        check(!theirs || is_ours_alone(&w) || memchr(body.p, 0, body.n));
    }
    json_decref(ours);
    json_decref(theirs);
}

/* ---- answers ---- */

static void check_json(const char *p, size_t n)
{
    sb_wire_error w = {0};
    json_t *j = NULL;
    const sb_status s = sb_wire_json(&j, (sb_str){p, n}, &w);
    // an echo may nest no deeper, but be larger than a request may
    check(s == SB_OK || strcmp(w.code, "json_size") == 0);
    json_decref(j);
}

/* Events with lines of data, or a line of JSON each. */
static void check_stream(const sb_buf *out)
{
    const char *p = out->p ? out->p : "", *end;
    for (; *p; p = end + 1) {
        end = strchr(p, '\n');
        check(end != NULL);
        const size_t n = (size_t)(end - p);
        if (n == 0 || *p == ':' || strncmp(p, "event: ", 7) == 0) continue;
        if (*p == '{') {
            check_json(p, n);
            continue;
        }
        check(n > 6 && memcmp(p, "data: ", 6) == 0);
        if (n == 12 && memcmp(p, "data: [DONE]", 12) == 0) continue;
        check_json(p + 6, n - 6);
    }
    check(strlen(out->p ? out->p : "") == out->n);
}

/* Reasoning, content and a call's name are any text; arguments are what they always are. */
static void tell(sb_voice *v, const sb_dialect *d, const sb_turn *t, sb_str text, size_t cut,
                 sb_buf *out)
{
    const sb_str rest = {text.p + cut, text.n - cut}, id = t->calls[0].id;
    const sb_output_event events[] = {
        {.kind = SB_OUTPUT_REASONING, .text = {text.p, cut}},
        {.kind = SB_OUTPUT_CONTENT, .text = rest},
        {.kind = SB_OUTPUT_CALL_BEGIN, .id = id, .text = t->calls[0].name},
        {.kind = SB_OUTPUT_CALL_ARGS, .id = id, .text = t->calls[0].arguments},
        {.kind = SB_OUTPUT_CALL_END, .id = id}};
    for (size_t i = 0; i < SB_ARRAY_LEN(events); i++)
        check(d->event(v, 0, &events[i], t, out, NULL) == SB_OK);
}

static void say(const sb_ask *a, const sb_tokenizer *tok, sb_str text, size_t cut, sb_buf *out)
{
    const sb_dialect *d = a->dialect;
    const sb_voice_facts f = {.id = "i", .request_id = "r", .model = "m", .tok = tok};
    sb_tool_call call = {.id = {"c", 1}, .name = text, .arguments = {"{\"a\":1}", 7}};
    const sb_turn t = {.content = {.p = (char *)text.p + cut, .n = text.n - cut},
                       .reasoning = {.p = (char *)text.p, .n = cut},
                       .calls = &call,
                       .n_calls = 1,
                       .finish = SB_FINISH_STOP};
    sb_turn *turns = calloc(a->n_turns + 1, sizeof *turns);
    sb_voice *v = sb_voice_new(a, &f);
    check(v && turns);
    check(d->begin(v, out, NULL) == SB_OK);
    if (d->progress && a->n_turns) check(d->progress(v, 0, 1, 2, 3, out, NULL) == SB_OK);
    if (a->n_turns) tell(v, d, &t, text, cut, out);
    for (size_t i = 0; i < a->n_turns; i++) {
        turns[i] = t;
        check(d->choice(v, (int32_t)i, &t, out, NULL) == SB_OK);
    }
    check(d->end(v, a->n_turns ? turns : NULL, out, NULL) == SB_OK);
    free(turns);
    sb_voice_free(v, d);
}

static void answer(sb_ask *a, const sb_tokenizer *tok, sb_str text, size_t cut)
{
    sb_buf out;
    sb_buf_init(&out, SB_MAX_REPLY_BYTES, "reply");
    check(a->n_turns <= SB_MAX_CHOICES);
    check(a->n_turns > 0 || a->only_load || a->only_unload);
    a->stream = true;
    say(a, tok, text, cut, &out);
    check_stream(&out);
    sb_buf_clear(&out);
    a->stream = false;
    say(a, tok, text, cut, &out);
    check_json(out.p, out.n);
    sb_buf_deinit(&out);
}

static void refuse(const sb_dialect *d, const sb_wire_error *w)
{
    sb_buf out;
    check(w->status >= 400 && w->status < 600 && w->code && w->err.msg[0]);
    check(memchr(w->param, 0, sizeof w->param) != NULL);
    sb_buf_init(&out, 4096, "error");
    check(d->refuse(w, "r", &out, NULL) == SB_OK);
    check_json(out.p, out.n);
    sb_buf_deinit(&out);
}

static sb_tokenizer *make_tokenizer(void)
{
    static tv v;
    sb_tokenizer *tok = NULL;
    tv_add_alphabet(&v);
    const sb_tokenizer_desc d = tv_desc(&v, "gpt2");
    check(sb_tokenizer_new(&tok, &d, NULL) == SB_OK);
    return tok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static sb_tokenizer *tok;
    if (!tok) tok = make_tokenizer();
    if (n < 2) return 0;
    const sb_dialect *d = dialects[data[0] % SB_ARRAY_LEN(dialects)];
    const sb_str body = {(const char *)data + 2, n - 2};
    sb_ask a = {.opts.keep_nonces = (data[1] & 1) != 0};
    sb_wire_error w;
    compare(body);
    if (sb_wire_read(&a, d, body, &w) == SB_OK) {
        answer(&a, tok, body, body.n ? data[1] % body.n : 0);
        sb_ask_deinit(&a);
    } else {
        refuse(d, &w);
        check(!a.root && !a.mem);
    }
    return 0;
}
