/* SPDX-License-Identifier: Apache-2.0
 * file.h - regular files, mapped read-only.
 *
 * Ownership   sb_map owns the mapping and the descriptor until sb_map_close().
 * Errors      SB_NOT_FOUND, SB_IO, SB_INVALID (not a regular file: opening never blocks on a FIFO
 *             or a device). The message names the path, escaped.
 * Changes     Replacing a file (rename) leaves the mapped one as it was. One that is rewritten or
 *             cut short in place changes under its readers: sb_map_check() tells, and reading
 *             behind the new end, or what the disk no longer gives, raises SIGBUS. A program that
 *             is to survive that installs a handler that calls sb_map_patch(); libraries install
 *             none. */
#ifndef SB_BASE_FILE_H
#define SB_BASE_FILE_H
#include "base/base.h"

typedef struct sb_map {
    const unsigned char *p; /* NULL when the file is empty */
    size_t bytes;
    int fd;
    uint64_t dev, ino, mtime_ns; /* identity when opened */
} sb_map;

sb_status sb_map_open(sb_map *out, const char *path, sb_error *err) SB_MUST_USE;
/* The same of an open descriptor, which is the map's from then on; on failure it stays the
 * caller's. */
sb_status sb_map_open_fd(sb_map *out, int fd, const char *path, sb_error *err) SB_MUST_USE;
void sb_map_close(sb_map *m);
/* Gives the resident pages wholly inside [off, off+n) back to the page cache; reads stay valid. */
void sb_map_drop(const sb_map *m, size_t off, size_t n);
/* Asks the kernel to read [off, off+n) ahead. */
void sb_map_want(const sb_map *m, size_t off, size_t n);
/* Copies [off, off+n) of the file to dst without mapping it: of a large file read once, that is
 * half the work of faulting its pages in, and a file cut short is an error, not a signal. False
 * when not all of it could be read. Any thread. */
bool sb_map_read(const sb_map *m, size_t off, void *dst, size_t n) SB_MUST_USE;
/* Faults [off, off+n) in at once, which is cheaper than page by page; both are whole pages. False
 * when the file does not have them any more: reading them would raise SIGBUS. */
bool sb_map_populate(const sb_map *m, size_t off, size_t n) SB_MUST_USE;
/* Puts fresh memory, zeroed and writable, where [off, off+n) of the file was; both are whole pages.
 * NULL without memory. Whoever reads there meanwhile sees either. */
unsigned char *sb_map_detach(const sb_map *m, size_t off, size_t n);
/* SB_IO when the file is no longer what was opened (shorter, or written to); path is for the line.
 * One system call. */
sb_status sb_map_check(const sb_map *m, const char *path, sb_error *err) SB_MUST_USE;
/* For a SIGBUS handler: puts a page of zeros where the read of `at` failed, so that it goes on;
 * what it reads is then caught by sb_map_check(). False when that cannot be done.
 * Async-signal-safe. */
bool sb_map_patch(const void *at);
/* Copies path into out, control bytes and broken UTF-8 escaped as \xNN; always NUL-terminated. */
void sb_path_escape(char *out, size_t out_bytes, const char *path);
#endif
