/* SPDX-License-Identifier: Apache-2.0
 * wire_rig.c - see wire_rig.h. */
#include "wire_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/wire/json_writer.h"
#include "tok_vocab.h"

/* ---- asks ---- */

static void put_message(sb_jw *w, const sb_message *m)
{
    sb_jw_open(w, '{');
    sb_jw_put_text(w, "role", m->role);
    if (m->content.p) sb_jw_put_text(w, "content", m->content);
    for (size_t i = 0; i < m->n_parts; i++)
        sb_jw_put_text(w, "part", m->parts[i].text);
    if (m->reasoning.p) sb_jw_put_text(w, "reasoning", m->reasoning);
    for (size_t i = 0; i < m->n_calls; i++) {
        sb_jw_put_text(w, "call", m->calls[i].id);
        sb_jw_put_text(w, "name", m->calls[i].name);
        sb_jw_put_text(w, "arguments", m->calls[i].arguments);
    }
    if (m->tool_call_id.p) sb_jw_put_text(w, "answers", m->tool_call_id);
    if (m->name.p) sb_jw_put_text(w, "name", m->name);
    sb_jw_close(w, '}');
    sb_jw_bytes(w, "\n");
}

static void put_sampling(sb_jw *w, const sb_sampling *s)
{
    const float f[] = {s->temp,
                       s->typical_p,
                       s->top_p,
                       s->min_p,
                       s->repeat_penalty,
                       s->presence_penalty,
                       s->frequency_penalty};
    sb_jw_open(w, '[');
    for (size_t i = 0; i < SB_ARRAY_LEN(f); i++)
        sb_jw_real(w, (double)f[i]);
    sb_jw_int(w, s->top_k);
    sb_jw_int(w, s->repeat_last_n);
    sb_jw_uint(w, s->seed);
    for (int32_t i = 0; i < s->n_bias; i++) {
        sb_jw_int(w, s->bias[i].id);
        sb_jw_real(w, s->bias[i].bias < -1000 ? -1000 : (double)s->bias[i].bias);
    }
    sb_jw_close(w, ']');
    sb_jw_bytes(w, "\n");
}

static void put_turn(sb_jw *w, const sb_turn_request *t)
{
    for (size_t i = 0; i < t->prompt.n_messages; i++)
        put_message(w, &t->prompt.messages[i]);
    sb_jw_open(w, '{');
    sb_jw_put_text(w, "tools", t->prompt.tools);
    sb_jw_put_int(w, "prompt_end", t->prompt.end);
    sb_jw_put_int(w, "thinking", t->prompt.thinking);
    sb_jw_put_text(w, "effort", t->prompt.reasoning_effort);
    sb_jw_put_text(w, "kwargs", t->prompt.kwargs);
    sb_jw_put_text(w, "raw", t->raw);
    sb_jw_put_bool(w, "control", t->raw_control);
    for (size_t i = 0; i < t->n_raw_ids; i++)
        sb_jw_put_int(w, "id", t->raw_ids[i]);
    sb_jw_put_int(w, "max_tokens", t->max_tokens);
    sb_jw_put_int(w, "n_logprobs", t->n_logprobs);
    sb_jw_put_bool(w, "ignore_end", t->ignore_end);
    sb_jw_put_bool(w, "no_cache", t->no_cache);
    for (int32_t i = 0; i < t->n_stops; i++)
        sb_jw_put_text(w, "stop", t->stops[i]);
    sb_jw_close(w, '}');
    sb_jw_bytes(w, "\n");
    put_sampling(w, &t->sampling);
}

