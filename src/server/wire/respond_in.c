/* SPDX-License-Identifier: Apache-2.0
 * respond_in.c - a body of POST /v1/responses to an ask. */
#include "server/wire/respond.h"

#include "base/limits.h"
#include "server/wire/chat_messages.h"
#include "server/wire/sampling_in.h"

#include <stdio.h>
#include <string.h>

static bool is(sb_str s, const char *word)
{
    return s.n == strlen(word) && (s.n == 0 || memcmp(s.p, word, s.n) == 0);
}

/* ---- tools ---- */

/* Flat, as this API has them; the nested shape of chat completions is understood, too. */
static sb_status read_function(sb_tools *t, const sb_fields *f)
{
    sb_str name = {0}, description = {0};
    SB_TRY(sb_field_text(f, "name", SB_MAX_TOOLS_BYTES, &name));
    SB_TRY(sb_field_text(f, "description", SB_MAX_TOOLS_BYTES, &description));
    return sb_tools_add(t, f, name, description, sb_field_find(f, "parameters"));
}

static sb_status read_tool(sb_tools *t, const sb_fields *f)
{
    sb_str type = {0};
    SB_TRY(sb_field_text(f, "type", SB_MAX_ID_BYTES, &type));
    if (!is(type, "function"))
        return sb_ask_warn(t->ask, &t->w->err, "%stype: '%.*s' is not on offer here", f->path,
                           (int)(type.n < 60 ? type.n : 60), type.p ? type.p : "");
    const json_t *nested = json_object_get(f->o, "function");
    const sb_fields own = {json_is_object(nested) ? nested : f->o, f->path, f->w};
    return read_function(t, &own);
}

static sb_status read_tool_choice(const sb_fields *f, bool *out_offer)
{
    const json_t *v = sb_field_find(f, "tool_choice");
    *out_offer = true;
    if (!v || (json_is_string(v) && is(sb_json_str(v), "auto"))) return SB_OK;
    if (json_is_string(v) && is(sb_json_str(v), "none")) {
        *out_offer = false;
        return SB_OK;
    }
    const bool known = json_is_object(v) || (json_is_string(v) && is(sb_json_str(v), "required"));
    return known ? sb_field_fail(f, "tool_choice", SB_UNSUPPORTED,
                                 "a forced call is not supported yet (auto and none are)")
                 : sb_field_fail(f, "tool_choice", SB_INVALID,
                                 "auto, none, required or an object is expected");
}

static sb_status read_tools(const sb_fields *f, sb_ask *a, sb_str *out)
{
    const json_t *list = NULL;
    bool offer, parallel = true;
    SB_TRY(read_tool_choice(f, &offer));
    SB_TRY(sb_field_bool(f, "parallel_tool_calls", &parallel));
    a->one_call = !parallel;
    SB_TRY(sb_field_list(f, "tools", &list));
    return sb_tools_read(a, f->w, list, read_tool, offer, out);
}

/* ---- the rest ---- */

