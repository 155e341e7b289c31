/* SPDX-License-Identifier: Apache-2.0
 * db.c - opening and closing the data base of a home.
 *
 * A file is looked at before anything is written: until it is known to be whole and ours, the
 * connection neither checkpoints nor upgrades, so what is refused stays byte for byte as it was.
 * The row mark 'running' stands in the file while a server has it open; who finds it was not
 * preceded by a clean stop and reads every page first. */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/db_sql.h"
#include "store/internal.h"

enum {
    SMALL_FILE_BYTES = 32 << 20, /* read whole at each start: about 60 ms */
    URI_BYTES = 64               /* of a URI beside the path */
};

int64_t sb_db_now_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

sb_status sb_db_new_id(char out[SB_DB_ID_BYTES], sb_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char r[SB_DB_ID_BYTES - 1];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
        return SB_FAIL(err, SB_IO, "the system gives no random bytes: %s", strerror(errno));
    for (size_t i = 0; i < sizeof r; i++)
        out[i] = letters[r[i] & 31];
    out[sizeof r] = 0;
    return SB_OK;
}

sb_db_state sb_db_state_of(const sb_db *db)
{
    return (sb_db_state)atomic_load(&db->state);
}

static int note_log(void *ctx, sqlite3 *sq, const char *name, int n_pages)
{
    sb_db *db = ctx;
    (void)sq;
    (void)name;
    db->n_log = n_pages;
    return SQLITE_OK;
}

static const char settings[] =
    "PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON;"
    "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
    "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -4096; PRAGMA journal_size_limit = 4194304;";

sb_status sb_db_connect(sb_db *db, bool writes, sb_error *err)
{
    const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI |
                      (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    const int rc = sqlite3_open_v2(db->uri.p, &db->sq, flags, NULL);
    if (rc != SQLITE_OK) return sb_sql_fail(db, rc, err);
    (void)sqlite3_busy_timeout(db->sq, SB_DB_BUSY_MS);
    (void)sqlite3_db_config(db->sq, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_db_config(db->sq, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_wal_hook(db->sq, note_log, db);
    return sb_sql_exec(db, settings, err);
}

void sb_db_disconnect(sb_db *db)
{
    for (int i = 0; i < db->n_kept; i++)
        (void)sqlite3_finalize(db->kept[i].st);
    db->n_kept = 0;
    (void)sqlite3_close(db->sq);
    db->sq = NULL;
}

sb_status sb_db_uri(sb_buf *out, const char *path, const char *tail, sb_error *err)
{
    sb_buf_clear(out);
    SB_TRY(sb_buf_addf(out, err, "file:"));
    for (const char *p = path; *p; p++) {
        const bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                           (*p >= '0' && *p <= '9') || strchr("/._-", *p);
        if (plain)
            SB_TRY(sb_buf_add(out, p, 1, err));
        else
            SB_TRY(sb_buf_addf(out, err, "%%%02X", (unsigned char)*p));
    }
    return sb_buf_addf(out, err, "%s", tail);
}

/* Looks at the file, or makes an empty one; *out_writes: may it be written? */
static sb_status prepare_file(sb_db *db, bool *out_writes, int64_t *out_bytes, sb_error *err)
{
    struct stat st;
    const char *path = db->path.p;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT) return sb_folder_fail(err, "cannot look at", path, errno);
        if (db->mode == SB_DB_READ)
            return SB_FAIL(err, SB_NOT_FOUND, "nothing is stored yet: no data base in this home");
        const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) return sb_folder_fail(err, "cannot make", path, errno);
        sb_db_own(fd, db->home.p);
        const int why = fstat(fd, &st) != 0 ? errno : 0;
        (void)close(fd);
        if (why) return sb_folder_fail(err, "cannot look at", path, why);
    }
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    if (!S_ISREG(st.st_mode)) return SB_FAIL(err, SB_INVALID, "'%s': not a regular file", shown);
    // Root may write anything; a file without a w was still meant to be left alone.
    const bool may = (st.st_mode & 0222) != 0 && access(path, W_OK) == 0;
    if (may && (st.st_mode & 0077) != 0 && chmod(path, 0600) != 0)
        return sb_folder_fail(err, "cannot make private", path, errno);
    *out_writes = may && db->mode != SB_DB_READ;
    *out_bytes = (int64_t)st.st_size;
    if (!*out_writes) atomic_store(&db->state, SB_DB_READ_ONLY);
    return SB_OK;
}

