/* SPDX-License-Identifier: Apache-2.0
 * machine.c - /proc/meminfo and the control groups from the process's own up to the top. */
#include "base/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

enum { TEXT_BYTES = 8192 };

/* A small file as a C string; false when it cannot be read. */
static bool read_text(const char *root, const char *path, const char *file, char text[TEXT_BYTES])
{
    char full[SB_MAX_PATH_BYTES];
    const int k = snprintf(full, sizeof full, "%s%s%s", root, path, file);
    if (k < 0 || (size_t)k >= sizeof full) return false;
    const int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t n = read(fd, text, TEXT_BYTES - 1);
    (void)close(fd);
    if (n <= 0) return false;
    text[n] = 0;
    return true;
}

/* Leading digits of p as a number; false when there are none or too many. */
static bool read_number(const char *p, uint64_t *out)
{
    const size_t n = strspn(p, "0123456789");
    uint64_t v = 0;
    if (n == 0 || n > 18) return false;
    for (size_t i = 0; i < n; i++)
        v = 10 * v + (uint64_t)(p[i] - '0');
    *out = v;
    return true;
}

/* "KEY:   123 kB" of meminfo, in bytes. */
static bool read_key(const char *text, const char *key, uint64_t *out)
{
    const char *at = strstr(text, key);
    if (!at || (at != text && at[-1] != '\n')) return false;
    at += strlen(key);
    at += strspn(at, " \t");
    return read_number(at, out) && !ckd_mul(out, *out, (uint64_t)1024);
}

/* "key 123" of memory.stat. */
static uint64_t read_stat(const char *text, const char *key)
{
    const size_t k = strlen(key);
    uint64_t v = 0;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, k) == 0 && line[k] == ' ' && read_number(line + k + 1, &v)) return v;
    }
    return 0;
}

/* Bounds *m by one control group's folder. limit, used: its files' names. */
static void apply_group(const char *root, const char *dir, const char *limit, const char *used,
                        sb_machine_memory *m)
{
    char text[TEXT_BYTES];
    uint64_t most = 0, now = 0;
    if (!read_text(root, dir, limit, text) || !read_number(text, &most)) return; /* "max" */
    if (most < m->total_bytes) m->total_bytes = most;
    if (!read_text(root, dir, used, text) || !read_number(text, &now)) return;
    /* Pages of files are given back when memory is short. */
    if (read_text(root, dir, "/memory.stat", text)) {
        const uint64_t cached = read_stat(text, "inactive_file") + read_stat(text, "active_file");
        now = now > cached ? now - cached : 0;
    }
    const uint64_t left = most > now ? most - now : 0;
    if (left < m->available_bytes) m->available_bytes = left;
}

/* Every group from `own` up to the top: each may have a limit. */
static void apply_chain(const char *root, const char *mount, const char *own, bool v2,
                        sb_machine_memory *m)
{
    char dir[SB_MAX_PATH_BYTES];
    const int n = snprintf(dir, sizeof dir, "%s%s", mount, own);
    if (n < 0 || (size_t)n >= sizeof dir || own[0] != '/' || strstr(own, "..")) return;
    const size_t top = strlen(mount);
    for (;;) {
        size_t end = strlen(dir);
        while (end > top && dir[end - 1] == '/')
            end--;
        dir[end] = 0;
        apply_group(root, dir, v2 ? "/memory.max" : "/memory.limit_in_bytes",
                    v2 ? "/memory.current" : "/memory.usage_in_bytes", m);
        if (end <= top) return;
        *strrchr(dir, '/') = 0; /* own begins with one */
    }
}

static void apply_groups(const char *root, sb_machine_memory *m)
{
    char text[TEXT_BYTES];
    if (!read_text(root, "/proc/self/cgroup", "", text)) return;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        const char *v1 = strstr(line, ":memory:");
        if (strncmp(line, "0::", 3) == 0)
            apply_chain(root, "/sys/fs/cgroup", line + 3, true, m);
        else if (v1)
            apply_chain(root, "/sys/fs/cgroup/memory", v1 + 8, false, m);
    }
}

sb_status sb_machine_memory_read(const char *root, sb_machine_memory *out, sb_error *err)
{
    char text[TEXT_BYTES];
    sb_machine_memory m = {0};
    if (!root) root = "";
    if (!read_text(root, "/proc/meminfo", "", text) || !read_key(text, "MemTotal:", &m.total_bytes))
        return SB_FAIL(err, SB_IO, "/proc/meminfo does not say how much memory there is");
    if (!read_key(text, "MemAvailable:", &m.available_bytes)) m.available_bytes = m.total_bytes;
    apply_groups(root, &m);
    *out = m;
    return SB_OK;
}

uint64_t sb_machine_spare_bytes(const sb_machine_memory *m)
{
    return m->available_bytes - m->available_bytes / 10;
}
