/* SPDX-License-Identifier: Apache-2.0
 * text_prompt.h - prompts that are text or ids as they stand.
 *
 * Purpose     For completions: one prompt or a list of them. Control tokens in such a text match:
 *             clients that fill in a chat template themselves expect it of these routes. */
#ifndef SB_SERVER_TEXT_PROMPT_H
#define SB_SERVER_TEXT_PROMPT_H
#include "server/wire/ask_fields.h"
#include "server/wire/json_writer.h"
#include "server/wire/voice.h"

/* Makes the ask's turns from f's "prompt": a string, a list of strings, a list of ids, or a list of
 * lists of ids; each n times, copies of *first but for prompt and seed. */
sb_status sb_prompts_read(const sb_fields *f, sb_ask *a, const sb_turn_request *first,
                          int32_t n) SB_MUST_USE;
/* The text of a choice's prompt, as a value; ids as the tokens' texts. */
void sb_jw_prompt(sb_jw *w, const sb_voice *v, int32_t i_choice);
/* Appends the same text. */
sb_status sb_prompt_text(const sb_voice *v, int32_t i_choice, sb_buf *out,
                         sb_error *err) SB_MUST_USE;
#endif
