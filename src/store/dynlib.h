/* SPDX-License-Identifier: Apache-2.0
 * dynlib.h - libarchive, libcrypto and libcurl, loaded when first needed.
 *
 * Purpose     Linked in the ordinary way the first two alone, and the fifteen they bring along
 *             (XML, Unicode data, compressors), take a start of the command from 0.8 ms to 3.2 ms
 *             (measured, Zen 3, median of 60), and an answer needs none of them. So whoever pulls
 *             or hashes opens them by name and calls through a table whose types come from the
 *             libraries' own headers.
 * Ownership   A loaded library stays until the process ends; loading again only finds it.
 * Errors      SB_UNSUPPORTED naming the library and the package that brings it.
 * Threads     Any. */
#ifndef SB_STORE_DYNLIB_H
#define SB_STORE_DYNLIB_H
#include "base/base.h"

#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SB_ARCHIVE_CALLS(X)                                                                        \
    X(archive_read_new)                                                                            \
    X(archive_read_free)                                                                           \
    X(archive_read_support_format_zip)                                                             \
    X(archive_read_open_filename)                                                                  \
    X(archive_read_next_header)                                                                    \
    X(archive_read_data)                                                                           \
    X(archive_entry_pathname)                                                                      \
    X(archive_entry_filetype)                                                                      \
    X(archive_entry_size)                                                                          \
    X(archive_entry_size_is_set)                                                                   \
    X(archive_error_string)

#define SB_CRYPTO_CALLS(X)                                                                         \
    X(EVP_MD_CTX_new)                                                                              \
    X(EVP_MD_CTX_free)                                                                             \
    X(EVP_sha256)                                                                                  \
    X(EVP_DigestInit_ex)                                                                           \
    X(EVP_DigestUpdate)                                                                            \
    X(EVP_DigestFinal_ex)                                                                          \
    X(CRYPTO_memcmp)

#define SB_CURL_CALLS(X)                                                                           \
    X(curl_global_init)                                                                            \
    X(curl_easy_init)                                                                              \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_reset)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_strerror)                                                                          \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_url)                                                                                    \
    X(curl_url_cleanup)                                                                            \
    X(curl_url_set)                                                                                \
    X(curl_url_get)                                                                                \
    X(curl_free)

#define X(call) __typeof__(&call) call;
typedef struct sb_archive_lib {
    SB_ARCHIVE_CALLS(X)
} sb_archive_lib;
typedef struct sb_crypto_lib {
    SB_CRYPTO_CALLS(X)
} sb_crypto_lib;
typedef struct sb_curl_lib {
    SB_CURL_CALLS(X)
} sb_curl_lib;
#undef X

sb_status sb_archive_lib_load(sb_archive_lib *out, sb_error *err) SB_MUST_USE;
sb_status sb_crypto_lib_load(sb_crypto_lib *out, sb_error *err) SB_MUST_USE;
/* Initialised, too. */
sb_status sb_curl_lib_load(sb_curl_lib *out, sb_error *err) SB_MUST_USE;
#endif
