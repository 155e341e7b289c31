/* SPDX-License-Identifier: Apache-2.0
 * catalog.c - the two lists as constant tables, joined by name when a row is asked for. */
#include "store/catalog.h"

#include <string.h>

static const sb_catalog_part part_rows[] = {
#define X(name, source, member, download_bytes, bytes, sha256)                                     \
    {name, source, member, download_bytes, bytes, sha256},
#include "store/catalog-parts.def"
#undef X
};

static const sb_catalog_row model_rows[] = {
#define X(name, display, licence, terms, arch, params, bits, bytes, sha256, source)                \
    {name, display, licence, terms, arch, params, bits, bytes, sha256, source, NULL, 0},
#include "store/catalog.def"
#undef X
};

size_t sb_catalog_n(void)
{
    return SB_ARRAY_LEN(model_rows);
}

sb_catalog_row sb_catalog_get(size_t i)
{
    sb_catalog_row row = model_rows[i];
    for (size_t k = 0; k < SB_ARRAY_LEN(part_rows); k++) {
        if (strcmp(part_rows[k].name, row.name) != 0) continue;
        if (!row.parts) row.parts = &part_rows[k];
        row.n_part++; /* the rows of one model are neighbours: catalog_test.c checks it */
    }
    return row;
}

bool sb_catalog_find(const char *name, sb_catalog_row *out)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(model_rows); i++) {
        if (strcmp(model_rows[i].name, name) != 0) continue;
        *out = sb_catalog_get(i);
        return true;
    }
    return false;
}

uint64_t sb_catalog_bytes(const sb_catalog_row *row, bool *out_exact)
{
    *out_exact = row->bytes > 0;
    return *out_exact ? row->bytes : row->params_m * 10000 * row->bits_x100 / 8;
}

uint64_t sb_catalog_memory(uint64_t file_bytes)
{
    return file_bytes + file_bytes / 10 + 300000000;
}

bool sb_catalog_best(uint64_t memory, uint64_t beyond, bool (*arch_known)(void *ctx, const char *),
                     void *ctx, sb_catalog_row *out)
{
    uint64_t best = beyond;
    bool found = false;
    for (size_t i = 0; i < SB_ARRAY_LEN(model_rows); i++) {
        const sb_catalog_row row = sb_catalog_get(i);
        bool exact;
        const uint64_t need = sb_catalog_memory(sb_catalog_bytes(&row, &exact));
        if (row.terms || need > memory || need <= best) continue;
        if (arch_known && !arch_known(ctx, row.arch)) continue;
        best = need;
        *out = row;
        found = true;
    }
    return found;
}
