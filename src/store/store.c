/* SPDX-License-Identifier: Apache-2.0
 * store.c - where the folder is, what it holds, and which file a name means. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/catalog.h"
#include "store/internal.h"
#include "store/source.h"

struct sb_store {
    sb_buf home, models; /* C strings */
};

enum { NAME_BYTES = 64, SHOWN_BYTES = 128 };
static const char suffix[] = ".gguf";

bool sb_store_name_ok(const char *name)
{
    const size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES || name[0] == '.' || name[0] == '_' || name[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++) {
        const char c = name[i];
        const bool ok =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!ok) return false;
    }
    const size_t k = sizeof suffix - 1;
    return n <= k || strcmp(name + n - k, suffix) != 0;
}

/* The home folder of the user when HOME is unset or empty. */
static sb_status home_of_user(sb_buf *out, sb_error *err)
{
    const char *home = getenv("HOME");
    if (home && home[0]) return sb_buf_addf(out, err, "%s/.local/share/sobre", home);
    char space[4096];
    struct passwd pw, *found = NULL;
    if (getpwuid_r(getuid(), &pw, space, sizeof space, &found) != 0 || !found || !pw.pw_dir[0])
        return SB_FAIL(err, SB_NOT_FOUND,
                       "no home folder: set SOBRE_HOME to the folder for models");
    return sb_buf_addf(out, err, "%s/.local/share/sobre", pw.pw_dir);
}

static sb_status find_home(sb_buf *out, const char *home, sb_error *err)
{
    if (!home) home = getenv("SOBRE_HOME");
    if (home && home[0]) return sb_buf_addf(out, err, "%s", home);
    const char *xdg = getenv("XDG_DATA_HOME");
    if (xdg && xdg[0] == '/')
        return sb_buf_addf(out, err, "%s/sobre", xdg); /* the rule: absolute */
    return home_of_user(out, err);
}

sb_status sb_store_open(sb_store **out, const char *home, sb_error *err)
{
    sb_store *s = sb_calloc(1, sizeof *s);
    if (!s) return SB_FAIL(err, SB_NO_MEMORY, "model store: no memory");
    sb_buf_init(&s->home, SB_MAX_PATH_BYTES, "path of the model store");
    sb_buf_init(&s->models, SB_MAX_PATH_BYTES, "path of the model store");
    sb_status st = find_home(&s->home, home, err);
    if (st == SB_OK) st = sb_buf_addf(&s->models, err, "%s/models", s->home.p);
    if (st != SB_OK) {
        sb_store_close(s);
        return st;
    }
    *out = s;
    return SB_OK;
}

void sb_store_close(sb_store *s)
{
    if (!s) return;
    sb_buf_deinit(&s->home);
    sb_buf_deinit(&s->models);
    sb_free(s);
}

const char *sb_store_home(const sb_store *s)
{
    return s->home.p;
}

const char *sb_store_models_dir(const sb_store *s)
{
    return s->models.p;
}

sb_status sb_store_path(const sb_store *s, const char *name, sb_buf *out, sb_error *err)
{
    return sb_buf_addf(out, err, "%s/%s%s", s->models.p, name, suffix);
}

/* The error for a name or path that leads nowhere, with the next step. */
static sb_status not_there(const char *what, sb_error *err)
{
    char shown[SHOWN_BYTES];
    sb_path_escape(shown, sizeof shown, what);
    sb_catalog_row row;
    if (sb_catalog_find(what, &row))
        return SB_FAIL(err, SB_NOT_FOUND, "model '%s' is not here yet: run `sobre pull %s`", shown,
                       shown);
    return SB_FAIL(err, SB_NOT_FOUND,
                   "no model and no file '%s': `sobre list` shows the models that can be used",
                   shown);
}

/* Where the link at path leads, a relative one from the folder of models; SB_NOT_FOUND when it is
 * no link. */
static sb_status read_link(const sb_store *s, const char *path, sb_buf *out, sb_error *err)
{
    char target[SB_MAX_PATH_BYTES + 1];
    const ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0) return SB_NOT_FOUND;
    target[n] = 0;
    sb_buf_clear(out);
    return target[0] == '/' ? sb_buf_addf(out, err, "%s", target)
                            : sb_buf_addf(out, err, "%s/%s", s->models.p, target);
}

