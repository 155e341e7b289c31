/* SPDX-License-Identifier: Apache-2.0
 * keyring.h - keys that clients show: made, listed, revoked, and found by their text.
 *
 * Purpose     Rows of the data base hold the SHA-256 of 256 random bits, never the key; a key's
 *             text exists once, where sb_key_add() wrote it. A keyring is the copy in memory that
 *             each request is looked up in.
 * Invariants  A lookup hashes what it was shown and compares it with every key, without stopping
 *             early: time tells neither that a key exists nor how much of it was right. A revoked
 *             key is never found; its row and id stay, so that nobody inherits its conversations.
 * Reload      What `sobre key` changes while the server runs is seen by lookups at most
 *             SB_KEYRING_STALE_MS later; the keyring has no thread and no timer.
 * Threads     sb_keyring_find: any, beside each other. The rest as in db.h.
 * Errors      as in db.h; no message ever holds a key. */
#ifndef SB_STORE_KEYRING_H
#define SB_STORE_KEYRING_H
#include "store/db.h"

enum {
    SB_KEY_TEXT_BYTES = 53, /* "sk-sobre-", 43 of [A-Za-z0-9_-], NUL */
    SB_KEY_NAME_BYTES = 65,
    SB_KEYRING_STALE_MS = 200
};

typedef struct sb_key {
    sb_owner id;                  /* > 0 */
    char name[SB_KEY_NAME_BYTES]; /* unique among keys not revoked; 1 to 64 printing characters */
    bool admin, revoked;
    int64_t rpm, tpm;   /* requests and tokens a minute; 0 = no limit */
    int32_t concurrent; /* answers at once; 0 = no limit */
    int32_t priority;   /* -100 to 100; greater goes first */
    /* Of a day: microjoules, micrograms of CO2 equivalent, 10^-9 of a currency; 0 = no limit */
    int64_t day_uj, day_co2e_ug, day_cost_nano;
    int64_t created_ms, revoked_ms;
    int64_t used_ms; /* 0 = never; to about an hour */
} sb_key;
typedef sb_status (*sb_key_row)(void *ctx, const sb_key *k, sb_error *err);

/* Makes a key with want's name, flag and limits; its text goes to out_text and nowhere else.
 * SB_INVALID: the name is taken or not allowed, a limit out of range. */
sb_status sb_key_add(sb_db *db, const sb_key *want, char out_text[SB_KEY_TEXT_BYTES], sb_key *out,
                     sb_error *err) SB_MUST_USE;
/* By name or number. SB_NOT_FOUND also when it is revoked already. */
sb_status sb_key_revoke(sb_db *db, const char *name_or_id, sb_key *out, sb_error *err) SB_MUST_USE;
/* By id, revoked ones too. */
sb_status sb_key_list(sb_db *db, sb_key_row row, void *ctx, sb_error *err) SB_MUST_USE;

typedef struct sb_keyring sb_keyring;
/* Borrows db. */
sb_status sb_keyring_open(sb_keyring **out, sb_db *db, sb_error *err) SB_MUST_USE;
void sb_keyring_close(sb_keyring *r);
/* Are there keys that are not revoked? Without any the server asks for none. */
sb_status sb_keyring_any(sb_keyring *r, bool *out, sb_error *err) SB_MUST_USE;
/* The key whose text this is; SB_NOT_FOUND otherwise, and for any text of another length. */
sb_status sb_keyring_find(sb_keyring *r, sb_str text, sb_key *out, sb_error *err) SB_MUST_USE;
/* Notes that the key is in use; writes at most once an hour a key. A failure may be ignored. */
sb_status sb_keyring_touch(sb_keyring *r, sb_owner id, sb_error *err);
#endif
