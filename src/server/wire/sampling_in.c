/* SPDX-License-Identifier: Apache-2.0
 * sampling_in.c - sampling, stops, seed, biases and thinking of a request. */
#include "server/wire/sampling_in.h"

#include "base/limits.h"

#include <math.h>
#include <string.h>

const sb_sampling sb_sampling_openai = {.temp = 1, .top_p = 1};
const sb_sampling sb_sampling_llama = {
    .temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_last_n = 64};
const sb_sampling sb_sampling_ollama = {
    .temp = 0.8f, .top_k = 40, .top_p = 0.9f, .repeat_last_n = 64};

static sb_status read_penalties(const sb_fields *f, sb_sampling *io)
{
    int32_t last = io->repeat_last_n > 0 ? io->repeat_last_n : -1;
    SB_TRY(sb_field_f32(f, "repeat_penalty", 0, 100, &io->repeat_penalty));
    if (sb_field_find(f, "repeat_penalty") && !(io->repeat_penalty > 0))
        return sb_field_fail(f, "repeat_penalty", SB_INVALID, "0 is no penalty: 1 is off");
    SB_TRY(sb_field_f32(f, "presence_penalty", -2, 2, &io->presence_penalty));
    SB_TRY(sb_field_f32(f, "frequency_penalty", -2, 2, &io->frequency_penalty));
    SB_TRY(sb_field_i32(f, "repeat_last_n", -1, SB_MAX_CTX, &last));
    io->repeat_last_n = last < 0 ? 0 : last;
    if (last == 0) io->repeat_penalty = io->presence_penalty = io->frequency_penalty = 0;
    return SB_OK;
}

sb_status sb_sampling_read(const sb_fields *f, sb_sampling *io)
{
    int32_t top_k = io->top_k;
    SB_TRY(sb_field_f32(f, "temperature", 0, 100, &io->temp));
    SB_TRY(sb_field_f32(f, "top_p", 0, 1, &io->top_p));
    SB_TRY(sb_field_f32(f, "min_p", 0, 1, &io->min_p));
    SB_TRY(sb_field_f32(f, "typical_p", 0, 1, &io->typical_p));
    SB_TRY(sb_field_i32(f, "top_k", -1, INT32_MAX, &top_k));
    io->top_k = top_k < 0 ? 0 : top_k;
    if (!(io->top_p > 0)) { // nothing but the likeliest is left
        io->top_p = 1;
        io->temp = 0;
    }
    return read_penalties(f, io);
}

sb_status sb_seed_read(const sb_fields *f, sb_ask *a, sb_sampling *io)
{
    int64_t seed = -1;
    SB_TRY(sb_field_int(f, "seed", INT64_MIN, INT64_MAX, &seed));
    a->has_seed = seed != -1;
    if (a->has_seed) io->seed = (uint64_t)seed;
    return SB_OK;
}

/* ---- stops ---- */

static sb_status check_stop(const sb_fields *f, const char *name, const json_t *v)
{
    const size_t n = json_string_length(v);
    if (!json_is_string(v))
        return sb_field_fail(f, name, SB_INVALID, "a string or a list of strings is expected");
    if (n == 0) return sb_field_fail(f, name, SB_INVALID, "an empty string stops nothing");
    if (n > SB_MAX_STOP_BYTES)
        return sb_field_fail(f, name, SB_LIMIT, "a string of %zu bytes (at most %d)", n,
                             SB_MAX_STOP_BYTES);
    return SB_OK;
}

sb_status sb_stops_read(const sb_fields *f, const char *name, sb_ask *a, sb_turn_request *t)
{
    const json_t *v = sb_field_find(f, name);
    const size_t n = json_is_array(v) ? json_array_size(v) : v != NULL;
    if (n == 0) return SB_OK;
    if (n > SB_MAX_STOPS)
        return sb_field_fail(f, name, SB_LIMIT, "%zu strings (at most %d)", n, SB_MAX_STOPS);
    sb_str *stops = sb_ask_take(a, n, sizeof *stops);
    if (!stops) return SB_FAIL(&f->w->err, SB_NO_MEMORY, "%s: out of memory", name);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        SB_TRY(check_stop(f, name, one));
        stops[i] = sb_json_str(one);
    }
    t->stops = stops;
    t->n_stops = (int32_t)n;
    return SB_OK;
}

/* ---- biases ---- */

static sb_status add_bias(const sb_fields *f, sb_logit_bias *list, int32_t *n, int64_t id,
                          const json_t *bias)
{
    static const char name[] = "logit_bias";
    double b = json_number_value(bias);
    if (id < 0 || id >= SB_MAX_VOCAB)
        return sb_field_fail(f, name, SB_INVALID, "a key is no token id");
    if (json_is_false(bias))
        b = (double)-INFINITY;
    else if (!json_is_number(bias) || !(fabs(b) <= 1e6))
        return sb_field_fail(f, name, SB_INVALID, "a bias of -100 to 100 is expected");
    else
        b = b > 100 ? 100 : b < -100 ? -100 : b;
    for (int32_t i = 0; i < *n; i++)
        if (list[i].id == (int32_t)id)
            return sb_field_fail(f, name, SB_INVALID, "token %lld is given twice", (long long)id);
    list[(*n)++] = (sb_logit_bias){(int32_t)id, (float)b};
    return SB_OK;
}

