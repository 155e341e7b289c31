/* SPDX-License-Identifier: Apache-2.0
 * input.c - ppoll(2) opens the signals for just as long as it sleeps. */
#include "cli/input.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "cli/stop.h"

/* One wait with the signals blocked around it; EINTR comes back as SB_INPUT_ERROR. */
static sb_input_event wait_once(sb_input *in, const sigset_t *open)
{
    if (sb_stop_asked(NULL)) return SB_INPUT_STOP;
    if (sb_stop_window_changed()) return SB_INPUT_WINDOW;
    if (in->at < in->n) return SB_INPUT_BYTES;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (ppoll(&p, 1, NULL, open) < 0) return SB_INPUT_ERROR;
    const ssize_t n = read(STDIN_FILENO, in->held, sizeof in->held);
    if (n < 0 && errno == EIO) return SB_INPUT_END; /* the terminal went away */
    if (n < 0) return SB_INPUT_ERROR;
    in->at = 0;
    in->n = (size_t)n;
    return n > 0 ? SB_INPUT_BYTES : SB_INPUT_END;
}

sb_input_event sb_input_wait(sb_input *in)
{
    static const int heard[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    sigset_t block, before;
    (void)sigemptyset(&block);
    for (size_t i = 0; i < SB_ARRAY_LEN(heard); i++)
        (void)sigaddset(&block, heard[i]);
    (void)sigprocmask(SIG_BLOCK, &block, &before);
    sb_input_event e;
    int why = 0;
    do {
        e = wait_once(in, &before);
        why = e == SB_INPUT_ERROR ? errno : 0;
    } while (why == EINTR || why == EAGAIN);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return e;
}
