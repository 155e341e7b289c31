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
#define X(name, display, licence, terms, bytes, sha256)                                            \
    {name, display, licence, terms, bytes, sha256, NULL, 0},
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
