/* SPDX-License-Identifier: Apache-2.0
 * name_index.h - finds a record by its name, at a speed that no hostile file can spoil.
 *
 * Purpose     Open addressing over an array of records that each begin with an sb_str. Names are
 *             hashed with SipHash-1-3 under a random key, so nobody can choose colliding names.
 * Invariants  At most half full. Slots hold record number + 1; 0 is free.
 * Ownership   Owns its slots only; records and names are the caller's and may move between calls.
 * Cost        One allocation at init; O(length of name) a call, expected. */
#ifndef SB_GGUF_NAME_INDEX_H
#define SB_GGUF_NAME_INDEX_H
#include "base/base.h"

typedef struct sb_name_index {
    uint32_t *slots;
    size_t mask;     /* slots - 1, a power of two less one */
    uint64_t key[2]; /* of the hash */
} sb_name_index;

/* Room for n_max records (n_max < 2^30). */
sb_status sb_name_index_init(sb_name_index *x, size_t n_max, sb_error *err) SB_MUST_USE;
void sb_name_index_deinit(sb_name_index *x);
/* Adds record i of `records` (stride bytes each). Returns i, or the record that has that name
 * already (then nothing is added). */
size_t sb_name_index_add(sb_name_index *x, const void *records, size_t stride, size_t i);
/* The record called `name`, or SIZE_MAX. An index that was never initialised is empty. */
size_t sb_name_index_find(const sb_name_index *x, const void *records, size_t stride, sb_str name);
#endif
