/* SPDX-License-Identifier: Apache-2.0
 * sobre.c - the public API: a thin skin over the rooms, nothing else. */
#include "sobre.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/pool.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "prompt/prompt.h"

#include <stdio.h>
#include <string.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

enum { DEFAULT_CTX = 8192, STEP_ROWS = SB_MAX_BATCH_ROWS };

struct sobre_model {
    sb_model *model;
    sb_pool *pool;
    sb_engine *engine;
    sb_prompter prompter;
    int32_t n_ctx, n_rows;
    uint64_t n_sessions;
    const sobre_session *last; /* whose logits the engine holds */
};

struct sobre_session {
    sobre_model *m;
    sb_session *s;
    sb_sampler *sampler;
};

/* Our statuses and the public ones are two lists on purpose: the public one is an ABI. */
static int status_out(sb_status s, const sb_error *e, sobre_error *err)
{
    static const int map[SB_STATUS_COUNT] = {
        [SB_OK] = SOBRE_OK,
        [SB_INVALID] = SOBRE_INVALID,
        [SB_NOT_FOUND] = SOBRE_NOT_FOUND,
        [SB_UNSUPPORTED] = SOBRE_UNSUPPORTED,
        [SB_CORRUPT] = SOBRE_CORRUPT,
        [SB_IO] = SOBRE_IO,
        [SB_NO_MEMORY] = SOBRE_NO_MEMORY,
        [SB_BUSY] = SOBRE_BUSY,
        [SB_CANCELLED] = SOBRE_CANCELLED,
        [SB_LIMIT] = SOBRE_LIMIT,
    };
    _Static_assert(SB_STATUS_COUNT == 10, "a new status needs a public one");
    if (s != SB_OK && err) {
        err->status = map[s];
        (void)snprintf(err->message, sizeof err->message, "%s", e->msg);
    }
    return map[s];
}

const char *sobre_version(void)
{
    return TEXT(SOBRE_VERSION_MAJOR) "." TEXT(SOBRE_VERSION_MINOR) "." TEXT(SOBRE_VERSION_PATCH);
}

static sb_status open_model(sobre_model *m, const char *path, const sobre_model_options *o,
                            sb_error *e)
{
    if (o->weights < SB_WEIGHTS_AUTO || o->weights > SB_WEIGHTS_MAPPED)
        return SB_FAIL(e, SB_INVALID, "sobre_model_open: weights: 0, 1 or 2");
    SB_TRY(sb_model_open(&m->model, path, e));
    SB_TRY(sb_prompter_init(&m->prompter, m->model, (sb_str){0}, e));
    SB_TRY(sb_pool_new(&m->pool, o->n_threads ? o->n_threads : sb_cpu_count(), e));
    const int32_t trained = m->model->hp.n_ctx_train;
    m->n_ctx = o->n_ctx ? o->n_ctx : trained < DEFAULT_CTX ? trained : DEFAULT_CTX;
    m->n_rows = m->n_ctx < STEP_ROWS ? m->n_ctx : STEP_ROWS;
    const sb_engine_opts eo = {.precision = o->exact ? SB_EXACT : SB_FAST,
                               .kv = o->kv_f32 ? SB_KV_F32 : SB_KV_AUTO,
                               .weights = (sb_weights)o->weights,
                               .cap = sb_level_best(),
                               .n_ctx = m->n_ctx,
                               .n_sessions = o->n_sessions ? o->n_sessions : 1,
                               .n_rows = m->n_rows};
    return sb_engine_new(&m->engine, m->model, m->pool, &eo, e);
}

int sobre_model_open(sobre_model **out, const char *path, const sobre_model_options *options,
                     sobre_error *err)
{
    sb_error e = {0};
    sobre_model_options o = {0};
    if (!out || !path)
        return status_out(SB_FAIL(&e, SB_INVALID, "sobre_model_open: out or path is NULL"), &e,
                          err);
    if (options)
        memcpy(&o, options, options->struct_bytes < sizeof o ? options->struct_bytes : sizeof o);
    sobre_model *m = sb_calloc(1, sizeof *m);
    if (!m) return status_out(SB_FAIL(&e, SB_NO_MEMORY, "out of memory"), &e, err);
    const sb_status s = open_model(m, path, &o, &e);
    if (s == SB_OK)
        *out = m;
    else
        sobre_model_close(m);
    return status_out(s, &e, err);
}

