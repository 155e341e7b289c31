/* SPDX-License-Identifier: Apache-2.0
 * routes_llama.c - what clients of llama-server ask beside answers: health, props, slots, tokens,
 * the template. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "prompt/prompt.h"
#include "server/look.h"
#include "server/model_job.h"
#include "server/server_in.h"
#include "server/wire/listing.h"

/* ---- health ---- */

static void say_unavailable(sb_x *x, const char *why)
{
    sb_wire_error w = {.status = 503};
    (void)SB_FAIL(&w.err, SB_BUSY, "%s", why);
    sb_reply_error(x, &w);
}

static void say_ok(sb_x *x)
{
    sb_buf body;
    sb_error err;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "health");
    const sb_status s = sb_health_body(&body, &err);
    sb_look_reply(x, &body, s, &err);
}

void sb_route_health(sb_server *sv, sb_x *x, const sb_caller *who)
{
    (void)who;
    if (sb_models_is_starting(sv->models))
        say_unavailable(x, "Loading model");
    else
        say_ok(x);
    sb_x_release(x);
}

void sb_route_ready(sb_server *sv, sb_x *x, const sb_caller *who)
{
    (void)who;
    if (atomic_load(&sv->draining))
        say_unavailable(x, "the server is shutting down");
    else if (sb_models_is_starting(sv->models))
        say_unavailable(x, "Loading model");
    else
        say_ok(x);
    sb_x_release(x);
}

/* ---- props and slots ---- */

/* What the properties tell of a model in memory, copied: it may go at any time. */
typedef struct found_texts {
    const char *id;
    sb_buf all; /* template, bos, eos */
    size_t n_template, n_bos, n_eos;
    sb_status status;
} found_texts;

static sb_str token_text(const sb_tokenizer *t, int32_t id)
{
    return id < 0 ? (sb_str){"", 0} : sb_tokenizer_piece(t, id, true);
}

static void copy_texts(void *ctx, const char *id, sb_chat *chat)
{
    found_texts *f = ctx;
    const sb_tokenizer *tok = sb_chat_model(chat)->tok;
    if (f->all.n || strcmp(id, f->id) != 0) return;
    const sb_str text = sb_chat_prompter(chat)->text;
    const sb_str bos = token_text(tok, sb_tokenizer_bos(tok));
    const sb_str eos = token_text(tok, sb_tokenizer_eos(tok));
    f->n_template = text.n;
    f->n_bos = bos.n;
    f->n_eos = eos.n;
    f->status = sb_buf_add(&f->all, text.p, text.n, NULL);
    if (f->status == SB_OK) f->status = sb_buf_add(&f->all, bos.p, bos.n, NULL);
    if (f->status == SB_OK) f->status = sb_buf_add(&f->all, eos.p, eos.n, NULL);
}

static void look_props(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_info m = {0};
    sb_buf body;
    sb_error err;
    (void)who;
    (void)sb_models_find(sv->models, NULL, &m);
    found_texts t = {.id = m.id};
    sb_buf_init(&t.all, SB_MAX_REPLY_BYTES, "properties");
    sb_models_each(sv->models, copy_texts, &t);
    const char *text = t.all.p ? t.all.p : "";
    const sb_props p = {.model = m.id,
                        .version = sv->fingerprint,
                        .n_parallel = m.n_streams ? m.n_streams : 1,
                        .n_ctx = m.n_ctx ? m.n_ctx : m.n_ctx_train,
                        .chat_template = {text, t.n_template},
                        .bos = {text + t.n_template, t.n_bos},
                        .eos = {text + t.n_template + t.n_bos, t.n_eos},
                        .is_asleep = m.state != SB_MODEL_LOADED};
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "properties");
    const sb_status s = t.status == SB_OK ? sb_props_body(&body, &p, &err)
                                          : SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
    sb_look_reply(x, &body, s, &err);
    sb_buf_deinit(&t.all);
}

void sb_route_props(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_props);
}

enum { MAX_SLOTS = 256, MAX_SLOT_MODELS = 16 };

typedef struct found_slots {
    sb_model_slots of[MAX_SLOT_MODELS];
    char ids[MAX_SLOT_MODELS][SB_MODEL_ID_BYTES];
    sb_seq_info seqs[MAX_SLOT_MODELS][MAX_SLOTS];
    size_t n;
} found_slots;

