/* SPDX-License-Identifier: Apache-2.0
 * llama_completion.c - POST /completion, as llama-server has it: no ids, no choices, timings.
 *
 * A list of prompts is answered by a list; in a stream pieces carry their prompt's index. There is
 * no [DONE]: the piece with "stop": true is the last of its prompt. */
#include "base/limits.h"
#include "server/wire/logprobs_out.h"
#include "server/wire/openai.h"
#include "server/wire/openai_chat.h"
#include "server/wire/sampling_in.h"
#include "server/wire/text_prompt.h"

#include <math.h>
#include <string.h>

/* Of a choice: ids that were sent, with their probabilities. */
typedef struct llama_choice {
    size_t n_told;
} llama_choice;

static const sb_ask *ask_of(const sb_voice *v)
{
    return sb_voice_head_of(v)->ask;
}

/* ---- the request ---- */

static sb_status read_length(const sb_fields *f, int32_t *max_tokens)
{
    SB_TRY(sb_field_i32(f, "max_tokens", -1, INT32_MAX, max_tokens));
    SB_TRY(sb_field_i32(f, "n_predict", -1, INT32_MAX, max_tokens));
    if (*max_tokens) return SB_OK;
    return sb_field_fail(f, "n_predict", SB_UNSUPPORTED, "0 (prompt only) is not supported yet");
}

static sb_status parse(sb_ask *a, sb_wire_error *w)
{
    const sb_fields f = {a->root, "", w};
    sb_turn_request t = {.sampling = sb_sampling_llama, .max_tokens = -1};
    int32_t n_probs = 0;
    SB_TRY(sb_common_read(&f, a, false));
    SB_TRY(sb_openai_drawing(&f, a, &t));
    SB_TRY(read_length(&f, &t.max_tokens));
    SB_TRY(sb_field_i32(&f, "n_probs", 0, SB_MAX_LOGPROBS, &n_probs));
    t.n_logprobs = n_probs ? n_probs : -1;
    SB_TRY(sb_field_bool(&f, "return_progress", &a->want_progress));
    SB_TRY(sb_field_bool(&f, "timings_per_token", &a->timings));
    SB_TRY(sb_field_bool(&f, "return_tokens", &a->want_ids));
    return sb_prompts_read(&f, a, &t, 1);
}

/* ---- pieces ---- */

static void put_probabilities(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t from, size_t to)
{
    if (!t->logprobs) return;
    sb_jw_put_open(w, "completion_probabilities", '[');
    sb_jw_logprobs(w, v, t, from, to, true);
    sb_jw_close(w, ']');
}

/* {"index", "content", "tokens", "id_slot", "stop", "tokens_predicted", "tokens_evaluated" */
static void open_piece(sb_jw *w, const sb_voice *v, int32_t i_choice, sb_str text, bool stop)
{
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "index", i_choice);
    sb_jw_put_text(w, "content", text);
    sb_jw_put_int(w, "id_slot", -1);
    sb_jw_put_bool(w, "stop", stop);
    if (stop) sb_jw_put_word(w, "model", sb_voice_head_of(v)->facts.model);
}

static void put_ids(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t from, size_t to)
{
    sb_jw_put_open(w, "tokens", '[');
    for (size_t i = from; ask_of(v)->want_ids && i < to; i++)
        sb_jw_int(w, t->ids.v[i]);
    sb_jw_close(w, ']');
    sb_jw_put_int(w, "tokens_predicted", (int64_t)t->ids.n);
    sb_jw_put_int(w, "tokens_evaluated", (int64_t)t->prompt_ids.n);
}

static void put_stop(sb_jw *w, const sb_voice *v, int32_t i_choice, const sb_turn *t)
{
    const int32_t hit = sb_voice_stop(v, i_choice, t);
    const char *type =
        t->finish == SB_FINISH_LENGTH || t->finish == SB_FINISH_ENERGY_BUDGET ? "limit" : "none";
    if (t->finish == SB_FINISH_STOP) type = hit >= 0 ? "word" : "eos";
    sb_jw_put_word(w, "stop_type", type);
    sb_jw_put_text(w, "stopping_word",
                   hit >= 0 ? ask_of(v)->turns[i_choice].stops[hit] : (sb_str){"", 0});
    const char *detail = sb_finish_detail(t->finish, type);
    if (detail) sb_jw_put_word(w, "finish_detail", detail);
}

/* As the client wrote it: 0.95, not the nearest float's other digits. */
static void put_f32(sb_jw *w, const char *key, float v)
{
    sb_jw_put_real(w, key, round((double)v * 1e6) / 1e6);
}

static void put_settings(sb_jw *w, const sb_turn_request *r)
{
    const sb_sampling *s = &r->sampling;
    sb_jw_put_open(w, "generation_settings", '{');
    sb_jw_put_uint(w, "seed", s->seed);
    put_f32(w, "temperature", s->temp);
    sb_jw_put_int(w, "top_k", s->top_k);
    put_f32(w, "top_p", s->top_p);
    put_f32(w, "min_p", s->min_p);
    put_f32(w, "typical_p", s->typical_p > 0 ? s->typical_p : 1);
    sb_jw_put_int(w, "repeat_last_n", s->repeat_last_n ? s->repeat_last_n : -1);
    put_f32(w, "repeat_penalty", s->repeat_penalty > 0 ? s->repeat_penalty : 1);
    put_f32(w, "presence_penalty", s->presence_penalty);
    put_f32(w, "frequency_penalty", s->frequency_penalty);
    sb_jw_put_int(w, "n_predict", r->max_tokens);
    sb_jw_put_bool(w, "ignore_eos", r->ignore_end);
    sb_jw_put_open(w, "stop", '[');
    for (int32_t i = 0; i < r->n_stops; i++)
        sb_jw_text(w, r->stops[i]);
    sb_jw_close(w, ']');
    sb_jw_close(w, '}');
}

