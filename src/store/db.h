/* SPDX-License-Identifier: Apache-2.0
 * db.h - the one data base of a home: HOME/sobre.db, mode 0600.
 *
 * Purpose     Opens, upgrades, locks and closes the file that conversations (conv.h), responses
 *             (responses.h), sums (sums.h) and keys (keyring.h) are rows of; groups their calls
 *             into one transaction; copies it while it is written to.
 * Invariants  A call that returned SB_OK has been committed and flushed (WAL, synchronous FULL);
 *             inside sb_db_begin/_end that is true once _end returned SB_OK. No two connections,
 *             of any process, write or checkpoint at the same time.
 * Threads     All calls of all these headers: any thread; they take turns. A row function handed
 *             to one of them runs inside that turn: it must be quick, its row is borrowed until it
 *             returns, and it calls nothing of these headers. SB_CANCELLED from it ends the walk,
 *             which then succeeds; another failure ends it and is passed on.
 * Ownership   The sb_db is closed last; NULL allowed.
 * Errors      SB_NOT_FOUND (also for what belongs to another owner), SB_INVALID (text, number or
 *             order of calls), SB_LIMIT (only this: the disk is full; HTTP 507), SB_BUSY (another
 *             process holds it; says which), SB_UNSUPPORTED (read-only, or a newer schema),
 *             SB_CORRUPT, SB_IO, SB_NO_MEMORY. On failure nothing was changed.
 * Damage      The first write or flush that the disk refuses is the last one tried: SB_DB_FAILED
 *             until the process ends, because a flush that succeeds after one that failed proves
 *             nothing. Reads go on. A full disk is no damage: reads go on, and the next write that
 *             fits ends SB_DB_FULL.
 * Sandbox     After sb_db_open() only HOME/sobre.db, its -wal and -shm and HOME/sobre.lock are
 *             used, all open already (the first write may make -wal anew); temporary data is in
 *             memory. */
#ifndef SB_STORE_DB_H
#define SB_STORE_DB_H
#include "base/base.h"

typedef struct sb_db sb_db;

/* Whose a row is: 0 is whoever sits at the machine (no keys are set), else a key's id. */
typedef int64_t sb_owner;

enum { SB_DB_ID_BYTES = 27 }; /* of our ids: 26 of [a-z2-7], 130 random bits, and a NUL */

typedef enum sb_db_mode {
    SB_DB_SERVE, /* the server: alone in its kind; SB_BUSY names the other process */
    SB_DB_VISIT, /* one short job, also beside a server */
    SB_DB_READ   /* reads, also beside a server; makes no file: SB_NOT_FOUND */
} sb_db_mode;

typedef enum sb_db_state { SB_DB_GOOD, SB_DB_READ_ONLY, SB_DB_FULL, SB_DB_FAILED } sb_db_state;

/* home: of sb_store_home(); made when it is not there. A file of no bytes is a new data base; one
 * of other bytes, damaged, or of a newer schema is refused untouched, and the line says how to go
 * on. A file that may not be written opens as SB_DB_READ_ONLY. After an unclean stop the whole file
 * is checked first, and answers that were under way are `stopped` (SB_DB_SERVE only). */
sb_status sb_db_open(sb_db **out, const char *home, sb_db_mode mode, sb_error *err) SB_MUST_USE;
void sb_db_close(sb_db *db);
/* As of the last write; quick, and not in turn. */
sb_db_state sb_db_state_of(const sb_db *db);

/* Calls of this thread from _begin to _end are one transaction and one flush; other threads wait,
 * so keep it short. A call that fails in between is undone by itself and the others stay, unless
 * the disk failed: then _end fails too. They nest. After an _end that failed nothing of it is
 * there. */
sb_status sb_db_begin(sb_db *db, sb_error *err) SB_MUST_USE;
sb_status sb_db_end(sb_db *db, sb_error *err) SB_MUST_USE;
/* Ends it with nothing kept of what was done since its _begin. */
void sb_db_undo(sb_db *db);

/* Wall clock in ms since 1970. Rows carry it for people; their order never depends on it. */
int64_t sb_db_now_ms(void);
/* A fresh unguessable id. SB_IO when the system has no randomness. */
sb_status sb_db_new_id(char out[SB_DB_ID_BYTES], sb_error *err) SB_MUST_USE;

/* What deleting left to do (old index pages, the log) in steps of a few ms; *out_more: call again.
 * Deleting itself does it for small data bases. */
sb_status sb_db_tidy(sb_db *db, bool *out_more, sb_error *err) SB_MUST_USE;

typedef struct sb_db_facts {
    int64_t n_conversations, n_messages, n_responses, n_keys;
    int64_t bytes;   /* of the file */
    int version;     /* of its schema */
    bool searchable; /* by index; else search reads everything */
} sb_db_facts;

/* Reads every page and every reference: SB_CORRUPT says what is wrong and how to go on. Time: with
 * the file's size. */
sb_status sb_db_check(sb_db *db, sb_db_facts *out, sb_error *err) SB_MUST_USE;

/* Writes a copy as of this moment to path (mode 0600), which appears whole or not at all; writes by
 * others go on meanwhile. SB_INVALID when path is there already. */
sb_status sb_db_backup(sb_db *db, const char *path, sb_error *err) SB_MUST_USE;
/* Checks the copy at path, then puts it in the place of HOME/sobre.db in one step; what was there
 * is kept as HOME/sobre.db.old. SB_BUSY while a server runs. */
sb_status sb_db_restore(const char *home, const char *path, sb_db_facts *out,
                        sb_error *err) SB_MUST_USE;
#endif
