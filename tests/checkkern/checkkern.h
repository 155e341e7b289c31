/* SPDX-License-Identifier: Apache-2.0
 * checkkern.h - how a check of kernels is written and registered.
 *
 * Purpose     Proves every level equal to ref, bit for bit. A check is a row {name, filled, run,
 *             bench}; a file of checks exports its rows and main.c lists the files. main.c calls
 *             run() for every level above ref, with denormals kept and flushed, and oracle() once.
 *             Matrix products have a program of their own beside this one, mm_check.
 * Invariants  Input buffers end at a page that faults, and carry canaries in front: reading or
 *             writing one byte too far kills or fails the check. ck_case_end() looks at them and
 *             gives them back, so a check never frees.
 * Threads     One. */
#ifndef SB_CHECKKERN_H
#define SB_CHECKKERN_H
#include "kernels/kernels.h"
#include "kernels/pack.h"

typedef struct ck {
    const sb_kernels *ref, *k; /* the specification; the level under test */
    const char *level;         /* "neon", "avx2", "avxvnni", "avx512", "avx512emu" */
    const char *slot;          /* name of the running check */
    bool flush;                /* denormals are flushed (as in the pool) */
    uint64_t rng;
    long n_case, n_fail;
    struct ck_mem *mem;
    double min_s; /* --bench: time for one figure */
} ck;

typedef struct ck_check {
    const char *name;
    bool (*filled)(const sb_kernels *weaker, const sb_kernels *k); /* the level sets the slot */
    void (*run)(ck *c);
    void (*bench)(ck *c);  /* NULL: no figure */
    void (*oracle)(ck *c); /* ref against doubles; NULL where ref is all there is */
} ck_check;

extern const ck_check ck_ops_checks[], ck_attn_checks[];
extern const size_t ck_n_ops_checks, ck_n_attn_checks;

/* n bytes whose end touches a faulting page (so the start is as unaligned as n makes it), filled
 * with 0xa5. For kernels whose contract asks for 64-byte starts pass n rounded up to 64. */
void *ck_alloc(ck *c, size_t n);
/* Checks all canaries, releases everything allocated since the last call, counts one case. */
void ck_case_end(ck *c);

uint64_t ck_rand(ck *c);
float ck_uniform(ck *c);                         /* [-1, 1) */
float ck_normal(ck *c);                          /* mean 0, deviation 1 */
int64_t ck_range(ck *c, int64_t lo, int64_t hi); /* lo..hi */

typedef enum ck_fill {
    CK_NORMAL,  /* what a model holds */
    CK_WIDE,    /* magnitudes 2^-20 .. 2^20 */
    CK_ZERO,    /* +0 and -0 */
    CK_TINY,    /* around the least normal float, both sides */
    CK_HUGE,    /* up to the greatest finite float */
    CK_SPECIAL, /* NaN, infinities, zeros, denormals, mixed with normal values */
    CK_FILL_COUNT
} ck_fill;
void ck_fill_f32(ck *c, float *p, size_t n, ck_fill kind);
const char *ck_fill_name(ck_fill kind);

/* Compares; on a difference reports the formatted description, index and bits, once per case. */
void ck_same_bytes(ck *c, const void *got, const void *want, size_t n, const char *fmt, ...)
    SB_PRINTF(5, 6);
/* The same bits, or NaN in both. */
void ck_same_f32(ck *c, const float *got, const float *want, size_t n, const char *fmt, ...)
    SB_PRINTF(5, 6);
/* For oracles: fails unless `good`. */
void ck_true(ck *c, bool good, const char *fmt, ...) SB_PRINTF(3, 4);

/* Runs fn(arg) for about c->min_s seconds of CPU time, prints the best time per call, and GB/s and
 * GFLOPS where bytes and flops of a call are not 0. */
void ck_time(ck *c, void (*fn)(void *arg), void *arg, double bytes, double flops, const char *fmt,
             ...) SB_PRINTF(6, 7);

/* For `filled` of a plain slot, and a check's list row. */
#define CK_SLOT_FILLED(slot)                                                                       \
    static bool filled_##slot(const sb_kernels *weaker, const sb_kernels *k)                       \
    {                                                                                              \
        return k->slot != weaker->slot;                                                            \
    }
#endif
