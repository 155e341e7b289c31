/* SPDX-License-Identifier: Apache-2.0
 * chat.c - opening a model for turns, and the thread that steps them. */
#include "chat/chat.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "chat/internal.h"

#include <string.h>

const char *sb_finish_word(sb_finish f)
{
    static const char *const word[SB_FINISH_COUNT] = {
#define X(name, text, ...) [SB_FINISH_##name] = text,
#include "chat/finish.def"
#undef X
    };
    return word[f];
}

static bool has_token(void *ctx, sb_str text)
{
    return sb_tokenizer_find(ctx, text) >= 0;
}

static void on_step(void *ctx, const sb_work_record *r)
{
    sb_chat *c = ctx;
    c->step_begin_ns = r->begin_ns;
    if (c->ledger) sb_ledger_step(c->ledger, r);
    if (atomic_load(&c->n_budgets)) sb_turns_check_budgets(c, r);
    if (c->hooks.on_step) c->hooks.on_step(c->hooks.ctx, r);
}

static void enter_step(void *ctx)
{
    const sb_chat *c = ctx;
    if (c->hooks.enter) c->hooks.enter(c->hooks.ctx);
}

static void leave_step(void *ctx)
{
    const sb_chat *c = ctx;
    if (c->hooks.leave) c->hooks.leave(c->hooks.ctx);
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
    const sb_governor_turns turns = {o->hooks.enter, o->hooks.leave, o->hooks.ctx};
    if (o->governor && eo.n_decode_threads == 0)
        SB_TRY(sb_governor_choose(o->governor, c->engine, &turns, err));
    SB_TRY(sb_replay_new(&c->replay, SB_MAX_REPLAY_BYTES, err));
    c->n_ctx = eo.n_ctx;
    c->ledger = o->ledger;
    c->hooks = o->hooks;
    c->format = o->format != SB_OUTPUT_AUTO
                    ? o->format
                    : sb_output_recognise(c->prompter.text, has_token, c->model->tok);
    const sb_sched_opts so = {.max_queue = o->max_queue ? o->max_queue : 1,
                              .quick_bytes = SB_MAX_QUICK_BYTES,
                              .batch_wait_ns = (uint64_t)o->batch_wait_ms * 1000000,
                              .on_step = on_step,
                              .enter = enter_step,
                              .leave = leave_step,
                              .rest = o->rest,
                              .ctx = c};
    return sb_sched_new(&c->sched, c->engine, &so, err);
}

sb_status sb_chat_open(sb_chat **out, const char *path, const sb_chat_opts *o, sb_error *err)
{
    sb_chat *c = sb_calloc(1, sizeof *c);
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    (void)pthread_mutex_init(&c->lock, NULL);
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
    sb_chat_stop(c);
    sb_sched_free(c->sched);
    sb_replay_free(c->replay);
    sb_engine_free(c->engine);
    sb_prompter_deinit(&c->prompter);
    sb_model_close(c->model);
    (void)pthread_mutex_destroy(&c->lock);
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

sb_sched *sb_chat_sched(const sb_chat *c)
{
    return c->sched;
}

int32_t sb_chat_n_ctx(const sb_chat *c)
{
    return c->n_ctx;
}

bool sb_chat_has_template(const sb_chat *c)
{
    return c->prompter.text.n > 0;
}

const sb_prompter *sb_chat_prompter(const sb_chat *c)
{
    return &c->prompter;
}

sb_status sb_chat_prompt_ids(sb_chat *c, const sb_turn_request *r, uint64_t scope, sb_ids *out,
                             sb_error *err)
{
    sb_rendered rendered = {0};
    const sb_status s = sb_turn_prompt(c, r, scope, out, &rendered, err);
    sb_rendered_deinit(&rendered);
    return s;
}

void sb_chat_forget(sb_chat *c, uint64_t scope)
{
    sb_sched_forget(c->sched, scope);
    sb_replay_forget(c->replay, scope);
}

/* ---- the stepper ---- */

static void *step_on(void *ctx)
{
    sb_sched_run(((sb_chat *)ctx)->sched);
    return NULL;
}

sb_status sb_chat_start(sb_chat *c, sb_error *err)
{
    const int r = pthread_create(&c->stepper, NULL, step_on, c);
    if (r != 0)
        return SB_FAIL(err, SB_NO_MEMORY, "the stepper's thread cannot be made: %s", strerror(r));
    c->is_started = true;
    return SB_OK;
}

static bool cancel_all(sb_chat *c)
{
    (void)pthread_mutex_lock(&c->lock);
    for (sb_live *l = c->first; l; l = l->next)
        if (l->seq) sb_seq_cancel(l->seq);
    const bool any = c->first != NULL;
    (void)pthread_mutex_unlock(&c->lock);
    return any;
}

void sb_chat_stop(sb_chat *c)
{
    if (!c->is_started) return;
    sb_sched_stop(c->sched);
    (void)pthread_join(c->stepper, NULL);
    c->is_started = false;
    while (cancel_all(c)) {
        bool did = false;
        sb_sched_step(c->sched, &did);
    }
}
