/* SPDX-License-Identifier: Apache-2.0
 * respond_voice.c - an answer as output items: reasoning, message, function_call, one open at a
 * time.
 *
 * A finished item is written down once; its own last event, the final object and the stored one are
 * cut from that text. Reasoning goes out as what it is, reasoning_text; a client that asks for a
 * summary of it gets the same words in the summary's place, because only there it looks. */
#include "server/wire/respond_out.h"

#include "base/limits.h"
#include "server/wire/logprobs_out.h"
#include "server/wire/openai.h"

#include <string.h>

typedef struct respond_voice {
    sb_voice_head head;
    bool as_summary;
    int64_t seq;                          /* number of the next event */
    sb_respond_kind open;                 /* what is open, or SB_RESPOND_NONE */
    int64_t i_item;                       /* its place, or the next one's */
    sb_buf text, call_id, name, logprobs; /* of it */
    sb_buf items;                         /* finished ones, joined by commas */
    sb_buf object, input;                 /* what is stored in the end */
} respond_voice;

static respond_voice *state_of(sb_voice *v)
{
    return (respond_voice *)(void *)v;
}

static const sb_voice *of(const respond_voice *s)
{
    return (const sb_voice *)(const void *)s;
}

static sb_str view(const sb_buf *b)
{
    return (sb_str){b->p, b->n};
}

/* ---- the open item ---- */

/* Writes a finished item down. */
static sb_status keep_item(respond_voice *s, const sb_respond_item *it, const char *status,
                           sb_error *err)
{
    sb_jw w;
    if (s->items.n) SB_TRY(sb_buf_add(&s->items, ",", 1, err));
    sb_jw_begin(&w, &s->items, err);
    sb_respond_put_item(&w, of(s), it, status, true);
    return sb_jw_end(&w);
}

static sb_respond_item open_item_of(const respond_voice *s)
{
    return (sb_respond_item){.kind = s->open,
                             .as_summary = s->as_summary,
                             .i = s->i_item,
                             .text = view(&s->text),
                             .call_id = view(&s->call_id),
                             .name = view(&s->name),
                             .logprobs = view(&s->logprobs)};
}

/* ---- events ---- */

static void open_event(sb_jw *w, respond_voice *s, const char *type)
{
    sb_jw_sse_open(w, type);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "type", type);
    sb_jw_put_int(w, "sequence_number", s->seq++);
}

static void close_event(sb_jw *w)
{
    sb_jw_close(w, '}');
    sb_jw_sse_close(w);
}

/* An event of the open item. */
static void open_item_event(sb_jw *w, respond_voice *s, const char *type, bool has_part)
{
    open_event(w, s, type);
    sb_respond_put_item_id(w, of(s), "item_id", s->open, s->i_item);
    sb_jw_put_int(w, "output_index", s->i_item);
    const bool summary = s->open == SB_RESPOND_REASONING && s->as_summary;
    if (has_part) sb_jw_put_int(w, summary ? "summary_index" : "content_index", 0);
}

/* item_added, item_done */
static void say_item(sb_jw *w, respond_voice *s, const char *type, const char *status, bool full)
{
    const sb_respond_item it = open_item_of(s);
    open_event(w, s, type);
    sb_jw_put_int(w, "output_index", s->i_item);
    sb_jw_key(w, "item");
    sb_respond_put_item(w, of(s), &it, status, full);
    close_event(w);
}

/* The names of the events of a part, by what it is. */
typedef struct part_words {
    const char *added, *delta, *text_done, *done;
} part_words;

static const part_words *words_of(const respond_voice *s)
{
    static const part_words message = {"response.content_part.added", "response.output_text.delta",
                                       "response.output_text.done", "response.content_part.done"};
    static const part_words reasoning = {
        "response.content_part.added", "response.reasoning_text.delta",
        "response.reasoning_text.done", "response.content_part.done"};
    static const part_words summary = {
        "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done", "response.reasoning_summary_part.done"};
    if (s->open == SB_RESPOND_MESSAGE) return &message;
    return s->as_summary ? &summary : &reasoning;
}

