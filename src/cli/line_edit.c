/* SPDX-License-Identifier: Apache-2.0
 * line_edit.c - libedit, fed by our own reader of characters.
 *
 * The reader decodes UTF-8 itself, so an odd LANG cannot break it, and hears signals. Terminals
 * bracket what is pasted when asked to; the opening bracket is bound to a function that takes
 * everything up to the closing one and inserts it as text. */
#include "cli/line_edit.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/chat_history.h"
#include "cli/edit_lib.h"
#include "cli/stop.h"

static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l";
static const char paste_end[] = "\033[201~";

struct sb_editor {
    sb_edit_lib lib;
    EditLine *el;
    History *history;
    sb_buf history_path; /* empty: nothing is kept */
    sb_buf pasted;
    sb_input *in;
    const char *prompt;
    locale_t utf8, before;
    int out_fd;
    bool smart;   /* the terminal knows escape sequences */
    bool is_open; /* the terminal is in libedit's modes */
    bool too_long;
    bool ended;      /* the reader has nothing more to give for this line */
    sb_line_end end; /* why */
    int why;         /* errno of the reader, or 0 */
};

static sb_editor *the_editor; /* libedit's callbacks say nothing of whom they call back */

static void tell(const sb_editor *e, const char *text)
{
    if (e->smart && write(e->out_fd, text, strlen(text)) < 0) return; /* a terminal that went */
}

/* Rows between the beginning of the prompt and the cursor, on a window of n_col columns. */
static size_t rows_above(const sb_editor *e, size_t n_col)
{
    const LineInfo *line = e->lib.el_line(e->el);
    const char *p = line->buffer;
    size_t rows = 0, at = strlen(e->prompt);
    while (p < line->cursor) {
        uint32_t cp = 0;
        const size_t n = sb_utf8_decode(p, (size_t)(line->cursor - p), &cp);
        const int width = cp == '\n' ? 0 : wcwidth((wchar_t)cp);
        at = cp == '\n' ? 0 : at + (width > 0 ? (size_t)width : 0);
        rows += cp == '\n' || at >= n_col;
        if (at >= n_col) at -= n_col;
        p += n ? n : 1;
    }
    return rows;
}

/* libedit draws the line anew below what it drew before: that is wiped first, as terminals show it
 * after they have cut it to the new width. */
static void wipe_line(const sb_editor *e)
{
    struct winsize w;
    char up[32];
    if (ioctl(e->out_fd, TIOCGWINSZ, &w) != 0 || w.ws_col == 0) return;
    const size_t rows = rows_above(e, w.ws_col);
    (void)snprintf(up, sizeof up, "\033[%zuA", rows);
    if (rows > 0) tell(e, up);
    tell(e, "\r\033[J");
}

static void redraw(sb_editor *e)
{
    if (e->is_open) wipe_line(e);
    e->lib.el_resize(e->el);
    if (!e->is_open) return;
    (void)e->lib.el_set(e->el, EL_PREP_TERM, 0); /* after a stop the shell has set other modes */
    (void)e->lib.el_set(e->el, EL_PREP_TERM, 1);
    tell(e, paste_on);
    (void)e->lib.el_set(e->el, EL_REFRESH);
}

/* Waits until bytes are held; false when the line is over without them. */
static bool fill(sb_editor *e)
{
    for (;;) {
        switch (sb_input_wait(e->in)) {
        case SB_INPUT_BYTES:
            return true;
        case SB_INPUT_WINDOW:
            redraw(e);
            continue;
        case SB_INPUT_STOP:
            e->end = SB_LINE_BREAK;
            return false;
        case SB_INPUT_ERROR:
            e->why = errno;
            return false;
        case SB_INPUT_END:
            return false;
        }
        sb_unreachable("every event has its case");
    }
}

/* Takes the next code point; U+FFFD for a byte that is none. False as fill(). */
static bool next_char(sb_editor *e, uint32_t *cp)
{
    sb_input *in = e->in;
    if (!fill(e)) return false;
    size_t left = in->n - in->at;
    while (left < 4 && sb_utf8_whole(in->held + in->at, left) == 0) { /* the rest is to come */
        char start[4];
        memcpy(start, in->held + in->at, left);
        in->at = in->n;
        if (!fill(e)) return false;
        const size_t more = in->n - in->at;
        if (more + left > sizeof in->held) break; /* one read filled everything */
        memmove(in->held + left, in->held + in->at, more);
        memcpy(in->held, start, left);
        in->at = 0;
        in->n = left += more;
    }
    const size_t n = sb_utf8_decode(in->held + in->at, left, cp);
    if (n == 0) *cp = 0xfffd;
    in->at += n ? n : 1;
    return true;
}

