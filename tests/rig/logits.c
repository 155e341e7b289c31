/* SPDX-License-Identifier: Apache-2.0
 * logits.c - prints logits for other programs to compare.
 *
 * Usage: logits MODEL.gguf N ID... [--fast]
 * Exact mode (or fast); writes the logits of the last N positions as little-endian float32 rows of
 * the vocabulary's size to standard output. */
#include "base/alloc.h"
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sb_status print_rows(sb_rig *r, const int32_t *ids, int32_t n, int32_t n_last, sb_error *err)
{
    sb_session *s = NULL;
    SB_TRY(sb_session_open(&s, r->engine, 1, err));
    sb_status st = SB_OK;
    enum { STEP = 64 };
    for (int32_t at = 0; at < n && st == SB_OK; at += STEP) {
        const int32_t now = n - at < STEP ? n - at : STEP;
        const sb_span span = {.s = s, .ids = ids + at, .n = now, .want = SB_WANT_ALL};
        st = sb_engine_step(r->engine, &span, 1, err);
        for (int32_t i = 0; i < now && st == SB_OK; i++) {
            if (at + i < n - n_last) continue;
            const size_t n_vocab = (size_t)r->model->hp.n_vocab;
            const float *l = sb_engine_logits(r->engine, 0, i);
            if (fwrite(l, sizeof *l, n_vocab, stdout) != n_vocab)
                st = SB_FAIL(err, SB_IO, "standard output: write failed");
        }
    }
    sb_session_close(s);
    return st;
}

int main(int argc, char **argv)
{
    bool fast = argc > 1 && strcmp(argv[argc - 1], "--fast") == 0;
    const int32_t n = (int32_t)argc - 3 - fast;
    if (n < 1) {
        (void)fprintf(stderr, "usage: logits MODEL.gguf N ID... [--fast]\n");
        return 2;
    }
    int32_t *ids = sb_alloc((size_t)n, sizeof *ids);
    if (!ids) return 1;
    for (int32_t i = 0; i < n; i++)
        ids[i] = (int32_t)strtol(argv[3 + i], NULL, 10);
    sb_engine_opts o = sb_rig_opts(n);
    if (!fast) o.precision = SB_EXACT, o.kv = SB_KV_F32;
    sb_rig r;
    sb_error err = {0};
    sb_status s = sb_rig_open(&r, argv[1], sb_cpu_count(), &o, &err);
    if (s == SB_OK) {
        s = print_rows(&r, ids, n, (int32_t)strtol(argv[2], NULL, 10), &err);
        sb_rig_close(&r);
    }
    if (s != SB_OK) (void)fprintf(stderr, "logits: %s\n", err.msg);
    sb_free(ids);
    return s == SB_OK ? 0 : 1;
}
