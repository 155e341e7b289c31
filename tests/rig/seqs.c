/* SPDX-License-Identifier: Apache-2.0
 * seqs.c - see seqs.h. */
#include "seqs.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <string.h>

static void on_prefill(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all)
{
    sb_rig_seq *r = ctx;
    (void)n_all;
    r->n_cached = n_cached;
    r->n_prefilled = n_done;
}

static bool on_token(void *ctx, int32_t id, const sb_token_logprob *lp)
{
    sb_rig_seq *r = ctx;
    (void)lp;
    const uint64_t now = sb_now_ns();
    if (r->n_out == 0) r->first_ns = now;
    if (r->n_out > 0 && r->gaps_ns) r->gaps_ns[r->n_out - 1] = (double)(now - r->last_ns);
    r->last_ns = now;
    if (r->n_out < r->cap) r->out[r->n_out] = id;
    r->n_out++;
    return r->stop_after == 0 || r->n_out < r->stop_after;
}

static void on_end(void *ctx, sb_seq_end why, const sb_error *err)
{
    sb_rig_seq *r = ctx;
    r->why = why;
    if (err) r->err = *err;
    atomic_fetch_add(&r->n_ends, 1);
}

sb_seq_opts sb_rig_seq_opts(sb_rig_seq *r, const int32_t *ids, int32_t n, int32_t max_tokens)
{
    memset(r, 0, sizeof *r);
    r->ids = ids;
    r->n_ids = n;
    return (sb_seq_opts){.ids = ids,
                         .n_ids = n,
                         .sampling = {.top_p = 1},
                         .max_tokens = max_tokens,
                         .n_logprobs = -1,
                         .scope = 1,
                         .share = 1,
                         .owner = 1,
                         .on_prefill = on_prefill,
                         .on_token = on_token,
                         .on_end = on_end,
                         .ctx = r};
}

sb_status sb_rig_seq_begin(sb_rig_seq *r, sb_sched *s, const sb_seq_opts *o, sb_error *err)
{
    r->cap = o->max_tokens < 0 ? 4096 : o->max_tokens;
    r->out = sb_alloc((size_t)r->cap, sizeof *r->out);
    if (!r->out) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    r->submit_ns = sb_now_ns();
    const sb_status st = sb_sched_submit(s, o, &r->q, err);
    if (st == SB_OK) return SB_OK;
    sb_free(r->out);
    r->out = NULL;
    return st;
}

void sb_rig_seq_end(sb_rig_seq *r)
{
    sb_seq_release(r->q);
    sb_free(r->out);
    r->q = NULL;
    r->out = NULL;
}

void sb_rig_drain(sb_sched *s)
{
    for (bool did = true; did;)
        sb_sched_step(s, &did);
}

/* Feeds the prompt and what is drawn, one row at a time after it. */
static sb_status run_alone(sb_engine *e, sb_session *s, sb_sampler *sampler, const sb_seq_opts *o,
                           int32_t *out, int32_t *n_out, sb_error *err)
{
    const sb_model *m = sb_engine_model(e);
    const int32_t chunk = 48;
    for (int32_t at = 0; at < o->n_ids; at += chunk) {
        const int32_t n = o->n_ids - at < chunk ? o->n_ids - at : chunk;
        const sb_span span = {.s = s, .ids = o->ids + at, .n = n, .want = SB_WANT_LAST};
        SB_TRY(sb_engine_step(e, &span, 1, err));
    }
    while (*n_out < o->max_tokens) {
        const int32_t id = sb_sampler_draw(sampler, sb_engine_logits(e, 0, 0), NULL);
        sb_sampler_accept(sampler, id);
        if (sb_tokenizer_is_end(m->tok, id)) return SB_OK;
        out[(*n_out)++] = id;
        if (*n_out == o->max_tokens || sb_session_room(s) == 0) return SB_OK;
        const sb_span span = {.s = s, .ids = &id, .n = 1, .want = SB_WANT_LAST};
        SB_TRY(sb_engine_step(e, &span, 1, err));
    }
    return SB_OK;
}

sb_status sb_rig_alone(sb_engine *e, const sb_seq_opts *o, int32_t *out, int32_t *n_out,
                       sb_error *err)
{
    sb_session *s = NULL;
    sb_sampler *sampler = NULL;
    *n_out = 0;
    SB_TRY(sb_session_open(&s, e, 1, err));
    sb_status st = sb_sampler_new(&sampler, sb_engine_model(e)->hp.n_vocab, &o->sampling, err);
    if (st == SB_OK) {
        sb_sampler_prompt(sampler, o->ids, (size_t)o->n_ids);
        st = run_alone(e, s, sampler, o, out, n_out, err);
    }
    sb_sampler_free(sampler);
    sb_session_close(s);
    return st;
}
