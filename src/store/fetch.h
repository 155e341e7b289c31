/* SPDX-License-Identifier: Apache-2.0
 * fetch.h - one file from an address to the disk, resumed and tried again as often as it helps.
 *
 * Invariants  The part file holds a prefix of the file that the notes beside it describe. Bytes are
 *             counted and hashed as they are written.
 * Errors      As http.h; SB_CORRUPT (length or hash differ: the part is gone then), SB_IO (disk
 *             full: the part stays), SB_CANCELLED (the part stays).
 * Threads     One. */
#ifndef SB_STORE_FETCH_H
#define SB_STORE_FETCH_H
#include "base/base.h"
#include "store/transfer.h"
#include "store/pull.h"

typedef struct sb_fetch_job {
    sb_transfer *http;
    const char *url, *shown;
    const char *part, *notes; /* paths */
    uint64_t bytes;           /* UINT64_MAX = not known */
    const char *sha256;       /* "" = not known */
    size_t i_part, n_part;
    const sb_pull_hooks *hooks;
} sb_fetch_job;

sb_status sb_fetch_file(const sb_fetch_job *job, uint64_t *out_bytes, char out_sha256[65],
                        sb_error *err) SB_MUST_USE;

typedef struct sb_fetch_look {
    sb_transfer *http;
    const char *url, *shown;
    bool head; /* stop at out's limit without failing, and ask for no more than that */
    const sb_pull_hooks *hooks;
} sb_fetch_look;

/* A small text or the head of a file, into out (cleared first), which bounds it. */
sb_status sb_fetch_text(const sb_fetch_look *look, sb_buf *out, sb_transfer_head *out_head,
                        sb_error *err) SB_MUST_USE;
#endif
