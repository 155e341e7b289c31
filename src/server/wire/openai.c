/* SPDX-License-Identifier: Apache-2.0
 * openai.c - usage, timings, ends and errors in OpenAI's shape, with DeepSeek's and llama-server's
 * additions, which other clients skip. */
#include "server/wire/openai.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEAST_NS = 100000 }; /* no rate is told of less: the first token took no time at all */

void sb_openai_head(sb_jw *w, const sb_voice *v, const char *prefix, const char *object)
{
    const sb_voice_facts *f = &sb_voice_head_of(v)->facts;
    char id[128];
    (void)snprintf(id, sizeof id, "%s%s", prefix, f->id);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "id", id);
    sb_jw_put_word(w, "object", object);
    sb_jw_put_int(w, "created", f->created_s);
    sb_jw_put_word(w, "model", f->model);
    sb_jw_put_word(w, "system_fingerprint", f->fingerprint);
}

/* ---- usage ---- */

void sb_openai_usage(sb_jw *w, const sb_voice *v, const sb_turn *turns)
{
    const size_t n = sb_voice_head_of(v)->ask->n_turns;
    int64_t n_prompt = 0, n_cached = 0, n_answer = 0, n_reasoning = 0;
    for (size_t i = 0; i < n; i++) {
        n_answer += (int64_t)turns[i].ids.n;
        n_reasoning += sb_voice_tally(v, (int32_t)i)->n_reasoning;
        if (sb_voice_same_prompt(v, (int32_t)i)) continue;
        n_prompt += (int64_t)turns[i].prompt_ids.n;
        n_cached += turns[i].n_cached;
    }
    const sb_energy energy = sb_voice_energy(turns, n);
    sb_jw_put_open(w, "usage", '{');
    sb_jw_put_int(w, "prompt_tokens", n_prompt);
    sb_jw_put_int(w, "completion_tokens", n_answer);
    sb_jw_put_int(w, "total_tokens", n_prompt + n_answer);
    sb_jw_put_open(w, "prompt_tokens_details", '{');
    sb_jw_put_int(w, "cached_tokens", n_cached);
    sb_jw_close(w, '}');
    sb_jw_put_open(w, "completion_tokens_details", '{');
    sb_jw_put_int(w, "reasoning_tokens", n_reasoning);
    sb_jw_close(w, '}');
    sb_jw_put_int(w, "prompt_cache_hit_tokens", n_cached);
    sb_jw_put_int(w, "prompt_cache_miss_tokens", n_prompt - n_cached);
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &energy);
    sb_jw_close(w, '}');
}

/* NAME_n, NAME_ms, NAME_per_token_ms, NAME_per_second */
static void put_rate(sb_jw *w, const char *name, int64_t n, uint64_t ns)
{
    char key[40];
    const double ms = (double)ns / 1e6;
    (void)snprintf(key, sizeof key, "%s_n", name);
    sb_jw_put_int(w, key, n);
    (void)snprintf(key, sizeof key, "%s_ms", name);
    sb_jw_put_real(w, key, ms);
    (void)snprintf(key, sizeof key, "%s_per_token_ms", name);
    sb_jw_put_real(w, key, n ? ms / (double)n : 0);
    (void)snprintf(key, sizeof key, "%s_per_second", name);
    sb_jw_put_real(w, key, ns ? (double)n * 1e9 / (double)ns : 0);
}

static void put_timings(sb_jw *w, const sb_turn *t, uint64_t prefill_ns, uint64_t decode_ns)
{
    sb_jw_put_open(w, "timings", '{');
    sb_jw_put_int(w, "cache_n", t->n_cached);
    put_rate(w, "prompt", (int64_t)t->prompt_ids.n - t->n_cached, prefill_ns);
    put_rate(w, "predicted", (int64_t)t->ids.n, decode_ns);
    sb_jw_close(w, '}');
}

void sb_openai_timings(sb_jw *w, const sb_turn *t)
{
    put_timings(w, t, t->prefill_ns, t->decode_ns);
}

void sb_openai_timings_now(sb_jw *w, const sb_voice *v, int32_t i_choice, const sb_turn *t)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    const uint64_t first = sb_voice_tally(v, i_choice)->first_ns, begin = h->facts.begin_ns;
    const uint64_t now = h->ask->timings ? sb_now_ns() : 0;
    const uint64_t decode = now > first + LEAST_NS ? now - first : 0;
    if (h->ask->timings) put_timings(w, t, first > begin ? first - begin : 0, decode);
}

void sb_openai_progress(sb_jw *w, const sb_voice *v, int32_t n_cached, int32_t n_done,
                        int32_t n_all)
{
    const uint64_t begin = sb_voice_head_of(v)->facts.begin_ns, now = begin ? sb_now_ns() : 0;
    sb_jw_put_open(w, "prompt_progress", '{');
    sb_jw_put_int(w, "total", n_all);
    sb_jw_put_int(w, "cache", n_cached);
    sb_jw_put_int(w, "processed", n_done);
    sb_jw_put_int(w, "time_ms", now > begin ? (int64_t)((now - begin) / 1000000) : 0);
    sb_jw_close(w, '}');
}

