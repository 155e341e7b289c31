/* SPDX-License-Identifier: Apache-2.0
 * db_disk_test.c - a disk that fails under SQLite: every write and every flush in turn (D4). The
 * first failure is the last write; a full disk is an error that passes; memory that runs out, too.
 *
 * The shim stands between SQLite and the system as a VFS of its own, so that it can tell the log
 * from the file. */
#include "db_room.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/limits.h"

typedef enum fault { NOTHING, WRITE_EIO, SYNC_EIO, FULL } fault;

static struct {
    fault what;
    int n_until;    /* calls of that kind that still succeed */
    bool only_main; /* count calls on the data base file alone */
    int n_calls;    /* of that kind so far, */
    bool hit;       /* and whether one failed */
} disk;

typedef struct shim_file {
    sqlite3_file base;
    bool main_db;
    sqlite3_file *real;
} shim_file;

static sqlite3_file *real(sqlite3_file *f)
{
    return ((shim_file *)f)->real;
}

/* Is this call to fail? A full disk stays full; a flush fails once, then "works" again. */
static bool fails(const sqlite3_file *f, bool is_sync)
{
    if (disk.what == NOTHING || (disk.what == SYNC_EIO) != is_sync) return false;
    if (disk.only_main && !((const shim_file *)f)->main_db) return false;
    if (++disk.n_calls <= disk.n_until) return false;
    if (disk.what != FULL && disk.hit) return false;
    disk.hit = true;
    return true;
}

static int shim_close(sqlite3_file *f)
{
    const int rc = real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK;
    sqlite3_free(real(f));
    return rc;
}

static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), p, n, at);
}