char *rig_ask_text(const sb_ask *a)
{
    sb_buf b;
    sb_jw w;
    sb_buf_init(&b, SB_MAX_REPLY_BYTES, "ask");
    sb_jw_begin(&w, &b, NULL);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "dialect", a->dialect->name);
    sb_jw_put_word(&w, "model", a->model);
    sb_jw_put_bool(&w, "stream", a->stream);
    sb_jw_put_bool(&w, "include_usage", a->include_usage);
    sb_jw_put_bool(&w, "want_progress", a->want_progress);
    sb_jw_put_bool(&w, "has_seed", a->has_seed);
    sb_jw_put_bool(&w, "ignore_eos", a->ignore_eos);
    sb_jw_put_int(&w, "max_energy_uj", a->n_turns ? a->turns[0].max_energy_uj : 0);
    sb_jw_put_bool(&w, "echo", a->echo);
    sb_jw_put_bool(&w, "timings", a->timings);
    sb_jw_put_bool(&w, "want_ids", a->want_ids);
    sb_jw_put_bool(&w, "one_call", a->one_call);
    sb_jw_put_int(&w, "priority", a->priority);
    sb_jw_put_real(&w, "keep_alive", a->keep_alive_s);
    sb_jw_put_bool(&w, "only_load", a->only_load);
    sb_jw_put_bool(&w, "only_unload", a->only_unload);
    sb_jw_put_word(&w, "previous", a->previous_response_id);
    sb_jw_put_bool(&w, "store", a->store);
    for (size_t i = 0; i < a->n_context; i++)
        sb_jw_put_int(&w, "context", a->context[i]);
    sb_jw_put_word(&w, "nonce", a->nonce_removed);
    sb_jw_key(&w, "warnings");
    sb_jw_json(&w, a->warnings);
    sb_jw_key(&w, "kept");
    sb_jw_json(&w, a->kept);
    sb_jw_close(&w, '}');
    sb_jw_bytes(&w, "\n");
    for (size_t i = 0; i < a->n_turns; i++)
        put_turn(&w, &a->turns[i]);
    assert_int_equal(sb_jw_end(&w), SB_OK);
    return b.p;
}

void rig_read(sb_ask *a, const sb_dialect *d, const char *body)
{
    sb_wire_error w;
    *a = (sb_ask){0};
    const sb_status s = sb_wire_read(a, d, (sb_str){body, strlen(body)}, &w);
    if (s != SB_OK) print_error("%s\n  %s\n", w.err.msg, body);
    assert_int_equal(s, SB_OK);
    assert_true(a->n_turns > 0 || a->only_load || a->only_unload);
}

void rig_refused(const sb_dialect *d, const char *body, int status, const char *param,
                 const char *code, sb_wire_error *out)
{
    sb_ask a = {0};
    sb_wire_error w;
    const sb_status s = sb_wire_read(&a, d, (sb_str){body, strlen(body)}, &w);
    if (s == SB_OK || w.status != status || (param && strcmp(param, w.param) != 0) ||
        (code && (!w.code || strcmp(code, w.code) != 0)))
        print_error("%.200s\n  %d, param '%s', code '%s': %s\n", body, w.status, w.param,
                    w.code ? w.code : "", s == SB_OK ? "accepted" : w.err.msg);
    assert_int_not_equal(s, SB_OK);
    assert_int_equal(w.status, status);
    if (param) assert_string_equal(w.param, param);
    if (code) assert_string_equal(w.code, code);
    assert_true(w.err.msg[0]);
    assert_null(a.root);
    assert_null(a.mem);
    if (out) *out = w;
}

/* ---- answers ---- */

/* The turn of one choice as it grows. */
typedef struct teller {
    sb_voice *v;
    const sb_dialect *d;
    const rig_say *say;
    int32_t i;
    sb_turn t;
    sb_buf *out;
    sb_error *err;
} teller;

static void add_ids(teller *k, int n)
{
    for (int j = 0; j < n; j++) {
        const size_t at = k->t.ids.n;
        assert_int_equal(sb_ids_add(&k->t.ids, 'a' + (int32_t)(at % 26), NULL), SB_OK);
        if (k->v && sb_voice_head_of(k->v)->ask->turns[k->i].n_logprobs < 0) continue;
        if (at >= k->t.cap_logprobs) {
            k->t.cap_logprobs = k->t.cap_logprobs ? 2 * k->t.cap_logprobs : 8;
            k->t.logprobs = sb_realloc(k->t.logprobs, k->t.cap_logprobs, sizeof *k->t.logprobs);
            assert_non_null(k->t.logprobs);
        }
        const int32_t n_top = sb_voice_head_of(k->v)->ask->turns[k->i].n_logprobs;
        k->t.logprobs[at] = (sb_token_logprob){.logprob = -0.5 - (double)at, .n_top = n_top};
        for (int32_t m = 0; m < n_top; m++) {
            k->t.logprobs[at].top_ids[m] = 'A' + m;
            k->t.logprobs[at].top[m] = -0.25 * (m + 1);
        }
    }
}