/* Digits as an id, or -1. */
static int64_t id_of(const char *key)
{
    int64_t v = 0;
    if (!*key || strlen(key) > 8) return -1;
    for (; *key; key++) {
        if (*key < '0' || *key > '9') return -1;
        v = 10 * v + (*key - '0');
    }
    return v;
}

static sb_status bias_object(const sb_fields *f, const json_t *v, sb_logit_bias *list, int32_t *n)
{
    json_t *o = (json_t *)v;
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i))
        SB_TRY(add_bias(f, list, n, id_of(json_object_iter_key(i)), json_object_iter_value(i)));
    return SB_OK;
}

static sb_status bias_list(const sb_fields *f, const json_t *v, sb_logit_bias *list, int32_t *n)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *pair = json_array_get(v, i), *id = json_array_get(pair, 0);
        SB_TRY(add_bias(f, list, n, json_is_integer(id) ? json_integer_value(id) : -1,
                        json_array_get(pair, 1)));
    }
    return SB_OK;
}

sb_status sb_logit_bias_read(const sb_fields *f, sb_ask *a, sb_sampling *io)
{
    const json_t *v = sb_field_find(f, "logit_bias");
    const size_t n = json_is_array(v) ? json_array_size(v) : json_object_size(v);
    if (!v) return SB_OK;
    if (!json_is_object(v) && !json_is_array(v))
        return sb_field_fail(f, "logit_bias", SB_INVALID, "an object is expected");
    if (n > SB_MAX_LOGIT_BIAS)
        return sb_field_fail(f, "logit_bias", SB_LIMIT, "%zu tokens (at most %d)", n,
                             SB_MAX_LOGIT_BIAS);
    if (n == 0) return SB_OK;
    sb_logit_bias *list = sb_ask_take(a, n, sizeof *list);
    if (!list) return SB_FAIL(&f->w->err, SB_NO_MEMORY, "logit_bias: out of memory");
    io->n_bias = 0;
    SB_TRY(json_is_array(v) ? bias_list(f, v, list, &io->n_bias)
                            : bias_object(f, v, list, &io->n_bias));
    io->bias = list;
    return SB_OK;
}

/* ---- thinking ---- */

static bool is(sb_str s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static sb_status read_effort(const sb_fields *f, sb_prompt_request *io)
{
    static const char *const known[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    sb_str s = {0};
    size_t i = 0;
    SB_TRY(sb_field_text(f, "reasoning_effort", 32, &s));
    if (!s.p) return SB_OK;
    while (i < SB_ARRAY_LEN(known) && !is(s, known[i]))
        i++;
    if (i == SB_ARRAY_LEN(known))
        return sb_field_fail(f, "reasoning_effort", SB_INVALID,
                             "one of none, minimal, low, medium, high, xhigh, max is expected");
    io->thinking = i == 0 ? SB_THINKING_OFF : SB_THINKING_ON;
    if (i > 0) io->reasoning_effort = s;
    return SB_OK;
}

static sb_status read_type(const sb_fields *f, sb_prompt_request *io)
{
    const json_t *v = NULL;
    sb_str type = {0};
    SB_TRY(sb_field_object(f, "thinking", &v));
    if (!v) return SB_OK;
    const sb_fields tf = {v, "thinking.", f->w};
    SB_TRY(sb_field_text(&tf, "type", 32, &type));
    if (is(type, "enabled"))
        io->thinking = SB_THINKING_ON;
    else if (is(type, "disabled"))
        io->thinking = SB_THINKING_OFF;
    else if (!is(type, "adaptive"))
        return sb_field_fail(&tf, "type", SB_INVALID,
                             "one of enabled, disabled, adaptive is expected");
    return SB_OK;
}

sb_status sb_thinking_read(const sb_fields *f, sb_ask *a, sb_prompt_request *io)
{
    const json_t *kwargs = NULL;
    bool on = false;
    SB_TRY(read_effort(f, io));
    SB_TRY(read_type(f, io));
    SB_TRY(sb_field_bool(f, "enable_thinking", &on));
    if (sb_field_find(f, "enable_thinking")) io->thinking = on ? SB_THINKING_ON : SB_THINKING_OFF;
    SB_TRY(sb_field_object(f, "chat_template_kwargs", &kwargs));
    if (!json_object_size(kwargs)) return SB_OK;
    SB_TRY(sb_ask_dump(a, kwargs, &io->kwargs, &f->w->err));
    if (io->kwargs.n > SB_MAX_KWARGS_BYTES)
        return sb_field_fail(f, "chat_template_kwargs", SB_LIMIT, "%zu bytes (at most %d)",
                             io->kwargs.n, SB_MAX_KWARGS_BYTES);
    return SB_OK;
}

/* ---- choices ---- */

sb_status sb_turns_make(const sb_fields *f, sb_ask *a, const sb_turn_request *first,
                        size_t n_prompts, int32_t n)
{
    size_t all;
    if (ckd_mul(&all, n_prompts, (size_t)n) || all > SB_MAX_CHOICES)
        return sb_field_fail(f, n_prompts > 1 ? "prompt" : "n", SB_LIMIT,
                             "more than %d answers at once", SB_MAX_CHOICES);
    a->turns = sb_ask_take(a, all, sizeof *a->turns);
    if (!a->turns) return SB_FAIL(&f->w->err, SB_NO_MEMORY, "request: out of memory");
    for (size_t i = 0; i < all; i++) {
        a->turns[i] = *first;
        a->turns[i].sampling.seed += i % (size_t)n;
    }
    a->n_turns = all;
    return SB_OK;
}
