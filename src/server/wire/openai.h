/* SPDX-License-Identifier: Apache-2.0
 * openai.h - what OpenAI's chat and completions, and llama-server's completion, say alike.
 *
 * Purpose     For the voices of these three dialects: pieces of objects, ends of streams, errors.
 *             Pieces are members, written after others of an open object. */
#ifndef SB_SERVER_OPENAI_H
#define SB_SERVER_OPENAI_H
#include "server/wire/voice.h"

/* {"id", "object", "created", "model", "system_fingerprint" of an object left open. */
void sb_openai_head(sb_jw *w, const sb_voice *v, const char *prefix, const char *object);
/* A chunk of a stream: {head, "choices": [{"index", left open. */
void sb_openai_open_chunk(sb_jw *w, const sb_voice *v, const char *prefix, const char *object,
                          int32_t i_choice);
/* Closes its choice, and the list of choices. */
void sb_openai_close_choice(sb_jw *w);
/* Closes the chunk: "usage": null where usage comes at the end. */
void sb_openai_close_chunk(sb_jw *w, const sb_voice *v);
/* Closes the list of choices of an answer in one piece, and the answer: "usage", "energy",
 * "timings", warnings. */
void sb_openai_close_whole(sb_jw *w, const sb_voice *v, const sb_turn *turns);
/* "usage": tokens, cached, reasoning, energy. */
void sb_openai_usage(sb_jw *w, const sb_voice *v, const sb_turn *turns);
/* "timings": llama-server's, of a turn that is over. */
void sb_openai_timings(sb_jw *w, const sb_turn *t);
/* The same of the turn so far, by the clock, waiting included; nothing unless asked for. */
void sb_openai_timings_now(sb_jw *w, const sb_voice *v, int32_t i_choice, const sb_turn *t);
/* "prompt_progress": llama-server's. */
void sb_openai_progress(sb_jw *w, const sb_voice *v, int32_t n_cached, int32_t n_done,
                        int32_t n_all);
/* "finish_reason", and "finish_detail" where the word does not say all. */
void sb_openai_finish(sb_jw *w, const sb_turn *t);
/* log of a probability; clients expect a number where there is none. */
void sb_openai_logprob(sb_jw *w, double logprob);

/* The last pieces of a stream: the usage chunk if it was asked for, the energy as a comment,
 * [DONE]. */
sb_status sb_openai_end_stream(const sb_voice *v, const sb_turn *turns, const char *prefix,
                               const char *object, sb_buf *out, sb_error *err) SB_MUST_USE;

/* {"error": {...}}; numeric: code is the HTTP status, as llama-server has it. */
void sb_openai_error(sb_jw *w, const sb_wire_error *e, bool numeric);
/* Slots of sb_dialect. */
sb_status sb_openai_refuse(const sb_wire_error *e, const char *request_id, sb_buf *out,
                           sb_error *err);
sb_status sb_openai_fail(sb_voice *v, const sb_wire_error *e, sb_buf *out, sb_error *err);
#endif
