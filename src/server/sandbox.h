/* SPDX-License-Identifier: Apache-2.0
 * sandbox.h - what the serving process can no longer do once it serves.
 *
 * Purpose     Contains a server that was taken over: Landlock lets it write the data base's files
 *             and the log's folder and read models and the system's libraries; a filter of system
 *             calls leaves no way to run a program, to open a connection, to trace or to load a
 *             module.
 * Order       Before the first further thread is started: Landlock holds for a thread and those it
 *             starts.
 * Lacking     A kernel without a piece leaves that piece out; the note says so, and start shows it.
 * Errors      SB_IO when the kernel has the piece and refuses it.
 * Ownership   Paths are borrowed for the call. */
#ifndef SB_SERVER_SANDBOX_H
#define SB_SERVER_SANDBOX_H
#include "base/base.h"

enum { SB_SANDBOX_PATHS = 64 };

typedef struct sb_sandbox {
    const char *read[SB_SANDBOX_PATHS], *write[SB_SANDBOX_PATHS], *make[SB_SANDBOX_PATHS];
    size_t n_read, n_write, n_make; /* files or folders to read; files to write; folders in which
                                       files are made, written and removed */
} sb_sandbox;

enum { SB_SANDBOX_NOTE_BYTES = 160 };

/* Paths that are not there are left out. note: what holds, for people. */
sb_status sb_sandbox_close(const sb_sandbox *s, char note[SB_SANDBOX_NOTE_BYTES],
                           sb_error *err) SB_MUST_USE;
#endif
