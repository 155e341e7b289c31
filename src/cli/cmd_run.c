/* SPDX-License-Identifier: Apache-2.0
 * cmd_run.c - `sobre run`: one prompt, one answer, as it comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "chat/chat.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"

static const char default_model[] = "smollm2-135m";

/* One run: everything that is opened, in the order in which it is closed backwards. */
typedef struct run {
    const sb_cli *c;
    sb_buf path, prompt;
    sb_pool *pool;
    sb_meter *meter;
    sb_chat *chat;
    uint64_t begin_ns, ready_ns;
    uint64_t seed;
} run;

static void run_deinit(run *r)
{
    sb_chat_close(r->chat);
    sb_meter_close(r->meter);
    sb_pool_free(r->pool);
    sb_buf_deinit(&r->prompt);
    sb_buf_deinit(&r->path);
}

static sb_status choose_seed(const sb_args *a, uint64_t *out, sb_error *err)
{
    const int64_t asked = a->v[SB_OPT_seed].i;
    if (asked >= 0) {
        *out = (uint64_t)asked;
        return SB_OK;
    }
    uint64_t drawn = 0;
    if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return SB_FAIL(err, SB_IO, "no random number for the seed: give --seed");
    *out = drawn >> 11; /* 53 bits: every JSON reader keeps them */
    return SB_OK;
}

static sb_status run_open(run *r, sb_error *err)
{
    const sb_args *a = r->c->args;
    const char *what = a->v[SB_OPT_model].set ? a->v[SB_OPT_model].s : default_model;
    SB_TRY(sb_cli_read_text(a->words[0], &r->prompt, err));
    const char *system = a->v[SB_OPT_system].s;
    if (system && sb_utf8_valid(system, strlen(system)) != strlen(system))
        return SB_FAIL(err, SB_INVALID, "--system is not UTF-8");
    SB_TRY(choose_seed(a, &r->seed, err));
    SB_TRY(sb_cli_model_path(what, &r->path, err));
    SB_TRY(sb_cli_pool(a, &r->pool, err));
    const sb_meter_roots roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    SB_TRY(sb_meter_open(&r->meter, &roots, err));
    const int32_t n_ctx = (int32_t)a->v[SB_OPT_ctx].i; /* 0: the model's own */
    const sb_chat_opts o = {.engine = sb_cli_engine_opts(a, n_ctx, SB_MAX_BATCH_ROWS),
                            .pool = r->pool,
                            .meter = r->meter};
    return sb_chat_open(&r->chat, r->path.p, &o, err);
}

/* What a model thinks is for people who watch: dimmed, on standard error. */
static void show_thinking(sb_str text)
{
    if (!isatty(2)) return;
    sb_out o;
    sb_out_init(&o, 2);
    sb_out_add(&o, "\033[2m", 4);
    sb_out_escaped(&o, text, true);
    sb_out_add(&o, "\033[0m", 4);
    sb_out_flush(&o);
}

/* Content to standard output at once: the reader sees the first word when it is there. */
static bool show_event(void *ctx, const sb_output_event *e)
{
    sb_out *o = ((const run *)ctx)->c->out;
    const sb_str text = e->text;
    if (e->kind == SB_OUTPUT_REASONING) show_thinking(text);
    if (e->kind != SB_OUTPUT_CONTENT) return o->why == 0;
    if (o->tty)
        sb_out_escaped(o, text, true); /* a model may say ESC, too */
    else
        sb_out_add(o, text.p, text.n);
    sb_out_flush(o);
    return o->why == 0;
}

static sb_sampling sampling_of(const run *r)
{
    const sb_opt_value *v = r->c->args->v;
    const float recommended = sb_chat_model(r->chat)->temp;
    const float temp = v[SB_OPT_temp].set ? (float)v[SB_OPT_temp].f
                       : recommended >= 0 ? recommended
                                          : 0.7f;
    return (sb_sampling){.temp = temp,
                         .top_k = (int32_t)v[SB_OPT_top_k].i,
                         .top_p = (float)v[SB_OPT_top_p].f,
                         .min_p = (float)v[SB_OPT_min_p].f,
                         .seed = r->seed};
}

