/* SPDX-License-Identifier: Apache-2.0
 * input.h - bytes of standard input for somebody who also listens to signals.
 *
 * Purpose     Waits for bytes or a signal without a moment in which a signal can be missed.
 * Ownership   Plain memory of the caller.
 * Threads     One caller; other threads of the process must not take signals (the pool's do not).
 * Cost        Nothing while it waits. */
#ifndef SB_CLI_INPUT_H
#define SB_CLI_INPUT_H
#include "base/base.h"

typedef enum sb_input_event {
    SB_INPUT_BYTES,  /* held[at..n) has some */
    SB_INPUT_END,    /* no more will come */
    SB_INPUT_STOP,   /* sb_stop_asked() */
    SB_INPUT_WINDOW, /* sb_stop_window_changed() was true */
    SB_INPUT_ERROR   /* errno says why */
} sb_input_event;

typedef struct sb_input {
    size_t at, n;
    char held[16384];
} sb_input;

/* Returns at once while bytes are held and nobody asked to stop. */
sb_input_event sb_input_wait(sb_input *in);
#endif
