/* SPDX-License-Identifier: Apache-2.0
 * assets.h - the page's files as the build made them (tools/bundle-page).
 *
 * Invariants  Sorted by name. Every name but index.html carries a hash of the content, so a name's
 *             bytes never change.
 * Threads     Read-only. */
#ifndef SB_SERVER_ASSETS_H
#define SB_SERVER_ASSETS_H
#include <stddef.h>

typedef struct sb_page_asset {
    const char *name, *type, *etag;
    const unsigned char *plain;
    size_t plain_bytes;
    const unsigned char *zipped; /* gzip, or NULL where that saves little */
    size_t zipped_bytes;
} sb_page_asset;

extern const sb_page_asset sb_page_assets[];
extern const size_t sb_page_n_assets;
#endif
