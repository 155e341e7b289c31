/* SPDX-License-Identifier: Apache-2.0
 * models_list.c - what lists and pages say of models: the registry's entries and the store's
 * folder.
 *
 * The folder is read anew each time: other processes may pull and remove, and a list of some dozen
 * names costs less than being wrong. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "server/models_in.h"
#include "store/catalog.h"
#include "store/pin.h"

static void take_pin(const sb_models *m, sb_model_info *i)
{
    sb_pin pin;
    sb_catalog_row row;
    if (sb_catalog_find(i->id, &row)) {
        (void)snprintf(i->licence, sizeof i->licence, "%s", row.licence);
        (void)snprintf(i->arch, sizeof i->arch, "%s", row.arch);
        i->n_params = row.params_m * 1000000;
        if (row.sha256) (void)snprintf(i->sha256, sizeof i->sha256, "%s", row.sha256);
    }
    if (!m->o.store || sb_pin_read(m->o.store, i->id, &pin, NULL) != SB_OK) return;
    if (pin.licence[0]) (void)snprintf(i->licence, sizeof i->licence, "%s", pin.licence);
    (void)snprintf(i->source, sizeof i->source, "%.128s", pin.source);
    if (pin.n_files == 1) memcpy(i->sha256, pin.files[0].sha256, sizeof i->sha256);
    sb_pin_deinit(&pin);
}

static void take_file(sb_models *m, const char *what, sb_model_info *i)
{
    sb_buf path;
    struct stat st;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    if (sb_store_resolve(m->o.store, what, &path, NULL) == SB_OK && stat(path.p, &st) == 0) {
        i->file_bytes = (uint64_t)st.st_size;
        i->modified_s = (int64_t)st.st_mtime;
    }
    sb_buf_deinit(&path);
}

static int64_t wall_s(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_REALTIME, &t) == 0 ? (int64_t)t.tv_sec : 0;
}

/* Lock held. */
static void take_entry(const sb_held *e, sb_model_info *i)
{
    memcpy(i->id, e->id, sizeof i->id);
    i->given = e->given;
    i->state = e->state;
    i->load_part = e->part;
    i->n_used = e->n_held;
    i->n_ctx_train = e->n_ctx_train;
    if (e->arch[0]) {
        memcpy(i->arch, e->arch, sizeof i->arch);
        memcpy(i->format, e->format, sizeof i->format);
        i->n_params = e->n_params;
    }
    if (e->state != SB_MODEL_LOADED) return;
    i->memory_bytes = e->planned_bytes;
    i->n_ctx = e->n_ctx;
    i->n_streams = e->n_streams;
    if (e->keep_s < 0 || e->keep_s > 1e9) return;
    const double idle_s = e->n_held ? 0 : (double)(sb_now_ns() - e->used_ns) / 1e9;
    const double left_s = e->keep_s > idle_s ? e->keep_s - idle_s : 0;
    i->expires_s = wall_s() + (int64_t)left_s + 1;
}

static void complete(sb_models *m, const char *what, sb_model_info *i)
{
    sb_model_info known = *i;
    if (!i->file_bytes) take_file(m, what, i);
    take_pin(m, i);
    if (known.arch[0]) { /* what the file said goes before what the catalogue says */
        memcpy(i->arch, known.arch, sizeof i->arch);
        i->n_params = known.n_params;
    }
    if (!i->memory_bytes) i->memory_bytes = sb_catalog_memory(i->file_bytes);
}

bool sb_models_find(sb_models *m, const char *name, sb_model_info *out)
{
    sb_model_info i = {0};
    (void)pthread_mutex_lock(&m->lock);
    const sb_held *e = sb_models_entry(m, name, true);
    if (e) take_entry(e, &i);
    const char *what = e ? e->what : NULL; /* lives as long as the registry */
    (void)pthread_mutex_unlock(&m->lock);
    if (!what) return false;
    complete(m, what, &i);
    *out = i;
    return true;
}

