/* SPDX-License-Identifier: Apache-2.0
 * bus.c - the handler of SIGBUS; beside stop.c the only writable global, for the same reason. */
#include "cli/bus.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/file.h"

static atomic_bool is_hit; /* lock-free, so a handler may set it */

static void on_bus(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const int before = errno;
    if (info->si_code == BUS_ADRERR && sb_map_patch(info->si_addr)) {
        atomic_store(&is_hit, true);
        errno = before;
        return;
    }
    const struct sigaction as_ever = {.sa_handler = SIG_DFL};
    (void)sigaction(signal_number, &as_ever, NULL); /* the read is tried again, and ends it all */
}

void sb_bus_start(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    (void)sigemptyset(&sa.sa_mask);
    sa.sa_sigaction = on_bus;
    sa.sa_flags = SA_SIGINFO;
    (void)sigaction(SIGBUS, &sa, NULL);
}

bool sb_bus_hit(void)
{
    return atomic_load(&is_hit);
}
