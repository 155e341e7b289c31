/* SPDX-License-Identifier: Apache-2.0
 * progress.c - draws over its own line; no thread and no timer: the work itself calls. */
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "cli/french.h"
#include "cli/term.h"

enum { FIRST_NS = 400000000, EVERY_NS = 100000000, CELLS = 20, LINE_BYTES = 512 };

void sb_bar_begin(sb_bar *b, const char *what, sb_bar_unit unit)
{
    *b = (sb_bar){.unit = unit, .looked_at = isatty(STDERR_FILENO) == 1};
    b->begin_ns = sb_now_ns();
    (void)snprintf(b->what, sizeof b->what, "%s", what);
    b->what[sb_utf8_whole(b->what, strlen(b->what))] = 0;
}

/* "40 s", "12 min", "3 h 20 min": the same in every language. */
static void time_left(char *out, size_t n, double s)
{
    if (s < 100)
        (void)snprintf(out, n, "%.0f s", s);
    else if (s < 6000)
        (void)snprintf(out, n, "%.0f min", s / 60);
    else
        (void)snprintf(out, n, "%.0f h %.0f min", floor(s / 3600), fmod(s / 60, 60));
}

/* How much of it, and once there is something to judge by how fast and how long yet. */
static void amount(const sb_bar *b, char *out, size_t n, uint64_t done, uint64_t all, double s)
{
    const double per_s = s > 0.2 ? (double)(done - b->begin_done) / s : 0;
    const bool known = all > 0 && per_s > 0;
    char left[48] = "";
    if (known) time_left(left, sizeof left, (double)(all > done ? all - done : 0) / per_s);
    if (b->unit == SB_BAR_QUERIES && known)
        (void)snprintf(out, n, "%llu of %llu queries, %s left", (unsigned long long)done,
                       (unsigned long long)all, left);
    else if (b->unit == SB_BAR_QUERIES)
        (void)snprintf(out, n, "%llu of %llu queries", (unsigned long long)done,
                       (unsigned long long)all);
    else if (b->unit == SB_BAR_TOKENS && known)
        (void)snprintf(out, n, "%llu of %llu tokens, %.1f tokens/s, %s left",
                       (unsigned long long)done, (unsigned long long)all, per_s, left);
    else if (b->unit == SB_BAR_TOKENS)
        (void)snprintf(out, n, "%llu of %llu tokens", (unsigned long long)done,
                       (unsigned long long)all);
    else if (known)
        (void)snprintf(out, n, "%.1f of %.1f MB, %.1f MB/s, %s left", (double)done / 1e6,
                       (double)all / 1e6, per_s / 1e6, left);
    else if (all > 0)
        (void)snprintf(out, n, "%.1f of %.1f MB", (double)done / 1e6, (double)all / 1e6);
    else
        (void)snprintf(out, n, "%.1f MB, %.1f MB/s", (double)done / 1e6, per_s / 1e6);
}

static size_t columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* As many characters of s as fit in n columns, counting a character as one. */
static sb_str fit(sb_str s, size_t n)
{
    size_t at = 0;
    for (uint32_t cp; at < s.n && n > 0; n--) {
        const size_t k = sb_utf8_decode(s.p + at, s.n - at, &cp);
        at += k ? k : 1;
    }
    return (sb_str){s.p, at};
}

static void draw(sb_bar *b, sb_str line)
{
    sb_out o;
    sb_out_init(&o, STDERR_FILENO);
    sb_out_add(&o, "\r", 1);
    sb_out_escaped(&o, fit(line, columns() - 1), false);
    sb_out_add(&o, "\033[K", 3);
    sb_out_flush(&o);
    b->shown = true;
    if (o.why) b->looked_at = false;
}

void sb_bar_show(sb_bar *b, uint64_t done, uint64_t all)
{
    if (!b->looked_at) return;
    const uint64_t now_ns = sb_now_ns();
    if (now_ns - b->begin_ns < FIRST_NS || now_ns - b->last_ns < EVERY_NS) return;
    b->last_ns = now_ns;
    char cells[CELLS + 1], text[LINE_BYTES], how_much[160];
    const uint64_t full = all ? (done < all ? done : all) * CELLS / all : 0;
    for (size_t i = 0; i < CELLS; i++)
        cells[i] = i < full ? '#' : '.';
    cells[CELLS] = 0;
    amount(b, how_much, sizeof how_much, done, all, (double)(now_ns - b->begin_ns) / 1e9);
    (void)snprintf(text, sizeof text, "%s [%s] %s (Ctrl-C stops)", b->what, cells, how_much);
    sb_buf line;
    sb_buf_init(&line, 2 * LINE_BYTES, "progress line");
    if (sb_tr_line(&line, (sb_str){text, strlen(text)}, NULL) == SB_OK)
        draw(b, (sb_str){line.p, line.n});
    sb_buf_deinit(&line);
}

void sb_bar_end(sb_bar *b)
{
    if (b->shown && write(STDERR_FILENO, "\r\033[K", 4) < 0) b->looked_at = false;
    b->shown = false;
}
