/* SPDX-License-Identifier: Apache-2.0
 * stop.c - the only writable globals of the product: a handler has no other place to write to. */
#include "cli/stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t n_asked;
static atomic_bool is_asked; /* lock-free, so a handler may set it */
static atomic_bool must_end; /* asked by something else than an interrupt */
static atomic_bool window_changed;
static volatile sig_atomic_t has_modes; /* set last: modes are whole when it is */
static struct termios modes_before;
static const sb_governor *_Atomic governor;

static void ask(int signal_number)
{
    if (signal_number != SIGINT) atomic_store(&must_end, true);
    atomic_store(&is_asked, true);
    if (n_asked < 3) n_asked++;
    if (n_asked < 3) return;
    if (has_modes) (void)tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
    sb_governor_restore(atomic_load(&governor));
    _exit(SB_EXIT_INTERRUPTED);
}

static void note_window(int signal_number)
{
    (void)signal_number;
    atomic_store(&window_changed, true);
}

bool sb_stop_take_interrupt(void)
{
    if (!atomic_load(&is_asked) || atomic_load(&must_end)) return false;
    n_asked = 0;
    atomic_store(&is_asked, false);
    if (atomic_load(&must_end)) atomic_store(&is_asked, true); /* it came just now */
    return true;
}

void sb_stop_keep_terminal(const struct termios *modes)
{
    modes_before = *modes;
    has_modes = 1;
}

void sb_stop_keep_governor(const sb_governor *g)
{
    atomic_store(&governor, g);
}

void sb_stop_watch_window(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    (void)sigemptyset(&sa.sa_mask);
    sa.sa_handler = note_window;
    (void)sigaction(SIGWINCH, &sa, NULL);
    (void)sigaction(SIGCONT, &sa, NULL);
}

bool sb_stop_window_changed(void)
{
    return atomic_exchange(&window_changed, false);
}

void sb_stop_start(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    (void)sigemptyset(&sa.sa_mask);
    sa.sa_handler = ask; /* no SA_RESTART: a waiting read returns and asks the flag */
    for (size_t i = 0; i < SB_ARRAY_LEN(stops); i++) {
        struct sigaction old;
        if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN &&
            stops[i] != SIGTERM)
            continue; /* nohup, or a shell's background job: whoever started us wants it ignored */
        (void)sigaction(stops[i], &sa, NULL);
    }
    sa.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &sa, NULL);
}

bool sb_stop_asked(void *ctx)
{
    (void)ctx;
    return atomic_load(&is_asked);
}

const atomic_bool *sb_stop_flag(void)
{
    return &is_asked;
}
