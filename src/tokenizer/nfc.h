/* SPDX-License-Identifier: Apache-2.0
 * nfc.h - text to Unicode's composed form (NFC), as the reference's normaliser has it.
 *
 * Purpose     Some models' tokenizers were trained on composed text ("e" and U+0301 are one
 *             character) and compose before they split.
 * Invariants  Text is valid UTF-8, before and after.
 * Ownership   sb_nfc owns its buffers; the text sb_nfc_compose() hands out is the caller's own, or
 *             lies in `out` until the next call.
 * Threads     One sb_nfc, one thread; the tables are constant.
 * Errors      SB_NO_MEMORY; the text is then unchanged.
 * Cost        Linear, whatever the text: a run of marks is ordered by counting, not by exchange. */
#ifndef SB_TOKENIZER_NFC_H
#define SB_TOKENIZER_NFC_H
#include "base/base.h"

typedef struct sb_nfc {
    char *out;
    uint32_t *v; /* [2 * cap_v] code points being composed, and room to order them */
    size_t n_out, cap_out, n_v, cap_v;
} sb_nfc;

void sb_nfc_deinit(sb_nfc *w);
/* Composes *text; text that is composed already stays where it is. */
sb_status sb_nfc_compose(sb_nfc *w, sb_str *text, sb_error *err) SB_MUST_USE;
#endif
