/* SPDX-License-Identifier: Apache-2.0
 * buf.c - the growing byte buffer; doubles, so that n appends cost O(n). */
#include "base/buf.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAP = 64 };

void sb_buf_init(sb_buf *b, size_t max, const char *what)
{
    *b = (sb_buf){.max = max, .what = what};
}

void sb_buf_deinit(sb_buf *b)
{
    if (!b) return;
    sb_free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void sb_buf_clear(sb_buf *b)
{
    b->n = 0;
    if (b->p) b->p[0] = 0;
}

/* Room for n_more bytes and the NUL. */
static sb_status reserve(sb_buf *b, size_t n_more, sb_error *err)
{
    size_t want;
    if (ckd_add(&want, b->n, n_more) || want > b->max || want == SIZE_MAX)
        return SB_FAIL(err, SB_LIMIT, "%s: over the limit of %zu bytes", b->what, b->max);
    if (b->p && want < b->cap) return SB_OK;
    size_t cap = b->cap < SIZE_MAX / 2 ? b->cap * 2 : want + 1;
    if (cap < FIRST_CAP) cap = FIRST_CAP;
    if (cap < want + 1) cap = want + 1;
    char *p = sb_realloc(b->p, cap, 1);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "%s: no memory for %zu bytes", b->what, cap);
    b->p = p;
    b->cap = cap;
    b->p[b->n] = 0;
    return SB_OK;
}

sb_status sb_buf_add(sb_buf *b, const void *p, size_t n, sb_error *err)
{
    SB_TRY(reserve(b, n, err));
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
    return SB_OK;
}

sb_status sb_buf_addf(sb_buf *b, sb_error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) return SB_FAIL(err, SB_INVALID, "%s: text cannot be formatted", b->what);
    SB_TRY(reserve(b, (size_t)n, err));
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return SB_OK;
}
