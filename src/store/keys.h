/* SPDX-License-Identifier: Apache-2.0
 * keys.h - what keys.c and keyring.c share: a key's row with its hash. Inside a turn. */
#ifndef SB_STORE_KEYS_H
#define SB_STORE_KEYS_H
#include "store/db_sql.h"
#include "store/digest.h"
#include "store/keyring.h"

sb_key sb_key_read(sqlite3_stmt *st, char out_sha256[SB_SHA256_HEX_BYTES]);
typedef sb_status (*sb_key_hash_row)(void *ctx, const sb_key *k, const char *sha256, sb_error *err);
/* Keys that are not revoked, by id. */
sb_status sb_key_walk(sb_db *db, sb_key_hash_row row, void *ctx, sb_error *err) SB_MUST_USE;
#endif
