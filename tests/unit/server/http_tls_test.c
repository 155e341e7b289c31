/* SPDX-License-Identifier: Apache-2.0
 * http_tls_test.c - the same server through TLS, with a certificate made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_rig.h"

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST "Host: a\r\n"

static rig g;
static char folder[] = "/tmp/http_tls_XXXXXX", cert_path[64], key_path[64], other_path[64],
            open_path[64];

static void write_key(const char *path, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
    (void)snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    (void)snprintf(other_path, sizeof other_path, "%s/other.pem", folder);
    (void)snprintf(open_path, sizeof open_path, "%s/open.pem", folder);
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_true(key && other && cert);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *f = fopen(cert_path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    assert_int_equal(fclose(f), 0);
    write_key(key_path, key);
    write_key(other_path, other);
    write_key(open_path, key);
    assert_int_equal(chmod(open_path, 0644), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(cert_path);
    (void)unlink(key_path);
    (void)unlink(other_path);
    (void)unlink(open_path);
    return rmdir(folder);
}

static sb_http_opts tls_opts(void)
{
    sb_http_opts o = rig_opts(&g);
    o.tls_cert = cert_path;
    o.tls_key = key_path;
    o.stall_ms = 300;
    o.head_ms = 500;
    return o;
}

typedef struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
} client;

/* OpenSSL's own socket writes raise SIGPIPE when the server has hung up: the client's are held back
 * and dropped, so that one of the server's would still end the test. */
static int connect_quietly(SSL *ssl)
{
    static const struct timespec none = {0, 0};
    sigset_t pipe_alone, before;
    (void)sigemptyset(&pipe_alone);
    (void)sigaddset(&pipe_alone, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &pipe_alone, &before), 0);
    const int k = SSL_connect(ssl);
    while (sigtimedwait(&pipe_alone, NULL, &none) == SIGPIPE) {}
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    return k;
}

/* A handshake; false when the server does not want it. */
static bool open_client(client *c, int max_version)
{
    c->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(c->ctx);
    (void)SSL_CTX_set_max_proto_version(c->ctx, max_version);
    SSL_CTX_set_security_level(c->ctx, 0);
    c->fd = rig_connect(&g, NULL);
    c->ssl = SSL_new(c->ctx);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    assert_int_equal(SSL_set_alpn_protos(c->ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12),
                     0);
    struct timeval wait = {0, 2000};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    for (int i = 0; i < 500; i++) {
        const int k = connect_quietly(c->ssl);
        if (k == 1) return true;
        const int e = SSL_get_error(c->ssl, k);
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) return false;
        rig_turn(&g, 0);
    }
    return false;
}

static void close_client(client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    (void)close(c->fd);
    ERR_clear_error();
}

