/* SPDX-License-Identifier: Apache-2.0
 * db_copy.c - a copy of the data base while it is in use, and back.
 *
 * Out: VACUUM INTO over a connection of its own, which sees the moment it began and hinders no
 * writer; what was deleted is not in the copy. sqlite3_backup was refused: it begins anew whenever
 * another process writes, or holds up our own writes page by page.
 * Back: the copy is copied beside the data base, checked there, and moved into place by one rename.
 * The old log must be gone before: SQLite would lay it over the new file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/db_sql.h"
#include "store/internal.h"

enum { PIECE_BYTES = 1 << 20 };

static sb_status sync_file(const char *path, sb_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return sb_folder_fail(err, "cannot open", path, errno);
    const int why = fsync(fd) != 0 ? errno : 0;
    (void)close(fd);
    return why ? sb_folder_fail(err, "cannot flush", path, why) : SB_OK;
}

/* Flushes the folder that path lies in. */
static sb_status sync_parent(const char *path, sb_error *err)
{
    sb_buf dir;
    sb_buf_init(&dir, SB_MAX_PATH_BYTES, "path of a folder");
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) : 0;
    sb_status s = !slash   ? sb_buf_add(&dir, ".", 1, err)
                  : n == 0 ? sb_buf_add(&dir, "/", 1, err)
                           : sb_buf_add(&dir, path, n, err);
    if (s == SB_OK) s = sb_folder_sync(dir.p, err);
    sb_buf_deinit(&dir);
    return s;
}

