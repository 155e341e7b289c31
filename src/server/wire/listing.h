/* SPDX-License-Identifier: Apache-2.0
 * listing.h - the bodies of what is asked about models, slots and tokens: /v1/models and
 * llama-server's /health, /props, /slots, /tokenize, /detokenize, /apply-template.
 *
 * Purpose     Plain structs to JSON, and two small requests read. What exists and runs is known
 *             to whoever calls. A chat body for /apply-template is read by sb_dialect_openai_chat.
 * Ownership   All is borrowed for the call; texts of a request are borrowed from its root.
 * Threads     Pure functions.
 * Errors      Of bodies: as sb_buf (SB_LIMIT, SB_NO_MEMORY), `out` is then as before. Of requests:
 *             as ask_fields.h, and w says what to send. */
#ifndef SB_SERVER_LISTING_H
#define SB_SERVER_LISTING_H
#include "engine/sched.h"
#include "server/wire/wire.h"

/* A model that is served. Numbers 0 and texts NULL or "" are not known and are left out. */
typedef struct sb_listed_model {
    const char *id;
    int64_t created_s;
    const char *owned_by; /* NULL: "sobre" */
    const char *state;    /* "loaded", "loading", "unloaded" */
    double load_part;     /* while it is loading: 0..1 */
    const char *arch, *format, *licence, *source;
    uint64_t n_params, file_bytes, memory_bytes;
    int32_t n_ctx, n_ctx_train, n_vocab, n_embd;
    bool is_default;
} sb_listed_model;

/* GET /v1/models and /v1/models/{id}. */
sb_status sb_models_body(sb_buf *out, const sb_listed_model *models, size_t n,
                         sb_error *err) SB_MUST_USE;
sb_status sb_model_body(sb_buf *out, const sb_listed_model *m, sb_error *err) SB_MUST_USE;
/* GET /health, when all is well. */
sb_status sb_health_body(sb_buf *out, sb_error *err) SB_MUST_USE;

typedef struct sb_props {
    const char *model, *path, *version; /* path: NULL where it is nobody's business */
    int32_t n_parallel, n_ctx;
    sb_str chat_template, bos, eos;
    bool is_asleep; /* the model is not in memory */
} sb_props;
/* GET /props */
sb_status sb_props_body(sb_buf *out, const sb_props *p, sb_error *err) SB_MUST_USE;

/* The sequences of one model in memory. */
typedef struct sb_model_slots {
    const char *model;
    const sb_seq_info *seqs; /* [n] */
    size_t n;
    int32_t n_parallel, n_ctx;
} sb_model_slots;
/* GET /slots: one for each sequence, and idle ones up to n_parallel of each model. No content of
 * anybody. */
sb_status sb_slots_body(sb_buf *out, const sb_model_slots *models, size_t n,
                        sb_error *err) SB_MUST_USE;

/* POST /tokenize; texts are the root's. */
typedef struct sb_tokenize_ask {
    sb_str content;
    bool add_special;   /* bos in front; false unless asked */
    bool parse_special; /* control tokens in the content match; true unless asked otherwise */
    bool with_pieces;
} sb_tokenize_ask;
sb_status sb_tokenize_read(sb_tokenize_ask *a, const json_t *root, sb_wire_error *w) SB_MUST_USE;
sb_status sb_tokenize_body(sb_buf *out, const sb_tokenizer *tok, const sb_ids *ids,
                           bool with_pieces, sb_error *err) SB_MUST_USE;

/* POST /detokenize: appends the text of the root's "tokens". SB_INVALID for an id the vocabulary
 * does not have. */
sb_status sb_detokenize_body(sb_buf *out, const sb_tokenizer *tok, const json_t *root,
                             sb_wire_error *w) SB_MUST_USE;

/* POST /apply-template: {"prompt": text}. */
sb_status sb_prompt_body(sb_buf *out, sb_str prompt, sb_error *err) SB_MUST_USE;
#endif
