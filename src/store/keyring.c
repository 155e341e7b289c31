/* SPDX-License-Identifier: Apache-2.0
 * keyring.c - the keys in memory, renewed when the data base says that somebody changed it.
 *
 * PRAGMA data_version moves when another connection commits, the handle's own counter when this
 * process changes keys. A lookup asks at most every SB_KEYRING_STALE_MS, and not while a write is
 * under way unless it has waited for a second: requests do not stand behind a flush. */
#include "store/keyring.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "store/dynlib.h"
#include "store/keys.h"

enum { MOST_STALE_MS = 1000, HOUR_MS = 3600000 };

typedef struct entry {
    char sha256[SB_SHA256_HEX_BYTES];
    sb_key key;
} entry;

struct sb_keyring {
    sb_db *db;
    sb_crypto_lib lib;
    pthread_mutex_t mutex; /* guards all below */
    bool have_mutex;
    sb_sha256 *hash;
    entry *v;
    size_t n;
    uint64_t asked_ns; /* when the data base was last asked; 0 = never */
    int64_t version;   /* what it said */
    uint64_t n_keys;
};

typedef struct filling {
    entry *v;
    size_t n;
} filling;

static sb_status fill(void *ctx, const sb_key *k, const char *sha256, sb_error *err)
{
    filling *f = ctx;
    if (f->n == SB_MAX_KEYS) return SB_FAIL(err, SB_INVALID, "more than %d keys", SB_MAX_KEYS);
    entry *e = &f->v[f->n++];
    memcpy(e->sha256, sha256, sizeof e->sha256);
    e->key = *k;
    return SB_OK;
}

/* In a turn of the data base. */
static sb_status renew(sb_keyring *r, sb_error *err)
{
    int64_t version = 0;
    const uint64_t n_keys = atomic_load(&r->db->n_keys);
    SB_TRY(sb_sql_one(&version, r->db, "PRAGMA data_version", NULL, 0, err));
    if (r->asked_ns && version == r->version && n_keys == r->n_keys) return SB_OK;
    filling f = {.v = sb_calloc(SB_MAX_KEYS, sizeof *f.v)};
    if (!f.v) return SB_FAIL(err, SB_NO_MEMORY, "keys: no memory");
    const sb_status s = sb_key_walk(r->db, fill, &f, err);
    if (s != SB_OK) {
        sb_free(f.v);
        return s;
    }
    sb_free(r->v);
    r->v = f.v;
    r->n = f.n;
    r->version = version;
    r->n_keys = n_keys;
    return SB_OK;
}

/* With the mutex held: the keys as of now, nearly. */
static sb_status look(sb_keyring *r, sb_error *err)
{
    const uint64_t now = sb_now_ns(), age = now - r->asked_ns;
    if (r->asked_ns && age < (uint64_t)SB_KEYRING_STALE_MS * 1000000 &&
        atomic_load(&r->db->n_keys) == r->n_keys)
        return SB_OK;
    if (!sb_turn_try(r->db)) {
        if (r->asked_ns && age < (uint64_t)MOST_STALE_MS * 1000000) return SB_OK;
        SB_TRY(sb_turn_read(r->db, err));
    }
    const sb_status s = sb_turn_done(r->db, renew(r, err));
    if (s == SB_OK) r->asked_ns = now;
    return s;
}

sb_status sb_keyring_open(sb_keyring **out, sb_db *db, sb_error *err)
{
    sb_keyring *r = sb_calloc(1, sizeof *r);
    if (!r) return SB_FAIL(err, SB_NO_MEMORY, "keys: no memory");
    r->db = db;
    r->have_mutex = pthread_mutex_init(&r->mutex, NULL) == 0;
    sb_status s = r->have_mutex ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "keys: no memory");
    if (s == SB_OK) s = sb_crypto_lib_load(&r->lib, err);
    if (s == SB_OK) s = sb_sha256_new(&r->hash, err);
    if (s == SB_OK) s = look(r, err);
    if (s != SB_OK) {
        sb_keyring_close(r);
        return s;
    }
    *out = r;
    return SB_OK;
}

void sb_keyring_close(sb_keyring *r)
{
    if (!r) return;
    sb_sha256_free(r->hash);
    if (r->have_mutex) (void)pthread_mutex_destroy(&r->mutex);
    sb_free(r->v);
    sb_free(r);
}

sb_status sb_keyring_any(sb_keyring *r, bool *out, sb_error *err)
{
    (void)pthread_mutex_lock(&r->mutex);
    const sb_status s = look(r, err);
    if (s == SB_OK) *out = r->n > 0;
    (void)pthread_mutex_unlock(&r->mutex);
    return s;
}

static sb_status find(sb_keyring *r, sb_str text, sb_key *out, sb_error *err)
{
    char sha256[SB_SHA256_HEX_BYTES];
    const entry *found = NULL;
    SB_TRY(look(r, err));
    SB_TRY(sb_sha256_restart(r->hash, err));
    SB_TRY(sb_sha256_add(r->hash, text.p, text.n, err));
    SB_TRY(sb_sha256_finish(r->hash, sha256, err));
    for (size_t i = 0; i < r->n; i++)
        if (r->lib.CRYPTO_memcmp(r->v[i].sha256, sha256, sizeof sha256) == 0) found = &r->v[i];
    if (!found) return SB_FAIL(err, SB_NOT_FOUND, "no such key");
    *out = found->key;
    return SB_OK;
}

sb_status sb_keyring_find(sb_keyring *r, sb_str text, sb_key *out, sb_error *err)
{
    if (text.n != SB_KEY_TEXT_BYTES - 1) return SB_FAIL(err, SB_NOT_FOUND, "no such key");
    (void)pthread_mutex_lock(&r->mutex);
    const sb_status s = find(r, text, out, err);
    (void)pthread_mutex_unlock(&r->mutex);
    return s;
}

static sb_status touch(sb_db *db, sb_owner id, int64_t now, sb_error *err)
{
    SB_TRY(sb_turn_write(db, err));
    return sb_turn_end(
        db, SB_SQL_RUN(db, err, "UPDATE key SET used_ms = ? WHERE id = ?", sb_int(now), sb_int(id)),
        err);
}

sb_status sb_keyring_touch(sb_keyring *r, sb_owner id, sb_error *err)
{
    const int64_t now = sb_db_now_ms();
    bool due = false;
    (void)pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->n; i++) {
        sb_key *k = &r->v[i].key;
        if (k->id != id) continue;
        due = now - k->used_ms >= HOUR_MS || now < k->used_ms;
        if (due) k->used_ms = now; // one writer is enough, and a failure is not worth another
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return due ? touch(r->db, id, now, err) : SB_OK;
}
