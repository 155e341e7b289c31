/* SPDX-License-Identifier: Apache-2.0
 * receipt_key.c - keys on the disk and in memory, through libcrypto.
 *
 * Files are PEM, which every other program reads. A key file is written beside its place, flushed,
 * and linked or renamed: whoever comes second finds a whole one. */
#include "energy/receipt_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "energy/canon.h"
#include "energy/data_folder.h"

enum { PEM_BYTES = 4096, MOST_KEYS = 256, SIG_RAW = 64 };

struct sb_receipt_keys {
    char dir[SB_MAX_PATH_BYTES], private_path[SB_MAX_PATH_BYTES];
    EVP_PKEY *key;
    char id[SB_RECEIPT_KEY_ID_BYTES];
    ino_t ino; /* of signing.pem when it was read */
    struct timespec mtime;
};

static sb_status no_key(sb_error *err, const char *path)
{
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, SB_CORRUPT, "'%s' holds no Ed25519 key", shown);
}

static bool join(char out[SB_MAX_PATH_BYTES], const char *dir, const char *name, const char *end)
{
    const int n = snprintf(out, SB_MAX_PATH_BYTES, "%s/%s%s", dir, name, end);
    return n > 0 && n < SB_MAX_PATH_BYTES;
}

/* ---- base64url ---- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void base64(const unsigned char *p, size_t n, char *out)
{
    uint32_t bits = 0;
    int n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            *out++ = letters[bits >> (n_bits - 6) & 63];
    }
    if (n_bits) *out++ = letters[bits << (6 - n_bits) & 63];
    *out = 0;
}

/* Exactly n bytes, spelt as base64() spells them. */
static bool unbase64(const char *s, unsigned char *out, size_t n)
{
    uint32_t bits = 0;
    int n_bits = 0;
    size_t n_out = 0;
    for (; *s; s++) {
        const char *at = strchr(letters, *s);
        if (!at) return false;
        bits = bits << 6 | (uint32_t)(at - letters);
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        if (n_out == n) return false;
        out[n_out++] = (unsigned char)(bits >> n_bits);
    }
    return n_out == n && n_bits < 6 && (bits & ((1u << n_bits) - 1)) == 0;
}

/* ---- keys and their texts ---- */

static bool raw_of(const EVP_PKEY *key, unsigned char out[SB_RECEIPT_KEY_BYTES])
{
    size_t n = SB_RECEIPT_KEY_BYTES;
    return EVP_PKEY_get_raw_public_key(key, out, &n) == 1 && n == SB_RECEIPT_KEY_BYTES;
}

static sb_status id_of(const unsigned char raw[SB_RECEIPT_KEY_BYTES],
                       char out[SB_RECEIPT_KEY_ID_BYTES], sb_error *err)
{
    char hash[SB_HASH_BYTES];
    SB_TRY(sb_hash_hex(hash, &(sb_str){(const char *)raw, SB_RECEIPT_KEY_BYTES}, 1, err));
    memcpy(out, hash, SB_RECEIPT_KEY_ID_BYTES - 1);
    out[SB_RECEIPT_KEY_ID_BYTES - 1] = 0;
    return SB_OK;
}

static int no_password(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1; /* else the library would ask at the terminal */
}

