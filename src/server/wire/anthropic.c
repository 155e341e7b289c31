/* SPDX-License-Identifier: Apache-2.0
 * anthropic.c - a body of the Messages API to an ask.
 *
 * Turns of one role in a row are one message, as that API has it, so that templates which want the
 * roles to alternate are content; a tool's result is a message of its own. What another server's
 * own tools left in a conversation (searches, code runs) cannot be told to a model here and is left
 * out with a warning. */
#include "server/wire/anthropic.h"

#include "base/limits.h"
#include "server/wire/chat_messages.h"
#include "server/wire/dialog.h"
#include "server/wire/sampling_in.h"

#include <stdio.h>
#include <string.h>

enum { MIN_BUDGET = 1024 }; /* tokens of thinking */

/* What is being read: the conversation, and where in the body. */
typedef struct reading {
    sb_ask *ask;
    sb_wire_error *w;
    sb_dialog d;
} reading;

static bool is(sb_str s, const char *word)
{
    return s.n == strlen(word) && (s.n == 0 || memcmp(s.p, word, s.n) == 0);
}

static bool last_is(const reading *r, const char *role)
{
    return r->d.n && is(r->d.m[r->d.n - 1].role, role);
}

/* The last message is of this role from now on. */
static sb_status ensure(reading *r, const char *role)
{
    return last_is(r, role) ? SB_OK : sb_dialog_add(&r->d, role);
}

static sb_status say(reading *r, const char *role, sb_str text)
{
    SB_TRY(ensure(r, role));
    return sb_dialog_text(&r->d, text);
}

/* ---- blocks ---- */

/* A block's type; f: the block. */
static sb_status block_type(const sb_fields *f, sb_str *out)
{
    *out = (sb_str){0};
    if (!json_is_object(f->o)) return sb_field_fail(f, "", SB_INVALID, "an object is expected");
    SB_TRY(sb_field_text(f, "type", SB_MAX_ID_BYTES, out));
    return out->p ? SB_OK : sb_field_fail(f, "type", SB_INVALID, "missing");
}

static sb_status need_text(const sb_fields *f, const char *name, size_t max, sb_str *out)
{
    *out = (sb_str){0};
    SB_TRY(sb_field_text(f, name, max, out));
    return out->p ? SB_OK : sb_field_fail(f, name, SB_INVALID, "missing");
}

static sb_status read_texts(reading *r, const char *role, const json_t *v, const char *path);

/* A document that is text already. */
static sb_status read_document(reading *r, const char *role, const sb_fields *f)
{
    char path[SB_PATH_ROOM];
    (void)snprintf(path, sizeof path, "%ssource.", f->path);
    const sb_fields source = {json_object_get(f->o, "source"), path, r->w};
    sb_str type, data;
    SB_TRY(block_type(&source, &type));
    if (is(type, "text")) {
        SB_TRY(need_text(&source, "data", SB_MAX_PROMPT_BYTES, &data));
        return say(r, role, data);
    }
    if (!is(type, "content"))
        return sb_field_fail(&source, "type", SB_UNSUPPORTED,
                             "only text documents can be read yet");
    (void)snprintf(path, sizeof path, "%ssource.content", f->path);
    return read_texts(r, role, json_object_get(source.o, "content"), path);
}

/* A search result of the client's: its title, where it is from, and its texts. */
static sb_status read_search(reading *r, const char *role, const sb_fields *f)
{
    char path[SB_PATH_ROOM];
    sb_str title, source;
    SB_TRY(need_text(f, "title", SB_MAX_PROMPT_BYTES, &title));
    SB_TRY(need_text(f, "source", SB_MAX_PROMPT_BYTES, &source));
    SB_TRY(say(r, role, title));
    SB_TRY(say(r, role, source));
    (void)snprintf(path, sizeof path, "%scontent", f->path);
    return read_texts(r, role, json_object_get(f->o, "content"), path);
}

/* A block that is text, whoever it is from: the user, a system prompt, a tool. */
static sb_status read_text_block(reading *r, const char *role, const sb_fields *f, sb_str type)
{
    sb_str text;
    if (is(type, "text")) {
        SB_TRY(need_text(f, "text", SB_MAX_PROMPT_BYTES, &text));
        return say(r, role, text);
    }
    if (is(type, "document")) return read_document(r, role, f);
    if (is(type, "search_result")) return read_search(r, role, f);
    if (is(type, "tool_reference")) {
        SB_TRY(need_text(f, "tool_name", SB_MAX_TOOL_NAME_BYTES, &text));
        return say(r, role, text);
    }
    if (is(type, "image"))
        return sb_field_fail(f, "type", SB_UNSUPPORTED, "images cannot be read yet");
    return sb_field_fail(f, "type", SB_INVALID, "a %.*s block cannot stand here",
                         (int)(type.n < 40 ? type.n : 40), type.p);
}

