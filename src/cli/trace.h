/* SPDX-License-Identifier: Apache-2.0
 * trace.h - a day of chats, read from lines of JSON.
 *
 * Purpose     What `sobre bench trace` replays. A line is {"turns": ["...", ...]}, the questions of
 *             a conversation whose answers are the server's own, or {"messages": [{"role",
 *             "content"}, ...]}, where the assistant's messages stand for what the server said.
 *             Other members are passed over. Blank lines are allowed.
 * Invariants  Every chat has a question; its messages begin with a system prompt, its own or the
 *             shared one.
 * Ownership   sb_trace owns all of it until _deinit, which takes a zeroed one.
 * Errors      SB_NOT_FOUND, SB_IO, SB_CORRUPT (naming the line), SB_LIMIT, SB_NO_MEMORY.
 * Threads     Any may read. */
#ifndef SB_CLI_TRACE_H
#define SB_CLI_TRACE_H
#include "base/base.h"

#include <jansson.h>

typedef struct sb_trace_chat {
    json_t *messages; /* list of {"role", "content"} */
    size_t n_turns;   /* questions in it */
    size_t i_first;   /* its first one among those of the trace */
} sb_trace_chat;

typedef struct sb_trace {
    sb_trace_chat *chats; /* [n_chats] */
    size_t n_chats, n_turns;
} sb_trace;

typedef struct sb_trace_opts {
    const char *system; /* the shared system prompt; NULL: the usual one */
    bool fixed_answers; /* "turns" get the same words as answers in their history */
    size_t n_most;      /* so many chats, spread over the file; 0: all */
} sb_trace_opts;

/* path NULL: the day of chats that comes with the program. */
sb_status sb_trace_read(sb_trace *out, const char *path, const sb_trace_opts *o,
                        sb_error *err) SB_MUST_USE;
void sb_trace_deinit(sb_trace *t);

/* bench/chats.jsonl, as the build put it into the program. */
extern const unsigned char sb_trace_day[];
extern const size_t sb_trace_day_bytes;
#endif
