/* SPDX-License-Identifier: Apache-2.0
 * calibration.c - the file of a calibration: one object of numbers and texts, a member a line.
 *
 * This room knows no JSON library, and the file is ours: what is read is the exact shape that is
 * written (blanks between tokens are free), so that any JSON reader reads it, too. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "energy/estimate.h"
#include "energy/internal.h"

static size_t add(char *out, size_t room, size_t at, const char *key, const char *mark,
                  const char *value)
{
    const int n = at < room
                      ? snprintf(out + at, room - at, "  \"%s\": %s%s%s,\n", key, mark, value, mark)
                      : 0;
    return at + (n > 0 ? (size_t)n : 0);
}

void sb_calibration_format(const sb_calibration *c, char *out, size_t out_bytes)
{
    char number[32];
    size_t at = (size_t)snprintf(out, out_bytes, "{\n");
#define PUT_text(key, member) at = add(out, out_bytes, at, key, "\"", c->member);
#define PUT_number(key, member)                                                                    \
    (void)snprintf(number, sizeof number, "%lld", (long long)c->member);                           \
    at = add(out, out_bytes, at, key, "", number);
#define X(key, kind, member, lo, hi) PUT_##kind(key, member)
#include "energy/calibration.def"
#undef X
    if (at < out_bytes) (void)snprintf(out + at, out_bytes - at, "  \"version\": 1\n}\n");
}

/* What follows "key": in the text, or NULL. */
static const char *find_value(const char *text, const char *key)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *p = strstr(text, quoted);
    if (!p) return NULL;
    p += strlen(quoted);
    p += strspn(p, " \t\r\n");
    if (*p++ != ':') return NULL;
    return p + strspn(p, " \t\r\n");
}

static sb_status take_number(const char *text, const char *key, int64_t lo, int64_t hi,
                             int64_t *out, sb_error *err)
{
    uint64_t v = 0;
    const char *p = find_value(text, key);
    if (!p) return SB_FAIL(err, SB_CORRUPT, "calibration: '%s' is missing", key);
    const size_t n = strspn(p, "0123456789");
    if (!p[n] || !strchr(" \t\r\n,}", p[n]) || !sb_energy_parse_u64(p, p + n, &v) ||
        v > (uint64_t)hi || (int64_t)v < lo)
        return SB_FAIL(err, SB_CORRUPT, "calibration: '%s' must be a number from %lld to %lld", key,
                       (long long)lo, (long long)hi);
    *out = (int64_t)v;
    return SB_OK;
}

static sb_status take_text(const char *text, const char *key, char *out, size_t room, sb_error *err)
{
    const char *p = find_value(text, key);
    if (!p) return SB_FAIL(err, SB_CORRUPT, "calibration: '%s' is missing", key);
    const size_t n = *p == '"' ? strcspn(p + 1, "\"\\\n") : 0;
    if (n == 0 || n >= room || p[1 + n] != '"')
        return SB_FAIL(err, SB_CORRUPT, "calibration: '%s' must be a text of 1 to %zu bytes", key,
                       room - 1);
    memcpy(out, p + 1, n);
    out[n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20 || (unsigned char)out[i] > 0x7e) out[i] = '?';
    return SB_OK;
}

sb_status sb_calibration_parse(sb_calibration *out, const char *text, sb_error *err)
{
    sb_calibration c = {0};
    int64_t v = 0;
    SB_TRY(take_number(text, "version", 1, 1, &v, err));
#define TAKE_text(key, member, lo, hi) SB_TRY(take_text(text, key, c.member, sizeof c.member, err));
#define TAKE_number(key, member, lo, hi)                                                           \
    SB_TRY(take_number(text, key, lo, hi, &v, err));                                               \
    c.member = (__typeof__(c.member))v;
#define X(key, kind, member, lo, hi) TAKE_##kind(key, member, lo, hi)
#include "energy/calibration.def"
#undef X
    *out = c;
    return SB_OK;
}

bool sb_calibration_load(const char *path, const sb_cpu_id *cpu, sb_calibration *out)
{
    char text[SB_CALIBRATION_BYTES];
    sb_calibration c;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int n = fd >= 0 ? sb_energy_pread(fd, text, sizeof text) : -1;
    if (fd >= 0) (void)close(fd);
    if (n <= 0 || sb_calibration_parse(&c, text, NULL) != SB_OK) return false;
    if (strcmp(c.cpu.vendor, cpu->vendor) != 0 || c.cpu.family != cpu->family ||
        c.cpu.model != cpu->model)
        return false;
    if (!sb_wall_fit_holds(&c.wall)) c.wall = (sb_wall_fit){0};
    *out = c;
    return true;
}

sb_status sb_calibration_save(const sb_calibration *c, const char *path, sb_error *err)
{
    char text[SB_CALIBRATION_BYTES], shown[128], beside[SB_ENERGY_PATH_BYTES];
    sb_path_escape(shown, sizeof shown, path);
    sb_calibration_format(c, text, sizeof text);
    const int len = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    if (len <= 0 || (size_t)len >= sizeof beside)
        return SB_FAIL(err, SB_INVALID, "'%s': the path is too long", shown);
    const int fd = mkostemp(beside, O_CLOEXEC);
    const size_t n = strlen(text);
    const bool written =
        fd >= 0 && write(fd, text, n) == (ssize_t)n && fchmod(fd, 0644) == 0 && fsync(fd) == 0;
    if (fd >= 0) (void)close(fd);
    if (written && rename(beside, path) == 0) return SB_OK;
    if (fd >= 0) (void)unlink(beside);
    return SB_FAIL(err, SB_IO, "'%s': cannot be written", shown);
}
