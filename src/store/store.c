/* SPDX-License-Identifier: Apache-2.0
 * store.c - where the folder is, what it holds, and which file a name means. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/catalog.h"

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

sb_status sb_store_resolve(const sb_store *s, const char *what, sb_buf *out, sb_error *err)
{
    struct stat st;
    if (sb_store_name_ok(what)) {
        sb_buf path;
        sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
        sb_status r = sb_store_path(s, what, &path, err);
        const bool there = r == SB_OK && stat(path.p, &st) == 0;
        if (there) r = sb_buf_add(out, path.p, path.n, err);
        sb_buf_deinit(&path);
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

/* Adds one entry of the folder if it is a model. */
static sb_status list_add(sb_store_item **items, size_t *n, int dir_fd, const char *file,
                          sb_error *err)
{
    const size_t len = strlen(file), k = sizeof suffix - 1;
    struct stat st;
    if (len <= k || strcmp(file + len - k, suffix) != 0) return SB_OK;
    char *name = sb_strdup_n(file, len - k);
    if (!name) return SB_FAIL(err, SB_NO_MEMORY, "list of models: no memory");
    if (!sb_store_name_ok(name) || fstatat(dir_fd, file, &st, 0) != 0 || !S_ISREG(st.st_mode)) {
        sb_free(name);
        return SB_OK;
    }
    sb_store_item *more = sb_realloc(*items, *n + 1, sizeof **items);
    if (!more) {
        sb_free(name);
        return SB_FAIL(err, SB_NO_MEMORY, "list of models: no memory");
    }
    more[*n] = (sb_store_item){name, (uint64_t)st.st_size, (int64_t)st.st_mtime};
    *items = more;
    *n += 1;
    return SB_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sb_store_item *)a)->name, ((const sb_store_item *)b)->name);
}

sb_status sb_store_list(const sb_store *s, sb_store_item **out, size_t *out_n, sb_error *err)
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
        st = list_add(&items, &n, dirfd(d), e->d_name, err);
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

void sb_store_list_free(sb_store_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sb_free(items[i].name);
    sb_free(items);
}
