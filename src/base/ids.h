/* SPDX-License-Identifier: Apache-2.0
 * ids.h - a growing array of token ids with a limit, the currency between tokenizer and engine.
 *
 * Invariants  n <= cap <= max.
 * Errors      as sb_buf. */
#ifndef SB_BASE_IDS_H
#define SB_BASE_IDS_H
#include "base/base.h"

typedef struct sb_ids {
    int32_t *v;
    size_t n, cap, max;
} sb_ids;

void sb_ids_init(sb_ids *a, size_t max);
void sb_ids_deinit(sb_ids *a);
void sb_ids_clear(sb_ids *a);
sb_status sb_ids_add(sb_ids *a, int32_t id, sb_error *err) SB_MUST_USE;
sb_status sb_ids_reserve(sb_ids *a, size_t n_more, sb_error *err) SB_MUST_USE;
#endif
