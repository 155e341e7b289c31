/* SPDX-License-Identifier: Apache-2.0
 * place.c - the lock, the comparison with the pin, and the one step that shows a model. */
#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "store/internal.h"

enum { PIECE_BYTES = 16 << 20 };

/* A lock file may have been removed (by `rm`) between open and flock: then it guards nothing. */
static bool is_still(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

sb_status sb_lock_take(const char *path, const char *name, int *out_fd, sb_error *err)
{
    for (int i = 0; i < 100; i++) {
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0) return sb_folder_fail(err, "cannot open", path, errno);
        const int why = flock(fd, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
        if (!why && is_still(fd, path)) {
            *out_fd = fd;
            return SB_OK;
        }
        (void)close(fd);
        if (why && why != EWOULDBLOCK) return sb_folder_fail(err, "cannot lock", path, why);
        if (why) break;
    }
    return SB_FAIL(err, SB_BUSY, "another pull of '%s' is under way: wait for it to end", name);
}

sb_status sb_place_begin(sb_place *p, const sb_store *s, const char *name,
                         const sb_pull_hooks *hooks, sb_error *err)
{
    *p = (sb_place){.store = s, .hooks = hooks, .lock_fd = -1, .open = true};
    sb_buf_init(&p->dir, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&p->final, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&p->lock, SB_MAX_PATH_BYTES, "path of a model");
    if (!sb_store_name_ok(name)) {
        char shown[80];
        sb_path_escape(shown, sizeof shown, name);
        return SB_FAIL(err, SB_INVALID,
                       "'%s' is no name for a model: 1 to 64 of a-z 0-9 . _ -, first a letter or "
                       "digit",
                       shown);
    }
    memcpy(p->name, name, strlen(name) + 1);
    SB_TRY(sb_buf_addf(&p->dir, err, "%s", sb_store_models_dir(s)));
    SB_TRY(sb_store_path(s, name, &p->final, err));
    SB_TRY(sb_buf_addf(&p->lock, err, "%s/.%s.lock", p->dir.p, name));
    SB_TRY(sb_folder_make(p->dir.p, err));
    return sb_lock_take(p->lock.p, name, &p->lock_fd, err);
}

void sb_place_end(sb_place *p)
{
    if (!p->open) return;
    sb_buf_deinit(&p->dir);
    sb_buf_deinit(&p->final);
    sb_buf_deinit(&p->lock);
    if (p->lock_fd >= 0) (void)close(p->lock_fd);
    p->open = false;
}

sb_status sb_place_hash(const char *path, size_t i, size_t n, const sb_pull_hooks *hooks,
                        uint64_t *out_bytes, char out_sha256[65], sb_error *err)
{
    sb_map m;
    sb_sha256 *h = NULL;
    SB_TRY(sb_map_open(&m, path, err));
    sb_status s = sb_sha256_new(&h, err);
    for (size_t at = 0; s == SB_OK && at < m.bytes;) {
        const size_t piece = m.bytes - at < PIECE_BYTES ? m.bytes - at : PIECE_BYTES;
        s = sb_sha256_add(h, m.p + at, piece, err);
        sb_map_drop(&m, at, piece);
        at += piece;
        sb_pull_tell(hooks, (sb_pull_progress){SB_PULL_CHECK, i, n, at, m.bytes});
        if (s == SB_OK && sb_pull_cancelled(hooks)) s = SB_FAIL(err, SB_CANCELLED, "interrupted");
    }
    if (s == SB_OK) s = sb_sha256_finish(h, out_sha256, err);
    if (s == SB_OK) *out_bytes = m.bytes;
    sb_sha256_free(h);
    sb_map_close(&m);
    return s;
}

/* Path of file i (from 0) of n of the finished model. */
static sb_status final_path(const sb_place *p, size_t i, size_t n, sb_buf *out, sb_error *err)
{
    sb_buf_clear(out);
    if (n == 1) return sb_buf_addf(out, err, "%s", p->final.p);
    return sb_buf_addf(out, err, "%s/%s.split/%s-%05zu-of-%05zu.gguf", p->dir.p, p->name, p->name,
                       i + 1, n);
}

sb_status sb_place_part(const sb_place *p, size_t i, size_t n, sb_buf *out_part, sb_buf *out_notes,
                        sb_error *err)
{
    sb_buf_clear(out_part);
    sb_buf_clear(out_notes);
    if (n == 1) {
        SB_TRY(sb_buf_addf(out_part, err, "%s/.%s.part", p->dir.p, p->name));
        return sb_buf_addf(out_notes, err, "%s/.%s.notes", p->dir.p, p->name);
    }
    SB_TRY(sb_buf_addf(out_part, err, "%s/.%s.split", p->dir.p, p->name));
    SB_TRY(sb_folder_make(out_part->p, err));
    sb_buf_clear(out_part);
    SB_TRY(sb_buf_addf(out_part, err, "%s/.%s.split/%s-%05zu-of-%05zu.gguf", p->dir.p, p->name,
                       p->name, i + 1, n));
    return sb_buf_addf(out_notes, err, "%s.notes", out_part->p);
}

/* Are the files of the pin there with its sizes and hashes? */
static sb_status check_bytes(const sb_place *p, const sb_pin *pin, bool *out_right, sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = SB_OK;
    *out_right = true;
    for (size_t i = 0; i < pin->n_files && s == SB_OK && *out_right; i++) {
        char hex[65];
        uint64_t bytes = 0;
        struct stat st;
        s = final_path(p, i, pin->n_files, &path, err);
        if (s != SB_OK) break;
        *out_right = stat(path.p, &st) == 0 && (uint64_t)st.st_size == pin->files[i].bytes;
        if (!*out_right) break;
        s = sb_place_hash(path.p, i, pin->n_files, p->hooks, &bytes, hex, err);
        if (s == SB_OK) *out_right = strcmp(hex, pin->files[i].sha256) == 0;
    }
    sb_buf_deinit(&path);
    return s;
}

/* May `want` take the place of what the pin describes without --update? */
static sb_status compare(const sb_pin *pin, const sb_pin *want, sb_error *err)
{
    if (strcmp(pin->source, want->source) != 0)
        return SB_FAIL(err, SB_INVALID,
                       "'%s' is the name of %.90s already: give another with --name, or replace it "
                       "with --update",
                       want->name, pin->source);
    bool same = pin->n_files == want->n_files;
    for (size_t i = 0; i < want->n_files && same; i++) {
        const sb_pin_file *a = &pin->files[i], *b = &want->files[i];
        same = b->bytes == UINT64_MAX || a->bytes == b->bytes;
        if (!same || !b->sha256[0] || strcmp(a->sha256, b->sha256) == 0) continue;
        return SB_FAIL(err, SB_INVALID,
                       "'%s' is pinned to SHA-256 %.12s..., its source has %.12s... now: --update "
                       "takes that instead",
                       want->name, a->sha256, b->sha256);
    }
    if (same) return SB_OK;
    return SB_FAIL(err, SB_INVALID,
                   "'%s' is pinned to other sizes than its source has now: --update takes those "
                   "instead",
                   want->name);
}

sb_status sb_place_check(const sb_place *p, const sb_pin *want, bool update, bool *out_there,
                         sb_error *err)
{
    sb_pin pin;
    struct stat st;
    const bool there = lstat(p->final.p, &st) == 0;
    *out_there = false;
    sb_status s = sb_pin_read(p->store, p->name, &pin, err);
    if (s == SB_NOT_FOUND) {
        if (!there || update) return SB_OK;
        return SB_FAIL(err, SB_INVALID,
                       "'%s' is here already, and nobody knows from where: give another name with "
                       "--name, or replace it with --update",
                       p->name);
    }
    if (s == SB_CORRUPT && update) return SB_OK;
    if (s != SB_OK) return s;
    sb_error why = {0};
    s = compare(&pin, want, &why);
    if (s == SB_OK && there && !pin.registered[0]) {
        s = check_bytes(p, &pin, out_there, err);
    } else if (s != SB_OK && update) {
        s = SB_OK;
    } else if (s != SB_OK && err) {
        *err = why;
    }
    sb_pin_deinit(&pin);
    return s;
}

static sb_status rename_to(const char *from, const char *to, sb_error *err)
{
    return rename(from, to) == 0 ? SB_OK : sb_folder_fail(err, "cannot move into place", to, errno);
}

/* NAME.gguf becomes a link to target, in one step. */
static sb_status link_to(const sb_place *p, const char *target, sb_error *err)
{
    sb_buf link;
    sb_buf_init(&link, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = sb_buf_addf(&link, err, "%s/.%s.link", p->dir.p, p->name);
    if (s == SB_OK) {
        (void)unlink(link.p);
        s = symlink(target, link.p) == 0 ? rename_to(link.p, p->final.p, err)
                                         : sb_folder_fail(err, "cannot make", link.p, errno);
    }
    sb_buf_deinit(&link);
    return s;
}

/* HOME/models/[.]NAME.KIND */
static sb_status beside(const sb_place *p, const char *dot, const char *kind, sb_buf *out,
                        sb_error *err)
{
    sb_buf_init(out, SB_MAX_PATH_BYTES, "path of a model");
    return sb_buf_addf(out, err, "%s/%s%s.%s", p->dir.p, dot, p->name, kind);
}

/* The folder of shards takes its name; a former one goes first. */
static sb_status show_split(const sb_place *p, size_t n, sb_error *err)
{
    sb_buf coming, split, target;
    sb_buf_init(&target, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&split, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = beside(p, ".", "split", &coming, err);
    if (s == SB_OK) s = beside(p, "", "split", &split, err);
    if (s == SB_OK) s = sb_folder_sync(coming.p, err);
    if (s == SB_OK) s = sb_folder_remove(split.p, err);
    if (s == SB_OK) s = rename_to(coming.p, split.p, err);
    if (s == SB_OK)
        s = sb_buf_addf(&target, err, "%s.split/%s-00001-of-%05zu.gguf", p->name, p->name, n);
    if (s == SB_OK) s = link_to(p, target.p, err);
    sb_buf_deinit(&coming);
    sb_buf_deinit(&split);
    sb_buf_deinit(&target);
    return s;
}

static void forget(const sb_place *p, const char *dot, const char *kind)
{
    sb_buf path;
    if (beside(p, dot, kind, &path, NULL) == SB_OK) (void)sb_folder_remove(path.p, NULL);
    sb_buf_deinit(&path);
}

sb_status sb_place_finish(const sb_place *p, const sb_pin *pin, sb_error *err)
{
    sb_buf part, notes;
    sb_buf_init(&part, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&notes, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = sb_pin_write(p->store, pin, err);
    for (size_t i = 0; i < pin->n_files && s == SB_OK; i++) {
        s = sb_place_part(p, i, pin->n_files, &part, &notes, err);
        if (s == SB_OK) (void)unlink(notes.p);
    }
    if (s == SB_OK)
        s = pin->n_files == 1 ? rename_to(part.p, p->final.p, err)
                              : show_split(p, pin->n_files, err);
    if (s == SB_OK && pin->n_files == 1) forget(p, "", "split");
    if (s == SB_OK) s = sb_folder_sync(p->dir.p, err);
    sb_buf_deinit(&part);
    sb_buf_deinit(&notes);
    return s;
}

sb_status sb_place_link(const sb_place *p, const char *target, const sb_pin *pin, sb_error *err)
{
    SB_TRY(sb_pin_write(p->store, pin, err));
    SB_TRY(link_to(p, target, err));
    forget(p, "", "split");
    return sb_folder_sync(p->dir.p, err);
}

sb_status sb_place_remove(const sb_place *p, bool partial, size_t *out_n, sb_error *err)
{
    static const struct {
        const char *dot, *kind;
        bool whole; /* part of the finished model; the name first, so that nobody opens the rest */
    } things[] = {{"", "gguf", true},    {"", "split", true},     {"", "pin", true},
                  {".", "part", false},  {".", "notes", false},   {".", "split", false},
                  {".", "fetch", false}, {".", "scratch", false}, {".", "log", false},
                  {".", "link", false},  {"", "pin.new", false},  {".", "notes.new", false}};
    size_t n = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(things); i++) {
        if (partial && things[i].whole) continue;
        sb_buf path;
        struct stat st;
        sb_status s = beside(p, things[i].dot, things[i].kind, &path, err);
        const bool there = s == SB_OK && lstat(path.p, &st) == 0;
        if (there) s = sb_folder_remove(path.p, err);
        sb_buf_deinit(&path);
        SB_TRY(s);
        n += there;
    }
    (void)unlink(p->lock.p); /* still held: whoever waits for it looks again */
    *out_n = n;
    return SB_OK;
}
