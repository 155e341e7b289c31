/* SPDX-License-Identifier: Apache-2.0
 * gguf_build.h - makes GGUF bytes by hand, right or wrong, and opens them from a temporary file.
 *
 * Usage       raw_head(), raw_kv_*(), raw_info(), raw_pad(), raw_zeros(), in file order; then
 *             expect_refused() or expect_opens(). Failures are cmocka's.
 * Ownership   One raw buffer per case on the heap: raw_new() / raw_free(). */
#ifndef SB_TESTS_GGUF_BUILD_H
#define SB_TESTS_GGUF_BUILD_H
#include "gguf/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct raw {
    unsigned char *p;
    size_t n, cap;
} raw;

raw *raw_new(void);
void raw_free(raw *r);
void raw_bytes(raw *r, const void *p, size_t n);
void raw_zeros(raw *r, size_t n);
void raw_u8(raw *r, unsigned v);
void raw_u32(raw *r, uint32_t v);
void raw_u64(raw *r, uint64_t v);
void raw_str(raw *r, const char *s);
/* Zeros up to a multiple of a. */
void raw_pad(raw *r, size_t a);
void raw_head(raw *r, uint32_t version, uint64_t n_tensors, uint64_t n_kv);
void raw_key(raw *r, const char *key, uint32_t type);
void raw_kv_str(raw *r, const char *key, const char *v);
void raw_kv_u32(raw *r, const char *key, uint32_t v);
/* general.architecture = llama: the one key every good file here has. */
void raw_arch(raw *r);
void raw_info(raw *r, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
              uint64_t offset);

/* Path of NAME in a directory of this process, made on first use; the same buffer each time. */
const char *temp_path(const char *name);
void temp_remove(const char *name);
/* Removes the directory, which must be empty by then. */
int temp_cleanup(void **state);
void write_file(const char *path, const void *p, size_t n);

/* Opens r as a file: must fail with `status`, in one line that names the file and has every one of
 * the words (separated by '|'). Frees r. */
void expect_refused(raw *r, sb_status status, const char *words);
/* As above for a file that is there already. */
void expect_path_refused(const char *path, sb_status status, const char *words);
/* Opens r: must succeed. Frees r; close with sb_gguf_close(). */
sb_gguf *expect_opens(raw *r);
void assert_words(const sb_error *err, const char *words);
#endif
