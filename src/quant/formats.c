/* SPDX-License-Identifier: Apache-2.0
 * formats.c - the table of weight formats, made from formats.def. */
#include "quant/blocks.h"

static const sb_format_info format_table[SB_FORMAT_COUNT] = {
#define X(NAME, ID, ELEMS, BYTES, UNPACK)                                                          \
    [SB_F_##NAME] = {.name = #NAME,                                                                \
                     .id = (ID),                                                                   \
                     .block_elems = (ELEMS),                                                       \
                     .block_bytes = (BYTES),                                                       \
                     .unpack = (UNPACK)},
#include "quant/formats.def"
#undef X
};

// The table's bytes against the layouts of blocks.h.
enum {
#define X(NAME, ID, ELEMS, BYTES, UNPACK) BYTES_##NAME = (BYTES),
#include "quant/formats.def"
#undef X
};
_Static_assert(BYTES_F32 == sizeof(float) && BYTES_F16 == 2 && BYTES_BF16 == 2, "plain formats");
_Static_assert(BYTES_Q4_0 == sizeof(sb_block_q4_0), "Q4_0");
_Static_assert(BYTES_Q4_1 == sizeof(sb_block_q4_1), "Q4_1");
_Static_assert(BYTES_Q5_0 == sizeof(sb_block_q5_0), "Q5_0");
_Static_assert(BYTES_Q5_1 == sizeof(sb_block_q5_1), "Q5_1");
_Static_assert(BYTES_Q8_0 == sizeof(sb_block_q8_0), "Q8_0");
_Static_assert(BYTES_Q2_K == sizeof(sb_block_q2_k), "Q2_K");
_Static_assert(BYTES_Q3_K == sizeof(sb_block_q3_k), "Q3_K");
_Static_assert(BYTES_Q4_K == sizeof(sb_block_q4_k), "Q4_K");
_Static_assert(BYTES_Q5_K == sizeof(sb_block_q5_k), "Q5_K");
_Static_assert(BYTES_Q6_K == sizeof(sb_block_q6_k), "Q6_K");
_Static_assert(BYTES_IQ4_NL == sizeof(sb_block_iq4_nl), "IQ4_NL");
_Static_assert(BYTES_IQ4_XS == sizeof(sb_block_iq4_xs), "IQ4_XS");
_Static_assert(BYTES_MXFP4 == sizeof(sb_block_mxfp4), "MXFP4");

const sb_format_info *sb_format_get(sb_format f)
{
    return &format_table[f];
}

bool sb_format_find(uint32_t id, sb_format *out)
{
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        if (format_table[f].id == id) {
            *out = (sb_format)f;
            return true;
        }
    }
    return false;
}

const char *sb_format_id_name(uint32_t id)
{
    static const struct {
        uint32_t id;
        const char *name;
    } others[] = {
#define X(ID, NAME) {ID, NAME},
#include "quant/other_ids.def"
#undef X
    };
    sb_format f;
    if (sb_format_find(id, &f)) return format_table[f].name;
    for (size_t i = 0; i < SB_ARRAY_LEN(others); i++) {
        if (others[i].id == id) return others[i].name;
    }
    return NULL;
}

size_t sb_format_row_bytes(sb_format f, int64_t n)
{
    const sb_format_info *info = sb_format_get(f);
    return (size_t)(n / info->block_elems) * (size_t)info->block_bytes;
}

void sb_unpack_row(sb_format f, const unsigned char *src, float *dst, int64_t n)
{
    sb_format_get(f)->unpack(src, dst, n);
}
