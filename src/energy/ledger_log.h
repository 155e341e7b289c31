/* SPDX-License-Identifier: Apache-2.0
 * ledger_log.h - the ledger on the disk: a line a tick, before any receipt that rests on it.
 *
 * Layout      HOME/ledger/ledger.jsonl         lines as in ledger_line.h
 *                         ledger-000001.jsonl  what was full before (SB_MAX_LEDGER_FILE_BYTES), the
 *                                              oldest first; the chain goes on over all of them
 *                         lock                 held by the process that writes
 * Invariants  A line is one write() at the file's end; its hash covers the hash before it. A part
 *             of a line that a kill left is cut at the next opening. What the counters counted
 *             between the last line and a start is `lost` when it can be known (same boot, counters
 *             that cannot have wrapped unseen), and unknown otherwise.
 * Disk        A kill loses nothing that write() took. Against power cuts the file is flushed at
 *             rotation, at the end, and by sb_ledger_log_flush(), at most every SB_LEDGER_SYNC_S
 *             seconds: a flush for each line would wake a disk ten times a second for ticks whose
 *             sequel a power cut makes unknowable anyway (the boot is another then).
 * Ownership   Borrows the meter, from _start on.
 * Threads     Any; a lock inside. Only _flush, _close and a rotation wait for the disk.
 * Errors      SB_BUSY: another process writes. SB_IO, SB_NO_MEMORY, SB_LIMIT. A line that could not
 *             be written leaves the file as it was; what it said is then lost, and the next tick
 *             says so. */
#ifndef SB_ENERGY_LEDGER_LOG_H
#define SB_ENERGY_LEDGER_LOG_H
#include "energy/ledger.h"
#include "energy/ledger_audit.h"
#include "energy/receipt.h"

enum { SB_LEDGER_SYNC_S = 10 };

typedef struct sb_ledger_log sb_ledger_log;

typedef struct sb_ledger_log_opts {
    const char *home;
    const char *proc;        /* NULL or "": /proc, for the boot's id */
    uint64_t max_file_bytes; /* 0: SB_MAX_LEDGER_FILE_BYTES */
} sb_ledger_log_opts;

/* Makes the folder; takes the lock; cuts a torn line. */
sb_status sb_ledger_log_open(sb_ledger_log **out, const sb_ledger_log_opts *o,
                             sb_error *err) SB_MUST_USE;
void sb_ledger_log_close(sb_ledger_log *l);
/* The folder, for a sandbox. Borrowed. */
const char *sb_ledger_log_dir(const sb_ledger_log *l);
/* The greatest owner's number of all starts so far: the ledger's numbers go on behind it. */
uint64_t sb_ledger_log_last_owner(const sb_ledger_log *l);
/* Reads the meter and writes the line of this start, once, before the ledger reads the meter. */
sb_status sb_ledger_log_start(sb_ledger_log *l, sb_meter *m, sb_error *err) SB_MUST_USE;
/* Writes a tick; the meter's raw readings must be those it closed with. */
sb_status sb_ledger_log_tick(sb_ledger_log *l, const sb_tick *t, sb_error *err) SB_MUST_USE;

/* A settled receipt: e's energy made exact by what ticks gave the owners, sealed, written. keys may
 * be NULL: not signed. key: number of the client's key, 0: none. *out is the caller's. */
typedef struct sb_ledger_receipt {
    sb_energy energy;
    sb_receipt_facts facts; /* estimated_uj is found here */
    const uint64_t *owners; /* [n_owners], at most SB_MAX_CHOICES; others go without their parts */
    size_t n_owners;
    int64_t key;
    sb_receipt_keys *keys;
} sb_ledger_receipt;
sb_status sb_ledger_log_receipt(sb_ledger_log *l, const sb_ledger_receipt *r, json_t **out,
                                sb_error *err) SB_MUST_USE;
/* Flushes what was written, when the last time is long enough ago; for a thread that may wait. */
void sb_ledger_log_flush(sb_ledger_log *l);

/* ---- reading, beside a writer ---- */

/* Where a ledger lies: a folder, or a file; older files of its name belong to it. NULL path: the
 * one of home. Gives all its bytes, the oldest file first; a false of `take` ends it. SB_NOT_FOUND:
 * there is none. */
sb_status sb_ledger_walk(const char *home, const char *path,
                         bool (*take)(void *ctx, const char *p, size_t n), void *ctx,
                         sb_error *err) SB_MUST_USE;
sb_status sb_ledger_audit_files(const char *home, const char *path, sb_audit_result *out,
                                sb_error *err) SB_MUST_USE;
/* The receipt of an answer of that key (-1: of any); the newest. SB_NOT_FOUND. */
sb_status sb_ledger_find_receipt(const char *home, sb_str id, int64_t key, json_t **out,
                                 sb_error *err) SB_MUST_USE;
#endif
