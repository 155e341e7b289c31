/* SPDX-License-Identifier: Apache-2.0
 * quant.h - the weight formats: one table, and the readable unpackers that define them.
 *
 * Purpose     Turns stored blocks into float32, exactly as the formats' owners do (f32
 *             arithmetic). The unpackers are the specification; packed layouts and kernels are
 *             proved against it.
 * Invariants  Bytes are read with memcpy-like loaders: no alignment is asked of the source.
 * Threads     Pure functions. */
#ifndef SB_QUANT_H
#define SB_QUANT_H
#include "base/base.h"

typedef enum sb_format {
#define X(name, id, elems, bytes, unpack) SB_F_##name,
#include "quant/formats.def"
#undef X
    SB_FORMAT_COUNT
} sb_format;

typedef struct sb_format_info {
    const char *name;
    uint32_t id;         /* in a GGUF file */
    int32_t block_elems; /* elements of one block */
    int32_t block_bytes; /* bytes of one block */
    void (*unpack)(const unsigned char *src, float *dst,
                   int64_t n); /* n: multiple of block_elems */
} sb_format_info;

/* f must be < SB_FORMAT_COUNT. */
const sb_format_info *sb_format_get(sb_format f);
/* Looks an id of a GGUF file up; false when we cannot read it. */
bool sb_format_find(uint32_t id, sb_format *out);
/* Name of any id the ggml family has used, for messages ("IQ2_XXS"), or NULL. */
const char *sb_format_id_name(uint32_t id);
/* Bytes of a row of n elements; n must be a multiple of block_elems. */
size_t sb_format_row_bytes(sb_format f, int64_t n);
/* src: one row of n elements in format f -> dst[n]. */
void sb_unpack_row(sb_format f, const unsigned char *src, float *dst, int64_t n);

float sb_f16_to_f32(uint16_t h);
uint16_t sb_f32_to_f16(float f); /* round to nearest even */
static inline float sb_bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}
/* Round to nearest even; NaN stays NaN (quiet). */
static inline uint16_t sb_f32_to_bf16(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    if ((v.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((v.u >> 16) | 0x40u);
    return (uint16_t)((v.u + 0x7fffu + ((v.u >> 16) & 1u)) >> 16);
}
#endif
