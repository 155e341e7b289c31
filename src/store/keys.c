/* SPDX-License-Identifier: Apache-2.0
 * keys.c - rows of keys: made, revoked, listed.
 *
 * 256 random bits need no slow hash: nobody can try them all, so SHA-256 hides them as well as any
 * function, and a request is not held up. The text is base64url behind "sk-", which clients of
 * other servers expect. */
#include "store/keys.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/limits.h"
#include "store/digest.h"

enum { SECRET_BYTES = 32, MOST_PRIORITY = 100, MOST_CONCURRENT = 1024 };
static const char head[] = "sk-sobre-";

#define COLUMNS                                                                                    \
    "SELECT id, name, admin, rpm, tpm, concurrent, priority, created_ms, revoked_ms, used_ms,"     \
    " sha256, day_uj, day_co2e_ug, day_cost_nano FROM key "

sb_key sb_key_read(sqlite3_stmt *st, char out_sha256[SB_SHA256_HEX_BYTES])
{
    sb_key k = {.id = sqlite3_column_int64(st, 0),
                .admin = sqlite3_column_int(st, 2) != 0,
                .rpm = sqlite3_column_int64(st, 3),
                .tpm = sqlite3_column_int64(st, 4),
                .concurrent = sqlite3_column_int(st, 5),
                .priority = sqlite3_column_int(st, 6),
                .created_ms = sqlite3_column_int64(st, 7),
                .revoked_ms = sqlite3_column_int64(st, 8),
                .used_ms = sqlite3_column_int64(st, 9),
                .day_uj = sqlite3_column_int64(st, 11),
                .day_co2e_ug = sqlite3_column_int64(st, 12),
                .day_cost_nano = sqlite3_column_int64(st, 13)};
    const sb_str name = sb_sql_text(st, 1), hash = sb_sql_text(st, 10);
    if (name.n < sizeof k.name && name.n) memcpy(k.name, name.p, name.n);
    k.revoked = k.revoked_ms != 0;
    memset(out_sha256, 0, SB_SHA256_HEX_BYTES);
    if (hash.n == SB_SHA256_HEX_BYTES - 1) memcpy(out_sha256, hash.p, hash.n);
    return k;
}

static sb_status make_text(char out[SB_KEY_TEXT_BYTES], sb_error *err)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char r[SECRET_BYTES + 1] = {0}; // the last one fills up the last digit
    if (getrandom(r, SECRET_BYTES, 0) != SECRET_BYTES)
        return SB_FAIL(err, SB_IO, "the system gives no random bytes: %s", strerror(errno));
    memcpy(out, head, sizeof head - 1);
    char *at = out + sizeof head - 1;
    for (size_t bit = 0; bit < 8 * (size_t)SECRET_BYTES; bit += 6) {
        const unsigned two = (unsigned)r[bit / 8] << 8 | r[bit / 8 + 1];
        *at++ = digit[two >> (10 - bit % 8) & 63];
    }
    *at = 0;
    explicit_bzero(r, sizeof r);
    return SB_OK;
}

static sb_status check(const sb_key *k, sb_error *err)
{
    char shown[2 * SB_KEY_NAME_BYTES];
    const size_t n = strnlen(k->name, sizeof k->name);
    if (n == 0 || n == sizeof k->name)
        return SB_FAIL(err, SB_INVALID, "a key's name has 1 to %d bytes", SB_KEY_NAME_BYTES - 1);
    sb_path_escape(shown, sizeof shown, k->name);
    if (strcmp(shown, k->name) != 0 || strspn(k->name, "0123456789") == n || k->name[0] == '-')
        return SB_FAIL(err, SB_INVALID,
                       "a key's name is of printing characters, no number, and begins with no '-'");
    if (k->rpm < 0 || k->rpm > SB_MAX_KEY_RATE || k->tpm < 0 || k->tpm > SB_MAX_KEY_RATE ||
        k->concurrent < 0 || k->concurrent > MOST_CONCURRENT || k->priority < -MOST_PRIORITY ||
        k->priority > MOST_PRIORITY || k->day_uj < 0 || k->day_co2e_ug < 0 || k->day_cost_nano < 0)
        return SB_FAIL(err, SB_INVALID, "a limit of the key is out of range");
    return SB_OK;
}

