/* SPDX-License-Identifier: Apache-2.0
 * invariance.c - the bit-exactness matrix on a real model: threads x chunk x crowd, all equal.
 *
 * Usage: invariance MODEL.gguf [N_TOKENS [f32|bf16|int8]]
 * Prints one line per way and ends with "N passed, N failed"; exit status 1 when any differs. */
#include "base/alloc.h"
#include "base/clock.h"
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MORE = 3, DEFAULT_TOKENS = 530 };

static const int threads[] = {1, 2, 3, 5};
static const int32_t chunks[] = {512, 64, 7, 1};

typedef struct matrix {
    const char *path;
    sb_kv_type kv;
    int32_t *ids, n;
    float *first, *now;
    size_t bytes; /* of one result */
    int n_passed, n_failed;
} matrix;

static bool compare(matrix *m, int n_threads, sb_rig_way way, uint64_t ns)
{
    const bool equal = memcmp(m->first, m->now, m->bytes) == 0;
    *(equal ? &m->n_passed : &m->n_failed) += 1;
    printf("%s threads %d chunk %3d %s %.2f s\n", equal ? "equal " : "DIFFER", n_threads, way.chunk,
           way.crowd ? "crowd" : "alone", (double)ns * 1e-9);
    (void)fflush(stdout);
    return equal;
}

static sb_status run_threads(matrix *m, int n_threads, sb_error *err)
{
    sb_rig rig;
    sb_engine_opts o = sb_rig_opts(m->n + N_MORE + 64);
    o.kv = m->kv;
    SB_TRY(sb_rig_open(&rig, m->path, n_threads, &o, err));
    const size_t n_vocab = (size_t)rig.model->hp.n_vocab;
    sb_status s = SB_OK;
    if (!m->first) {
        m->bytes = (1 + N_MORE) * n_vocab * sizeof *m->first;
        m->first = sb_alloc(2, m->bytes);
        if (!m->first) return SB_FAIL(err, SB_NO_MEMORY, "out of memory");
        m->now = m->first + (1 + N_MORE) * n_vocab;
        sb_rig_ids(m->ids, m->n, (int32_t)n_vocab, 1);
        s = sb_rig_run(&rig, m->ids, m->n, N_MORE, (sb_rig_way){.chunk = 100}, m->first, err);
    }
    for (size_t c = 0; c < SB_ARRAY_LEN(chunks); c++)
        for (int crowd = 0; crowd < 2 && s == SB_OK; crowd++) {
            sb_rig_way way = {.chunk = chunks[c], .crowd = crowd};
            if (crowd && way.chunk > o.n_rows - 4) way.chunk = o.n_rows - 4;
            const uint64_t begin = sb_now_ns();
            s = sb_rig_run(&rig, m->ids, m->n, N_MORE, way, m->now, err);
            if (s == SB_OK) (void)compare(m, n_threads, way, sb_now_ns() - begin);
        }
    sb_rig_close(&rig);
    return s;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: invariance MODEL.gguf [N_TOKENS [f32|bf16|int8]]\n");
        return 2;
    }
    matrix m = {.path = argv[1],
                .kv = SB_KV_BF16,
                .n = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : DEFAULT_TOKENS};
    for (int t = 0; argc > 3 && t < SB_KV_TYPE_COUNT; t++)
        if (strcmp(argv[3], sb_kv_name((sb_kv_type)t)) == 0) m.kv = (sb_kv_type)t;
    printf("keys and values in %s\n", sb_kv_name(m.kv));
    m.ids = sb_alloc((size_t)m.n, sizeof *m.ids);
    sb_error err = {0};
    sb_status s = m.ids ? SB_OK : SB_NO_MEMORY;
    for (size_t i = 0; i < SB_ARRAY_LEN(threads) && s == SB_OK; i++)
        s = run_threads(&m, threads[i], &err);
    if (s != SB_OK) (void)fprintf(stderr, "invariance: %s\n", err.msg);
    printf("%d passed, %d failed\n", m.n_passed, m.n_failed + (s != SB_OK));
    sb_free(m.first);
    sb_free(m.ids);
    return s == SB_OK && m.n_failed == 0 ? 0 : 1;
}