/* Where not even the log's index can be made, SQLite must be told that nobody writes. */
static sb_status connect_reading(sb_db *db, sb_error *err)
{
    int64_t n = 0;
    sb_error why = {0};
    sb_status s = sb_db_connect(db, false, &why);
    if (s == SB_OK) s = sb_sql_one(&n, db, "SELECT count(*) FROM sqlite_master", NULL, 0, &why);
    if (s != SB_IO && s != SB_UNSUPPORTED) {
        if (s != SB_OK && err) *err = why;
        return s;
    }
    struct stat st;
    sb_buf log;
    sb_buf_init(&log, SB_MAX_PATH_BYTES, "path of a data base");
    s = sb_buf_addf(&log, err, "%s-wal", db->path.p);
    if (s == SB_OK && stat(log.p, &st) == 0 && st.st_size > 0)
        s = SB_FAIL(err, SB_IO, "%s, and its log has not been copied into it", why.msg);
    sb_buf_deinit(&log);
    sb_db_disconnect(db);
    SB_TRY(s);
    SB_TRY(sb_db_uri(&db->uri, db->path.p, "?immutable=1", err));
    return sb_db_connect(db, false, err);
}

/* Whole? Everything is read after an unclean stop, and always while that is quick. */
static sb_status look_whole(sb_db *db, int version, int64_t bytes, sb_error *err)
{
    int64_t running = 0;
    if (version == 0) return SB_OK;
    const sb_status s =
        sb_sql_one(&running, db, "SELECT 1 FROM mark WHERE name = 'running'", NULL, 0, err);
    if (s != SB_OK && s != SB_NOT_FOUND) return s;
    if (s == SB_NOT_FOUND && bytes > SMALL_FILE_BYTES) return SB_OK;
    SB_TRY(sb_db_check_pages(db, err));
    return version == sb_schema_version ? sb_db_check_rows(db, err) : SB_OK;
}

/* Answers that a kill cut off keep what was saved of them. */
static sb_status end_streams(sb_db *db, sb_error *err)
{
    static const char gather[] =
        "UPDATE msg SET state = 2, finish = 'interrupted',"
        " content = content || coalesce((SELECT group_concat(content, '') FROM"
        "  (SELECT content FROM piece WHERE piece.msg = msg.seq ORDER BY seq)), ''),"
        " reasoning = reasoning || coalesce((SELECT group_concat(reasoning, '') FROM"
        "  (SELECT reasoning FROM piece WHERE piece.msg = msg.seq ORDER BY seq)), '') WHERE state "
        "= 0";
    SB_TRY(sb_index_drop(db, SB_INDEX_PIECES, 0, err));
    SB_TRY(sb_sql_run_bound(db, gather, NULL, 0, err));
    SB_TRY(sb_index_add(db, SB_INDEX_PIECES, 0, err));
    return sb_sql_run_bound(db, "DELETE FROM piece", NULL, 0, err);
}

/* The file is good: takes it into use for writing. */
static sb_status begin_writing(sb_db *db, int version, sb_error *err)
{
    bool row = false;
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_sql_bind(&st, db, "PRAGMA journal_mode = WAL", NULL, 0, err));
    SB_TRY(sb_sql_step(db, st, &row, err));
    const sb_str mode = sb_sql_text(st, 0);
    const bool wal = row && mode.n == 3 && memcmp(mode.p, "wal", 3) == 0;
    SB_TRY(sb_sql_run(db, st, err)); // to its end: a reset would swallow a flush that fails
    if (!wal) return SB_FAIL(err, SB_UNSUPPORTED, "the data base's disk cannot keep a log (WAL)");
    // A server that runs knows the schema it began with: a visitor leaves that to the next one.
    if (db->mode == SB_DB_VISIT && version > 0 && version < sb_schema_version)
        SB_TRY(sb_db_lock_take(db->lock_fd, SB_DB_LOCK_HOUSE, 0, err));
    SB_TRY(sb_schema_upgrade(db, err));
    if (db->mode != SB_DB_SERVE) return sb_schema_index(db, false, err);
    SB_TRY(sb_schema_index(db, true, err));
    SB_TRY(sb_turn_write(db, err));
    sb_status s = sb_sql_exec(db, "INSERT OR IGNORE INTO mark VALUES('running', '')", err);
    if (s == SB_OK) s = end_streams(db, err);
    SB_TRY(sb_turn_end(db, s, err));
    db->marked = db->untidy = true; // what the last one deleted may not have been tidied
    return SB_OK;
}

