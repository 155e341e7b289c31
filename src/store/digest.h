/* SPDX-License-Identifier: Apache-2.0
 * digest.h - SHA-256 of bytes, streams and files.
 *
 * Ownership   sb_sha256 lives on the heap until _free (NULL allowed).
 * Errors      SB_UNSUPPORTED (libcrypto missing), SB_NO_MEMORY, SB_IO, SB_CANCELLED.
 * Threads     One object, one thread. */
#ifndef SB_STORE_DIGEST_H
#define SB_STORE_DIGEST_H
#include "base/base.h"

enum { SB_SHA256_HEX_BYTES = 65 }; /* 64 lower-case digits and a NUL */

typedef struct sb_sha256 sb_sha256;

sb_status sb_sha256_new(sb_sha256 **out, sb_error *err) SB_MUST_USE;
void sb_sha256_free(sb_sha256 *h);
/* Forgets what was added. */
sb_status sb_sha256_restart(sb_sha256 *h, sb_error *err) SB_MUST_USE;
sb_status sb_sha256_add(sb_sha256 *h, const void *p, size_t n, sb_error *err) SB_MUST_USE;
/* Writes the digest; the object must be restarted before it is used again. */
sb_status sb_sha256_finish(sb_sha256 *h, char out_hex[SB_SHA256_HEX_BYTES],
                           sb_error *err) SB_MUST_USE;

/* Of n bytes at p, in pieces, asking `cancelled` (NULL allowed) between them. */
sb_status sb_sha256_bytes(const void *p, size_t n, bool (*cancelled)(void *), void *ctx,
                          char out_hex[SB_SHA256_HEX_BYTES], sb_error *err) SB_MUST_USE;
#endif
