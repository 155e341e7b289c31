/* SPDX-License-Identifier: Apache-2.0
 * neon_vec.h - the words of the bodies in kernels/vec, for 4 lanes.
 *
 * Each function is one instruction, or the fewest; meanings as in avx2_vec.h. All of them are
 * there on every 64-bit ARM. Every head_dim is whole vectors here, so the _n forms of what pages
 * hold are never asked for fewer. */
#ifndef SB_KERNELS_NEON_VEC_H
#define SB_KERNELS_NEON_VEC_H
#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vec;
enum { LANES = 4, REGISTERS = 32 };

static inline vec v_set(float x)
{
    return vdupq_n_f32(x);
}
static inline vec v_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline vec v_load(const float *p)
{
    return vld1q_f32(p);
}
static inline void v_store(float *p, vec v)
{
    vst1q_f32(p, v);
}

static inline vec v_load_n(const float *p, int64_t n)
{
    float lane[4] = {0};
    for (int64_t i = 0; i < n; i++)
        lane[i] = p[i];
    return v_load(lane);
}

static inline void v_store_n(float *p, vec v, int64_t n)
{
    float lane[4];
    v_store(lane, v);
    for (int64_t i = 0; i < n; i++)
        p[i] = lane[i];
}

static inline vec v_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}
static inline vec v_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}
static inline vec v_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}
static inline vec v_div(vec a, vec b)
{
    return vdivq_f32(a, b);
}
static inline vec v_max(vec a, vec b)
{
    return vmaxq_f32(a, b);
}
static inline vec v_neg(vec a)
{
    return vnegq_f32(a);
}
static inline vec v_abs(vec a)
{
    return vabsq_f32(a);
}
static inline vec v_fma(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
} /* ab + c */
static inline vec v_fms(vec a, vec b, vec c)
{
    return vfmaq_f32(vnegq_f32(c), a, b);
} /* ab - c */
static inline vec v_fnma(vec a, vec b, vec c)
{
    return vfmsq_f32(c, a, b);
} /* c - ab */

static inline vec v_signed(vec a, vec s)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), s, a);
}

static inline vec v_if_less(vec a, vec b, vec x, vec y)
{
    return vbslq_f32(vcltq_f32(a, b), x, y);
}

static inline vec v_zero_if_less(vec a, vec b, vec y)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y), vcltq_f32(a, b)));
}

static inline vec v_if_nan(vec a, vec x, vec y)
{
    return vbslq_f32(vceqq_f32(a, a), y, x);
}

static inline vec v_add_exponent(vec p, vec t)
{
    const int32x4_t e = vshlq_n_s32(vreinterpretq_s32_f32(t), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), e));
}

static inline vec v_inside(vec v, int32_t at, int32_t lo, int32_t hi, vec x)
{
    static const int32_t iota[4] = {0, 1, 2, 3};
    const int32x4_t i = vaddq_s32(vdupq_n_s32(at), vld1q_s32(iota));
    const uint32x4_t in = vandq_u32(vcgeq_s32(i, vdupq_n_s32(lo)), vcltq_s32(i, vdupq_n_s32(hi)));
    return vbslq_f32(in, v, x);
}

static inline float v_greatest(vec v)
{
    return vmaxvq_f32(v);
}

static inline vec v_butterfly(vec v, int h)
{
    static const uint32_t second[2][4] = {{0, ~0u, 0, ~0u}, {0, 0, ~0u, ~0u}};
    const vec w = h == 1 ? vrev64q_f32(v) : vextq_f32(v, v, 2);
    return vbslq_f32(vld1q_u32(second[h / 2]), vsubq_f32(w, v), vaddq_f32(w, v));
}

static inline vec v_half(const void *page, size_t at, bool bf16, bool second)
{
    if (bf16) {
        const uint32x4_t w = vreinterpretq_u32_u16(vld1q_u16((const uint16_t *)page + at));
        return vreinterpretq_f32_u32(second ? vandq_u32(w, vdupq_n_u32(0xffff0000u))
                                            : vshlq_n_u32(w, 16));
    }
    const float *p = (const float *)page + at;
    const vec a = v_load(p), b = v_load(p + LANES);
    return second ? vuzp2q_f32(a, b) : vuzp1q_f32(a, b);
}

static inline vec v_half_n(const void *page, size_t at, bool bf16, bool second, int64_t n)
{
    (void)n;
    return v_half(page, at, bf16, second);
}

static inline vec v_codes(const signed char *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

static inline vec v_codes_n(const signed char *p, int64_t n)
{
    (void)n;
    return v_codes(p);
}
#endif
