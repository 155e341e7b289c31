/* SPDX-License-Identifier: Apache-2.0
 * chat_messages.h - lists of messages and tools in the shape that OpenAI's and Ollama's chats have.
 *
 * Purpose     One reader for both: content as text or parts, arguments as text or object,
 *             reasoning_content, reasoning or thinking.
 * Errors      As ask_fields.h; the path is "messages[3].content[1]" and the like. Images, audio and
 *             files are SB_UNSUPPORTED. */
#ifndef SB_SERVER_CHAT_MESSAGES_H
#define SB_SERVER_CHAT_MESSAGES_H
#include "server/wire/dialog.h"

/* Appends every message of the list to d. */
sb_status sb_messages_read(sb_dialog *d, const json_t *messages, const char *path) SB_MUST_USE;
/* Content of d's last message: a text, or a list of texts and of {"type": "text" | "input_text" |
 * "output_text" | "refusal"}. Absent and null add nothing. */
sb_status sb_content_read(sb_dialog *d, const sb_fields *f, const char *name) SB_MUST_USE;
/* {"type": "function", "function": {"name", "description", "parameters"}} */
sb_status sb_chat_tool_read(sb_tools *t, const sb_fields *f) SB_MUST_USE;
#endif
