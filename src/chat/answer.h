/* SPDX-License-Identifier: Apache-2.0
 * answer.h - from the ids of an answer to its text and events; for this room's files only.
 *
 * Purpose     What happens to an id after it was drawn: whole characters, stop strings, the parser
 *             of the model's format, the turn's own copy of everything handed out.
 * Ownership   Borrows request, turn and tokenizer until sb_answer_deinit().
 * Errors      As the parts; the answer is then good for sb_answer_deinit() only. */
#ifndef SB_CHAT_ANSWER_H
#define SB_CHAT_ANSWER_H
#include "chat/chat.h"
#include "engine/stops.h"

typedef struct sb_answer {
    const sb_turn_request *r;
    sb_turn *out;
    const sb_tokenizer *tok;
    sb_output_format format;
    sb_output *parser;
    sb_stops stops;
    sb_detok detok;
    sb_buf piece; /* text of the last token */
    sb_buf shown; /* of it, what no stop string can take back */
    bool stopped_by_reader;
} sb_answer;

/* The turn's prompt_ids are known. */
sb_status sb_answer_init(sb_answer *a, const sb_tokenizer *tok, sb_output_format format,
                         const sb_turn_request *r, sb_turn *out, sb_error *err) SB_MUST_USE;
void sb_answer_deinit(sb_answer *a);
sb_status sb_answer_take(sb_answer *a, int32_t id, sb_error *err) SB_MUST_USE;
/* True when a stop string was met. */
bool sb_answer_is_stopped(const sb_answer *a);
/* is_cut: the answer did not end by itself. Half a character is then dropped. */
sb_status sb_answer_finish(sb_answer *a, bool is_cut, sb_error *err) SB_MUST_USE;
#endif