static void say_part(sb_jw *w, respond_voice *s, const char *type)
{
    const sb_respond_item it = open_item_of(s);
    open_item_event(w, s, type, true);
    sb_jw_key(w, "part");
    sb_respond_put_part(w, &it);
    close_event(w);
}

static void say_text_done(sb_jw *w, respond_voice *s)
{
    if (s->open == SB_RESPOND_CALL) {
        open_item_event(w, s, "response.function_call_arguments.done", false);
        sb_jw_put_text(w, "name", view(&s->name));
        sb_jw_put_text(w, "arguments", view(&s->text));
        close_event(w);
        return;
    }
    open_item_event(w, s, words_of(s)->text_done, true);
    sb_jw_put_text(w, "text", view(&s->text));
    if (s->open == SB_RESPOND_MESSAGE) sb_respond_put_list(w, "logprobs", view(&s->logprobs));
    close_event(w);
    say_part(w, s, words_of(s)->done);
}

static sb_status close_item(respond_voice *s, sb_jw *w, const char *status)
{
    if (s->open == SB_RESPOND_NONE) return SB_OK;
    const sb_respond_item it = open_item_of(s);
    SB_TRY(keep_item(s, &it, status, w->err));
    say_text_done(w, s);
    say_item(w, s, "response.output_item.done", status, true);
    s->open = SB_RESPOND_NONE;
    s->i_item++;
    return SB_OK;
}

static sb_status open_item(respond_voice *s, sb_jw *w, sb_respond_kind kind,
                           const sb_output_event *e)
{
    SB_TRY(close_item(s, w, "completed"));
    s->open = kind;
    sb_buf_clear(&s->text);
    sb_buf_clear(&s->logprobs);
    sb_buf_clear(&s->call_id);
    sb_buf_clear(&s->name);
    if (kind == SB_RESPOND_CALL) {
        SB_TRY(sb_buf_add(&s->call_id, e->id.p, e->id.n, w->err));
        SB_TRY(sb_buf_add(&s->name, e->text.p, e->text.n, w->err));
    }
    say_item(w, s, "response.output_item.added", "in_progress", false);
    if (kind != SB_RESPOND_CALL) say_part(w, s, words_of(s)->added);
    return SB_OK;
}

/* Of ids [from, to), kept for the end, too. */
static sb_status put_delta_logprobs(sb_jw *w, const sb_voice *v, respond_voice *s, const sb_turn *t)
{
    const sb_tally *y = sb_voice_tally(v, 0);
    const size_t before = s->logprobs.n;
    if (t->logprobs && y->from < y->n_seen) {
        sb_jw own;
        if (before) SB_TRY(sb_buf_add(&s->logprobs, ",", 1, w->err));
        sb_jw_begin(&own, &s->logprobs, w->err);
        sb_jw_logprobs(&own, v, t, y->from, y->n_seen, false);
        SB_TRY(sb_jw_end(&own));
    }
    const size_t skip = before && s->logprobs.n > before ? before + 1 : before;
    sb_respond_put_list(w, "logprobs",
                        s->logprobs.n ? (sb_str){s->logprobs.p + skip, s->logprobs.n - skip}
                                      : (sb_str){0});
    return SB_OK;
}

static sb_status say_delta(sb_voice *v, sb_jw *w, const sb_output_event *e, const sb_turn *t)
{
    respond_voice *s = state_of(v);
    SB_TRY(sb_buf_add(&s->text, e->text.p, e->text.n, w->err));
    if (s->open == SB_RESPOND_CALL)
        open_item_event(w, s, "response.function_call_arguments.delta", false);
    else
        open_item_event(w, s, words_of(s)->delta, true);
    sb_jw_put_text(w, "delta", e->text);
    if (s->open == SB_RESPOND_MESSAGE) SB_TRY(put_delta_logprobs(w, v, s, t));
    close_event(w);
    return SB_OK;
}

