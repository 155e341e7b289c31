/* SPDX-License-Identifier: Apache-2.0
 * utf8.h - strict UTF-8 (no surrogates, no overlong forms, up to U+10FFFF). */
#ifndef SB_BASE_UTF8_H
#define SB_BASE_UTF8_H
#include "base/base.h"

/* Decodes one code point at p (n > 0 bytes left). Returns its length 1..4 and sets *cp; on invalid
 * input returns 0 - the caller treats one byte as broken. */
size_t sb_utf8_decode(const char *p, size_t n, uint32_t *cp);
/* Writes cp (valid) to out[4]; returns its length. */
size_t sb_utf8_encode(uint32_t cp, char out[4]);
/* Offset of the first invalid byte, or n when all of it is valid. */
size_t sb_utf8_valid(const char *p, size_t n);
/* Length of the longest prefix of p that does not end inside a so far valid sequence. */
size_t sb_utf8_whole(const char *p, size_t n);
#endif
