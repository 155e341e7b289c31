/* SPDX-License-Identifier: Apache-2.0
 * child.c - fork, and the end of a socket pair for each. */
#include "server/child.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

sb_status sb_child_fork(const sb_child *c, int *out_fd, bool *out_child, bool *out_orphan,
                        sb_error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, c->type | SOCK_CLOEXEC, 0, fds) != 0)
        return SB_FAIL(err, SB_IO, "%s: no socket (%s)", c->what, strerror(errno));
    const pid_t parent = getpid();
    const pid_t pid = fork();
    const int why = errno;
    *out_child = pid == 0;
    *out_orphan = false;
    (void)close(fds[pid != 0]);
    if (pid < 0) {
        (void)close(fds[0]);
        return SB_FAIL(err, SB_IO, "%s: %s", c->what, strerror(why));
    }
    *out_fd = fds[pid == 0];
    if (pid > 0) return SB_OK;
    (void)prctl(PR_SET_PDEATHSIG, c->signal); /* beside the socket's end, for a parent killed */
    *out_orphan = getppid() != parent;
    (void)prctl(PR_SET_NAME, c->name);
    return SB_OK;
}
