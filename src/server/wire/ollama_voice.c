/* SPDX-License-Identifier: Apache-2.0
 * ollama_voice.c - answers as Ollama's clients read them: one JSON object a line.
 *
 * A call goes out when it is whole, because its arguments are an object here. created_at is when
 * the request came in, in every line. */
#include "server/wire/ollama.h"

#include "base/clock.h"
#include "server/wire/ask_fields.h"
#include "server/wire/logprobs_out.h"
#include "server/wire/ollama_list.h"
#include "server/wire/wire_time.h"

#include <string.h>

typedef struct ollama_voice {
    sb_voice_head head;
    size_t n_told; /* of the turn's ids: their log probabilities were sent */
} ollama_voice;

static ollama_voice *state_of(sb_voice *v)
{
    return (ollama_voice *)(void *)v;
}

static bool is_chat(const sb_voice_head *h)
{
    return h->ask->dialect == &sb_dialect_ollama_chat;
}

/* ---- pieces of a line ---- */

static void put_head(sb_jw *w, const sb_voice_head *h)
{
    char at[SB_WIRE_TIME_BYTES];
    sb_wire_time(h->facts.created_s, h->facts.created_ns, at);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "model", h->facts.model);
    sb_jw_put_word(w, "created_at", at);
}

static void put_call(sb_jw *w, const sb_turn *t, size_t i)
{
    const sb_tool_call *c = &t->calls[i];
    sb_jw_open(w, '{');
    sb_jw_put_text(w, "id", c->id);
    sb_jw_put_open(w, "function", '{');
    sb_jw_put_int(w, "index", (int64_t)i);
    sb_jw_put_text(w, "name", c->name);
    sb_jw_key(w, "arguments");
    sb_jw_raw(w, c->arguments.n ? c->arguments : (sb_str){"{}", 2});
    sb_jw_close(w, '}');
    sb_jw_close(w, '}');
}

/* What is said in one line: calls [first, end) of t. */
typedef struct saying {
    sb_str content, thinking;
    const sb_turn *t;
    size_t first_call, end_call;
} saying;

static void put_calls(sb_jw *w, const saying *s)
{
    if (s->first_call == s->end_call) return;
    sb_jw_put_open(w, "tool_calls", '[');
    for (size_t i = s->first_call; i < s->end_call; i++)
        put_call(w, s->t, i);
    sb_jw_close(w, ']');
}

static void put_saying(sb_jw *w, const sb_voice_head *h, const saying *s)
{
    if (is_chat(h)) {
        sb_jw_put_open(w, "message", '{');
        sb_jw_put_word(w, "role", "assistant");
    }
    sb_jw_put_text(w, is_chat(h) ? "content" : "response", s->content);
    if (s->thinking.n) sb_jw_put_text(w, "thinking", s->thinking);
    put_calls(w, s);
    if (is_chat(h)) sb_jw_close(w, '}');
}

static void put_logprobs(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t from, size_t to)
{
    if (!t->logprobs || from >= to) return;
    sb_jw_put_open(w, "logprobs", '[');
    sb_jw_logprobs(w, v, t, from, to, false);
    sb_jw_close(w, ']');
}

/* ---- the last line ---- */

static uint64_t since(uint64_t begin_ns)
{
    const uint64_t now = sb_now_ns();
    return now > begin_ns ? now - begin_ns : 0;
}

static void put_sums(sb_jw *w, const sb_voice_head *h, const sb_turn *t)
{
    sb_jw_put_uint(w, "total_duration", since(h->facts.begin_ns));
    sb_jw_put_uint(w, "load_duration", h->facts.load_ns);
    sb_jw_put_uint(w, "prompt_eval_count", t->prompt_ids.n);
    sb_jw_put_int(w, "prompt_cached_count", t->n_cached);
    sb_jw_put_uint(w, "prompt_eval_duration", t->prefill_ns);
    sb_jw_put_uint(w, "eval_count", t->ids.n);
    sb_jw_put_uint(w, "eval_duration", t->decode_ns);
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &t->energy);
    sb_jw_put_open(w, "usage", '{'); // where every dialect has it
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &t->energy);
    sb_jw_close(w, '}');
}

/* The ids that a client may send back to go on from here; a raw prompt is its writer's to keep. */
static void put_context(sb_jw *w, const sb_voice_head *h, const sb_turn *t)
{
    const sb_turn_request *r = &h->ask->turns[0];
    if (is_chat(h) || (!r->prompt.messages && !h->ask->n_context)) return;
    sb_jw_put_open(w, "context", '[');
    for (size_t i = 0; i < t->prompt_ids.n; i++)
        sb_jw_int(w, t->prompt_ids.v[i]);
    for (size_t i = 0; i < t->ids.n; i++)
        sb_jw_int(w, t->ids.v[i]);
    sb_jw_close(w, ']');
}

