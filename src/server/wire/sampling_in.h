/* SPDX-License-Identifier: Apache-2.0
 * sampling_in.h - how an answer is drawn, as many dialects ask for it under the same names.
 *
 * Defaults    What a request does not say is as the caller set it before. sb_sampling_openai:
 *             temperature 1, top_p 1, all else off (OpenAI, Responses, Anthropic).
 *             sb_sampling_llama: temperature 0.8, top_k 40, top_p 0.95, min_p 0.05 (llama-server).
 *             sb_sampling_ollama: temperature 0.8, top_k 40, top_p 0.9, repeat_last_n 64. None of
 *             them depends on the model.
 * Ranges      temperature 0..100, top_p 0..1 (0 is greedy), top_k -1.. (0 and -1: all), min_p and
 *             typical_p 0..1, repeat_penalty above 0..100, presence and frequency -2..2,
 *             repeat_last_n -1.. (-1: all, 0: no penalties).
 * Errors      As ask_fields.h. */
#ifndef SB_SERVER_SAMPLING_IN_H
#define SB_SERVER_SAMPLING_IN_H
#include "server/wire/ask_fields.h"

extern const sb_sampling sb_sampling_openai, sb_sampling_llama, sb_sampling_ollama;

/* temperature, top_p, top_k, min_p, typical_p, repeat_penalty, repeat_last_n, presence_penalty,
 * frequency_penalty of f's object. */
sb_status sb_sampling_read(const sb_fields *f, sb_sampling *io) SB_MUST_USE;
/* seed: -1 and null leave it to the server. */
sb_status sb_seed_read(const sb_fields *f, sb_ask *a, sb_sampling *io) SB_MUST_USE;
/* A string or a list of strings: at most SB_MAX_STOPS, none empty, SB_MAX_STOP_BYTES each. */
sb_status sb_stops_read(const sb_fields *f, const char *name, sb_ask *a,
                        sb_turn_request *t) SB_MUST_USE;
/* logit_bias: {"id": bias}, or llama-server's [[id, bias], ...] where bias may be false (never).
 * Biases are cut to -100..100. Ids over the vocabulary are found when the answer begins. */
sb_status sb_logit_bias_read(const sb_fields *f, sb_ask *a, sb_sampling *io) SB_MUST_USE;
/* reasoning_effort (none: thinking off), thinking {type}, enable_thinking, chat_template_kwargs. */
sb_status sb_thinking_read(const sb_fields *f, sb_ask *a, sb_prompt_request *io) SB_MUST_USE;
/* Makes room for n_prompts times n turns, all of them copies of *first whose seeds count up within
 * a prompt. path: the field that asks for too many. */
sb_status sb_turns_make(const sb_fields *f, sb_ask *a, const sb_turn_request *first,
                        size_t n_prompts, int32_t n) SB_MUST_USE;
#endif
