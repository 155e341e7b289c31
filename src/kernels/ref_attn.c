/* SPDX-License-Identifier: Apache-2.0
 * ref_attn.c - the specification of attention over one segment, one row and one number at a time.
 *
 * Order of additions: a score by fma over ascending dims; the sum of p in 16 lanes by position %
 * 16, then halved; an output by fma over ascending positions; then the merge. A position that a
 * row does not see is skipped here; a level may give it p = 0 instead, because fma(0, v, acc)
 * changes at most the sign of a zero and every zero that leaves ends as +0. */
#include "kernels/attn.h"
#include "kernels/kv_page.h"
#include "kernels/ref_math.h"

#include <string.h>

size_t sb_attn_scratch_floats(int32_t n_row, int32_t head_dim)
{
    const size_t rows = (size_t)(n_row < SB_ATTN_ROWS ? n_row : SB_ATTN_ROWS);
    return rows * (2 * SB_ATTN_STRIDE + (size_t)head_dim) + SB_ATTN_SLACK;
}

static float element(sb_kv_type t, const void *page, size_t at)
{
    if (t == SB_KV_F32) {
        float f;
        memcpy(&f, (const unsigned char *)page + at * sizeof f, sizeof f);
        return f;
    }
    uint16_t h;
    memcpy(&h, (const unsigned char *)page + at * sizeof h, sizeof h);
    return sb_bf16_to_f32(h);
}

/* Layouts as in kv_page.h; pos is 0..255 in the segment. */
static float key(const sb_attn *a, sb_kv_type t, int32_t pos, int32_t dim)
{
    const size_t p = (size_t)pos % SB_KV_PAGE, d = (size_t)dim, n = (size_t)a->head_dim;
    const void *page = a->k_page[pos / SB_KV_PAGE];
    if (t == SB_KV_I8) return (float)((const int8_t *)page)[kv_i8_key_at(n, p, d)];
    return element(t, page, kv_key_at(n, p, d));
}

static float value(const sb_attn *a, sb_kv_type t, int32_t pos, int32_t dim)
{
    const size_t p = (size_t)pos % SB_KV_PAGE, d = (size_t)dim, n = (size_t)a->head_dim;
    const void *page = a->v_page[pos / SB_KV_PAGE];
    if (t == SB_KV_I8) return (float)((const int8_t *)page)[kv_i8_value_at(n, p, d)];
    return element(t, page, kv_value_at(n, p, d));
}

/* The scale of a dim of an I8 page. */
static float scale_of(const sb_attn *a, const void *const *pages, int32_t pos, int32_t dim)
{
    const size_t p = (size_t)pos % SB_KV_PAGE, n = (size_t)a->head_dim;
    float f;
    memcpy(&f,
           (const unsigned char *)pages[pos / SB_KV_PAGE] +
               kv_i8_scale_at(n, p, (size_t)dim / SB_KV_GROUP),
           sizeof f);
    return f;
}

/* q.k of one row and one position. */
static float dot(const sb_attn *a, sb_kv_type t, const float *q, int32_t pos)
{
    const int32_t n = a->head_dim, group = t == SB_KV_I8 ? SB_KV_GROUP : n;
    float y = 0.0f;
    for (int32_t d0 = 0; d0 < n; d0 += group) {
        float sum = 0.0f;
        for (int32_t d = d0; d < d0 + group && d < n; d++)
            sum = fmaf(q[d], key(a, t, pos, d), sum);
        y = t == SB_KV_I8 ? fmaf(sum, scale_of(a, a->k_page, pos, d0), y) : sum;
    }
    return y;
}

/* Turns the scores s[lo..hi) into p = exp(score - max); returns max and the sum of p. */
static float softmax(float *s, int32_t lo, int32_t hi, float *out_sum)
{
    float lane[16] = {0}, m = s[lo];
    for (int32_t p = lo; p < hi; p++)
        m = s[p] > m ? s[p] : m;
    m = m + 0.0f; // -0 becomes +0, so that m does not depend on which zero came first
    for (int32_t p = lo; p < hi; p++) {
        s[p] = sb_ref_exp(s[p] - m);
        lane[p % 16] = lane[p % 16] + s[p];
    }
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] + lane[i + half];
    }
    *out_sum = lane[0];
    return m;
}

/* Merges (m2, l2) into (*m, *l) and gives the factors of the two accumulators. */
static void merge_weights(float *m, float *l, float m2, float l2, float *out_a, float *out_b)
{
    if (*l == 0.0f) {
        *m = m2;
        *l = l2;
        *out_a = 0.0f;
        *out_b = 1.0f;
        return;
    }
    const float top = *m > m2 ? *m : m2;
    *out_a = sb_ref_exp(*m - top);
    *out_b = sb_ref_exp(m2 - top);
    *l = fmaf(l2, *out_b, *l * *out_a);
    *m = top;
}

/* a == 0 drops the old sum without reading it: an empty state may hold anything. */
static float merge_acc(float acc, float acc2, float a, float b)
{
    return fmaf(acc2, b, a == 0.0f ? 0.0f : acc * a) + 0.0f;
}

void sb_ref_attn_merge(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                       int64_t n)
{
    if (l2 == 0.0f) return;
    float wa, wb;
    merge_weights(m, l, m2, l2, &wa, &wb);
    for (int64_t d = 0; d < n; d++)
        acc[d] = merge_acc(acc[d], acc2[d], wa, wb);
}

static void attn_row(const sb_attn *a, sb_kv_type t, int32_t r)
{
    const int32_t lo = a->lo[r], hi = a->hi[r];
    const float *q = a->q + (size_t)r * a->q_stride;
    float *s = a->scratch, *acc = a->acc + (size_t)r * (size_t)a->head_dim;
    float sum, wa, wb;
    for (int32_t p = lo; p < hi; p++) {
        s[p] = a->scale * dot(a, t, q, p);
        if (a->softcap != 0.0f) s[p] = sb_ref_softcap(s[p], a->softcap);
    }
    const float m = softmax(s, lo, hi, &sum);
    merge_weights(&a->m[r], &a->l[r], m, sum, &wa, &wb);
    for (int32_t d = 0; d < a->head_dim; d++) {
        float seg = 0.0f;
        for (int32_t p = lo; p < hi; p++) {
            const float w = t == SB_KV_I8 ? s[p] * scale_of(a, a->v_page, p, d) : s[p];
            seg = fmaf(w, value(a, t, p, d), seg);
        }
        acc[d] = merge_acc(acc[d], seg, wa, wb);
    }
}

static void attn(const sb_attn *a, sb_kv_type t)
{
    for (int32_t r = 0; r < a->n_row; r++) {
        if (a->lo[r] < a->hi[r]) attn_row(a, t, r);
    }
}

void sb_ref_attn_f32(const sb_attn *a)
{
    attn(a, SB_KV_F32);
}

void sb_ref_attn_bf16(const sb_attn *a)
{
    attn(a, SB_KV_BF16);
}

void sb_ref_attn_i8(const sb_attn *a)
{
    attn(a, SB_KV_I8);
}
