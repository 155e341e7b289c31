/* SPDX-License-Identifier: Apache-2.0
 * models.c - names, waiters and holds of the registry.
 *
 * An entry is made when its model is first named and stays: ids, and pointers of whoever holds one,
 * need no further rule. What comes and goes is the model inside it. */
#include "server/models.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "server/models_in.h"
#include "server/threads.h"

/* The stem of a path, as an id: no folder, no ".gguf", no shard, nothing that needs quoting. */
static void stem_of(const char *what, char out[SB_MODEL_ID_BYTES])
{
    const char *slash = strrchr(what, '/');
    const char *name = slash ? slash + 1 : what;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".gguf") == 0) n -= 5;
    if (n > 15 && memcmp(name + n - 15, "-00001-of-", 10) == 0) n -= 15; /* -00001-of-00003 */
    if (n >= SB_MODEL_ID_BYTES - 8) n = SB_MODEL_ID_BYTES - 8;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)name[i];
        out[i] = c > 32 && c < 127 && !strchr("\"\\<>&'`/", c) ? (char)c : '-';
    }
    out[n] = 0;
    if (n == 0) memcpy(out, "model", 6);
}

static sb_held *find_id(const sb_models *m, const char *id, size_t n)
{
    for (size_t i = 0; i < m->n_entries; i++)
        if (strlen(m->entries[i]->id) == n && memcmp(m->entries[i]->id, id, n) == 0)
            return m->entries[i];
    return NULL;
}

static double default_keep(const sb_models *m)
{
    return m->o.idle_unload_s > 0 ? m->o.idle_unload_s : -1;
}

static sb_held *add_entry(sb_models *m, const char *what, bool given)
{
    char stem[SB_MODEL_ID_BYTES];
    if (m->n_entries == SB_MAX_KNOWN_MODELS) return NULL;
    sb_held *e = sb_calloc(1, sizeof *e);
    char *copy = sb_strdup_n(what, strlen(what));
    if (!e || !copy) {
        sb_free(e);
        sb_free(copy);
        return NULL;
    }
    stem_of(what, stem);
    memcpy(e->id, stem, sizeof stem);
    for (int i = 2; i < 100 && find_id(m, e->id, strlen(e->id)); i++)
        (void)snprintf(e->id, sizeof e->id, "%.120s-%d", stem, i);
    e->m = m;
    e->what = copy;
    e->given = given;
    e->keep_s = default_keep(m);
    m->entries[m->n_entries++] = e;
    return e;
}

/* Is there a model of this name in the store? */
static bool in_store(const sb_models *m, const char *name)
{
    sb_buf path;
    if (!m->o.store || !sb_store_name_ok(name)) return false;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    const bool there =
        sb_store_path(m->o.store, name, &path, NULL) == SB_OK && access(path.p, R_OK) == 0;
    sb_buf_deinit(&path);
    return there;
}

/* What a request without a name means: the first of the command line, else one that is in memory,
 * else one of the store. */
static sb_held *first_entry(sb_models *m)
{
    if (m->n_entries && m->entries[0]->given) return m->entries[0];
    for (size_t i = 0; i < m->n_entries; i++)
        if (m->entries[i]->state != SB_MODEL_ABSENT) return m->entries[i];
    sb_store_item *items = NULL;
    size_t n = 0;
    sb_held *e = NULL;
    if (!m->o.store || sb_store_list(m->o.store, &items, &n, NULL) != SB_OK) return NULL;
    for (size_t i = 0; i < n && !e; i++) {
        if (items[i].missing) continue;
        e = find_id(m, items[i].name, strlen(items[i].name));
        if (!e) e = add_entry(m, items[i].name, false);
    }
    sb_store_list_free(items, n);
    return e;
}

