/* SPDX-License-Identifier: Apache-2.0
 * starve.c - what stands before base/alloc.h where starve_dep is linked. */
#include "starve.h"

#include "base/alloc.h"

#include <stdatomic.h>

static atomic_long n_granted_first = -1; /* requests that still succeed; -1: all */
static atomic_bool refuse_all, was_refused;
static atomic_long n_live;

void starve_from(long n, bool for_good)
{
    atomic_store(&was_refused, false);
    atomic_store(&refuse_all, for_good);
    atomic_store(&n_granted_first, n);
}

bool starve_end(void)
{
    atomic_store(&n_granted_first, -1);
    return atomic_load(&was_refused);
}

long starve_live(void)
{
    return atomic_load(&n_live);
}

static bool granted(void)
{
    if (atomic_load(&n_granted_first) < 0) return true;
    const long left = atomic_fetch_sub(&n_granted_first, 1);
    if (left > 0) return true;
    atomic_store(&was_refused, true);
    atomic_store(&n_granted_first, atomic_load(&refuse_all) ? 0 : -1);
    return false;
}

static void *live(void *p)
{
    if (p) atomic_fetch_add(&n_live, 1);
    return p;
}

void *__real_sb_alloc(size_t n, size_t size);
void *__real_sb_calloc(size_t n, size_t size);
void *__real_sb_realloc(void *p, size_t n, size_t size);
char *__real_sb_strdup_n(const char *p, size_t n);
void *__real_sb_big_alloc(size_t bytes);
void __real_sb_free(void *p);
void __real_sb_big_free(void *p, size_t bytes);
void *__wrap_sb_alloc(size_t n, size_t size);
void *__wrap_sb_calloc(size_t n, size_t size);
void *__wrap_sb_realloc(void *p, size_t n, size_t size);
char *__wrap_sb_strdup_n(const char *p, size_t n);
void *__wrap_sb_big_alloc(size_t bytes);
void __wrap_sb_free(void *p);
void __wrap_sb_big_free(void *p, size_t bytes);

void *__wrap_sb_alloc(size_t n, size_t size)
{
    return granted() ? live(__real_sb_alloc(n, size)) : NULL;
}

void *__wrap_sb_calloc(size_t n, size_t size)
{
    return granted() ? live(__real_sb_calloc(n, size)) : NULL;
}

void *__wrap_sb_realloc(void *p, size_t n, size_t size)
{
    if (!granted()) return NULL;
    void *q = __real_sb_realloc(p, n, size);
    return p ? q : live(q);
}

char *__wrap_sb_strdup_n(const char *p, size_t n)
{
    return granted() ? live(__real_sb_strdup_n(p, n)) : NULL;
}

void *__wrap_sb_big_alloc(size_t bytes)
{
    return granted() ? live(__real_sb_big_alloc(bytes)) : NULL;
}

void __wrap_sb_free(void *p)
{
    if (p) atomic_fetch_sub(&n_live, 1);
    __real_sb_free(p);
}

void __wrap_sb_big_free(void *p, size_t bytes)
{
    if (p) atomic_fetch_sub(&n_live, 1);
    __real_sb_big_free(p, bytes);
}
