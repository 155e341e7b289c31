/* SPDX-License-Identifier: Apache-2.0
 * file.h - regular files, mapped read-only.
 *
 * Ownership   sb_map owns the mapping and the descriptor until sb_map_close().
 * Errors      SB_NOT_FOUND, SB_IO, SB_INVALID (not a regular file: opening never blocks on a FIFO
 *             or a device). The message names the path, escaped. */
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
void sb_map_close(sb_map *m);
/* Gives the resident pages wholly inside [off, off+n) back to the page cache; reads stay valid. */
void sb_map_drop(const sb_map *m, size_t off, size_t n);
/* Asks the kernel to read [off, off+n) ahead. */
void sb_map_want(const sb_map *m, size_t off, size_t n);
/* Copies path into out, control bytes and broken UTF-8 escaped as \xNN; always NUL-terminated. */
void sb_path_escape(char *out, size_t out_bytes, const char *path);
#endif
