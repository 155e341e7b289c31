/* SPDX-License-Identifier: Apache-2.0
 * respond_out.c - the objects of the Responses API. What a request asked for is repeated from its
 * body as it was sent. */
#include "server/wire/respond_out.h"

#include "base/clock.h"

#include <string.h>

/* ---- items ---- */

void sb_respond_put_item_id(sb_jw *w, const sb_voice *v, const char *key, sb_respond_kind kind,
                            int64_t i)
{
    static const char *const prefix[] = {[SB_RESPOND_NONE] = "",
                                         [SB_RESPOND_REASONING] = "rs_",
                                         [SB_RESPOND_MESSAGE] = "msg_",
                                         [SB_RESPOND_CALL] = "fc_"};
    char id[SB_CALL_ID_BYTES * 2];
    sb_respond_id(id, prefix[kind], sb_voice_head_of(v)->facts.id, "", i);
    sb_jw_put_word(w, key, id);
}

static void put_text_part(sb_jw *w, const char *type, sb_str text)
{
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "type", type);
    sb_jw_put_text(w, "text", text);
    sb_jw_close(w, '}');
}

void sb_respond_put_list(sb_jw *w, const char *key, sb_str items)
{
    sb_jw_put_open(w, key, '[');
    if (items.n) sb_jw_raw(w, items);
    sb_jw_close(w, ']');
}

void sb_respond_put_part(sb_jw *w, const sb_respond_item *it)
{
    if (it->kind == SB_RESPOND_REASONING) {
        put_text_part(w, it->as_summary ? "summary_text" : "reasoning_text", it->text);
        return;
    }
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "type", "output_text");
    sb_jw_put_text(w, "text", it->text);
    sb_respond_put_list(w, "annotations", (sb_str){0});
    sb_respond_put_list(w, "logprobs", it->logprobs);
    sb_jw_close(w, '}');
}

static void put_parts(sb_jw *w, const char *key, const sb_respond_item *it, bool any)
{
    sb_jw_put_open(w, key, '[');
    if (any) sb_respond_put_part(w, it);
    sb_jw_close(w, ']');
}

void sb_respond_put_item(sb_jw *w, const sb_voice *v, const sb_respond_item *it, const char *status,
                         bool full)
{
    sb_jw_open(w, '{');
    sb_respond_put_item_id(w, v, "id", it->kind, it->i);
    switch (it->kind) {
    case SB_RESPOND_REASONING:
        sb_jw_put_word(w, "type", "reasoning");
        put_parts(w, "summary", it, full && it->as_summary);
        if (!it->as_summary) put_parts(w, "content", it, full);
        break;
    case SB_RESPOND_MESSAGE:
        sb_jw_put_word(w, "type", "message");
        sb_jw_put_word(w, "role", "assistant");
        put_parts(w, "content", it, full);
        break;
    case SB_RESPOND_CALL:
        sb_jw_put_word(w, "type", "function_call");
        sb_jw_put_text(w, "call_id", it->call_id);
        sb_jw_put_text(w, "name", it->name);
        sb_jw_put_text(w, "arguments",
                       full ? (it->text.n ? it->text : (sb_str){"{}", 2}) : (sb_str){0});
        break;
    case SB_RESPOND_NONE:
        break;
    }
    sb_jw_put_word(w, "status", status);
    sb_jw_close(w, '}');
}

/* ---- the object ---- */

/* A member of the request, or what stands for it when it is not there. */
static void echo(sb_jw *w, const sb_voice *v, const char *key, const char *otherwise)
{
    const json_t *own = json_object_get(sb_voice_head_of(v)->ask->root, key);
    sb_jw_key(w, key);
    if (own && !json_is_null(own))
        sb_jw_json(w, own);
    else
        sb_jw_raw(w, (sb_str){otherwise, strlen(otherwise)});
}

