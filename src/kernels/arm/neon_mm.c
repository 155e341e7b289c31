/* SPDX-License-Identifier: Apache-2.0
 * neon_mm.c - matmul on packed panels for 64-bit ARM CPUs with dot products of bytes.
 *
 * How: sdot multiplies signed bytes and adds four products to each 32-bit lane, so codes of up to
 * six bits go as they are and bytes without their zero. Each four activations are broadcast by the
 * load that reads them and meet the codes of sixteen columns: with five rows, twenty sums, four
 * vectors of codes and what decodes them are the thirty-two registers. Proved under an emulator
 * alone: there is no figure yet, and registers are counted in the assembly. */
#include <arm_neon.h>
#include <stdbool.h>
#include <string.h>

#define FLAT static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
/* Keeps a sum as written. */
#define KEEP(v) __asm__("" : "+w"(v))
/* Asks for a line no sooner than v is made. */
#define ASK(p, v) __asm__ volatile("prfm pldl1keep, [%1]" : "+w"(v) : "r"(p))
#define Y_IN_MEMORY(y) __asm__ volatile("" : : "r"(y) : "memory")

#define NV_OF(mr) 4
#define CHAINS(mr) 1
#define ROWS_TILED_MORE(name) ROWS(name##_tiled5, name, WAY_TILED, 5)
#define ROWS_TILED_NAMES(name) , name##_tiled5
#define ROWS_ALONE_MORE(name)                                                                      \
    ROWS(name##_alone3, name, WAY_ALONE, 3)                                                        \
    ROWS(name##_alone4, name, WAY_ALONE, 4)                                                        \
    ROWS(name##_alone5, name, WAY_ALONE, 5)
#define ROWS_DEAR_MORE(name)
#define ROWS_GROUPS(name)                                                                          \
    ROWS(name##_first3, name, WAY_FIRST, 3)                                                        \
    ROWS(name##_first4, name, WAY_FIRST, 4)                                                        \
    ROWS(name##_first5, name, WAY_FIRST, 5)                                                        \
    ROWS(name##_again3, name, WAY_AGAIN, 3)                                                        \
    ROWS(name##_again4, name, WAY_AGAIN, 4)                                                        \
    ROWS(name##_again5, name, WAY_AGAIN, 5)
#define ROWS_ALONE_NAMES(name) , name##_alone3, name##_alone4, name##_alone5
#define ROWS_DEAR_NAMES(name)
#define ROWS_FIRST_NAMES(name) , name##_first3, name##_first4, name##_first5
#define ROWS_AGAIN_NAMES(name) , name##_again3, name##_again4, name##_again5
#define CLASS_CHEAP(name) static const mm_rows_fn name##_tiled[1];

typedef int32x4_t VI;
typedef float32x4_t VF;
enum {
    LANES = 4,
    V_BYTES = 16,
    V_PER_LINE = 8,
    DIRECT_IS_BEST = 1,
    GROUP_MOST = 5,
    SIGNED_BYTES = 1,
    MR_MAX = 5,
    MR_ELEMENTS = 6,
    NV_ELEMENTS = 4,
    Y_REGISTERS = 8,
    Y_HALVES = 4
};

FLAT VI v_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

FLAT void v_store(void *p, VI v)
{
    vst1q_u8(p, vreinterpretq_u8_s32(v));
}

FLAT VI v_set1_8(int x)
{
    return vreinterpretq_s32_s8(vdupq_n_s8((int8_t)x));
}

FLAT VI v_bcast32(const void *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return vdupq_n_s32(x);
}

FLAT VI v_zero(void)
{
    return vdupq_n_s32(0);
}

/* Shifts by operators: the intrinsics want a literal. */
FLAT VI v_sll16(VI v, int n)
{
    return vreinterpretq_s32_u16(vreinterpretq_u16_s32(v) << n);
}

FLAT VI v_srl16(VI v, int n)
{
    return vreinterpretq_s32_u16(vreinterpretq_u16_s32(v) >> n);
}

FLAT VI v_add8(VI a, VI b)
{
    return vreinterpretq_s32_s8(vaddq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)));
}

FLAT VI v_sub8(VI a, VI b)
{
    return vreinterpretq_s32_s8(vsubq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)));
}

#define v_and vandq_s32
#define v_or vorrq_s32
#define v_set1_32 vdupq_n_s32
#define v_add32 vaddq_s32
#define vf_load vld1q_f32
#define vf_store vst1q_f32
#define vf_bcast vld1q_dup_f32
#define vf_mul vmulq_f32
#define vf_neg vnegq_f32
#define vf_from_i32 vcvtq_f32_s32

FLAT VF vf_zero(void)
{
    return vdupq_n_f32(0.0f);
}

FLAT VF vf_fma(VF a, VF b, VF c)
{
    return vfmaq_f32(c, a, b);
}

FLAT VI v_dot(VI acc, VI a, VI b)
{
    return vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
}

FLAT VI v_sum4(VI acc, VI w, bool is_signed)
{
    if (is_signed) return v_dot(acc, w, v_set1_8(1));
    return vreinterpretq_s32_u32(
        vdotq_u32(vreinterpretq_u32_s32(acc), vreinterpretq_u8_s32(w), vdupq_n_u8(1)));
}

FLAT VI v_pair_add(VI acc, VI a, VI b)
{
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    const VI low = vmull_s16(vget_low_s16(x), vget_low_s16(y)), high = vmull_high_s16(x, y);
    return vaddq_s32(acc, vpaddq_s32(low, high));
}

FLAT VI v_table(const unsigned char *values, VI i)
{
    return vreinterpretq_s32_u8(vqtbl1q_u8(vld1q_u8(values), vreinterpretq_u8_s32(i)));
}

FLAT VI v_u8(const unsigned char *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
}

FLAT VI v_s8(const unsigned char *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)))));
}

FLAT VF vf_half(const unsigned char *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

FLAT VF vf_bf16(const unsigned char *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

/* 2^(e - 128) of exponent bytes; e of 0 and 1 are subnormal numbers. */
FLAT VF vf_exp8(const unsigned char *p)
{
    const VI e = v_u8(p), one = vdupq_n_s32(1);
    const VI normal = vshlq_n_s32(vsubq_s32(e, one), 23);
    const VI tiny = vshlq_s32(vdupq_n_s32(0x00200000), e);
    return vreinterpretq_f32_s32(vbslq_s32(vcgtq_s32(e, one), normal, tiny));
}

#include "kernels/vec/mm_codes.h"
#include "kernels/vec/mm_dot.h"
#include "kernels/vec/mm_body.h"

void sb_kernels_fill_neon_mm(sb_kernels *k)
{
    slots_fill(k);
}
