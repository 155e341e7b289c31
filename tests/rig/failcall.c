/* SPDX-License-Identifier: Apache-2.0
 * failcall.c - a library to preload: makes the n-th call of one system function fail.
 *
 * Usage: FAILCALL=NAME:N:ERRNO LD_PRELOAD=libfailcall.so PROGRAM... - the N-th call (from 1) of
 * NAME fails with ERRNO; ERRNO 0 of a read or write means: half of what was asked (a short one, at
 * least a byte). N 0 fails none. At exit, FAILCALL_COUNT (a file) gets the number of calls there
 * were. FAILCALL_SHARED=PATH is for servers, which start undisturbed and then may open nothing new:
 * a file of three numbers of 64 bits, mapped at the start, which say N (-1: none, 0: not even
 * counted), the calls there were, and ERRNO; whoever maps it changes them as the server runs. The
 * calls of the dynamic loader and those inside libc are not seen; what programs and
 * libraries ask for is. */
#undef _FILE_OFFSET_BITS // or both twins of a function would get one name
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NAME_BYTES = 32 };

static char wanted[NAME_BYTES];

/* Of this process and those it forks, or of FAILCALL_SHARED and whoever else maps it. */
typedef struct orders {
    atomic_long at, n_calls, with;
} orders;

static orders own, *all = &own;

static void share(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void *p = mmap(NULL, sizeof(orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        perror(path);
        abort();
    }
    (void)close(fd);
    all = p;
}

__attribute__((constructor)) static void read_orders(void)
{
    const char *s = getenv("FAILCALL");
    char *end;
    const char *colon = s ? strchr(s, ':') : NULL;
    if (!colon || (size_t)(colon - s) >= sizeof wanted) return;
    memcpy(wanted, s, (size_t)(colon - s));
    const char *shared = getenv("FAILCALL_SHARED");
    if (shared) {
        share(shared);
        return;
    }
    const long at = strtol(colon + 1, &end, 10);
    atomic_store(&all->at, at > 0 ? at : -1);
    atomic_store(&all->with, *end == ':' ? strtol(end + 1, NULL, 10) : 0);
}

__attribute__((destructor)) static void write_count(void)
{
    const char *path = getenv("FAILCALL_COUNT");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f) return;
    (void)fprintf(f, "%ld\n", (long)atomic_load(&all->n_calls));
    (void)fclose(f);
}

/* Whether this call of NAME is the one; errno is set then. */
static int fails(const char *name)
{
    if (strcmp(name, wanted) != 0) return 0;
    const long at = atomic_load(&all->at);
    if (at == 0 || atomic_fetch_add(&all->n_calls, 1) + 1 != at) return 0;
    errno = (int)atomic_load(&all->with);
    return 1;
}

/* Finds the function that stands behind this one, in the way that POSIX allows. */
#define FIND_REAL(name)                                                                            \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

/* Functions that fail with -1; a 64-bit twin is the same function to whoever counts. */
#define FAILS_AS(name, shown, bad, result, params, args)                                           \
    result name params;                                                                            \
    result name params                                                                             \
    {                                                                                              \
        __extension__ static result(*real) params;                                                 \
        FIND_REAL(name);                                                                           \
        return fails(shown) ? (bad) : real args;                                                   \
    }

FAILS_AS(fstat, "fstat", -1, int, (int fd, struct stat *st), (fd, st))
FAILS_AS(fstat64, "fstat", -1, int, (int fd, struct stat64 *st), (fd, st))
FAILS_AS(mmap, "mmap", MAP_FAILED, void *,
         (void *p, size_t n, int prot, int flags, int fd, off_t at), (p, n, prot, flags, fd, at))
FAILS_AS(mmap64, "mmap", MAP_FAILED, void *,
         (void *p, size_t n, int prot, int flags, int fd, off64_t at), (p, n, prot, flags, fd, at))