static void put_usage(sb_jw *w, const sb_voice *v, const sb_turn *t)
{
    const int64_t n_prompt = (int64_t)t->prompt_ids.n, n_out = (int64_t)t->ids.n;
    sb_jw_put_open(w, "usage", '{');
    sb_jw_put_int(w, "input_tokens", n_prompt);
    sb_jw_put_open(w, "input_tokens_details", '{');
    sb_jw_put_int(w, "cached_tokens", t->n_cached);
    sb_jw_put_int(w, "cache_write_tokens", 0);
    sb_jw_close(w, '}');
    sb_jw_put_int(w, "output_tokens", n_out);
    sb_jw_put_open(w, "output_tokens_details", '{');
    sb_jw_put_int(w, "reasoning_tokens", sb_voice_tally(v, 0)->n_reasoning);
    sb_jw_close(w, '}');
    sb_jw_put_int(w, "total_tokens", n_prompt + n_out);
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &t->energy);
    sb_jw_close(w, '}');
}

sb_respond_end sb_respond_end_of(const sb_turn *t)
{
    const char *detail = sb_finish_detail(t->finish, "");
    switch (t->finish) {
    case SB_FINISH_STOP:
    case SB_FINISH_TOOL_CALLS:
    case SB_FINISH_COUNT:
        break;
    case SB_FINISH_LENGTH:
        return (sb_respond_end){"incomplete", "incomplete", "response.incomplete",
                                NULL,         NULL,         NULL};
    case SB_FINISH_ENERGY_BUDGET:
        return (sb_respond_end){"incomplete", "incomplete", "response.incomplete",
                                NULL,         NULL,         detail};
    case SB_FINISH_CANCELLED:
        return (sb_respond_end){"cancelled",
                                "incomplete",
                                "response.failed",
                                "server_error",
                                "the answer was cancelled",
                                detail};
    case SB_FINISH_ERROR:
    case SB_FINISH_NUMERIC_ERROR:
        return (sb_respond_end){"failed",       "incomplete",           "response.failed",
                                "server_error", "the answer broke off", detail};
    }
    return (sb_respond_end){"completed", "completed", "response.completed", NULL, NULL, NULL};
}

static void put_error(sb_jw *w, const sb_respond_end *e)
{
    sb_jw_key(w, "error");
    if (!e || !e->code) {
        sb_jw_null(w);
        return;
    }
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "code", e->code);
    sb_jw_put_word(w, "message", e->message);
    sb_jw_close(w, '}');
}

static void put_incomplete(sb_jw *w, const sb_respond_end *e)
{
    sb_jw_key(w, "incomplete_details");
    if (!e || strcmp(e->status, "incomplete") != 0) {
        sb_jw_null(w);
        return;
    }
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "reason", "max_output_tokens");
    sb_jw_close(w, '}');
}

/* What the request asked for, repeated. */
static void put_echoes(sb_jw *w, const sb_voice *v)
{
    const json_t *reasoning = json_object_get(sb_voice_head_of(v)->ask->root, "reasoning");
    const char *effort = json_string_value(json_object_get(reasoning, "effort"));
    const char *summary = json_string_value(json_object_get(reasoning, "summary"));
    echo(w, v, "instructions", "null");
    echo(w, v, "max_output_tokens", "null");
    echo(w, v, "max_tool_calls", "null");
    sb_jw_put_word(w, "model", sb_voice_head_of(v)->facts.model);
    echo(w, v, "parallel_tool_calls", "true");
    echo(w, v, "previous_response_id", "null");
    echo(w, v, "prompt_cache_key", "null");
    sb_jw_put_open(w, "reasoning", '{');
    sb_jw_put_word(w, "effort", effort);
    sb_jw_put_word(w, "summary", summary);
    sb_jw_close(w, '}');
    echo(w, v, "safety_identifier", "null");
    sb_jw_put_word(w, "service_tier", "default");
    sb_jw_put_bool(w, "store", sb_voice_head_of(v)->ask->store);
    echo(w, v, "temperature", "1.0");
    echo(w, v, "text", "{\"format\":{\"type\":\"text\"}}");
    echo(w, v, "tool_choice", "\"auto\"");
    echo(w, v, "tools", "[]");
    echo(w, v, "top_logprobs", "0");
    echo(w, v, "top_p", "1.0");
    echo(w, v, "truncation", "\"disabled\"");
    echo(w, v, "user", "null");
    echo(w, v, "metadata", "{}");
}

static int64_t now_s(const sb_voice_facts *f)
{
    const uint64_t now = sb_now_ns();
    const uint64_t ns = now > f->begin_ns ? now - f->begin_ns : 0;
    return f->created_s + (int64_t)(((uint64_t)f->created_ns + ns) / 1000000000);
}

