/* SPDX-License-Identifier: Apache-2.0
 * chat.c - opening a model for turns, and the turn itself. */
#include "chat/chat.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "chat/answer.h"

#include <string.h>

struct sb_chat {
    sb_model *model;
    sb_engine *engine;
    sb_prompter prompter;
    sb_output_format format;
    sb_meter *meter;
    int32_t n_ctx, n_rows;
    uint64_t n_turns;
    sb_session *session; /* of the last turn, or NULL */
    sb_ids held;         /* the ids at its positions */
};

/* A turn in progress. */
typedef struct turn_run {
    sb_chat *c;
    const sb_turn_request *r;
    sb_turn *out;
    sb_sampler *sampler;
    sb_answer answer;
    int32_t next; /* the id drawn last */
} turn_run;

const char *sb_finish_word(sb_finish f)
{
    static const char *const word[SB_FINISH_COUNT] = {
#define X(name, text) [SB_FINISH_##name] = text,
#include "chat/finish.def"
#undef X
    };
    return word[f];
}

static bool has_token(void *ctx, sb_str text)
{
    return sb_tokenizer_find(ctx, text) >= 0;
}

static sb_status open_chat(sb_chat *c, const char *path, const sb_chat_opts *o, sb_error *err)
{
    SB_TRY(sb_model_open(&c->model, path, err));
    sb_engine_opts eo = o->engine;
    if (eo.n_ctx == 0)
        eo.n_ctx = c->model->hp.n_ctx_train < SB_CHAT_CTX ? c->model->hp.n_ctx_train : SB_CHAT_CTX;
    if (eo.n_rows > eo.n_ctx) eo.n_rows = eo.n_ctx;
    SB_TRY(sb_prompter_init(&c->prompter, c->model, o->template_text, err));
    SB_TRY(sb_engine_new(&c->engine, c->model, o->pool, &eo, err));
    c->n_ctx = eo.n_ctx;
    c->n_rows = eo.n_rows;
    c->meter = o->meter;
    c->format = o->format != SB_OUTPUT_AUTO
                    ? o->format
                    : sb_output_recognise(c->prompter.text, has_token, c->model->tok);
    return SB_OK;
}

sb_status sb_chat_open(sb_chat **out, const char *path, const sb_chat_opts *o, sb_error *err)
{
    sb_chat *c = sb_calloc(1, sizeof *c);
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    sb_ids_init(&c->held, SB_MAX_CTX);
    const sb_status s = open_chat(c, path, o, err);
    if (s == SB_OK)
        *out = c;
    else
        sb_chat_close(c);
    return s;
}

void sb_chat_close(sb_chat *c)
{
    if (!c) return;
    sb_chat_forget(c);
    sb_ids_deinit(&c->held);
    sb_engine_free(c->engine);
    sb_prompter_deinit(&c->prompter);
    sb_model_close(c->model);
    sb_free(c);
}

const sb_model *sb_chat_model(const sb_chat *c)
{
    return c->model;
}

sb_engine *sb_chat_engine(const sb_chat *c)
{
    return c->engine;
}

int32_t sb_chat_n_ctx(const sb_chat *c)
{
    return c->n_ctx;
}

sb_output_format sb_chat_format(const sb_chat *c)
{
    return c->format;
}

bool sb_chat_has_template(const sb_chat *c)
{
    return c->prompter.text.n > 0;
}

sb_status sb_chat_prompt_ids(const sb_chat *c, const sb_turn_request *r, sb_ids *out, sb_error *err)
{
    if (r->prompt.messages)
        SB_TRY(sb_prompter_chat(&c->prompter, &r->prompt, out, err));
    else
        SB_TRY(sb_prompter_raw(&c->prompter, r->raw, r->raw_control, out, err));
    if (out->n == 0)
        return SB_FAIL(err, SB_INVALID, "the prompt is empty: give it at least one character");
    if (out->n >= (size_t)c->n_ctx)
        return SB_FAIL(err, SB_LIMIT,
                       "context_length: the prompt has %zu tokens and the context holds "
                       "%d with the answer; a larger --ctx or a shorter prompt helps",
                       out->n, c->n_ctx);
    return SB_OK;
}

void sb_chat_forget(sb_chat *c)
{
    sb_session_close(c->session);
    c->session = NULL;
    c->held.n = 0;
}

