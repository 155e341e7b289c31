/* SPDX-License-Identifier: Apache-2.0
 * transfer.h - one download over HTTP(S): redirections, ranges, and who may see the token.
 *
 * Purpose     Asks once; trying again is the caller's (fetch.c), who knows where to go on. Built on
 *             libcurl, loaded when first needed. Redirections are followed here, one by one, so
 *             that each hop's headers are seen and each target is judged.
 * Promises    TLS is verified. From https nothing leads to http. The Authorization header goes to
 *             the origin (scheme, host, port) of token_for alone. Proxies of the environment are
 *             honoured. No cookie, no .netrc, no compression, no more than the stated bytes.
 * Ownership   sb_transfer lives on the heap until _free (NULL allowed); it keeps its connections.
 * Errors      SB_IO, SB_NOT_FOUND, SB_INVALID (token refused), SB_UNSUPPORTED (no libcurl),
 *             SB_LIMIT, SB_CANCELLED, and what `begin` and `body` return. A line shows the
 *             request's `shown`, never a redirection's address or a token.
 * Threads     One object, one thread. */
#ifndef SB_STORE_TRANSFER_H
#define SB_STORE_TRANSFER_H
#include "base/base.h"

typedef struct sb_transfer sb_transfer;

typedef struct sb_transfer_opts {
    const char *token;     /* NULL or "" = none */
    const char *token_for; /* any address of the origin it is meant for */
    int stall_s;           /* silence after which a connection is given up */
    void *ctx;
    bool (*cancelled)(void *ctx); /* NULL allowed */
} sb_transfer_opts;

/* What the headers said. Strings are "" and numbers UINT64_MAX when absent. */
typedef struct sb_transfer_head {
    int status;
    uint64_t first_byte, total_bytes; /* of the body within the whole file; the whole file */
    char validator[200];              /* strong ETag, else Last-Modified: fit for If-Range */
    /* Of the token's origin only, from any hop: */
    char linked_sha256[65], commit[65];
    uint64_t linked_bytes;
    char error_code[64];
    int retry_after_s; /* -1 = not said */
    bool try_again;    /* after a failure: another try may help */
} sb_transfer_head;

typedef struct sb_transfer_request {
    const char *url, *shown;
    uint64_t first_byte, last_byte; /* Range; last UINT64_MAX = to the end; 0..MAX = no Range */
    const char *if_range;           /* NULL = unconditional */
    void *ctx;
    /* Headers of a 200 or 206 are complete. May be NULL. */
    sb_status (*begin)(void *ctx, const sb_transfer_head *head, sb_error *err);
    /* Bytes of its body. *out_enough ends the transfer well. */
    sb_status (*body)(void *ctx, const unsigned char *p, size_t n, bool *out_enough, sb_error *err);
} sb_transfer_request;

/* The strings of o are borrowed for the object's life. */
sb_status sb_transfer_new(sb_transfer **out, const sb_transfer_opts *o, sb_error *err) SB_MUST_USE;
void sb_transfer_free(sb_transfer *h);
/* out is filled on failure, too. 416 comes back as SB_OK with that status and no body. */
sb_status sb_transfer_get(sb_transfer *h, const sb_transfer_request *rq, sb_transfer_head *out,
                          sb_error *err) SB_MUST_USE;
#endif
