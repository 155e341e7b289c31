/* SPDX-License-Identifier: Apache-2.0
 * error.c - status texts and error records. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *sb_status_text(sb_status s)
{
    static const char *const text[SB_STATUS_COUNT] = {
#define X(name, text) [SB_##name] = text,
#include "base/status.def"
#undef X
    };
    return (unsigned)s < SB_STATUS_COUNT ? text[s] : "unknown status";
}

/* One line, whatever a file put into it. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

sb_status sb_fail_at(sb_error *err, sb_status code, const char *file, int line, const char *fmt,
                     ...)
{
    if (!err) return code;
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    err->file = file;
    err->line = line;
    (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    one_line(err->msg);
    return code;
}

sb_status sb_error_prefix(sb_error *err, sb_status code, const char *fmt, ...)
{
    if (!err) return code;
    char head[SB_ERROR_MSG_BYTES], tail[SB_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    memcpy(tail, err->msg, sizeof tail);
    (void)snprintf(err->msg, sizeof err->msg, "%.100s: %.*s", head, (int)sizeof tail - 104, tail);
    one_line(err->msg);
    return code;
}
