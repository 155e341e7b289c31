/* SPDX-License-Identifier: Apache-2.0
 * anthropic_voice.c - an answer as blocks: thinking, text, tool_use, one open at a time.
 *
 * message_start waits for the first news of the prompt, because it tells how many tokens that has
 * and how many of them were cached; clients that read no usage elsewhere rely on it. Until then a
 * stream says `ping` only. */
#include "server/wire/anthropic.h"

#include "server/wire/ask_fields.h"
#include "server/wire/wire_time.h"

#include <string.h>

typedef enum block { BLOCK_NONE, BLOCK_THINKING, BLOCK_TEXT, BLOCK_TOOL } block;

typedef struct anthropic_voice {
    sb_voice_head head;
    bool started;       /* message_start was sent */
    bool hide_thinking; /* thinking.display "omitted" */
    block open;
    int64_t i_block; /* of the open one, or the next */
} anthropic_voice;

static anthropic_voice *state_of(sb_voice *v)
{
    return (anthropic_voice *)(void *)v;
}

static sb_str text_of(const char *s)
{
    return (sb_str){s, s ? strlen(s) : 0};
}

/* ---- pieces of a message ---- */

static void put_msg_id(sb_jw *w, const char *key, const sb_voice_head *h)
{
    char s[SB_CALL_ID_BYTES + 8] = "msg_";
    const size_t n = strnlen(h->facts.id, SB_CALL_ID_BYTES);
    memcpy(s + 4, h->facts.id, n);
    sb_jw_put_text(w, key, (sb_str){s, n + 4});
}

/* What stands for the proof of origin that clients must send back with a thinking block. Nothing is
 * verified with it here, so the name of its message will do; some clients drop blocks without. */
static void put_signature(sb_jw *w, const sb_voice_head *h)
{
    put_msg_id(w, "signature", h);
}

/* Members of usage. Cached tokens are not input tokens here. */
static void put_prompt_usage(sb_jw *w, int64_t n_prompt, int64_t n_cached)
{
    sb_jw_put_int(w, "input_tokens", n_prompt - n_cached);
    sb_jw_put_int(w, "cache_creation_input_tokens", 0);
    sb_jw_put_int(w, "cache_read_input_tokens", n_cached);
}

static void put_usage(sb_jw *w, const sb_voice *v, const sb_turn *t)
{
    sb_jw_put_open(w, "usage", '{');
    put_prompt_usage(w, (int64_t)t->prompt_ids.n, t->n_cached);
    sb_jw_put_int(w, "output_tokens", (int64_t)t->ids.n);
    sb_jw_put_open(w, "output_tokens_details", '{');
    sb_jw_put_int(w, "thinking_tokens", sb_voice_tally(v, 0)->n_reasoning);
    sb_jw_close(w, '}');
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &t->energy);
    sb_jw_close(w, '}');
}

/* A turn that ran out of positions before its max_tokens met the end of the context. */
static const char *stop_reason(const sb_voice_head *h, const sb_turn *t, bool by_stop)
{
    const int32_t max = h->ask->turns[0].max_tokens;
    if (by_stop) return "stop_sequence";
    if (t->finish == SB_FINISH_LENGTH && (max < 0 || t->ids.n < (size_t)max))
        return "model_context_window_exceeded";
    return sb_finish_anthropic(t->finish);
}

static void put_stop(sb_jw *w, const sb_voice *v, const sb_turn *t)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    const int32_t hit = sb_voice_stop(v, 0, t);
    const char *reason = stop_reason(h, t, hit >= 0);
    const char *detail = sb_finish_detail(t->finish, reason);
    sb_jw_put_word(w, "stop_reason", reason);
    sb_jw_key(w, "stop_sequence");
    if (hit >= 0)
        sb_jw_text(w, h->ask->turns[0].stops[hit]);
    else
        sb_jw_null(w);
    if (detail) sb_jw_put_word(w, "finish_detail", detail);
}

static void put_block_type(sb_jw *w, const char *type)
{
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "type", type);
}

