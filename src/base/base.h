/* SPDX-License-Identifier: Apache-2.0
 * base.h - what every file of the house may assume: status codes, the error record, checked sizes.
 *
 * Purpose     One enum and one record for everything that can fail; C23's checked arithmetic under
 *             its own names for compilers that lack the header. Nothing here knows a model.
 * Errors      A function that can fail returns sb_status and takes `sb_error *err` last (NULL is
 *             allowed). On failure its outputs are untouched and err holds one line that names the
 *             thing, the value and the limit. A callee that failed has already said why.
 * Threads     Everything here is a pure function of its arguments. */
#ifndef SB_BASE_H
#define SB_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_MUST_USE __attribute__((warn_unused_result))
#define SB_PRINTF(a, b) __attribute__((format(printf, a, b)))
#define SB_CLEANUP(f) __attribute__((cleanup(f)))
#define SB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define SB_ALIGN_UP(n, a) (((n) + ((a)-1)) / (a) * (a)) /* trusted numbers only */

#define ckd_add(r, a, b) __builtin_add_overflow((a), (b), (r))
#define ckd_sub(r, a, b) __builtin_sub_overflow((a), (b), (r))
#define ckd_mul(r, a, b) __builtin_mul_overflow((a), (b), (r))

/* a + b for counts that are not negative; what does not fit is the most there is. */
static inline int64_t sb_add_capped(int64_t a, int64_t b)
{
    int64_t sum = 0;
    return ckd_add(&sum, a, b) ? INT64_MAX : sum;
}

typedef enum sb_status {
#define X(name, text) SB_##name,
#include "base/status.def"
#undef X
    SB_STATUS_COUNT
} sb_status;

enum { SB_ERROR_MSG_BYTES = 240 };

/* Why a call failed. file and line say where it was raised (for us); msg is the line for people. */
typedef struct sb_error {
    sb_status code;
    int line;
    const char *file;
    char msg[SB_ERROR_MSG_BYTES];
} sb_error;

/* A borrowed run of bytes, not NUL-terminated; the owner is named where one is handed out. */
typedef struct sb_str {
    const char *p;
    size_t n;
} sb_str;

/* Text of a status, never NULL. */
const char *sb_status_text(sb_status s);

/* Fills err (if not NULL) and returns code; control bytes in the message become '?'. */
sb_status sb_fail_at(sb_error *err, sb_status code, const char *file, int line, const char *fmt,
                     ...) SB_PRINTF(5, 6);
/* Lets an analyser see which status a failure returns. */
static inline sb_status sb_status_of(sb_status known, sb_status same)
{
    (void)same;
    return known;
}
#define SB_FAIL(err, code, ...)                                                                    \
    sb_status_of((code), sb_fail_at((err), (code), __FILE__, __LINE__, __VA_ARGS__))

/* Puts "text: " before the message of an error already raised, and returns its code. */
sb_status sb_error_prefix(sb_error *err, sb_status code, const char *fmt, ...) SB_PRINTF(3, 4);

#define SB_TRY(expr)                                                                               \
    do {                                                                                           \
        const sb_status sb_try_ = (expr);                                                          \
        if (sb_try_ != SB_OK) return sb_try_;                                                      \
    } while (0)

#define sb_unreachable(why) __builtin_unreachable()
#endif
