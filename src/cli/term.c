/* SPDX-License-Identifier: Apache-2.0
 * term.c - writes with write(2): no second buffer behind ours, and every failure is seen. */
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli/french.h"
#include "cli/stop.h"

enum { LINE_BYTES = 1024, READ_BYTES = 65536 };

void sb_term_start(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        /* The lowest free number is fd itself. Reading only: a closed output stays a failure. */
        const int got = open("/dev/null", O_RDONLY);
        if (got >= 0 && got != fd) (void)close(got);
    }
}

void sb_out_init(sb_out *o, int fd)
{
    o->fd = fd;
    o->why = 0;
    o->n = 0;
    o->tty = isatty(fd) == 1;
}

static void write_all(sb_out *o, const char *p, size_t n)
{
    while (n > 0 && !o->why) {
        const ssize_t w = write(o->fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) {
            o->why = errno;
            return;
        }
        p += w;
        n -= (size_t)w;
    }
}

void sb_out_flush(sb_out *o)
{
    write_all(o, o->held, o->n);
    o->n = 0;
}

void sb_out_add(sb_out *o, const char *p, size_t n)
{
    if (n > sizeof o->held - o->n) sb_out_flush(o);
    if (n > sizeof o->held) {
        write_all(o, p, n);
        return;
    }
    memcpy(o->held + o->n, p, n);
    o->n += n;
}

void sb_out_addf(sb_out *o, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0) sb_out_add(o, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

sb_status sb_out_end(sb_out *o, sb_error *err)
{
    sb_out_flush(o);
    if (!o->why) return SB_OK;
    if (o->why == EPIPE)
        return SB_FAIL(err, SB_IO, "standard output: the reader went away before the end");
    if (o->why == EBADF)
        return SB_FAIL(err, SB_IO, "standard output is closed: give it a file or a pipe");
    return SB_FAIL(err, SB_IO, "standard output: %s", strerror(o->why));
}

/* Characters that move the cursor, hide text or turn its direction. */
static bool is_risky(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200b && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff ||
           (cp >= 0xe0000 && cp <= 0xe007f);
}

/* Writes one character of s, escaped if need be; returns the bytes of s it took. */
static size_t escape_one(sb_str s, bool lines, char out[16], size_t *out_n)
{
    uint32_t cp = 0;
    const size_t n = sb_utf8_decode(s.p, s.n, &cp);
    const bool kept = n > 0 && ((lines && (cp == '\n' || cp == '\t')) || !is_risky(cp));
    if (kept) {
        memcpy(out, s.p, n);
        *out_n = n;
        return n;
    }
    const int k = n == 0 || cp < 0x80 ? snprintf(out, 16, "\\x%02X", (unsigned char)s.p[0])
                                      : snprintf(out, 16, "\\u{%04X}", (unsigned)cp);
    *out_n = (size_t)k;
    return n ? n : 1;
}

sb_status sb_term_escape(sb_buf *out, sb_str s, bool lines, sb_error *err)
{
    while (s.n > 0) {
        char one[16];
        size_t n_one = 0;
        const size_t n = escape_one(s, lines, one, &n_one);
        SB_TRY(sb_buf_add(out, one, n_one, err));
        s = (sb_str){s.p + n, s.n - n};
    }
    return SB_OK;
}

void sb_out_escaped(sb_out *o, sb_str s, bool lines)
{
    while (s.n > 0) {
        char one[16];
        size_t n_one = 0;
        const size_t n = escape_one(s, lines, one, &n_one);
        sb_out_add(o, one, n_one);
        s = (sb_str){s.p + n, s.n - n};
    }
}

void sb_out_dim(sb_out *o, bool dim)
{
    const char *term = getenv("TERM"), *never = getenv("NO_COLOR");
    if (!o->tty || (never && *never) || !term || strcmp(term, "dumb") == 0) return;
    sb_out_add(o, dim ? "\033[2m" : "\033[0m", 4);
}

/* A line in the reader's language, escaped; English when memory is short. */
static void add_line(sb_out *o, const char *line)
{
    const sb_str english = {line, strlen(line)};
    sb_buf b;
    sb_buf_init(&b, 8 * LINE_BYTES, "line");
    const bool ok = sb_tr_line(&b, english, NULL) == SB_OK && b.p;
    sb_out_escaped(o, ok ? (sb_str){b.p, b.n} : english, false);
    sb_buf_deinit(&b);
}

void sb_out_say(sb_out *o, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0) add_line(o, line);
}

void sb_term_say(const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n <= 0) return;
    sb_out o;
    sb_out_init(&o, 2);
    sb_out_add(&o, "sobre: ", 7);
    add_line(&o, line);
    sb_out_add(&o, "\n", 1);
    sb_out_flush(&o); /* nobody is left to tell when this fails */
}

sb_status sb_term_read_all(sb_buf *out, sb_error *err)
{
    char piece[READ_BYTES];
    for (;;) {
        const ssize_t n = read(0, piece, sizeof piece);
        if (sb_stop_asked(NULL)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return SB_FAIL(err, SB_IO, "standard input: %s", strerror(errno));
        if (n == 0) return SB_OK;
        SB_TRY(sb_buf_add(out, piece, (size_t)n, err));
    }
}
