/* SPDX-License-Identifier: Apache-2.0
 * chat_history.c - plain text with two escapes, so that people can read and prune it; libedit's own
 * format would bind the file to the library. */
#include "cli/chat_history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"

static sb_status fail(sb_error *err, const char *path, int why)
{
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, SB_IO, "history '%s': %s", shown, strerror(why));
}

sb_status sb_history_path(sb_buf *out, sb_error *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/') return sb_buf_addf(out, err, "%s/sobre/history", state);
    if (home && home[0] == '/') return sb_buf_addf(out, err, "%s/.local/state/sobre/history", home);
    return SB_FAIL(err, SB_NOT_FOUND, "no history: HOME is not set");
}

/* Makes the folders of path's file; one that is there is left as it is. */
static sb_status make_folders(const char *path, sb_error *err)
{
    char part[SB_MAX_PATH_BYTES];
    const size_t n = strlen(path);
    if (n >= sizeof part) return fail(err, path, ENAMETOOLONG);
    memcpy(part, path, n + 1);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        const int why = mkdir(part, 0700) != 0 ? errno : 0;
        if (why && why != EEXIST) return fail(err, part, why);
        *slash = '/';
    }
    return SB_OK;
}

/* A line of the file in place: escapes undone. False when it holds what nobody typed. */
static bool unescape(char *line)
{
    char *to = line;
    for (const char *p = line; *p; p++) {
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f) return false;
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        p++;
        if (*p != 'n' && *p != '\\') return false;
        *to++ = *p == 'n' ? '\n' : '\\';
    }
    *to = 0;
    const size_t n = (size_t)(to - line);
    return n > 0 && sb_utf8_valid(line, n) == n;
}

static sb_status read_file(const char *path, sb_buf *out, sb_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return errno == ENOENT ? SB_OK : fail(err, path, errno);
    struct stat st;
    sb_status s = SB_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) s = fail(err, path, EINVAL);
    char piece[65536];
    while (s == SB_OK) {
        const ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) s = fail(err, path, errno);
        if (n <= 0) break;
        s = sb_buf_add(out, piece, (size_t)n, err);
    }
    (void)close(fd);
    return s;
}

sb_status sb_history_load(const char *path, void (*each)(void *ctx, const char *entry), void *ctx,
                          sb_error *err)
{
    sb_buf text;
    /* An append may pass the limit by one entry before the older half goes. */
    sb_buf_init(&text, 2 * (size_t)SB_MAX_HISTORY_BYTES, "history");
    sb_status s = read_file(path, &text, err);
    for (char *p = text.p; s == SB_OK && p && *p;) {
        const size_t n = strcspn(p, "\n");
        const bool last = p[n] == 0;
        p[n] = 0;
        char *next = p + n + 1;
        if (unescape(p)) each(ctx, p);
        if (last) break; /* a NUL hides what follows it: nobody typed that */
        p = next;
    }
    sb_buf_deinit(&text);
    return s;
}

static sb_status write_all(int fd, const char *path, sb_str text, sb_error *err)
{
    while (text.n > 0) {
        const ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(err, path, errno);
        text = (sb_str){text.p + n, text.n - (size_t)n};
    }
    return SB_OK;
}

/* Keeps the newer half, from the beginning of an entry on. */
static sb_status shorten(const char *path, sb_error *err)
{
    char beside[SB_MAX_PATH_BYTES + 16];
    const int k = snprintf(beside, sizeof beside, "%s.%ld", path, (long)getpid());
    if (k < 0 || (size_t)k >= sizeof beside) return fail(err, path, ENAMETOOLONG);
    sb_buf text;
    sb_buf_init(&text, 2 * (size_t)SB_MAX_HISTORY_BYTES, "history");
    sb_status s = read_file(path, &text, err);
    if (s == SB_OK && text.n > 0) {
        const char *half = strchr(text.p + text.n / 2, '\n');
        const char *kept = half ? half + 1 : "";
        const int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) s = fail(err, beside, errno);
        if (s == SB_OK) s = write_all(fd, beside, (sb_str){kept, strlen(kept)}, err);
        if (fd >= 0) (void)close(fd);
        if (s == SB_OK && rename(beside, path) != 0) s = fail(err, path, errno);
        if (s != SB_OK && fd >= 0) (void)unlink(beside);
    }
    sb_buf_deinit(&text);
    return s;
}

static sb_status escape(sb_buf *out, sb_str entry, sb_error *err)
{
    for (size_t i = 0; i < entry.n; i++) {
        const char c = entry.p[i];
        const char *text = c == '\n' ? "\\n" : c == '\\' ? "\\\\" : NULL;
        SB_TRY(sb_buf_add(out, text ? text : &c, text ? 2 : 1, err));
    }
    return sb_buf_add(out, "\n", 1, err);
}

sb_status sb_history_append(const char *path, sb_str entry, sb_error *err)
{
    SB_TRY(make_folders(path, err));
    sb_buf line;
    sb_buf_init(&line, (size_t)SB_MAX_HISTORY_BYTES / 4, "history entry");
    sb_status s = escape(&line, entry, err);
    const int fd =
        s == SB_OK
            ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600)
            : -1;
    if (s == SB_OK && fd < 0) s = fail(err, path, errno);
    struct stat st = {0};
    if (s == SB_OK && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) s = fail(err, path, EINVAL);
    if (s == SB_OK) s = write_all(fd, path, (sb_str){line.p, line.n}, err);
    if (fd >= 0) (void)close(fd);
    if (s == SB_OK && (uint64_t)st.st_size + line.n > SB_MAX_HISTORY_BYTES) s = shorten(path, err);
    sb_buf_deinit(&line);
    return s;
}
