/* SPDX-License-Identifier: Apache-2.0
 * pin.h - what is known of a model of the store: where it came from, and its hashes.
 *
 * Purpose     models/NAME.pin, a JSON object beside models/NAME.gguf. The hash a model had when it
 *             was pulled is what later pulls are held to; loading does not hash.
 * Format      {"name", "source", "revision", "licence", "date", "checked", "bytes", "registered",
 *             "files": [{"name", "bytes", "sha256"}]}. checked: who vouched for the hash - "host"
 *             (LFS header), "catalogue", "user" (--sha256), "cache" (a content-addressed file), or
 *             "first" (nobody: it is what came first). registered: path of a file that lies
 *             elsewhere, or absent.
 * Ownership   files is the pin's, released by _deinit.
 * Errors      SB_NOT_FOUND (no pin), SB_CORRUPT (says how to get out), SB_IO, SB_NO_MEMORY.
 * Threads     Any. */
#ifndef SB_STORE_PIN_H
#define SB_STORE_PIN_H
#include "base/base.h"
#include "store/store.h"

enum { SB_PIN_FILE_BYTES = 513, SB_PIN_SOURCE_BYTES = 1025, SB_PIN_PATH_BYTES = 4097 };

typedef struct sb_pin_file {
    char name[SB_PIN_FILE_BYTES]; /* as the source calls it */
    uint64_t bytes;
    char sha256[65];
} sb_pin_file;

typedef struct sb_pin {
    char name[65], source[SB_PIN_SOURCE_BYTES], revision[97], licence[129], date[32], checked[16];
    char registered[SB_PIN_PATH_BYTES]; /* "" = the store's own file */
    uint64_t bytes;                     /* of all files */
    sb_pin_file *files;
    size_t n_files;
} sb_pin;

void sb_pin_deinit(sb_pin *p);
/* A zeroed pin with room for n files and today's date. */
sb_status sb_pin_init(sb_pin *p, const char *name, size_t n_files, sb_error *err) SB_MUST_USE;
sb_status sb_pin_read(const sb_store *s, const char *name, sb_pin *out, sb_error *err) SB_MUST_USE;
/* From text, as it stands in a file; for tests and fuzzing. */
sb_status sb_pin_parse(const char *text, size_t n, const char *name, sb_pin *out,
                       sb_error *err) SB_MUST_USE;
sb_status sb_pin_write(const sb_store *s, const sb_pin *p, sb_error *err) SB_MUST_USE;
/* Appends the hashes of a model's files, as recorded when it was pulled; nothing when it was not,
 * or when `name` is a path. */
sb_status sb_pin_record(const sb_store *s, const char *name, sb_buf *out,
                        sb_error *err) SB_MUST_USE;
/* The same files: as many, with the same sizes and hashes. */
bool sb_pin_same(const sb_pin *a, const sb_pin *b);
#endif