static sb_status say_event(sb_voice *v, sb_jw *w, const sb_output_event *e, const sb_turn *t)
{
    respond_voice *s = state_of(v);
    switch (e->kind) {
    case SB_OUTPUT_CONTENT:
        if (s->open != SB_RESPOND_MESSAGE) SB_TRY(open_item(s, w, SB_RESPOND_MESSAGE, e));
        return say_delta(v, w, e, t);
    case SB_OUTPUT_REASONING:
        if (s->open != SB_RESPOND_REASONING) SB_TRY(open_item(s, w, SB_RESPOND_REASONING, e));
        return say_delta(v, w, e, t);
    case SB_OUTPUT_CALL_BEGIN:
        return open_item(s, w, SB_RESPOND_CALL, e);
    case SB_OUTPUT_CALL_ARGS:
        return say_delta(v, w, e, t);
    case SB_OUTPUT_CALL_END:
        return close_item(s, w, "completed");
    }
    return SB_OK;
}

/* ---- the voice ---- */

static sb_status begin(sb_voice *v, sb_buf *out, sb_error *err)
{
    respond_voice *s = state_of(v);
    const json_t *reasoning = json_object_get(s->head.ask->root, "reasoning");
    const char *summary = json_string_value(json_object_get(reasoning, "summary"));
    s->as_summary = summary && strcmp(summary, "none") != 0;
    sb_buf *const all[] = {&s->text,  &s->call_id, &s->name, &s->logprobs,
                           &s->items, &s->object,  &s->input};
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++)
        sb_buf_init(all[i], SB_MAX_REPLY_BYTES, "response");
    if (!s->head.ask->stream) return SB_OK;
    static const char *const types[] = {"response.created", "response.in_progress"};
    sb_jw w;
    sb_jw_begin(&w, out, err);
    for (size_t i = 0; i < SB_ARRAY_LEN(types); i++) {
        open_event(&w, s, types[i]);
        sb_jw_key(&w, "response");
        sb_respond_put_object(&w, v, (sb_str){0}, NULL, NULL);
        close_event(&w);
    }
    return sb_jw_end(&w);
}

static sb_status event(sb_voice *v, int32_t i_choice, const sb_output_event *e, const sb_turn *t,
                       sb_buf *out, sb_error *err)
{
    (void)sb_voice_count(v, i_choice, e, t);
    if (!sb_voice_head_of(v)->ask->stream || sb_voice_skips(v, e)) return SB_OK;
    sb_jw w;
    sb_jw_begin(&w, out, err);
    const sb_status s = say_event(v, &w, e, t);
    if (w.status == SB_OK) w.status = s;
    return sb_jw_end(&w);
}

static sb_status choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out, sb_error *err)
{
    (void)v, (void)i_choice, (void)t, (void)out, (void)err;
    return SB_OK; // there is one, and `end` says the rest
}

/* Without a stream: the items of a turn, all at once. */
static sb_status keep_whole(sb_voice *v, const sb_turn *t, const sb_respond_end *e, sb_error *err)
{
    respond_voice *s = state_of(v);
    const size_t n_calls = sb_voice_n_calls(v, t);
    if (t->reasoning.n) {
        const bool last = !t->content.n && !n_calls;
        const sb_respond_item it = {.kind = SB_RESPOND_REASONING,
                                    .as_summary = s->as_summary,
                                    .i = s->i_item++,
                                    .text = view(&t->reasoning)};
        SB_TRY(keep_item(s, &it, last ? e->item_status : "completed", err));
    }
    if (t->content.n) {
        sb_jw own;
        sb_jw_begin(&own, &s->logprobs, err);
        sb_jw_logprobs(&own, v, t, 0, t->ids.n, false);
        SB_TRY(sb_jw_end(&own));
        const sb_respond_item it = {.kind = SB_RESPOND_MESSAGE,
                                    .i = s->i_item++,
                                    .text = view(&t->content),
                                    .logprobs = view(&s->logprobs)};
        SB_TRY(keep_item(s, &it, n_calls ? "completed" : e->item_status, err));
    }
    for (size_t i = 0; i < n_calls; i++) {
        const sb_tool_call *c = &t->calls[i];
        const sb_respond_item it = {.kind = SB_RESPOND_CALL,
                                    .i = s->i_item++,
                                    .text = c->arguments,
                                    .call_id = c->id,
                                    .name = c->name};
        SB_TRY(keep_item(s, &it, "completed", err));
    }
    return SB_OK;
}