static sb_str copy(const char *s)
{
    return (sb_str){sb_strdup_n(s, strlen(s)), strlen(s)};
}

static void keep(teller *k, const rig_step *s, sb_str text)
{
    sb_turn *t = &k->t;
    if (s->kind == SB_OUTPUT_CONTENT) {
        assert_int_equal(sb_buf_add(&t->content, text.p, text.n, NULL), SB_OK);
    } else if (s->kind == SB_OUTPUT_REASONING) {
        assert_int_equal(sb_buf_add(&t->reasoning, text.p, text.n, NULL), SB_OK);
    } else if (s->kind == SB_OUTPUT_CALL_BEGIN) {
        char id[32];
        (void)snprintf(id, sizeof id, "call_%d", s->i_call);
        t->calls = sb_realloc(t->calls, t->n_calls + 1, sizeof *t->calls);
        assert_non_null(t->calls);
        t->calls[t->n_calls++] = (sb_tool_call){copy(id), copy(s->text), copy("")};
    } else if (s->kind == SB_OUTPUT_CALL_ARGS) {
        sb_str *args = &t->calls[t->n_calls - 1].arguments;
        char *p = sb_realloc((char *)args->p, args->n + text.n + 1, 1);
        assert_non_null(p);
        if (text.n) memcpy(p + args->n, text.p, text.n);
        p[args->n + text.n] = 0;
        *args = (sb_str){p, args->n + text.n};
    }
}

static sb_status tell_piece(teller *k, const rig_step *s, sb_str text)
{
    char id[32];
    (void)snprintf(id, sizeof id, "call_%d", s->i_call);
    keep(k, s, text);
    const sb_output_event e = {
        .kind = s->kind, .i_call = s->i_call, .id = {id, strlen(id)}, .text = text};
    return k->d->event(k->v, k->i, &e, &k->t, k->out, k->err);
}

static sb_status tell_step(teller *k, const rig_step *s)
{
    const size_t n = strlen(s->text);
    const bool whole =
        !k->say->piece_bytes || s->kind == SB_OUTPUT_CALL_BEGIN || s->kind == SB_OUTPUT_CALL_END;
    add_ids(k, s->n_ids);
    if (whole || n == 0) return tell_piece(k, s, (sb_str){s->text, n});
    for (size_t at = 0; at < n;) {
        size_t end = at + (size_t)k->say->piece_bytes;
        while (end < n && ((unsigned char)s->text[end] & 0xc0) == 0x80)
            end++;
        if (end > n) end = n;
        SB_TRY(tell_piece(k, s, (sb_str){s->text + at, end - at}));
        at = end;
    }
    return SB_OK;
}

static sb_status tell_choice(teller *k, const rig_answer *a)
{
    sb_buf_init(&k->t.content, SB_MAX_REPLY_BYTES, "content");
    sb_buf_init(&k->t.reasoning, SB_MAX_REPLY_BYTES, "reasoning");
    sb_ids_init(&k->t.ids, SB_MAX_CTX);
    sb_ids_init(&k->t.prompt_ids, SB_MAX_CTX);
    k->t.n_cached = a->n_cached;
    k->t.energy = (sb_energy){.source = SB_ENERGY_ESTIMATED,
                              .energy_uj = 1500000,
                              .lo_uj = 1000000,
                              .hi_uj = 2000000,
                              .prefill_uj = 500000,
                              .duration_ns = 500000000,
                              .cpu_ns = 750000000,
                              .ratio = 1,
                              .method = "cpu-time",
                              .meter = "test",
                              .scope = "package"};
    for (int i = 0; i < a->n_prompt; i++)
        assert_int_equal(sb_ids_add(&k->t.prompt_ids, 'p', NULL), SB_OK);
    if (k->say->progress && k->d->progress)
        SB_TRY(k->d->progress(k->v, k->i, 3, 5, 8, k->out, k->err));
    for (size_t i = 0; i < a->n; i++)
        SB_TRY(tell_step(k, &a->steps[i]));
    if (k->say->fail) return SB_OK;
    add_ids(k, a->n_tail);
    k->t.finish = a->finish;
    k->t.prefill_ns = 20000000;
    k->t.decode_ns = 80000000;
    k->t.n_decoded = (int32_t)k->t.ids.n;
    return k->d->choice(k->v, k->i, &k->t, k->out, k->err);
}