/* ---- the whole at once ---- */

static void put_content(sb_jw *w, const sb_voice *v, const sb_turn *t, bool hide_thinking)
{
    sb_jw_put_open(w, "content", '[');
    if (t->reasoning.n) {
        put_block_type(w, "thinking");
        sb_jw_put_text(w, "thinking",
                       hide_thinking ? (sb_str){0} : (sb_str){t->reasoning.p, t->reasoning.n});
        put_signature(w, sb_voice_head_of(v));
        sb_jw_close(w, '}');
    }
    if (t->content.n) {
        put_block_type(w, "text");
        sb_jw_put_text(w, "text", (sb_str){t->content.p, t->content.n});
        sb_jw_close(w, '}');
    }
    for (size_t i = 0; i < sb_voice_n_calls(v, t); i++) {
        const sb_tool_call *c = &t->calls[i];
        put_block_type(w, "tool_use");
        sb_jw_put_text(w, "id", c->id);
        sb_jw_put_text(w, "name", c->name);
        sb_jw_key(w, "input");
        sb_jw_raw(w, c->arguments.n ? c->arguments : text_of("{}"));
        sb_jw_close(w, '}');
    }
    sb_jw_close(w, ']');
}

static void put_head(sb_jw *w, const sb_voice_head *h)
{
    sb_jw_open(w, '{');
    put_msg_id(w, "id", h);
    sb_jw_put_word(w, "type", "message");
    sb_jw_put_word(w, "role", "assistant");
    sb_jw_put_word(w, "model", h->facts.model);
}

static sb_status say_whole(const sb_voice *v, const sb_turn *t, bool hide_thinking, sb_buf *out,
                           sb_error *err)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    put_head(&w, h);
    put_content(&w, v, t, hide_thinking);
    put_stop(&w, v, t);
    put_usage(&w, v, t);
    sb_jw_key(&w, "energy");
    sb_jw_energy(&w, &t->energy);
    sb_jw_warnings(&w, h->ask);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* ---- as a stream ---- */

/* "event: TYPE", and the object that repeats the type. */
static void open_event(sb_jw *w, const char *type)
{
    sb_jw_sse_open(w, type);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "type", type);
}

static void close_event(sb_jw *w)
{
    sb_jw_close(w, '}');
    sb_jw_sse_close(w);
}

static void start(anthropic_voice *s, sb_jw *w, int64_t n_prompt, int64_t n_cached)
{
    if (s->started) return;
    s->started = true;
    open_event(w, "message_start");
    sb_jw_key(w, "message");
    put_head(w, &s->head);
    sb_jw_put_open(w, "content", '[');
    sb_jw_close(w, ']');
    sb_jw_put_null(w, "stop_reason");
    sb_jw_put_null(w, "stop_sequence");
    sb_jw_put_open(w, "usage", '{');
    put_prompt_usage(w, n_prompt, n_cached);
    sb_jw_put_int(w, "output_tokens", 0);
    sb_jw_close(w, '}');
    sb_jw_warnings(w, s->head.ask);
    sb_jw_close(w, '}');
    close_event(w);
    open_event(w, "ping");
    close_event(w);
}

static void open_delta(sb_jw *w, const anthropic_voice *s, const char *type)
{
    open_event(w, "content_block_delta");
    sb_jw_put_int(w, "index", s->i_block);
    sb_jw_put_open(w, "delta", '{');
    sb_jw_put_word(w, "type", type);
}

static void close_delta(sb_jw *w)
{
    sb_jw_close(w, '}');
    close_event(w);
}

static void close_block(anthropic_voice *s, sb_jw *w)
{
    if (s->open == BLOCK_NONE) return;
    if (s->open == BLOCK_THINKING) {
        open_delta(w, s, "signature_delta");
        put_signature(w, &s->head);
        close_delta(w);
    }
    open_event(w, "content_block_stop");
    sb_jw_put_int(w, "index", s->i_block);
    close_event(w);
    s->open = BLOCK_NONE;
    s->i_block++;
}

