/* SPDX-License-Identifier: Apache-2.0
 * cmd_run.c - `sobre run`: one prompt, one answer, as it comes. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/host.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"
#include "energy/receipt_kind.h"

/* One run: the prompt, and what it runs on. */
typedef struct run {
    const sb_cli *c;
    sb_host host;
    sb_screen screen;
    sb_buf prompt;
} run;

static void run_deinit(run *r)
{
    sb_host_close(&r->host);
    sb_buf_deinit(&r->prompt);
}

static sb_status run_open(run *r, sb_error *err)
{
    const sb_args *a = r->c->args;
    SB_TRY(sb_footprint_read(&r->host.footprint, r->c, err));
    SB_TRY(sb_cli_read_text(a->words[0], &r->prompt, err));
    SB_TRY(sb_host_check_system(a, err));
    return sb_host_open(&r->host, err);
}

static bool show_event(void *ctx, const sb_output_event *e)
{
    run *r = ctx;
    sb_bar_end(&r->host.bar);
    return r->c->args->v[SB_OPT_json].set || sb_screen_show(&r->screen, e);
}

static void show_prefill(void *ctx, int32_t n_done, int32_t n_all)
{
    sb_bar *bar = &((run *)ctx)->host.bar;
    if (n_done < n_all)
        sb_bar_show(bar, (uint64_t)n_done, (uint64_t)n_all);
    else
        sb_bar_end(bar);
}

static json_t *timings_of(const run *r, const sb_turn *t)
{
    const double prompt_s = (double)t->prefill_ns / 1e9, decode_s = (double)t->decode_ns / 1e9;
    return json_pack("{s:i, s:f, s:f, s:i, s:f, s:f, s:f}", "prompt_n", (int)t->prompt_ids.n,
                     "prompt_ms", prompt_s * 1e3, "prompt_per_second",
                     prompt_s > 0 ? (double)t->prompt_ids.n / prompt_s : 0.0, "predicted_n",
                     (int)t->ids.n, "predicted_ms", decode_s * 1e3, "predicted_per_second",
                     decode_s > 0 ? (double)t->n_decoded / decode_s : 0.0, "load_ms",
                     (double)(r->host.ready_ns - r->host.begin_ns) / 1e6);
}

