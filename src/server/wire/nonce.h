/* SPDX-License-Identifier: Apache-2.0
 * nonce.h - lines that only keep prompts from beginning alike (nonces.def). */
#ifndef SB_SERVER_NONCE_H
#define SB_SERVER_NONCE_H
#include "base/base.h"

/* Takes recognised lines, and the blank lines behind them, off the front of *s. Returns the name of
 * the first, or NULL: there was none. */
const char *sb_nonce_take(sb_str *s);
#endif
