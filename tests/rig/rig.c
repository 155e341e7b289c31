/* SPDX-License-Identifier: Apache-2.0
 * rig.c - see rig.h. */
#include "rig.h"

#include "engine/sampler.h"

#include <string.h>

sb_engine_opts sb_rig_opts(int32_t n_ctx)
{
    return (sb_engine_opts){.precision = SB_FAST,
                            .kv = SB_KV_BF16,
                            .cap = sb_level_best(),
                            .n_ctx = n_ctx,
                            .n_sessions = 3,
                            .n_rows = n_ctx < 512 ? n_ctx : 512};
}

sb_status sb_rig_open(sb_rig *r, const char *path, int n_threads, const sb_engine_opts *o,
                      sb_error *err)
{
    memset(r, 0, sizeof *r);
    sb_status s = sb_model_open(&r->model, path, err);
    if (s == SB_OK) s = sb_pool_new(&r->pool, n_threads, err);
    if (s == SB_OK) s = sb_engine_new(&r->engine, r->model, r->pool, o, err);
    if (s != SB_OK) sb_rig_close(r);
    return s;
}

void sb_rig_close(sb_rig *r)
{
    sb_engine_free(r->engine);
    sb_pool_free(r->pool);
    sb_model_close(r->model);
    memset(r, 0, sizeof *r);
}

void sb_rig_ids(int32_t *ids, int32_t n, int32_t n_vocab, uint64_t seed)
{
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((seed >> 33) % (uint64_t)n_vocab);
    }
}

enum { N_OTHER = 2, OTHER_ROWS = 3 };

typedef struct run {
    sb_rig *rig;
    sb_session *main, *other[N_OTHER];
    uint64_t seed; /* of the others' tokens */
} run;

/* One step of the session under test, with the others around it when in a crowd. Returns the index
 * of its span in *i_span. */
static sb_status step(run *r, const int32_t *ids, int32_t n, sb_want want, int32_t *i_span,
                      sb_error *err)
{
    sb_span spans[1 + N_OTHER];
    int32_t other_ids[N_OTHER][OTHER_ROWS], n_spans = 0;
    for (int o = 0; o < N_OTHER; o++) {
        if (o == 1) {
            *i_span = n_spans;
            spans[n_spans++] = (sb_span){.s = r->main, .ids = ids, .n = n, .want = want};
        }
        const int32_t n_other = o == 0 ? OTHER_ROWS : 1;
        if (!r->other[o] || sb_session_room(r->other[o]) < n_other) continue;
        sb_rig_ids(other_ids[o], n_other, r->rig->model->hp.n_vocab, ++r->seed);
        spans[n_spans++] = (sb_span){.s = r->other[o],
                                     .ids = other_ids[o],
                                     .n = n_other,
                                     .want = o ? SB_WANT_LAST : SB_WANT_ALL};
    }
    return sb_engine_step(r->rig->engine, spans, n_spans, err);
}

static sb_status feed(run *r, const int32_t *ids, int32_t n, int32_t n_more, int32_t chunk,
                      float *out, sb_error *err)
{
    const size_t n_vocab = (size_t)r->rig->model->hp.n_vocab;
    int32_t i_span = 0;
    for (int32_t at = 0; at < n; at += chunk) {
        const int32_t now = n - at < chunk ? n - at : chunk;
        SB_TRY(step(r, ids + at, now, at + now == n ? SB_WANT_LAST : SB_WANT_NONE, &i_span, err));
    }
    for (int32_t i = 0;; i++) {
        const float *l = sb_engine_logits(r->rig->engine, i_span, 0);
        memcpy(out + (size_t)i * n_vocab, l, n_vocab * sizeof *out);
        if (i == n_more) return SB_OK;
        const int32_t next = sb_argmax(l, (int32_t)n_vocab);
        SB_TRY(step(r, &next, 1, SB_WANT_LAST, &i_span, err));
    }
}

sb_status sb_rig_run(sb_rig *rig, const int32_t *ids, int32_t n, int32_t n_more, sb_rig_way way,
                     float *out, sb_error *err)
{
    run r = {.rig = rig, .seed = 77};
    sb_status s = sb_session_open(&r.main, rig->engine, 1, err);
    for (int o = 0; way.crowd && o < N_OTHER && s == SB_OK; o++)
        s = sb_session_open(&r.other[o], rig->engine, (uint64_t)(2 + o), err);
    if (s == SB_OK) s = feed(&r, ids, n, n_more, way.chunk, out, err);
    for (int o = 0; o < N_OTHER; o++)
        sb_session_close(r.other[o]);
    sb_session_close(r.main);
    return s;
}
