/* SPDX-License-Identifier: Apache-2.0
 * conversation.c - messages, tools and switches as values, with the keys that templates read.
 *
 * Keys are those of the OpenAI-style lists the templates were written for. Roles and the special
 * tokens are trusted, as templates print them inside control tokens; all else is content. */
#include "prompt/conversation.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"

#include <string.h>

static bool is(sb_str s, const char *word)
{
    return strlen(word) == s.n && memcmp(word, s.p, s.n) == 0;
}

static bool is_known_role(sb_str role)
{
    static const char *const known[] = {"system", "developer", "user", "assistant", "tool"};
    for (size_t i = 0; i < SB_ARRAY_LEN(known); i++)
        if (is(role, known[i])) return true;
    return false;
}

static bool mentions(const sb_prompter *p, const char *word)
{
    return p->text.n && memmem(p->text.p, p->text.n, word, strlen(word)) != NULL;
}

static sb_val word(sb_val_ctx *c, const char *s)
{
    return sb_val_trusted(c, (sb_str){s, strlen(s)});
}

static void put_text(sb_val_ctx *c, sb_val d, const char *key, sb_str s)
{
    if (s.p) sb_val_dict_put(c, d, key, sb_val_text(c, s));
}

/* ---- content ---- */

static void put_part(sb_val_ctx *c, sb_val list, sb_str text)
{
    const sb_val d = sb_val_dict(c);
    sb_val_dict_put(c, d, "type", word(c, "text"));
    sb_val_dict_put(c, d, "text", sb_val_text(c, text));
    sb_val_list_add(c, list, d);
}

/* Parts for a template that reads text alone: a line each. */
static sb_status join_parts(sb_val_ctx *c, const sb_message *m, sb_val *out, sb_error *err)
{
    sb_buf b;
    sb_buf_init(&b, SB_MAX_PROMPT_BYTES, "content of a message");
    sb_status s = SB_OK;
    for (size_t i = 0; s == SB_OK && i < m->n_parts; i++) {
        if (i) s = sb_buf_add(&b, "\n", 1, err);
        if (s == SB_OK) s = sb_buf_add(&b, m->parts[i].text.p, m->parts[i].text.n, err);
    }
    if (s == SB_OK) *out = sb_val_text(c, (sb_str){b.p, b.n});
    sb_buf_deinit(&b);
    return s;
}

static sb_status content(const sb_prompter *p, sb_val_ctx *c, const sb_message *m, sb_val *out,
                         sb_error *err)
{
    if (m->n_parts && !p->takes_parts) return join_parts(c, m, out, err);
    if (!m->n_parts && !m->content.p) {
        *out = p->null_as_empty ? word(c, "") : sb_val_null();
    } else if (!m->n_parts && !p->parts_only) {
        *out = sb_val_text(c, m->content);
    } else {
        *out = sb_val_list(c);
        for (size_t i = 0; i < m->n_parts; i++)
            put_part(c, *out, m->parts[i].text);
        if (!m->n_parts) put_part(c, *out, m->content);
    }
    return SB_OK;
}

/* ---- messages ---- */

/* Arguments that are no JSON (a model's slip, sent back with the tool's complaint) go as they
 * are. */
static sb_status put_arguments(const sb_prompter *p, sb_val_ctx *c, sb_val function, sb_str text,
                               sb_error *err)
{
    sb_val v;
    if (!text.n) text = (sb_str){"{}", 2};
    const sb_status s = p->args_as_text ? SB_INVALID : sb_val_json(c, text, &v, err);
    if (s == SB_NO_MEMORY) return s;
    sb_val_dict_put(c, function, "arguments", s == SB_OK ? v : sb_val_text(c, text));
    return SB_OK;
}

static sb_status put_calls(const sb_prompter *p, sb_val_ctx *c, sb_val d, const sb_message *m,
                           sb_error *err)
{
    const sb_val list = sb_val_list(c);
    for (size_t i = 0; i < m->n_calls; i++) {
        const sb_val call = sb_val_dict(c), function = sb_val_dict(c);
        put_text(c, call, "id", m->calls[i].id);
        sb_val_dict_put(c, call, "type", word(c, "function"));
        put_text(c, function, "name", m->calls[i].name);
        SB_TRY(put_arguments(p, c, function, m->calls[i].arguments, err));
        sb_val_dict_put(c, call, "function", function);
        sb_val_list_add(c, list, call);
    }
    sb_val_dict_put(c, d, "tool_calls", list);
    return SB_OK;
}