static json_t *timings_of(const run *r, const sb_turn *t)
{
    const double prompt_s = (double)t->prefill_ns / 1e9, decode_s = (double)t->decode_ns / 1e9;
    return json_pack("{s:i, s:f, s:f, s:i, s:f, s:f, s:f}", "prompt_n", (int)t->prompt_ids.n,
                     "prompt_ms", prompt_s * 1e3, "prompt_per_second",
                     prompt_s > 0 ? (double)t->prompt_ids.n / prompt_s : 0.0, "predicted_n",
                     (int)t->ids.n, "predicted_ms", decode_s * 1e3, "predicted_per_second",
                     decode_s > 0 ? (double)t->n_decoded / decode_s : 0.0, "load_ms",
                     (double)(r->ready_ns - r->begin_ns) / 1e6);
}

/* [{id, token, logprob, top: [{id, token, logprob}]}] */
static json_t *logprobs_of(const run *r, const sb_turn *t)
{
    const sb_tokenizer *tok = sb_chat_model(r->chat)->tok;
    json_t *all = json_array();
    bool ok = all != NULL;
    for (size_t i = 0; ok && i < t->ids.n; i++) {
        const sb_token_logprob *l = &t->logprobs[i];
        json_t *top = json_array(), *one = json_object();
        for (int32_t k = 0; k < l->n_top; k++)
            ok &= json_array_append_new(
                      top, json_pack("{s:i, s:o, s:f}", "id", l->top_ids[k], "token",
                                     sb_json_text(sb_tokenizer_piece(tok, l->top_ids[k], true)),
                                     "logprob", l->top[k])) == 0;
        sb_json_put(one, "id", json_integer(t->ids.v[i]), &ok);
        sb_json_put(one, "token", sb_json_text(sb_tokenizer_piece(tok, t->ids.v[i], true)), &ok);
        sb_json_put(one, "logprob", json_real(l->logprob), &ok);
        sb_json_put(one, "top", top, &ok);
        ok &= json_array_append_new(all, one) == 0;
    }
    if (ok) return all;
    json_decref(all);
    return NULL;
}

/* [{id, name, arguments}], the arguments as JSON text. */
static json_t *calls_of(const sb_turn *t)
{
    json_t *all = json_array();
    bool ok = all != NULL;
    for (size_t i = 0; ok && i < t->n_calls; i++) {
        json_t *one = json_object();
        sb_json_put(one, "id", sb_json_text(t->calls[i].id), &ok);
        sb_json_put(one, "name", sb_json_text(t->calls[i].name), &ok);
        sb_json_put(one, "arguments", sb_json_text(t->calls[i].arguments), &ok);
        ok &= json_array_append_new(all, one) == 0;
    }
    if (ok) return all;
    json_decref(all);
    return NULL;
}

static sb_status print_json(const run *r, const sb_turn *t, sb_error *err)
{
    const sb_opt_value *v = r->c->args->v;
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "text", sb_json_text((sb_str){t->text.p, t->text.n}), &ok);
    sb_json_put(o, "content", sb_json_text((sb_str){t->content.p, t->content.n}), &ok);
    sb_json_put(o, "reasoning", sb_json_text((sb_str){t->reasoning.p, t->reasoning.n}), &ok);
    sb_json_put(o, "tool_calls", calls_of(t), &ok);
    sb_json_put(o, "prompt_ids", sb_json_ids(t->prompt_ids.v, t->prompt_ids.n), &ok);
    sb_json_put(o, "ids", sb_json_ids(t->ids.v, t->ids.n), &ok);
    sb_json_put(o, "finish_reason", json_string(sb_finish_word(t->finish)), &ok);
    if (v[SB_OPT_logprobs].set) sb_json_put(o, "logprobs", logprobs_of(r, t), &ok);
    sb_json_put(o, "timings", timings_of(r, t), &ok);
    sb_json_put(o, "energy", sb_json_energy(&t->energy), &ok);
    sb_json_put(o, "seed", json_integer((json_int_t)r->seed), &ok);
    sb_json_put(o, "temperature", json_real((double)sampling_of(r).temp), &ok);
    sb_json_put(o, "kernels", json_string(sb_level_name(sb_engine_level(sb_chat_engine(r->chat)))),
                &ok);
    if (!ok) {
        json_decref(o);
        o = NULL;
    }
    return sb_json_print(r->c->out, o, err);
}

