/* SPDX-License-Identifier: Apache-2.0
 * chat_history.h - what was typed in earlier chats, kept in a file of the user's own.
 *
 * Purpose     Lines for the arrow keys, nothing else: a history that cannot be read or written
 *             costs the memory of earlier chats and never the chat.
 * Format      One entry a line, oldest first; `\n` stands for a line break in an entry, `\\` for a
 *             backslash. Mode 0600, in a folder of mode 0700. An entry is added by one write at the
 *             end, so two chats may share the file. Past SB_MAX_HISTORY_BYTES the older half goes,
 *             through a file beside it that takes its place.
 * Hostile     A file that somebody else wrote gives entries without control characters, or none.
 * Errors      SB_IO, SB_LIMIT, SB_NO_MEMORY; SB_NOT_FOUND when there is no place for it. */
#ifndef SB_CLI_CHAT_HISTORY_H
#define SB_CLI_CHAT_HISTORY_H
#include "base/base.h"
#include "base/buf.h"

/* $XDG_STATE_HOME/sobre/history, else ~/.local/state/sobre/history. */
sb_status sb_history_path(sb_buf *out, sb_error *err) SB_MUST_USE;
/* Calls each() for every entry, oldest first. No file is an empty history. */
sb_status sb_history_load(const char *path, void (*each)(void *ctx, const char *entry), void *ctx,
                          sb_error *err) SB_MUST_USE;
/* Adds an entry and makes file and folder when they are missing. */
sb_status sb_history_append(const char *path, sb_str entry, sb_error *err) SB_MUST_USE;
#endif
