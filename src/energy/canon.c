/* SPDX-License-Identifier: Apache-2.0
 * canon.c - one spelling for JSON.
 *
 * The JSON library's own output was refused: it writes 0.1 with 17 digits and 2.0 as a number that
 * other languages write as 2, and a signature must not depend on that. */
#include "energy/canon.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { MOST_KEYS = 1024 };

static sb_status add(sb_buf *out, const char *text, sb_error *err)
{
    return sb_buf_add(out, text, strlen(text), err);
}

static sb_status add_escape(sb_buf *out, unsigned char c, sb_error *err)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = c ? strchr(from, c) : NULL;
    if (at) return sb_buf_addf(out, err, "\\%c", to[at - from]);
    return sb_buf_addf(out, err, "\\u%04x", c);
}

sb_status sb_canon_text(sb_buf *out, const char *p, size_t n, sb_error *err)
{
    size_t from = 0;
    SB_TRY(add(out, "\"", err));
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        SB_TRY(sb_buf_add(out, p + from, i - from, err));
        SB_TRY(add_escape(out, c, err));
        from = i + 1;
    }
    SB_TRY(sb_buf_add(out, p + from, n - from, err));
    return add(out, "\"", err);
}

static sb_status add_real(sb_buf *out, double v, sb_error *err)
{
    const double most = 1e12;
    if (!(fabs(v) < most)) return SB_FAIL(err, SB_CORRUPT, "a number too large for a receipt");
    const long long milli = llround(v * 1e3);
    if ((double)milli / 1e3 != v)
        return SB_FAIL(err, SB_CORRUPT, "a number with more than three decimals");
    const long long whole = milli / 1000, part = milli < 0 ? -(milli % 1000) : milli % 1000;
    if (part == 0) return sb_buf_addf(out, err, "%lld", whole);
    char digits[8];
    int n = snprintf(digits, sizeof digits, "%03lld", part);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return sb_buf_addf(out, err, "%s%lld.%.*s", milli < 0 && whole == 0 ? "-" : "", whole, n,
                       digits);
}

static sb_status add_value(sb_buf *out, const json_t *v, int depth, sb_error *err);

static int by_bytes(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static sb_status add_object(sb_buf *out, const json_t *v, int depth, sb_error *err)
{
    const size_t n = json_object_size(v);
    if (n > MOST_KEYS) return SB_FAIL(err, SB_LIMIT, "an object of more than %d names", MOST_KEYS);
    const char **keys = sb_alloc(n ? n : 1, sizeof *keys);
    if (!keys) return SB_FAIL(err, SB_NO_MEMORY, "JSON: no memory");
    size_t i = 0;
    json_t *all = (json_t *)(uintptr_t)v; // the library's iterators want it writable
    for (void *it = json_object_iter(all); it && i < n; it = json_object_iter_next(all, it))
        keys[i++] = json_object_iter_key(it);
    qsort(keys, i, sizeof *keys, by_bytes);
    sb_status s = add(out, "{", err);
    for (size_t k = 0; s == SB_OK && k < i; k++) {
        if (k) s = add(out, ",", err);
        if (s == SB_OK) s = sb_canon_text(out, keys[k], strlen(keys[k]), err);
        if (s == SB_OK) s = add(out, ":", err);
        if (s == SB_OK) s = add_value(out, json_object_get(v, keys[k]), depth + 1, err);
    }
    sb_free(keys);
    return s == SB_OK ? add(out, "}", err) : s;
}

static sb_status add_array(sb_buf *out, const json_t *v, int depth, sb_error *err)
{
    SB_TRY(add(out, "[", err));
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i) SB_TRY(add(out, ",", err));
        SB_TRY(add_value(out, json_array_get(v, i), depth + 1, err));
    }
    return add(out, "]", err);
}

static sb_status add_value(sb_buf *out, const json_t *v, int depth, sb_error *err)
{
    if (depth > SB_CANON_DEPTH)
        return SB_FAIL(err, SB_CORRUPT, "JSON nested deeper than %d", SB_CANON_DEPTH);
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return add_object(out, v, depth, err);
    case JSON_ARRAY:
        return add_array(out, v, depth, err);
    case JSON_STRING:
        return sb_canon_text(out, json_string_value(v), json_string_length(v), err);
    case JSON_INTEGER:
        return sb_buf_addf(out, err, "%lld", (long long)json_integer_value(v));
    case JSON_REAL:
        return add_real(out, json_real_value(v), err);
    case JSON_TRUE:
        return add(out, "true", err);
    case JSON_FALSE:
        return add(out, "false", err);
    case JSON_NULL:
        return add(out, "null", err);
    }
    sb_unreachable("all types are above");
}

sb_status sb_canon_add(sb_buf *out, const json_t *v, sb_error *err)
{
    return add_value(out, v, 0, err);
}

/* The library's parser recurses as deep as its text nests: that is looked at before. */
static bool too_deep(const char *p, size_t n)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"') quoted = !quoted;
        if (quoted && p[i] == '\\') i++;
        if (quoted) continue;
        if (p[i] == '{' || p[i] == '[') depth++;
        if (p[i] == '}' || p[i] == ']') depth--;
        if (depth > SB_CANON_DEPTH) return true;
    }
    return false;
}

sb_status sb_canon_read(json_t **out, const char *p, size_t n, const char *what, sb_error *err)
{
    json_error_t why;
    if (too_deep(p, n))
        return SB_FAIL(err, SB_CORRUPT, "%s: nested deeper than %d", what, SB_CANON_DEPTH);
    json_t *v = json_loadb(p, n, JSON_REJECT_DUPLICATES, &why);
    if (!v && json_error_code(&why) == json_error_out_of_memory)
        return SB_FAIL(err, SB_NO_MEMORY, "%s: no memory", what);
    if (!v) return SB_FAIL(err, SB_CORRUPT, "%s: not JSON at byte %d", what, why.position);
    if (!json_is_object(v)) {
        json_decref(v);
        return SB_FAIL(err, SB_CORRUPT, "%s: not an object", what);
    }
    *out = v;
    return SB_OK;
}

json_t *sb_canon_milli(int64_t v)
{
    return v % 1000 ? json_real((double)v / 1e3) : json_integer(v / 1000);
}

void sb_canon_put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_set_new(object, key, value) != 0) *ok = false; /* gives value back itself */
}

sb_status sb_hash_hex(char out[SB_HASH_BYTES], const sb_str *pieces, size_t n, sb_error *err)
{
    static const char digit[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n_md = 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "sha-256: no memory");
    bool ok = EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = pieces[i].n == 0 || EVP_DigestUpdate(c, pieces[i].p, pieces[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(c, md, &n_md) == 1 && n_md == 32;
    EVP_MD_CTX_free(c);
    if (!ok) return SB_FAIL(err, SB_UNSUPPORTED, "sha-256: libcrypto failed");
    for (unsigned i = 0; i < n_md; i++) {
        out[2 * i] = digit[md[i] >> 4];
        out[2 * i + 1] = digit[md[i] & 15];
    }
    out[2 * (size_t)n_md] = 0;
    return SB_OK;
}

bool sb_hash_is(const char *text, size_t n)
{
    if (n != SB_HASH_BYTES - 1) return false;
    for (size_t i = 0; i < n; i++)
        if (!memchr("0123456789abcdef", text[i], 16)) return false;
    return true;
}
