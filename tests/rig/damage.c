/* SPDX-License-Identifier: Apache-2.0
 * damage.c - exhaustive damage of a small valid model: nothing may crash, hang, leak or be
 * believed.
 *
 * Usage: damage [--all] - makes a model of a few kilobytes in memory and, for each damage, opens it
 * as the command does (file, vocabulary, template, plan, packed weights) and takes one step. It
 * must be refused in one line, or run. Damages: every truncation; every byte with each bit flipped
 * and with 0x00, 0x7f, 0x80, 0xff; every 8 bytes of the head set to numbers at which sizes turn.
 * Without --all: a sample of each that takes a few seconds. Ends with what was tried and how often
 * it opened; exits 1 when a load took more than a second of CPU time, lost a descriptor, or failed
 * without a word. */
#include "base/clock.h"
#include "chat/chat.h"
#include "tiny.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sanitizers make everything slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWNESS = 10 };
#else
enum { SLOWNESS = 1 };
#endif

static const uint64_t most_ns = UINT64_C(1000000000) * SLOWNESS;

typedef struct bench {
    unsigned char *good, *now;
    size_t bytes, head_bytes; /* head: everything before tensor data */
    int fd;
    char path[64];
    sb_pool *pool;
    uint64_t n_tried, n_opened, n_ran;
    uint64_t slowest_ns;
    int n_bad;
} bench;

static void complain(bench *b, const char *what, size_t at, const char *more)
{
    printf("not ok - %s at %zu: %s\n", what, at, more);
    b->n_bad++;
}

/* One step and its end, whatever numbers come out of it. */
static sb_status run_one(sb_chat *chat, sb_error *err)
{
    const sb_turn_request r = {.raw = {"a", 1},
                               .raw_control = true,
                               .sampling = {.top_p = 1},
                               .max_tokens = 1,
                               .n_logprobs = -1};
    sb_turn out;
    const sb_status s = sb_chat_turn(chat, &r, &out, err);
    if (s == SB_OK) sb_turn_deinit(&out);
    return s;
}

static void try_now(bench *b, const char *what, size_t at)
{
    const sb_chat_opts o = {.engine = {.kv = SB_KV_BF16,
                                       .cap = sb_level_best(),
                                       .n_ctx = 32,
                                       .n_sessions = 1,
                                       .n_rows = 8},
                            .pool = b->pool};
    sb_chat *chat = NULL;
    sb_error err = {0};
    const uint64_t begin_ns = sb_process_cpu_ns();
    sb_status s = sb_chat_open(&chat, b->path, &o, &err);
    b->n_tried++;
    if (s == SB_OK) {
        b->n_opened++;
        s = run_one(chat, &err);
        b->n_ran += s == SB_OK;
        sb_chat_close(chat);
    }
    const uint64_t took_ns = sb_process_cpu_ns() - begin_ns;
    if (took_ns > b->slowest_ns) b->slowest_ns = took_ns;
    if (took_ns > most_ns) complain(b, what, at, "more than a second");
    if (s != SB_OK && (!err.msg[0] || strchr(err.msg, '\n'))) complain(b, what, at, "no line");
    if (s == SB_NO_MEMORY) complain(b, what, at, err.msg);
}

static bool put(bench *b, size_t at, const void *p, size_t n)
{
    return pwrite(b->fd, p, n, (off_t)at) == (ssize_t)n;
}

static void try_bytes(bench *b, const char *what, size_t at, const void *p, size_t n)
{
    if (!put(b, at, p, n)) complain(b, what, at, "cannot write");
    try_now(b, what, at);
    if (!put(b, at, b->good + at, n)) complain(b, what, at, "cannot write");
}

static void truncations(bench *b, size_t step)
{
    for (size_t n = 0; n < b->bytes; n += step) {
        if (ftruncate(b->fd, (off_t)n) != 0) complain(b, "truncation", n, "cannot cut");
        try_now(b, "truncation", n);
        if (!put(b, 0, b->good, b->bytes)) complain(b, "truncation", n, "cannot write");
    }
}

