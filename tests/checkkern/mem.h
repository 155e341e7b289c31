/* SPDX-License-Identifier: Apache-2.0
 * mem.h - the guarded buffers of the running case; common.c and main.c only. */
#ifndef SB_CHECKKERN_MEM_H
#define SB_CHECKKERN_MEM_H
#include "checkkern.h"

typedef struct ck_block {
    unsigned char *p;
    size_t bytes, front; /* mapped; canaries before the buffer */
} ck_block;

typedef struct ck_mem {
    ck_block block[64];
    size_t n;
    bool case_failed;
} ck_mem;
#endif
