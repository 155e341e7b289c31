/* SPDX-License-Identifier: Apache-2.0
 * dynlib.c - finds the libraries by their sonames and fills the tables; all or nothing. */
#include "store/dynlib.h"

#include <dlfcn.h>
#include <string.h>

/* The soname this was compiled against, then the developer's name for a newer one. */
static void *open_first(const char *soname, const char *plain)
{
    void *h = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    return h ? h : dlopen(plain, RTLD_NOW | RTLD_LOCAL);
}

/* Copies the address as bytes: ISO C has no cast from an object to a function pointer. */
static bool find_call(void *lib, const char *name, void *out_fn)
{
    void *p = dlsym(lib, name);
    if (!p) return false;
    memcpy(out_fn, &p, sizeof p);
    return true;
}

#define X(call)                                                                                    \
    if (!find_call(h, #call, &lib.call))                                                           \
        return SB_FAIL(err, SB_UNSUPPORTED, "%s lacks %s: install a newer %s", what, #call, what);

sb_status sb_archive_lib_load(sb_archive_lib *out, sb_error *err)
{
    static const char what[] = "libarchive";
    void *h = open_first("libarchive.so.13", "libarchive.so");
    if (!h)
        return SB_FAIL(err, SB_UNSUPPORTED, "libarchive is not installed (package libarchive13)");
    sb_archive_lib lib;
    SB_ARCHIVE_CALLS(X)
    *out = lib;
    return SB_OK;
}

sb_status sb_crypto_lib_load(sb_crypto_lib *out, sb_error *err)
{
    static const char what[] = "libcrypto";
    void *h = open_first("libcrypto.so.3", "libcrypto.so");
    if (!h) return SB_FAIL(err, SB_UNSUPPORTED, "libcrypto is not installed (package libssl3)");
    sb_crypto_lib lib;
    SB_CRYPTO_CALLS(X)
    *out = lib;
    return SB_OK;
}

sb_status sb_curl_lib_load(sb_curl_lib *out, sb_error *err)
{
    static const char what[] = "libcurl";
    void *h = open_first("libcurl.so.4", "libcurl.so");
    if (!h) return SB_FAIL(err, SB_UNSUPPORTED, "libcurl is not installed (package libcurl4)");
    sb_curl_lib lib;
    SB_CURL_CALLS(X)
    if (lib.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return SB_FAIL(err, SB_UNSUPPORTED, "libcurl cannot start");
    *out = lib;
    return SB_OK;
}
#undef X
