/* SPDX-License-Identifier: Apache-2.0
 * replay.h - answers that come back as history keep the ids they were sampled as.
 *
 * Purpose     A model may spell a text with other tokens than the tokenizer would, and clients send
 *             tool calls back as JSON of their own spacing. Either would end the cached prefix at
 *             the first answer. So the last turns are remembered: prompt and answer as text, whose
 *             word each byte was, and the ids; a prompt that begins with one of them begins with
 *             its ids.
 * Safety      Text, origin of every byte and scope are compared in full; a hash only finds the
 *             candidates. What one scope was told never becomes ids for another.
 * Ownership   Copies all it keeps. At most `max_bytes`; the longest unused goes first.
 * Threads     Any; a lock inside.
 * Errors      SB_NO_MEMORY.
 * Cost        Linear in the text of the prompt. */
#ifndef SB_CHAT_REPLAY_H
#define SB_CHAT_REPLAY_H
#include "chat/chat.h"

typedef struct sb_replay sb_replay;

sb_status sb_replay_new(sb_replay **out, size_t max_bytes, sb_error *err) SB_MUST_USE;
void sb_replay_free(sb_replay *r);
/* Remembers a turn: the prompt as it was rendered, and the answer with all its ids. What there is
 * no memory for is not remembered: it is encoded again, and nothing is lost but time. */
void sb_replay_keep(sb_replay *r, uint64_t scope, const sb_rendered *prompt, const sb_turn *t);
/* Appends the ids of the longest remembered turn that the prompt begins with; *out_at: how many
 * bytes of the prompt they stand for, 0 = none. */
sb_status sb_replay_find(sb_replay *r, uint64_t scope, const sb_rendered *prompt, sb_ids *out,
                         size_t *out_at, sb_error *err) SB_MUST_USE;
/* The text of the remembered answer that called these tools in these words, copied (the caller's to
 * sb_free), or {NULL, 0}. m: an assistant's message with calls. */
sb_str sb_replay_text(sb_replay *r, uint64_t scope, const sb_message *m);
/* Forgets a scope, 0: all. */
void sb_replay_forget(sb_replay *r, uint64_t scope);
#endif