/* NULL: not an Ed25519 key. */
static EVP_PKEY *key_of_pem(const char *p, size_t n, bool is_private)
{
    BIO *b = BIO_new_mem_buf(p, (int)n);
    EVP_PKEY *key = NULL;
    if (b) {
        key = is_private ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL)
                         : PEM_read_bio_PUBKEY(b, NULL, no_password, NULL);
        (void)BIO_free(b);
    }
    if (key && EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* At most PEM_BYTES of a file. */
static sb_status read_file(const char *path, char out[PEM_BYTES], size_t *out_n, struct stat *st,
                           sb_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return sb_data_fail(err, "cannot open", path, errno);
    ssize_t n = 0;
    size_t all = 0;
    while (all < PEM_BYTES && (n = read(fd, out + all, PEM_BYTES - all)) > 0)
        all += (size_t)n;
    const int failed = n < 0 || fstat(fd, st) != 0 ? errno : 0;
    (void)close(fd);
    if (failed) return sb_data_fail(err, "cannot read", path, failed);
    *out_n = all;
    return all < PEM_BYTES ? SB_OK : no_key(err, path);
}

static sb_status load(sb_receipt_keys *k, sb_error *err)
{
    char pem[PEM_BYTES];
    size_t n = 0;
    struct stat st = {0};
    unsigned char raw[SB_RECEIPT_KEY_BYTES];
    char id[SB_RECEIPT_KEY_ID_BYTES];
    SB_TRY(read_file(k->private_path, pem, &n, &st, err));
    EVP_PKEY *key = key_of_pem(pem, n, true);
    explicit_bzero(pem, sizeof pem);
    if (!key) return no_key(err, k->private_path);
    const sb_status s = raw_of(key, raw) ? id_of(raw, id, err) : no_key(err, k->private_path);
    if (s != SB_OK) {
        EVP_PKEY_free(key);
        return s;
    }
    EVP_PKEY_free(k->key);
    k->key = key;
    memcpy(k->id, id, sizeof id);
    k->ino = st.st_ino;
    k->mtime = st.st_mtim;
    return SB_OK;
}

/* ---- writing ---- */

/* The key as PEM, private or public; BIO_free() it. */
static BIO *pem_of(EVP_PKEY *key, bool is_private)
{
    BIO *b = BIO_new(BIO_s_mem());
    if (!b) return NULL;
    const int ok = is_private ? PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL)
                              : PEM_write_bio_PUBKEY(b, key);
    if (ok == 1) return b;
    (void)BIO_free(b);
    return NULL;
}

static sb_status write_new(const char *path, EVP_PKEY *key, bool is_private, sb_error *err)
{
    char *p = NULL;
    BIO *b = pem_of(key, is_private);
    if (!b) return SB_FAIL(err, SB_NO_MEMORY, "receipt key: no memory");
    const size_t n = (size_t)BIO_get_mem_data(b, &p);
    const int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, is_private ? 0600 : 0644);
    sb_status s = SB_OK;
    if (fd < 0 || write(fd, p, n) != (ssize_t)n || fsync(fd) != 0)
        s = sb_data_fail(err, "cannot write", path, errno ? errno : EIO);
    if (fd >= 0) (void)close(fd);
    if (is_private) explicit_bzero(p, n);
    (void)BIO_free(b);
    if (s != SB_OK && fd >= 0) (void)unlink(path);
    return s;
}

/* The folder's own entry for what was moved into it. */
static void flush_dir(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    if (fsync(fd) != 0) errno = 0; /* a file system that cannot: the files are whole anyway */
    (void)close(fd);
}

/* Makes a key; replace: in place of the one in use, else only where there is none. */
static sb_status make(sb_receipt_keys *k, bool replace, sb_error *err)
{
    unsigned char raw[SB_RECEIPT_KEY_BYTES];
    char id[SB_RECEIPT_KEY_ID_BYTES], part[SB_MAX_PATH_BYTES], public[SB_MAX_PATH_BYTES];
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key || !raw_of(key, raw)) {
        EVP_PKEY_free(key);
        return SB_FAIL(err, SB_UNSUPPORTED, "this libcrypto makes no Ed25519 keys");
    }
    sb_status s = id_of(raw, id, err);
    if (s == SB_OK && (!join(part, k->dir, id, ".new") || !join(public, k->dir, id, ".pem")))
        s = SB_FAIL(err, SB_LIMIT, "the path of the receipt keys is too long");
    if (s == SB_OK) s = write_new(public, key, false, err);
    if (s == SB_OK) s = write_new(part, key, true, err);
    EVP_PKEY_free(key);
    if (s != SB_OK) return s;
    const int failed = replace ? rename(part, k->private_path) : link(part, k->private_path);
    const int why = errno;
    if (failed && !(why == EEXIST && !replace))
        s = sb_data_fail(err, "cannot make", k->private_path, why);
    if (!replace || failed) (void)unlink(part);
    if (failed) (void)unlink(public); /* another process was first */
    flush_dir(k->dir);
    return s;
}

sb_status sb_receipt_keys_open(sb_receipt_keys **out, const char *home, sb_error *err)
{
    sb_receipt_keys *k = sb_calloc(1, sizeof *k);
    sb_error why = {0};
    if (!k) return SB_FAIL(err, SB_NO_MEMORY, "receipt key: no memory");
    sb_status s = sb_data_folder(k->dir, home, "receipt-keys", &why);
    if (s == SB_OK && !join(k->private_path, k->dir, "signing.pem", ""))
        s = SB_FAIL(&why, SB_LIMIT, "the path of the receipt keys is too long");
    if (s == SB_OK) s = load(k, &why);
    if (s == SB_NOT_FOUND) {
        s = make(k, false, &why);
        if (s == SB_OK) s = load(k, &why);
    }
    if (s == SB_OK) {
        *out = k;
        return SB_OK;
    }
    if (err) *err = why;
    sb_receipt_keys_close(k);
    return s;
}

