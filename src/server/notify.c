/* SPDX-License-Identifier: Apache-2.0
 * notify.c - a connected datagram socket; libsystemd would be a library for one line. */
#include "server/notify.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int sb_notify_open(const char *socket_path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const size_t n = socket_path ? strlen(socket_path) : 0;
    if (n < 2 || n >= sizeof a.sun_path || (socket_path[0] != '/' && socket_path[0] != '@'))
        return -1;
    memcpy(a.sun_path, socket_path, n);
    if (a.sun_path[0] == '@') a.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)&a,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

void sb_notify(int fd, const char *state)
{
    if (fd >= 0 && send(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
}

void sb_notify_close(int fd)
{
    if (fd >= 0) (void)close(fd);
}