static sb_status read_reasoning(const sb_fields *f, sb_prompt_request *out)
{
    static const char *const known[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    const json_t *reasoning = NULL;
    sb_str effort = {0};
    size_t i = 0;
    SB_TRY(sb_field_object(f, "reasoning", &reasoning));
    const sb_fields r = {reasoning, "reasoning.", f->w};
    SB_TRY(sb_field_text(&r, "effort", SB_MAX_ID_BYTES, &effort));
    if (!effort.p) return SB_OK;
    while (i < SB_ARRAY_LEN(known) && !is(effort, known[i]))
        i++;
    if (i == SB_ARRAY_LEN(known))
        return sb_field_fail(&r, "effort", SB_INVALID,
                             "one of none, minimal, low, medium, high, xhigh, max is expected");
    out->thinking = i == 0 ? SB_THINKING_OFF : SB_THINKING_ON;
    if (i > 0) out->reasoning_effort = effort;
    return SB_OK;
}

static sb_status read_text_format(const sb_fields *f)
{
    const json_t *text = NULL, *format = NULL;
    sb_str type = {0};
    SB_TRY(sb_field_object(f, "text", &text));
    const sb_fields t = {text, "text.", f->w};
    SB_TRY(sb_field_object(&t, "format", &format));
    const sb_fields o = {format, "text.format.", f->w};
    SB_TRY(sb_field_text(&o, "type", SB_MAX_ID_BYTES, &type));
    if (!format || is(type, "text")) return SB_OK;
    return sb_field_fail(&t, "format", SB_UNSUPPORTED, "only text is supported yet");
}

static sb_status read_logprobs(const sb_fields *f, sb_turn_request *t)
{
    const json_t *include = NULL;
    int32_t n = 0;
    SB_TRY(sb_field_list(f, "include", &include));
    SB_TRY(sb_field_i32(f, "top_logprobs", 0, SB_MAX_LOGPROBS, &n));
    for (size_t i = 0; i < json_array_size(include); i++) {
        const json_t *v = json_array_get(include, i);
        if (!json_is_string(v))
            return sb_field_fail(f, "include", SB_INVALID, "texts are expected");
        if (is(sb_json_str(v), "message.output_text.logprobs")) t->n_logprobs = n;
    }
    return SB_OK;
}

static sb_status read_drawing(const sb_fields *f, sb_ask *a, sb_turn_request *t)
{
    SB_TRY(sb_field_i32(f, "max_output_tokens", 1, INT32_MAX, &t->max_tokens));
    SB_TRY(sb_sampling_read(f, &t->sampling));
    SB_TRY(sb_seed_read(f, a, &t->sampling));
    SB_TRY(sb_stops_read(f, "stop", a, t));
    SB_TRY(sb_logit_bias_read(f, a, &t->sampling));
    SB_TRY(sb_field_bool(f, "ignore_eos", &a->ignore_eos));
    t->ignore_end = a->ignore_eos;
    SB_TRY(read_logprobs(f, t));
    SB_TRY(read_text_format(f));
    SB_TRY(sb_thinking_read(f, a, &t->prompt));
    return read_reasoning(f, &t->prompt);
}

static sb_status read_input(const sb_fields *f, sb_dialog *d)
{
    const json_t *input = sb_field_find(f, "input");
    if (json_is_string(input)) {
        SB_TRY(sb_dialog_add(d, "user"));
        return sb_dialog_text(d, sb_json_str(input));
    }
    if (input && !json_is_array(input))
        return sb_field_fail(f, "input", SB_INVALID, "a string or a list of items is expected");
    if (!input && !d->ask->previous_response_id)
        return sb_field_fail(f, "input", SB_INVALID, "missing");
    return sb_respond_items(d, input, "input");
}

static sb_status read_conversation(const sb_fields *f, sb_ask *a, sb_prompt_request *out)
{
    sb_str instructions = {0}, previous = {0};
    sb_dialog d;
    sb_dialog_init(&d, a, f->w);
    SB_TRY(sb_field_text(f, "instructions", SB_MAX_PROMPT_BYTES, &instructions));
    SB_TRY(sb_field_text(f, "previous_response_id", SB_MAX_ID_BYTES, &previous));
    if (instructions.n) {
        SB_TRY(sb_dialog_add(&d, "system"));
        SB_TRY(sb_dialog_text(&d, instructions));
    }
    if (previous.n) {
        a->previous_response_id = previous.p;
        SB_TRY(sb_respond_chain(&d, previous));
    }
    SB_TRY(read_input(f, &d));
    return sb_dialog_end(&d, "input", out);
}

sb_status sb_respond_parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    sb_turn_request t = {.sampling = sb_sampling_openai, .max_tokens = -1, .n_logprobs = -1};
    a->store = true;
    SB_TRY(sb_common_read(&f, a, false));
    SB_TRY(sb_field_bool(&f, "store", &a->store));
    SB_TRY(read_drawing(&f, a, &t));
    SB_TRY(read_tools(&f, a, &t.prompt.tools));
    SB_TRY(read_conversation(&f, a, &t.prompt));
    return sb_turns_make(&f, a, &t, 1, 1);
}
