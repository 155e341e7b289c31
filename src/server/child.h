/* SPDX-License-Identifier: Apache-2.0
 * child.h - a process beside the server, and the socket between the two.
 *
 * Purpose     What the helper and the watcher have in common: forked before the server has threads,
 *             with a name of its own, and gone when the server is: by the socket's end, and by a
 *             signal where the server was killed.
 * Ownership   *out_fd is the caller's, of one end in each process.
 * Threads     The process has one when it is called.
 * Errors      SB_IO: no socket or no process. */
#ifndef SB_SERVER_CHILD_H
#define SB_SERVER_CHILD_H
#include "base/base.h"

typedef struct sb_child {
    const char *name; /* "sobre-helper" */
    const char *what; /* in messages: "helper process" */
    int type;         /* of the socket */
    int signal;       /* when the server has died */
} sb_child;

/* *out_child: this is the new process; *out_orphan: the server has died already. */
sb_status sb_child_fork(const sb_child *c, int *out_fd, bool *out_child, bool *out_orphan,
                        sb_error *err) SB_MUST_USE;
#endif
