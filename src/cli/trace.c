/* SPDX-License-Identifier: Apache-2.0
 * trace.c - lines of JSON to conversations.
 *
 * Both shapes become a list of messages, so that the replay knows one. */
#include "cli/trace.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/json_in.h"

static const char usual_system[] =
    "You are a helpful assistant in a household. Answer in the language of the question, in plain "
    "words and short sentences. Say so when you do not know something, and do not invent facts, "
    "names or figures. When a question can be read in two ways, answer the likelier one and name "
    "the other in one sentence. Give lists only where order or number matters, units with every "
    "figure, and one example where a rule is hard to picture. Never ask for personal data.";

static const char fixed_answer[] =
    "That depends on a few things, but most of the time the simple way is the right one. Start "
    "with what you have, change one thing at a time, and look at the result before you go on. If "
    "it does not get better within a day or two, ask somebody who has done it before; it costs "
    "nothing and saves a second try.";

/* Takes nothing over. */
static bool add_message(json_t *list, const char *role, const char *content)
{
    return json_array_append_new(list, json_pack("{s:s, s:s}", "role", role, "content", content)) ==
           0;
}

static sb_status no_memory(sb_error *err)
{
    return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
}

static sb_status take_turns(json_t *out, const json_t *turns, const sb_trace_opts *o, size_t *out_n,
                            sb_error *err)
{
    if (!add_message(out, "system", o->system)) return no_memory(err);
    for (size_t i = 0; i < json_array_size(turns); i++) {
        if (i > 0 && o->fixed_answers && !add_message(out, "assistant", fixed_answer))
            return no_memory(err);
        const char *text = json_string_value(json_array_get(turns, i));
        if (!text) return SB_FAIL(err, SB_CORRUPT, "turns: number %zu is not a text", i + 1);
        if (!add_message(out, "user", text)) return no_memory(err);
        ++*out_n;
    }
    return SB_OK;
}

static sb_status take_messages(json_t *out, const json_t *list, const sb_trace_opts *o,
                               size_t *out_n, sb_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        const char *text = json_string_value(json_object_get(m, "content"));
        const bool known = role && (strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 ||
                                    (i == 0 && strcmp(role, "system") == 0));
        if (!known || !text)
            return SB_FAIL(err, SB_CORRUPT,
                           "messages: number %zu needs a role (user, assistant; system in front) "
                           "and a content that is text",
                           i + 1);
        if (i == 0 && strcmp(role, "system") != 0 && !add_message(out, "system", o->system))
            return no_memory(err);
        if (!add_message(out, role, text)) return no_memory(err);
        *out_n += strcmp(role, "user") == 0;
    }
    return SB_OK;
}

static sb_status take_line(sb_trace *t, const json_t *line, const sb_trace_opts *o, sb_error *err)
{
    sb_trace_chat c = {.messages = json_array(), .i_first = t->n_turns};
    const json_t *turns = json_object_get(line, "turns"), *list = json_object_get(line, "messages");
    sb_status s = SB_OK;
    if (!c.messages)
        s = no_memory(err);
    else if (json_is_array(turns))
        s = take_turns(c.messages, turns, o, &c.n_turns, err);
    else if (json_is_array(list))
        s = take_messages(c.messages, list, o, &c.n_turns, err);
    if (s == SB_OK && c.n_turns == 0)
        s = SB_FAIL(err, SB_CORRUPT, "neither \"turns\" nor \"messages\" with a question");
    if (s == SB_OK && c.n_turns > SB_MAX_TRACE_TURNS)
        s = SB_FAIL(err, SB_LIMIT, "%zu questions; at most %d", c.n_turns, SB_MAX_TRACE_TURNS);
    if (s != SB_OK) {
        json_decref(c.messages);
        return s;
    }
    t->chats[t->n_chats++] = c;
    t->n_turns += c.n_turns;
    return SB_OK;
}

/* Keeps n_most of them, evenly spread. */
static void thin_out(sb_trace *t, size_t n_most)
{
    const size_t n = t->n_chats;
    if (n_most == 0 || n_most >= n) return;
    size_t n_kept = 0;
    t->n_turns = 0;
    for (size_t i = 0; i < n; i++) {
        if (i != n_kept * n / n_most || n_kept == n_most) {
            json_decref(t->chats[i].messages);
            continue;
        }
        t->chats[i].i_first = t->n_turns;
        t->n_turns += t->chats[i].n_turns;
        t->chats[n_kept++] = t->chats[i];
    }
    t->n_chats = n_kept;
}

/* The end of the line that begins at `at`. */
static size_t line_end(sb_str text, size_t at)
{
    const char *end = memchr(text.p + at, '\n', text.n - at);
    return end ? (size_t)(end - text.p) : text.n;
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r') return false;
    return true;
}

static sb_status take_text(sb_trace *t, sb_str text, const sb_trace_opts *o, sb_error *err)
{
    size_t n_lines = 1, i_line = 0;
    for (size_t i = 0; i < text.n; i++)
        n_lines += text.p[i] == '\n';
    if (n_lines > SB_MAX_TRACE_CHATS)
        return SB_FAIL(err, SB_LIMIT, "trace: %zu lines; at most %d", n_lines, SB_MAX_TRACE_CHATS);
    t->chats = sb_calloc(n_lines, sizeof *t->chats);
    if (!t->chats) return no_memory(err);
    for (size_t at = 0, end; at < text.n; at = end + 1) {
        end = line_end(text, at);
        i_line++;
        if (is_blank(text.p + at, end - at)) continue;
        json_t *line = NULL;
        sb_status s = sb_json_in(&line, text.p + at, end - at, "chat", err);
        if (s == SB_OK) s = take_line(t, line, o, err);
        json_decref(line);
        if (s != SB_OK) return sb_error_prefix(err, s, "trace, line %zu", i_line);
    }
    if (t->n_chats == 0) return SB_FAIL(err, SB_CORRUPT, "trace: no chat in it");
    return SB_OK;
}

sb_status sb_trace_read(sb_trace *out, const char *path, const sb_trace_opts *o, sb_error *err)
{
    sb_trace t = {0};
    sb_trace_opts use = *o;
    sb_map m = {0};
    sb_str text = {(const char *)sb_trace_day, sb_trace_day_bytes};
    if (path) {
        SB_TRY(sb_map_open(&m, path, err));
        text = (sb_str){(const char *)m.p, m.bytes};
    }
    sb_status s = SB_OK;
    if (text.n > SB_MAX_TRACE_BYTES)
        s = SB_FAIL(err, SB_LIMIT, "trace: %zu bytes; at most %d", text.n, SB_MAX_TRACE_BYTES);
    if (!use.system) use.system = usual_system;
    if (s == SB_OK) s = take_text(&t, text, &use, err);
    if (path) sb_map_close(&m);
    if (s != SB_OK) {
        sb_trace_deinit(&t);
        return s;
    }
    thin_out(&t, o->n_most);
    *out = t;
    return SB_OK;
}

void sb_trace_deinit(sb_trace *t)
{
    for (size_t i = 0; i < t->n_chats; i++)
        json_decref(t->chats[i].messages);
    sb_free(t->chats);
    *t = (sb_trace){0};
}