/* Opens a block of a kind; e: of the call it belongs to. */
static void open_block(anthropic_voice *s, sb_jw *w, block kind, const sb_output_event *e)
{
    close_block(s, w);
    open_event(w, "content_block_start");
    sb_jw_put_int(w, "index", s->i_block);
    sb_jw_put_open(w, "content_block", '{');
    if (kind == BLOCK_THINKING) {
        sb_jw_put_word(w, "type", "thinking");
        sb_jw_put_word(w, "thinking", "");
        sb_jw_put_word(w, "signature", "");
    } else if (kind == BLOCK_TEXT) {
        sb_jw_put_word(w, "type", "text");
        sb_jw_put_word(w, "text", "");
    } else {
        sb_jw_put_word(w, "type", "tool_use");
        sb_jw_put_text(w, "id", e->id);
        sb_jw_put_text(w, "name", e->text);
        sb_jw_put_open(w, "input", '{');
        sb_jw_close(w, '}');
    }
    sb_jw_close(w, '}');
    close_event(w);
    s->open = kind;
}

static void say_delta(const anthropic_voice *s, sb_jw *w, const char *type, const char *member,
                      sb_str text)
{
    open_delta(w, s, type);
    sb_jw_put_text(w, member, text);
    close_delta(w);
}

static void say_event(anthropic_voice *s, sb_jw *w, const sb_output_event *e)
{
    switch (e->kind) {
    case SB_OUTPUT_CONTENT:
        if (s->open != BLOCK_TEXT) open_block(s, w, BLOCK_TEXT, e);
        say_delta(s, w, "text_delta", "text", e->text);
        return;
    case SB_OUTPUT_REASONING:
        if (s->open != BLOCK_THINKING) open_block(s, w, BLOCK_THINKING, e);
        if (!s->hide_thinking) say_delta(s, w, "thinking_delta", "thinking", e->text);
        return;
    case SB_OUTPUT_CALL_BEGIN:
        open_block(s, w, BLOCK_TOOL, e);
        return;
    case SB_OUTPUT_CALL_ARGS:
        say_delta(s, w, "input_json_delta", "partial_json", e->text);
        return;
    case SB_OUTPUT_CALL_END:
        close_block(s, w);
        return;
    }
}

/* ---- the voice ---- */

static sb_status begin(sb_voice *v, sb_buf *out, sb_error *err)
{
    (void)out, (void)err;
    anthropic_voice *s = state_of(v);
    const json_t *thinking = json_object_get(s->head.ask->root, "thinking");
    const char *display = json_string_value(json_object_get(thinking, "display"));
    s->hide_thinking = display && strcmp(display, "omitted") == 0;
    return SB_OK;
}

static sb_status progress(sb_voice *v, int32_t i_choice, int32_t n_cached, int32_t n_done,
                          int32_t n_all, sb_buf *out, sb_error *err)
{
    (void)i_choice, (void)n_done;
    anthropic_voice *s = state_of(v);
    if (!s->head.ask->stream) return SB_OK;
    sb_jw w;
    sb_jw_begin(&w, out, err);
    start(s, &w, n_all, n_cached);
    return sb_jw_end(&w);
}

static sb_status event(sb_voice *v, int32_t i_choice, const sb_output_event *e, const sb_turn *t,
                       sb_buf *out, sb_error *err)
{
    anthropic_voice *s = state_of(v);
    (void)sb_voice_count(v, i_choice, e, t);
    if (!s->head.ask->stream || sb_voice_skips(v, e)) return SB_OK;
    sb_jw w;
    sb_jw_begin(&w, out, err);
    start(s, &w, (int64_t)t->prompt_ids.n, t->n_cached);
    say_event(s, &w, e);
    return sb_jw_end(&w);
}

static sb_status choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out, sb_error *err)
{
    (void)v, (void)i_choice, (void)t, (void)out, (void)err;
    return SB_OK; // there is one, and `end` says the rest
}