void sb_respond_put_object(sb_jw *w, const sb_voice *v, sb_str items, const sb_respond_end *e,
                           const sb_turn *t)
{
    const sb_voice_facts *f = &sb_voice_head_of(v)->facts;
    char id[SB_CALL_ID_BYTES * 2];
    sb_respond_id(id, "resp_", f->id, "", -1);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "id", id);
    sb_jw_put_word(w, "object", "response");
    sb_jw_put_int(w, "created_at", f->created_s);
    sb_jw_put_word(w, "status", e ? e->status : "in_progress");
    sb_jw_put_bool(w, "background", false);
    sb_jw_key(w, "completed_at");
    if (e && strcmp(e->status, "completed") == 0)
        sb_jw_int(w, now_s(f));
    else
        sb_jw_null(w);
    put_error(w, e);
    put_incomplete(w, e);
    sb_respond_put_list(w, "output", items);
    put_echoes(w, v);
    if (t)
        put_usage(w, v, t);
    else
        sb_jw_put_null(w, "usage");
    if (e && e->detail) sb_jw_put_word(w, "finish_detail", e->detail);
    sb_jw_warnings(w, sb_voice_head_of(v)->ask);
    sb_jw_close(w, '}');
}

/* ---- what is stored ---- */

static const char *prefix_of(const json_t *input)
{
    const char *type = json_string_value(json_object_get(input, "type"));
    if (!type || strcmp(type, "message") == 0) return "msg_";
    if (strcmp(type, "function_call") == 0) return "fc_";
    if (strcmp(type, "reasoning") == 0) return "rs_";
    return "item_";
}

/* An item of the input with an id and a type, which its sender may leave out. */
static void put_input(sb_jw *w, const sb_voice *v, const json_t *input, size_t i)
{
    char id[SB_CALL_ID_BYTES * 2];
    sb_respond_id(id, prefix_of(input), sb_voice_head_of(v)->facts.id, "in", (int64_t)i);
    const bool has_id = json_string_length(json_object_get(input, "id")) > 0;
    const bool is_named = has_id && !json_object_get(input, "role");
    sb_jw_open(w, '{');
    if (!has_id) sb_jw_put_word(w, "id", id);
    if (!json_object_get(input, "type"))
        sb_jw_put_word(w, "type", is_named ? "item_reference" : "message");
    json_t *o = (json_t *)input;
    for (void *k = json_object_iter(o); k; k = json_object_iter_next(o, k)) {
        const char *key = json_object_iter_key(k);
        const json_t *value = json_object_iter_value(k);
        if (!has_id && strcmp(key, "id") == 0) continue;
        sb_jw_key_text(w, (sb_str){key, strlen(key)});
        if (strcmp(key, "content") == 0 && json_is_string(value)) {
            sb_jw_open(w, '[');
            const char *role = json_string_value(json_object_get(input, "role"));
            put_text_part(w, role && role[0] == 'a' ? "output_text" : "input_text",
                          (sb_str){json_string_value(value), json_string_length(value)});
            sb_jw_close(w, ']');
        } else {
            sb_jw_json(w, value);
        }
    }
    sb_jw_close(w, '}');
}

void sb_respond_put_inputs(sb_jw *w, const sb_voice *v)
{
    const json_t *input = json_object_get(sb_voice_head_of(v)->ask->root, "input");
    sb_jw_open(w, '[');
    if (json_is_string(input)) {
        char id[SB_CALL_ID_BYTES * 2];
        sb_respond_id(id, "msg_", sb_voice_head_of(v)->facts.id, "in", 0);
        sb_jw_open(w, '{');
        sb_jw_put_word(w, "id", id);
        sb_jw_put_word(w, "type", "message");
        sb_jw_put_word(w, "role", "user");
        sb_jw_put_open(w, "content", '[');
        put_text_part(w, "input_text",
                      (sb_str){json_string_value(input), json_string_length(input)});
        sb_jw_close(w, ']');
        sb_jw_close(w, '}');
    }
    for (size_t i = 0; i < json_array_size(input); i++)
        put_input(w, v, json_array_get(input, i), i);
    sb_jw_close(w, ']');
}
