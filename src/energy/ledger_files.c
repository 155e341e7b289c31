/* SPDX-License-Identifier: Apache-2.0
 * ledger_files.c - all bytes of a ledger in their order, while somebody may be writing it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "energy/data_folder.h"
#include "energy/ledger_log.h"

enum { PIECE_BYTES = 65536 };

typedef bool (*take_fn)(void *ctx, const char *p, size_t n);

static sb_status read_all(int fd, const char *path, take_fn take, void *ctx, bool *more,
                          sb_error *err)
{
    char *piece = sb_alloc(PIECE_BYTES, 1);
    if (!piece) return SB_FAIL(err, SB_NO_MEMORY, "audit: no memory");
    ssize_t n = 0;
    while (*more && ((n = read(fd, piece, PIECE_BYTES)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) *more = take(ctx, piece, (size_t)n);
    const int why = n < 0 ? errno : 0;
    sb_free(piece);
    return why ? sb_data_fail(err, "cannot read", path, why) : SB_OK;
}

/* The path of the file that is written, from a folder's or its own. */
static sb_status path_of(const char *home, const char *path, char out[SB_MAX_PATH_BYTES],
                         sb_error *err)
{
    struct stat st;
    const bool is_dir = !path || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    const int n = !path    ? snprintf(out, SB_MAX_PATH_BYTES, "%s/ledger/ledger.jsonl", home)
                  : is_dir ? snprintf(out, SB_MAX_PATH_BYTES, "%s/ledger.jsonl", path)
                           : snprintf(out, SB_MAX_PATH_BYTES, "%s", path);
    if (n < 0 || n >= SB_MAX_PATH_BYTES)
        return SB_FAIL(err, SB_LIMIT, "a path over %d bytes", SB_MAX_PATH_BYTES);
    return SB_OK;
}

/* STEM-000001.jsonl of STEM.jsonl; false: it has no such ending. */
static bool older_of(const char *path, int i, char out[SB_MAX_PATH_BYTES])
{
    static const char end[] = ".jsonl";
    const size_t n = strlen(path);
    if (n < sizeof end || strcmp(path + n - (sizeof end - 1), end) != 0) return false;
    const int len =
        snprintf(out, SB_MAX_PATH_BYTES, "%.*s-%06d%s", (int)(n - (sizeof end - 1)), path, i, end);
    return len > 0 && len < SB_MAX_PATH_BYTES;
}

/* Older files, the oldest first, until one is missing; without the one that has just become one and
 * is open as `st`. */
static sb_status read_older(const char *path, const struct stat *st, take_fn take, void *ctx,
                            bool *more, int *out_n, sb_error *err)
{
    char older[SB_MAX_PATH_BYTES];
    for (int i = 1; *more && i <= SB_MAX_LEDGER_FILES && older_of(path, i, older); i++) {
        struct stat is;
        const int fd = open(older, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) return SB_OK;
        if (fd < 0) return sb_data_fail(err, "cannot read", older, errno);
        const bool same =
            st && fstat(fd, &is) == 0 && is.st_ino == st->st_ino && is.st_dev == st->st_dev;
        const sb_status s = same ? SB_OK : read_all(fd, older, take, ctx, more, err);
        (void)close(fd);
        *out_n += 1;
        if (s != SB_OK || same) return s;
    }
    return SB_OK;
}

sb_status sb_ledger_walk(const char *home, const char *path,
                         bool (*take)(void *ctx, const char *p, size_t n), void *ctx, sb_error *err)
{
    char newest[SB_MAX_PATH_BYTES];
    struct stat st;
    bool more = true;
    int n = 0;
    SB_TRY(path_of(home, path, newest, err));
    const int fd = open(newest, O_RDONLY | O_CLOEXEC); /* first: it may be moved any moment */
    const int why = fd < 0 ? errno : 0;
    if (fd < 0 && why != ENOENT) return sb_data_fail(err, "cannot read", newest, why);
    const bool known = fd >= 0 && fstat(fd, &st) == 0;
    sb_status s = known && !S_ISREG(st.st_mode)
                      ? SB_FAIL(err, SB_INVALID, "a ledger is a file, or a folder of them")
                      : read_older(newest, known ? &st : NULL, take, ctx, &more, &n, err);
    if (s == SB_OK && fd >= 0) s = read_all(fd, newest, take, ctx, &more, err);
    if (fd >= 0) (void)close(fd);
    if (s == SB_OK && fd < 0 && n == 0) return sb_data_fail(err, "no ledger at", newest, ENOENT);
    return s;
}

