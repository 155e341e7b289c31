/* SPDX-License-Identifier: Apache-2.0
 * pack.h - the packed layouts: weights in panels of 32 output columns, keys and values in pages.
 *
 * Purpose     One layout for one row or five hundred: bytes lie in the order they are consumed, so
 *             a thread reads one sequential stream. Packing loses nothing: codes, scales and minima
 *             are the file's own.
 * Byte tables are in pack.c, beside the code that writes them, and in kv_page.h. */
#ifndef SB_KERNELS_PACK_H
#define SB_KERNELS_PACK_H
#include "kernels/kernels.h"

/* Bytes of one panel (32 columns x k), a multiple of 64. */
size_t sb_pack_panel_bytes(sb_format f, int64_t k);
/* Packs up to 32 rows (n_row <= 32; missing columns become zero weights) of a matrix stored in
 * format f, rows row_bytes apart, into one panel at dst (64-byte aligned). */
void sb_pack_panel(sb_format f, const unsigned char *rows, size_t row_bytes, int32_t n_row,
                   int64_t k, unsigned char *dst);
/* The same from float32 rows (format F32), for exact mode: rows are unpacked first. */

/* Bytes of one page (64 positions) of keys, or of values, of one KV head. */
size_t sb_kv_page_bytes(sb_kv_type t, int32_t head_dim);
/* Stores one position (0..63) of a page; values are rounded to t, bytes as in kv_page.h. To I8, per
 * group of SB_KV_GROUP dims: amax = max |x|, code = round_half_even(x * (127 / amax)), scale = amax
 * / 127; all 0 where amax < SB_ACT_TINY; a group that holds a NaN or an infinity gets codes 0 and
 * the scale NaN: it shows. Different positions of a page may be stored by different threads at
 * once. */
void sb_kv_put_k(sb_kv_type t, void *page, int32_t pos, const float *x, int32_t head_dim);
void sb_kv_put_v(sb_kv_type t, void *page, int32_t pos, const float *x, int32_t head_dim);
#endif
