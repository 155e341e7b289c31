/* SPDX-License-Identifier: Apache-2.0
 * advice.c - the catalogue's estimates against the machine's memory. */
#include "cli/advice.h"

#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "store/catalog.h"
#include "base/machine.h"

sb_fit sb_fit_of(uint64_t need_bytes)
{
    sb_machine_memory m;
    if (sb_machine_memory_read(getenv("SOBRE_SYSFS_ROOT"), &m, NULL) != SB_OK)
        return SB_FIT_UNKNOWN;
    if (need_bytes <= m.available_bytes) return SB_FIT_YES;
    return need_bytes <= m.total_bytes - m.total_bytes / 8 ? SB_FIT_TIGHT : SB_FIT_NO;
}

const char *sb_fit_word(sb_fit f)
{
    static const char *const words[] = {[SB_FIT_UNKNOWN] = "unknown",
                                        [SB_FIT_YES] = "fits",
                                        [SB_FIT_TIGHT] = "tight",
                                        [SB_FIT_NO] = "too large"};
    return words[f];
}

bool sb_arch_is_known(void *ctx, const char *arch)
{
    const size_t n = strlen(arch);
    (void)ctx;
    for (const char *p = sb_model_arch_list(); *p;) {
        const size_t k = strcspn(p, ",");
        if (k == n && memcmp(p, arch, n) == 0) return true;
        p += k;
        p += strspn(p, ", ");
    }
    return false;
}

sb_status sb_advice_larger(uint64_t file_bytes, sb_buf *out, sb_error *err)
{
    sb_machine_memory m;
    sb_catalog_row row;
    bool exact;
    SB_TRY(sb_machine_memory_read(getenv("SOBRE_SYSFS_ROOT"), &m, err));
    if (!sb_catalog_best(m.available_bytes, sb_catalog_memory(file_bytes), sb_arch_is_known, NULL,
                         &row))
        return SB_OK;
    return sb_buf_addf(out, err,
                       "This machine's memory (%.1f GB free) carries %s, a download of about %.1f "
                       "GB: `sobre pull %s`",
                       (double)m.available_bytes / 1e9, row.display,
                       (double)sb_catalog_bytes(&row, &exact) / 1e9, row.name);
}