static sb_status put_message(const sb_prompter *p, sb_val_ctx *c, sb_val list, const sb_message *m,
                             sb_error *err)
{
    const sb_val d = sb_val_dict(c);
    // A template that has never heard of developers knows them as the system.
    const bool developer = is(m->role, "developer") && !mentions(p, "developer");
    sb_val_dict_put(c, d, "role", developer ? word(c, "system") : sb_val_trusted(c, m->role));
    // gpt-oss says "thinking" and takes no content beside it in a message that calls tools.
    const bool as_thinking = !mentions(p, "reasoning_content") && mentions(p, ".thinking");
    if (!as_thinking || !m->n_calls || !m->reasoning.n) {
        sb_val v;
        SB_TRY(content(p, c, m, &v, err));
        sb_val_dict_put(c, d, "content", v);
    }
    if (m->reasoning.n)
        put_text(c, d, as_thinking ? "thinking" : "reasoning_content", m->reasoning);
    if (m->n_calls) SB_TRY(put_calls(p, c, d, m, err));
    put_text(c, d, "tool_call_id", m->tool_call_id);
    put_text(c, d, "name", m->name);
    sb_val_list_add(c, list, d);
    return SB_OK;
}

static sb_status fill_messages(const sb_prompter *p, const sb_prompt_request *r, sb_val_ctx *c,
                               sb_error *err)
{
    if (r->n_messages > SB_MAX_MESSAGES)
        return SB_FAIL(err, SB_LIMIT, "%zu messages (at most %d)", r->n_messages, SB_MAX_MESSAGES);
    const sb_val list = sb_val_list(c);
    for (size_t i = 0; i < r->n_messages; i++) {
        const sb_message *m = &r->messages[i];
        if (!is_known_role(m->role))
            return SB_FAIL(err, SB_INVALID,
                           "message %zu: role '%.*s' is not one of system, developer, user, "
                           "assistant, tool",
                           i, (int)(m->role.n > 32 ? 32 : m->role.n), m->role.p);
        const sb_status s = put_message(p, c, list, m, err);
        if (s != SB_OK) return sb_error_prefix(err, s, "message %zu", i);
    }
    sb_val_ctx_set(c, "messages", list);
    return SB_OK;
}

/* ---- the rest ---- */

static sb_status fill_tools(const sb_prompt_request *r, sb_val_ctx *c, sb_error *err)
{
    sb_val v = sb_val_null();
    if (r->tools.n > SB_MAX_TOOLS_BYTES)
        return SB_FAIL(err, SB_LIMIT, "tools: %zu bytes (at most %d)", r->tools.n,
                       SB_MAX_TOOLS_BYTES);
    if (r->tools.n) {
        const sb_status s = sb_val_json(c, r->tools, &v, err);
        if (s != SB_OK) return sb_error_prefix(err, s, "tools");
        if (v.type != SB_VAL_LIST) return SB_FAIL(err, SB_INVALID, "tools: an array is expected");
        if (sb_val_n_items(v) == 0) v = sb_val_null();
    }
    sb_val_ctx_set(c, "tools", v);
    return SB_OK;
}

/* Variables that have a field of their own, or that the reference takes for its own switches. */
static bool is_reserved(sb_str key)
{
    static const char *const words[] = {"messages",
                                        "conversation",
                                        "tools",
                                        "add_generation_prompt",
                                        "bos_token",
                                        "eos_token",
                                        "chat_template",
                                        "continue_final_message",
                                        "tokenize",
                                        "return_dict",
                                        "return_tensors",
                                        "return_assistant_tokens_mask",
                                        "padding",
                                        "truncation",
                                        "max_length",
                                        "tokenizer_kwargs",
                                        "raise_exception",
                                        "strftime_now",
                                        "namespace",
                                        "range",
                                        "dict"};
    for (size_t i = 0; i < SB_ARRAY_LEN(words); i++)
        if (is(key, words[i])) return true;
    return false;
}

static sb_status fill_kwargs(const sb_prompt_request *r, sb_val_ctx *c, sb_error *err)
{
    sb_val v;
    sb_str key;
    if (!r->kwargs.n) return SB_OK;
    if (r->kwargs.n > SB_MAX_KWARGS_BYTES)
        return SB_FAIL(err, SB_LIMIT, "chat_template_kwargs: %zu bytes (at most %d)", r->kwargs.n,
                       SB_MAX_KWARGS_BYTES);
    const sb_status s = sb_val_json(c, r->kwargs, &v, err);
    if (s != SB_OK) return sb_error_prefix(err, s, "chat_template_kwargs");
    if (v.type != SB_VAL_DICT)
        return SB_FAIL(err, SB_INVALID, "chat_template_kwargs: an object is expected");
    for (size_t i = 0; sb_val_dict_key(v, i, &key); i++)
        if (is_reserved(key))
            return SB_FAIL(err, SB_INVALID, "chat_template_kwargs: '%.*s' is not allowed",
                           (int)key.n, key.p);
    sb_val_ctx_set_all(c, v);
    return SB_OK;
}

static sb_val token_text(sb_val_ctx *c, const sb_tokenizer *t, int32_t id)
{
    return sb_val_trusted(c, id < 0 ? (sb_str){"", 0} : sb_tokenizer_piece(t, id, true));
}

