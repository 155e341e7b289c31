/* SPDX-License-Identifier: Apache-2.0
 * top.c - a short list in order: a newcomer moves up from its end.
 *
 * A heap was refused: after the first few thousand logits a newcomer is rare, so what counts is how
 * fast nothing is found, and lists of several threads are joined in order. */
#include "engine/top.h"

static bool before(const sb_logit *a, const sb_logit *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* False when x does not belong to the k first. */
static bool put(sb_top *t, int32_t k, sb_logit x)
{
    if (t->n == k && !before(&x, &t->at[k - 1])) return false;
    int32_t at = t->n < k ? t->n++ : k - 1;
    for (; at > 0 && before(&x, &t->at[at - 1]); at--)
        t->at[at] = t->at[at - 1];
    t->at[at] = x;
    return true;
}

/* Lanes so that the compiler may use vectors. */
float sb_max_of(const float *x, int32_t n)
{
    enum { LANES = 16 };
    float best[LANES];
    for (int32_t l = 0; l < LANES; l++)
        best[l] = x[0];
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int32_t l = 0; l < LANES; l++)
            best[l] = x[i + l] > best[l] ? x[i + l] : best[l];
    for (; i < n; i++)
        best[0] = x[i] > best[0] ? x[i] : best[0];
    for (int32_t l = 1; l < LANES; l++)
        best[0] = best[l] > best[0] ? best[l] : best[0];
    return best[0];
}

bool sb_top_wants(const sb_top *t, int32_t k, float greatest)
{
    return t->n < k || greatest >= t->at[k - 1].logit;
}

void sb_top_gather(sb_top *t, int32_t k, const float *x, int32_t n, int32_t id0)
{
    enum { BLOCK = 128 };
    for (int32_t i = 0; i < n; i += BLOCK) {
        const int32_t len = n - i < BLOCK ? n - i : BLOCK;
        if (!sb_top_wants(t, k, sb_max_of(x + i, len))) continue;
        for (int32_t j = i; j < i + len; j++)
            (void)put(t, k, (sb_logit){.logit = x[j], .id = id0 + j});
    }
}

void sb_top_join(sb_top *t, int32_t k, const sb_top *other)
{
    for (int32_t i = 0; i < other->n; i++)
        if (!put(t, k, other->at[i])) return; /* nor those behind it */
}
