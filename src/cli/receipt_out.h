/* SPDX-License-Identifier: Apache-2.0
 * receipt_out.h - `--receipt FILE`: the signed receipt of an answer made at the terminal.
 *
 * Purpose     What the server does for each request, for one answer: ticks into this machine's
 *             ledger, a settled receipt after them. Only when asked for: it takes a key, a log and
 *             their library.
 * Invariants  While a server writes the ledger the receipt is signed, and chained to nothing.
 * Ownership   Borrows meter and ledger. _close after the ledger, whose last tick is written, too;
 *             allowed on a zeroed one. */
#ifndef SB_CLI_RECEIPT_OUT_H
#define SB_CLI_RECEIPT_OUT_H
#include "chat/chat.h"
#include "energy/ledger_log.h"

typedef struct sb_receipt_out {
    sb_ledger_log *log; /* or NULL */
    sb_receipt_keys *keys;
} sb_receipt_out;

/* Before the ledger is opened. */
sb_status sb_receipt_out_open(sb_receipt_out *r, sb_meter *m, sb_error *err) SB_MUST_USE;
void sb_receipt_out_close(sb_receipt_out *r);
/* For sb_ledger_opts; ctx: the sb_receipt_out. */
void sb_receipt_out_on_tick(void *receipt_out, const sb_tick *t);
uint64_t sb_receipt_out_first_owner(const sb_receipt_out *r);
/* What goes with an answer, and where its receipt goes. */
typedef struct sb_receipt_answer {
    const char *model, *path;
    const sb_grid *grid;     /* or NULL */
    const sb_tariff *tariff; /* or NULL */
} sb_receipt_answer;
/* Waits until the answer's last tick is closed (at most a few seconds), then writes the file. */
sb_status sb_receipt_out_write(sb_receipt_out *r, sb_ledger *l, const sb_turn *t,
                               const sb_receipt_answer *a, sb_error *err) SB_MUST_USE;
#endif
