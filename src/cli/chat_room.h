/* SPDX-License-Identifier: Apache-2.0
 * chat_room.h - what the files of `sobre chat` share: the conversation and all around it.
 *
 * Ownership   cmd_chat.c opens and closes everything; the others borrow. */
#ifndef SB_CLI_CHAT_ROOM_H
#define SB_CLI_CHAT_ROOM_H
#include "cli/host.h"
#include "cli/line.h"
#include "cli/remote.h"
#include "cli/talk.h"

/* Sums over the answers of this chat. */
typedef struct sb_chat_sums {
    uint64_t n_turns, n_prompt, n_cached, n_ids, n_decoded;
    uint64_t prefill_ns, decode_ns;
    sb_energy energy;  /* summed; source and meter of the last answer */
    bool mixed_energy; /* answers were not all measured the same way */
    int32_t n_context; /* positions that the last turn took */
} sb_chat_sums;

/* What /receipt is about. */
typedef struct sb_chat_last {
    bool any; /* there was an answer */
    sb_receipt_answer answer;
    json_t *receipt; /* made when it was asked for first, or NULL */
} sb_chat_last;

typedef struct sb_chat_room {
    const sb_cli *c;
    sb_host host;      /* without a model when a server answers */
    sb_remote *remote; /* --server, or NULL */
    sb_lines *lines;
    sb_talk talk;
    sb_chat_sums sums;
    sb_chat_last last;
    bool leaving;
} sb_chat_room;

/* chat_slash.c: runs a line that begins with '/'. What it refuses it says; an error is one that
 * ends a chat without a person. */
sb_status sb_chat_slash(sb_chat_room *r, sb_str line, sb_error *err) SB_MUST_USE;
/* Name of what answers, and the positions of a turn (0: not known). */
const char *sb_chat_room_model(const sb_chat_room *r);
int32_t sb_chat_room_n_ctx(const sb_chat_room *r);
/* chat_sums.c */
void sb_chat_sums_add(sb_chat_sums *s, const sb_turn *t);
void sb_chat_sums_show(const sb_chat_room *r);
/* chat_receipt.c: keeps an answer that has ended; shows its receipt, or writes it (path NULL:
 * shows); forgets it. */
void sb_chat_receipt_keep(sb_chat_room *r, const sb_turn *t);
sb_status sb_chat_receipt_show(sb_chat_room *r, const char *path, sb_error *err) SB_MUST_USE;
void sb_chat_receipt_drop(sb_chat_room *r);
#endif
