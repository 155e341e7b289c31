/* SPDX-License-Identifier: Apache-2.0
 * dialog.h - the neutral messages and tools of an ask, put together piece by piece.
 *
 * Purpose     Dialects cut conversations differently (messages, blocks, items); all become
 *             sb_message here. The lists that several dialects share are read by chat_messages.h.
 * Ownership   Everything lives in the ask; texts are borrowed, mostly from its root.
 * Errors      SB_LIMIT, SB_NO_MEMORY, and what the function says; w->param is the path given. */
#ifndef SB_SERVER_DIALOG_H
#define SB_SERVER_DIALOG_H
#include "base/buf.h"
#include "server/wire/ask_fields.h"

typedef struct sb_dialog {
    sb_ask *ask;
    sb_wire_error *w;
    sb_message *m; /* [n] */
    size_t n, cap;
    size_t cap_parts, cap_calls; /* of the last message */
} sb_dialog;

void sb_dialog_init(sb_dialog *d, sb_ask *ask, sb_wire_error *w);
/* A new last message; role is a static word: system, developer, user, assistant, tool. */
sb_status sb_dialog_add(sb_dialog *d, const char *role) SB_MUST_USE;
/* The last message; there is one. Its id, name and so on may be set directly. */
static inline sb_message *sb_dialog_last(sb_dialog *d)
{
    return &d->m[d->n - 1];
}
/* To the last message: the next piece of its content (one piece is its content, several its parts);
 * more reasoning; a call. */
sb_status sb_dialog_text(sb_dialog *d, sb_str text) SB_MUST_USE;
sb_status sb_dialog_think(sb_dialog *d, sb_str text) SB_MUST_USE;
/* arguments: a JSON object, or text (kept as it is when it is no JSON), or NULL: none. */
sb_status sb_dialog_call(sb_dialog *d, sb_str id, sb_str name, const json_t *arguments) SB_MUST_USE;
/* Checks the whole (at least one message; an assistant says, thinks or calls something), gives tool
 * results the name of the tool whose call they answer, takes nonce lines out of the first system
 * message (nonces.def) unless the ask keeps them, and sets out's messages. path: "messages". */
sb_status sb_dialog_end(sb_dialog *d, const char *path, sb_prompt_request *out) SB_MUST_USE;

/* SB_INVALID unless 1 to SB_MAX_TOOL_NAME_BYTES bytes without blanks and control characters. */
sb_status sb_tool_name_check(const sb_fields *f, const char *field, sb_str name) SB_MUST_USE;

/* Tools on offer, as the prompt room wants them. */
typedef struct sb_tools {
    sb_ask *ask;
    sb_wire_error *w;
    sb_buf text;
    size_t n;
    size_t n_refs; /* $ref so far */
} sb_tools;
/* Reads one tool of a dialect. f: the tool's object, with its path ("tools[3]."). */
typedef sb_status sb_tool_reader(sb_tools *t, const sb_fields *f);
/* Reads each tool of the list "tools" (NULL: none). *out: the JSON list, in the ask; unchanged
 * without tools, or when they are read for their errors only (offer false). */
sb_status sb_tools_read(sb_ask *ask, sb_wire_error *w, const json_t *tools, sb_tool_reader *read,
                        bool offer, sb_str *out) SB_MUST_USE;
/* f: the tool's object, for its errors. description: p NULL for none. parameters: a JSON schema or
 * NULL; refused when it refers to itself in a circle or to elsewhere. */
sb_status sb_tools_add(sb_tools *t, const sb_fields *f, sb_str name, sb_str description,
                       const json_t *parameters) SB_MUST_USE;

/* Whether a schema's $ref are sound: *out_why is then unchanged, else a static text: they make a
 * circle, lead elsewhere, or are more than SB_MAX_TOOL_REFS with the *io_n before. */
sb_status sb_schema_refs(const json_t *schema, size_t *io_n, const char **out_why,
                         sb_error *err) SB_MUST_USE;
#endif
