/* SPDX-License-Identifier: Apache-2.0
 * file.c - opening and mapping regular files without ever waiting for one. */
#include "base/file.h"

#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHOWN_PATH_BYTES = 160 }; /* leaves room for the rest of an error's line */

void sb_path_escape(char *out, size_t out_bytes, const char *path)
{
    if (!out_bytes) return;
    const size_t n = strlen(path);
    size_t o = 0, dots_at = 0;
    for (size_t i = 0; i < n;) {
        char piece[8];
        uint32_t cp = 0;
        size_t len = sb_utf8_decode(path + i, n - i, &cp), used = len;
        // C1 controls drive terminals too; the line and paragraph separators break lines.
        const bool plain =
            len && cp >= 0x20 && !(cp >= 0x7F && cp < 0xA0) && cp != 0x2028 && cp != 0x2029;
        if (plain) {
            memcpy(piece, path + i, len);
        } else {
            (void)snprintf(piece, sizeof piece, "\\x%02X", (unsigned char)path[i]);
            len = 4;
            used = 1;
        }
        if (o + 4 <= out_bytes) dots_at = o;
        if (o + len >= out_bytes) {
            // Cut: say so, at the last whole character that leaves room for it.
            o = dots_at;
            for (size_t k = 0; k < 3 && o + 1 < out_bytes; k++)
                out[o++] = '.';
            break;
        }
        memcpy(out + o, piece, len);
        o += len;
        i += used;
    }
    out[o] = 0;
}

static sb_status fail_errno(sb_error *err, const char *shown, const char *did, int e)
{
    char text[64];
    const bool none = e == ENOENT || e == ENOTDIR;
    // strerror_r of GNU returns the text; it is the thread-safe one.
    return SB_FAIL(err, none ? SB_NOT_FOUND : SB_IO, "%s: cannot %s: %s", shown, did,
                   strerror_r(e, text, sizeof text));
}

static uint64_t mtime_ns_of(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)st->st_mtim.tv_nsec;
}

/* Fills m from an open descriptor; the caller closes it on failure. */
static sb_status map_fd(sb_map *m, int fd, const char *shown, sb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return fail_errno(err, shown, "look at it", errno);
    if (!S_ISREG(st.st_mode)) return SB_FAIL(err, SB_INVALID, "%s: not a regular file", shown);
    if (st.st_size < 0 || (uint64_t)st.st_size > PTRDIFF_MAX)
        return SB_FAIL(err, SB_LIMIT, "%s: too large to map", shown);
    const size_t bytes = (size_t)st.st_size;
    void *p = NULL;
    if (bytes) {
        // Shared: nothing is ever written, and no copy can be charged to this process.
        p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) return fail_errno(err, shown, "map it", errno);
    }
    *m = (sb_map){.p = p,
                  .bytes = bytes,
                  .fd = fd,
                  .dev = (uint64_t)st.st_dev,
                  .ino = (uint64_t)st.st_ino,
                  .mtime_ns = mtime_ns_of(&st)};
    return SB_OK;
}

sb_status sb_map_open(sb_map *out, const char *path, sb_error *err)
{
    char shown[SHOWN_PATH_BYTES];
    sb_path_escape(shown, sizeof shown, path);
    // O_NONBLOCK: a FIFO opens at once and is then refused; regular files do not care.
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fail_errno(err, shown, "open it", errno);
    const sb_status s = map_fd(out, fd, shown, err);
    if (s != SB_OK) (void)close(fd);
    return s;
}

sb_status sb_map_open_fd(sb_map *out, int fd, const char *path, sb_error *err)
{
    char shown[SHOWN_PATH_BYTES];
    sb_path_escape(shown, sizeof shown, path);
    return map_fd(out, fd, shown, err);
}

void sb_map_close(sb_map *m)
{
    if (!m) return;
    if (m->p) {
        (void)munmap((void *)(uintptr_t)m->p, m->bytes);
        (void)close(m->fd);
    } else if (m->fd > 0) {
        (void)close(m->fd); // an empty file; a zeroed sb_map holds no descriptor
    }
    *m = (sb_map){.fd = -1};
}

/* The part of [off, off+n) that lies in the map, as first byte and end. */
static bool clip(const sb_map *m, size_t off, size_t n, size_t *first, size_t *end)
{
    if (!m->p || off >= m->bytes) return false;
    *first = off;
    *end = n < m->bytes - off ? off + n : m->bytes;
    return true;
}

void sb_map_drop(const sb_map *m, size_t off, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t a, b;
    if (!clip(m, off, n, &a, &b)) return;
    a = (a + page - 1) / page * page;
    if (b < m->bytes) b = b / page * page; // the tail page of the file holds nothing else
    if (a < b) (void)madvise((void *)(uintptr_t)(m->p + a), b - a, MADV_DONTNEED);
}

void sb_map_want(const sb_map *m, size_t off, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t a, b;
    if (!clip(m, off, n, &a, &b)) return;
    a = a / page * page;
    (void)madvise((void *)(uintptr_t)(m->p + a), b - a, MADV_WILLNEED);
}

bool sb_map_read(const sb_map *m, size_t off, void *dst, size_t n)
{
    if (off > m->bytes || n > m->bytes - off) return false;
    if (m->fd < 0) { // bytes that somebody lent
        if (n) memcpy(dst, m->p + off, n);
        return true;
    }
    for (size_t at = 0; at < n;) {
        const ssize_t got = pread(m->fd, (char *)dst + at, n - at, (off_t)(off + at));
        if (got == 0 || (got < 0 && errno != EINTR)) return false;
        if (got > 0) at += (size_t)got;
    }
    return true;
}

sb_status sb_map_check(const sb_map *m, const char *path, sb_error *err)
{
    struct stat st;
    char shown[SHOWN_PATH_BYTES];
    if (!m->p || m->fd < 0) return SB_OK; // nothing is read, or bytes that somebody lent
    if (fstat(m->fd, &st) == 0 && st.st_size >= 0 && (uint64_t)st.st_size >= m->bytes &&
        mtime_ns_of(&st) == m->mtime_ns)
        return SB_OK;
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, SB_IO, "%s: changed or cut short while in use; load it again", shown);
}

bool sb_map_populate(const sb_map *m, size_t off, size_t n)
{
#ifdef MADV_POPULATE_READ
    // Refused as unknown by kernels before 5.14: then pages come as they are read.
    return madvise((void *)(uintptr_t)(m->p + off), n, MADV_POPULATE_READ) == 0 ||
           (errno != EFAULT && errno != EHWPOISON);
#else
    (void)m, (void)off, (void)n;
    return true;
#endif
}

/* Fresh memory over n bytes at p. Without libc's mmap(): a handler may not call it, and the thread
 * sanitizer takes it for a write to the pages that the other threads read. */
static bool map_over(void *p, size_t n, int prot)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const long got = syscall(SYS_mmap, p, n, prot, flags, -1, 0);
    return got == (long)(uintptr_t)p;
}

unsigned char *sb_map_detach(const sb_map *m, size_t off, size_t n)
{
    unsigned char *p = (unsigned char *)(uintptr_t)m->p + off;
    return map_over(p, n, PROT_READ | PROT_WRITE) ? p : NULL;
}

bool sb_map_patch(const void *at)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return map_over((void *)((uintptr_t)at & ~(page - 1)), (size_t)page, PROT_READ);
}