static sb_status write_object(respond_voice *s, const sb_respond_end *e, const sb_turn *t,
                              sb_error *err)
{
    sb_jw w;
    sb_buf_clear(&s->object);
    sb_jw_begin(&w, &s->object, err);
    sb_respond_put_object(&w, of(s), view(&s->items), e, t);
    return sb_jw_end(&w);
}

/* The open item, the object, and the last event. */
static sb_status say_end(respond_voice *s, const sb_respond_end *e, const sb_turn *t, sb_jw *w)
{
    SB_TRY(close_item(s, w, e->item_status));
    SB_TRY(write_object(s, e, t, w->err));
    open_event(w, s, e->event);
    sb_jw_key(w, "response");
    sb_jw_raw(w, view(&s->object));
    close_event(w);
    return SB_OK;
}

static sb_status say_stream_end(respond_voice *s, const sb_respond_end *e, const sb_turn *t,
                                sb_buf *out, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    const sb_status status = say_end(s, e, t, &w);
    if (w.status == SB_OK) w.status = status;
    return sb_jw_end(&w);
}

static sb_status end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    respond_voice *s = state_of(v);
    const sb_respond_end e = sb_respond_end_of(&turns[0]);
    if (s->head.ask->stream) return say_stream_end(s, &e, &turns[0], out, err);
    SB_TRY(keep_whole(v, &turns[0], &e, err));
    SB_TRY(write_object(s, &e, &turns[0], err));
    return sb_buf_add(out, s->object.p, s->object.n, err);
}

static sb_status fail(sb_voice *v, const sb_wire_error *we, sb_buf *out, sb_error *err)
{
    respond_voice *s = state_of(v);
    const sb_respond_end e = {"failed",          "incomplete",
                              "response.failed", we->code ? we->code : "server_error",
                              we->err.msg,       NULL};
    if (s->head.ask->stream) return say_stream_end(s, &e, NULL, out, err);
    SB_TRY(write_object(s, &e, NULL, err));
    return sb_openai_refuse(we, s->head.facts.request_id, out, err);
}

static void deinit(sb_voice *v)
{
    respond_voice *s = state_of(v);
    sb_buf *const all[] = {&s->text,  &s->call_id, &s->name, &s->logprobs,
                           &s->items, &s->object,  &s->input};
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++)
        sb_buf_deinit(all[i]);
}

sb_status sb_respond_get_record(sb_voice *v, sb_respond_record *out, sb_error *err)
{
    respond_voice *s = state_of(v);
    const char *previous = s->head.ask->previous_response_id;
    sb_jw w;
    sb_buf_clear(&s->input);
    sb_jw_begin(&w, &s->input, err);
    sb_respond_put_inputs(&w, v);
    SB_TRY(sb_jw_end(&w));
    *out = (sb_respond_record){.object = view(&s->object),
                               .items = view(&s->input),
                               .previous = {previous, previous ? strlen(previous) : 0}};
    return SB_OK;
}

const sb_dialect sb_dialect_responses = {.name = "responses",
                                         .fields = SB_FIELDS_RESPONSES,
                                         .type = "application/json",
                                         .stream_type = "text/event-stream",
                                         .ping = ": ping\n\n",
                                         .parse = sb_respond_parse,
                                         .voice_bytes = sizeof(respond_voice),
                                         .begin = begin,
                                         .event = event,
                                         .choice = choice,
                                         .end = end,
                                         .fail = fail,
                                         .deinit = deinit,
                                         .refuse = sb_openai_refuse};
