/* SPDX-License-Identifier: Apache-2.0
 * chat_messages.c - messages and tools of OpenAI's and Ollama's shape. */
#include "server/wire/chat_messages.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

static bool is(const json_t *v, const char *word)
{
    return json_is_string(v) && json_string_length(v) == strlen(word) &&
           memcmp(json_string_value(v), word, strlen(word)) == 0;
}

/* ---- content ---- */

static sb_status read_part(sb_dialog *d, const sb_fields *f)
{
    static const char *const texts[] = {"text", "input_text", "output_text", "summary_text",
                                        "reasoning_text"};
    const json_t *type = json_object_get(f->o, "type");
    sb_str s = {0};
    if (!json_is_string(type)) return sb_field_fail(f, "type", SB_INVALID, "a string is expected");
    bool known = is(type, "refusal");
    if (known) SB_TRY(sb_field_text(f, "refusal", SB_MAX_PROMPT_BYTES, &s));
    for (size_t i = 0; !known && i < SB_ARRAY_LEN(texts); i++)
        if ((known = is(type, texts[i]))) SB_TRY(sb_field_text(f, "text", SB_MAX_PROMPT_BYTES, &s));
    if (!known) return sb_field_fail(f, "type", SB_UNSUPPORTED, "only text can be read so far");
    if (!s.p) return sb_field_fail(f, "text", SB_INVALID, "a string is expected");
    return sb_dialog_text(d, s);
}

sb_status sb_content_read(sb_dialog *d, const sb_fields *f, const char *name)
{
    const json_t *v = sb_field_find(f, name);
    if (!v) return SB_OK;
    if (json_is_string(v)) return sb_dialog_text(d, sb_json_str(v));
    if (!json_is_array(v))
        return sb_field_fail(f, name, SB_INVALID, "a string or a list of parts is expected");
    if (json_array_size(v) == 0) return sb_dialog_text(d, (sb_str){"", 0});
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *part = json_array_get(v, i);
        char path[SB_PATH_ROOM];
        if (json_is_string(part)) {
            SB_TRY(sb_dialog_text(d, sb_json_str(part)));
            continue;
        }
        (void)snprintf(path, sizeof path, "%s%s[%zu].", f->path, name, i);
        const sb_fields pf = {part, path, f->w};
        if (!json_is_object(part)) return sb_field_fail(&pf, "type", SB_INVALID, "is missing");
        SB_TRY(read_part(d, &pf));
    }
    return SB_OK;
}

/* ---- messages ---- */

static sb_status read_call(sb_dialog *d, const sb_fields *f)
{
    const json_t *function = NULL;
    sb_str id = {0}, name = {0};
    char path[SB_PATH_ROOM + 16];
    SB_TRY(sb_field_text(f, "id", SB_MAX_ID_BYTES, &id));
    SB_TRY(sb_field_object(f, "function", &function));
    if (!function) return sb_field_fail(f, "function", SB_INVALID, "an object is expected");
    (void)snprintf(path, sizeof path, "%sfunction.", f->path);
    const sb_fields ff = {function, path, f->w};
    SB_TRY(sb_field_text(&ff, "name", SB_MAX_TOOL_NAME_BYTES, &name));
    SB_TRY(sb_tool_name_check(&ff, "name", name));
    const json_t *arguments = sb_field_find(&ff, "arguments");
    if (arguments && !json_is_string(arguments) && !json_is_object(arguments))
        return sb_field_fail(&ff, "arguments", SB_INVALID, "JSON text or an object is expected");
    return sb_dialog_call(d, id, name, arguments);
}

static sb_status read_calls(sb_dialog *d, const sb_fields *f)
{
    const json_t *calls = NULL;
    SB_TRY(sb_field_list(f, "tool_calls", &calls));
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        char path[SB_PATH_ROOM];
        (void)snprintf(path, sizeof path, "%stool_calls[%zu].", f->path, i);
        const sb_fields cf = {call, path, f->w};
        if (!json_is_object(call))
            return sb_field_fail(&cf, "", SB_INVALID, "an object is expected");
        SB_TRY(read_call(d, &cf));
    }
    return SB_OK;
}

