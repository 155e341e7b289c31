/* SPDX-License-Identifier: Apache-2.0
 * main.c - runs every check of kernels at every level, or the figures with --bench.
 *
 * checkkern [--bench] [--level NAME] [--only SLOT] [--seconds S] [--best NAME]
 * Output is TAP: one line for each slot and level; what is not run is named with its reason. A
 * level is compared with ref; slots it does not fill itself are its weaker level's and are not
 * run twice. --best says which level must be the strongest here, so that none is absent unseen. */
#include "checkkern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#if SB_KERNELS_X86
#include <xmmintrin.h>
#endif
#if CK_EMU
#include "emu/emu.h"
#endif

typedef struct options {
    bool bench;
    sb_level cap;
    const char *only, *best;
    double min_s;
} options;

/* A level as it can be run here: its table, the table it was built on, or why not. */
typedef struct level_run {
    const char *name, *absent;
    sb_kernels k, weaker;
} level_run;

typedef struct tally {
    int n_line, n_failed, n_skipped;
} tally;

/* Denormals flushed and read as zero, as in the pool's threads, or kept. */
static void set_flush(bool on)
{
#if SB_KERNELS_X86
    const unsigned int bits = 0x8040; /* FTZ | DAZ */
    _mm_setcsr((_mm_getcsr() & ~bits) | (on ? bits : 0));
#elif SB_KERNELS_ARM
    const uint64_t bit = UINT64_C(1) << 24; /* FZ */
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"((fpcr & ~bit) | (on ? bit : 0)));
#else
    (void)on;
#endif
}

static bool has_flush(void)
{
#if SB_KERNELS_X86 || SB_KERNELS_ARM
    return true;
#else
    return false;
#endif
}

static void finish_line(tally *t, const ck *c, const char *what)
{
    t->n_line++;
    t->n_failed += c->n_fail > 0;
    printf("%s %d - %s %s%s: %ld cases", c->n_fail ? "not ok" : "ok", t->n_line, c->level, c->slot,
           what, c->n_case);
    if (c->n_fail) printf(", %ld failed", c->n_fail);
    printf("\n");
    fflush(stdout);
}

static void skip_line(tally *t, const char *level, const char *slot, const char *why)
{
    t->n_line++;
    t->n_skipped++;
    printf("ok %d - %s %s # SKIP %s\n", t->n_line, level, slot, why);
}

static void run_check(const ck_check *check, const level_run *l, const sb_kernels *ref,
                      const options *o, tally *t)
{
    ck_mem mem = {.n = 0};
    ck c = {.ref = ref,
            .k = &l->k,
            .level = l->name,
            .slot = check->name,
            .mem = &mem,
            .min_s = o->min_s};
    if (o->only && strcmp(o->only, check->name) != 0) return;
    if (l->absent) {
        skip_line(t, l->name, check->name, l->absent);
        return;
    }
    if (!check->filled(&l->weaker, &l->k)) {
        skip_line(t, l->name, check->name, "this level leaves the slot to the weaker one");
        return;
    }
    if (o->bench) {
        set_flush(true);
        if (check->bench) check->bench(&c);
        return;
    }
    for (int flush = 0; flush <= (has_flush() ? 1 : 0); flush++) {
        c.flush = flush;
        c.rng = 20240601;
        set_flush(c.flush);
        check->run(&c);
    }
    set_flush(false);
    finish_line(t, &c, "");
}

static void run_oracle(const ck_check *check, const sb_kernels *ref, const options *o, tally *t)
{
    ck_mem mem = {.n = 0};
    ck c = {.ref = ref, .k = ref, .level = "ref", .slot = check->name, .mem = &mem, .rng = 7};
    if (!check->oracle || (o->only && strcmp(o->only, check->name) != 0)) return;
    check->oracle(&c);
    finish_line(t, &c, " against doubles");
}

static void run_list(const ck_check *checks, size_t n, const level_run *l, const sb_kernels *ref,
                     const options *o, tally *t)
{
    for (size_t i = 0; i < n; i++) {
        if (l) {
            run_check(&checks[i], l, ref, o, t);
        } else if (!o->bench) {
            run_oracle(&checks[i], ref, o, t);
        }
    }
}

/* All checks at one level; l NULL: ref against doubles. */
static void run_level(const level_run *l, const sb_kernels *ref, const options *o, tally *t)
{
    run_list(ck_ops_checks, ck_n_ops_checks, l, ref, o, t);
    run_list(ck_attn_checks, ck_n_attn_checks, l, ref, o, t);
}

static level_run native_level(sb_level level)
{
    level_run l = {.name = sb_level_name(level)};
    sb_kernels_init(&l.k, level);
    if (l.k.level != level) l.absent = "this CPU or system lacks the level";
    if (level > SB_LEVEL_ref) sb_kernels_init(&l.weaker, (sb_level)(level - 1));
    return l;
}

/* The AVX-512 sources without AVX-512: needs a CPU of the avx2 level. */
static level_run emulated_level(void)
{
    level_run l = {.name = "avx512emu"};
    sb_kernels_init(&l.weaker, SB_LEVEL_avx2);
    l.k = l.weaker;
#if CK_EMU
    if (sb_level_best() < SB_LEVEL_avx2) {
        l.absent = "the emulation is built for the avx2 level, which this CPU lacks";
    } else {
        sb_kernels_fill_avx512emu_ops(&l.k);
        sb_kernels_fill_avx512emu_mm(&l.k);
    }
#else
    l.absent = "built without SIMDe";
#endif
    return l;
}

static bool parse(int argc, char **argv, options *o)
{
    *o = (options){.cap = (sb_level)(SB_LEVEL_COUNT - 1), .min_s = 0.2};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--bench") == 0) {
            o->bench = true;
        } else if (strcmp(argv[i], "--only") == 0 && value) {
            o->only = argv[++i];
        } else if (strcmp(argv[i], "--best") == 0 && value) {
            o->best = argv[++i];
        } else if (strcmp(argv[i], "--seconds") == 0 && value) {
            o->min_s = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--level") == 0 && value) {
            int level = 0;
            while (level < SB_LEVEL_COUNT && strcmp(value, sb_level_name((sb_level)level)) != 0)
                level++;
            if (level == SB_LEVEL_COUNT) return false;
            o->cap = (sb_level)level;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    options o;
    tally t = {0};
    sb_kernels ref;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: checkkern [--bench] [--level NAME] [--only SLOT] [--seconds S] "
                        "[--best NAME]\n");
        return 2;
    }
    if (o.best && strcmp(o.best, sb_level_name(sb_level_best())) != 0) {
        printf("not ok - the strongest level here is %s, not %s\n", sb_level_name(sb_level_best()),
               o.best);
        return 1;
    }
    sb_kernels_init(&ref, SB_LEVEL_ref);
    run_level(NULL, &ref, &o, &t);
    for (int level = o.bench ? 0 : 1; level <= (int)o.cap; level++) {
        if (o.bench && level == 0 && o.cap != SB_LEVEL_ref) continue;
        const level_run l = native_level((sb_level)level);
        run_level(&l, &ref, &o, &t);
    }
    if (!o.bench && o.cap == SB_LEVEL_avx512) {
        const level_run l = emulated_level();
        run_level(&l, &ref, &o, &t);
    }
    printf("1..%d\n", t.n_line);
    if (t.n_skipped) printf("# %d of %d not run, named above\n", t.n_skipped, t.n_line);
    return t.n_failed ? 1 : 0;
}
