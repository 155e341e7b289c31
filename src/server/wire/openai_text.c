/* SPDX-License-Identifier: Apache-2.0
 * openai_text.c - POST /v1/completions: prompts as they stand, answers as text.
 *
 * Probabilities of the prompt's own tokens (echo with logprobs) would take logits of every prompt
 * position, which the engine does not keep: refused by name. */
#include "base/limits.h"
#include "base/utf8.h"
#include "server/wire/openai.h"
#include "server/wire/openai_chat.h"
#include "server/wire/sampling_in.h"
#include "server/wire/text_prompt.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "cmpl-"
#define OBJECT "text_completion"

enum { DEFAULT_TOKENS = 16 }; /* OpenAI's */

/* Of a choice: ids whose probabilities were told, and the characters in front of the next. */
typedef struct text_choice {
    size_t n_told;
    int64_t offset;
} text_choice;

static const sb_ask *ask_of(const sb_voice *v)
{
    return sb_voice_head_of(v)->ask;
}

/* ---- the request ---- */

static sb_status read_n(const sb_fields *f, int32_t *n)
{
    int32_t best = 0;
    SB_TRY(sb_field_i32(f, "n", 1, SB_MAX_CHOICES, n));
    SB_TRY(sb_field_i32(f, "best_of", 0, SB_MAX_CHOICES, &best));
    if (best && best < *n)
        return sb_field_fail(f, "best_of", SB_INVALID, "%d is less than n, which is %d", best, *n);
    if (best > *n)
        return sb_field_fail(f, "best_of", SB_UNSUPPORTED, "more than n is not supported yet");
    return SB_OK;
}

static sb_status parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    sb_turn_request t = {.sampling = sb_sampling_openai, .max_tokens = DEFAULT_TOKENS};
    int32_t n = 1, n_logprobs = -1;
    SB_TRY(sb_common_read(&f, a, false));
    SB_TRY(sb_openai_drawing(&f, a, &t));
    SB_TRY(sb_field_i32(&f, "max_tokens", 1, INT32_MAX, &t.max_tokens));
    SB_TRY(sb_field_i32(&f, "logprobs", 0, SB_MAX_LOGPROBS, &n_logprobs));
    SB_TRY(sb_field_bool(&f, "echo", &a->echo));
    if (a->echo && n_logprobs >= 0)
        return sb_field_fail(&f, "echo", SB_UNSUPPORTED, "not together with logprobs yet");
    t.n_logprobs = n_logprobs;
    SB_TRY(sb_openai_stream_options(&f, a));
    SB_TRY(read_n(&f, &n));
    return sb_prompts_read(&f, a, &t, n);
}

/* ---- log probabilities ---- */

static int64_t n_chars(sb_str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* The name of a token in an object: its text, or its bytes where it has none by itself. */
static void put_token_name(sb_jw *w, const sb_voice *v, int32_t id, bool as_key)
{
    const sb_str s = sb_tokenizer_piece(sb_voice_head_of(v)->facts.tok, id, true);
    char hex[8 + 4 * 16] = "bytes:";
    sb_str name = s;
    if (sb_utf8_valid(s.p, s.n) < s.n && s.n <= 16) {
        for (size_t i = 0; i < s.n; i++)
            (void)snprintf(hex + 6 + 4 * i, 5, "\\x%02x", (unsigned char)s.p[i]);
        name = (sb_str){hex, 6 + 4 * s.n};
    }
    if (as_key)
        sb_jw_key_text(w, name);
    else
        sb_jw_text(w, name);
}

/* Different ids may have one text; an object has a name but once, and the likeliest counts. */
static bool is_named_before(const sb_voice *v, const sb_token_logprob *l, int32_t k)
{
    const sb_tokenizer *tok = sb_voice_head_of(v)->facts.tok;
    const sb_str s = sb_tokenizer_piece(tok, l->top_ids[k], true);
    for (int32_t i = 0; i < k; i++) {
        const sb_str t = sb_tokenizer_piece(tok, l->top_ids[i], true);
        if (s.n == t.n && memcmp(s.p, t.p, s.n) == 0) return true;
    }
    return false;
}

static void put_top(sb_jw *w, const sb_voice *v, const sb_token_logprob *l)
{
    sb_jw_open(w, '{');
    for (int32_t k = 0; k < l->n_top; k++) {
        if (is_named_before(v, l, k)) continue;
        put_token_name(w, v, l->top_ids[k], true);
        sb_openai_logprob(w, l->top[k]);
    }
    sb_jw_close(w, '}');
}

/* Of the ids from c->n_told to `to`, which are then told. */
static void put_logprobs(sb_jw *w, const sb_voice *v, const sb_turn *t, text_choice *c, size_t to)
{
    const sb_tokenizer *tok = sb_voice_head_of(v)->facts.tok;
    if (!t->logprobs || c->n_told >= to) {
        sb_jw_put_null(w, "logprobs");
        return;
    }
    sb_jw_put_open(w, "logprobs", '{');
    sb_jw_put_open(w, "tokens", '[');
    for (size_t i = c->n_told; i < to; i++)
        put_token_name(w, v, t->ids.v[i], false);
    sb_jw_close(w, ']');
    sb_jw_put_open(w, "token_logprobs", '[');
    for (size_t i = c->n_told; i < to; i++)
        sb_openai_logprob(w, t->logprobs[i].logprob);
    sb_jw_close(w, ']');
    sb_jw_put_open(w, "top_logprobs", '[');
    for (size_t i = c->n_told; i < to; i++)
        put_top(w, v, &t->logprobs[i]);
    sb_jw_close(w, ']');
    sb_jw_put_open(w, "text_offset", '[');
    for (size_t i = c->n_told; i < to; i++) {
        sb_jw_int(w, c->offset);
        c->offset += n_chars(sb_tokenizer_piece(tok, t->ids.v[i], true));
    }
    sb_jw_close(w, ']');
    sb_jw_close(w, '}');
    c->n_told = to;
}

/* ---- the stream ---- */

static void open_chunk(sb_jw *w, const sb_voice *v, int32_t i_choice)
{
    sb_openai_open_chunk(w, v, PREFIX, OBJECT, i_choice);
    sb_jw_key(w, "text");
}

static sb_status begin(sb_voice *v, sb_buf *out, sb_error *err)
{
    sb_jw w;
    const sb_ask *a = ask_of(v);
    if (!a->stream) return SB_OK;
    sb_jw_begin(&w, out, err);
    for (size_t i = 0; i < a->n_turns && (a->echo || a->warnings); i++) {
        open_chunk(&w, v, (int32_t)i);
        if (a->echo)
            sb_jw_prompt(&w, v, (int32_t)i);
        else
            sb_jw_text(&w, (sb_str){"", 0});
        sb_jw_put_null(&w, "logprobs");
        sb_jw_put_null(&w, "finish_reason");
        sb_openai_close_choice(&w);
        if (i == 0) sb_jw_warnings(&w, a);
        sb_openai_close_chunk(&w, v);
    }
    return sb_jw_end(&w);
}

static sb_status progress(sb_voice *v, int32_t i_choice, int32_t n_cached, int32_t n_done,
                          int32_t n_all, sb_buf *out, sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream || !ask_of(v)->want_progress) return SB_OK;
    sb_jw_begin(&w, out, err);
    open_chunk(&w, v, i_choice);
    sb_jw_text(&w, (sb_str){"", 0});
    sb_jw_put_null(&w, "logprobs");
    sb_jw_put_null(&w, "finish_reason");
    sb_openai_close_choice(&w);
    sb_openai_progress(&w, v, n_cached, n_done, n_all);
    sb_openai_close_chunk(&w, v);
    return sb_jw_end(&w);
}

