/* SPDX-License-Identifier: Apache-2.0
 * gguf_fuzz.c - libFuzzer entry: any bytes as a GGUF file; what opens is read in full.
 *
 * Build and run: CC=clang-14 meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz
 *                build-fuzz/tests/fuzz/gguf_fuzz CORPUS_DIR     (seed it with a tinymodel) */
#include "base/alloc.h"
#include "gguf/internal.h"
#include "gguf/probe.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

/* Stops the program, as the fuzzer wants, when a promise of the reader is broken. */
static void must(bool ok)
{
    if (!ok) abort();
}

static void must_be_inside(const sb_gguf *g, const void *p, uint64_t n)
{
    const sb_map *m = sb_gguf_map(g, 0);
    const uintptr_t at = (uintptr_t)p - (uintptr_t)m->p;
    must(at <= m->bytes && n <= m->bytes - at);
}

static void read_strings(const sb_gguf *g, const sb_gguf_kv *kv)
{
    sb_str *s = sb_alloc((size_t)kv->count, sizeof(*s)); // bounded: 8 bytes of file each
    if (!s) return;
    must(sb_gguf_kv_strs(g, kv, s, kv->count, NULL) == SB_OK);
    for (uint64_t i = 0; i < kv->count; i++) {
        must_be_inside(g, s[i].p, s[i].n);
    }
    sb_free(s);
}

static void read_entry(const sb_gguf *g, const sb_gguf_kv *kv)
{
    must_be_inside(g, kv->key.p, kv->key.n);
    must_be_inside(g, kv->data, kv->bytes);
    if (kv->type == SB_GGUF_ARR && kv->elem == SB_GGUF_STR) read_strings(g, kv);
    int64_t v;
    if (kv->count) (void)!sb_gguf_kv_int_at(g, kv, kv->count - 1, &v, NULL);
    char *key = sb_strdup_n(kv->key.p, kv->key.n);
    if (!key) return;
    must(sb_gguf_kv_find(g, key) == kv);
    (void)!sb_gguf_get_int(g, &(sb_gguf_int){.key = key, .hi = 1}, &v, NULL);
    double d;
    (void)!sb_gguf_get_float(g, &(sb_gguf_float){.key = key, .hi = 1}, &d, NULL);
    sb_free(key);
}

static void read_tensor(const sb_gguf *g, const sb_gguf_tensor *t)
{
    must_be_inside(g, t->data, t->bytes);
    const sb_format_info *f = sb_format_get(t->format);
    float row[256];
    sb_unpack_row(t->format, t->data, row, f->block_elems);
}

/* The look at a file's head: it may ask for more only where it was given too little. */
static void probe_head(const unsigned char *data, size_t n)
{
    sb_gguf_probe probe = {0};
    bool more = false, half_more = false;
    sb_error err = {0};
    const sb_status whole = sb_gguf_probe_head(data, n, &probe, &more, &err);
    const sb_status half = sb_gguf_probe_head(data, n / 2, &probe, &half_more, NULL);
    must(whole == SB_OK || err.msg[0] != 0);
    must(strlen(probe.arch) < sizeof probe.arch);
    /* What the first half tells, the whole does not take back. */
    if (n >= 8 && half == SB_OK && !half_more) must(whole == SB_OK && !more);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    probe_head(data, n);
    sb_gguf *g = NULL;
    sb_error err = {0};
    if (sb_gguf_open_bytes(&g, data, n, &err) != SB_OK) {
        must(err.msg[0] != 0);
        return 0;
    }
    for (size_t i = 0; i < sb_gguf_n_kv(g); i++) {
        read_entry(g, sb_gguf_kv_get(g, i));
    }
    for (size_t i = 0; i < sb_gguf_n_tensors(g); i++) {
        read_tensor(g, sb_gguf_tensor_get(g, i));
    }
    sb_gguf_close(g);
    return 0;
}