static sb_status add(sb_db *db, const sb_key *k, const char *sha256, int64_t *out_id, sb_error *err)
{
    int64_t n = 0;
    SB_TRY(SB_SQL_ONE(&n, db, err, "SELECT count(*) FROM key WHERE name = ? AND revoked_ms = 0",
                      sb_word(k->name)));
    if (n > 0)
        return SB_FAIL(err, SB_INVALID, "there is a key '%s' already: revoke it first", k->name);
    SB_TRY(sb_sql_one(&n, db, "SELECT count(*) FROM key WHERE revoked_ms = 0", NULL, 0, err));
    if (n >= SB_MAX_KEYS) return SB_FAIL(err, SB_INVALID, "more than %d keys", SB_MAX_KEYS);
    SB_TRY(SB_SQL_RUN(db, err,
                      "INSERT INTO key(name, sha256, admin, rpm, tpm, concurrent, priority,"
                      " created_ms, revoked_ms, used_ms, day_uj, day_co2e_ug, day_cost_nano)"
                      " VALUES(?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)",
                      sb_word(k->name), sb_word(sha256), sb_int(k->admin), sb_int(k->rpm),
                      sb_int(k->tpm), sb_int(k->concurrent), sb_int(k->priority),
                      sb_int(k->created_ms), sb_int(k->day_uj), sb_int(k->day_co2e_ug),
                      sb_int(k->day_cost_nano)));
    *out_id = sqlite3_last_insert_rowid(db->sq);
    return SB_OK;
}

sb_status sb_key_add(sb_db *db, const sb_key *want, char out_text[SB_KEY_TEXT_BYTES], sb_key *out,
                     sb_error *err)
{
    char text[SB_KEY_TEXT_BYTES], sha256[SB_SHA256_HEX_BYTES];
    sb_key k = *want;
    SB_TRY(check(want, err));
    SB_TRY(make_text(text, err));
    sb_status s = sb_sha256_bytes(text, strlen(text), NULL, NULL, sha256, err);
    k.created_ms = sb_db_now_ms();
    k.used_ms = k.revoked_ms = 0;
    k.revoked = false;
    if (s == SB_OK) s = sb_turn_write(db, err);
    if (s == SB_OK) s = sb_turn_end(db, add(db, &k, sha256, &k.id, err), err);
    if (s == SB_OK) {
        atomic_fetch_add(&db->n_keys, 1);
        memcpy(out_text, text, sizeof text);
        *out = k;
    }
    explicit_bzero(text, sizeof text);
    return s;
}

/* Digits are an id. */
static sb_status find(sb_db *db, const char *what, sb_key *out, sb_error *err)
{
    char sha256[SB_SHA256_HEX_BYTES];
    bool there = false;
    sqlite3_stmt *st = NULL;
    const bool number = what[0] && !what[strspn(what, "0123456789")];
    if (number)
        SB_TRY(SB_SQL(&st, db, err, COLUMNS "WHERE id = CAST(? AS INTEGER) AND revoked_ms = 0",
                      sb_word(what)));
    else
        SB_TRY(SB_SQL(&st, db, err, COLUMNS "WHERE name = ? AND revoked_ms = 0", sb_word(what)));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) {
        char shown[96];
        sb_path_escape(shown, sizeof shown, what);
        return SB_FAIL(err, SB_NOT_FOUND, "no key '%s': `sobre key list` shows them", shown);
    }
    *out = sb_key_read(st, sha256);
    (void)sqlite3_reset(st);
    return SB_OK;
}

sb_status sb_key_revoke(sb_db *db, const char *name_or_id, sb_key *out, sb_error *err)
{
    sb_key k;
    SB_TRY(sb_turn_write(db, err));
    sb_status s = find(db, name_or_id, &k, err);
    if (s == SB_OK) {
        k.revoked = true;
        k.revoked_ms = sb_db_now_ms();
        if (k.revoked_ms <= 0) k.revoked_ms = 1; // the clock may say anything
        s = SB_SQL_RUN(db, err, "UPDATE key SET revoked_ms = ? WHERE id = ?", sb_int(k.revoked_ms),
                       sb_int(k.id));
    }
    SB_TRY(sb_turn_end(db, s, err));
    atomic_fetch_add(&db->n_keys, 1);
    *out = k;
    return SB_OK;
}

static sb_status list(sb_db *db, sb_key_row row, void *ctx, sb_error *err)
{
    char sha256[SB_SHA256_HEX_BYTES];
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_sql_bind(&st, db, COLUMNS "ORDER BY id", NULL, 0, err));
    for (bool there = true;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return SB_OK;
        const sb_key k = sb_key_read(st, sha256);
        SB_TRY(row(ctx, &k, err));
    }
}

sb_status sb_key_list(sb_db *db, sb_key_row row, void *ctx, sb_error *err)
{
    SB_TRY(sb_turn_read(db, err));
    return sb_turn_done(db, sb_row_status(list(db, row, ctx, err)));
}

sb_status sb_key_walk(sb_db *db, sb_key_hash_row row, void *ctx, sb_error *err)
{
    char sha256[SB_SHA256_HEX_BYTES];
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_sql_bind(&st, db, COLUMNS "WHERE revoked_ms = 0 ORDER BY id", NULL, 0, err));
    for (bool there = true;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return SB_OK;
        const sb_key k = sb_key_read(st, sha256);
        SB_TRY(row(ctx, &k, sha256, err));
    }
}
