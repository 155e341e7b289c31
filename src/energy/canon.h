/* SPDX-License-Identifier: Apache-2.0
 * canon.h - JSON with one spelling, so that it can be hashed and signed, and SHA-256 of it.
 *
 * Purpose     Whoever parses a receipt in any language and writes it down again by these rules has
 *             the bytes that were signed: keys sorted, no spaces, text as UTF-8 with the fewest
 *             escapes, whole numbers plain, others with one to three decimals and no zero at the
 *             end. (Any JSON library that sorts keys does that.)
 * Invariants  Reading what was written and writing it again gives the same bytes.
 * Ownership   A json_t that comes out is the caller's to json_decref().
 * Errors      SB_CORRUPT (no JSON, a name twice, too deep, a number with more decimals), SB_LIMIT,
 *             SB_NO_MEMORY, SB_UNSUPPORTED (a libcrypto without SHA-256).
 * Threads     Any. */
#ifndef SB_ENERGY_CANON_H
#define SB_ENERGY_CANON_H
#include "base/buf.h"

#include <jansson.h>

enum { SB_HASH_BYTES = 65, SB_CANON_DEPTH = 16 }; /* 64 lower-case hexadecimal digits and a NUL */

/* Appends v. */
sb_status sb_canon_add(sb_buf *out, const json_t *v, sb_error *err) SB_MUST_USE;
/* Appends a text with its quotes. */
sb_status sb_canon_text(sb_buf *out, const char *p, size_t n, sb_error *err) SB_MUST_USE;
/* An object that somebody else may have written; `what` is named in errors. */
sb_status sb_canon_read(json_t **out, const char *p, size_t n, const char *what,
                        sb_error *err) SB_MUST_USE;
/* v thousandths as a number: whole, or with a decimal point. NULL without memory. */
json_t *sb_canon_milli(int64_t v);
/* Sets a member; *ok becomes false when value is NULL or cannot be set. Takes value over. */
void sb_canon_put(json_t *object, const char *key, json_t *value, bool *ok);
/* SHA-256 of the pieces one after the other. */
sb_status sb_hash_hex(char out[SB_HASH_BYTES], const sb_str *pieces, size_t n,
                      sb_error *err) SB_MUST_USE;
/* Whether text is 64 lower-case hexadecimal digits. */
bool sb_hash_is(const char *text, size_t n);
#endif