void sb_receipt_keys_close(sb_receipt_keys *k)
{
    if (!k) return;
    EVP_PKEY_free(k->key);
    sb_free(k);
}

const char *sb_receipt_keys_dir(const sb_receipt_keys *k)
{
    return k->dir;
}

const char *sb_receipt_keys_id(sb_receipt_keys *k)
{
    struct stat st;
    const bool changed = stat(k->private_path, &st) == 0 &&
                         (st.st_ino != k->ino || st.st_mtim.tv_sec != k->mtime.tv_sec ||
                          st.st_mtim.tv_nsec != k->mtime.tv_nsec);
    if (changed && load(k, NULL) != SB_OK) return k->id; /* the one that was read stays good */
    return k->id;
}

sb_status sb_receipt_keys_sign(sb_receipt_keys *k, sb_str bytes, char out_sig[SB_RECEIPT_SIG_BYTES],
                               sb_error *err)
{
    unsigned char sig[SIG_RAW];
    size_t n = sizeof sig;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
    const bool ok = EVP_DigestSignInit(c, NULL, NULL, NULL, k->key) == 1 &&
                    EVP_DigestSign(c, sig, &n, (const unsigned char *)bytes.p, bytes.n) == 1 &&
                    n == sizeof sig;
    EVP_MD_CTX_free(c);
    if (!ok) return SB_FAIL(err, SB_UNSUPPORTED, "receipt: libcrypto does not sign");
    base64(sig, sizeof sig, out_sig);
    return SB_OK;
}

sb_status sb_receipt_keys_rotate(sb_receipt_keys *k, sb_error *err)
{
    SB_TRY(make(k, true, err));
    return load(k, err);
}

/* ---- public keys ---- */

static bool is_id(const char *s, size_t n)
{
    if (n != SB_RECEIPT_KEY_ID_BYTES - 1) return false;
    for (size_t i = 0; i < n; i++)
        if (!memchr("0123456789abcdef", s[i], 16)) return false;
    return true;
}

static sb_status read_pem(const char *p, size_t n, const char *id, const char *path,
                          unsigned char out[SB_RECEIPT_KEY_BYTES], sb_error *err)
{
    unsigned char raw[SB_RECEIPT_KEY_BYTES];
    char is[SB_RECEIPT_KEY_ID_BYTES];
    EVP_PKEY *key = key_of_pem(p, n, false);
    const bool ok = key && raw_of(key, raw);
    EVP_PKEY_free(key);
    if (!ok) return no_key(err, path);
    SB_TRY(id_of(raw, is, err));
    if (strcmp(is, id) != 0)
        return SB_FAIL(err, SB_NOT_FOUND, "this is key %s, and the receipt is signed with another",
                       is);
    memcpy(out, raw, sizeof raw);
    return SB_OK;
}

sb_status sb_receipt_key_find(const char *home, const char *id,
                              unsigned char out[SB_RECEIPT_KEY_BYTES], sb_error *err)
{
    char path[SB_MAX_PATH_BYTES], name[64], pem[PEM_BYTES];
    size_t n = 0;
    struct stat st;
    if (!is_id(id, strlen(id)))
        return SB_FAIL(err, SB_NOT_FOUND, "the receipt names no key of this machine");
    (void)snprintf(name, sizeof name, "receipt-keys/%s.pem", id);
    if (!join(path, home, name, "")) return SB_FAIL(err, SB_LIMIT, "the path is too long");
    sb_status s = read_file(path, pem, &n, &st, err);
    if (s == SB_NOT_FOUND)
        return SB_FAIL(err, SB_NOT_FOUND,
                       "key %s is none of this machine: give the server's with --key FILE", id);
    return s == SB_OK ? read_pem(pem, n, id, path, out, err) : s;
}