void sb_openai_finish(sb_jw *w, const sb_turn *t)
{
    const char *word = sb_finish_openai(t->finish), *detail = sb_finish_detail(t->finish, word);
    sb_jw_put_word(w, "finish_reason", word);
    if (detail) sb_jw_put_word(w, "finish_detail", detail);
}

/* ---- tokens ---- */

void sb_openai_logprob(sb_jw *w, double logprob)
{
    sb_jw_real(w, isfinite(logprob) ? logprob : -9999.0);
}

/* ---- chunks and wholes ---- */

void sb_openai_open_chunk(sb_jw *w, const sb_voice *v, const char *prefix, const char *object,
                          int32_t i_choice)
{
    sb_jw_sse_open(w, NULL);
    sb_openai_head(w, v, prefix, object);
    sb_jw_put_open(w, "choices", '[');
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "index", i_choice);
}

void sb_openai_close_choice(sb_jw *w)
{
    sb_jw_close(w, '}');
    sb_jw_close(w, ']');
}

void sb_openai_close_chunk(sb_jw *w, const sb_voice *v)
{
    if (sb_voice_head_of(v)->ask->include_usage) sb_jw_put_null(w, "usage");
    sb_jw_close(w, '}');
    sb_jw_sse_close(w);
}

void sb_openai_close_whole(sb_jw *w, const sb_voice *v, const sb_turn *turns)
{
    const sb_ask *a = sb_voice_head_of(v)->ask;
    const sb_energy energy = sb_voice_energy(turns, a->n_turns);
    sb_jw_close(w, ']');
    sb_openai_usage(w, v, turns);
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &energy);
    sb_openai_timings(w, &turns[a->n_turns - 1]);
    sb_jw_warnings(w, a);
    sb_jw_close(w, '}');
}

/* ---- the end ---- */

sb_status sb_openai_end_stream(const sb_voice *v, const sb_turn *turns, const char *prefix,
                               const char *object, sb_buf *out, sb_error *err)
{
    const sb_ask *a = sb_voice_head_of(v)->ask;
    const sb_energy energy = sb_voice_energy(turns, a->n_turns);
    sb_jw w;
    sb_jw_begin(&w, out, err);
    if (a->include_usage) {
        sb_jw_sse_open(&w, NULL);
        sb_openai_head(&w, v, prefix, object);
        sb_jw_put_open(&w, "choices", '[');
        sb_jw_close(&w, ']');
        sb_openai_usage(&w, v, turns);
        sb_openai_timings(&w, &turns[a->n_turns - 1]);
        sb_jw_close(&w, '}');
        sb_jw_sse_close(&w);
    }
    sb_jw_bytes(&w, ": energy ");
    sb_jw_energy(&w, &energy);
    sb_jw_bytes(&w, "\n\ndata: [DONE]\n\n");
    return sb_jw_end(&w);
}

static const char *type_of(int status)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"},
                 {404, "not_found_error"},      {408, "timeout_error"},
                 {429, "rate_limit_error"},     {501, "not_supported_error"},
                 {503, "unavailable_error"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(types); i++)
        if (types[i].status == status) return types[i].type;
    return status < 500 ? "invalid_request_error" : "server_error";
}

void sb_openai_error(sb_jw *w, const sb_wire_error *e, bool numeric)
{
    sb_jw_open(w, '{');
    sb_jw_put_open(w, "error", '{');
    if (numeric) sb_jw_put_int(w, "code", e->status);
    sb_jw_put_word(w, "message", e->err.msg);
    sb_jw_put_word(w, "type", type_of(e->status));
    sb_jw_put_word(w, "param", e->param[0] ? e->param : NULL);
    if (!numeric) sb_jw_put_word(w, "code", e->code);
    if (e->retry_after_s > 0) sb_jw_put_int(w, "retry_after", e->retry_after_s);
    sb_jw_close(w, '}');
    sb_jw_close(w, '}');
}

sb_status sb_openai_refuse(const sb_wire_error *e, const char *request_id, sb_buf *out,
                           sb_error *err)
{
    sb_jw w;
    (void)request_id; // clients read it from the header
    sb_jw_begin(&w, out, err);
    sb_openai_error(&w, e, false);
    return sb_jw_end(&w);
}

sb_status sb_openai_fail(sb_voice *v, const sb_wire_error *e, sb_buf *out, sb_error *err)
{
    sb_jw w;
    const bool stream = sb_voice_head_of(v)->ask->stream;
    sb_jw_begin(&w, out, err);
    if (stream) sb_jw_sse_open(&w, NULL);
    sb_openai_error(&w, e, false);
    if (stream) sb_jw_bytes(&w, "\n\ndata: [DONE]\n\n");
    return sb_jw_end(&w);
}