/* [{id, token, logprob, top: [{id, token, logprob}]}] */
static json_t *logprobs_of(const run *r, const sb_turn *t)
{
    const sb_tokenizer *tok = sb_chat_model(r->host.chat)->tok;
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

/* A parameter as it was written: a float holds seven digits. */
static json_t *shown(float x)
{
    return json_real(round((double)x * 1e6) / 1e6);
}

/* What the answer was drawn with. */
static json_t *sampling_of(const run *r)
{
    const sb_sampling p = sb_host_sampling(&r->host, 0);
    json_t *o = json_object(), *bias = json_object();
    bool ok = o && bias;
    for (int32_t i = 0; i < p.n_bias; i++) { /* JSON has no infinity: a token forbidden is null */
        char id[16];
        (void)snprintf(id, sizeof id, "%d", p.bias[i].id);
        const float b = p.bias[i].bias;
        sb_json_put(bias, id, isinf(b) ? json_null() : shown(b), &ok);
    }
    sb_json_put(o, "temperature", shown(p.temp), &ok);
    sb_json_put(o, "top_k", json_integer(p.top_k), &ok);
    sb_json_put(o, "typical_p", shown(p.typical_p), &ok);
    sb_json_put(o, "top_p", shown(p.top_p), &ok);
    sb_json_put(o, "min_p", shown(p.min_p), &ok);
    sb_json_put(o, "repeat_penalty", shown(p.repeat_penalty), &ok);
    sb_json_put(o, "repeat_last_n", json_integer(p.repeat_last_n), &ok);
    sb_json_put(o, "presence_penalty", shown(p.presence_penalty), &ok);
    sb_json_put(o, "frequency_penalty", shown(p.frequency_penalty), &ok);
    sb_json_put(o, "logit_bias", bias, &ok);
    if (ok) return o;
    json_decref(o);
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
    if (t->energy.source != SB_ENERGY_UNAVAILABLE)
        sb_footprint_put(&r->host.footprint, t->energy.energy_uj, o, &ok);
    sb_json_put(o, "seed", json_integer((json_int_t)r->host.seed), &ok);
    sb_json_put(o, "temperature", json_real((double)sb_host_sampling(&r->host, 0).temp), &ok);
    sb_json_put(o, "sampling", sampling_of(r), &ok);
    sb_json_put(o, "kernels",
                json_string(sb_level_name(sb_engine_level(sb_chat_engine(r->host.chat)))), &ok);
    if (!ok) {
        json_decref(o);
        o = NULL;
    }
    return sb_json_print(r->c->out, o, err);
}

/* "35 + 8 tokens in 0.21 s (prefill 400 tokens/s, decode 80 tokens/s), about 0.9 J ..." */
static void say_cost(const run *r, const sb_turn *t)
{
    char energy[SB_ENERGY_TEXT_BYTES], wall[SB_ENERGY_TEXT_BYTES];
    const double prompt_s = (double)t->prefill_ns / 1e9, decode_s = (double)t->decode_ns / 1e9;
    sb_energy_text(&t->energy, energy, sizeof energy);
    sb_term_say("%zu + %zu tokens in %.2f s (prefill %.1f tokens/s, decode %.1f tokens/s), %s",
                t->prompt_ids.n, t->ids.n, prompt_s + decode_s,
                prompt_s > 0 ? (double)t->prompt_ids.n / prompt_s : 0.0,
                decode_s > 0 ? (double)t->n_decoded / decode_s : 0.0, energy);
    sb_energy_wall_text(&t->energy, wall, sizeof wall);
    if (wall[0]) sb_term_say("wall: %s", wall);
    const char *hint = sb_meter_hint(r->host.meter);
    if (hint && isatty(2)) sb_term_say("%s", hint);
    sb_footprint_say(&r->host.footprint, &t->energy, NULL);
}

/* --receipt */
static sb_status write_receipt(run *r, const sb_turn *t, sb_error *err)
{
    const char *path = r->c->args->v[SB_OPT_receipt].s;
    json_t *receipt = NULL;
    if (!path) return SB_OK;
    const sb_receipt_answer a = sb_receipt_answer_of(t, r->host.name, &r->host.footprint);
    SB_TRY(sb_receipt_out_make(&r->host.receipt, r->host.ledger, &a, &receipt, err));
    const sb_status s = sb_receipt_write(path, receipt, err);
    json_decref(receipt);
    return s;
}

static sb_status answer(run *r, const sb_turn_request *rq, sb_error *err)
{
    const bool json = r->c->args->v[SB_OPT_json].set;
    sb_turn t;
    sb_bar_begin(&r->host.bar, "reading the prompt", SB_BAR_TOKENS);
    sb_status s = sb_chat_turn(r->host.chat, rq, &t, err);
    sb_bar_end(&r->host.bar);
    sb_screen_end(&r->screen);
    if (s != SB_OK) return s;
    if (t.finish == SB_FINISH_ENERGY_BUDGET) sb_term_say("stopped at --max-energy-j");
    if (json) s = print_json(r, &t, err);
    say_cost(r, &t);
    if (s == SB_OK) s = write_receipt(r, &t, err);
    if (s == SB_OK && sb_stop_asked(NULL)) s = SB_FAIL(err, SB_CANCELLED, "interrupted");
    sb_turn_deinit(&t);
    return s;
}

/* The request of the options: a conversation, or the text as it stands. */
static sb_status ask(run *r, sb_error *err)
{
    const sb_opt_value *v = r->c->args->v;
    const char *system = v[SB_OPT_system].s;
    const sb_str prompt = {r->prompt.p ? r->prompt.p : "", r->prompt.n};
    const sb_message messages[] = {
        {.role = {"system", 6}, .content = {system, system ? strlen(system) : 0}},
        {.role = {"user", 4}, .content = prompt}};
    sb_str stops[SB_MAX_STOPS];
    const int32_t n_stops = sb_host_stops(&r->host, stops);
    const bool bare = !sb_chat_has_template(r->host.chat);
    if (bare && system)
        return SB_FAIL(err, SB_INVALID,
                       "this model has no chat template, so --system has no place: "
                       "leave it out");
    if (bare && !v[SB_OPT_raw].set)
        sb_term_say("this model has no chat template: it continues the text");
    const bool raw = bare || v[SB_OPT_raw].set;
    const sb_prompt_request asked = {.messages = messages + (system ? 0 : 1),
                                     .n_messages = system ? 2 : 1,
                                     .thinking = sb_host_thinking(&r->host)};
    const sb_turn_request rq = {.prompt = raw ? (sb_prompt_request){0} : asked,
                                .raw = prompt,
                                .raw_control = v[SB_OPT_markers].set,
                                .sampling = sb_host_sampling(&r->host, 0),
                                .max_tokens = v[SB_OPT_n].set ? (int32_t)v[SB_OPT_n].i : -1,
                                .max_energy_uj = sb_host_budget_uj(&r->host),
                                .stops = stops,
                                .n_stops = n_stops,
                                .n_logprobs = (int32_t)v[SB_OPT_logprobs].i,
                                .cancel = sb_stop_flag(),
                                .on_event = show_event,
                                .on_prefill = show_prefill,
                                .ctx = r};
    return answer(r, &rq, err);
}

sb_status sb_cmd_run(const sb_cli *c, sb_error *err)
{
    run r = {.c = c, .screen = sb_screen_begin(c->out)};
    sb_host_init(&r.host, c->args);
    sb_buf_init(&r.prompt, SB_MAX_PROMPT_BYTES, "prompt");
    sb_status s = run_open(&r, err);
    if (s == SB_OK) s = ask(&r, err);
    run_deinit(&r);
    return s;
}