static sb_status tell(const sb_ask *a, const rig_say *say, sb_turn *turns, sb_voice *v, sb_buf *out,
                      sb_error *err)
{
    const sb_dialect *d = a->dialect;
    SB_TRY(d->begin(v, out, err));
    for (size_t i = 0; i < a->n_turns; i++) {
        teller k = {.v = v, .d = d, .say = say, .i = (int32_t)i, .out = out, .err = err};
        const sb_status s = tell_choice(&k, &say->answers[i]);
        turns[i] = k.t;
        if (s != SB_OK) return s;
    }
    return say->fail ? (d->fail)(v, say->fail, out, err) : d->end(v, turns, out, err);
}

char *rig_tell(const sb_ask *a, const rig_say *say, sb_error *err)
{
    const sb_voice_facts f = {.id = "abc",
                              .request_id = "req-1",
                              .model = "tiny",
                              .created_s = 1700000000,
                              .created_ns = 250000000,
                              .fingerprint = "fp_1",
                              .tok = say->tok};
    sb_buf out;
    sb_buf_init(&out, SB_MAX_REPLY_BYTES, "reply");
    sb_turn *turns = sb_calloc(a->n_turns + 1, sizeof *turns);
    sb_voice *v = turns ? sb_voice_new(a, &f) : NULL;
    sb_status s =
        v ? tell(a, say, turns, v, &out, err) : SB_FAIL(err, SB_NO_MEMORY, "rig: out of memory");
    for (size_t i = 0; turns && i < a->n_turns; i++)
        sb_turn_deinit(&turns[i]);
    sb_voice_free(v, a->dialect);
    sb_free(turns);
    if (s == SB_OK) s = sb_buf_add(&out, "", 0, err);
    if (s == SB_OK) return out.p;
    sb_buf_deinit(&out);
    return NULL;
}

sb_tokenizer *rig_tokenizer(void)
{
    tv *v = sb_calloc(1, sizeof *v);
    sb_tokenizer *tok = NULL;
    assert_non_null(v);
    tv_add_alphabet(v);
    (void)tv_add(v, "<|end|>", SB_TOK_CONTROL, 0);
    const sb_tokenizer_desc d = tv_desc(v, "gpt2");
    assert_int_equal(sb_tokenizer_new(&tok, &d, NULL), SB_OK);
    tv_deinit(v);
    sb_free(v);
    for (int32_t c = 0; c < 256; c++) {
        const sb_str s = sb_tokenizer_piece(tok, c, true);
        assert_int_equal(s.n, 1);
        assert_int_equal((unsigned char)s.p[0], c);
    }
    return tok;
}

/* ---- what came out ---- */

json_t *rig_json(const char *text)
{
    sb_wire_error w = {0};
    json_t *j = NULL;
    if (sb_wire_json(&j, (sb_str){text, strlen(text)}, &w) != SB_OK)
        print_error("%s\n  %.400s\n", w.err.msg, text);
    assert_non_null(j);
    return j;
}

static void check_line(const char *line, size_t n, size_t *n_json)
{
    if (n > 0 && line[0] == ':') return;
    if (n > 7 && memcmp(line, "event: ", 7) == 0) return;
    assert_true(n > 6 && memcmp(line, "data: ", 6) == 0);
    if (n == 12 && memcmp(line, "data: [DONE]", 12) == 0) return;
    char *text = sb_strdup_n(line + 6, n - 6);
    assert_non_null(text);
    json_decref(rig_json(text));
    sb_free(text);
    (*n_json)++;
}

size_t rig_check_sse(const char *stream)
{
    size_t n_json = 0;
    bool blank = true;
    for (const char *p = stream; *p;) {
        const char *end = strchr(p, '\n');
        assert_non_null(end);
        blank = end == p;
        if (!blank) check_line(p, (size_t)(end - p), &n_json);
        p = end + 1;
    }
    assert_true(blank);
    return n_json;
}
