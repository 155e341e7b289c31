/* SPDX-License-Identifier: Apache-2.0
 * output_head.c - the output head: logits of the rows that want them, or only the few largest.
 *
 * Logits of one row are up to a megabyte. When no row of a step wants all of its own, a thread
 * computes some panels into a scratch that stays in its caches and keeps the largest of each row;
 * the lists of all threads are joined behind the step. */
#include "engine/internal.h"

#include <math.h>

enum { SCRATCH_FLOATS = 16 * 1024 };

size_t sb_engine_head_floats(const sb_engine *e)
{
    const size_t least = (size_t)e->opts.n_rows * SB_PANEL;
    return least > SCRATCH_FLOATS ? least : SCRATCH_FLOATS;
}

static sb_top *top_of(const sb_engine *e, int i_thread, int32_t logit_row)
{
    return e->tops + (size_t)i_thread * (size_t)e->opts.n_rows + logit_row;
}

/* What is left to do with the product's rows. */
static void finish_rows(sb_engine *e, const sb_step *s, const sb_product *d, int i_thread)
{
    const int64_t n = (int64_t)d->n * SB_PANEL;
    const int32_t id0 = d->first * SB_PANEL, left = e->model->hp.n_vocab - id0;
    for (int32_t r = 0; r < d->n_row; r++) {
        float *y = d->y + (size_t)r * d->y_stride;
        if (s->softcap != 0) e->kern.softcap(y, s->softcap, n);
        const float greatest = e->kern.greatest(y, n);
        const int32_t k = e->batch.n_top[r];
        if (isnan(greatest)) {
            atomic_store(&e->broken, true);
            continue;
        }
        sb_top *t = top_of(e, i_thread, r);
        if (k > 0 && sb_top_wants(t, k, greatest))
            sb_top_gather(t, k, y, n < left ? (int32_t)n : left, id0);
    }
}

void sb_engine_head(sb_engine *e, const sb_job *j, int32_t first, int32_t n, int i_thread)
{
    const sb_step *s = &e->model->plan.steps[j->first];
    const int32_t n_row = e->batch.n_logits, end = first + n;
    const bool whole = e->batch.n_whole > 0;
    const int32_t most =
        whole ? n : (int32_t)(sb_engine_head_floats(e) / ((size_t)n_row * SB_PANEL));
    for (int32_t at = first; at < end; at += most) {
        const int32_t k = end - at < most ? end - at : most;
        const sb_product d = {.x = e->head_act,
                              .x_stride = e->head_stride,
                              .y = whole ? e->logits + (size_t)at * SB_PANEL : e->head_y[i_thread],
                              .y_stride = whole ? e->logits_stride : (size_t)k * SB_PANEL,
                              .n_row = n_row,
                              .first = at,
                              .n = k,
                              .act = e->head_kind};
        sb_engine_product(e, s->w[0], -1, &d, i_thread);
        finish_rows(e, s, &d, i_thread);
    }
}

void sb_engine_clear_tops(sb_engine *e)
{
    for (int t = 0; t < e->n_threads; t++)
        for (int32_t r = 0; r < e->batch.n_logits; r++)
            if (e->batch.n_top[r] > 0) top_of(e, t, r)->n = 0;
}

void sb_engine_join_tops(sb_engine *e)
{
    for (int32_t r = 0; r < e->batch.n_logits; r++)
        for (int t = 1; t < e->n_now && e->batch.n_top[r] > 0; t++)
            sb_top_join(top_of(e, 0, r), e->batch.n_top[r], top_of(e, t, r));
}
