/* SPDX-License-Identifier: Apache-2.0
 * digest.c - SHA-256 through libcrypto's EVP, which uses the CPU's own instructions (1.7 GB/s). */
#include "store/digest.h"

#include "base/alloc.h"
#include "store/dynlib.h"

struct sb_sha256 {
    sb_crypto_lib lib;
    EVP_MD_CTX *ctx;
};

enum { PIECE_BYTES = 4 << 20 }; /* about 3 ms: how long a cancel may wait */

sb_status sb_sha256_new(sb_sha256 **out, sb_error *err)
{
    sb_sha256 *h = sb_calloc(1, sizeof *h);
    if (!h) return SB_FAIL(err, SB_NO_MEMORY, "sha-256: no memory");
    sb_status s = sb_crypto_lib_load(&h->lib, err);
    if (s != SB_OK) goto fail;
    h->ctx = h->lib.EVP_MD_CTX_new();
    if (!h->ctx) {
        s = SB_FAIL(err, SB_NO_MEMORY, "sha-256: no memory");
        goto fail;
    }
    s = sb_sha256_restart(h, err);
    if (s != SB_OK) goto fail;
    *out = h;
    return SB_OK;
fail:
    sb_sha256_free(h);
    return s;
}

void sb_sha256_free(sb_sha256 *h)
{
    if (!h) return;
    if (h->ctx) h->lib.EVP_MD_CTX_free(h->ctx);
    sb_free(h);
}

sb_status sb_sha256_restart(sb_sha256 *h, sb_error *err)
{
    if (h->lib.EVP_DigestInit_ex(h->ctx, h->lib.EVP_sha256(), NULL) != 1)
        return SB_FAIL(err, SB_UNSUPPORTED, "sha-256: this libcrypto refuses it");
    return SB_OK;
}

sb_status sb_sha256_add(sb_sha256 *h, const void *p, size_t n, sb_error *err)
{
    if (h->lib.EVP_DigestUpdate(h->ctx, p, n) != 1)
        return SB_FAIL(err, SB_UNSUPPORTED, "sha-256: libcrypto failed");
    return SB_OK;
}

sb_status sb_sha256_finish(sb_sha256 *h, char out_hex[SB_SHA256_HEX_BYTES], sb_error *err)
{
    static const char digit[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (h->lib.EVP_DigestFinal_ex(h->ctx, md, &n) != 1 || n != 32)
        return SB_FAIL(err, SB_UNSUPPORTED, "sha-256: libcrypto failed");
    for (size_t i = 0; i < 32; i++) {
        out_hex[2 * i] = digit[md[i] >> 4];
        out_hex[2 * i + 1] = digit[md[i] & 15];
    }
    out_hex[64] = 0;
    return SB_OK;
}

sb_status sb_sha256_bytes(const void *p, size_t n, bool (*cancelled)(void *), void *ctx,
                          char out_hex[SB_SHA256_HEX_BYTES], sb_error *err)
{
    sb_sha256 *h = NULL;
    sb_status s = sb_sha256_new(&h, err);
    if (s != SB_OK || !h) return s;
    const unsigned char *at = p;
    while (n > 0 && s == SB_OK) {
        const size_t piece = n < PIECE_BYTES ? n : PIECE_BYTES;
        if (cancelled && cancelled(ctx)) s = SB_FAIL(err, SB_CANCELLED, "interrupted");
        if (s == SB_OK) s = sb_sha256_add(h, at, piece, err);
        at += piece;
        n -= piece;
    }
    if (s == SB_OK) s = sb_sha256_finish(h, out_hex, err);
    sb_sha256_free(h);
    return s;
}
