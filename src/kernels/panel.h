/* SPDX-License-Identifier: Apache-2.0
 * panel.h - the geometry of packed weight panels, for the code that writes and reads them.
 *
 * Purpose     Constants only, so that every level compiles them in; the numbers are panel.def's,
 *             the byte tables are at the top of pack.c. Private to this room.
 * Threads     Constants. */
#ifndef SB_KERNELS_PANEL_H
#define SB_KERNELS_PANEL_H
#include "kernels/kernels.h"

/* How codes are stored (planes, see pack.c): whole nibbles, nibbles with one or two bits more, two
 * bits, three bits, bytes, and nibbles that index a table of values. */
typedef enum panel_codes {
    CODES_N4,
    CODES_N4P1,
    CODES_N4P2,
    CODES_P2,
    CODES_P2P1,
    CODES_P8,
    CODES_NL4,
    CODES_MX4
} panel_codes;

/* How scales are stored: f16; f16 with f16 minimum; exponent byte; per super-block f16 times a
 * signed or unsigned byte per 32 or 16 weights, some with minima (M). */
typedef enum panel_scales {
    SCALES_F16,
    SCALES_F16M,
    SCALES_E8M0,
    SCALES_K32,
    SCALES_K32M,
    SCALES_K16,
    SCALES_K16M
} panel_scales;

typedef struct panel_info {
    panel_codes codes;
    panel_scales scales;
    int32_t zero, blocks;
    int32_t scale_off, scale_step, code_off, code_step, frame_bytes;
} panel_info;

#define X(name, tile, c, s, zero, blocks, so, ss, co, cs, bytes)                                   \
    static const panel_info panel_##name = {CODES_##c, SCALES_##s, zero, blocks, so,               \
                                            ss,        co,         cs,   bytes};
#include "kernels/panel.def"
#undef X

/* Values of the table formats, plus their zero of panel.def, so that all are unsigned bytes. */
#define PANEL_NL4_VALUES 0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240
#define PANEL_MX4_VALUES 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0

/* First byte of the block's scales, of its codes, and of its frame's head. */
static inline const unsigned char *panel_frame(const panel_info *p, const unsigned char *w,
                                               int32_t b)
{
    return w + (size_t)(b / p->blocks) * (size_t)p->frame_bytes;
}

static inline const unsigned char *panel_scale(const panel_info *p, const unsigned char *w,
                                               int32_t b)
{
    return panel_frame(p, w, b) + p->scale_off + b % p->blocks * p->scale_step;
}

static inline const unsigned char *panel_code(const panel_info *p, const unsigned char *w,
                                              int32_t b)
{
    return panel_frame(p, w, b) + p->code_off + b % p->blocks * p->code_step;
}
#endif