static void put_done(sb_jw *w, const char *reason)
{
    sb_jw_put_bool(w, "done", true);
    sb_jw_put_word(w, "done_reason", reason);
}

/* The model came, or went, and nothing was asked. */
static void put_placed(sb_jw *w, const sb_voice_head *h)
{
    put_saying(w, h, &(saying){0});
    put_done(w, h->ask->only_unload ? "unload" : "load");
}

static void put_end(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t n_told)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    const bool all = !h->ask->stream;
    const char *reason = sb_finish_ollama(t->finish);
    const char *detail = sb_finish_detail(t->finish, reason);
    const saying s = {.content = {t->content.p, all ? t->content.n : 0},
                      .thinking = {t->reasoning.p, all ? t->reasoning.n : 0},
                      .t = t,
                      .end_call = all ? sb_voice_n_calls(v, t) : 0};
    put_saying(w, h, &s);
    put_logprobs(w, v, t, n_told, t->ids.n);
    put_done(w, reason);
    if (detail) sb_jw_put_word(w, "finish_detail", detail);
    put_context(w, h, t);
    put_sums(w, h, t);
}

/* ---- the voice ---- */

static sb_status begin(sb_voice *v, sb_buf *out, sb_error *err)
{
    (void)v, (void)out, (void)err;
    return SB_OK;
}

static sb_status event(sb_voice *v, int32_t i_choice, const sb_output_event *e, const sb_turn *t,
                       sb_buf *out, sb_error *err)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    const size_t n_seen = sb_voice_count(v, i_choice, e, t)->n_seen;
    size_t *n_told = &state_of(v)->n_told;
    saying s = {.t = t};
    if (!h->ask->stream || sb_voice_skips(v, e)) return SB_OK;
    switch (e->kind) {
    case SB_OUTPUT_CONTENT:
        s.content = e->text;
        break;
    case SB_OUTPUT_REASONING:
        s.thinking = e->text;
        break;
    case SB_OUTPUT_CALL_BEGIN:
    case SB_OUTPUT_CALL_ARGS:
        return SB_OK;
    case SB_OUTPUT_CALL_END:
        s.first_call = (size_t)e->i_call;
        s.end_call = s.first_call + 1;
        break;
    }
    sb_jw w;
    sb_jw_begin(&w, out, err);
    put_head(&w, h);
    put_saying(&w, h, &s);
    put_logprobs(&w, v, t, *n_told, n_seen);
    sb_jw_put_bool(&w, "done", false);
    sb_jw_close(&w, '}');
    sb_jw_bytes(&w, "\n");
    *n_told = n_seen;
    return sb_jw_end(&w);
}

static sb_status choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out, sb_error *err)
{
    (void)v, (void)i_choice, (void)t, (void)out, (void)err;
    return SB_OK; // there is one, and `end` says the rest
}

static sb_status end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    put_head(&w, h);
    if (turns)
        put_end(&w, v, &turns[0], state_of(v)->n_told);
    else
        put_placed(&w, h);
    sb_jw_warnings(&w, h->ask);
    sb_jw_close(&w, '}');
    if (h->ask->stream) sb_jw_bytes(&w, "\n");
    return sb_jw_end(&w);
}

static sb_status fail(sb_voice *v, const sb_wire_error *e, sb_buf *out, sb_error *err)
{
    return sb_ollama_error(out, e->err.msg, sb_voice_head_of(v)->ask->stream, err);
}

static sb_status refuse(const sb_wire_error *e, const char *request_id, sb_buf *out, sb_error *err)
{
    (void)request_id; // stands in its header
    return sb_ollama_error(out, e->err.msg, false, err);
}

#define OLLAMA_VOICE                                                                               \
    .type = "application/json; charset=utf-8", .stream_type = "application/x-ndjson", .ping = "",  \
    .voice_bytes = sizeof(ollama_voice), .begin = begin, .event = event, .choice = choice,         \
    .end = end, .fail = fail, .refuse = refuse

const sb_dialect sb_dialect_ollama_chat = {.name = "ollama-chat",
                                           .fields = SB_FIELDS_OLLAMA_CHAT,
                                           .parse = sb_ollama_chat_parse,
                                           OLLAMA_VOICE};

const sb_dialect sb_dialect_ollama_generate = {.name = "ollama-generate",
                                               .fields = SB_FIELDS_OLLAMA_GENERATE,
                                               .parse = sb_ollama_generate_parse,
                                               OLLAMA_VOICE};
