/* SPDX-License-Identifier: Apache-2.0
 * unicode.c - two-stage table of character classes: block number by cp >> 8, class inside it. */
#include "tokenizer/unicode.h"

static const uint8_t block_of[0x1100] = {
#define SB_UNICODE_INDEX
#include "tokenizer/unicode.def"
#undef SB_UNICODE_INDEX
};

static const uint8_t class_in_block[] = {
#include "tokenizer/unicode.def"
};

uint8_t sb_uc_class(uint32_t cp)
{
    return class_in_block[(size_t)block_of[cp >> 8] << 8 | (cp & 0xFF)];
}
