/* SPDX-License-Identifier: Apache-2.0
 * unicode.h - the class of a code point, as the reference tokenizers see it.
 *
 * Purpose     General categories, white space and the Han script from a table generated out of the
 *             reference (Unicode 16), not from this machine's libraries: the split must not depend
 *             on them. A set of classes is a mask, so a test of a regex's bracket is one `and`.
 * Threads     Pure functions of constant tables. */
#ifndef SB_TOKENIZER_UNICODE_H
#define SB_TOKENIZER_UNICODE_H
#include "base/base.h"

/* Order of the table's categories: letters, marks, numbers, punctuation, symbols, the rest. */
typedef enum sb_uc_gc {
    SB_UC_LU,
    SB_UC_LL,
    SB_UC_LT,
    SB_UC_LM,
    SB_UC_LO,
    SB_UC_MN,
    SB_UC_MC,
    SB_UC_ME,
    SB_UC_ND,
    SB_UC_NL,
    SB_UC_NO,
    SB_UC_PC,
    SB_UC_PD,
    SB_UC_PS,
    SB_UC_PE,
    SB_UC_PI,
    SB_UC_PF,
    SB_UC_PO,
    SB_UC_SM,
    SB_UC_SC,
    SB_UC_SK,
    SB_UC_SO
} sb_uc_gc;

enum { SB_UC_GC_MASK = 0x1F, SB_UC_SPACE = 0x20, SB_UC_DIGIT = 0x40, SB_UC_HAN = 0x80 };

/* Category in the low bits, SB_UC_SPACE for \s, SB_UC_DIGIT for what the reference's digit splitter
 * takes (numbers of a newer Unicode than its regexes know), SB_UC_HAN for the script. cp must be a
 * code point. */
uint8_t sb_uc_class(uint32_t cp);

/* Sets of classes: the bits of categories, and those of the flags. */
#define SB_UC_BIT(gc) ((uint64_t)1 << (gc))
#define SB_UC_RANGE(first, last) (SB_UC_BIT((last) + 1) - SB_UC_BIT(first))
#define SB_UC_SET_L SB_UC_RANGE(SB_UC_LU, SB_UC_LO)
#define SB_UC_SET_M SB_UC_RANGE(SB_UC_MN, SB_UC_ME)
#define SB_UC_SET_N SB_UC_RANGE(SB_UC_ND, SB_UC_NO)
#define SB_UC_SET_P SB_UC_RANGE(SB_UC_PC, SB_UC_PO)
#define SB_UC_SET_S SB_UC_RANGE(SB_UC_SM, SB_UC_SO)
#define SB_UC_SET_SPACE ((uint64_t)SB_UC_SPACE << 32)
#define SB_UC_SET_DIGIT ((uint64_t)SB_UC_DIGIT << 32)
#define SB_UC_SET_HAN ((uint64_t)SB_UC_HAN << 32)
#define SB_UC_SET_BREAK ((uint64_t)0x100 << 32) /* \r and \n */

/* The bits of one code point: one category, and its flags. */
static inline uint64_t sb_uc_bits(uint32_t cp)
{
    const uint8_t c = sb_uc_class(cp);
    const uint64_t line_break = cp == '\r' || cp == '\n' ? SB_UC_SET_BREAK : 0;
    return SB_UC_BIT(c & SB_UC_GC_MASK) | (uint64_t)(c & 0xE0u) << 32 | line_break;
}
#endif
