/* SPDX-License-Identifier: Apache-2.0
 * journal.c - lines put together on the stack and written at once: O_APPEND keeps them whole
 * between threads and processes. */
#include "server/journal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

struct sb_journal {
    pthread_mutex_t lock; /* of fd and n_lost */
    char *path;           /* NULL: standard error */
    bool on;              /* does not change */
    int fd;               /* -1: nowhere */
    uint64_t n_lost;
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

sb_status sb_journal_open(sb_journal **out, const char *path, sb_error *err)
{
    sb_journal *j = sb_calloc(1, sizeof *j);
    if (!j) return SB_FAIL(err, SB_NO_MEMORY, "log: out of memory");
    (void)pthread_mutex_init(&j->lock, NULL);
    j->fd = -1;
    if (path && strcmp(path, "-") == 0) {
        j->fd = STDERR_FILENO;
    } else if (path) {
        j->path = sb_strdup_n(path, strlen(path));
        j->fd = j->path ? open_file(path) : -1;
        if (j->fd < 0) {
            sb_journal_close(j);
            return SB_FAIL(err, SB_IO, "--log %.150s: the file cannot be written", path);
        }
    }
    j->on = j->fd >= 0;
    *out = j;
    return SB_OK;
}

void sb_journal_close(sb_journal *j)
{
    if (!j) return;
    if (j->path && j->fd >= 0) (void)close(j->fd);
    sb_free(j->path);
    (void)pthread_mutex_destroy(&j->lock);
    sb_free(j);
}

void sb_journal_reopen(sb_journal *j)
{
    if (!j || !j->path) return;
    const int fd = open_file(j->path);
    if (fd < 0) return; /* the old one is better than none */
    (void)pthread_mutex_lock(&j->lock);
    const int old = j->fd;
    j->fd = fd;
    (void)pthread_mutex_unlock(&j->lock);
    if (old >= 0) (void)close(old);
}

bool sb_journal_is_on(const sb_journal *j)
{
    return j && j->on;
}

static void add(sb_journal_line *l, const char *p, size_t n)
{
    const size_t room = sizeof l->text - 2 - l->n; /* the line's end has its place */
    if (n > room) n = room;
    memcpy(l->text + l->n, p, n);
    l->n += n;
}

static void add_key(sb_journal_line *l, const char *key)
{
    if (l->n) add(l, " ", 1);
    add(l, key, strlen(key));
    add(l, "=", 1);
}

void sb_journal_begin(sb_journal_line *l, const char *event)
{
    struct timespec t = {0};
    struct tm tm;
    char text[40] = "";
    l->n = 0;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (gmtime_r(&t.tv_sec, &tm)) (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    const size_t n = strlen(text);
    (void)snprintf(text + n, sizeof text - n, ".%03dZ", (int)(t.tv_nsec / 1000000));
    add_key(l, "ts");
    add(l, text, strlen(text));
    add_key(l, "event");
    add(l, event, strlen(event));
}

static bool is_plain(unsigned char c)
{
    return c > 32 && c < 127 && c != '"' && c != '\\' && c != '=';
}

void sb_journal_text(sb_journal_line *l, const char *key, sb_str value)
{
    bool plain = value.n > 0;
    for (size_t i = 0; i < value.n; i++)
        plain &= is_plain((unsigned char)value.p[i]);
    add_key(l, key);
    if (plain) {
        add(l, value.p, value.n);
        return;
    }
    add(l, "\"", 1);
    for (size_t i = 0; i < value.n; i++) {
        const unsigned char c = (unsigned char)value.p[i];
        char hex[8];
        const int n = is_plain(c) || c == ' ' || c == '=' ? snprintf(hex, sizeof hex, "%c", c)
                                                          : snprintf(hex, sizeof hex, "\\x%02x", c);
        add(l, hex, (size_t)n);
    }
    add(l, "\"", 1);
}

void sb_journal_int(sb_journal_line *l, const char *key, int64_t value)
{
    char text[24];
    const int n = snprintf(text, sizeof text, "%lld", (long long)value);
    add_key(l, key);
    add(l, text, (size_t)n);
}

void sb_journal_ms(sb_journal_line *l, const char *key, uint64_t ns)
{
    char text[32];
    const unsigned long long us = ns / 1000;
    const int n = snprintf(text, sizeof text, "%llu.%03llu", us / 1000, us % 1000);
    add_key(l, key);
    add(l, text, (size_t)n);
}

void sb_journal_end(sb_journal *j, sb_journal_line *l)
{
    if (!j) return;
    (void)pthread_mutex_lock(&j->lock);
    if (j->fd >= 0) {
        if (j->n_lost) sb_journal_int(l, "lost", (int64_t)j->n_lost);
        l->text[l->n] = '\n';
        if (write(j->fd, l->text, l->n + 1) == (ssize_t)(l->n + 1))
            j->n_lost = 0;
        else
            j->n_lost++;
    }
    (void)pthread_mutex_unlock(&j->lock);
}
