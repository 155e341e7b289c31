/* SPDX-License-Identifier: Apache-2.0
 * pack_head.c - what the head of a file of packed weights says, made from the model. */
#include "engine/pack_head.h"

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A run is what is summed and looked at together: the step that comes to it first finds it in its
 * second-level cache afterwards. */
enum { RUN_BYTES = 384 * 1024 };

static const char magic[8] = {'S', 'B', 'P', 'A', 'C', 'K', 'E', 'D'};

bool sb_pack_cache_path(const sb_engine *e, const char *suffix, char *out, size_t n)
{
    const int k = snprintf(out, n, "%s.packed%s", sb_gguf_path(e->model->gguf, 0), suffix);
    return k > 0 && (size_t)k < n;
}

void sb_pack_cache_note(const sb_engine *e, const char *fmt, ...)
{
    char path[SB_MAX_PATH_BYTES], line[400];
    if (!e->opts.on_note || !sb_pack_cache_path(e, "", path, sizeof path)) return;
    sb_path_escape(line, sizeof line / 2, path);
    const size_t n = strlen(line);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line + n, sizeof line - n, fmt + 2, ap);
    va_end(ap);
    e->opts.on_note(e->opts.note_ctx, line);
}

/* Whole panels that are whole pages, near RUN_BYTES; all of a small matrix. */
static uint32_t run_panels(uint64_t panel_bytes, uint32_t n_panel)
{
    uint64_t unit = 1;
    while (unit * panel_bytes % SB_PACK_PAGE) /* ends: panels are multiples of 64 */
        unit *= 2;
    uint64_t n = RUN_BYTES / panel_bytes / unit * unit;
    if (n < unit) n = unit;
    return n < n_panel ? (uint32_t)n : n_panel;
}

uint64_t sb_pack_n_runs(const pack_weight *w)
{
    return w->n_panel ? (w->n_panel + w->run_panels - 1) / w->run_panels : 0;
}

static pack_weight weight_of(const sb_engine *e, int32_t i, uint64_t *at, uint64_t *run)
{
    const sb_weight *w = &e->model->weights[i];
    const sb_packed *p = &e->packed[i];
    if (!p->is_matrix) return (pack_weight){0};
    const uint32_t n = (uint32_t)p->n_panel;
    const pack_weight out = {.k = w->k,
                             .n_row = w->n_row,
                             .offset = w->offset,
                             .panel_bytes = p->panel_bytes,
                             .at = *at,
                             .first_run = *run,
                             .shard = (uint32_t)w->i_shard,
                             .format = (uint32_t)p->format,
                             .n_panel = n,
                             .run_panels = run_panels(p->panel_bytes, n)};
    *at += SB_ALIGN_UP((uint64_t)n * p->panel_bytes, (uint64_t)SB_PACK_PAGE);
    *run += sb_pack_n_runs(&out);
    return out;
}

static void fill(const sb_engine *e, sb_pack_head *out, size_t head_bytes)
{
    const sb_gguf *g = e->model->gguf;
    const uint32_t n_shards = (uint32_t)sb_gguf_n_shards(g);
    pack_shard *shards = (pack_shard *)(void *)(out->h + 1);
    pack_weight *weights = (pack_weight *)(void *)(shards + n_shards);
    uint64_t at = head_bytes, n_runs = 0;
    for (uint32_t i = 0; i < n_shards; i++) {
        const sb_map *m = sb_gguf_map(g, (int32_t)i);
        shards[i] = (pack_shard){m->bytes, m->mtime_ns, m->ino, m->dev};
    }
    for (int32_t i = 0; i < e->model->n_weights; i++)
        weights[i] = weight_of(e, i, &at, &n_runs);
    const char *record = e->opts.pulled_as;
    *out->h = (pack_head){.version = SB_PACK_VERSION,
                          .layout = SB_PACK_LAYOUT,
                          .n_shards = n_shards,
                          .n_weights = (uint32_t)e->model->n_weights,
                          .n_runs = n_runs,
                          .head_bytes = head_bytes,
                          .bytes = at,
                          .pulled_as = record ? sb_checksum(record, strlen(record)) : 0};
    memcpy(out->h->magic, magic, sizeof magic);
    out->weights = weights;
    out->sums = (uint64_t *)(void *)(weights + e->model->n_weights);
}

bool sb_pack_head_make(const sb_engine *e, sb_pack_head *out)
{
    uint64_t at = 0, n_runs = 0;
    for (int32_t i = 0; i < e->model->n_weights; i++)
        (void)weight_of(e, i, &at, &n_runs);
    // Every count here is bounded by what the model's own file holds.
    const uint64_t bytes =
        sizeof(pack_head) + sizeof(pack_shard) * (uint64_t)sb_gguf_n_shards(e->model->gguf) +
        sizeof(pack_weight) * (uint64_t)e->model->n_weights + sizeof(uint64_t) * n_runs;
    const uint64_t head_bytes = SB_ALIGN_UP(bytes, (uint64_t)SB_PACK_PAGE);
    *out = (sb_pack_head){.h = sb_calloc((size_t)head_bytes, 1)};
    if (!out->h) return false;
    fill(e, out, (size_t)head_bytes);
    return true;
}

void sb_pack_head_free(sb_pack_head *h)
{
    sb_free(h->h);
    *h = (sb_pack_head){0};
}

uint64_t sb_pack_head_sum(const pack_head *h)
{
    /* The sum is the last field: what stands before it and behind it, joined. */
    const unsigned char *p = (const unsigned char *)h;
    const size_t before = offsetof(pack_head, sum), behind = sizeof(pack_head);
    const uint64_t parts[2] = {sb_checksum(p, before),
                               sb_checksum(p + behind, (size_t)h->head_bytes - behind)};
    return sb_checksum(parts, sizeof parts);
}

void sb_pack_run_panels(const pack_weight *w, uint64_t run, int32_t *first, int32_t *end)
{
    const uint64_t a = (run - w->first_run) * w->run_panels, b = a + w->run_panels;
    *first = (int32_t)a;
    *end = (int32_t)(b < w->n_panel ? b : w->n_panel);
}
