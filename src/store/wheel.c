/* SPDX-License-Identifier: Apache-2.0
 * wheel.c - takes one file out of a wheel (a zip archive) without unpacking anything else: no path
 * of the archive ever becomes a path on disk. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/dynlib.h"
#include "store/internal.h"

enum { PIECE_BYTES = 1 << 20 };

static sb_status write_all(int fd, const unsigned char *p, size_t n, sb_error *err)
{
    while (n > 0) {
        const ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return SB_FAIL(err, SB_IO, "cannot write the model: %s", strerror(errno));
        p += w;
        n -= (size_t)w;
    }
    return SB_OK;
}

static sb_status damaged(const sb_archive_lib *lib, struct archive *a, const sb_wheel_job *job,
                         sb_error *err)
{
    const char *why = lib->archive_error_string(a);
    return SB_FAIL(err, SB_CORRUPT, "%s: the archive is damaged: %.80s", job->part->source,
                   why ? why : "no reason given");
}

/* Leaves the archive at the member's data. */
static sb_status find_member(const sb_archive_lib *lib, struct archive *a, const sb_wheel_job *job,
                             sb_error *err)
{
    struct archive_entry *e = NULL;
    int r;
    while ((r = lib->archive_read_next_header(a, &e)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        const char *name = lib->archive_entry_pathname(e);
        if (name && strcmp(name, job->part->member) == 0 &&
            lib->archive_entry_filetype(e) == AE_IFREG)
            return SB_OK;
    }
    if (r != ARCHIVE_EOF) return damaged(lib, a, job, err);
    return SB_FAIL(err, SB_CORRUPT, "%s: no file '%s' in the archive", job->part->source,
                   job->part->member);
}

static sb_status copy_member(const sb_archive_lib *lib, struct archive *a, const sb_wheel_job *job,
                             unsigned char *piece, sb_error *err)
{
    const uint64_t want = job->part->bytes;
    uint64_t done = 0;
    for (;;) {
        if (sb_pull_cancelled(job->hooks)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
        const la_ssize_t n = lib->archive_read_data(a, piece, PIECE_BYTES);
        if (n < 0) return damaged(lib, a, job, err);
        if (n == 0) break;
        if ((uint64_t)n > want - done)
            return SB_FAIL(err, SB_CORRUPT, "%s: '%s' is longer than %llu bytes", job->part->source,
                           job->part->member, (unsigned long long)want);
        SB_TRY(sb_sha256_add(job->part_hash, piece, (size_t)n, err));
        SB_TRY(sb_sha256_add(job->whole_hash, piece, (size_t)n, err));
        SB_TRY(write_all(job->fd, piece, (size_t)n, err));
        done += (uint64_t)n;
        sb_pull_tell(job->hooks,
                     (sb_pull_progress){SB_PULL_WRITE, job->i_part, job->n_part, done, want});
    }
    if (done != want)
        return SB_FAIL(err, SB_CORRUPT, "%s: '%s' has %llu bytes instead of %llu",
                       job->part->source, job->part->member, (unsigned long long)done,
                       (unsigned long long)want);
    return SB_OK;
}

sb_status sb_wheel_extract(const sb_wheel_job *job, sb_error *err)
{
    sb_archive_lib lib;
    SB_TRY(sb_archive_lib_load(&lib, err));
    unsigned char *piece = sb_alloc(PIECE_BYTES, 1);
    struct archive *a = lib.archive_read_new();
    sb_status s;
    if (!piece || !a)
        s = SB_FAIL(err, SB_NO_MEMORY, "%s: no memory to unpack it", job->part->source);
    else if (lib.archive_read_support_format_zip(a) != ARCHIVE_OK ||
             lib.archive_read_open_filename(a, job->archive, 65536) != ARCHIVE_OK)
        s = damaged(&lib, a, job, err);
    else
        s = find_member(&lib, a, job, err);
    if (s == SB_OK) s = copy_member(&lib, a, job, piece, err);
    if (a) (void)lib.archive_read_free(a);
    sb_free(piece);
    return s;
}
