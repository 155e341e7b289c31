/* SPDX-License-Identifier: Apache-2.0
 * receipt_out.h - the signed receipt of an answer made at the terminal: `--receipt FILE` of a run,
 * `/receipt` of a chat.
 *
 * Purpose     What the server does for each request, for one answer. A run writes its ticks into
 *             this machine's ledger and its receipt after them. A chat has keys alone, once
 *             somebody asks: it may go on for hours, and would keep a server from the ledger.
 * Invariants  Without the ledger (a chat; a run while a server writes it) the receipt is signed,
 *             and chained to nothing.
 * Ownership   Borrows meter and ledger. _close after the ledger, whose last tick is written, too;
 *             allowed on a zeroed one. */
#ifndef SB_CLI_RECEIPT_OUT_H
#define SB_CLI_RECEIPT_OUT_H
#include "chat/chat.h"
#include "cli/footprint.h"
#include "energy/ledger_log.h"

typedef struct sb_receipt_out {
    sb_ledger_log *log; /* or NULL */
    sb_receipt_keys *keys;
} sb_receipt_out;

/* Log and keys: before the ledger is opened. */
sb_status sb_receipt_out_open(sb_receipt_out *r, sb_meter *m, sb_error *err) SB_MUST_USE;
/* The keys alone; at any time, and again. */
sb_status sb_receipt_out_open_keys(sb_receipt_out *r, sb_error *err) SB_MUST_USE;
void sb_receipt_out_close(sb_receipt_out *r);
/* For sb_ledger_opts; ctx: the sb_receipt_out. */
void sb_receipt_out_on_tick(void *receipt_out, const sb_tick *t);
uint64_t sb_receipt_out_first_owner(const sb_receipt_out *r);

/* What a receipt says of an answer; outlives its turn. */
typedef struct sb_receipt_answer {
    const char *model; /* borrowed */
    uint64_t owner;
    sb_energy energy;
    int64_t time_ms, n_in, n_cached, n_out;
    sb_footprint footprint;
} sb_receipt_answer;
/* Of a turn that has just ended. */
sb_receipt_answer sb_receipt_answer_of(const sb_turn *t, const char *model, const sb_footprint *f);
/* Waits until the answer's last tick is closed (at most a few seconds); *out is the caller's. */
sb_status sb_receipt_out_make(const sb_receipt_out *r, sb_ledger *l, const sb_receipt_answer *a,
                              json_t **out, sb_error *err) SB_MUST_USE;
/* A line of canonical JSON. */
sb_status sb_receipt_write(const char *path, const json_t *receipt, sb_error *err) SB_MUST_USE;
#endif
