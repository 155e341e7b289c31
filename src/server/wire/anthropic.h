/* SPDX-License-Identifier: Apache-2.0
 * anthropic.h - the parts of the Messages dialect, and its bodies that are no answers.
 *
 * Purpose     anthropic.c reads a request, anthropic_voice.c says the answer; the routes beside
 *             them (count_tokens, models) need a body only.
 * Threads     Pure functions.
 * Errors      As sb_buf: SB_LIMIT, SB_NO_MEMORY; `out` is then as before. */
#ifndef SB_SERVER_ANTHROPIC_H
#define SB_SERVER_ANTHROPIC_H
#include "server/wire/voice.h"

/* The dialect's parse. With ask->opts.count_only it reads the body of count_tokens, where
 * max_tokens may be missing. */
sb_status sb_anthropic_parse(sb_ask *a, sb_wire_error *w) SB_MUST_USE;

/* POST /v1/messages/count_tokens: what the prompt of the ask takes. */
sb_status sb_anthropic_count(sb_buf *out, int64_t n_tok, sb_error *err) SB_MUST_USE;

typedef struct sb_anthropic_model {
    const char *id, *display_name; /* display_name NULL: the id */
    int64_t created_s;             /* since 1970 */
    int64_t n_ctx;                 /* positions of one answer; 0: not known */
} sb_anthropic_model;

/* GET /v1/models when the client names an anthropic-version: models newest first, all in one
 * page. */
sb_status sb_anthropic_models(sb_buf *out, const sb_anthropic_model *models, size_t n,
                              sb_error *err) SB_MUST_USE;
/* GET /v1/models/{id} */
sb_status sb_anthropic_model_body(sb_buf *out, const sb_anthropic_model *model,
                                  sb_error *err) SB_MUST_USE;
/* An error's word for an HTTP status: "invalid_request_error" ... */
const char *sb_anthropic_error_type(int status);
#endif