size_t sb_models_list(sb_models *m, sb_model_info *out, size_t cap)
{
    sb_store_item *items = NULL;
    size_t n_items = 0, n = 0;
    (void)pthread_mutex_lock(&m->lock);
    const size_t n_given = m->o.n_given;
    (void)pthread_mutex_unlock(&m->lock);
    for (size_t k = 0; k < n_given; k++, n++) { /* given entries are the first, and stay */
        if (n >= cap) continue;
        out[n] = (sb_model_info){0};
        (void)pthread_mutex_lock(&m->lock);
        take_entry(m->entries[k], &out[n]);
        (void)pthread_mutex_unlock(&m->lock);
        complete(m, m->entries[k]->what, &out[n]);
    }
    if (!m->o.store || sb_store_list(m->o.store, &items, &n_items, NULL) != SB_OK) return n;
    for (size_t k = 0; k < n_items; k++) {
        sb_model_info i = {.file_bytes = items[k].bytes, .modified_s = items[k].mtime_s};
        bool given = false;
        (void)snprintf(i.id, sizeof i.id, "%s", items[k].name);
        (void)pthread_mutex_lock(&m->lock);
        for (size_t j = 0; j < m->n_entries; j++) {
            if (strcmp(m->entries[j]->id, items[k].name) != 0) continue;
            given = m->entries[j]->given;
            take_entry(m->entries[j], &i);
        }
        (void)pthread_mutex_unlock(&m->lock);
        if (given || items[k].missing) continue;
        if (n < cap) {
            complete(m, items[k].name, &i);
            out[n] = i;
        }
        n++;
    }
    sb_store_list_free(items, n_items);
    return n;
}

sb_status sb_models_path(sb_models *m, const char *name, sb_buf *out, sb_error *err)
{
    (void)pthread_mutex_lock(&m->lock);
    const sb_held *e = sb_models_entry(m, name, true);
    const char *what = e ? e->what : NULL;
    (void)pthread_mutex_unlock(&m->lock);
    if (!what) return SB_FAIL(err, SB_NOT_FOUND, "there is no such model");
    return sb_store_resolve(m->o.store, what, out, err);
}

void sb_models_each(sb_models *m, void (*fn)(void *ctx, const char *id, sb_chat *chat), void *ctx)
{
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n_entries; i++)
        if (m->entries[i]->state == SB_MODEL_LOADED)
            fn(ctx, m->entries[i]->id, m->entries[i]->chat);
    (void)pthread_mutex_unlock(&m->lock);
}

/* The folder of the file `what` stands for; registered files lie anywhere. */
static void tell_dir(sb_models *m, const char *what, void (*fn)(void *, const char *), void *ctx)
{
    sb_buf path;
    char real[SB_MAX_PATH_BYTES];
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    if (sb_store_resolve(m->o.store, what, &path, NULL) == SB_OK) {
        char *slash = strrchr(path.p, '/');
        if (slash) *slash = 0;
        fn(ctx, slash ? (path.p[0] ? path.p : "/") : ".");
        if (slash) *slash = '/';
        const ssize_t n = readlink(path.p, real, sizeof real - 1);
        if (n > 0 && real[0] == '/') { /* the file itself, behind one link */
            real[n] = 0;
            slash = strrchr(real, '/');
            *slash = 0;
            fn(ctx, real[0] ? real : "/");
        }
    }
    sb_buf_deinit(&path);
}

void sb_models_dirs(sb_models *m, void (*fn)(void *ctx, const char *dir), void *ctx)
{
    sb_store_item *items = NULL;
    size_t n = 0;
    for (size_t i = 0; i < m->o.n_given; i++)
        tell_dir(m, m->entries[i]->what, fn, ctx);
    if (!m->o.store) return;
    fn(ctx, sb_store_models_dir(m->o.store));
    if (sb_store_list(m->o.store, &items, &n, NULL) != SB_OK) return;
    for (size_t i = 0; i < n; i++)
        if (items[i].registered && !items[i].missing) tell_dir(m, items[i].name, fn, ctx);
    sb_store_list_free(items, n);
}
