/* SPDX-License-Identifier: Apache-2.0
 * link.h - bytes of one socket, plain or through TLS.
 *
 * Purpose     Non-blocking receive and send with one meaning for both. TLS 1.2 and later.
 * Errors      sb_tls_new: SB_INVALID, SB_IO; the line names the file. */
#ifndef SB_SERVER_HTTP_LINK_H
#define SB_SERVER_HTTP_LINK_H
#include <sys/types.h>

#include "base/base.h"

struct ssl_st;
typedef struct sb_tls sb_tls;

enum { SB_LINK_EOF = 0, SB_LINK_AGAIN = -1, SB_LINK_BROKEN = -2, SB_LINK_WANTS_WRITE = -3 };

sb_status sb_tls_new(sb_tls **out, const char *cert, const char *key, sb_error *err) SB_MUST_USE;
void sb_tls_free(sb_tls *t);
/* NULL without memory. The socket stays the caller's. */
struct ssl_st *sb_tls_accept(sb_tls *t, int fd) SB_MUST_USE;
void sb_tls_close(struct ssl_st *ssl);

/* ssl may be NULL. Bytes moved, or SB_LINK_*. With TLS, n of 16384 or more takes a whole record, so
 * that nothing is left inside of which no event would tell. */
ssize_t sb_link_recv(int fd, struct ssl_st *ssl, void *p, size_t n);
ssize_t sb_link_send(int fd, struct ssl_st *ssl, const void *p, size_t n);
/* 1 when the handshake is done. */
int sb_link_handshake(struct ssl_st *ssl);
/* Says that nothing more will be sent. */
void sb_link_shut(int fd, struct ssl_st *ssl);
#endif