static sb_status event(sb_voice *v, int32_t i_choice, const sb_output_event *e, const sb_turn *t,
                       sb_buf *out, sb_error *err)
{
    sb_jw w;
    const size_t n_seen = sb_voice_count(v, i_choice, e, t)->n_seen;
    if (!ask_of(v)->stream || e->kind != SB_OUTPUT_CONTENT) return SB_OK;
    text_choice *kept = sb_voice_choice(v, i_choice), c = *kept;
    sb_jw_begin(&w, out, err);
    open_chunk(&w, v, i_choice);
    sb_jw_text(&w, e->text);
    put_logprobs(&w, v, t, &c, n_seen);
    sb_jw_put_null(&w, "finish_reason");
    sb_openai_close_choice(&w);
    sb_openai_timings_now(&w, v, i_choice, t);
    sb_openai_close_chunk(&w, v);
    SB_TRY(sb_jw_end(&w));
    *kept = c;
    return SB_OK;
}

static sb_status choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out, sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream) return SB_OK;
    sb_jw_begin(&w, out, err);
    open_chunk(&w, v, i_choice);
    sb_jw_text(&w, (sb_str){"", 0});
    put_logprobs(&w, v, t, sb_voice_choice(v, i_choice), t->ids.n);
    sb_openai_finish(&w, t);
    sb_openai_close_choice(&w);
    sb_openai_timings(&w, t);
    sb_openai_close_chunk(&w, v);
    return sb_jw_end(&w);
}

/* ---- the whole ---- */

static void put_text(sb_jw *w, sb_voice *v, int32_t i_choice, const sb_turn *t)
{
    sb_buf b;
    if (!ask_of(v)->echo) {
        sb_jw_text(w, (sb_str){t->content.p, t->content.n});
        return;
    }
    sb_buf_init(&b, 2 * (size_t)SB_MAX_PROMPT_BYTES, "prompt and answer");
    sb_status s = sb_prompt_text(v, i_choice, &b, w->err);
    if (s == SB_OK) s = sb_buf_add(&b, t->content.p, t->content.n, w->err);
    if (s != SB_OK && w->status == SB_OK) w->status = s;
    sb_jw_text(w, (sb_str){b.p, b.n});
    sb_buf_deinit(&b);
}

static sb_status end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    const sb_ask *a = ask_of(v);
    if (a->stream) return sb_openai_end_stream(v, turns, PREFIX, OBJECT, out, err);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_openai_head(&w, v, PREFIX, OBJECT);
    sb_jw_put_open(&w, "choices", '[');
    for (size_t i = 0; i < a->n_turns; i++) {
        sb_jw_open(&w, '{');
        sb_jw_put_int(&w, "index", (int64_t)i);
        sb_jw_key(&w, "text");
        put_text(&w, v, (int32_t)i, &turns[i]);
        put_logprobs(&w, v, &turns[i], sb_voice_choice(v, (int32_t)i), turns[i].ids.n);
        sb_openai_finish(&w, &turns[i]);
        sb_jw_close(&w, '}');
    }
    sb_openai_close_whole(&w, v, turns);
    return sb_jw_end(&w);
}

const sb_dialect sb_dialect_openai_text = {.name = "openai-text",
                                           .fields = SB_FIELDS_TEXT,
                                           .type = "application/json",
                                           .stream_type = "text/event-stream",
                                           .ping = ": ping\n\n",
                                           .parse = parse,
                                           .voice_bytes = sizeof(sb_voice_head),
                                           .choice_bytes = sizeof(text_choice),
                                           .begin = begin,
                                           .progress = progress,
                                           .event = event,
                                           .choice = choice,
                                           .end = end,
                                           .fail = sb_openai_fail,
                                           .refuse = sb_openai_refuse};