/* The last piece of a prompt, or the whole of its answer. */
static void put_last(sb_jw *w, sb_voice *v, int32_t i_choice, const sb_turn *t)
{
    const bool stream = ask_of(v)->stream;
    const llama_choice *c = sb_voice_choice(v, i_choice);
    open_piece(w, v, i_choice, stream ? (sb_str){"", 0} : (sb_str){t->content.p, t->content.n},
               true);
    put_ids(w, v, t, c->n_told, t->ids.n);
    put_settings(w, &ask_of(v)->turns[i_choice]);
    sb_jw_key(w, "prompt");
    sb_jw_prompt(w, v, i_choice);
    sb_jw_put_bool(w, "has_new_line", t->content.n && memchr(t->content.p, '\n', t->content.n));
    sb_jw_put_bool(w, "truncated", false);
    put_stop(w, v, i_choice, t);
    sb_jw_put_int(w, "tokens_cached", t->n_cached);
    put_probabilities(w, v, t, c->n_told, t->ids.n);
    sb_openai_timings(w, t);
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &t->energy);
    sb_jw_warnings(w, ask_of(v));
    sb_jw_close(w, '}');
}

/* ---- slots ---- */

static sb_status begin(sb_voice *v, sb_buf *out, sb_error *err)
{
    (void)v;
    (void)out;
    (void)err;
    return SB_OK;
}

static sb_status progress(sb_voice *v, int32_t i_choice, int32_t n_cached, int32_t n_done,
                          int32_t n_all, sb_buf *out, sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream || !ask_of(v)->want_progress) return SB_OK;
    sb_jw_begin(&w, out, err);
    sb_jw_sse_open(&w, NULL);
    open_piece(&w, v, i_choice, (sb_str){"", 0}, false);
    sb_openai_progress(&w, v, n_cached, n_done, n_all);
    sb_jw_close(&w, '}');
    sb_jw_sse_close(&w);
    return sb_jw_end(&w);
}

static sb_status event(sb_voice *v, int32_t i_choice, const sb_output_event *e, const sb_turn *t,
                       sb_buf *out, sb_error *err)
{
    sb_jw w;
    llama_choice *c = sb_voice_choice(v, i_choice);
    const size_t n_seen = sb_voice_count(v, i_choice, e, t)->n_seen;
    if (!ask_of(v)->stream || e->kind != SB_OUTPUT_CONTENT) return SB_OK;
    sb_jw_begin(&w, out, err);
    sb_jw_sse_open(&w, NULL);
    open_piece(&w, v, i_choice, e->text, false);
    put_ids(&w, v, t, c->n_told, n_seen);
    put_probabilities(&w, v, t, c->n_told, n_seen);
    sb_openai_timings_now(&w, v, i_choice, t);
    sb_jw_close(&w, '}');
    sb_jw_sse_close(&w);
    SB_TRY(sb_jw_end(&w));
    c->n_told = n_seen;
    return SB_OK;
}

static sb_status choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out, sb_error *err)
{
    sb_jw w;
    if (!ask_of(v)->stream) return SB_OK;
    sb_jw_begin(&w, out, err);
    sb_jw_sse_open(&w, NULL);
    put_last(&w, v, i_choice, t);
    sb_jw_sse_close(&w);
    return sb_jw_end(&w);
}

static sb_status end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err)
{
    sb_jw w;
    const size_t n = ask_of(v)->n_turns;
    if (ask_of(v)->stream) return SB_OK;
    sb_jw_begin(&w, out, err);
    if (n > 1) sb_jw_open(&w, '[');
    for (size_t i = 0; i < n; i++)
        put_last(&w, v, (int32_t)i, &turns[i]);
    if (n > 1) sb_jw_close(&w, ']');
    return sb_jw_end(&w);
}

static sb_status fail(sb_voice *v, const sb_wire_error *e, sb_buf *out, sb_error *err)
{
    sb_jw w;
    const bool stream = ask_of(v)->stream;
    sb_jw_begin(&w, out, err);
    if (stream) sb_jw_sse_open(&w, NULL);
    sb_openai_error(&w, e, true);
    if (stream) sb_jw_sse_close(&w);
    return sb_jw_end(&w);
}

static sb_status refuse(const sb_wire_error *e, const char *request_id, sb_buf *out, sb_error *err)
{
    sb_jw w;
    (void)request_id;
    sb_jw_begin(&w, out, err);
    sb_openai_error(&w, e, true);
    return sb_jw_end(&w);
}

const sb_dialect sb_dialect_llama_completion = {.name = "llama-completion",
                                                .fields = SB_FIELDS_LLAMA,
                                                .type = "application/json",
                                                .stream_type = "text/event-stream",
                                                .ping = ": ping\n\n",
                                                .parse = parse,
                                                .voice_bytes = sizeof(sb_voice_head),
                                                .choice_bytes = sizeof(llama_choice),
                                                .begin = begin,
                                                .progress = progress,
                                                .event = event,
                                                .choice = choice,
                                                .end = end,
                                                .fail = fail,
                                                .refuse = refuse};