/* Goes back to where the prompt leaves what the session holds. One token at least is fed: its
 * logits begin the answer. Where a window has moved on, the session starts over. */
static sb_status resume(turn_run *t, sb_error *err)
{
    sb_chat *c = t->c;
    const sb_ids *ids = &t->out->prompt_ids;
    const uint64_t owner = ++c->n_turns;
    if (!c->session) return sb_session_open(&c->session, c->engine, owner, err);
    sb_session_set_owner(c->session, owner);
    size_t n = 0;
    while (n < c->held.n && n + 1 < ids->n && c->held.v[n] == ids->v[n])
        n++;
    if (sb_session_rewind(c->session, (int32_t)n, NULL) != SB_OK) {
        n = 0;
        SB_TRY(sb_session_rewind(c->session, 0, err));
    }
    c->held.n = n;
    t->out->n_cached = (int32_t)n;
    return SB_OK;
}

/* One step of the turn's session. */
static sb_status feed(turn_run *t, const sb_span *span, sb_error *err)
{
    SB_TRY(sb_engine_step(t->c->engine, span, 1, err));
    for (int32_t i = 0; i < span->n; i++)
        SB_TRY(sb_ids_add(&t->c->held, span->ids[i], err));
    if (t->c->meter) sb_meter_tick(t->c->meter);
    return SB_OK;
}

static bool is_cancelled(const turn_run *t)
{
    return t->answer.stopped_by_reader || (t->r->cancel && atomic_load(t->r->cancel));
}

static sb_status prefill(turn_run *t, sb_error *err)
{
    const sb_ids *ids = &t->out->prompt_ids;
    const int32_t n_all = (int32_t)ids->n;
    for (int32_t at = t->out->n_cached; at < n_all && !is_cancelled(t);) {
        const int32_t n = n_all - at < t->c->n_rows ? n_all - at : t->c->n_rows;
        const sb_span span = {.s = t->c->session,
                              .ids = ids->v + at,
                              .n = n,
                              .want = at + n == n_all ? SB_WANT_LAST : SB_WANT_NONE};
        SB_TRY(feed(t, &span, err));
        at += n;
        if (t->r->on_prefill) t->r->on_prefill(t->r->ctx, at, n_all);
    }
    return SB_OK;
}

/* Notes the log probabilities of the id just drawn. */
static sb_status keep_logprobs(turn_run *t, const float *logits, sb_error *err)
{
    if (t->r->n_logprobs < 0) return SB_OK;
    sb_turn *o = t->out;
    if (o->ids.n >= o->cap_logprobs) {
        const size_t cap = o->cap_logprobs ? 2 * o->cap_logprobs : 64;
        sb_token_logprob *p = sb_realloc(o->logprobs, cap, sizeof *p);
        if (!p) return SB_FAIL(err, SB_NO_MEMORY, "logprobs: out of memory");
        o->logprobs = p;
        o->cap_logprobs = cap;
    }
    sb_token_logprob *l = &o->logprobs[o->ids.n];
    *l = (sb_token_logprob){.logprob = sb_logprob(logits, t->c->model->hp.n_vocab, t->next)};
    l->n_top = t->r->n_logprobs < SB_MAX_LOGPROBS ? t->r->n_logprobs : SB_MAX_LOGPROBS;
    sb_top_logprobs(logits, t->c->model->hp.n_vocab, l->n_top, l->top_ids, l->top);
    return SB_OK;
}

/* Draws the next id; false in *go_on when the answer is over. */
static sb_status take_token(turn_run *t, bool *go_on, sb_error *err)
{
    const float *logits = sb_engine_logits(t->c->engine, 0, 0);
    sb_turn *o = t->out;
    t->next = sb_sampler_draw(t->sampler, logits, NULL);
    sb_sampler_accept(t->sampler, t->next);
    *go_on = false;
    if (sb_tokenizer_is_end(t->c->model->tok, t->next)) {
        o->finish = SB_FINISH_STOP;
        return SB_OK;
    }
    SB_TRY(keep_logprobs(t, logits, err));
    SB_TRY(sb_ids_add(&o->ids, t->next, err));
    SB_TRY(sb_answer_take(&t->answer, t->next, err));
    if (sb_answer_is_stopped(&t->answer))
        o->finish = SB_FINISH_STOP;
    else if (is_cancelled(t))
        o->finish = SB_FINISH_CANCELLED;
    else if ((t->r->max_tokens >= 0 && (int64_t)o->ids.n >= t->r->max_tokens) ||
             sb_session_room(t->c->session) == 0)
        o->finish = SB_FINISH_LENGTH;
    else
        *go_on = true;
    return SB_OK;
}

