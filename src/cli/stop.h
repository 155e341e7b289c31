/* SPDX-License-Identifier: Apache-2.0
 * stop.h - Ctrl-C and its kin as a flag that long work asks.
 *
 * Purpose     No signal ends the process: interrupt, terminate and hang-up set the flag, and the
 *             command ends in order with status 130. The third one does not wait. A pipe without a
 *             reader is an error of the write.
 * Threads     The flag may be asked from any thread. */
#ifndef SB_CLI_STOP_H
#define SB_CLI_STOP_H
#include "base/base.h"
#include "chat/governor.h"

#include <stdatomic.h>
#include <termios.h>

void sb_stop_start(void);
/* True once somebody asked. */
const atomic_bool *sb_stop_flag(void);
/* Puts its frequencies back, should a third signal end the program at once; NULL: none. */
void sb_stop_keep_governor(const sb_governor *g);
/* ctx is not used: the shape is that of the rooms' `cancelled` hooks. */
bool sb_stop_asked(void *ctx);

/* For a command that outlives Ctrl-C: takes the request back when nothing but interrupts came since
 * the last call, and says whether there was one. After a terminate or hang-up it stays. */
bool sb_stop_take_interrupt(void);
/* The modes a terminal on standard input gets back when the third signal does not wait. */
void sb_stop_keep_terminal(const struct termios *modes);
/* From now on a change of the window's size, and going on after a stop, interrupt what waits. */
void sb_stop_watch_window(void);
/* True once after each such event. */
bool sb_stop_window_changed(void);
#endif
