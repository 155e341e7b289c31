/* SPDX-License-Identifier: Apache-2.0
 * buf.h - a byte buffer that grows up to a stated limit.
 *
 * Invariants  n <= max; p[n] == 0 whenever p is not NULL (so p is a C string when it holds no NUL).
 * Ownership   The buffer owns p; sb_buf_deinit() frees it and may be called twice.
 * Errors      SB_LIMIT when the limit would be passed (message names `what`), SB_NO_MEMORY; on
 *             failure the content is unchanged. */
#ifndef SB_BASE_BUF_H
#define SB_BASE_BUF_H
#include "base/base.h"

typedef struct sb_buf {
    char *p;
    size_t n, cap, max; /* bytes: used, allocated, limit */
    const char *what;   /* named in the limit's error */
} sb_buf;

void sb_buf_init(sb_buf *b, size_t max, const char *what);
void sb_buf_deinit(sb_buf *b);
void sb_buf_clear(sb_buf *b);
sb_status sb_buf_add(sb_buf *b, const void *p, size_t n, sb_error *err) SB_MUST_USE;
sb_status sb_buf_addf(sb_buf *b, sb_error *err, const char *fmt, ...) SB_PRINTF(3, 4) SB_MUST_USE;
#endif