/* The file of the model `name`; *out_there false when there is none of that name. */
static sb_status find_model(const sb_store *s, const char *name, sb_buf *out, bool *out_there,
                            sb_error *err)
{
    struct stat st;
    sb_buf path, target;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&target, SB_MAX_PATH_BYTES, "path of a model");
    sb_status r = sb_store_path(s, name, &path, err);
    *out_there = r == SB_OK && lstat(path.p, &st) == 0;
    if (*out_there) {
        r = read_link(s, path.p, &target, err);
        const bool linked = r == SB_OK;
        if (r == SB_NOT_FOUND) r = SB_OK;
        if (r == SB_OK && linked && stat(target.p, &st) != 0) {
            char shown[SHOWN_BYTES];
            sb_path_escape(shown, sizeof shown, target.p);
            r = SB_FAIL(err, SB_NOT_FOUND,
                        "model '%s' was registered from '%s', which is no longer there: put it "
                        "back, pull it again, or `sobre rm %s`",
                        name, shown, name);
        }
        if (r == SB_OK) r = sb_buf_addf(out, err, "%s", linked ? target.p : path.p);
    }
    sb_buf_deinit(&path);
    sb_buf_deinit(&target);
    return r;
}

sb_status sb_store_resolve(const sb_store *s, const char *what, sb_buf *out, sb_error *err)
{
    struct stat st;
    if (sb_store_name_ok(what)) {
        bool there = false;
        const sb_status r = find_model(s, what, out, &there, err);
        if (there || r != SB_OK) return r;
    }
    if (stat(what, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return not_there(what, err);
        char shown[SHOWN_BYTES];
        const int why = errno;
        sb_path_escape(shown, sizeof shown, what);
        return SB_FAIL(err, SB_IO, "'%s': %s", shown, strerror(why));
    }
    return sb_buf_add(out, what, strlen(what), err);
}

/* Bytes of all shards of the set whose first is at path (its own when it is no set). */
static uint64_t bytes_of_set(char *path, uint64_t first_bytes)
{
    int no = 1, count = 1;
    const size_t n = strlen(path);
    uint64_t sum = first_bytes;
    if (!sb_source_shard(path, n, &no, &count)) return sum;
    for (int i = 2; i <= count && i <= SB_MAX_SHARDS; i++) {
        struct stat st;
        char number[8];
        (void)snprintf(number, sizeof number, "%05d", i % 100000);
        memcpy(path + n - 19, number, 5); /* behind "-", before "-of-" */
        if (stat(path, &st) == 0 && st.st_size > 0) sum += (uint64_t)st.st_size;
    }
    return sum;
}

/* As measure(), of a link: where it leads, and how much lies there. */
static sb_status measure_link(const sb_store *s, sb_store_item *item, bool *out_model,
                              sb_error *err)
{
    struct stat st;
    sb_buf path, target;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&target, SB_MAX_PATH_BYTES, "path of a model");
    sb_status r = sb_store_path(s, item->name, &path, err);
    if (r == SB_OK) r = read_link(s, path.p, &target, err);
    if (r == SB_OK) {
        const size_t n = s->models.n;
        item->registered = strncmp(target.p, s->models.p, n) != 0 || target.p[n] != '/';
        item->missing = stat(target.p, &st) != 0;
        item->bytes = item->missing || st.st_size <= 0 ? 0 : (uint64_t)st.st_size;
        if (!item->missing) item->bytes = bytes_of_set(target.p, item->bytes);
        *out_model = item->missing || S_ISREG(st.st_mode);
    }
    sb_buf_deinit(&path);
    sb_buf_deinit(&target);
    return r == SB_NOT_FOUND ? SB_OK : r; /* it went away meanwhile: no model */
}

/* Fills what is known of models/FILE; *out_model: it is one. */
static sb_status measure(const sb_store *s, int dir_fd, const char *file, sb_store_item *item,
                         bool *out_model, sb_error *err)
{
    struct stat st;
    *out_model = false;
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0) return SB_OK;
    item->mtime_s = (int64_t)st.st_mtime;
    item->bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    *out_model = S_ISREG(st.st_mode);
    return S_ISLNK(st.st_mode) ? measure_link(s, item, out_model, err) : SB_OK;
}

