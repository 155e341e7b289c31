/* SPDX-License-Identifier: Apache-2.0
 * advice.h - which models of the catalogue this machine's memory carries.
 *
 * Ownership   Nothing is kept.
 * Threads     Any. */
#ifndef SB_CLI_ADVICE_H
#define SB_CLI_ADVICE_H
#include "base/base.h"
#include "base/buf.h"

typedef enum sb_fit {
    SB_FIT_UNKNOWN, /* the machine does not say */
    SB_FIT_YES,     /* in the memory that is free */
    SB_FIT_TIGHT,   /* in the machine's, when others give way */
    SB_FIT_NO
} sb_fit;

/* How `need_bytes` of memory fit here. */
sb_fit sb_fit_of(uint64_t need_bytes);
/* "fits", "tight", "too large", "unknown". */
const char *sb_fit_word(sb_fit f);

/* Is `arch` one of model/arch.def? The shape of sb_pull_hooks.arch_known. */
bool sb_arch_is_known(void *ctx, const char *arch);

/* Appends the largest model of the catalogue that fits in free memory, is free of terms and larger
 * than a file of file_bytes, and the command for it, as one sentence. Nothing when there is
 * none. */
sb_status sb_advice_larger(uint64_t file_bytes, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
