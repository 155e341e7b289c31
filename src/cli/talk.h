/* SPDX-License-Identifier: Apache-2.0
 * talk.h - the conversation of a chat: its messages, and the file they are saved in.
 *
 * Invariants  At most one system message, and it is the first. Roles are known words; texts are
 *             UTF-8.
 * Format      {"model": "NAME", "messages": [{"role": "user", "content": "..."}, ...]}; an
 *             assistant's message may have "reasoning_content". Read strictly: any other member,
 *             type, role or size is an error that names it, and the conversation stays as it was.
 * Ownership   sb_talk owns copies of all texts. Views borrow from it until it changes.
 * Errors      SB_INVALID, SB_CORRUPT, SB_LIMIT (SB_MAX_MESSAGES, SB_MAX_PROMPT_BYTES), SB_IO,
 *             SB_NO_MEMORY; the conversation is unchanged.
 * Threads     One. */
#ifndef SB_CLI_TALK_H
#define SB_CLI_TALK_H
#include "base/base.h"
#include "prompt/prompt.h"

typedef struct sb_talk {
    sb_message *messages; /* the texts in role, content and reasoning are owned */
    size_t n, cap;
    size_t bytes; /* of all texts */
} sb_talk;

void sb_talk_deinit(sb_talk *t);
/* role: a static word. */
sb_status sb_talk_add(sb_talk *t, const char *role, sb_str content, sb_str reasoning,
                      sb_error *err) SB_MUST_USE;
/* Takes the last message back. */
void sb_talk_drop(sb_talk *t);
/* Forgets everything but the system message. */
void sb_talk_reset(sb_talk *t);
/* The system message's text, or {NULL, 0}. */
sb_str sb_talk_system(const sb_talk *t);
/* Sets it; an empty one takes it away. */
sb_status sb_talk_set_system(sb_talk *t, sb_str text, sb_error *err) SB_MUST_USE;

/* Writes beside and renames: a file that was there is whole until the new one is. */
sb_status sb_talk_save(const sb_talk *t, const char *path, const char *model,
                       sb_error *err) SB_MUST_USE;
/* Replaces the conversation by the file's. */
sb_status sb_talk_load(sb_talk *t, const char *path, sb_error *err) SB_MUST_USE;
#endif