static sb_status decode(turn_run *t, sb_error *err)
{
    bool go_on = false;
    SB_TRY(take_token(t, &go_on, err));
    while (go_on) {
        const sb_span span = {
            .s = t->c->session, .ids = &t->next, .n = 1, .want = SB_WANT_LAST, .is_decode = true};
        SB_TRY(feed(t, &span, err));
        t->out->n_decoded++;
        SB_TRY(take_token(t, &go_on, err));
    }
    SB_TRY(sb_answer_finish(&t->answer, t->out->finish != SB_FINISH_STOP, err));
    if (t->out->finish == SB_FINISH_STOP && t->out->n_calls) t->out->finish = SB_FINISH_TOOL_CALLS;
    return SB_OK;
}

static sb_status run_turn(turn_run *t, sb_error *err)
{
    sb_chat *c = t->c;
    sb_turn *o = t->out;
    sb_meter_mark mark = {0};
    if (c->meter) mark = sb_meter_begin(c->meter);
    const uint64_t begin_ns = sb_now_ns();
    sb_sampler_prompt(t->sampler, o->prompt_ids.v, o->prompt_ids.n);
    SB_TRY(resume(t, err));
    SB_TRY(prefill(t, err));
    o->prefill_ns = sb_now_ns() - begin_ns;
    sb_energy prefill_energy = {0};
    if (c->meter) prefill_energy = sb_meter_end(c->meter, &mark);
    const uint64_t decode_ns = sb_now_ns();
    o->finish = is_cancelled(t) ? SB_FINISH_CANCELLED : SB_FINISH_LENGTH;
    if (o->finish != SB_FINISH_CANCELLED && t->r->max_tokens != 0) SB_TRY(decode(t, err));
    o->decode_ns = sb_now_ns() - decode_ns;
    if (!c->meter) return SB_OK;
    o->energy = sb_meter_end(c->meter, &mark);
    sb_energy_split(&o->energy, &prefill_energy);
    return SB_OK;
}

static void init_turn(sb_turn *o)
{
    memset(o, 0, sizeof *o);
    sb_buf_init(&o->text, SB_MAX_PROMPT_BYTES, "answer");
    sb_buf_init(&o->content, SB_MAX_PROMPT_BYTES, "answer");
    sb_buf_init(&o->reasoning, SB_MAX_PROMPT_BYTES, "reasoning");
    sb_ids_init(&o->prompt_ids, SB_MAX_PROMPT_BYTES);
    sb_ids_init(&o->ids, SB_MAX_CTX);
}

sb_status sb_chat_turn(sb_chat *c, const sb_turn_request *r, sb_turn *out, sb_error *err)
{
    sb_turn o;
    init_turn(&o);
    turn_run t = {.c = c, .r = r, .out = &o};
    sb_status s = sb_chat_prompt_ids(c, r, &o.prompt_ids, err);
    if (s == SB_OK) s = sb_answer_init(&t.answer, c->model->tok, c->format, r, &o, err);
    if (s == SB_OK) s = sb_sampler_new(&t.sampler, c->model->hp.n_vocab, &r->sampling, err);
    if (s == SB_OK) {
        s = run_turn(&t, err);
        if (s != SB_OK) sb_chat_forget(c); /* a broken step may have left numbers behind */
    }
    sb_sampler_free(t.sampler);
    sb_answer_deinit(&t.answer);
    if (s == SB_OK)
        *out = o;
    else
        sb_turn_deinit(&o);
    return s;
}

void sb_turn_deinit(sb_turn *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->n_calls; i++) {
        sb_free((char *)t->calls[i].id.p);
        sb_free((char *)t->calls[i].name.p);
        sb_free((char *)t->calls[i].arguments.p);
    }
    sb_free(t->calls);
    sb_free(t->logprobs);
    sb_ids_deinit(&t->ids);
    sb_ids_deinit(&t->prompt_ids);
    sb_buf_deinit(&t->reasoning);
    sb_buf_deinit(&t->content);
    sb_buf_deinit(&t->text);
    memset(t, 0, sizeof *t);
}
