/* SPDX-License-Identifier: Apache-2.0
 * unicode.h - the class of a code point, as the reference tokenizers see it.
 *
 * Purpose     General categories and white space from a table generated out of the reference
 *             (Unicode 16), not from this machine's libraries: the split must not depend on them.
 * Threads     Pure functions of constant tables. */
#ifndef SB_TOKENIZER_UNICODE_H
#define SB_TOKENIZER_UNICODE_H
#include "base/base.h"

/* Order of the table's categories: letters, marks, numbers (the rest is not named yet). Groups are
 * contiguous, so a group is a range test. */
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
    SB_UC_NO
} sb_uc_gc;

enum { SB_UC_GC_MASK = 0x1F, SB_UC_SPACE = 0x20, SB_UC_DIGIT = 0x40 };

/* Category in the low bits, SB_UC_SPACE for \s, SB_UC_DIGIT for what the reference's digit splitter
 * takes (numbers of a newer Unicode than its regexes know). cp must be a code point. */
uint8_t sb_uc_class(uint32_t cp);

static inline bool sb_uc_is_letter(uint8_t c)
{
    return (c & SB_UC_GC_MASK) <= SB_UC_LO;
}

static inline bool sb_uc_is_number(uint8_t c)
{
    const int gc = c & SB_UC_GC_MASK;
    return gc >= SB_UC_ND && gc <= SB_UC_NO;
}
#endif