sb_status sb_conversation_fill(const sb_prompter *p, const sb_prompt_request *r, sb_val_ctx *c,
                               sb_error *err)
{
    const sb_tokenizer *t = p->model->tok;
    SB_TRY(fill_kwargs(r, c, err));
    SB_TRY(fill_messages(p, r, c, err));
    SB_TRY(fill_tools(r, c, err));
    sb_val_ctx_set(c, "add_generation_prompt", sb_val_bool(r->end == SB_PROMPT_ASK));
    sb_val_ctx_set(c, "bos_token", token_text(c, t, sb_tokenizer_bos(t)));
    sb_val_ctx_set(c, "eos_token", token_text(c, t, sb_tokenizer_eos(t)));
    if (r->thinking != SB_THINKING_DEFAULT) {
        sb_val_ctx_set(c, "enable_thinking", sb_val_bool(r->thinking == SB_THINKING_ON));
        sb_val_ctx_set(c, "thinking", sb_val_bool(r->thinking == SB_THINKING_ON));
    }
    if (r->reasoning_effort.n)
        sb_val_ctx_set(c, "reasoning_effort", sb_val_text(c, r->reasoning_effort));
    sb_val_ctx_set_now(c, r->has_now ? r->now_local_s : sb_now_local_s());
    return SB_OK;
}

/* ---- what the template wants ---- */

#define NEEDLE "needle-in-content"

/* Whether the conversation renders, with `want` in it and without `unwanted` (or NULL). */
static sb_status shows(const sb_prompter *p, const sb_prompt_request *r, const char *want,
                       const char *unwanted, bool *out, sb_error *err)
{
    sb_val_ctx *c = NULL;
    sb_rendered made = {0};
    SB_TRY(sb_val_ctx_new(&c, err));
    sb_error why = {0};
    sb_status s = sb_conversation_fill(p, r, c, &why);
    if (s == SB_OK)
        s = sb_template_render(r->tools.n && p->tools ? p->tools : p->tmpl, c, &made, &why);
    *out = s == SB_OK && memmem(made.text, made.bytes, want, strlen(want)) &&
           !(unwanted && memmem(made.text, made.bytes, unwanted, strlen(unwanted)));
    sb_rendered_deinit(&made);
    sb_val_ctx_free(c);
    if (s == SB_NO_MEMORY && err) *err = why;
    return s == SB_NO_MEMORY ? s : SB_OK;
}

static sb_status probe_parts(sb_prompter *p, sb_error *err)
{
    const sb_str needle = {NEEDLE, sizeof NEEDLE - 1};
    const sb_part part = {.text = needle};
    const sb_message plain = {.role = {"user", 4}, .content = needle};
    const sb_message parted = {.role = {"user", 4}, .parts = &part, .n_parts = 1};
    const sb_prompt_request one = {.messages = &plain, .n_messages = 1};
    const sb_prompt_request two = {.messages = &parted, .n_messages = 1};
    bool plain_ok = false;
    p->takes_parts = true;
    SB_TRY(shows(p, &two, NEEDLE, "'" NEEDLE "'", &p->takes_parts, err));
    SB_TRY(shows(p, &one, NEEDLE, NULL, &plain_ok, err));
    p->parts_only = p->takes_parts && !plain_ok;
    return SB_OK;
}

static sb_status probe_calls(sb_prompter *p, sb_error *err)
{
    static const char tools[] = "[{\"type\": \"function\", \"function\": {\"name\": \"probe\", "
                                "\"description\": \"d\", \"parameters\": {\"type\": \"object\", "
                                "\"properties\": {}}}}]";
    const sb_tool_call call = {.id = {"probe0000", 9},
                               .name = {"probe", 5},
                               .arguments = {"{\"" NEEDLE "\": 1}", sizeof NEEDLE + 6}};
    const sb_message m[] = {
        {.role = {"user", 4}, .content = {"hi", 2}},
        {.role = {"assistant", 9}, .calls = &call, .n_calls = 1},
        {.role = {"tool", 4}, .content = {"1", 1}, .tool_call_id = call.id, .name = call.name}};
    const sb_prompt_request r = {
        .messages = m, .n_messages = 3, .tools = {tools, sizeof tools - 1}};
    // An object and no content at all is what clients send; the first shape that shows wins.
    for (int i = 0; i < 4; i++) {
        bool ok = false;
        p->args_as_text = i >= 2;
        p->null_as_empty = i % 2 == 1;
        SB_TRY(shows(p, &r, NEEDLE, "{'" NEEDLE, &ok, err));
        if (ok && !p->null_as_empty) SB_TRY(shows(p, &r, NEEDLE, "None", &ok, err));
        if (ok) return SB_OK;
    }
    p->args_as_text = false;
    return SB_OK;
}

sb_status sb_conversation_probe(sb_prompter *p, sb_error *err)
{
    SB_TRY(probe_parts(p, err));
    return probe_calls(p, err);
}