FAILS_AS(fsync, "fsync", -1, int, (int fd), (fd))
FAILS_AS(fdatasync, "fsync", -1, int, (int fd), (fd))
FAILS_AS(rename, "rename", -1, int, (const char *a, const char *b), (a, b))
FAILS_AS(renameat, "rename", -1, int, (int da, const char *a, int db, const char *b),
         (da, a, db, b))
FAILS_AS(mkdir, "mkdir", -1, int, (const char *path, mode_t mode), (path, mode))
FAILS_AS(ftruncate, "ftruncate", -1, int, (int fd, off_t n), (fd, n))
FAILS_AS(ftruncate64, "ftruncate", -1, int, (int fd, off64_t n), (fd, n))
FAILS_AS(socket, "socket", -1, int, (int domain, int type, int protocol), (domain, type, protocol))
FAILS_AS(accept, "accept", -1, int, (int fd, __SOCKADDR_ARG a, socklen_t *n), (fd, a, n))
FAILS_AS(accept4, "accept", -1, int, (int fd, __SOCKADDR_ARG a, socklen_t *n, int flags),
         (fd, a, n, flags))
FAILS_AS(readv, "recv", -1, ssize_t, (int fd, const struct iovec *v, int n), (fd, v, n))
FAILS_AS(recv, "recv", -1, ssize_t, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
FAILS_AS(writev, "send", -1, ssize_t, (int fd, const struct iovec *v, int n), (fd, v, n))
FAILS_AS(send, "send", -1, ssize_t, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
FAILS_AS(epoll_ctl, "epoll", -1, int, (int e, int op, int fd, struct epoll_event *ev),
         (e, op, fd, ev))
FAILS_AS(epoll_wait, "epoll_wait", -1, int, (int e, struct epoll_event *ev, int n, int ms),
         (e, ev, n, ms))
FAILS_AS(eventfd, "eventfd", -1, int, (unsigned n, int flags), (n, flags))

/* Reads and writes may be cut short instead. */
#define SHORT_AS(name, shown, params, args, whole_args, n)                                         \
    ssize_t name params;                                                                           \
    ssize_t name params                                                                            \
    {                                                                                              \
        __extension__ static ssize_t(*real) params;                                                \
        FIND_REAL(name);                                                                           \
        if (!fails(shown)) return real whole_args;                                                 \
        if (errno || (n) < 2) return errno ? -1 : real whole_args;                                 \
        return real args;                                                                          \
    }

SHORT_AS(read, "read", (int fd, void *p, size_t n), (fd, p, n / 2), (fd, p, n), n)
SHORT_AS(pread, "read", (int fd, void *p, size_t n, off_t at), (fd, p, n / 2, at), (fd, p, n, at),
         n)
SHORT_AS(pread64, "read", (int fd, void *p, size_t n, off64_t at), (fd, p, n / 2, at),
         (fd, p, n, at), n)
SHORT_AS(write, "write", (int fd, const void *p, size_t n), (fd, p, n / 2), (fd, p, n), n)
SHORT_AS(pwrite, "write", (int fd, const void *p, size_t n, off_t at), (fd, p, n / 2, at),
         (fd, p, n, at), n)
SHORT_AS(pwrite64, "write", (int fd, const void *p, size_t n, off64_t at), (fd, p, n / 2, at),
         (fd, p, n, at), n)

/* Functions with a mode that is only there when something is made. */
#define OPEN_AS(name, first_params, first_args)                                                    \
    int name first_params;                                                                         \
    int name first_params                                                                          \
    {                                                                                              \
        __extension__ static int(*real) first_params;                                              \
        FIND_REAL(name);                                                                           \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                \
        va_end(ap);                                                                                \
        return fails("open") ? -1 : real first_args;                                               \
    }

OPEN_AS(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN_AS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN_AS(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))
OPEN_AS(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))

int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    FIND_REAL(pthread_create);
    return fails("pthread_create") ? errno : real(t, a, fn, arg);
}