void sobre_model_close(sobre_model *m)
{
    if (!m) return;
    sb_engine_free(m->engine);
    sb_pool_free(m->pool);
    sb_prompter_deinit(&m->prompter);
    sb_model_close(m->model);
    sb_free(m);
}

int32_t sobre_model_n_vocab(const sobre_model *m)
{
    return m->model->hp.n_vocab;
}

int32_t sobre_model_n_ctx(const sobre_model *m)
{
    return m->n_ctx;
}

const char *sobre_model_arch(const sobre_model *m)
{
    return sb_model_arch_name(m->model);
}

int32_t sobre_model_bos(const sobre_model *m)
{
    return sb_tokenizer_bos(m->model->tok);
}

int sobre_model_is_end(const sobre_model *m, int32_t id)
{
    return id >= 0 && id < m->model->hp.n_vocab && sb_tokenizer_is_end(m->model->tok, id);
}

/* Copies what fits and tells how many there are. */
static sb_status give_ids(const sb_ids *all, int32_t *ids, size_t cap, size_t *n_tok, sb_error *e)
{
    const size_t n = all->n < cap ? all->n : cap;
    if (n) memcpy(ids, all->v, n * sizeof *ids);
    *n_tok = all->n;
    return all->n <= cap ? SB_OK
                         : SB_FAIL(e, SB_LIMIT, "%zu tokens do not fit in %zu", all->n, cap);
}

// NOLINTNEXTLINE(readability-function-size): public, and its arguments are three pairs
int sobre_tokenize(const sobre_model *m, const char *text, size_t n_bytes, unsigned flags,
                   int32_t *ids, size_t cap, size_t *n_tok, sobre_error *err)
{
    sb_error e = {0};
    sb_ids all;
    sb_ids_init(&all, SB_MAX_PROMPT_BYTES);
    const sb_tokenizer *t = m->model->tok;
    const sb_tok_mode mode = flags & SOBRE_TOKENIZE_CONTROL ? SB_TOK_LITERAL : SB_TOK_CONTENT;
    sb_status s = SB_OK;
    if ((flags & SOBRE_TOKENIZE_BOS) && sb_tokenizer_add_bos(t))
        s = sb_ids_add(&all, sb_tokenizer_bos(t), &e);
    if (s == SB_OK) s = sb_tokenizer_encode(t, (sb_str){text, n_bytes}, mode, true, &all, &e);
    if (s == SB_OK) s = give_ids(&all, ids, cap, n_tok, &e);
    sb_ids_deinit(&all);
    return status_out(s, &e, err);
}

const char *sobre_token_text(const sobre_model *m, int32_t id, size_t *n_bytes)
{
    if (id < 0 || id >= m->model->hp.n_vocab) return NULL;
    const sb_str s = sb_tokenizer_piece(m->model->tok, id, false);
    if (n_bytes) *n_bytes = s.n;
    return s.p ? s.p : "";
}

int sobre_chat_ids(const sobre_model *m, const sobre_message *messages, size_t n_messages,
                   int32_t *ids, size_t cap, size_t *n_tok, sobre_error *err)
{
    sb_error e = {0};
    sb_ids all;
    sb_ids_init(&all, SB_MAX_PROMPT_BYTES);
    sb_message *list = sb_alloc(n_messages ? n_messages : 1, sizeof *list);
    sb_status s = list ? SB_OK : SB_FAIL(&e, SB_NO_MEMORY, "out of memory");
    for (size_t i = 0; s == SB_OK && i < n_messages; i++)
        list[i] = (sb_message){.role = {messages[i].role, strlen(messages[i].role)},
                               .content = {messages[i].content, strlen(messages[i].content)}};
    const sb_prompt_request r = {.messages = list, .n_messages = n_messages};
    if (s == SB_OK) s = sb_prompter_chat(&m->prompter, &r, &all, &e);
    if (s == SB_OK) s = give_ids(&all, ids, cap, n_tok, &e);
    sb_free(list);
    sb_ids_deinit(&all);
    return status_out(s, &e, err);
}