/* One line for each answer that runs or waits, whoever asks for it: numbers only. */
static void add_slots(void *ctx, const char *id, sb_chat *chat)
{
    found_slots *f = ctx;
    if (f->n == MAX_SLOT_MODELS) return;
    const size_t n = sb_sched_list(sb_chat_sched(chat), f->seqs[f->n], MAX_SLOTS);
    (void)snprintf(f->ids[f->n], sizeof f->ids[f->n], "%s", id);
    f->of[f->n] = (sb_model_slots){.model = f->ids[f->n],
                                   .seqs = f->seqs[f->n],
                                   .n = n < MAX_SLOTS ? n : MAX_SLOTS,
                                   .n_ctx = sb_chat_n_ctx(chat)};
    f->n++;
}

void sb_route_slots(sb_server *sv, sb_x *x, const sb_caller *who)
{
    found_slots *f = sb_calloc(1, sizeof *f);
    sb_buf body;
    sb_error err;
    (void)who;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "slots");
    if (f) sb_models_each(sv->models, add_slots, f);
    for (size_t i = 0; f && i < f->n; i++) {
        sb_model_info m = {0};
        if (sb_models_find(sv->models, f->ids[i], &m)) f->of[i].n_parallel = m.n_streams;
    }
    const sb_status s =
        f ? sb_slots_body(&body, f->of, f->n, &err) : SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
    sb_look_reply(x, &body, s, &err);
    sb_free(f);
    sb_x_release(x);
}

/* ---- tokens ---- */

static sb_status encode(const sb_tokenizer *t, const sb_tokenize_ask *a, sb_ids *ids, sb_error *err)
{
    if (a->add_special && sb_tokenizer_add_bos(t))
        SB_TRY(sb_ids_add(ids, sb_tokenizer_bos(t), err));
    return sb_tokenizer_encode(t, a->content, a->parse_special ? SB_TOK_ALL : SB_TOK_CONTENT, true,
                               ids, err);
}

static void tokenize(sb_model_job *j)
{
    const sb_tokenizer *t = sb_chat_model(sb_held_chat(j->model))->tok;
    sb_tokenize_ask a;
    sb_wire_error w;
    sb_ids ids;
    sb_buf body;
    if (sb_tokenize_read(&a, j->ask.root, &w) != SB_OK) {
        sb_reply_error(j->x, &w);
        return;
    }
    sb_ids_init(&ids, SB_MAX_PROMPT_BYTES);
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "tokens");
    sb_status s = encode(t, &a, &ids, &w.err);
    if (s == SB_OK) s = sb_tokenize_body(&body, t, &ids, a.with_pieces, &w.err);
    sb_look_reply(j->x, &body, s, &w.err);
    sb_ids_deinit(&ids);
}

void sb_route_tokenize(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_job_begin(sv, x, who, NULL, tokenize);
}

static void detokenize(sb_model_job *j)
{
    sb_wire_error w;
    sb_buf body;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "text");
    const sb_status s =
        sb_detokenize_body(&body, sb_chat_model(sb_held_chat(j->model))->tok, j->ask.root, &w);
    if (s == SB_OK)
        sb_look_reply(j->x, &body, s, &w.err);
    else
        sb_reply_error(j->x, &w);
    sb_buf_deinit(&body);
}

void sb_route_detokenize(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_job_begin(sv, x, who, NULL, detokenize);
}

static void apply_template(sb_model_job *j)
{
    sb_rendered r;
    sb_error err;
    const sb_prompter *p = sb_chat_prompter(sb_held_chat(j->model));
    const sb_status s = sb_prompter_render(p, &j->ask.turns[0].prompt, &r, &err);
    if (s != SB_OK) {
        sb_reply_failure(j->x, &err);
        return;
    }
    sb_buf body;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "prompt");
    const sb_status made = sb_prompt_body(&body, (sb_str){r.text, r.bytes}, &err);
    sb_look_reply(j->x, &body, made, &err);
    sb_rendered_deinit(&r);
}

void sb_route_apply_template(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_job_begin(sv, x, who, &sb_dialect_openai_chat, apply_template);
}
