/* SPDX-License-Identifier: Apache-2.0
 * line.c - puts messages together from lines, whoever reads these. */
#include "cli/line.h"

#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/line_edit.h"
#include "cli/stop.h"

static const char fence[] = "\"\"\"";
enum { FENCE = sizeof fence - 1 };

struct sb_lines {
    sb_editor *editor; /* NULL: plain lines */
    bool person;
    bool has_modes;
    struct termios modes; /* of the terminal, as we found them */
    sb_buf line;
    sb_input in;
};

sb_status sb_lines_open(sb_lines **out, sb_error *err)
{
    sb_lines *l = sb_calloc(1, sizeof *l);
    if (!l) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
    sb_buf_init(&l->line, SB_MAX_LINE_BYTES, "line");
    l->has_modes = tcgetattr(STDIN_FILENO, &l->modes) == 0;
    l->person = l->has_modes && (isatty(STDOUT_FILENO) || isatty(STDERR_FILENO));
    if (l->has_modes) sb_stop_keep_terminal(&l->modes);
    const sb_status s = l->person ? sb_editor_open(&l->editor, &l->in, err) : SB_OK;
    if (s == SB_OK || s == SB_UNSUPPORTED) {
        *out = l;
        return SB_OK;
    }
    sb_lines_close(l);
    return s;
}

void sb_lines_close(sb_lines *l)
{
    if (!l) return;
    sb_lines_hush(l, false);
    sb_editor_close(l->editor);
    sb_buf_deinit(&l->line);
    sb_free(l);
}

bool sb_lines_has_person(const sb_lines *l)
{
    return l->person;
}

void sb_lines_hush(sb_lines *l, bool hushed)
{
    if (!l->has_modes) return;
    struct termios t = l->modes;
    if (hushed) t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

/* Appends one line as it comes, without its end. */
static sb_status read_plain(sb_lines *l, const char *prompt, sb_line_end *end, sb_error *err)
{
    sb_input *in = &l->in;
    *end = SB_LINE_EOF;
    if (l->person && write(STDERR_FILENO, prompt, strlen(prompt)) < 0) l->person = false;
    for (;;) {
        const sb_input_event e = sb_input_wait(in);
        if (e == SB_INPUT_STOP) *end = SB_LINE_BREAK;
        if (e == SB_INPUT_ERROR) return SB_FAIL(err, SB_IO, "standard input: %s", strerror(errno));
        if (e == SB_INPUT_STOP || e == SB_INPUT_END) return SB_OK;
        if (e != SB_INPUT_BYTES) continue;
        *end = SB_LINE_MESSAGE; /* a last line needs no end */
        const char *p = in->held + in->at, *stop = memchr(p, '\n', in->n - in->at);
        const size_t n = stop ? (size_t)(stop - p) : in->n - in->at;
        in->at += n + (stop != NULL);
        SB_TRY(sb_buf_add(&l->line, p, n, err));
        if (stop) break;
    }
    if (l->line.n > 0 && l->line.p[l->line.n - 1] == '\r') l->line.p[--l->line.n] = 0;
    return SB_OK;
}

static sb_status read_line(sb_lines *l, const char *prompt, sb_line_end *end, sb_error *err)
{
    sb_buf_clear(&l->line);
    if (!l->editor) return read_plain(l, prompt, end, err);
    return sb_editor_read(l->editor, prompt, &l->line, end, err);
}

static bool ends_with(sb_str s, const char *word)
{
    const size_t n = strlen(word);
    return s.n >= n && memcmp(s.p + s.n - n, word, n) == 0;
}

/* What follows the opening fence, up to the closing one; at the end of input as it stands. */
static sb_status read_fenced(sb_lines *l, sb_buf *out, sb_line_end *end, sb_error *err)
{
    sb_str s = {l->line.p + FENCE, l->line.n - FENCE};
    for (bool first = true;; first = false) {
        const bool last = ends_with(s, fence);
        if (!first && out->n > 0) SB_TRY(sb_buf_add(out, "\n", 1, err));
        SB_TRY(sb_buf_add(out, s.p ? s.p : "", s.n - (last ? FENCE : 0), err));
        if (last) return SB_OK;
        SB_TRY(read_line(l, ". ", end, err));
        if (*end == SB_LINE_EOF)
            *end = SB_LINE_MESSAGE;
        else if (*end == SB_LINE_MESSAGE) {
            s = (sb_str){l->line.p, l->line.n};
            continue;
        }
        return SB_OK;
    }
}

/* Lines that go on: each but the last ends with a backslash. */
static sb_status read_continued(sb_lines *l, sb_buf *out, sb_line_end *end, sb_error *err)
{
    for (;;) {
        const sb_str s = {l->line.p ? l->line.p : "", l->line.n};
        const bool goes_on = ends_with(s, "\\");
        SB_TRY(sb_buf_add(out, s.p, s.n - goes_on, err));
        if (!goes_on) return SB_OK;
        SB_TRY(sb_buf_add(out, "\n", 1, err));
        SB_TRY(read_line(l, ". ", end, err));
        if (*end == SB_LINE_BREAK) return SB_OK;
        if (*end == SB_LINE_EOF) {
            *end = SB_LINE_MESSAGE;
            return SB_OK;
        }
    }
}

sb_status sb_lines_read(sb_lines *l, sb_buf *out, sb_line_end *end, sb_error *err)
{
    sb_buf_clear(out);
    SB_TRY(read_line(l, "> ", end, err));
    if (*end != SB_LINE_MESSAGE) return SB_OK;
    const sb_str s = {l->line.p ? l->line.p : "", l->line.n};
    if (s.n >= FENCE && memcmp(s.p, fence, FENCE) == 0)
        SB_TRY(read_fenced(l, out, end, err));
    else if (s.n && memchr(s.p, '\n', s.n)) /* pasted or recalled: it is all there */
        SB_TRY(sb_buf_add(out, s.p, s.n, err));
    else
        SB_TRY(read_continued(l, out, end, err));
    if (*end != SB_LINE_MESSAGE) return SB_OK;
    while (out->n > 0 && out->p[out->n - 1] == '\n') /* the end of a pasted last line */
        out->p[--out->n] = 0;
    const size_t good = sb_utf8_valid(out->p ? out->p : "", out->n);
    if (good != out->n)
        return SB_FAIL(err, SB_INVALID,
                       "%s: byte %zu (0x%02x) is not UTF-8: convert the text first",
                       "standard input", good, (unsigned char)out->p[good]);
    if (l->editor && out->n) sb_editor_remember(l->editor, out->p);
    return SB_OK;
}
