/* SPDX-License-Identifier: Apache-2.0
 * weights.h - weights as the kernels read them: laid out and packed by weights.c. */
#ifndef SB_ENGINE_WEIGHTS_H
#define SB_ENGINE_WEIGHTS_H
#include "engine/internal.h"

/* What a thread packs with: a panel's rows as the file has them, and as float32 (NULL when not
 * exact). When MAPPED also room for the panels of one product at a time. */
struct sb_bench {
    unsigned char *rows;
    float *f32;
    unsigned char *panels;
};

/* Product formats: what a weight's panels hold and what its input must be. */
sb_format sb_engine_panel_format(const sb_engine *e, const sb_weight *w);
sb_act sb_engine_act(const sb_engine *e, const sb_weight *w);

/* weights.c: marks, lays out and packs. Layout works on a measuring arena, too, and takes nothing
 * for matrices when e->mapped or e->cache. */
void sb_engine_mark_weights(sb_engine *e);
void sb_engine_layout_weights(sb_engine *e, sb_arena *a);
void sb_engine_layout_benches(sb_engine *e, sb_arena *a);
sb_status sb_engine_pack(sb_engine *e, sb_error *err) SB_MUST_USE;
/* The most bytes that a row of a matrix has in its file. */
size_t sb_engine_row_bytes(const sb_engine *e);
/* Panel `panel` of weight i into dst; false when the file did not give its rows. Any thread, with a
 * bench of its own. */
bool sb_engine_pack_panel(const sb_engine *e, int32_t i, int32_t panel, const sb_bench *b,
                          unsigned char *dst);
#endif