static sb_status read_jwk(const json_t *root, const char *id,
                          unsigned char out[SB_RECEIPT_KEY_BYTES], sb_error *err)
{
    const json_t *keys = json_object_get(root, "keys");
    for (size_t i = 0; i < json_array_size(keys) && i < MOST_KEYS; i++) {
        const char *x = json_string_value(json_object_get(json_array_get(keys, i), "x"));
        unsigned char raw[SB_RECEIPT_KEY_BYTES];
        char is[SB_RECEIPT_KEY_ID_BYTES];
        if (!x || !unbase64(x, raw, sizeof raw)) continue;
        SB_TRY(id_of(raw, is, err)); /* what a file calls a key does not count */
        if (strcmp(is, id) != 0) continue;
        memcpy(out, raw, sizeof raw);
        return SB_OK;
    }
    return SB_FAIL(err, SB_NOT_FOUND, "the receipt's key is not in this file");
}

sb_status sb_receipt_key_read(sb_str text, const char *id, unsigned char out[SB_RECEIPT_KEY_BYTES],
                              sb_error *err)
{
    static const char begin[] = "-----BEGIN ";
    json_t *root = NULL;
    if (text.n >= sizeof begin - 1 && text.n < PEM_BYTES &&
        memcmp(text.p, begin, sizeof begin - 1) == 0)
        return read_pem(text.p, text.n, id, "the key's file", out, err);
    SB_TRY(sb_canon_read(&root, text.p, text.n, "the key's file", err));
    const sb_status s = read_jwk(root, id, out, err);
    json_decref(root);
    return s;
}

bool sb_receipt_sig_ok(const unsigned char key[SB_RECEIPT_KEY_BYTES], sb_str bytes, const char *sig)
{
    unsigned char raw[SIG_RAW];
    if (!unbase64(sig, raw, sizeof raw)) return false;
    EVP_PKEY *p = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, SB_RECEIPT_KEY_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    const bool ok =
        p && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, p) == 1 &&
        EVP_DigestVerify(c, raw, sizeof raw, (const unsigned char *)bytes.p, bytes.n) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(p);
    return ok;
}

/* ---- what clients are shown ---- */

static json_t *jwk(const char *id, const unsigned char raw[SB_RECEIPT_KEY_BYTES])
{
    char x[48];
    base64(raw, SB_RECEIPT_KEY_BYTES, x);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kty", "OKP", "crv", "Ed25519", "alg", "EdDSA",
                     "kid", id, "x", x);
}

/* All public keys of the folder but the one in use. */
static bool add_old(const sb_receipt_keys *k, json_t *keys)
{
    DIR *d = opendir(k->dir);
    const struct dirent *e;
    bool ok = true;
    while (ok && d && (e = readdir(d)) && json_array_size(keys) < MOST_KEYS) {
        char path[SB_MAX_PATH_BYTES], id[SB_RECEIPT_KEY_ID_BYTES], pem[PEM_BYTES];
        unsigned char raw[SB_RECEIPT_KEY_BYTES];
        struct stat st;
        size_t n = strlen(e->d_name);
        if (n != SB_RECEIPT_KEY_ID_BYTES + 3 || strcmp(e->d_name + n - 4, ".pem") != 0 ||
            !is_id(e->d_name, n - 4))
            continue;
        memcpy(id, e->d_name, n - 4);
        id[n - 4] = 0;
        if (strcmp(id, k->id) == 0 || !join(path, k->dir, id, ".pem")) continue;
        if (read_file(path, pem, &n, &st, NULL) != SB_OK ||
            read_pem(pem, n, id, path, raw, NULL) != SB_OK)
            continue;
        ok = json_array_append_new(keys, jwk(id, raw)) == 0;
    }
    if (d) (void)closedir(d);
    return ok;
}

sb_status sb_receipt_keys_json(sb_receipt_keys *k, sb_buf *out, sb_error *err)
{
    unsigned char raw[SB_RECEIPT_KEY_BYTES];
    char x[48];
    const char *id = sb_receipt_keys_id(k);
    if (!raw_of(k->key, raw)) return no_key(err, k->private_path);
    base64(raw, sizeof raw, x);
    json_t *root = json_object(), *keys = json_array();
    bool ok = root && keys && json_array_append_new(keys, jwk(id, raw)) == 0 && add_old(k, keys);
    sb_canon_put(root, "alg", json_string("Ed25519"), &ok);
    sb_canon_put(root, "key_id", json_string(id), &ok);
    sb_canon_put(root, "public_key", json_string(x), &ok);
    sb_canon_put(root, "keys", keys, &ok);
    const sb_status s =
        ok ? sb_canon_add(out, root, err) : SB_FAIL(err, SB_NO_MEMORY, "receipt key: no memory");
    json_decref(root);
    return s;
}
