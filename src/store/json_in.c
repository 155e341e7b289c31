/* SPDX-License-Identifier: Apache-2.0
 * json_in.c - jansson behind a scan of the nesting: its own limit of 2 048 levels is too much stack
 * to give away. */
#include "store/json_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/internal.h"

/* Deepest nesting of p; brackets inside strings do not count. */
static int depth_of(const char *p, size_t n)
{
    int depth = 0, most = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        const char c = p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > most) most = depth;
        } else if (c == '}' || c == ']') {
            depth--;
        }
        if (most > SB_MAX_JSON_DEPTH) break;
    }
    return most;
}

static sb_status load(json_t **out, sb_str text, size_t flags, const char *what, sb_error *err)
{
    const char *p = text.p;
    const size_t n = text.n;
    json_error_t why;
    if (depth_of(p, n) > SB_MAX_JSON_DEPTH)
        return SB_FAIL(err, SB_CORRUPT, "%s: JSON nested deeper than %d", what, SB_MAX_JSON_DEPTH);
    json_t *j = json_loadb(p, n, JSON_REJECT_DUPLICATES | flags, &why);
    if (!j)
        return SB_FAIL(err, SB_CORRUPT, "%s: not JSON: byte %d: %.80s", what, why.position,
                       why.text);
    *out = j;
    return SB_OK;
}

sb_status sb_json_in(json_t **out, const char *p, size_t n, const char *what, sb_error *err)
{
    return load(out, (sb_str){p, n}, 0, what, err);
}

sb_status sb_json_in_nul(json_t **out, const char *p, size_t n, const char *what, sb_error *err)
{
    return load(out, (sb_str){p, n}, JSON_ALLOW_NUL, what, err);
}

sb_status sb_json_read(json_t **out, const char *path, sb_error *err)
{
    char shown[96];
    sb_map m;
    sb_path_escape(shown, sizeof shown, path);
    SB_TRY(sb_map_open(&m, path, err));
    sb_status s;
    if (m.bytes > SB_MAX_PIN_BYTES)
        s = SB_FAIL(err, SB_LIMIT, "'%s': more than %d bytes", shown, SB_MAX_PIN_BYTES);
    else
        s = sb_json_in(out, m.p ? (const char *)m.p : "", m.bytes, shown, err);
    sb_map_close(&m);
    return s;
}

static sb_status write_text(const char *path, const char *text, sb_error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return sb_folder_fail(err, "cannot write", path, errno);
    sb_status s = sb_write_all(fd, (const unsigned char *)text, strlen(text), path, err);
    if (s == SB_OK && write(fd, "\n", 1) != 1) s = sb_folder_fail(err, "cannot write", path, errno);
    if (s == SB_OK && fsync(fd) != 0) s = sb_folder_fail(err, "cannot flush", path, errno);
    (void)close(fd);
    return s;
}

sb_status sb_json_write(const char *path, json_t *value, sb_error *err)
{
    sb_buf part;
    sb_buf_init(&part, SB_MAX_PATH_BYTES, "path of a pin");
    char *text = value ? json_dumps(value, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    sb_status s = text ? sb_buf_addf(&part, err, "%s.new", path)
                       : SB_FAIL(err, SB_NO_MEMORY, "no memory to write a pin");
    if (s == SB_OK) s = write_text(part.p, text, err);
    if (s == SB_OK && rename(part.p, path) != 0)
        s = sb_folder_fail(err, "cannot move into place", path, errno);
    if (s != SB_OK && part.p) (void)unlink(part.p);
    json_free_t give_back;
    json_get_alloc_funcs(NULL, &give_back);
    if (text) give_back(text);
    json_decref(value);
    sb_buf_deinit(&part);
    return s;
}

void sb_json_copy(const json_t *object, const char *key, char *out, size_t out_bytes)
{
    const json_t *v = json_object_get(object, key);
    const size_t n = json_is_string(v) ? json_string_length(v) : 0;
    out[0] = 0;
    if (n == 0 || n >= out_bytes) return;
    const char *p = json_string_value(v);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f) return;
    memcpy(out, p, n);
    out[n] = 0;
}

uint64_t sb_json_count(const json_t *object, const char *key, uint64_t dflt)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0) return dflt;
    return (uint64_t)json_integer_value(v);
}
