/* SPDX-License-Identifier: Apache-2.0
 * ollama.c - bodies of Ollama's /api/chat and /api/generate to an ask.
 *
 * Options that only place a model in memory (num_ctx, num_gpu, num_thread ...) are known and change
 * nothing: the server has one plan for all its clients, and a client that asks for another context
 * must not throw the model out of memory. */
#include "server/wire/ollama.h"

#include "base/limits.h"
#include "server/wire/chat_messages.h"
#include "server/wire/dialog.h"
#include "server/wire/sampling_in.h"

#include <math.h>
#include <string.h>

static bool is(sb_str s, const char *word)
{
    return s.n == strlen(word) && (s.n == 0 || memcmp(s.p, word, s.n) == 0);
}

/* ---- durations ---- */

typedef struct cursor {
    const char *p, *end;
} cursor;

static bool is_digit(const cursor *c)
{
    return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

/* Digits with at most one point; false without any digit. */
static bool read_number(cursor *c, double *out)
{
    double v = 0, scale = 1;
    bool any = false;
    for (; is_digit(c); c->p++, any = true)
        v = 10 * v + (*c->p - '0');
    if (c->p < c->end && *c->p == '.')
        for (c->p++; is_digit(c); c->p++, any = true)
            v += (scale /= 10) * (*c->p - '0');
    *out = v;
    return any;
}

/* Seconds of the unit, or 0: there is none. */
static double read_unit(cursor *c)
{
    static const struct {
        const char *word;
        double s;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"\xce\xbcs", 1e-6},
                 {"ms", 1e-3}, {"s", 1},     {"m", 60},           {"h", 3600}};
    for (size_t i = 0; i < SB_ARRAY_LEN(units); i++) {
        const size_t n = strlen(units[i].word);
        if ((size_t)(c->end - c->p) < n || memcmp(c->p, units[i].word, n) != 0) continue;
        c->p += n;
        return units[i].s;
    }
    return 0;
}

bool sb_ollama_duration(sb_str s, double *out_s)
{
    cursor c = {s.p, s.p + s.n};
    double sum = 0, v;
    const bool minus = s.n && *c.p == '-';
    if (s.n && (minus || *c.p == '+')) c.p++;
    if (!read_number(&c, &v)) return false;
    if (c.p == c.end) { // digits alone
        *out_s = minus && v > 0 ? INFINITY : v;
        return isfinite(v);
    }
    for (;;) {
        const double unit = read_unit(&c);
        if (!(unit > 0)) return false;
        sum += v * unit;
        if (c.p == c.end) break;
        if (!read_number(&c, &v)) return false;
    }
    if (!isfinite(sum)) return false;
    *out_s = minus && sum > 0 ? INFINITY : sum;
    return true;
}

/* ---- what both have ---- */

/* "latest" is what clients call a model without a tag. */
static sb_str plain_name(sb_str name)
{
    static const char tag[] = ":latest";
    const size_t n = sizeof tag - 1;
    if (name.n > n && memcmp(name.p + name.n - n, tag, n) == 0) name.n -= n;
    return name;
}

static sb_status read_model(const sb_fields *f, sb_ask *a)
{
    SB_TRY(sb_common_read(f, a, true));
    if (!a->model) return SB_OK;
    sb_str name = plain_name((sb_str){a->model, strlen(a->model)});
    SB_TRY(sb_ask_copy(a, name, &name, &f->w->err));
    a->model = name.p;
    return SB_OK;
}

static sb_status read_keep_alive(const sb_fields *f, sb_ask *a)
{
    const json_t *v = sb_field_find(f, "keep_alive");
    if (!v) return SB_OK;
    double s = json_number_value(v);
    const bool ok = json_is_string(v) ? sb_ollama_duration(sb_json_str(v), &s) : json_is_number(v);
    if (!ok)
        return sb_field_fail(f, "keep_alive", SB_INVALID,
                             "seconds or a duration like \"10m\" is expected");
    a->keep_alive_s = s < 0 ? INFINITY : s;
    return SB_OK;
}

