/* SPDX-License-Identifier: Apache-2.0
 * edit_lib.h - the calls we use of libedit, found by name when a person sits at a terminal.
 *
 * Purpose     Linked in, the library and the three it needs would cost every start of the command
 *             0.4 ms; only `sobre chat` on a terminal edits lines.
 * Ownership   The library stays loaded until the process ends.
 * Errors      SB_UNSUPPORTED naming the package; the caller then reads lines without editing. */
#ifndef SB_CLI_EDIT_LIB_H
#define SB_CLI_EDIT_LIB_H
#include "base/base.h"

#include <stdio.h> /* histedit.h needs it and does not say so */

#include <histedit.h>

#define SB_EDIT_CALLS(X)                                                                           \
    X(el_init)                                                                                     \
    X(el_end)                                                                                      \
    X(el_set)                                                                                      \
    X(el_wset)                                                                                     \
    X(el_gets)                                                                                     \
    X(el_line)                                                                                     \
    X(el_resize)                                                                                   \
    X(el_source)                                                                                   \
    X(el_insertstr)                                                                                \
    X(history_init)                                                                                \
    X(history_end)                                                                                 \
    X(history)

#define X(call) __typeof__(&call) call;
typedef struct sb_edit_lib {
    SB_EDIT_CALLS(X)
} sb_edit_lib;
#undef X

sb_status sb_edit_lib_load(sb_edit_lib *out, sb_error *err) SB_MUST_USE;
#endif
