/* SPDX-License-Identifier: Apache-2.0
 * fields.h - header lines as they come in, byte by byte: names, values, limits.
 *
 * Purpose     The one reader of "name: value" lines, for heads and for trailers. No socket.
 * Invariants  What comes out does not depend on how the bytes were cut into pieces. A name is a
 *             token in lower case, a value has no control byte but TAB and no space at its ends.
 * Ownership   Texts go to the caller's buffer and places to its list, or nowhere when these are
 *             NULL (a trailer is checked and dropped).
 * Errors      SB_FEED_REFUSED and `refusal`: 400 for what is not a header line (bare CR or LF,
 *             NUL, folded line, space before the colon), 431 over a limit, 503 without memory. */
#ifndef SB_SERVER_HTTP_FIELDS_H
#define SB_SERVER_HTTP_FIELDS_H
#include "base/buf.h"

/* Why a request is not taken: an HTTP status (0: it is) and a line for people. */
typedef struct sb_refusal {
    int status;
    const char *why; /* static text */
} sb_refusal;

typedef enum sb_feed { SB_FEED_MORE, SB_FEED_DONE, SB_FEED_REFUSED } sb_feed;

typedef struct sb_field {
    uint32_t name, name_n, value, value_n; /* offsets into the text */
} sb_field;

typedef struct sb_header_lines {
    sb_buf *text;
    sb_field *list; /* [SB_MAX_REQUEST_FIELDS] */
    size_t n;       /* whole lines so far */
    size_t n_bytes, n_line_bytes;
    sb_field now;
    int state;
    sb_refusal refusal;
} sb_header_lines;

void sb_header_lines_init(sb_header_lines *f, sb_buf *text, sb_field *list);
/* Reads until the empty line that ends them. *used: bytes taken of p[n]; all of them while more
 * are wanted. */
sb_feed sb_header_lines_feed(sb_header_lines *f, const char *p, size_t n, size_t *used);

bool sb_http_is_token(char c);
bool sb_http_is_blank(char c);
/* ASCII only, whatever the locale. */
char sb_http_lower(char c);
bool sb_http_equal(sb_str a, const char *lower); /* ignoring case */
/* The value of a hexadecimal digit, or -1. */
int sb_http_hex(char c);
#endif