static sb_status read_think(const sb_fields *f, sb_prompt_request *out)
{
    static const char *const levels[] = {"low", "medium", "high", "max"};
    const json_t *v = sb_field_find(f, "think");
    if (!v) return SB_OK;
    if (json_is_boolean(v)) {
        out->thinking = json_is_true(v) ? SB_THINKING_ON : SB_THINKING_OFF;
        return SB_OK;
    }
    for (size_t i = 0; json_is_string(v) && i < SB_ARRAY_LEN(levels); i++) {
        if (!is(sb_json_str(v), levels[i])) continue;
        out->thinking = SB_THINKING_ON;
        out->reasoning_effort = sb_json_str(v);
        return SB_OK;
    }
    return sb_field_fail(f, "think", SB_INVALID,
                         "true, false, low, medium, high or max is expected");
}

static sb_status read_logprobs(const sb_fields *f, sb_turn_request *t)
{
    bool on = false;
    int32_t n = 0;
    SB_TRY(sb_field_bool(f, "logprobs", &on));
    SB_TRY(sb_field_i32(f, "top_logprobs", 0, SB_MAX_LOGPROBS, &n));
    t->n_logprobs = on ? n : -1;
    return SB_OK;
}

static sb_status read_options(const sb_fields *f, sb_ask *a, sb_turn_request *t)
{
    const json_t *options = NULL;
    int32_t n_predict = -1;
    SB_TRY(sb_field_object(f, "options", &options));
    if (!options) return SB_OK;
    const sb_fields o = {options, "options.", f->w};
    SB_TRY(sb_fields_check(a, options, SB_FIELDS_OLLAMA_OPTIONS, o.path, f->w));
    SB_TRY(sb_sampling_read(&o, &t->sampling));
    SB_TRY(sb_seed_read(&o, a, &t->sampling));
    SB_TRY(sb_stops_read(&o, "stop", a, t));
    SB_TRY(sb_field_i32(&o, "num_predict", -2, INT32_MAX, &n_predict));
    t->max_tokens = n_predict > 0 ? n_predict : -1;
    return SB_OK;
}

static sb_status read_common(const sb_fields *f, sb_ask *a, sb_turn_request *t)
{
    *t = (sb_turn_request){.sampling = sb_sampling_ollama, .max_tokens = -1, .n_logprobs = -1};
    SB_TRY(read_model(f, a));
    SB_TRY(read_keep_alive(f, a));
    SB_TRY(read_options(f, a, t));
    SB_TRY(read_think(f, &t->prompt));
    SB_TRY(read_logprobs(f, t));
    SB_TRY(sb_field_bool(f, "ignore_eos", &a->ignore_eos));
    t->ignore_end = a->ignore_eos;
    return SB_OK;
}

/* No answer is wanted: the model is to come, or with keep_alive 0 to go. */
static void only_place(sb_ask *a)
{
    a->only_unload = !(a->keep_alive_s > 0) && !isnan(a->keep_alive_s);
    a->only_load = !a->only_unload;
}

/* ---- chat ---- */

static sb_status read_tools(const sb_fields *f, sb_ask *a, sb_str *out)
{
    const json_t *list = NULL;
    SB_TRY(sb_field_list(f, "tools", &list));
    return sb_tools_read(a, f->w, list, sb_chat_tool_read, true, out);
}

sb_status sb_ollama_chat_parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    const json_t *messages = NULL;
    sb_turn_request t;
    SB_TRY(read_common(&f, a, &t));
    SB_TRY(read_tools(&f, a, &t.prompt.tools));
    SB_TRY(sb_field_list(&f, "messages", &messages));
    if (!json_array_size(messages)) {
        only_place(a);
        return SB_OK;
    }
    sb_dialog d;
    sb_dialog_init(&d, a, w);
    SB_TRY(sb_messages_read(&d, messages, "messages"));
    SB_TRY(sb_dialog_end(&d, "messages", &t.prompt));
    const sb_message *last = &t.prompt.messages[t.prompt.n_messages - 1];
    if (is(last->role, "assistant") && !last->n_calls && last->content.n)
        t.prompt.end = SB_PROMPT_CONTINUE;
    return sb_turns_make(&f, a, &t, 1, 1);
}