/* A string, or a list of blocks that are text. */
static sb_status read_texts(reading *r, const char *role, const json_t *v, const char *path)
{
    const sb_fields all = {NULL, path, r->w};
    if (json_is_string(v)) return say(r, role, sb_json_str(v));
    if (!json_is_array(v))
        return sb_field_fail(&all, "", SB_INVALID, "a string or a list of blocks is expected");
    for (size_t i = 0; i < json_array_size(v); i++) {
        char at[SB_PATH_ROOM];
        (void)snprintf(at, sizeof at, "%s[%zu].", path, i);
        const sb_fields f = {json_array_get(v, i), at, r->w};
        sb_str type;
        SB_TRY(block_type(&f, &type));
        SB_TRY(read_text_block(r, role, &f, type));
    }
    return SB_OK;
}

/* ---- messages ---- */

static sb_status read_tool_result(reading *r, const sb_fields *f)
{
    char path[SB_PATH_ROOM];
    sb_str id;
    SB_TRY(need_text(f, "tool_use_id", SB_MAX_ID_BYTES, &id));
    SB_TRY(sb_dialog_add(&r->d, "tool"));
    sb_dialog_last(&r->d)->tool_call_id = id;
    const json_t *content = sb_field_find(f, "content");
    (void)snprintf(path, sizeof path, "%scontent", f->path);
    if (content) SB_TRY(read_texts(r, "tool", content, path));
    const sb_message *m = sb_dialog_last(&r->d);
    if (m->content.p || m->n_parts) return SB_OK;
    return sb_dialog_text(&r->d, (sb_str){"", 0});
}

static sb_status read_tool_use(reading *r, const sb_fields *f)
{
    sb_str id, name;
    const json_t *input = NULL;
    SB_TRY(need_text(f, "id", SB_MAX_ID_BYTES, &id));
    SB_TRY(need_text(f, "name", SB_MAX_TOOL_NAME_BYTES, &name));
    SB_TRY(sb_tool_name_check(f, "name", name));
    SB_TRY(sb_field_object(f, "input", &input));
    SB_TRY(ensure(r, "assistant"));
    return sb_dialog_call(&r->d, id, name, input);
}

static bool ends_with(sb_str s, const char *tail)
{
    const size_t n = strlen(tail);
    return s.n >= n && memcmp(s.p + s.n - n, tail, n) == 0;
}

/* What a server's own tools leave in a conversation. */
static bool is_foreign(sb_str type)
{
    return is(type, "server_tool_use") || is(type, "mcp_tool_use") ||
           is(type, "container_upload") || is(type, "compaction") || is(type, "fallback") ||
           (ends_with(type, "_tool_result") && !is(type, "tool_result"));
}

static sb_status read_assistant_block(reading *r, const sb_fields *f, sb_str type)
{
    sb_str text;
    if (is(type, "thinking")) {
        SB_TRY(need_text(f, "thinking", SB_MAX_PROMPT_BYTES, &text));
        SB_TRY(ensure(r, "assistant"));
        return sb_dialog_think(&r->d, text);
    }
    if (is(type, "redacted_thinking")) return SB_OK; // nobody here can read it
    if (is(type, "tool_use")) return read_tool_use(r, f);
    return read_text_block(r, "assistant", f, type);
}

static sb_status read_block(reading *r, const char *role, const sb_fields *f)
{
    sb_str type;
    SB_TRY(block_type(f, &type));
    if (is_foreign(type))
        return sb_ask_warn(r->ask, &r->w->err, "%stype: a block of a server's own tool, left out",
                           f->path);
    if (role[0] == 'a') return read_assistant_block(r, f, type);
    if (role[0] == 'u' && is(type, "tool_result")) return read_tool_result(r, f);
    return read_text_block(r, role, f, type);
}

