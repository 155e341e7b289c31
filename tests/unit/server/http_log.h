/* SPDX-License-Identifier: Apache-2.0
 * http_log.h - what a run of bytes means as requests, as one text, however it is cut. */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H
#include "base/buf.h"

/* Reads p[n] in pieces that end where `cut` (called with the place reached, gives the piece's
 * length, at least 1) says; max_body: of each request. Appends, a line each:
 *   METHOD path?query 1.minor keep|close [expects]
 *   name: value               (joined ones once)
 *   body N text               (control bytes as '.')
 *   refused STATUS why        (the last line)
 *   more                      (the bytes end inside a request)
 * False without memory for the text. */
typedef size_t (*http_cut)(void *ctx, size_t at, size_t n);
bool http_log(sb_buf *out, const char *p, size_t n, uint64_t max_body, http_cut cut, void *ctx);
/* Cuts of one length. */
size_t http_cut_every(void *length, size_t at, size_t n);
/* Two pieces. */
size_t http_cut_once(void *place, size_t at, size_t n);
#endif