static sb_status end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    anthropic_voice *s = state_of(v);
    const sb_turn *t = &turns[0];
    if (!s->head.ask->stream) return say_whole(v, t, s->hide_thinking, out, err);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    start(s, &w, (int64_t)t->prompt_ids.n, t->n_cached);
    close_block(s, &w);
    open_event(&w, "message_delta");
    sb_jw_put_open(&w, "delta", '{');
    put_stop(&w, v, t);
    sb_jw_close(&w, '}');
    put_usage(&w, v, t);
    close_event(&w);
    open_event(&w, "message_stop");
    close_event(&w);
    return sb_jw_end(&w);
}

/* ---- errors ---- */

const char *sb_anthropic_error_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } rows[] = {
        {401, "authentication_error"}, {402, "billing_error"},     {403, "permission_error"},
        {404, "not_found_error"},      {413, "request_too_large"}, {429, "rate_limit_error"},
        {503, "overloaded_error"},     {504, "timeout_error"},     {529, "overloaded_error"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (rows[i].status == status) return rows[i].type;
    return status < 500 ? "invalid_request_error" : "api_error";
}

static void put_error(sb_jw *w, const sb_wire_error *e, const char *request_id)
{
    sb_jw_put_open(w, "error", '{');
    sb_jw_put_word(w, "type", sb_anthropic_error_type(e->status));
    sb_jw_put_word(w, "message", e->err.msg);
    sb_jw_close(w, '}');
    sb_jw_put_word(w, "request_id", request_id);
}

static sb_status refuse(const sb_wire_error *e, const char *request_id, sb_buf *out, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "type", "error");
    put_error(&w, e, request_id);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static sb_status fail(sb_voice *v, const sb_wire_error *e, sb_buf *out, sb_error *err)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    if (!h->ask->stream) return refuse(e, h->facts.request_id, out, err);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    open_event(&w, "error");
    put_error(&w, e, h->facts.request_id);
    close_event(&w);
    return sb_jw_end(&w);
}

/* ---- beside answers ---- */

sb_status sb_anthropic_count(sb_buf *out, int64_t n_tok, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_int(&w, "input_tokens", n_tok);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static void put_model(sb_jw *w, const sb_anthropic_model *m)
{
    char at[SB_WIRE_TIME_BYTES];
    sb_wire_time(m->created_s, -1, at);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "type", "model");
    sb_jw_put_word(w, "id", m->id);
    sb_jw_put_word(w, "display_name", m->display_name ? m->display_name : m->id);
    sb_jw_put_word(w, "created_at", at);
    sb_jw_put_word(w, "lifecycle", "active");
    if (m->n_ctx > 0) {
        sb_jw_put_int(w, "max_input_tokens", m->n_ctx);
        sb_jw_put_int(w, "max_tokens", m->n_ctx);
    }
    sb_jw_close(w, '}');
}

sb_status sb_anthropic_models(sb_buf *out, const sb_anthropic_model *models, size_t n,
                              sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "data", '[');
    for (size_t i = 0; i < n; i++)
        put_model(&w, &models[i]);
    sb_jw_close(&w, ']');
    sb_jw_put_bool(&w, "has_more", false);
    sb_jw_put_word(&w, "first_id", n ? models[0].id : NULL);
    sb_jw_put_word(&w, "last_id", n ? models[n - 1].id : NULL);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_anthropic_model_body(sb_buf *out, const sb_anthropic_model *model, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    put_model(&w, model);
    return sb_jw_end(&w);
}

const sb_dialect sb_dialect_anthropic = {
    .name = "anthropic",
    .fields = SB_FIELDS_ANTHROPIC,
    .type = "application/json",
    .stream_type = "text/event-stream",
    .ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    .parse = sb_anthropic_parse,
    .voice_bytes = sizeof(anthropic_voice),
    .begin = begin,
    .progress = progress,
    .event = event,
    .choice = choice,
    .end = end,
    .fail = fail,
    .refuse = refuse,
};