static sb_status open_file(sb_db *db, sb_error *err)
{
    bool writes = false;
    int64_t bytes = 0;
    int version = 0;
    SB_TRY(prepare_file(db, &writes, &bytes, err));
    SB_TRY(sb_db_uri(&db->uri, db->path.p, "", err));
    SB_TRY(writes ? sb_db_connect(db, true, err) : connect_reading(db, err));
    SB_TRY(sb_schema_look(db, &version, err));
    if (db->mode == SB_DB_SERVE) SB_TRY(look_whole(db, version, bytes, err));
    if (writes) {
        SB_TRY(begin_writing(db, version, err));
    } else {
        if (version == 0)
            return SB_FAIL(err, SB_NOT_FOUND, "nothing is stored yet: the data base is empty");
        if (version < sb_schema_version)
            return SB_FAIL(err, SB_UNSUPPORTED,
                           "the data base has the older schema %d and may only be read: start "
                           "`sobre serve` once where it can be written",
                           version);
        SB_TRY(sb_schema_index(db, false, err));
    }
    // Last one out copies the log into the file, which is then whole by itself.
    db->close_gently = writes;
    return SB_OK;
}

/* Home, paths and locks; a home that may only be read has no lock. */
static sb_status open_home(sb_db *db, const char *home, sb_error *err)
{
    SB_TRY(sb_buf_addf(&db->home, err, "%s", home));
    SB_TRY(sb_buf_addf(&db->path, err, "%s/sobre.db", home));
    if (db->mode != SB_DB_READ) SB_TRY(sb_folder_make(home, err));
    sb_error why = {0};
    const sb_status s = sb_db_lock_open(&db->lock_fd, home, &why);
    if (s != SB_OK && db->mode != SB_DB_READ && access(home, W_OK) == 0) {
        if (err) *err = why;
        return s;
    }
    if (db->mode != SB_DB_SERVE || db->lock_fd < 0) return SB_OK;
    SB_TRY(sb_db_lock_take(db->lock_fd, SB_DB_LOCK_HOUSE, 0, err));
    sb_db_lock_sign(db->lock_fd);
    return SB_OK;
}

static sb_status init_turn(sb_db *db, sb_error *err)
{
    pthread_mutexattr_t a;
    if (pthread_mutexattr_init(&a) != 0) return SB_FAIL(err, SB_NO_MEMORY, "data base: no memory");
    (void)pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    db->have_turn = pthread_mutex_init(&db->turn, &a) == 0;
    (void)pthread_mutexattr_destroy(&a);
    return db->have_turn ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "data base: no memory");
}

sb_status sb_db_init(sb_db *db, sb_db_mode mode, sb_error *err)
{
    *db = (sb_db){.mode = mode, .lock_fd = -1};
    sb_buf_init(&db->home, SB_MAX_PATH_BYTES, "path of a data base");
    sb_buf_init(&db->path, SB_MAX_PATH_BYTES, "path of a data base");
    sb_buf_init(&db->uri, (size_t)3 * SB_MAX_PATH_BYTES + URI_BYTES, "path of a data base");
    return init_turn(db, err);
}

void sb_db_deinit(sb_db *db)
{
    if (db->sq) sb_db_disconnect(db);
    if (db->lock_fd >= 0) (void)close(db->lock_fd);
    if (db->have_turn) (void)pthread_mutex_destroy(&db->turn);
    sb_buf_deinit(&db->home);
    sb_buf_deinit(&db->path);
    sb_buf_deinit(&db->uri);
    db->lock_fd = -1;
    db->have_turn = false;
}

sb_status sb_db_open(sb_db **out, const char *home, sb_db_mode mode, sb_error *err)
{
    sb_db *db = sb_calloc(1, sizeof *db);
    if (!db) return SB_FAIL(err, SB_NO_MEMORY, "data base: no memory");
    sb_status s = sb_db_init(db, mode, err);
    if (s == SB_OK) s = open_home(db, home, err);
    if (s == SB_OK) s = sb_db_hold(db, err);
    if (s == SB_OK) {
        s = open_file(db, err);
        sb_db_drop(db);
    }
    if (s != SB_OK) {
        sb_db_close(db);
        return s;
    }
    *out = db;
    return SB_OK;
}

/* Takes the mark back. When that fails the next start reads every page, no more. */
static void unmark(sb_db *db)
{
    if (sb_turn_write(db, NULL) != SB_OK) return;
    const sb_status s = sb_sql_exec(db, "DELETE FROM mark WHERE name = 'running'", NULL);
    const sb_status end = sb_turn_end(db, s, NULL);
    db->marked = end != SB_OK;
}

void sb_db_close(sb_db *db)
{
    if (!db) return;
    const bool sound = db->close_gently && sb_db_state_of(db) != SB_DB_FAILED;
    if (db->marked && sound) sb_db_tidy_some(db);
    if (db->marked && sound) unmark(db);
    const bool held = sb_db_hold(db, NULL) == SB_OK;
    if (db->sq && sound && held)
        (void)sqlite3_db_config(db->sq, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (db->sq) sb_db_disconnect(db);
    if (held) sb_db_drop(db);
    sb_db_deinit(db);
    sb_free(db);
}