/* A message of blocks that all say nothing to a model is an empty one. */
static sb_status read_blocks(reading *r, const char *role, const json_t *content, const char *path)
{
    const size_t n_before = r->d.n;
    for (size_t i = 0; i < json_array_size(content); i++) {
        char at[SB_PATH_ROOM];
        (void)snprintf(at, sizeof at, "%scontent[%zu].", path, i);
        const sb_fields f = {json_array_get(content, i), at, r->w};
        SB_TRY(read_block(r, role, &f));
    }
    if (r->d.n > n_before || last_is(r, role)) {
        const sb_message *m = sb_dialog_last(&r->d);
        if (m->content.p || m->n_parts || m->n_calls || m->reasoning.n) return SB_OK;
    }
    return say(r, role, (sb_str){"", 0});
}

/* A system message in the middle is the user's side of the conversation: most templates know one
 * system prompt, at the front. */
static const char *role_of(const reading *r, sb_str role)
{
    if (is(role, "user")) return "user";
    if (is(role, "assistant")) return "assistant";
    if (!is(role, "system")) return NULL;
    return r->d.n == 0 || (r->d.n == 1 && last_is(r, "system")) ? "system" : "user";
}

static sb_status read_message(reading *r, const json_t *m, size_t i)
{
    char path[32];
    (void)snprintf(path, sizeof path, "messages[%zu].", i);
    const sb_fields f = {m, path, r->w};
    sb_str word;
    if (!json_is_object(m)) return sb_field_fail(&f, "", SB_INVALID, "an object is expected");
    SB_TRY(need_text(&f, "role", SB_MAX_ID_BYTES, &word));
    const char *role = role_of(r, word);
    if (!role) return sb_field_fail(&f, "role", SB_INVALID, "user or assistant is expected");
    const json_t *content = sb_field_find(&f, "content");
    if (json_is_string(content)) return say(r, role, sb_json_str(content));
    if (!json_is_array(content))
        return sb_field_fail(&f, "content", SB_INVALID, "a string or a list of blocks is expected");
    return read_blocks(r, role, content, path);
}

static sb_status read_conversation(sb_ask *a, sb_prompt_request *out, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    const json_t *list = NULL, *system = sb_field_find(&f, "system");
    reading r = {.ask = a, .w = w};
    sb_dialog_init(&r.d, a, w);
    if (system) SB_TRY(read_texts(&r, "system", system, "system"));
    SB_TRY(sb_field_list(&f, "messages", &list));
    if (!json_array_size(list))
        return sb_field_fail(&f, "messages", SB_INVALID, "at least one message is expected");
    for (size_t i = 0; i < json_array_size(list); i++)
        SB_TRY(read_message(&r, json_array_get(list, i), i));
    const sb_message *last = sb_dialog_last(&r.d);
    if (last_is(&r, "assistant") && !last->n_calls && (last->content.n || last->n_parts))
        out->end = SB_PROMPT_CONTINUE;
    return sb_dialog_end(&r.d, "messages", out);
}

/* ---- tools ---- */

static sb_status read_tool(sb_tools *t, const sb_fields *f)
{
    sb_str type = {0}, name, description = {0};
    const json_t *schema = NULL;
    SB_TRY(sb_field_text(f, "type", SB_MAX_ID_BYTES, &type));
    if (type.p && !is(type, "custom"))
        return sb_ask_warn(t->ask, &t->w->err, "%stype: a server's own tool, not on offer here",
                           f->path);
    SB_TRY(need_text(f, "name", SB_MAX_TOOLS_BYTES, &name));
    SB_TRY(sb_field_text(f, "description", SB_MAX_TOOLS_BYTES, &description));
    SB_TRY(sb_field_object(f, "input_schema", &schema));
    if (!schema) return sb_field_fail(f, "input_schema", SB_INVALID, "missing");
    return sb_tools_add(t, f, name, description, schema);
}

/* Whether the tools are on offer in this answer. */
static sb_status read_tool_choice(sb_ask *a, sb_wire_error *w, bool *out_offer)
{
    const sb_fields f = {a->root, "", w};
    const json_t *choice = NULL;
    sb_str type = {0};
    *out_offer = true;
    SB_TRY(sb_field_object(&f, "tool_choice", &choice));
    if (!choice) return SB_OK;
    const sb_fields c = {choice, "tool_choice.", w};
    SB_TRY(sb_field_bool(&c, "disable_parallel_tool_use", &a->one_call));
    SB_TRY(need_text(&c, "type", SB_MAX_ID_BYTES, &type));
    if (is(type, "auto")) return SB_OK;
    *out_offer = false;
    if (is(type, "none")) return SB_OK;
    if (is(type, "any") || is(type, "tool"))
        return sb_field_fail(&f, "tool_choice", SB_UNSUPPORTED,
                             "a forced call is not supported yet (auto and none are)");
    return sb_field_fail(&c, "type", SB_INVALID, "auto, any, tool or none is expected");
}

