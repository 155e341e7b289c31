/* SPDX-License-Identifier: Apache-2.0
 * stop.c - the only writable globals of the product: a handler has no other place to write to. */
#include "cli/stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t n_asked;
static atomic_bool is_asked; /* lock-free, so a handler may set it */

static void ask(int signal_number)
{
    (void)signal_number;
    atomic_store(&is_asked, true);
    if (n_asked < 3) n_asked++;
    if (n_asked == 3) _exit(SB_EXIT_INTERRUPTED);
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
