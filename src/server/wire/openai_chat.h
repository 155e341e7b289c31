/* SPDX-License-Identifier: Apache-2.0
 * openai_chat.h - the voice of /v1/chat/completions, and what its request shares with completions.
 */
#ifndef SB_SERVER_OPENAI_CHAT_H
#define SB_SERVER_OPENAI_CHAT_H
#include "server/wire/ask_fields.h"
#include "server/wire/voice.h"

/* Slots of sb_dialect. */
sb_status sb_openai_chat_begin(sb_voice *v, sb_buf *out, sb_error *err);
sb_status sb_openai_chat_progress(sb_voice *v, int32_t i_choice, int32_t n_cached, int32_t n_done,
                                  int32_t n_all, sb_buf *out, sb_error *err);
sb_status sb_openai_chat_event(sb_voice *v, int32_t i_choice, const sb_output_event *e,
                               const sb_turn *t, sb_buf *out, sb_error *err);
sb_status sb_openai_chat_choice(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out,
                                sb_error *err);
sb_status sb_openai_chat_end(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err);

/* stream_options, return_progress, timings_per_token */
sb_status sb_openai_stream_options(const sb_fields *f, sb_ask *a) SB_MUST_USE;
/* sampling, seed, logit_bias, stop, ignore_eos */
sb_status sb_openai_drawing(const sb_fields *f, sb_ask *a, sb_turn_request *t) SB_MUST_USE;
#endif