/* libedit's source of characters. A line that is over ends by Enter, so that libedit leaves the
 * cursor below it, and for a key sequence that swallowed the Enter by an error. */
static int get_char(EditLine *el, wchar_t *out)
{
    (void)el;
    sb_editor *e = the_editor;
    uint32_t cp = 0;
    if (e->ended) return -1;
    if (next_char(e, &cp)) {
        *out = (wchar_t)cp;
        return 1;
    }
    e->ended = true;
    *out = L'\r';
    return 1;
}

static char *get_prompt(EditLine *el)
{
    (void)el;
    return (char *)(uintptr_t)the_editor->prompt; /* libedit does not write to it */
}

/* A pasted character as text: no control character but line breaks and tabs comes in. */
static sb_status keep_pasted(sb_editor *e, uint32_t cp, bool after_return)
{
    if (cp == '\n' && after_return) return SB_OK;
    if (cp == '\r') cp = '\n';
    if (cp != '\n' && cp != '\t' && (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))) return SB_OK;
    char text[4];
    return sb_buf_add(&e->pasted, text, sb_utf8_encode(cp, text), NULL);
}

static unsigned char insert_paste(EditLine *el, int key)
{
    (void)key;
    sb_editor *e = the_editor;
    size_t n_end = 0;
    uint32_t cp = 0, before = 0;
    sb_status s = SB_OK;
    sb_buf_clear(&e->pasted);
    while (n_end < sizeof paste_end - 1 && next_char(e, &cp)) {
        n_end = cp == (unsigned char)paste_end[n_end] ? n_end + 1 : cp == 033 ? 1 : 0;
        if (s == SB_OK) s = keep_pasted(e, cp, before == '\r');
        before = cp;
    }
    if (n_end < sizeof paste_end - 1) return CC_REFRESH; /* over; the reader ends the line */
    if (s == SB_OK && e->pasted.n >= n_end - 1) {
        e->pasted.n -= n_end - 1; /* the closing bracket, whose ESC was not kept */
        e->pasted.p[e->pasted.n] = 0;
        if (e->pasted.n == 0 || e->lib.el_insertstr(el, e->pasted.p) == 0) return CC_REFRESH;
    }
    e->too_long = true;
    return CC_ERROR;
}

static unsigned char insert_break(EditLine *el, int key)
{
    (void)key;
    return the_editor->lib.el_insertstr(el, "\n") == 0 ? CC_REFRESH : CC_ERROR;
}

static void add_entry(void *ctx, const char *entry)
{
    sb_editor *e = ctx;
    HistEvent ev;
    (void)e->lib.history(e->history, &ev, H_ENTER, entry);
}