static void say(client *c, const char *text)
{
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* As rig_read. */
static bool hear(client *c, const char *until)
{
    g.got_n = 0;
    g.got[0] = 0;
    for (int i = 0; i < 2000; i++) {
        rig_turn(&g, 0);
        const int k = SSL_read(c->ssl, g.got + g.got_n, (int)(sizeof g.got - 1 - g.got_n));
        if (k > 0) {
            g.got_n += (size_t)k;
            g.got[g.got_n] = 0;
            if (until && strstr(g.got, until)) return true;
        } else if (SSL_get_error(c->ssl, k) != SSL_ERROR_WANT_READ) {
            return !until;
        }
    }
    return false;
}

static void requests_go_through_tls(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    const sb_http_opts o = tls_opts();
    rig_open(&g, &o);
    for (size_t i = 0; i < SB_ARRAY_LEN(versions); i++) {
        client c;
        assert_true(open_client(&c, versions[i]));
        const unsigned char *chosen;
        unsigned chosen_n;
        SSL_get0_alpn_selected(c.ssl, &chosen, &chosen_n);
        assert_int_equal(chosen_n, 8);
        assert_memory_equal(chosen, "http/1.1", 8);
        say(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
        assert_true(hear(&c, "\r\n\r\nabc"));
        assert_true(g.is_tls);
        say(&c, "GET /three HTTP/1.1\r\n" HOST "\r\n"
                "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        assert_true(hear(&c, NULL));
        assert_non_null(strstr(g.got, "6\r\nthree\n\r\n0\r\n\r\nHTTP/1.1 200 OK"));
        assert_non_null(strstr(g.got, "\r\n\r\nhello"));
        assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN); // an end, not a break
        close_client(&c);
    }
    rig_turn(&g, 5);
    assert_int_equal(sb_http_get_stats(g.http).n_connections, 0);
    rig_close(&g);
}

/* More than one record, and more than the socket takes, both ways. */
static void large_bodies_go_through_tls(void **state)
{
    (void)state;
    static char body[900000];
    const sb_http_opts o = tls_opts();
    rig_open(&g, &o);
    client c;
    assert_true(open_client(&c, TLS1_3_VERSION));
    memset(body, 'b', sizeof body);
    say(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 900000\r\n\r\n");
    for (size_t at = 0; at < sizeof body; at += 10000) {
        assert_int_equal(SSL_write(c.ssl, body + at, 10000), 10000);
        rig_turn(&g, 0);
    }
    g.got_n = 0;
    for (int i = 0; i < 5000 && g.got_n < sizeof body; i++) {
        rig_turn(&g, 0);
        const int k = SSL_read(c.ssl, g.got + g.got_n, (int)(sizeof g.got - g.got_n));
        if (k > 0) g.got_n += (size_t)k;
    }
    assert_int_equal(g.body_n, sizeof body);
    assert_true(g.got_n > sizeof body);
    assert_memory_equal(g.got + g.got_n - sizeof body, body, sizeof body);
    close_client(&c);
    rig_close(&g);
}

static void clients_that_go_are_noticed_through_tls(void **state)
{
    (void)state;
    const sb_http_opts o = tls_opts();
    rig_open(&g, &o);
    for (int how = 0; how < 3; how++) {
        client c;
        assert_true(open_client(&c, TLS1_3_VERSION));
        say(&c, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        for (int i = 0; i < 500 && !g.x; i++)
            rig_turn(&g, 1);
        sb_x_begin(g.x, 200, NULL, (sb_str){0}, 0);
        assert_true(hear(&c, "\r\n\r\n"));
        if (how == 0) (void)SSL_shutdown(c.ssl);     // says so
        if (how == 1) (void)shutdown(c.fd, SHUT_WR); // hangs up
        if (how == 2) {                              // does not read
            static char block[65536];
            for (int i = 0; i < 500 && !g.n_full; i++) {
                sb_x_write(g.x, (sb_str){block, sizeof block});
                rig_turn(&g, 0);
            }
            assert_int_equal(g.n_full, 1);
        }
        for (int i = 0; i < 1000 && g.n_gone <= how; i++)
            rig_turn(&g, 1);
        assert_int_equal(g.n_gone, how + 1);
        close_client(&c);
        rig_let_go(&g);
    }
    assert_int_equal(sb_http_get_stats(g.http).n_dropped_slow, 1);
    rig_close(&g);
}

/* One that hangs up without a word, as some do, is still answered when nobody watches. */
static void half_a_client_is_answered_through_tls(void **state)
{
    (void)state;
    const sb_http_opts o = tls_opts();
    rig_open(&g, &o);
    client c;
    assert_true(open_client(&c, TLS1_3_VERSION));
    say(&c, "GET /quiet HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 500 && !g.x; i++)
        rig_turn(&g, 1);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    rig_turn(&g, 5);
    sb_x_reply(g.x, 200, NULL, (sb_str){"all of it", 9});
    assert_true(hear(&c, "\r\n\r\nall of it"));
    close_client(&c);
    rig_close(&g);
}

static void what_is_not_tls_is_closed(void **state)
{
    (void)state;
    const sb_http_opts o = tls_opts();
    rig_open(&g, &o);
    rig_ask(&g, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_null(strstr(g.got, "HTTP/1.1 "));
    const int silent = rig_connect(&g, NULL); // a handshake has a deadline, too
    assert_true(rig_read(&g, silent, NULL));
    assert_int_equal(sb_http_get_stats(g.http).n_timed_out, 1);
    (void)close(silent);
    client c;
    assert_false(open_client(&c, TLS1_1_VERSION));
    close_client(&c);
    assert_int_equal(g.n_requests, 0);
    rig_close(&g);
}

static void bad_files_are_named(void **state)
{
    (void)state;
    const struct {
        const char *cert, *key, *says;
    } rows[] = {{"/nowhere/c.pem", key_path, "certificate '/nowhere/c.pem'"},
                {key_path, key_path, "certificate '"},
                {cert_path, "/nowhere/k.pem", "key '/nowhere/k.pem'"},
                {cert_path, cert_path, "key '"},
                {cert_path, other_path, "other.pem'"},
                {cert_path, open_path, "open.pem': everybody can read it"},
                {cert_path, NULL, "certificate and a key"}};
    struct event_base *base = event_base_new();
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_http_opts o = tls_opts();
        sb_http *h = NULL;
        sb_error err = {0};
        o.tls_cert = rows[i].cert;
        o.tls_key = rows[i].key;
        assert_int_equal(sb_http_open(&h, base, &o, &err), SB_INVALID);
        if (!strstr(err.msg, rows[i].says)) fail_msg("%s", err.msg);
    }
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_through_tls),
        cmocka_unit_test(large_bodies_go_through_tls),
        cmocka_unit_test(clients_that_go_are_noticed_through_tls),
        cmocka_unit_test(half_a_client_is_answered_through_tls),
        cmocka_unit_test(what_is_not_tls_is_closed),
        cmocka_unit_test(bad_files_are_named),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