static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (fails(f, false)) {
        errno = disk.what == FULL ? ENOSPC : EIO;
        return disk.what == FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real(f)->pMethods->xTruncate(real(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
    if (fails(f, true)) {
        errno = EIO;
        return SQLITE_IOERR_FSYNC;
    }
    return real(f)->pMethods->xSync(real(f), flags);
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real(f)->pMethods->xFileSize(real(f), size);
}

static int shim_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int shim_reserved(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int shim_control(sqlite3_file *f, int op, void *p)
{
    return real(f)->pMethods->xFileControl(real(f), op, p);
}

static int shim_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int shim_device(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int shim_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **out)
{
    return real(f)->pMethods->xShmMap(real(f), page, bytes, extend, out);
}

static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}

static void shim_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int shim_unmap(sqlite3_file *f, int forget)
{
    return real(f)->pMethods->xShmUnmap(real(f), forget);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = shim_close,
                                           .xRead = shim_read,
                                           .xWrite = shim_write,
                                           .xTruncate = shim_truncate,
                                           .xSync = shim_sync,
                                           .xFileSize = shim_size,
                                           .xLock = shim_lock,
                                           .xUnlock = shim_unlock,
                                           .xCheckReservedLock = shim_reserved,
                                           .xFileControl = shim_control,
                                           .xSectorSize = shim_sector,
                                           .xDeviceCharacteristics = shim_device,
                                           .xShmMap = shim_map,
                                           .xShmLock = shim_shm_lock,
                                           .xShmBarrier = shim_barrier,
                                           .xShmUnmap = shim_unmap};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    sqlite3_vfs *below = vfs->pAppData;
    shim_file *s = (shim_file *)f;
    *s = (shim_file){.main_db = (flags & SQLITE_OPEN_MAIN_DB) != 0};
    s->real = sqlite3_malloc(below->szOsFile);
    if (!s->real) return SQLITE_NOMEM;
    memset(s->real, 0, (size_t)below->szOsFile);
    const int rc = below->xOpen(below, name, s->real, flags, out);
    if (rc == SQLITE_OK)
        s->base.pMethods = &methods;
    else
        sqlite3_free(s->real);
    return rc;
}

static int shim_setup(void **state)
{
    static sqlite3_vfs shim;
    sqlite3_vfs *below = sqlite3_vfs_find("unix");
    if (!below) return 1;
    if (!shim.zName) {
        shim = *below;
        shim.zName = "shim";
        shim.szOsFile = (int)sizeof(shim_file);
        shim.pAppData = below;
        shim.xOpen = shim_open;
        if (sqlite3_vfs_register(&shim, 1) != SQLITE_OK) return 1;
    }
    memset(&disk, 0, sizeof disk);
    return room_setup(state);
}

static int shim_teardown(void **state)
{
    memset(&disk, 0, sizeof disk);
    return room_teardown(state);
}

static void break_disk(fault what, int n)
{
    memset(&disk, 0, sizeof disk);
    disk.what = what;
    disk.n_until = n;
}

static int64_t n_msg(room *r)
{
    return ask(r->db, "SELECT count(*) FROM msg");
}

/* Adds messages until one fails; how many did not. */
static int add_until_failure(room *r, const char *id, int most, sb_status *out_s, sb_error *err)
{
    const sb_msg m = {
        .parent = -1, .role = SB_MSG_USER, .state = SB_MSG_DONE, .content = str("some text")};
    for (int i = 0; i < most; i++) {
        *out_s = sb_msg_add(r->db, 0, id, &m, NULL, err);
        if (*out_s != SB_OK) return i;
    }
    return most;
}

/* The n-th call of a kind fails: from then on nothing is written, though the disk would take it. */
static void stop_after(room *r, fault what, int n)
{
    char id[SB_DB_ID_BYTES];
    sb_status s = SB_OK;
    sb_error err = {0};
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
    const int64_t before = n_msg(r);
    break_disk(what, n);
    const int n_good = add_until_failure(r, id, 50, &s, &err);
    assert_true(disk.hit);
    if (s != SB_IO) fail_msg("call %d: %d %s", n, s, err.msg);
    assert_int_equal(sb_db_state_of(r->db), SB_DB_FAILED);
    assert_int_equal(n_msg(r), before + n_good); // reads go on
    break_disk(NOTHING, 0);
    assert_int_equal(add_until_failure(r, id, 1, &s, &err), 0); // never tried again
    assert_true(s == SB_IO && strstr(err.msg, "the disk failed while it was written to"));
    char again[SB_DB_ID_BYTES];
    assert_int_equal(sb_conv_add(r->db, 0, str("t"), str(""), again, &err), SB_IO);
    bool more = false;
    OK(sb_db_tidy(r->db, &more, WHY)); // has nothing to do any more
    room_reopen(r);                    // reads every page
    assert_int_equal(sb_db_state_of(r->db), SB_DB_GOOD);
    const int64_t kept = n_msg(r) - before;
    assert_true(kept >= n_good && kept <= n_good + 1); // the one that failed may have got through
    sb_db_close(r->db);
    r->db = NULL;
}

static void each_flush_that_fails_is_the_last(void **state)
{
    for (int n = 0; n < 12; n++)
        stop_after(*state, SYNC_EIO, n);
}

static void each_write_that_fails_is_the_last(void **state)
{
    for (int n = 0; n < 40; n++)
        stop_after(*state, WRITE_EIO, n);
}

static void a_checkpoint_that_fails_stops_writing_too(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    sb_status s = SB_OK;
    sb_error err = {0};
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
    break_disk(SYNC_EIO, 0);
    disk.only_main = true; // the log is fine
    const int n_good = add_until_failure(r, id, 3000, &s, &err);
    assert_true(disk.hit && n_good > 50);
    assert_int_equal(s, SB_IO);
    assert_int_equal(sb_db_state_of(r->db), SB_DB_FAILED);
    assert_int_equal(n_msg(r), n_good);
    break_disk(NOTHING, 0);
    room_reopen(r);
    assert_int_equal(n_msg(r), n_good); // what was acknowledged was in the log
}

static void a_full_disk_is_said_and_passes(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    sb_error err = {0};
    sb_status s = SB_OK;
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
    for (int n = 0; n < 20; n++) {
        const int64_t before = n_msg(r);
        break_disk(FULL, n);
        const int n_good = add_until_failure(r, id, 30, &s, &err);
        assert_true(s == SB_LIMIT && strstr(err.msg, "the disk is full"));
        assert_int_equal(sb_db_state_of(r->db), SB_DB_FULL);
        assert_int_equal(n_msg(r), before + n_good); // reads go on, and nothing is half there
        assert_int_equal(add_until_failure(r, id, 1, &s, &err), 0);
        assert_int_equal(s, SB_LIMIT);
        break_disk(NOTHING, 0);
        add_msg(r->db, 0, id, -1, SB_MSG_USER, "room again");
        assert_int_equal(sb_db_state_of(r->db), SB_DB_GOOD);
    }
    sb_db_facts facts;
    OK(sb_db_check(r->db, &facts, WHY));
}

static void a_group_on_a_bad_disk_is_not_there(void **state)
{
    static const fault kinds[] = {FULL, WRITE_EIO, SYNC_EIO};
    room *r = *state;
    char id[SB_DB_ID_BYTES], *big = calloc(1, 1 << 20);
    assert_non_null(big);
    memset(big, 'x', 1 << 20);
    for (size_t k = 0; k < SB_ARRAY_LEN(kinds); k++) {
        room_open(r);
        OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
        const int64_t before = n_msg(r);
        const sb_msg m = {
            .parent = -1, .role = SB_MSG_USER, .state = SB_MSG_DONE, .content = {big, 1 << 20}};
        OK(sb_db_begin(r->db, WHY));
        break_disk(kinds[k], 0);
        bool failed = false;
        for (int i = 0; i < 12; i++) // more than the cache holds: some is written before the end
            failed = sb_msg_add(r->db, 0, id, &m, NULL, NULL) != SB_OK || failed;
        const sb_status s = sb_db_end(r->db, NULL);
        assert_int_equal(s, kinds[k] == FULL ? SB_LIMIT : SB_IO);
        assert_true(failed || kinds[k] == SYNC_EIO);
        break_disk(NOTHING, 0);
        if (kinds[k] != SYNC_EIO) assert_int_equal(n_msg(r), before);
        sb_db_close(r->db);
        r->db = NULL;
    }
    free(big);
}

static void a_disk_that_fails_at_start_is_said(void **state)
{
    room *r = *state;
    sb_error err = {0};
    for (fault what = WRITE_EIO; what <= FULL; what++) {
        for (int n = 0;; n++) { // each call of a first start
            char command[160];
            break_disk(what, n);
            const sb_status s = sb_db_open(&r->db, r->home, SB_DB_SERVE, &err);
            if (!disk.hit) break;
            if (s != (what == FULL ? SB_LIMIT : SB_IO)) fail_msg("%d, %d: %d", what, n, s);
            assert_null(r->db);
            break_disk(NOTHING, 0);
            room_open(r); // what is left of it does no harm
            sb_db_close(r->db);
            r->db = NULL;
            snprintf(command, sizeof command, "rm -rf %s", r->home);
            assert_int_equal(system(command), 0);
        }
        sb_db_close(r->db);
        r->db = NULL;
    }
    break_disk(NOTHING, 0);
    room_open(r);
    assert_int_equal(n_msg(r), 0);
}

/* A backup on a full disk says so, leaves nothing, and is no fault of the data base. */
static void a_backup_without_room_leaves_nothing(void **state)
{
    room *r = *state;
    char path[64];
    struct stat st;
    sb_error err = {0};
    snprintf(path, sizeof path, "%s/b.part", r->dir);
    room_open(r);
    break_disk(FULL, 0);
    path[strlen(path) - 5] = 0;
    assert_int_equal(sb_db_backup(r->db, path, &err), SB_LIMIT);
    assert_int_equal(sb_db_state_of(r->db), SB_DB_GOOD);
    assert_int_equal(stat(path, &st), -1);
    strcat(path, ".part");
    assert_int_equal(stat(path, &st), -1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, shim_setup, shim_teardown)
    const struct CMUnitTest tests[] = {
        CASE(each_flush_that_fails_is_the_last),         CASE(each_write_that_fails_is_the_last),
        CASE(a_checkpoint_that_fails_stops_writing_too), CASE(a_full_disk_is_said_and_passes),
        CASE(a_group_on_a_bad_disk_is_not_there),        CASE(a_disk_that_fails_at_start_is_said),
        CASE(a_backup_without_room_leaves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