int sobre_session_open(sobre_session **out, sobre_model *m, sobre_error *err)
{
    sb_error e = {0};
    sobre_session *s = sb_calloc(1, sizeof *s);
    if (!s) return status_out(SB_FAIL(&e, SB_NO_MEMORY, "out of memory"), &e, err);
    s->m = m;
    const sb_sampling greedy = {.top_p = 1};
    sb_status st = sb_session_open(&s->s, m->engine, m->n_sessions + 1, &e);
    if (st == SB_OK) st = sb_sampler_new(&s->sampler, m->model->hp.n_vocab, &greedy, &e);
    if (st == SB_OK) {
        m->n_sessions++;
        *out = s;
    } else {
        sobre_session_close(s);
    }
    return status_out(st, &e, err);
}

void sobre_session_close(sobre_session *s)
{
    if (!s) return;
    if (s->m->last == s) s->m->last = NULL;
    sb_sampler_free(s->sampler);
    sb_session_close(s->s);
    sb_free(s);
}

int32_t sobre_session_n_pos(const sobre_session *s)
{
    return sb_session_n_pos(s->s);
}

int sobre_session_rewind(sobre_session *s, int32_t n_pos, sobre_error *err)
{
    sb_error e = {0};
    const sb_status st = sb_session_rewind(s->s, n_pos, &e);
    if (st == SB_OK && s->m->last == s) s->m->last = NULL;
    return status_out(st, &e, err);
}

int sobre_session_feed(sobre_session *s, const int32_t *ids, size_t n, sobre_error *err)
{
    sb_error e = {0};
    sb_status st = SB_OK;
    if (n == 0) return SOBRE_OK;
    if (n > (size_t)sb_session_room(s->s))
        st = SB_FAIL(&e, SB_LIMIT, "context is full: %d positions, %zu more asked",
                     sb_session_n_pos(s->s), n);
    const int32_t before = sb_session_n_pos(s->s);
    for (size_t at = 0; st == SB_OK && at < n;) {
        const size_t left = n - at,
                     step = left < (size_t)s->m->n_rows ? left : (size_t)s->m->n_rows;
        const sb_span span = {.s = s->s,
                              .ids = ids + at,
                              .n = (int32_t)step,
                              .want = step == left ? SB_WANT_LAST : SB_WANT_NONE};
        s->m->last = NULL;
        st = sb_engine_step(s->m->engine, &span, 1, &e);
        at += step;
    }
    if (st == SB_OK)
        s->m->last = s;
    else if (sb_session_n_pos(s->s) != before && sb_session_rewind(s->s, before, NULL) != SB_OK)
        return status_out(st, &e, err); /* a window moved on: the session keeps what it was fed */
    return status_out(st, &e, err);
}

const float *sobre_session_logits(const sobre_session *s)
{
    return s->m->last == s ? sb_engine_logits(s->m->engine, 0, 0) : NULL;
}

int sobre_session_sampling(sobre_session *s, const sobre_sampling *p, sobre_error *err)
{
    sb_error e = {0};
    sobre_sampling v = {0};
    memcpy(&v, p, p->struct_bytes < sizeof v ? p->struct_bytes : sizeof v);
    const sb_sampling own = {.temp = v.temperature,
                             .top_k = v.top_k,
                             .min_p = v.min_p,
                             .top_p = v.top_p == 0 ? 1 : v.top_p,
                             .seed = v.seed};
    sb_sampler *fresh = NULL;
    const sb_status st = sb_sampler_new(&fresh, s->m->model->hp.n_vocab, &own, &e);
    if (st == SB_OK) {
        sb_sampler_free(s->sampler);
        s->sampler = fresh;
    }
    return status_out(st, &e, err);
}

int sobre_session_sample(sobre_session *s, int32_t *id, double *logprob, sobre_error *err)
{
    sb_error e = {0};
    const float *logits = sobre_session_logits(s);
    if (!logits)
        return status_out(SB_FAIL(&e, SB_INVALID, "no logits: feed this session first"), &e, err);
    *id = sb_sampler_draw(s->sampler, logits, NULL);
    if (logprob) *logprob = sb_logprob(logits, s->m->model->hp.n_vocab, *id);
    return SOBRE_OK;
}