static void bytes(bench *b, size_t step, bool every_value)
{
    for (size_t at = 0; at < b->bytes; at += at < b->head_bytes ? step : 16 * step) {
        const unsigned char was = b->good[at];
        unsigned char v[12] = {0, 0x7f, 0x80, 0xff};
        for (int bit = 0; bit < 8; bit++)
            v[4 + bit] = (unsigned char)(was ^ (1u << bit));
        for (size_t k = 0; k < 12; k++)
            if (v[k] != was && (every_value || (at / step + k) % 12 < 2))
                try_bytes(b, "byte", at, &v[k], 1);
    }
}

static void numbers(bench *b, size_t step)
{
    const uint64_t v[] = {0,
                          1,
                          b->bytes,
                          UINT64_C(1) << 31,
                          UINT32_MAX,
                          UINT64_C(1) << 32,
                          UINT64_C(1) << 58,
                          INT64_MAX,
                          UINT64_C(1) << 63,
                          UINT64_MAX - 31,
                          UINT64_MAX};
    for (size_t at = 0; at + 8 <= b->head_bytes; at += step)
        for (size_t k = 0; k < SB_ARRAY_LEN(v); k++)
            if (step == 1 || (at / step + k) % 4 == 0) try_bytes(b, "number", at, &v[k], 8);
}

static int n_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d) (void)closedir(d);
    return n;
}

static sb_status make_model(bench *b, sb_error *err)
{
    sb_tiny t;
    sb_gguf *g = NULL;
    sb_tiny_defaults(&t);
    t.n_layers = 1, t.n_embd = 32, t.n_ff = 32, t.n_heads = 2, t.n_kv_heads = 1, t.head_dim = 16;
    t.n_vocab = sb_tiny_min_vocab(t.arch), t.format = SB_F_Q4_0;
    b->fd = memfd_create("damage", MFD_CLOEXEC);
    if (b->fd < 0) return SB_FAIL(err, SB_IO, "no file in memory");
    (void)snprintf(b->path, sizeof b->path, "/proc/self/fd/%d", b->fd);
    char real[] = "/tmp/sobre-damage-XXXXXX";
    const int tmp = mkstemp(real);
    if (tmp < 0) return SB_FAIL(err, SB_IO, "no temporary file");
    (void)close(tmp);
    sb_status s = sb_tiny_write(&t, real, err);
    if (s == SB_OK) s = sb_gguf_open(&g, real, err);
    (void)unlink(real);
    if (s != SB_OK) return s;
    const sb_map *m = sb_gguf_map(g, 0);
    b->bytes = m->bytes;
    b->head_bytes = (size_t)(sb_gguf_tensor_get(g, 0)->offset);
    b->good = malloc(b->bytes);
    if (b->good) memcpy(b->good, m->p, b->bytes);
    sb_gguf_close(g);
    if (!b->good || !put(b, 0, b->good, b->bytes)) return SB_FAIL(err, SB_IO, "no memory");
    return sb_pool_new(&b->pool, 1, err);
}

int main(int argc, char *argv[])
{
    const bool all = argc == 2 && strcmp(argv[1], "--all") == 0;
    bench b = {0};
    sb_error err = {0};
    if (argc > 2 || (argc == 2 && !all) || make_model(&b, &err) != SB_OK) {
        printf("usage: damage [--all] %s\n", err.msg);
        return 2;
    }
    try_now(&b, "undamaged", 0);
    if (b.n_ran != 1) complain(&b, "undamaged", 0, "does not run");
    const int n_fd = n_descriptors();
    truncations(&b, all ? 1 : 11);
    bytes(&b, all ? 1 : 3, all);
    numbers(&b, all ? 1 : 7);
    if (n_descriptors() != n_fd) complain(&b, "all", 0, "descriptors were lost");
    printf("%zu bytes (%zu of them head), %llu damages: %llu opened, %llu ran, slowest %.1f ms\n",
           b.bytes, b.head_bytes, (unsigned long long)b.n_tried, (unsigned long long)b.n_opened,
           (unsigned long long)b.n_ran, (double)b.slowest_ns / 1e6);
    if (b.n_opened < 100 || b.n_tried - b.n_opened < 100)
        complain(&b, "all", 0, "the damage is all fatal or all mild");
    sb_pool_free(b.pool);
    free(b.good);
    (void)close(b.fd);
    return b.n_bad > 0;
}
