/* SPDX-License-Identifier: Apache-2.0
 * logprobs_out.h - log probabilities as a list of tokens, the same in several dialects. */
#ifndef SB_SERVER_LOGPROBS_OUT_H
#define SB_SERVER_LOGPROBS_OUT_H
#include "server/wire/voice.h"

/* Items of an open list: {token, bytes, logprob, top_logprobs} of ids [from, to); none when the
 * turn keeps no log probabilities. with_id: each token's "id" in front, as llama-server has it. */
void sb_jw_logprobs(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t from, size_t to,
                    bool with_id);
#endif
