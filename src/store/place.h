/* SPDX-License-Identifier: Apache-2.0
 * place.h - the place of one model in the store while it is being filled.
 *
 * Layout      HOME/models/NAME.gguf   the model: a file, or a link (registered file; split set)
 *                         NAME.pin    what is known of it (pin.h)
 *                         NAME.split/ NAME-00001-of-0000N.gguf ... of a split set
 *                         .NAME.*     a pull under way: lock, part, notes, split/, fetch/, log
 *             A registered file is a symbolic link rather than a file of ours that holds a path:
 *             every program can follow it, `ls -l` shows it, and it cannot go stale unnoticed.
 * Invariants  The lock is held from _begin to _end. NAME.gguf appears, or changes, in one step,
 *             after its pin; so a crash leaves the old model, or the new one, never a part of one.
 *             (A split set that replaces another one may be left without files; pull it again.)
 * Ownership   sb_place owns its paths and the lock; _end is allowed on a zeroed one.
 * Errors      SB_BUSY (another pull of that name), SB_INVALID (taken, or pinned to other bytes),
 *             SB_IO, SB_NO_MEMORY, SB_CANCELLED.
 * Threads     One. */
#ifndef SB_STORE_PLACE_H
#define SB_STORE_PLACE_H
#include "base/base.h"
#include "base/buf.h"
#include "store/pin.h"
#include "store/pull.h"
#include "store/store.h"

typedef struct sb_place {
    const sb_store *store;
    const sb_pull_hooks *hooks;
    char name[65];
    sb_buf dir, final, lock;
    int lock_fd;
    bool open;
} sb_place;

sb_status sb_place_begin(sb_place *p, const sb_store *s, const char *name,
                         const sb_pull_hooks *hooks, sb_error *err) SB_MUST_USE;
void sb_place_end(sb_place *p);

/* Is `want` there already, and whole, as a file of the store (not a registered one)? Hashes in want
 * that are not known yet are "". A model of another source, or with other bytes, is an error unless
 * `update`. */
sb_status sb_place_check(const sb_place *p, const sb_pin *want, bool update, bool *out_there,
                         sb_error *err) SB_MUST_USE;
/* Path of file i of n while it comes in, and of the notes beside it; for a split set the folder is
 * made. Both buffers are cleared first. */
sb_status sb_place_part(const sb_place *p, size_t i, size_t n, sb_buf *out_part, sb_buf *out_notes,
                        sb_error *err) SB_MUST_USE;
/* All parts are whole: writes the pin and moves them into place. */
sb_status sb_place_finish(const sb_place *p, const sb_pin *pin, sb_error *err) SB_MUST_USE;
/* Writes the pin and points NAME.gguf at target. */
sb_status sb_place_link(const sb_place *p, const char *target, const sb_pin *pin,
                        sb_error *err) SB_MUST_USE;
/* Takes the model away, or (partial) only what unfinished pulls left; *out_n: things removed. */
sb_status sb_place_remove(const sb_place *p, bool partial, size_t *out_n,
                          sb_error *err) SB_MUST_USE;

/* SHA-256 of a file, telling hooks as part i of n of the phase SB_PULL_CHECK. */
sb_status sb_place_hash(const char *path, size_t i, size_t n, const sb_pull_hooks *hooks,
                        uint64_t *out_bytes, char out_sha256[65], sb_error *err) SB_MUST_USE;
/* Holds the lock file at path; SB_BUSY when somebody else does. */
sb_status sb_lock_take(const char *path, const char *name, int *out_fd, sb_error *err) SB_MUST_USE;
#endif
