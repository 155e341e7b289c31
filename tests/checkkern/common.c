/* SPDX-License-Identifier: Apache-2.0
 * common.c - guarded buffers, random fills, comparisons and timing for the checks of kernels. */
#include "checkkern.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "mem.h"

enum { CANARY = 0xa5 };

/* Stops the program: a check that cannot have its buffers proves nothing. */
static void *must(void *p)
{
    if (p == MAP_FAILED) {
        perror("checkkern: no memory for a guarded buffer");
        _exit(1);
    }
    return p;
}

void *ck_alloc(ck *c, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = SB_ALIGN_UP(n + 1, page);
    ck_mem *m = c->mem;
    if (m->n == SB_ARRAY_LEN(m->block)) {
        fprintf(stderr, "checkkern: more than %zu buffers in one case\n", SB_ARRAY_LEN(m->block));
        _exit(1);
    }
    unsigned char *p =
        must(mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memset(p, CANARY, body);
    if (mprotect(p + body, page, PROT_NONE) != 0) must(MAP_FAILED);
    m->block[m->n++] = (ck_block){p, body + page, body - n};
    return p + body - n;
}

void ck_case_end(ck *c)
{
    ck_mem *m = c->mem;
    for (size_t i = 0; i < m->n; i++) {
        const ck_block *b = &m->block[i];
        for (size_t j = 0; j < b->front; j++) {
            if (b->p[j] == CANARY) continue;
            ck_true(c, false, "buffer %zu written %zu bytes before its start", i, b->front - j);
            break;
        }
        munmap(b->p, b->bytes);
    }
    m->n = 0;
    c->n_case++;
    if (m->case_failed) c->n_fail++;
    m->case_failed = false;
}

uint64_t ck_rand(ck *c) /* splitmix64 */
{
    uint64_t z = c->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float ck_uniform(ck *c)
{
    return (float)((double)(ck_rand(c) >> 11) * 0x1p-52 - 1.0);
}

float ck_normal(ck *c)
{
    double s = 0.0;
    for (int i = 0; i < 12; i++)
        s += (double)(ck_rand(c) >> 11) * 0x1p-53;
    return (float)(s - 6.0);
}

int64_t ck_range(ck *c, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(ck_rand(c) % (uint64_t)(hi - lo + 1));
}

static float special(ck *c)
{
    static const float list[] = {NAN,       INFINITY,   -INFINITY, 0.0f,     -0.0f,
                                 0x1p-149f, -0x1p-130f, FLT_MIN,   -FLT_MIN, FLT_MAX,
                                 -FLT_MAX,  1.0f,       -1.0f,     88.8f,    -87.4f};
    const size_t i = (size_t)(ck_rand(c) % (3 * SB_ARRAY_LEN(list)));
    return i < SB_ARRAY_LEN(list) ? list[i] : ck_normal(c);
}

static float one_value(ck *c, ck_fill kind)
{
    switch (kind) {
    case CK_NORMAL:
        return ck_normal(c);
    case CK_WIDE:
        return ldexpf(ck_uniform(c), (int)ck_range(c, -20, 20));
    case CK_ZERO:
        return ck_rand(c) % 2 ? 0.0f : -0.0f;
    case CK_TINY:
        return ldexpf(ck_uniform(c), (int)ck_range(c, -140, -110));
    case CK_HUGE:
        return ldexpf(ck_uniform(c), (int)ck_range(c, 100, 128));
    case CK_SPECIAL:
        return special(c);
    case CK_FILL_COUNT:
        break;
    }
    sb_unreachable("a count is no kind");
}

void ck_fill_f32(ck *c, float *p, size_t n, ck_fill kind)
{
    for (size_t i = 0; i < n; i++) {
        const float f = one_value(c, kind);
        memcpy((unsigned char *)p + i * sizeof f, &f, sizeof f);
    }
}

const char *ck_fill_name(ck_fill kind)
{
    static const char *const names[] = {"normal", "wide", "zero", "tiny", "huge", "special"};
    _Static_assert(SB_ARRAY_LEN(names) == CK_FILL_COUNT, "a name for each kind");
    return names[kind];
}

/* Opens the report of a failure; false when this case has been reported already. */
static bool report(ck *c, const char *fmt, va_list args)
{
    if (c->mem->case_failed) return false;
    c->mem->case_failed = true;
    if (c->n_fail >= 10) return false;
    printf("# %s %s%s: ", c->level, c->slot, c->flush ? " (denormals flushed)" : "");
    vprintf(fmt, args);
    return true;
}

void ck_true(ck *c, bool good, const char *fmt, ...)
{
    if (good) return;
    va_list args;
    va_start(args, fmt);
    if (report(c, fmt, args)) printf("\n");
    va_end(args);
}

void ck_same_bytes(ck *c, const void *got, const void *want, size_t n, const char *fmt, ...)
{
    const unsigned char *g = got, *w = want;
    if (memcmp(g, w, n) == 0) return;
    size_t i = 0;
    while (g[i] == w[i])
        i++;
    va_list args;
    va_start(args, fmt);
    if (report(c, fmt, args)) printf(": byte %zu of %zu is %02x, not %02x\n", i, n, g[i], w[i]);
    va_end(args);
}

void ck_same_f32(ck *c, const float *got, const float *want, size_t n, const char *fmt, ...)
{
    for (size_t i = 0; i < n; i++) {
        float g, w;
        memcpy(&g, (const unsigned char *)got + i * sizeof g, sizeof g);
        memcpy(&w, (const unsigned char *)want + i * sizeof w, sizeof w);
        if (memcmp(&g, &w, sizeof g) == 0 || (isnan(g) && isnan(w))) continue;
        va_list args;
        va_start(args, fmt);
        if (report(c, fmt, args)) {
            printf(": element %zu of %zu is %a (%g), not %a (%g)\n", i, n, (double)g, (double)g,
                   (double)w, (double)w);
        }
        va_end(args);
        return;
    }
}

void ck_time(ck *c, void (*fn)(void *arg), void *arg, double bytes, double flops, const char *fmt,
             ...)
{
    uint64_t n = 1, spent = 0;
    double best = HUGE_VAL;
    fn(arg); // pages touched, caches warm
    while ((double)spent < c->min_s * 1e9) {
        const uint64_t start = sb_thread_cpu_ns();
        for (uint64_t i = 0; i < n; i++)
            fn(arg);
        const uint64_t ns = sb_thread_cpu_ns() - start;
        spent += ns;
        if (ns > 200000 && (double)ns / (double)n < best) best = (double)ns / (double)n;
        if (ns < 2000000) n *= 2;
    }
    va_list args;
    va_start(args, fmt);
    printf("%-8s %-12s ", c->level, c->slot);
    vprintf(fmt, args);
    va_end(args);
    printf("  %.1f ns", best);
    if (bytes > 0) printf("  %.1f GB/s", bytes / best);
    if (flops > 0) printf("  %.1f GFLOPS", flops / best);
    printf("\n");
    fflush(stdout);
}