/* Takes item.name over. */
static sb_status append(sb_store_item **items, size_t *n, sb_store_item item, sb_error *err)
{
    sb_store_item *more = sb_realloc(*items, *n + 1, sizeof **items);
    if (!more) {
        sb_free(item.name);
        return SB_FAIL(err, SB_NO_MEMORY, "list of models: no memory");
    }
    more[*n] = item;
    *items = more;
    *n += 1;
    return SB_OK;
}

/* Adds one entry of the folder if it is a model. */
static sb_status list_add(const sb_store *s, sb_store_item **items, size_t *n, int dir_fd,
                          const char *file, sb_error *err)
{
    const size_t len = strlen(file), k = sizeof suffix - 1;
    if (len <= k || strcmp(file + len - k, suffix) != 0) return SB_OK;
    sb_store_item item = {.name = sb_strdup_n(file, len - k)};
    if (!item.name) return SB_FAIL(err, SB_NO_MEMORY, "list of models: no memory");
    bool model = false;
    const sb_status st =
        sb_store_name_ok(item.name) ? measure(s, dir_fd, file, &item, &model, err) : SB_OK;
    if (model && st == SB_OK) return append(items, n, item, err);
    sb_free(item.name);
    return st;
}

/* Adds one entry of the folder if it is a pull that has not ended. */
static sb_status list_add_partial(const sb_store *s, sb_store_item **items, size_t *n, int dir_fd,
                                  const char *file, sb_error *err)
{
    static const char *const kinds[] = {".part", ".split"};
    const size_t len = strlen(file);
    (void)dir_fd;
    for (size_t i = 0; i < SB_ARRAY_LEN(kinds); i++) {
        const size_t k = strlen(kinds[i]);
        if (file[0] != '.' || len <= k + 1 || strcmp(file + len - k, kinds[i]) != 0) continue;
        sb_store_item item = {.name = sb_strdup_n(file + 1, len - k - 1)};
        if (!item.name) return SB_FAIL(err, SB_NO_MEMORY, "list of models: no memory");
        sb_buf path;
        sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
        if (sb_buf_addf(&path, NULL, "%s/%s", s->models.p, file) == SB_OK)
            item.bytes = sb_folder_bytes(path.p);
        sb_buf_deinit(&path);
        if (sb_store_name_ok(item.name) && item.bytes > 0) return append(items, n, item, err);
        sb_free(item.name);
    }
    return SB_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sb_store_item *)a)->name, ((const sb_store_item *)b)->name);
}

typedef sb_status (*add_fn)(const sb_store *s, sb_store_item **items, size_t *n, int dir_fd,
                            const char *file, sb_error *err);

static sb_status list_by(const sb_store *s, add_fn add, sb_store_item **out, size_t *out_n,
                         sb_error *err)
{
    sb_store_item *items = NULL;
    size_t n = 0;
    sb_status st = SB_OK;
    DIR *d = opendir(s->models.p);
    if (!d && errno != ENOENT) {
        const int why = errno;
        char shown[SHOWN_BYTES];
        sb_path_escape(shown, sizeof shown, s->models.p);
        return SB_FAIL(err, SB_IO, "'%s': %s", shown, strerror(why));
    }
    while (d && st == SB_OK) {
        const struct dirent *e = readdir(d);
        if (!e) break;
        st = add(s, &items, &n, dirfd(d), e->d_name, err);
    }
    if (d) (void)closedir(d);
    if (st != SB_OK) {
        sb_store_list_free(items, n);
        return st;
    }
    if (n > 1) qsort(items, n, sizeof *items, by_name);
    *out = items;
    *out_n = n;
    return SB_OK;
}

sb_status sb_store_list(const sb_store *s, sb_store_item **out, size_t *out_n, sb_error *err)
{
    return list_by(s, list_add, out, out_n, err);
}

sb_status sb_store_list_partial(const sb_store *s, sb_store_item **out, size_t *out_n,
                                sb_error *err)
{
    return list_by(s, list_add_partial, out, out_n, err);
}

void sb_store_list_free(sb_store_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sb_free(items[i].name);
    sb_free(items);
}
