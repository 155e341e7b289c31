/* SPDX-License-Identifier: Apache-2.0
 * jsonl.c - just enough JSON for files that our own scripts write. */
#include "jsonl.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Four hex digits at p. */
static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int d = c >= '0' && c <= '9'                   ? c - '0'
                      : ((c | 32) >= 'a' && (c | 32) <= 'f') ? (c | 32) - 'a' + 10
                                                             : 0;
        v = v << 4 | (uint32_t)d;
    }
    return v;
}

sb_status jsonl_read_string(const char **p, sb_buf *out, sb_error *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *s = *p + 1;
    while (*s && *s != '"') {
        const size_t plain = strcspn(s, "\\\"");
        SB_TRY(sb_buf_add(out, s, plain, err));
        s += plain;
        if (*s != '\\') continue;
        char c[4];
        size_t n = 1;
        if (s[1] == 'u') {
            uint32_t cp = hex4(s + 2);
            s += 6;
            if (cp >= 0xD800 && cp < 0xDC00) {
                cp = 0x10000 + ((cp - 0xD800) << 10) + (hex4(s + 2) - 0xDC00);
                s += 6;
            }
            n = sb_utf8_encode(cp, c);
        } else {
            const char *at = strchr(from, s[1]);
            c[0] = at ? to[at - from] : s[1];
            s += 2;
        }
        SB_TRY(sb_buf_add(out, c, n, err));
    }
    *p = s + (*s == '"');
    return SB_OK;
}

sb_status jsonl_read_ids(const char *p, sb_ids *out, sb_error *err)
{
    while (*p && *p != ']') {
        if (*p < '0' || *p > '9') {
            p++;
            continue;
        }
        int32_t v = 0;
        for (; *p >= '0' && *p <= '9'; p++)
            v = v * 10 + (*p - '0');
        SB_TRY(sb_ids_add(out, v, err));
    }
    return SB_OK;
}

void jsonl_print_ids(const sb_ids *a)
{
    putchar('[');
    for (size_t i = 0; i < a->n; i++)
        printf(i ? ", %" PRId32 : "%" PRId32, a->v[i]);
    puts("]");
}

void jsonl_print_string(const sb_buf *b)
{
    putchar('"');
    for (size_t i = 0; i < b->n; i++) {
        const unsigned char c = (unsigned char)b->p[i];
        if (c < 32 || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    puts("\"");
}
