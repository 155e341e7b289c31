/* SPDX-License-Identifier: Apache-2.0
 * link.c - bytes of one socket, plain or through TLS.
 *
 * OpenSSL's own socket layer writes with write(), which raises SIGPIPE; ours sends with
 * MSG_NOSIGNAL, so that no disposition of the process is touched. libevent's bufferevents were
 * refused for the same reason, and because they do not say when the peer took something. */
#include "server/http/link.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"

struct sb_tls {
    SSL_CTX *ctx;
    BIO_METHOD *socket;
};

static ssize_t result(ssize_t k)
{
    if (k >= 0) return k;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? SB_LINK_AGAIN
                                                                     : SB_LINK_BROKEN;
}

static int fd_of(BIO *b)
{
    return (int)(intptr_t)BIO_get_data(b);
}

static int moved(BIO *b, ssize_t k, int retry)
{
    BIO_clear_retry_flags(b);
    if (k < 0 && result(k) == SB_LINK_AGAIN) BIO_set_flags(b, retry | BIO_FLAGS_SHOULD_RETRY);
    return (int)k;
}

static int bio_read(BIO *b, char *p, int n)
{
    const ssize_t k = recv(fd_of(b), p, n > 0 ? (size_t)n : 0, 0);
    if (k == 0) BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    return moved(b, k, BIO_FLAGS_READ);
}

static int bio_write(BIO *b, const char *p, int n)
{
    return moved(b, send(fd_of(b), p, n > 0 ? (size_t)n : 0, MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
    (void)n;
    (void)p;
    if (what == BIO_CTRL_EOF) return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return what == BIO_CTRL_FLUSH;
}

static int no_password(char *p, int n, int is_writing, void *ctx)
{
    (void)p;
    (void)n;
    (void)is_writing;
    (void)ctx;
    return 0; // a server does not ask at a terminal
}

static sb_status fail(sb_error *err, const char *what, const char *path)
{
    char shown[160];
    sb_path_escape(shown, sizeof shown, path);
    const unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    if (ERR_SYSTEM_ERROR(code)) why = strerror(ERR_GET_REASON(code));
    ERR_clear_error();
    return SB_FAIL(err, SB_INVALID, "%s '%s': %s", what, shown, why ? why : "cannot be used");
}

static int choose_http1(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                        const unsigned char *in, unsigned in_n, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)ctx;
    unsigned char *found = NULL;
    if (SSL_select_next_proto(&found, out_n, ours, sizeof ours - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

/* A key that everybody on the machine can read is no secret; a group may, as Debian's ssl-cert. */
static sb_status check_private(const char *key, sb_error *err)
{
    struct stat st;
    if (stat(key, &st) != 0 || (st.st_mode & (S_IROTH | S_IWOTH)) == 0) return SB_OK;
    char shown[160];
    sb_path_escape(shown, sizeof shown, key);
    return SB_FAIL(err, SB_INVALID, "key '%s': everybody can read it: `chmod o=` it first", shown);
}

static sb_status configure(sb_tls *t, const char *cert, const char *key, sb_error *err)
{
    SSL_CTX *c = t->ctx;
    if (!SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION))
        return SB_FAIL(err, SB_INVALID, "TLS 1.2 is not to be had");
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(c, no_password);
    SSL_CTX_set_alpn_select_cb(c, choose_http1, NULL);
    SB_TRY(check_private(key, err));
    if (SSL_CTX_use_certificate_chain_file(c, cert) != 1) return fail(err, "certificate", cert);
    if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1) return fail(err, "key", key);
    return SB_OK;
}

sb_status sb_tls_new(sb_tls **out, const char *cert, const char *key, sb_error *err)
{
    sb_tls *t = sb_calloc(1, sizeof *t);
    if (!t) return SB_FAIL(err, SB_NO_MEMORY, "TLS: no memory");
    ERR_clear_error();
    t->ctx = SSL_CTX_new(TLS_server_method());
    t->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    const bool made = t->ctx && t->socket && BIO_meth_set_read(t->socket, bio_read) &&
                      BIO_meth_set_write(t->socket, bio_write) &&
                      BIO_meth_set_ctrl(t->socket, bio_ctrl);
    const sb_status s =
        made ? configure(t, cert, key, err) : SB_FAIL(err, SB_NO_MEMORY, "TLS: no memory");
    if (s != SB_OK) {
        sb_tls_free(t);
        return s;
    }
    *out = t;
    return SB_OK;
}

void sb_tls_free(sb_tls *t)
{
    if (!t) return;
    SSL_CTX_free(t->ctx);
    BIO_meth_free(t->socket);
    sb_free(t);
}

SSL *sb_tls_accept(sb_tls *t, int fd)
{
    SSL *ssl = SSL_new(t->ctx);
    BIO *b = ssl ? BIO_new(t->socket) : NULL;
    if (!b) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(b, (void *)(intptr_t)fd); // NOLINT(performance-no-int-to-ptr): a number kept
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    SSL_set_accept_state(ssl);
    return ssl;
}

void sb_tls_close(SSL *ssl)
{
    SSL_free(ssl);
}

static ssize_t tls_result(SSL *ssl, int k)
{
    if (k > 0) return k;
    switch (SSL_get_error(ssl, k)) {
    case SSL_ERROR_WANT_READ:
        return SB_LINK_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        return SB_LINK_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return SB_LINK_EOF;
    default:
        return SB_LINK_BROKEN;
    }
}

ssize_t sb_link_recv(int fd, SSL *ssl, void *p, size_t n)
{
    if (!ssl) return result(recv(fd, p, n, 0));
    ERR_clear_error();
    return tls_result(ssl, SSL_read(ssl, p, n < INT_MAX ? (int)n : INT_MAX));
}

ssize_t sb_link_send(int fd, SSL *ssl, const void *p, size_t n)
{
    if (!ssl) return result(send(fd, p, n, MSG_NOSIGNAL));
    ERR_clear_error();
    return tls_result(ssl, SSL_write(ssl, p, n < INT_MAX ? (int)n : INT_MAX));
}

int sb_link_handshake(SSL *ssl)
{
    ERR_clear_error();
    return (int)tls_result(ssl, SSL_do_handshake(ssl));
}

void sb_link_shut(int fd, SSL *ssl)
{
    ERR_clear_error();
    if (ssl && SSL_is_init_finished(ssl)) (void)SSL_shutdown(ssl);
    (void)shutdown(fd, SHUT_WR);
}
