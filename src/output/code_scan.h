/* SPDX-License-Identifier: Apache-2.0
 * code_scan.h - strings and brackets of code as it comes, in Python's way; for this room's files
 * only. */
#ifndef SB_OUTPUT_CODE_SCAN_H
#define SB_OUTPUT_CODE_SCAN_H
#include "base/base.h"

/* Zero-initialise. */
typedef struct sb_code_scan {
    int32_t depth; /* open brackets of all kinds */
    char quote;    /* of the string inside of which we are, or 0 */
    bool triple;
    bool is_closed; /* depth came back to 0 */
} sb_code_scan;

/* Takes the next bytes, one or (a triple quote, an escape) more; returns how many, 0 when more text
 * is needed to tell. is_last: no more will come. */
size_t sb_code_scan_next(sb_code_scan *s, const char *p, size_t n, bool is_last);
#endif
