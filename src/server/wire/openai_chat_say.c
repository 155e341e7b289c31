/* SPDX-License-Identifier: Apache-2.0
 * openai_chat_say.c - the answer of a chat: one object, or chunks of one. */
#include "server/wire/logprobs_out.h"
#include "server/wire/openai.h"
#include "server/wire/openai_chat.h"

#define PREFIX "chatcmpl-"
#define CHUNK "chat.completion.chunk"

static const sb_ask *ask_of(const sb_voice *v)
{
    return sb_voice_head_of(v)->ask;
}

/* ---- log probabilities ---- */

/* Those of ids [from, to), or null. Each token with the likeliest ones at its place. */
static void put_logprobs(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t from, size_t to)
{
    if (!t->logprobs || from >= to) {
        sb_jw_put_null(w, "logprobs");
        return;
    }
    sb_jw_put_open(w, "logprobs", '{');
    sb_jw_put_open(w, "content", '[');
    sb_jw_logprobs(w, v, t, from, to, false);
    sb_jw_close(w, ']');
    sb_jw_put_null(w, "refusal");
    sb_jw_close(w, '}');
}

/* ---- chunks ---- */

/* data: {..., "choices": [{"index": i, "delta": { */
static void open_chunk(sb_jw *w, const sb_voice *v, int32_t i_choice)
{
    sb_openai_open_chunk(w, v, PREFIX, CHUNK, i_choice);
    sb_jw_put_open(w, "delta", '{');
}

/* From the closed delta to the end, of a chunk that ends nothing. */
static void go_on(sb_jw *w)
{
    sb_jw_put_null(w, "finish_reason");
    sb_openai_close_choice(w);
}

sb_status sb_openai_chat_begin(sb_voice *v, sb_buf *out, sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream) return SB_OK;
    sb_jw_begin(&w, out, err);
    for (size_t i = 0; i < ask_of(v)->n_turns; i++) {
        open_chunk(&w, v, (int32_t)i);
        sb_jw_put_word(&w, "role", "assistant");
        sb_jw_put_word(&w, "content", "");
        sb_jw_close(&w, '}');
        sb_jw_put_null(&w, "logprobs");
        go_on(&w);
        if (i == 0) sb_jw_warnings(&w, ask_of(v));
        sb_openai_close_chunk(&w, v);
    }
    return sb_jw_end(&w);
}

sb_status sb_openai_chat_progress(sb_voice *v, int32_t i_choice, int32_t n_cached, int32_t n_done,
                                  int32_t n_all, sb_buf *out, sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream || !ask_of(v)->want_progress) return SB_OK;
    sb_jw_begin(&w, out, err);
    open_chunk(&w, v, i_choice);
    sb_jw_close(&w, '}');
    sb_jw_put_null(&w, "logprobs");
    go_on(&w);
    sb_openai_progress(&w, v, n_cached, n_done, n_all);
    sb_openai_close_chunk(&w, v);
    return sb_jw_end(&w);
}

/* A call's name and id come in one piece, its arguments in others. */
static void put_call(sb_jw *w, const sb_output_event *e)
{
    const bool begins = e->kind == SB_OUTPUT_CALL_BEGIN;
    sb_jw_put_open(w, "tool_calls", '[');
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "index", e->i_call);
    if (begins) sb_jw_put_text(w, "id", e->id);
    if (begins) sb_jw_put_word(w, "type", "function");
    sb_jw_put_open(w, "function", '{');
    if (begins) sb_jw_put_text(w, "name", e->text);
    sb_jw_put_text(w, "arguments", begins ? (sb_str){"", 0} : e->text);
    sb_jw_close(w, '}');
    sb_jw_close(w, '}');
    sb_jw_close(w, ']');
}

sb_status sb_openai_chat_event(sb_voice *v, int32_t i_choice, const sb_output_event *e,
                               const sb_turn *t, sb_buf *out, sb_error *err)
{
    sb_jw w;
    size_t *n_told = sb_voice_choice(v, i_choice);
    const size_t n_seen = sb_voice_count(v, i_choice, e, t)->n_seen;
    if (!ask_of(v)->stream || e->kind == SB_OUTPUT_CALL_END || sb_voice_skips(v, e)) return SB_OK;
    sb_jw_begin(&w, out, err);
    open_chunk(&w, v, i_choice);
    if (e->kind == SB_OUTPUT_CONTENT)
        sb_jw_put_text(&w, "content", e->text);
    else if (e->kind == SB_OUTPUT_REASONING)
        sb_jw_put_text(&w, "reasoning_content", e->text);
    else
        put_call(&w, e);
    sb_jw_close(&w, '}');
    put_logprobs(&w, v, t, *n_told, n_seen);
    go_on(&w);
    sb_openai_timings_now(&w, v, i_choice, t);
    sb_openai_close_chunk(&w, v);
    *n_told = n_seen;
    return sb_jw_end(&w);
}

sb_status sb_openai_chat_choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out,
                                sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream) return SB_OK;
    sb_jw_begin(&w, out, err);
    open_chunk(&w, v, i_choice);
    sb_jw_close(&w, '}');
    put_logprobs(&w, v, t, *(const size_t *)sb_voice_choice(v, i_choice), t->ids.n);
    sb_openai_finish(&w, t);
    sb_openai_close_choice(&w);
    sb_openai_timings(&w, t);
    sb_openai_close_chunk(&w, v);
    return sb_jw_end(&w);
}

/* ---- the whole ---- */

static void put_calls(sb_jw *w, const sb_voice *v, const sb_turn *t)
{
    sb_jw_put_open(w, "tool_calls", '[');
    for (size_t i = 0; i < sb_voice_n_calls(v, t); i++) {
        const sb_tool_call *c = &t->calls[i];
        sb_jw_open(w, '{');
        sb_jw_put_text(w, "id", c->id);
        sb_jw_put_word(w, "type", "function");
        sb_jw_put_open(w, "function", '{');
        sb_jw_put_text(w, "name", c->name);
        sb_jw_put_text(w, "arguments", c->arguments);
        sb_jw_close(w, '}');
        sb_jw_close(w, '}');
    }
    sb_jw_close(w, ']');
}

static void put_choice(sb_jw *w, const sb_voice *v, int32_t i_choice, const sb_turn *t)
{
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "index", i_choice);
    sb_jw_put_open(w, "message", '{');
    sb_jw_put_word(w, "role", "assistant");
    if (!t->content.n && t->n_calls)
        sb_jw_put_null(w, "content");
    else
        sb_jw_put_text(w, "content", (sb_str){t->content.p, t->content.n});
    sb_jw_put_null(w, "refusal");
    if (t->reasoning.n)
        sb_jw_put_text(w, "reasoning_content", (sb_str){t->reasoning.p, t->reasoning.n});
    if (t->n_calls) put_calls(w, v, t);
    sb_jw_close(w, '}');
    put_logprobs(w, v, t, 0, t->ids.n);
    sb_openai_finish(w, t);
    sb_jw_close(w, '}');
}

sb_status sb_openai_chat_end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    const sb_ask *a = ask_of(v);
    if (a->stream) return sb_openai_end_stream(v, turns, PREFIX, CHUNK, out, err);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_openai_head(&w, v, PREFIX, "chat.completion");
    sb_jw_put_open(&w, "choices", '[');
    for (size_t i = 0; i < a->n_turns; i++)
        put_choice(&w, v, (int32_t)i, &turns[i]);
    sb_openai_close_whole(&w, v, turns);
    return sb_jw_end(&w);
}
