/* SPDX-License-Identifier: Apache-2.0
 * openai_chat.c - POST /v1/chat/completions: the request. openai_chat_say.c answers it. */
#include "server/wire/openai_chat.h"

#include "base/limits.h"
#include "server/wire/chat_messages.h"
#include "server/wire/openai.h"
#include "server/wire/sampling_in.h"

#include <string.h>

static sb_status read_messages(const sb_fields *f, sb_ask *a, sb_prompt_request *out)
{
    const json_t *list = NULL;
    sb_dialog d;
    SB_TRY(sb_field_list(f, "messages", &list));
    sb_dialog_init(&d, a, f->w);
    SB_TRY(sb_messages_read(&d, list, "messages"));
    return sb_dialog_end(&d, "messages", out);
}

/* What a choice of tools leaves to the model: all of them, or none. */
static sb_status read_tool_choice(const sb_fields *f, bool *out_none)
{
    const json_t *v = sb_field_find(f, "tool_choice");
    *out_none = false;
    if (!v) return SB_OK;
    const sb_str s = json_is_string(v) ? sb_json_str(v) : (sb_str){NULL, 0};
    *out_none = s.n == 4 && memcmp(s.p, "none", 4) == 0;
    if (*out_none || (s.n == 4 && memcmp(s.p, "auto", 4) == 0)) return SB_OK;
    if (json_is_object(v) || (s.n == 8 && memcmp(s.p, "required", 8) == 0))
        return sb_field_fail(f, "tool_choice", SB_UNSUPPORTED, "only auto and none so far");
    return sb_field_fail(f, "tool_choice", SB_INVALID, "auto or none is expected");
}

static sb_status read_tools(const sb_fields *f, sb_ask *a, sb_prompt_request *out)
{
    const json_t *list = NULL;
    bool none = false, parallel = true;
    SB_TRY(sb_field_list(f, "tools", &list));
    SB_TRY(read_tool_choice(f, &none));
    SB_TRY(sb_field_bool(f, "parallel_tool_calls", &parallel));
    a->one_call = !parallel;
    return sb_tools_read(a, f->w, list, sb_chat_tool_read, !none, &out->tools);
}

/* Whether the answer begins anew, or goes on with the last message. */
static sb_status read_end(const sb_fields *f, sb_prompt_request *p)
{
    bool anew = true, go_on = false;
    SB_TRY(sb_field_bool(f, "add_generation_prompt", &anew));
    SB_TRY(sb_field_bool(f, "continue_final_message", &go_on));
    const sb_str role = p->messages[p->n_messages - 1].role;
    if (go_on && (role.n != 9 || memcmp(role.p, "assistant", 9) != 0))
        return sb_field_fail(f, "continue_final_message", SB_INVALID,
                             "the last message is not the assistant's");
    p->end = go_on ? SB_PROMPT_CONTINUE : anew ? SB_PROMPT_ASK : SB_PROMPT_NONE;
    return SB_OK;
}

static sb_status read_logprobs(const sb_fields *f, sb_turn_request *t)
{
    bool on = false;
    int32_t n = 0;
    SB_TRY(sb_field_bool(f, "logprobs", &on));
    SB_TRY(sb_field_i32(f, "top_logprobs", 0, SB_MAX_LOGPROBS, &n));
    if (n && !on)
        return sb_field_fail(f, "top_logprobs", SB_INVALID, "needs \"logprobs\": true beside it");
    t->n_logprobs = on ? n : -1;
    return SB_OK;
}

sb_status sb_openai_stream_options(const sb_fields *f, sb_ask *a)
{
    const json_t *o = NULL;
    SB_TRY(sb_field_object(f, "stream_options", &o));
    const sb_fields of = {o, "stream_options.", f->w};
    SB_TRY(sb_field_bool(&of, "include_usage", &a->include_usage));
    SB_TRY(sb_field_bool(f, "return_progress", &a->want_progress));
    return sb_field_bool(f, "timings_per_token", &a->timings);
}

sb_status sb_openai_drawing(const sb_fields *f, sb_ask *a, sb_turn_request *t)
{
    SB_TRY(sb_sampling_read(f, &t->sampling));
    SB_TRY(sb_field_f32(f, "repetition_penalty", 0, 100, &t->sampling.repeat_penalty));
    if (sb_field_find(f, "repetition_penalty") && !(t->sampling.repeat_penalty > 0))
        return sb_field_fail(f, "repetition_penalty", SB_INVALID, "0 is no penalty: 1 is off");
    SB_TRY(sb_seed_read(f, a, &t->sampling));
    SB_TRY(sb_logit_bias_read(f, a, &t->sampling));
    SB_TRY(sb_stops_read(f, "stop", a, t));
    SB_TRY(sb_field_bool(f, "ignore_eos", &a->ignore_eos));
    t->ignore_end = a->ignore_eos;
    bool cache = true;
    SB_TRY(sb_field_bool(f, "cache_prompt", &cache));
    t->no_cache = !cache;
    return SB_OK;
}

static sb_status parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    sb_turn_request t = {.sampling = sb_sampling_openai, .max_tokens = -1};
    int32_t n = 1;
    SB_TRY(sb_common_read(&f, a, false));
    SB_TRY(read_messages(&f, a, &t.prompt));
    SB_TRY(read_end(&f, &t.prompt));
    SB_TRY(read_tools(&f, a, &t.prompt));
    SB_TRY(sb_thinking_read(&f, a, &t.prompt));
    SB_TRY(sb_openai_drawing(&f, a, &t));
    SB_TRY(read_logprobs(&f, &t));
    SB_TRY(sb_field_i32(&f, "max_tokens", 1, INT32_MAX, &t.max_tokens));
    SB_TRY(sb_field_i32(&f, "max_completion_tokens", 1, INT32_MAX, &t.max_tokens));
    SB_TRY(sb_openai_stream_options(&f, a));
    SB_TRY(sb_field_i32(&f, "n", 1, SB_MAX_CHOICES, &n));
    return sb_turns_make(&f, a, &t, 1, n);
}

const sb_dialect sb_dialect_openai_chat = {.name = "openai-chat",
                                           .fields = SB_FIELDS_CHAT,
                                           .type = "application/json",
                                           .stream_type = "text/event-stream",
                                           .ping = ": ping\n\n",
                                           .parse = parse,
                                           .voice_bytes = sizeof(sb_voice_head),
                                           .choice_bytes =
                                               sizeof(size_t), // ids told with log probabilities
                                           .begin = sb_openai_chat_begin,
                                           .progress = sb_openai_chat_progress,
                                           .event = sb_openai_chat_event,
                                           .choice = sb_openai_chat_choice,
                                           .end = sb_openai_chat_end,
                                           .fail = sb_openai_fail,
                                           .refuse = sb_openai_refuse};
