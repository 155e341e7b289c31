/* SPDX-License-Identifier: Apache-2.0
 * avx512_ops.c - norms, activations and quantisation for the avx512 level.
 *
 * Rope, add and scale stay with avx2: they wait for memory or are a thousandth of the time.
 * Quantisation takes sixteen blocks at a time, so that what a block has one of (its range, scale,
 * offset and sums) fills vectors. */
#include "kernels/attn.h"
#include "kernels/internal.h"
#include "kernels/x86/avx512_vec.h"
#include "kernels/vec/ops_body.h"

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { RUN = 16 }; /* blocks */

typedef enum fold { FOLD_MIN, FOLD_MAX } fold;

static inline vec fold_two(fold f, vec a, vec b)
{
    return f == FOLD_MIN ? _mm512_min_ps(a, b) : _mm512_max_ps(a, b);
}

/* Four lanes of two vectors, and the other four of each. */
static inline vec fold_lanes(fold f, vec a, vec b)
{
    return fold_two(f, _mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* The least or greatest lane of each of sixteen vectors, in order. */
static inline vec fold_all(fold f, const vec v[RUN])
{
    vec two[8], four[4];
    UNROLL
    for (int i = 0; i < 8; i++)
        two[i] = fold_two(f, _mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]),
                          _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    UNROLL
    for (int i = 0; i < 4; i++) {
        const __m512d a = _mm512_castps_pd(two[2 * i]), b = _mm512_castps_pd(two[2 * i + 1]);
        four[i] = fold_two(f, _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                           _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    return fold_lanes(f, fold_lanes(f, four[0], four[1]), fold_lanes(f, four[2], four[3]));
}

/* What a run's blocks have one of each, a lane a block. */
typedef struct run_scales {
    _Alignas(64) float t[RUN]; /* 0 where a block counts as zeros or is not finite */
    _Alignas(64) int32_t z[RUN];
    _Alignas(64) int32_t keep[RUN]; /* all bits, or none where q is 0 whatever x * t says */
    vec d;
} run_scales;

/* Of n blocks; those behind them count as zeros. */
static inline void run_range(const float *x, int n, run_scales *out)
{
    const vec infinite = v_set(INFINITY);
    vec least[RUN], most[RUN];
    uint32_t odd = 0;
    for (int i = 0; i < RUN; i++) {
        if (i >= n) {
            least[i] = most[i] = v_zero();
            continue;
        }
        const vec a = v_load(x + SB_ACT_BLOCK * i), b = v_load(x + SB_ACT_BLOCK * i + LANES);
        const __mmask16 odd_a = _mm512_cmp_ps_mask(v_abs(a), infinite, _CMP_NLT_UQ);
        const __mmask16 odd_b = _mm512_cmp_ps_mask(v_abs(b), infinite, _CMP_NLT_UQ);
        odd |= (uint32_t)((odd_a | odd_b) != 0) << i;
        least[i] = _mm512_min_ps(a, b);
        most[i] = v_max(a, b);
    }
    const vec lo = _mm512_min_ps(fold_all(FOLD_MIN, least), v_zero());
    const vec span = v_sub(v_max(fold_all(FOLD_MAX, most), v_zero()), lo);
    const __mmask16 over = _mm512_cmp_ps_mask(v_abs(span), infinite, _CMP_NLT_UQ);
    const __mmask16 bad = (__mmask16)(odd | over);
    const __mmask16 live =
        _mm512_cmp_ps_mask(span, v_set(SB_ACT_TINY), _CMP_GE_OQ) & (__mmask16)~bad;
    const vec t = _mm512_maskz_div_ps(live, v_set(253.0f), span);
    const __m512i z = _mm512_add_epi32(_mm512_cvtps_epi32(v_mul(lo, t)), _mm512_set1_epi32(127));
    v_store(out->t, t);
    _mm512_store_si512(out->z, _mm512_maskz_mov_epi32(live, z));
    _mm512_store_si512(out->keep, _mm512_maskz_set1_epi32(live, -1));
    out->d = _mm512_mask_mov_ps(_mm512_maskz_div_ps(live, span, v_set(253.0f)), bad,
                                _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000)));
}

/* Block i of a run as int16: values 4j .. 4j + 3 of its first half and of its second in lane j. */
static inline __m512i run_block(const float *x, const run_scales *run, int i)
{
    const vec t = v_set(run->t[i]);
    const __m512i z = _mm512_set1_epi32(run->z[i]), keep = _mm512_set1_epi32(run->keep[i]);
    const __m512i a = _mm512_cvtps_epi32(v_mul(v_load(x + SB_ACT_BLOCK * i), t));
    const __m512i b = _mm512_cvtps_epi32(v_mul(v_load(x + SB_ACT_BLOCK * i + LANES), t));
    return _mm512_packs_epi32(_mm512_and_si512(_mm512_sub_epi32(a, z), keep),
                              _mm512_and_si512(_mm512_sub_epi32(b, z), keep));
}

static inline __m512i add_lanes(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* The bytes of n blocks, and the sums of their halves, a lane a block. */
static inline void run_bytes(const float *x, int n, const run_scales *run, unsigned char *q,
                             __m512i half[2])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i one = _mm512_set1_epi8(1);
    __m512i part[RUN / 2];
    vec sum[2];
    for (int i = 0; i < RUN; i += 2) {
        part[i / 2] = _mm512_setzero_si512();
        if (i >= n) continue;
        const __m512i first = run_block(x, run, i);
        const __m512i second = i + 1 < n ? run_block(x, run, i + 1) : part[i / 2];
        const __m512i bytes = _mm512_packs_epi16(first, second);
        part[i / 2] = _mm512_dpbusd_epi32(part[i / 2], one, bytes);
        const __m512i in_order = _mm512_permutexvar_epi32(order, bytes);
        v_store_n((float *)(void *)(q + (size_t)SB_ACT_BLOCK * (size_t)i),
                  _mm512_castsi512_ps(in_order), i + 1 < n ? 16 : 8);
    }
    for (int h = 0; h < 2; h++) {
        const __m512i *p = &part[4 * h];
        sum[h] = _mm512_castsi512_ps(add_lanes(add_lanes(p[0], p[1]), add_lanes(p[2], p[3])));
    }
    for (int h = 0; h < 2; h++)
        half[h] = _mm512_castps_si512(v_half_of_floats(sum[0], sum[1], h == 1));
}

/* The tables' entries of n blocks, of n_block each, the first at `at`. */
static inline void run_tables(const run_scales *run, const __m512i half[2], int n,
                              unsigned char *at, size_t n_block)
{
    const __m512i z = _mm512_load_si512(run->z), low = _mm512_set1_epi32(0xffff);
    const __m512i sum[3] = {_mm512_add_epi32(half[0], half[1]), half[0], half[1]};
    v_store_n((float *)(void *)at, run->d, n);
    for (size_t part = 0; part < 3; part++) {
        const __m512i offsets = _mm512_slli_epi32(z, part == 0 ? 5 : 4);
        const vec s = v_mul(run->d, _mm512_cvtepi32_ps(_mm512_add_epi32(sum[part], offsets)));
        const __m512i zq =
            _mm512_or_si512(_mm512_slli_epi32(sum[part], 16), _mm512_and_si512(z, low));
        v_store_n((float *)(void *)(at + (ACT_S + part) * n_block * sizeof(float)), s, n);
        v_store_n((float *)(void *)(at + (ACT_ZQ + part) * n_block * sizeof(int32_t)),
                  _mm512_castsi512_ps(zq), n);
    }
}

static void quant_a8(const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst)
{
    const size_t n_block = (size_t)(k_total / SB_ACT_BLOCK);
    for (int64_t i = 0; i < n; i += SB_ACT_BLOCK * RUN) {
        const int64_t left = (n - i) / SB_ACT_BLOCK;
        const int blocks = left < RUN ? (int)left : RUN;
        run_scales run;
        __m512i half[2];
        run_range(x + i, blocks, &run);
        run_bytes(x + i, blocks, &run, dst + k0 + i, half);
        run_tables(&run, half, blocks, dst + act_at(k_total, ACT_D, (k0 + i) / SB_ACT_BLOCK),
                   n_block);
    }
}

static uint64_t int8_peak(int64_t n)
{
    enum { CHAINS = 16, PAIRS = 64 };
    const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
    __m512i sum[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
    __asm__ volatile("" : : "m"(sum));
    return (uint64_t)n * CHAINS * PAIRS;
}

void sb_kernels_fill_avx512_ops(sb_kernels *k)
{
    fill_common(k);
    k->quant_a8 = quant_a8;
    k->attn_merge = sb_avx512_attn_merge;
    k->int8_peak = int8_peak;
    k->attn[SB_KV_F32] = sb_avx512_attn_f32;
    k->attn[SB_KV_BF16] = sb_avx512_attn_bf16;
    k->attn[SB_KV_I8] = sb_avx512_attn_i8;
}