static sb_status vacuum_into(const sb_db *db, const char *part, sb_error *err)
{
    char shown[128];
    sqlite3 *sq = NULL;
    sqlite3_stmt *st = NULL;
    sb_path_escape(shown, sizeof shown, part);
    int rc = sqlite3_open_v2(
        db->uri.p, &sq,
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_db_config(sq, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_busy_timeout(sq, SB_DB_BUSY_MS);
        rc = sqlite3_exec(sq, "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(sq, "VACUUM INTO ?", -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text(st, 1, part, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    const sb_status s = rc == SQLITE_DONE ? SB_OK : sb_sql_status(sq, rc, shown, err);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(sq);
    return s;
}

/* Moves part to path, which must not be there. */
static sb_status appear(const char *part, const char *path, sb_error *err)
{
    int r = renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE);
    if (r != 0 && (errno == EINVAL || errno == ENOSYS)) // a file system that cannot promise it
        r = rename(part, path);
    if (r != 0) return sb_folder_fail(err, "cannot move into place", path, errno);
    const sb_status s = sync_parent(path, err);
    if (s != SB_OK) (void)unlink(path); // nobody shall take for a backup what may be gone tomorrow
    return s;
}

sb_status sb_db_backup(sb_db *db, const char *path, sb_error *err)
{
    struct stat st;
    char shown[128];
    sb_buf part;
    sb_path_escape(shown, sizeof shown, path);
    if (lstat(path, &st) == 0)
        return SB_FAIL(err, SB_INVALID, "'%s' is there already: give another name", shown);
    sb_buf_init(&part, SB_MAX_PATH_BYTES, "path of a backup");
    SB_TRY(sb_buf_addf(&part, err, "%s.part", path));
    // Made here, empty and private, for SQLite would let others read it.
    const int fd = open(part.p, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    sb_status s = fd < 0 ? sb_folder_fail(err, "cannot make", part.p, errno) : SB_OK;
    if (s == SB_OK && fchmod(fd, 0600) != 0)
        s = sb_folder_fail(err, "cannot make private", part.p, errno);
    if (fd >= 0) (void)close(fd);
    if (s == SB_OK) s = vacuum_into(db, part.p, err);
    if (s == SB_OK) s = sync_file(part.p, err);
    if (s == SB_OK) s = appear(part.p, path, err);
    if (s != SB_OK && fd >= 0) (void)unlink(part.p);
    sb_buf_deinit(&part);
    return s;
}

static sb_status copy_bytes(int from, int to, const char *from_path, const char *to_path,
                            sb_error *err)
{
    unsigned char *p = sb_alloc(PIECE_BYTES, 1);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "restore: no memory");
    sb_status s = SB_OK;
    while (s == SB_OK) {
        const ssize_t n = read(from, p, PIECE_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) s = sb_folder_fail(err, "cannot read", from_path, errno);
        if (n <= 0) break;
        s = sb_write_all(to, p, (size_t)n, to_path, err);
    }
    if (s == SB_OK && fsync(to) != 0) s = sb_folder_fail(err, "cannot flush", to_path, errno);
    sb_free(p);
    return s;
}

/* A log beside it means that the file alone is not the whole. */
static sb_status refuse_in_use(const char *path, sb_error *err)
{
    struct stat st;
    char shown[128];
    sb_buf log;
    sb_buf_init(&log, SB_MAX_PATH_BYTES, "path of a backup");
    sb_status s = sb_buf_addf(&log, err, "%s-wal", path);
    if (s == SB_OK && stat(log.p, &st) == 0 && st.st_size > 0) {
        sb_path_escape(shown, sizeof shown, path);
        s = SB_FAIL(
            err, SB_INVALID,
            "'%s' is a data base in use, not a backup: make one with `sobre db backup FILE`",
            shown);
    }
    sb_buf_deinit(&log);
    return s;
}

static sb_status copy_file(const char *path, const char *fresh, const char *home, sb_error *err)
{
    struct stat st;
    SB_TRY(refuse_in_use(path, err));
    const int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0) {
        const sb_status s = errno == ENOENT ? SB_NOT_FOUND : SB_IO;
        return sb_status_of(s, sb_folder_fail(err, "cannot open", path, errno));
    }
    sb_status s = SB_OK;
    int to = -1;
    if (fstat(from, &st) != 0 || !S_ISREG(st.st_mode)) {
        char shown[128];
        sb_path_escape(shown, sizeof shown, path);
        s = SB_FAIL(err, SB_INVALID, "'%s': not a regular file", shown);
    }
    if (s == SB_OK) {
        (void)unlink(fresh);
        to = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (to < 0) s = sb_folder_fail(err, "cannot make", fresh, errno);
        if (to >= 0) sb_db_own(to, home);
    }
    if (s == SB_OK) s = copy_bytes(from, to, path, fresh, err);
    if (to >= 0) (void)close(to);
    (void)close(from);
    return s;
}

/* Is the file at path a whole data base of ours? Nothing is written. */
static sb_status check_copy(const char *path, sb_db_facts *out, sb_error *err)
{
    sb_db copy;
    int version = 0;
    sb_status s = sb_db_init(&copy, SB_DB_READ, err);
    if (s == SB_OK) s = sb_buf_addf(&copy.path, err, "%s", path);
    if (s == SB_OK) s = sb_db_uri(&copy.uri, path, "?immutable=1", err);
    if (s == SB_OK) s = sb_db_connect(&copy, false, err);
    if (s == SB_OK) s = sb_schema_look(&copy, &version, err);
    if (s == SB_OK && version == 0) s = SB_FAIL(err, SB_CORRUPT, "the backup is empty");
    if (s == SB_OK) s = sb_schema_same(&copy, version, err);
    if (s == SB_OK) s = sb_db_check(&copy, out, err);
    sb_db_deinit(&copy);
    return s;
}

/* Copies the old data base's log into it, so that what is kept is one whole file. If it is too
 * damaged for that, the log goes beside it. */
static sb_status settle_old(const char *path, const char *old, sb_error *err)
{
    struct stat st;
    sb_db was;
    sb_buf log, old_log, shm;
    sb_status s = sb_db_init(&was, SB_DB_VISIT, err);
    sb_buf_init(&log, SB_MAX_PATH_BYTES, "path of a data base");
    sb_buf_init(&old_log, SB_MAX_PATH_BYTES, "path of a data base");
    sb_buf_init(&shm, SB_MAX_PATH_BYTES, "path of a data base");
    if (s == SB_OK) s = sb_buf_addf(&was.path, err, "%s", path);
    if (s == SB_OK) s = sb_db_uri(&was.uri, path, "", err);
    if (s == SB_OK) s = sb_buf_addf(&log, err, "%s-wal", path);
    if (s == SB_OK) s = sb_buf_addf(&shm, err, "%s-shm", path);
    if (s == SB_OK) s = sb_buf_addf(&old_log, err, "%s-wal", old);
    if (s == SB_OK && stat(log.p, &st) == 0) {
        int64_t n = 0;
        if (sb_db_connect(&was, true, NULL) == SB_OK &&
            sb_sql_one(&n, &was, "SELECT count(*) FROM sqlite_master", NULL, 0, NULL) == SB_OK)
            (void)sqlite3_db_config(was.sq, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    }
    sb_db_deinit(&was);
    if (s == SB_OK && stat(log.p, &st) == 0 && rename(log.p, old_log.p) != 0)
        s = sb_folder_fail(err, "cannot move", log.p, errno);
    if (s == SB_OK) (void)unlink(shm.p);
    sb_buf_deinit(&log);
    sb_buf_deinit(&old_log);
    sb_buf_deinit(&shm);
    return s;
}

/* The one step: at every moment there is the old file or the new one at path. */
static sb_status swap(const char *path, const char *old, const char *fresh, sb_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        SB_TRY(settle_old(path, old, err));
        if (unlink(old) != 0 && errno != ENOENT)
            return sb_folder_fail(err, "cannot remove", old, errno);
        if (link(path, old) != 0) return sb_folder_fail(err, "cannot keep", old, errno);
        SB_TRY(sync_parent(path, err)); // the log is gone for good before the new file comes
    }
    if (rename(fresh, path) != 0) return sb_folder_fail(err, "cannot move into place", path, errno);
    return sync_parent(path, err);
}

static sb_status restore(int lock_fd, const char *home, const char *from, sb_db_facts *out,
                         sb_error *err)
{
    sb_buf path, old, fresh;
    sb_db_facts facts;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a data base");
    sb_buf_init(&old, SB_MAX_PATH_BYTES, "path of a data base");
    sb_buf_init(&fresh, SB_MAX_PATH_BYTES, "path of a data base");
    sb_status s = sb_buf_addf(&path, err, "%s/sobre.db", home);
    if (s == SB_OK) s = sb_buf_addf(&old, err, "%s/sobre.db.old", home);
    if (s == SB_OK) s = sb_buf_addf(&fresh, err, "%s/sobre.db.new", home);
    if (s == SB_OK) s = copy_file(from, fresh.p, home, err);
    if (s == SB_OK) s = check_copy(fresh.p, &facts, err);
    if (s == SB_OK) s = sb_db_lock_take(lock_fd, SB_DB_LOCK_WRITE, SB_DB_BUSY_MS, err);
    if (s == SB_OK) s = swap(path.p, old.p, fresh.p, err);
    if (s == SB_OK)
        *out = facts;
    else if (fresh.p)
        (void)unlink(fresh.p);
    sb_buf_deinit(&path);
    sb_buf_deinit(&old);
    sb_buf_deinit(&fresh);
    return s;
}

sb_status sb_db_restore(const char *home, const char *path, sb_db_facts *out, sb_error *err)
{
    int fd = -1;
    SB_TRY(sb_folder_make(home, err));
    SB_TRY(sb_db_lock_open(&fd, home, err));
    sb_status s = sb_db_lock_take(fd, SB_DB_LOCK_HOUSE, 0, err);
    if (s == SB_OK) sb_db_lock_sign(fd);
    if (s == SB_OK) s = restore(fd, home, path, out, err);
    (void)close(fd);
    return s;
}
