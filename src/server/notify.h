/* SPDX-License-Identifier: Apache-2.0
 * notify.h - telling a service manager how far the server is, in systemd's way.
 *
 * Purpose     One datagram a state to the socket of $NOTIFY_SOCKET; a path, or '@' and an abstract
 *             name. Opened and connected before a sandbox closes.
 * Errors      None: without a manager, or when it does not listen, nothing happens. */
#ifndef SB_SERVER_NOTIFY_H
#define SB_SERVER_NOTIFY_H
#include "base/base.h"

/* -1: there is none. socket may be NULL. */
int sb_notify_open(const char *socket);
void sb_notify(int fd, const char *state);
void sb_notify_close(int fd);
#endif
