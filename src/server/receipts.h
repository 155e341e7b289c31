/* SPDX-License-Identifier: Apache-2.0
 * receipts.h - what answers cost, kept to be asked for.
 *
 * Purpose     One receipt a request, however many choices it had: provisional while a tick that its
 *             last steps lie in is open, then settled, chained in the ledger's log, signed. The
 *             newest SB_MAX_RECEIPTS are in memory, older ones are read from the log.
 * Invariants  A receipt is found by the owner of its answer alone. A tick is in the log before any
 *             receipt that rests on it. Without a log (another process writes it, the disk fails)
 *             receipts are signed all the same, and chained to nothing.
 * Grams       By the factor that was in force when the answer ended, also when it settles later.
 * Ownership   Borrows meter, grid and tariff. Closed after the ledger, whose last tick settles what
 *             is open.
 * Threads     Any; a lock inside. The ledger's sinks take it, so nothing here calls the ledger with
 *             it held.
 * Errors      Of an answer's end none: a receipt that cannot be made is not there (SB_NOT_FOUND).
 * */
#ifndef SB_SERVER_RECEIPTS_H
#define SB_SERVER_RECEIPTS_H
#include "base/buf.h"
#include "energy/ledger.h"
#include "server/grid_watch.h"

typedef struct sb_receipts sb_receipts;

typedef struct sb_receipts_opts {
    const char *home;
    sb_meter *meter;
    sb_grid_watch *grid;     /* or NULL: no grams */
    const sb_tariff *tariff; /* or NULL: no money */
    bool marginal;           /* how idle power is accounted for */
    /* Told of each choice whose energy was provisional, under the locks of ledger and receipts: it
     * calls neither. May be NULL. */
    void (*on_settled)(void *ctx, int64_t key, const char *model, const sb_energy *was,
                       const sb_energy *now);
    /* Told when the log takes no more lines, and with NULL when it does again; calls nothing here
     * and not the ledger. May be NULL. */
    void (*on_log)(void *ctx, const sb_error *why);
    void *ctx;
} sb_receipts_opts;

/* Writes the line of this start: before the ledger reads the meter. *out_note: why there is no log,
 * or "" (it needs no log to be of use). */
sb_status sb_receipts_open(sb_receipts **out, const sb_receipts_opts *o, sb_error *out_note,
                           sb_error *err) SB_MUST_USE;
void sb_receipts_close(sb_receipts *r);
/* The folders that are read and written from now on, for a sandbox; NULL: none. Borrowed. */
const char *sb_receipts_log_dir(const sb_receipts *r);
const char *sb_receipts_key_dir(const sb_receipts *r);

/* What a ledger is opened with: on_tick, on_settled (ctx: the receipts) and first_owner. */
void sb_receipts_on_tick(void *receipts, const sb_tick *t);
void sb_receipts_on_settled(void *receipts, uint64_t owner, const sb_energy *e);
uint64_t sb_receipts_first_owner(const sb_receipts *r);
/* Whom to ask for what was settled before its answer was told of here: sb_ledger_settled() and the
 * ledger. NULL: nobody. */
void sb_receipts_set_ledger(sb_receipts *r,
                            bool (*settled)(sb_ledger *l, uint64_t owner, sb_energy *out),
                            sb_ledger *l);

/* A request that is over. */
typedef struct sb_receipts_answer {
    int64_t key; /* owner of the answer */
    sb_str id, model;
    int64_t n_in, n_cached, n_out;
    const sb_energy *energies; /* [n_choices] */
    const uint64_t *owners;    /* [n_choices] their numbers in the ledger; NULL: there is none, and
                                  the energies are settled */
    size_t n_choices;
} sb_receipts_answer;
void sb_receipts_end(sb_receipts *r, const sb_receipts_answer *a);

/* Asks the ledger for what is not settled yet, so that an open tick closes though no step follows;
 * how many requests are left. */
size_t sb_receipts_poll(sb_receipts *r);

/* Appends the receipt of an answer: its id, with or without a dialect's prefix. May read all of the
 * log, for one caller at a time: SB_BUSY for others. */
sb_status sb_receipts_find(sb_receipts *r, int64_t key, sb_str id, sb_buf *out,
                           sb_error *err) SB_MUST_USE;
/* Appends the public keys. Reads files. */
sb_status sb_receipts_keys(sb_receipts *r, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