/* ---- the audit of files ---- */

typedef struct auditing {
    sb_ledger_audit *a;
    sb_status s;
    sb_error *err;
} auditing;

static bool take_audit(void *ctx, const char *p, size_t n)
{
    auditing *x = ctx;
    x->s = sb_ledger_audit_add(x->a, p, n, x->err);
    return x->s == SB_OK;
}

sb_status sb_ledger_audit_files(const char *home, const char *path, sb_audit_result *out,
                                sb_error *err)
{
    auditing x = {.err = err};
    SB_TRY(sb_ledger_audit_new(&x.a, err));
    sb_status s = sb_ledger_walk(home, path, take_audit, &x, err);
    if (s == SB_OK) s = x.s;
    if (s == SB_OK) *out = sb_ledger_audit_end(x.a);
    sb_ledger_audit_free(x.a);
    return s;
}

/* ---- one receipt ---- */

typedef struct finding {
    sb_buf needle, line; /* line: a part of one */
    int64_t key;
    json_t *found;
    sb_status s;
    sb_error *err;
    sb_str id;
} finding;

static void look_at(finding *f, const char *p, size_t n)
{
    sb_ledger_line l;
    if (!memmem(p, n, f->needle.p, f->needle.n)) return;
    if (sb_ledger_line_read(&l, p, n, NULL) != SB_OK) return; /* the audit's affair */
    const json_t *id = l.kind == SB_LEDGER_RECEIPT ? json_object_get(l.receipt, "id") : NULL;
    if (id && (f->key < 0 || f->key == l.key) && json_string_length(id) == f->id.n &&
        memcmp(json_string_value(id), f->id.p, f->id.n) == 0) {
        json_decref(f->found);
        f->found = json_incref(json_object_get(l.root, "receipt"));
    }
    sb_ledger_line_deinit(&l);
}

static bool take_line(void *ctx, const char *p, size_t n)
{
    finding *f = ctx;
    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        const size_t here = end ? (size_t)(end - p) : n;
        if (f->line.n || !end) f->s = sb_buf_add(&f->line, p, here, f->err);
        if (f->s != SB_OK) return false;
        if (!end) return true;
        look_at(f, f->line.n ? f->line.p : p, f->line.n ? f->line.n : here);
        sb_buf_clear(&f->line);
        p += here + 1;
        n -= here + 1;
    }
    return true;
}

sb_status sb_ledger_find_receipt(const char *home, sb_str id, int64_t key, json_t **out,
                                 sb_error *err)
{
    finding f = {.key = key, .err = err, .id = id};
    sb_buf_init(&f.needle, SB_MAX_RECEIPT_BYTES, "id of a receipt");
    sb_buf_init(&f.line, SB_MAX_LEDGER_LINE_BYTES, "line of a ledger");
    sb_status s = sb_buf_addf(&f.needle, err, "\"id\":");
    if (s == SB_OK) s = sb_canon_text(&f.needle, id.p, id.n, err);
    if (s == SB_OK) s = sb_ledger_walk(home, NULL, take_line, &f, err);
    if (s == SB_OK) s = f.s;
    if (s == SB_OK && !f.found) s = SB_FAIL(err, SB_NOT_FOUND, "there is no receipt of this id");
    sb_buf_deinit(&f.needle);
    sb_buf_deinit(&f.line);
    if (s == SB_OK)
        *out = f.found;
    else
        json_decref(f.found);
    return s;
}