sb_held *sb_models_entry(sb_models *m, const char *name, bool strict)
{
    char bare[SB_MODEL_ID_BYTES];
    if (!name || !name[0]) return first_entry(m);
    size_t n = strlen(name);
    sb_held *e = find_id(m, name, n);
    if (!e && n > 7 && strcmp(name + n - 7, ":latest") == 0) e = find_id(m, name, n -= 7);
    if (e) return e;
    if (n < sizeof bare) {
        memcpy(bare, name, n);
        bare[n] = 0;
        if (in_store(m, bare)) return add_entry(m, bare, false);
    }
    return !strict && m->o.n_given == 1 ? m->entries[0] : NULL;
}

/* ---- waiting and holding ---- */

/* Only an entry without a load under way must wake the loader. */
static void append_waiter(sb_held *e, sb_waiter *w)
{
    w->next = NULL;
    w->at = e;
    if (e->last)
        e->last->next = w;
    else
        e->first = w;
    e->last = w;
}

void sb_models_want(sb_models *m, const char *name, bool strict, sb_waiter *w)
{
    sb_error err;
    w->load_ns = 0;
    w->at = NULL;
    (void)pthread_mutex_lock(&m->lock);
    sb_held *e = sb_models_entry(m, name, strict);
    const bool ready = e && e->state == SB_MODEL_LOADED && !e->first;
    const bool ending = atomic_load(&m->ending);
    if (ready) e->n_held++;
    if (e && !ready && !ending) {
        append_waiter(e, w);
        (void)pthread_cond_signal(&m->changed);
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (ready) {
        w->done(w, e, NULL);
    } else if (!e) {
        char shown[72];
        (void)snprintf(shown, sizeof shown, "%.64s", name && sb_store_name_ok(name) ? name : "?");
        (void)(name && name[0] ? SB_FAIL(&err, SB_NOT_FOUND, "model '%s' not found", shown)
                               : SB_FAIL(&err, SB_NOT_FOUND,
                                         "there is no model yet: `sobre pull smollm2-135m`"));
        w->done(w, NULL, &err);
    } else if (ending) {
        (void)SB_FAIL(&err, SB_CANCELLED, "the server is shutting down");
        w->done(w, NULL, &err);
    }
}

bool sb_models_leave(sb_models *m, sb_waiter *w)
{
    bool found = false;
    (void)pthread_mutex_lock(&m->lock);
    sb_held *e = w->at;
    sb_waiter *before = NULL;
    for (sb_waiter *p = e ? e->first : NULL; p; before = p, p = p->next) {
        if (p != w) continue;
        if (before)
            before->next = w->next;
        else
            e->first = w->next;
        if (e->last == w) e->last = before;
        found = true;
        break;
    }
    if (found) w->at = NULL;
    (void)pthread_mutex_unlock(&m->lock);
    return found;
}

void sb_models_tell(sb_held *e, const sb_error *err)
{
    (void)pthread_mutex_lock(&e->m->lock);
    sb_waiter *w = e->first;
    e->first = e->last = NULL;
    for (sb_waiter *p = w; p; p = p->next)
        if (!err) e->n_held++;
    if (w && !err) w->load_ns = e->load_ns;
    for (sb_waiter *p = w; p; p = p->next)
        p->at = NULL;
    (void)pthread_mutex_unlock(&e->m->lock);
    while (w) {
        sb_waiter *next = w->next;
        w->done(w, err ? NULL : e, err);
        w = next;
    }
}

/* A waiter may leave meanwhile, so it is told under the lock: `loading` is quick and calls nothing
 * of the registry. */
void sb_models_tell_part(sb_held *e, double part)
{
    (void)pthread_mutex_lock(&e->m->lock);
    e->part = part;
    for (sb_waiter *w = e->first; w; w = w->next)
        if (w->loading) w->loading(w, part);
    (void)pthread_mutex_unlock(&e->m->lock);
}

const char *sb_held_id(const sb_held *h)
{
    return h->id;
}

sb_chat *sb_held_chat(const sb_held *h)
{
    return h->chat; /* does not change while it is held */
}

void sb_held_release(sb_held *h, double keep_s)
{
    if (!h) return;
    sb_models *m = h->m;
    (void)pthread_mutex_lock(&m->lock);
    h->n_held--;
    h->used_ns = sb_now_ns();
    h->keep_s = isnan(keep_s) ? default_keep(m) : keep_s;
    if (h->n_held == 0) (void)pthread_cond_signal(&m->changed); /* it may go, after a while */
    (void)pthread_mutex_unlock(&m->lock);
}

void sb_models_let_go(sb_models *m, const char *name)
{
    (void)pthread_mutex_lock(&m->lock);
    sb_held *e = sb_models_entry(m, name, true);
    if (e && e->state == SB_MODEL_LOADED && e->n_held == 0) {
        e->keep_s = 0;
        (void)pthread_cond_signal(&m->changed);
    }
    (void)pthread_mutex_unlock(&m->lock);
}

/* ---- making ---- */

static sb_status add_given(sb_models *m, const char *what, sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = sb_store_resolve(m->o.store, what, &path, err);
    if (s == SB_OK && access(path.p, R_OK) != 0)
        s = SB_FAIL(err, SB_NOT_FOUND, "the file of model '%.100s' cannot be read", what);
    if (s == SB_OK && !add_entry(m, what, true))
        s = SB_FAIL(err, SB_NO_MEMORY, "models: out of memory");
    sb_buf_deinit(&path);
    return s;
}

static sb_status fill(sb_models *m, sb_error *err)
{
    for (size_t i = 0; i < m->o.n_given; i++)
        SB_TRY(add_given(m, m->o.given[i], err));
    return SB_OK;
}

sb_status sb_models_new(sb_models **out, const sb_models_opts *o, sb_error *err)
{
    sb_models *m = sb_calloc(1, sizeof *m);
    if (!m) return SB_FAIL(err, SB_NO_MEMORY, "models: out of memory");
    m->o = *o;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    sb_turnstile_init(&m->turnstile);
    sb_rest_init(&m->rest, o->power_pct ? o->power_pct : 100, o->n_threads);
    const sb_status s = fill(m, err);
    if (s == SB_OK)
        *out = m;
    else
        sb_models_free(m);
    return s;
}

sb_status sb_models_start(sb_models *m, sb_error *err)
{
    m->starting = m->o.n_given > 0;
    SB_TRY(sb_thread_start(&m->loader, sb_models_load_loop, m, err));
    m->has_loader = true;
    return SB_OK;
}

void sb_models_stop(sb_models *m)
{
    sb_error err;
    if (!m) return;
    (void)pthread_mutex_lock(&m->lock);
    atomic_store(&m->ending, true);
    (void)pthread_cond_signal(&m->changed);
    (void)pthread_mutex_unlock(&m->lock);
    if (m->has_loader) (void)pthread_join(m->loader, NULL);
    m->has_loader = false;
    (void)SB_FAIL(&err, SB_CANCELLED, "the server is shutting down");
    for (size_t i = 0; i < m->n_entries; i++) {
        sb_models_tell(m->entries[i], &err);
        if (m->entries[i]->chat) sb_chat_stop(m->entries[i]->chat);
    }
}

void sb_models_free(sb_models *m)
{
    if (!m) return;
    for (size_t i = 0; i < m->n_entries; i++) {
        sb_held *e = m->entries[i];
        sb_models_close_chat(e->chat, e->pool);
        sb_free(e->what);
        sb_free(e);
    }
    sb_rest_deinit(&m->rest);
    sb_turnstile_deinit(&m->turnstile);
    (void)pthread_cond_destroy(&m->changed);
    (void)pthread_mutex_destroy(&m->lock);
    sb_free(m);
}

bool sb_models_is_starting(sb_models *m)
{
    (void)pthread_mutex_lock(&m->lock);
    const bool starting = m->starting;
    (void)pthread_mutex_unlock(&m->lock);
    return starting;
}