/* "35 + 8 tokens in 0.21 s (prefill 400 tokens/s, decode 80 tokens/s), about 0.9 J ..." */
static void say_cost(const run *r, const sb_turn *t)
{
    char energy[SB_ENERGY_TEXT_BYTES];
    const double prompt_s = (double)t->prefill_ns / 1e9, decode_s = (double)t->decode_ns / 1e9;
    sb_energy_text(&t->energy, energy, sizeof energy);
    sb_term_say("%zu + %zu tokens in %.2f s (prefill %.1f tokens/s, decode %.1f tokens/s), %s",
                t->prompt_ids.n, t->ids.n, prompt_s + decode_s,
                prompt_s > 0 ? (double)t->prompt_ids.n / prompt_s : 0.0,
                decode_s > 0 ? (double)t->n_decoded / decode_s : 0.0, energy);
    const char *hint = sb_meter_hint(r->meter);
    if (hint && isatty(2)) sb_term_say("%s", hint);
}

static sb_status answer(run *r, const sb_turn_request *rq, sb_error *err)
{
    const bool json = r->c->args->v[SB_OPT_json].set;
    sb_turn t;
    SB_TRY(sb_chat_turn(r->chat, rq, &t, err));
    sb_status s = SB_OK;
    if (json)
        s = print_json(r, &t, err);
    else if (r->c->out->tty)
        sb_out_add(r->c->out, "\n", 1);
    sb_out_flush(r->c->out);
    say_cost(r, &t);
    if (s == SB_OK && sb_stop_asked(NULL)) s = SB_FAIL(err, SB_CANCELLED, "interrupted");
    sb_turn_deinit(&t);
    return s;
}

/* The request of the options: a conversation, or the text as it stands. */
static sb_status ask(run *r, sb_error *err)
{
    const sb_args *a = r->c->args;
    const sb_opt_value *v = a->v;
    const char *system = v[SB_OPT_system].s;
    const sb_str prompt = {r->prompt.p ? r->prompt.p : "", r->prompt.n};
    const sb_message messages[] = {
        {.role = {"system", 6}, .content = {system, system ? strlen(system) : 0}},
        {.role = {"user", 4}, .content = prompt}};
    sb_str stops[SB_MAX_STOPS];
    for (int i = 0; i < a->n_stops; i++)
        stops[i] = (sb_str){a->stops[i], strlen(a->stops[i])};
    const bool bare = !sb_chat_has_template(r->chat);
    if (bare && system)
        return SB_FAIL(err, SB_INVALID,
                       "this model has no chat template, so --system has no place: "
                       "leave it out");
    if (bare && !v[SB_OPT_raw].set)
        sb_term_say("this model has no chat template: it continues the text");
    const bool raw = bare || v[SB_OPT_raw].set;
    const sb_prompt_request asked = {.messages = messages + (system ? 0 : 1),
                                     .n_messages = system ? 2 : 1};
    const sb_turn_request rq = {.prompt = raw ? (sb_prompt_request){0} : asked,
                                .raw = prompt,
                                .raw_control = v[SB_OPT_markers].set,
                                .sampling = sampling_of(r),
                                .max_tokens = v[SB_OPT_n].set ? (int32_t)v[SB_OPT_n].i : -1,
                                .stops = stops,
                                .n_stops = a->n_stops,
                                .n_logprobs = (int32_t)v[SB_OPT_logprobs].i,
                                .cancel = sb_stop_flag(),
                                .on_event = v[SB_OPT_json].set ? NULL : show_event,
                                .ctx = r};
    return answer(r, &rq, err);
}

sb_status sb_cmd_run(const sb_cli *c, sb_error *err)
{
    run r = {.c = c, .begin_ns = sb_now_ns()};
    sb_buf_init(&r.path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&r.prompt, SB_MAX_PROMPT_BYTES, "prompt");
    sb_status s = run_open(&r, err);
    r.ready_ns = sb_now_ns();
    if (s == SB_OK) s = ask(&r, err);
    run_deinit(&r);
    return s;
}