static sb_status read_tools(sb_ask *a, sb_str *out, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    const json_t *list = NULL;
    bool offer;
    SB_TRY(read_tool_choice(a, w, &offer));
    SB_TRY(sb_field_list(&f, "tools", &list));
    return sb_tools_read(a, w, list, read_tool, offer, out);
}

/* ---- the rest ---- */

static sb_status read_budget(sb_ask *a, const sb_fields *thinking, int32_t max_tokens)
{
    int64_t budget = -1;
    SB_TRY(sb_field_int(thinking, "budget_tokens", MIN_BUDGET, INT32_MAX, &budget));
    if (budget < 0) return sb_field_fail(thinking, "budget_tokens", SB_INVALID, "missing");
    if (max_tokens >= 0 && budget >= max_tokens)
        return sb_field_fail(thinking, "budget_tokens", SB_INVALID,
                             "%lld is not below max_tokens (%d)", (long long)budget, max_tokens);
    return sb_ask_warn(a, &thinking->w->err,
                       "thinking.budget_tokens: no limit of its own yet, max_tokens holds");
}

/* adaptive, and saying nothing, leave it to the model. */
static sb_status read_thinking(sb_ask *a, const sb_turn_request *t, sb_prompt_request *out,
                               sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    const json_t *thinking = NULL;
    sb_str type = {0};
    SB_TRY(sb_field_object(&f, "thinking", &thinking));
    if (!thinking) return SB_OK;
    const sb_fields o = {thinking, "thinking.", w};
    SB_TRY(need_text(&o, "type", SB_MAX_ID_BYTES, &type));
    if (is(type, "enabled")) {
        SB_TRY(read_budget(a, &o, t->max_tokens));
        out->thinking = SB_THINKING_ON;
    } else if (is(type, "disabled")) {
        out->thinking = SB_THINKING_OFF;
    } else if (!is(type, "adaptive") && !is(type, "between_tools")) {
        return sb_field_fail(&o, "type", SB_INVALID, "enabled, disabled or adaptive is expected");
    }
    return SB_OK;
}

static sb_status read_output_config(sb_ask *a, sb_prompt_request *out, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    const json_t *config = NULL;
    SB_TRY(sb_field_object(&f, "output_config", &config));
    const sb_fields c = {config, "output_config.", w};
    if (sb_field_find(&c, "format"))
        return sb_field_fail(&c, "format", SB_UNSUPPORTED, "a schema is not supported yet");
    return sb_field_text(&c, "effort", SB_MAX_ID_BYTES, &out->reasoning_effort);
}

static sb_status read_limits(sb_ask *a, sb_turn_request *t, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    SB_TRY(sb_field_i32(&f, "max_tokens", 1, INT32_MAX, &t->max_tokens));
    if (t->max_tokens < 0 && !a->opts.count_only)
        return sb_field_fail(&f, "max_tokens", SB_INVALID, "missing");
    SB_TRY(sb_sampling_read(&f, &t->sampling));
    SB_TRY(sb_seed_read(&f, a, &t->sampling));
    SB_TRY(sb_stops_read(&f, "stop_sequences", a, t));
    SB_TRY(sb_field_bool(&f, "ignore_eos", &a->ignore_eos));
    t->ignore_end = a->ignore_eos;
    return SB_OK;
}

sb_status sb_anthropic_parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    sb_turn_request t = {.sampling = sb_sampling_openai, .max_tokens = -1, .n_logprobs = -1};
    a->want_progress = true;
    SB_TRY(sb_common_read(&f, a, false));
    SB_TRY(read_limits(a, &t, w));
    SB_TRY(read_thinking(a, &t, &t.prompt, w));
    SB_TRY(read_output_config(a, &t.prompt, w));
    SB_TRY(read_tools(a, &t.prompt.tools, w));
    SB_TRY(read_conversation(a, &t.prompt, w));
    return sb_turns_make(&f, a, &t, 1, 1);
}
