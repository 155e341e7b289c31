/* SPDX-License-Identifier: Apache-2.0
 * wheel.c - takes one file out of a wheel (a zip archive) without unpacking anything else: no path
 * of the archive ever becomes a path on disk. */
#include <string.h>

#include "base/alloc.h"
#include "store/dynlib.h"
#include "store/internal.h"

enum { PIECE_BYTES = 1 << 20 };

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
        SB_TRY(sb_write_all(job->fd, piece, (size_t)n, job->path, err));
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

typedef struct walk {
    const sb_archive_lib *lib;
    struct archive *a;
} walk;

static size_t read_member(void *ctx, void *p, size_t n)
{
    const walk *w = ctx;
    const la_ssize_t got = w->lib->archive_read_data(w->a, p, n);
    return got > 0 ? (size_t)got : 0;
}

static sb_status bad_archive(const walk *w, const char *shown, sb_error *err)
{
    const char *why = w->lib->archive_error_string(w->a);
    return SB_FAIL(err, SB_CORRUPT, "%.100s: the archive is damaged: %.80s", shown,
                   why ? why : "no reason given");
}

sb_status sb_wheel_walk(const char *archive, const char *shown, void *ctx,
                        sb_status (*visit)(void *ctx, const sb_wheel_member *m, bool *out_stop,
                                           sb_error *err),
                        sb_error *err)
{
    sb_archive_lib lib;
    SB_TRY(sb_archive_lib_load(&lib, err));
    walk w = {&lib, lib.archive_read_new()};
    struct archive_entry *e = NULL;
    sb_status s = SB_OK;
    bool stop = false;
    if (!w.a) return SB_FAIL(err, SB_NO_MEMORY, "%.100s: no memory to unpack it", shown);
    if (lib.archive_read_support_format_zip(w.a) != ARCHIVE_OK ||
        lib.archive_read_open_filename(w.a, archive, 65536) != ARCHIVE_OK)
        s = bad_archive(&w, shown, err);
    while (s == SB_OK && !stop) {
        const int r = lib.archive_read_next_header(w.a, &e);
        if (r == ARCHIVE_EOF) break;
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
            s = bad_archive(&w, shown, err);
            break;
        }
        const char *name = lib.archive_entry_pathname(e);
        if (!name || lib.archive_entry_filetype(e) != AE_IFREG) continue;
        const la_int64_t size = lib.archive_entry_size_is_set(e) ? lib.archive_entry_size(e) : -1;
        const sb_wheel_member m = {name, size < 0 ? UINT64_MAX : (uint64_t)size, read_member, &w};
        s = visit(ctx, &m, &stop, err);
    }
    (void)lib.archive_read_free(w.a);
    return s;
}
