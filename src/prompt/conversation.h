/* SPDX-License-Identifier: Apache-2.0
 * conversation.h - a chat request as the variables of a template; inside the prompt room.
 *
 * Errors      SB_INVALID names the message, the call or the field; SB_LIMIT; SB_NO_MEMORY. */
#ifndef SB_PROMPT_CONVERSATION_H
#define SB_PROMPT_CONVERSATION_H
#include "prompt/prompt.h"

/* Sets every variable of r in c, in the shapes that p's template wants. */
sb_status sb_conversation_fill(const sb_prompter *p, const sb_prompt_request *r, sb_val_ctx *c,
                               sb_error *err) SB_MUST_USE;
/* Finds out what shapes the template wants, by rendering small conversations: whether a call's
 * arguments are to be an object or text, and contents text or parts. */
sb_status sb_conversation_probe(sb_prompter *p, sb_error *err) SB_MUST_USE;
#endif
