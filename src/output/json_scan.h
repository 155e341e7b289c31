/* SPDX-License-Identifier: Apache-2.0
 * json_scan.h - strict JSON byte by byte, and reading of text that is known to be valid.
 *
 * Purpose     Tells the end of an object or list in a stream without looking at a byte twice, and
 *             whether it is JSON at all. It builds no tree: a value is the text it stands in.
 * Strictness  RFC 8259, at most SB_MAX_JSON_DEPTH deep, no byte below 0x20 in strings, surrogates
 *             in pairs. Bytes of UTF-8 pass as they are.
 * Cost        O(1) a byte; nothing is allocated but in the buffers handed in. */
#ifndef SB_OUTPUT_JSON_SCAN_H
#define SB_OUTPUT_JSON_SCAN_H
#include "base/buf.h"

typedef enum sb_json_result { SB_JSON_MORE, SB_JSON_DONE, SB_JSON_BAD } sb_json_result;

/* Zero-initialise: an object or a list is expected. */
typedef struct sb_json_scan {
    uint64_t lists; /* bit d: depth d is a list, else an object */
    int32_t depth;
    uint8_t state;
    uint8_t n_hex;    /* digits of an escape still to come */
    uint16_t unit;    /* value of those that came */
    bool is_key;      /* the string being read is a key */
    bool wants_low;   /* a high surrogate was read */
    const char *word; /* what is left of true, false or null */
} sb_json_scan;
/* Takes one byte; DONE with the bracket that closes the first one. */
sb_json_result sb_json_scan_byte(sb_json_scan *s, char c);

/* True when s is one valid value of any kind, white space around it allowed. */
bool sb_json_is_value(sb_str s);

/* The rest works on valid text only. */

/* Members of an object (key with its quotes) or elements of a list (key empty), in order. Set rest
 * to the text of the object or list, zero the others; false at the end. */
typedef struct sb_json_iter {
    sb_str rest;
    sb_str key, value;
} sb_json_iter;
bool sb_json_next(sb_json_iter *it);
/* Value of a key, the last one given; {NULL, 0} when there is none or `object` is no object. */
sb_str sb_json_get(sb_str object, sb_str key);

sb_str sb_json_trim(sb_str s);
/* Appends s without white space between its parts. */
sb_status sb_json_compact(sb_buf *out, sb_str s, sb_error *err) SB_MUST_USE;
/* Appends the text of a string given with its quotes. */
sb_status sb_json_unquote(sb_buf *out, sb_str s, sb_error *err) SB_MUST_USE;
/* Appends text as a string with its quotes. */
sb_status sb_json_quote(sb_buf *out, sb_str text, sb_error *err) SB_MUST_USE;
#endif
