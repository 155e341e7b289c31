/* SPDX-License-Identifier: Apache-2.0
 * pack_cache_write.c - packed weights to their file: whole and flushed, or not at all. */
#include "base/checksum.h"
#include "base/limits.h"
#include "engine/pack_cache.h"
#include "engine/pack_head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* So much is flushed at a time: what waits for the disk is memory that others cannot have. */
enum { FLUSH_BYTES = 256 << 20 };

typedef struct writing {
    const sb_engine *e;
    sb_pack_head head;
    char path[SB_MAX_PATH_BYTES], part[SB_MAX_PATH_BYTES];
    int fd;
    uint64_t done, unflushed;
    bool given_up;
} writing;

static bool put(writing *w, const void *p, size_t n, uint64_t at)
{
    for (size_t did = 0; did < n;) {
        const ssize_t k = pwrite(w->fd, (const char *)p + did, n - did, (off_t)(at + did));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        did += (size_t)k;
    }
    w->unflushed += n;
    if (w->unflushed < FLUSH_BYTES) return true;
    w->unflushed = 0;
    return fdatasync(w->fd) == 0;
}

/* Writing is the second half of what on_pack counts. */
static bool report(writing *w)
{
    const sb_engine_opts *o = &w->e->opts;
    const uint64_t all = w->e->matrix_bytes;
    if (!o->on_pack) return true;
    w->given_up = !o->on_pack(o->pack_ctx, all + (w->done < all ? w->done : all - 1), 2 * all);
    return !w->given_up;
}

static bool put_weight(writing *w, int32_t i)
{
    const pack_weight *h = &w->head.weights[i];
    const uint64_t end_run = h->first_run + sb_pack_n_runs(h);
    for (uint64_t r = h->first_run; r < end_run; r++) {
        int32_t first, end;
        sb_pack_run_panels(h, r, &first, &end);
        const uint64_t at = (uint64_t)first * h->panel_bytes;
        const size_t n = (size_t)(end - first) * (size_t)h->panel_bytes;
        const unsigned char *p = w->e->packed[i].panels + at;
        w->head.sums[r] = sb_checksum(p, n);
        if (!put(w, p, n, h->at + at) || !report(w)) return false;
        w->done += n;
    }
    return true;
}

/* The head last: until it is there the file is none. */
static bool put_all(writing *w)
{
    const pack_head *h = w->head.h;
    if (fchmod(w->fd, 0644) != 0 || ftruncate(w->fd, 0) != 0) return false;
    if (posix_fallocate(w->fd, 0, (off_t)h->bytes) != 0 && ftruncate(w->fd, (off_t)h->bytes) != 0)
        return false;
    for (int32_t i = 0; i < w->e->model->n_weights; i++)
        if (!put_weight(w, i)) return false;
    w->head.h->sum = sb_pack_head_sum(h);
    return put(w, h, (size_t)h->head_bytes, 0) && fsync(w->fd) == 0;
}

/* The part file, locked; -1 with errno, EWOULDBLOCK when another start is writing it. What an older
 * one left half done is taken over. */
static int open_part(const writing *w)
{
    struct stat st, now;
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    const int fd = open(w->part, flags, 0644);
    if (fd < 0) return -1;
    int why = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &st) != 0)
        why = errno;
    else if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid())
        why = EPERM;
    else if (lstat(w->part, &now) != 0 || now.st_ino != st.st_ino || now.st_dev != st.st_dev)
        why = EWOULDBLOCK; // renamed between opening and locking: another start was faster
    if (!why) return fd;
    (void)close(fd);
    errno = why;
    return -1;
}

/* Makes the rename last. */
static void flush_folder(const char *path)
{
    char dir[SB_MAX_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1,
                   slash ? path : ".");
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    (void)close(fd);
}

/* Why it may not be written, or NULL. A twentieth of the disk stays free. */
static const char *refused(const writing *w)
{
    const uint64_t max = w->e->opts.cache_max_bytes ? w->e->opts.cache_max_bytes
                                                    : (uint64_t)SB_MAX_PACK_CACHE_MB << 20;
    if (w->head.h->bytes > max) return "%s: not written: larger than it may be";
    struct statvfs v;
    if (fstatvfs(w->fd, &v) != 0) return "%s: not written: the disk does not say what is free";
    const uint64_t unit = v.f_frsize, left = unit * v.f_bavail, spare = unit * v.f_blocks / 20;
    return w->head.h->bytes + spare > left ? "%s: not written: the disk has no room" : NULL;
}

static void note_errno(const sb_engine *e, int why)
{
    char text[64];
    if (why == EWOULDBLOCK)
        sb_pack_cache_note(e, "%s: not written: another start is writing it");
    else
        sb_pack_cache_note(e, "%s: not written: %s", strerror_r(why, text, sizeof text));
}

static void write_part(writing *w)
{
    const char *why = refused(w);
    const bool done = !why && put_all(w) && rename(w->part, w->path) == 0;
    const int code = errno;
    if (done)
        flush_folder(w->path);
    else
        (void)unlink(w->part);
    if (why)
        sb_pack_cache_note(w->e, why);
    else if (!done && !w->given_up)
        note_errno(w->e, code);
}

sb_status sb_pack_cache_write(const sb_engine *e, sb_error *err)
{
    writing w = {.e = e};
    if (!sb_pack_cache_path(e, "", w.path, sizeof w.path) ||
        !sb_pack_cache_path(e, ".part", w.part, sizeof w.part))
        return SB_OK;
    if (!sb_pack_head_make(e, &w.head)) {
        sb_pack_cache_note(e, "%s: not written: no memory");
        return SB_OK;
    }
    w.fd = open_part(&w);
    if (w.fd < 0) {
        note_errno(e, errno);
    } else {
        write_part(&w);
        (void)close(w.fd); // and its lock
    }
    sb_pack_head_free(&w.head);
    return w.given_up ? SB_FAIL(err, SB_CANCELLED, "interrupted") : SB_OK;
}
