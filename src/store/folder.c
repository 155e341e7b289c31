/* SPDX-License-Identifier: Apache-2.0
 * folder.c - folders of the store: make, measure, empty, flush. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "store/internal.h"

sb_status sb_folder_fail(sb_error *err, const char *verb, const char *path, int why)
{
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, SB_IO, "%s '%s': %s", verb, shown, strerror(why));
}

sb_status sb_write_all(int fd, const unsigned char *p, size_t n, const char *path, sb_error *err)
{
    while (n > 0) {
        const ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
            const int why = errno;
            char shown[128];
            sb_path_escape(shown, sizeof shown, path);
            return SB_FAIL(
                err, SB_IO,
                "cannot write '%s': %s: make room, then pull again: it goes on from here", shown,
                strerror(why));
        }
        if (w < 0) return sb_folder_fail(err, "cannot write", path, errno);
        p += w;
        n -= (size_t)w;
    }
    return SB_OK;
}

static sb_status make_parents(char *path, sb_error *err)
{
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        const int failed = mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
        if (failed) return sb_folder_fail(err, "cannot make folder", path, failed);
        *slash = '/';
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return sb_folder_fail(err, "cannot make folder", path, errno);
    return SB_OK;
}

sb_status sb_folder_make(const char *path, sb_error *err)
{
    sb_buf copy;
    sb_buf_init(&copy, SB_MAX_PATH_BYTES, "path of a folder");
    sb_status s = sb_buf_add(&copy, path, strlen(path), err);
    if (s == SB_OK && copy.n > 0) s = make_parents(copy.p, err);
    sb_buf_deinit(&copy);
    return s;
}

static FTS *walk(const char *path)
{
    char *const roots[] = {(char *)(uintptr_t)path, NULL}; /* fts_open does not write to them */
    return fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

sb_status sb_folder_remove(const char *path, sb_error *err)
{
    FTS *w = walk(path);
    if (!w) return sb_folder_fail(err, "cannot read folder", path, errno);
    int why = 0;
    const FTSENT *e;
    while ((e = fts_read(w))) {
        if (e->fts_info == FTS_D) continue; /* removed on the way back */
        const bool folder = e->fts_info == FTS_DP || e->fts_info == FTS_DNR;
        const int r = folder ? rmdir(e->fts_accpath) : unlink(e->fts_accpath);
        if (r != 0 && errno != ENOENT) why = errno;
    }
    (void)fts_close(w);
    return why ? sb_folder_fail(err, "cannot remove folder", path, why) : SB_OK;
}

uint64_t sb_folder_bytes(const char *path)
{
    uint64_t sum = 0;
    FTS *w = walk(path);
    if (!w) return 0;
    const FTSENT *e;
    while ((e = fts_read(w)))
        if (e->fts_info == FTS_F && e->fts_statp->st_size > 0)
            sum += (uint64_t)e->fts_statp->st_size;
    (void)fts_close(w);
    return sum;
}

bool sb_folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

sb_status sb_folder_sync(const char *path, sb_error *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return sb_folder_fail(err, "cannot open folder", path, errno);
    const int why = fsync(fd) != 0 && errno != EINVAL ? errno : 0; /* some file systems cannot */
    (void)close(fd);
    return why ? sb_folder_fail(err, "cannot flush folder", path, why) : SB_OK;
}

sb_status sb_folder_room(const char *path, uint64_t *out_bytes, sb_error *err)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0) return sb_folder_fail(err, "cannot ask free space of", path, errno);
    uint64_t bytes = 0;
    if (ckd_mul(&bytes, (uint64_t)v.f_bavail, (uint64_t)v.f_frsize)) bytes = UINT64_MAX;
    *out_bytes = bytes;
    return SB_OK;
}

sb_status sb_folder_need(const char *path, uint64_t bytes, sb_error *err)
{
    uint64_t room = 0;
    SB_TRY(sb_folder_room(path, &room, err));
    if (room >= bytes) return SB_OK;
    char shown[100];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(
        err, SB_IO,
        "'%s': %llu MB free, %llu MB needed: make room or set SOBRE_HOME to another disk", shown,
        (unsigned long long)(room / 1000000), (unsigned long long)(bytes / 1000000 + 1));
}
