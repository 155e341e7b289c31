/* SPDX-License-Identifier: Apache-2.0
 * db_lock.c - HOME/sobre.lock: who serves this home, and who writes at this moment.
 *
 * Layout      byte 0 locked: a server runs; byte 1 locked: a transaction or checkpoint runs. The
 *             text is the server's process id and a newline.
 * A file of its own, because closing any descriptor of the data base would drop the locks SQLite
 * holds on it. Open-file locks belong to the descriptor, go with the process however it dies, and
 * hold between threads too. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/db_sql.h"
#include "store/internal.h"

enum { NAP_NS = 2000000, PID_BYTES = 16 };

void sb_db_own(int fd, const char *home)
{
    struct stat st;
    if (geteuid() != 0 || stat(home, &st) != 0 || st.st_uid == 0) return;
    // If it cannot be given away, whoever it is for is told when it opens it.
    if (fchown(fd, st.st_uid, st.st_gid) != 0) errno = 0;
}

sb_status sb_db_lock_open(int *out_fd, const char *home, sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a lock");
    sb_status s = sb_buf_addf(&path, err, "%s/sobre.lock", home);
    if (s == SB_OK) {
        *out_fd = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*out_fd < 0)
            s = sb_folder_fail(err, "cannot open", path.p, errno);
        else
            sb_db_own(*out_fd, home);
    }
    sb_buf_deinit(&path);
    return s;
}

static int set_lock(int fd, sb_db_lock which, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)which, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &l);
}

/* The digits in the file; "?" when there are none. */
static void read_pid(int fd, char out[PID_BYTES])
{
    memset(out, 0, PID_BYTES);
    const ssize_t n = pread(fd, out, PID_BYTES - 1, 0);
    const size_t n_digits = n > 0 ? strspn(out, "0123456789") : 0;
    if (n_digits > 0 && n_digits < (size_t)n)
        out[n_digits] = 0;
    else
        (void)snprintf(out, PID_BYTES, "?");
}

sb_status sb_db_lock_take(int fd, sb_db_lock which, int wait_ms, sb_error *err)
{
    const uint64_t end = sb_now_ns() + (uint64_t)wait_ms * 1000000;
    if (fd < 0) return SB_OK; // a home that may only be read
    while (set_lock(fd, which, F_WRLCK) != 0) {
        const int why = errno;
        if (why == EINTR) continue;
        if (why != EAGAIN && why != EACCES)
            return SB_FAIL(err, SB_IO, "sobre.lock: cannot lock: %s", strerror(why));
        if (sb_now_ns() >= end) {
            char pid[PID_BYTES] = "";
            read_pid(fd, pid);
            if (which == SB_DB_LOCK_HOUSE)
                return SB_FAIL(err, SB_BUSY, "the data base is in use: a server runs as process %s",
                               pid);
            return SB_FAIL(err, SB_BUSY,
                           "the data base is being written to by another process (server: %s)",
                           pid);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    return SB_OK;
}

void sb_db_lock_give(int fd, sb_db_lock which)
{
    if (fd >= 0) (void)set_lock(fd, which, F_UNLCK);
}

void sb_db_lock_sign(int fd)
{
    char text[PID_BYTES] = "";
    const int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    // Only a help for people: the lock itself holds without it.
    if (n <= 0 || pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) != 0) errno = 0;
}