/* ---- generate ---- */

static sb_status read_context(const sb_fields *f, sb_ask *a)
{
    const json_t *list = NULL;
    SB_TRY(sb_field_list(f, "context", &list));
    const size_t n = json_array_size(list);
    if (n == 0) return SB_OK;
    if (n > SB_MAX_CTX)
        return sb_field_fail(f, "context", SB_LIMIT, "%zu tokens (at most %d)", n, SB_MAX_CTX);
    int32_t *ids = sb_ask_take(a, n, sizeof *ids);
    if (!ids) return SB_FAIL(&f->w->err, SB_NO_MEMORY, "context: out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= SB_MAX_VOCAB)
            return sb_field_fail(f, "context", SB_INVALID, "item %zu is no token id", i);
        ids[i] = (int32_t)id;
    }
    a->context = ids;
    a->n_context = n;
    return SB_OK;
}

static sb_status read_prompt(const sb_fields *f, sb_ask *a, sb_str prompt, sb_turn_request *t)
{
    sb_str system = {0};
    sb_dialog d;
    SB_TRY(sb_field_text(f, "system", SB_MAX_PROMPT_BYTES, &system));
    sb_dialog_init(&d, a, f->w);
    if (system.n) {
        SB_TRY(sb_dialog_add(&d, "system"));
        SB_TRY(sb_dialog_text(&d, system));
    }
    SB_TRY(sb_dialog_add(&d, "user"));
    SB_TRY(sb_dialog_text(&d, prompt));
    return sb_dialog_end(&d, "prompt", &t->prompt);
}

static sb_status read_raw(const sb_fields *f, const sb_ask *a, sb_str prompt, sb_turn_request *t)
{
    sb_str system = {0};
    SB_TRY(sb_field_text(f, "system", SB_MAX_PROMPT_BYTES, &system));
    if (system.n || a->n_context)
        return sb_field_fail(f, "raw", SB_INVALID,
                             "a raw prompt has no system text and no context");
    t->raw = prompt;
    t->raw_control = true; // whoever writes the whole prompt writes its markers
    return SB_OK;
}

sb_status sb_ollama_generate_parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    sb_str prompt = {0};
    bool raw = false;
    sb_turn_request t;
    SB_TRY(read_common(&f, a, &t));
    SB_TRY(read_context(&f, a));
    SB_TRY(sb_field_text(&f, "prompt", SB_MAX_PROMPT_BYTES, &prompt));
    SB_TRY(sb_field_bool(&f, "raw", &raw));
    if (!prompt.n) {
        only_place(a);
        return SB_OK;
    }
    SB_TRY(raw ? read_raw(&f, a, prompt, &t) : read_prompt(&f, a, prompt, &t));
    return sb_turns_make(&f, a, &t, 1, 1);
}

/* ---- small bodies ---- */

sb_status sb_ollama_small_read(sb_ollama_small *out, const json_t *root, sb_wire_error *w)
{
    const sb_fields f = {root, "", w};
    sb_ollama_small o = {.stream = true};
    if (!json_is_object(root)) return SB_FAIL(&w->err, SB_INVALID, "body: an object is expected");
    SB_TRY(sb_field_text(&f, "name", SB_MAX_MODEL_NAME_BYTES, &o.model));
    SB_TRY(sb_field_text(&f, "model", SB_MAX_MODEL_NAME_BYTES, &o.model));
    SB_TRY(sb_field_text(&f, "source", SB_MAX_MODEL_NAME_BYTES, &o.source));
    SB_TRY(sb_field_text(&f, "destination", SB_MAX_MODEL_NAME_BYTES, &o.destination));
    SB_TRY(sb_field_bool(&f, "stream", &o.stream));
    SB_TRY(sb_field_bool(&f, "verbose", &o.verbose));
    SB_TRY(sb_field_bool(&f, "insecure", &o.insecure));
    o.model = plain_name(o.model);
    o.source = plain_name(o.source);
    o.destination = plain_name(o.destination);
    *out = o;
    return SB_OK;
}
