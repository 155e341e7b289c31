/* SPDX-License-Identifier: Apache-2.0
 * remote.h - a server that answers instead of a model in this process: `sobre chat --server URL`.
 *
 * Purpose     Speaks OpenAI's chat completions as a stream, so that any such server will do; what
 *             only ours says (energy, progress, timings) is shown when it is there.
 * Secrets     $SOBRE_API_KEY goes to that address alone, over whatever scheme it names, and into no
 *             message. Redirections are not followed.
 * Ownership   As each function says.
 * Errors      SB_IO (nobody answers), SB_INVALID (the key, the request), SB_NOT_FOUND, SB_BUSY,
 *             SB_CANCELLED: each with the next step. What the server said is shown escaped.
 * Threads     One. */
#ifndef SB_CLI_REMOTE_H
#define SB_CLI_REMOTE_H
#include "chat/chat.h"
#include "cli/options.h"
#include "cli/talk.h"

typedef struct sb_remote sb_remote;

/* Asks for its models; model NULL: its first. */
sb_status sb_remote_open(sb_remote **out, const char *url, const char *model,
                         sb_error *err) SB_MUST_USE;
void sb_remote_close(sb_remote *r);
const char *sb_remote_model(const sb_remote *r);
/* Positions of a turn; 0: it does not say. */
int32_t sb_remote_n_ctx(const sb_remote *r);

typedef struct sb_remote_hooks {
    bool (*event)(void *ctx, const sb_output_event *e);
    void (*prefill)(void *ctx, int32_t n_done, int32_t n_all);
    void *ctx;
} sb_remote_hooks;

/* One answer. Of the turn content, reasoning, counts, times, finish and energy are set; ids are
 * counted, not known. An interrupt ends it as SB_FINISH_CANCELLED. */
sb_status sb_remote_turn(sb_remote *r, const sb_talk *talk, const sb_args *a,
                         const sb_remote_hooks *h, sb_turn *out, sb_error *err) SB_MUST_USE;
/* Appends the settled receipt of the last answer, as that server has it; waits for it a little. */
sb_status sb_remote_receipt(sb_remote *r, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