static sb_status read_assistant(sb_dialog *d, const sb_fields *f)
{
    static const char *const names[] = {"reasoning_content", "reasoning", "thinking"};
    sb_str s = {0};
    for (size_t i = 0; i < SB_ARRAY_LEN(names) && !s.n; i++)
        SB_TRY(sb_field_text(f, names[i], SB_MAX_PROMPT_BYTES, &s));
    if (s.n) SB_TRY(sb_dialog_think(d, s));
    if (!sb_dialog_last(d)->content.p && !sb_dialog_last(d)->n_parts) {
        sb_str refusal = {0};
        SB_TRY(sb_field_text(f, "refusal", SB_MAX_PROMPT_BYTES, &refusal));
        if (refusal.n) SB_TRY(sb_dialog_text(d, refusal));
    }
    return read_calls(d, f);
}

static sb_status read_message(sb_dialog *d, const sb_fields *f)
{
    static const struct {
        const char *word, *role;
    } roles[] = {{"user", "user"},     {"assistant", "assistant"}, {"tool", "tool"},
                 {"system", "system"}, {"developer", "developer"}, {"function", "tool"}};
    const json_t *role = json_object_get(f->o, "role"), *images = NULL;
    size_t i = 0;
    while (i < SB_ARRAY_LEN(roles) && !is(role, roles[i].word))
        i++;
    if (i == SB_ARRAY_LEN(roles))
        return sb_field_fail(f, "role", SB_INVALID,
                             "one of system, developer, user, assistant, tool is expected");
    SB_TRY(sb_dialog_add(d, roles[i].role));
    SB_TRY(sb_content_read(d, f, "content"));
    SB_TRY(sb_field_list(f, "images", &images));
    if (json_array_size(images))
        return sb_field_fail(f, "images", SB_UNSUPPORTED, "only text can be read so far");
    if (strcmp(roles[i].role, "assistant") == 0) return read_assistant(d, f);
    if (strcmp(roles[i].role, "tool") != 0) return SB_OK;
    sb_message *m = sb_dialog_last(d);
    SB_TRY(sb_field_text(f, "tool_call_id", SB_MAX_ID_BYTES, &m->tool_call_id));
    SB_TRY(sb_field_text(f, "tool_name", SB_MAX_TOOL_NAME_BYTES, &m->name));
    return sb_field_text(f, "name", SB_MAX_TOOL_NAME_BYTES, &m->name);
}

sb_status sb_messages_read(sb_dialog *d, const json_t *messages, const char *path)
{
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        char at[SB_PATH_ROOM];
        (void)snprintf(at, sizeof at, "%s[%zu].", path, i);
        const sb_fields f = {m, at, d->w};
        if (!json_is_object(m)) return sb_field_fail(&f, "role", SB_INVALID, "is missing");
        SB_TRY(read_message(d, &f));
    }
    return SB_OK;
}

/* ---- tools ---- */

sb_status sb_chat_tool_read(sb_tools *t, const sb_fields *f)
{
    const json_t *type = sb_field_find(f, "type"), *function = NULL;
    sb_str name = {0}, description = {0};
    char path[SB_PATH_ROOM + 16];
    if (type && !is(type, "function"))
        return sb_field_fail(f, "type", SB_UNSUPPORTED, "only \"function\" is supported");
    SB_TRY(sb_field_object(f, "function", &function));
    if (!function) return sb_field_fail(f, "function", SB_INVALID, "an object is expected");
    (void)snprintf(path, sizeof path, "%sfunction.", f->path);
    const sb_fields ff = {function, path, f->w};
    SB_TRY(sb_field_text(&ff, "name", SB_MAX_TOOL_NAME_BYTES, &name));
    SB_TRY(sb_field_text(&ff, "description", SB_MAX_TOOLS_BYTES, &description));
    return sb_tools_add(t, &ff, name, description, sb_field_find(&ff, "parameters"));
}
