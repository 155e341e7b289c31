/* SPDX-License-Identifier: Apache-2.0
 * receipt_key.h - the Ed25519 keys that receipts are signed with, and what checks a signature.
 *
 * Layout      HOME/receipt-keys/signing.pem  the private key in use (PKCS 8, readable to its owner
 *                                            only)
 *                               ID.pem       the public key of each there ever was
 *             A key's ID is the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes.
 * Invariants  signing.pem appears, or changes, in one step, and after its public key. Public keys
 *             are never removed: receipts of before a rotation verify. Of two processes that start
 *             at once, one makes the key and both use it.
 * Ownership   sb_receipt_keys owns the key in memory until _close (NULL allowed).
 * Errors      SB_IO, SB_CORRUPT (a file that holds no such key), SB_NOT_FOUND, SB_NO_MEMORY. No
 *             message holds anything of a key.
 * Threads     One caller at a time; files may be read and rotated by other processes at any moment.
 */
#ifndef SB_ENERGY_RECEIPT_KEY_H
#define SB_ENERGY_RECEIPT_KEY_H
#include "base/buf.h"

enum {
    SB_RECEIPT_KEY_BYTES = 32,    /* public */
    SB_RECEIPT_KEY_ID_BYTES = 17, /* as text, with its NUL */
    SB_RECEIPT_SIG_BYTES = 87     /* 64 bytes as base64url without padding, and a NUL */
};

typedef struct sb_receipt_keys sb_receipt_keys;

/* Makes the folder and a key where there is none. */
sb_status sb_receipt_keys_open(sb_receipt_keys **out, const char *home, sb_error *err) SB_MUST_USE;
void sb_receipt_keys_close(sb_receipt_keys *k);
/* The folder of the keys, for a sandbox. Borrowed. */
const char *sb_receipt_keys_dir(const sb_receipt_keys *k);
/* Of the key in use; a key that another process put in its place is taken first. Borrowed. */
const char *sb_receipt_keys_id(sb_receipt_keys *k);
/* By the key whose id sb_receipt_keys_id() gave last. */
sb_status sb_receipt_keys_sign(sb_receipt_keys *k, sb_str bytes, char out_sig[SB_RECEIPT_SIG_BYTES],
                               sb_error *err) SB_MUST_USE;
/* Another key from now on. */
sb_status sb_receipt_keys_rotate(sb_receipt_keys *k, sb_error *err) SB_MUST_USE;
/* Appends {"alg", "key_id", "keys": [JWK, ...], "public_key"}: public keys alone, the one in use
 * first. */
sb_status sb_receipt_keys_json(sb_receipt_keys *k, sb_buf *out, sb_error *err) SB_MUST_USE;

/* The public key of that id in HOME. SB_NOT_FOUND. */
sb_status sb_receipt_key_find(const char *home, const char *id,
                              unsigned char out[SB_RECEIPT_KEY_BYTES], sb_error *err) SB_MUST_USE;
/* The public key of that id in a text: PEM, or what sb_receipt_keys_json() gives. */
sb_status sb_receipt_key_read(sb_str text, const char *id, unsigned char out[SB_RECEIPT_KEY_BYTES],
                              sb_error *err) SB_MUST_USE;
/* False for any signature that is not of these bytes by this key. */
bool sb_receipt_sig_ok(const unsigned char key[SB_RECEIPT_KEY_BYTES], sb_str bytes,
                       const char *sig);
#endif