/* Keys that people know from other editors and libedit leaves unbound. */
static void bind_keys(sb_editor *e)
{
    static const char *const keys[][2] = {
        {"\\e[200~", "sobre-paste"},  {"\\e\\r", "sobre-break"},
        {"\\e\\n", "sobre-break"},    {"\\e[3~", "ed-delete-next-char"},
        {"\\e[1;5C", "em-next-word"}, {"\\e[1;5D", "ed-prev-word"},
        {"^R", "em-inc-search-prev"}, {"^W", "ed-delete-prev-word"},
        {"\\e[H", "ed-move-to-beg"},  {"\\e[F", "ed-move-to-end"},
        {"\\e[1~", "ed-move-to-beg"}, {"\\e[4~", "ed-move-to-end"},
    };
    /* Wide, since libedit never frees the copies that it makes of narrow names. */
    (void)e->lib.el_wset(e->el, EL_ADDFN, L"sobre-paste", L"insert what is pasted", insert_paste);
    (void)e->lib.el_wset(e->el, EL_ADDFN, L"sobre-break", L"insert a line break", insert_break);
    for (size_t i = 0; i < SB_ARRAY_LEN(keys); i++)
        (void)e->lib.el_set(e->el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

static sb_status start_libedit(sb_editor *e, sb_error *err)
{
    FILE *out = e->out_fd == STDOUT_FILENO ? stdout : stderr;
    e->el = e->lib.el_init("sobre", stdin, out, stderr);
    e->history = e->lib.history_init();
    if (!e->el || !e->history) return SB_FAIL(err, SB_NO_MEMORY, "line editing: out of memory");
    HistEvent ev;
    (void)e->lib.history(e->history, &ev, H_SETSIZE, SB_MAX_HISTORY);
    (void)e->lib.history(e->history, &ev, H_SETUNIQUE, 1);
    (void)e->lib.el_set(e->el, EL_HIST, e->lib.history, e->history);
    (void)e->lib.el_set(e->el, EL_SIGNAL, 0);
    (void)e->lib.el_set(e->el, EL_PROMPT, get_prompt);
    (void)e->lib.el_set(e->el, EL_EDITOR, "emacs");
    (void)e->lib.el_set(e->el, EL_GETCFN, get_char);
    (void)e->lib.el_source(e->el, NULL); /* the user's own ~/.editrc, if there is one */
    bind_keys(e);
    return SB_OK;
}

/* Without a place for it the arrow keys know this chat alone. */
static void load_history(sb_editor *e)
{
    sb_buf_init(&e->history_path, SB_MAX_PATH_BYTES, "path of the history");
    if (sb_history_path(&e->history_path, NULL) != SB_OK) sb_buf_clear(&e->history_path);
    if (e->history_path.n && sb_history_load(e->history_path.p, add_entry, e, NULL) != SB_OK)
        sb_buf_clear(&e->history_path);
}

sb_status sb_editor_open(sb_editor **out, sb_input *in, sb_error *err)
{
    const char *term = getenv("TERM");
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 == (locale_t)0)
        return SB_FAIL(err, SB_UNSUPPORTED, "no UTF-8 locale: lines are read as they come");
    sb_editor *e = sb_calloc(1, sizeof *e);
    if (!e) {
        freelocale(utf8);
        return SB_FAIL(err, SB_NO_MEMORY, "line editing: out of memory");
    }
    e->utf8 = utf8;
    e->before = uselocale(utf8); /* of this thread, and of characters alone: no decimal changes */
    sb_buf_init(&e->pasted, SB_MAX_LINE_BYTES, "pasted text");
    e->in = in;
    e->out_fd = isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;
    e->smart = term && *term && strcmp(term, "dumb") != 0;
    sb_status s = sb_edit_lib_load(&e->lib, err);
    if (s == SB_OK) s = start_libedit(e, err);
    if (s != SB_OK) {
        sb_editor_close(e);
        return s;
    }
    load_history(e);
    sb_stop_watch_window();
    *out = e;
    return SB_OK;
}

void sb_editor_close(sb_editor *e)
{
    if (!e) return;
    if (e->el) e->lib.el_end(e->el);
    if (e->history) e->lib.history_end(e->history);
    (void)uselocale(e->before);
    freelocale(e->utf8);
    sb_buf_deinit(&e->history_path);
    sb_buf_deinit(&e->pasted);
    sb_free(e);
}

sb_status sb_editor_read(sb_editor *e, const char *prompt, sb_buf *out, sb_line_end *end,
                         sb_error *err)
{
    int n = 0;
    the_editor = e;
    e->prompt = prompt;
    e->end = SB_LINE_EOF;
    e->ended = e->too_long = false;
    e->why = 0;
    if (sb_stop_window_changed()) e->lib.el_resize(e->el);
    tell(e, paste_on);
    e->is_open = true;
    const char *text = e->lib.el_gets(e->el, &n);
    e->is_open = false;
    tell(e, paste_off);
    if (e->why) return SB_FAIL(err, SB_IO, "standard input: %s", strerror(e->why));
    if (e->too_long)
        return SB_FAIL(err, SB_LIMIT, "pasted text: more than %d bytes", SB_MAX_LINE_BYTES);
    *end = e->ended || !text || n <= 0 ? e->end : SB_LINE_MESSAGE;
    if (*end != SB_LINE_MESSAGE) return SB_OK;
    size_t k = strlen(text);
    if (k > 0 && text[k - 1] == '\n') k--;
    return sb_buf_add(out, text, k, err);
}

void sb_editor_remember(sb_editor *e, const char *message)
{
    if (!*message || *message == ' ') return;
    add_entry(e, message);
    if (e->history_path.n == 0) return;
    /* A full disk must not end the chat: the arrow keys go on knowing this one. */
    if (sb_history_append(e->history_path.p, (sb_str){message, strlen(message)}, NULL) != SB_OK)
        sb_buf_clear(&e->history_path);
}
