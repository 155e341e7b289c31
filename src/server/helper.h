/* SPDX-License-Identifier: Apache-2.0
 * helper.h - the process beside the server that may go out: it brings models, and takes them away.
 *
 * Purpose     The server itself connects nowhere, runs nothing and writes no model. What needs that
 *             is asked of a small process that was forked before the sandbox closed.
 * Protocol    One packet a message over a socket pair, structs of fixed size, checked on arrival.
 *             To the helper: PULL (one word), REMOVE (one name), CANCEL. From it: PROGRESS, and one
 *             DONE for each PULL and REMOVE.
 * Trust       The helper does not believe the server: words that are no name of the catalogue are
 *             taken only while the data base holds an admin key that is not revoked. The server, in
 *             turn, takes the helper's texts as texts.
 * Life        The helper ends when its end of the socket closes.
 * Ownership   sb_helper owns its descriptor.
 * Threads     One. */
#ifndef SB_SERVER_HELPER_H
#define SB_SERVER_HELPER_H
#include "store/pull.h"

#include <sys/types.h>

enum { SB_HELPER_WORD_BYTES = 1024 };

typedef enum sb_helper_kind {
    SB_HELPER_PULL = 1,
    SB_HELPER_REMOVE,
    SB_HELPER_CANCEL,
    SB_HELPER_PROGRESS,
    SB_HELPER_DONE
} sb_helper_kind;

/* To the helper. */
typedef struct sb_helper_ask {
    uint32_t kind, accept_terms;
    uint64_t id;
    char word[SB_HELPER_WORD_BYTES];
} sb_helper_ask;

/* From it. */
typedef struct sb_helper_news {
    uint32_t kind, phase; /* sb_pull_phase */
    uint64_t id, done_bytes, total_bytes;
    uint32_t i_part, n_part;
    uint32_t status; /* DONE: sb_status */
    char name[65];   /* DONE: in the store */
    char msg[SB_ERROR_MSG_BYTES];
} sb_helper_news;

typedef struct sb_helper sb_helper;

/* Forks. *out_child: this is the helper; it calls sb_helper_work() and then ends. */
sb_status sb_helper_fork(sb_helper **out, bool *out_child, sb_error *err) SB_MUST_USE;
/* In the helper: does what is asked until nobody asks any more. home: of the store, or NULL. */
void sb_helper_work(sb_helper *h, const char *home, bool (*arch_known)(void *ctx, const char *arch),
                    const char *arch_list);
void sb_helper_close(sb_helper *h);

/* In the server. */
int sb_helper_fd(const sb_helper *h);
/* SB_BUSY: too much waits; SB_IO: it is gone. */
sb_status sb_helper_send(sb_helper *h, const sb_helper_ask *a, sb_error *err) SB_MUST_USE;
/* False: nothing more for now. *out_gone: it has ended. */
bool sb_helper_receive(sb_helper *h, sb_helper_news *out, bool *out_gone);
#endif
