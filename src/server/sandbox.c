/* SPDX-License-Identifier: Apache-2.0
 * sandbox.c - Landlock by its three system calls, the filter by libseccomp.
 *
 * What is refused gives EPERM rather than the end of the process: a library that asks for something
 * exotic and can do without goes on. The list is what glibc, libevent, OpenSSL, SQLite and the
 * engine were seen to call, and what they call when memory or descriptors are short. */
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights of later ABIs, whose names an older header lacks. */
enum {
    FS_REFER = 1 << 13,    /* ABI 2 */
    FS_TRUNCATE = 1 << 14, /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15 /* ABI 5 */
};

static uint64_t all_rights(int abi)
{
    uint64_t r = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (abi >= 2) r |= FS_REFER;
    if (abi >= 3) r |= FS_TRUNCATE;
    if (abi >= 5) r |= FS_IOCTL_DEV;
    return r;
}

static sb_status add_path(int ruleset, const char *path, uint64_t rights, sb_error *err)
{
    struct stat st;
    const int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return SB_OK;                        /* not there */
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)) /* a folder's rights make no sense for it */
        rights &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
    const struct landlock_path_beneath_attr a = {.allowed_access = rights, .parent_fd = fd};
    const long failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0);
    const int why = errno;
    (void)close(fd);
    if (failed) return SB_FAIL(err, SB_IO, "sandbox: %.100s: %s", path, strerror(why));
    return SB_OK;
}

static sb_status add_paths(const sb_sandbox *s, int ruleset, uint64_t handled, sb_error *err)
{
    const uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    const uint64_t write =
        LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
    const uint64_t make = write | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                          LANDLOCK_ACCESS_FS_REMOVE_FILE;
    for (size_t i = 0; i < s->n_read; i++)
        SB_TRY(add_path(ruleset, s->read[i], read & handled, err));
    for (size_t i = 0; i < s->n_write; i++)
        SB_TRY(add_path(ruleset, s->write[i], write & handled, err));
    for (size_t i = 0; i < s->n_make; i++)
        SB_TRY(add_path(ruleset, s->make[i], make & handled, err));
    return SB_OK;
}

/* *out_abi 0: the kernel has none. */
static sb_status close_files(const sb_sandbox *s, int *out_abi, sb_error *err)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *out_abi = 0;
    if (abi < 1) return SB_OK;
    const uint64_t handled = all_rights((int)abi);
    const struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
    const int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    if (ruleset < 0) return SB_FAIL(err, SB_IO, "sandbox: Landlock: %s", strerror(errno));
    sb_status st = add_paths(s, ruleset, handled, err);
    if (st == SB_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        st = SB_FAIL(err, SB_IO, "sandbox: Landlock: %s", strerror(errno));
    (void)close(ruleset);
    if (st == SB_OK) *out_abi = (int)abi;
    return st;
}

static const char *const allowed[] = {
#define X(name) #name,
#include "server/syscalls.def"
#undef X
};

static int add_rules(scmp_filter_ctx c)
{
    int failed = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(allowed); i++) {
        const int nr = seccomp_syscall_resolve_name(allowed[i]);
        if (nr == __NR_SCMP_ERROR) continue; /* newer than the library, or of another machine */
        failed |= seccomp_rule_add(c, SCMP_ACT_ALLOW, nr, 0);
    }
    /* Threads, not processes: CLONE_THREAD is 0x10000. clone3 hides its flags from a filter, so the
     * C library is told that there is none and takes clone. */
    failed |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, 0x10000, 0x10000));
    failed |= seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* A thread's name, and nothing else of prctl. */
    failed |=
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    failed |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                               SCMP_A0(SCMP_CMP_EQ, 0x53564d41)); /* PR_SET_VMA: names for maps */
    /* Signals to this process alone. */
    failed |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                               SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    return failed;
}

static sb_status close_calls(bool *out_on, sb_error *err)
{
    *out_on = false;
    const scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "sandbox: no memory for the filter");
    int failed = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
    failed |= add_rules(c);
    if (failed) {
        seccomp_release(c);
        return SB_FAIL(err, SB_IO, "sandbox: the filter of system calls cannot be made");
    }
    failed = seccomp_load(c);
    seccomp_release(c);
    *out_on = failed == 0;
    if (failed && failed != -EINVAL && failed != -ENOSYS && failed != -EOPNOTSUPP)
        return SB_FAIL(err, SB_IO, "sandbox: filter of system calls: %s", strerror(-failed));
    return SB_OK;
}

sb_status sb_sandbox_close(const sb_sandbox *s, char note[SB_SANDBOX_NOTE_BYTES], sb_error *err)
{
    int abi = 0;
    bool calls = false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return SB_FAIL(err, SB_IO, "sandbox: no_new_privs: %s", strerror(errno));
    SB_TRY(close_files(s, &abi, err));
    SB_TRY(close_calls(&calls, err));
    char files[40] = "no Landlock in this kernel";
    if (abi) (void)snprintf(files, sizeof files, "files (Landlock %d)", abi);
    (void)snprintf(note, SB_SANDBOX_NOTE_BYTES, "%s, %s", files,
                   calls ? "system calls (seccomp)" : "no seccomp in this kernel");
    return SB_OK;
}
