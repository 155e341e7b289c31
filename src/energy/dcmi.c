/* SPDX-License-Identifier: Apache-2.0
 * dcmi.c - what a server's management controller says that the server draws (IPMI, DCMI).
 *
 * One request, "Get Power Reading": the answer is whole watts. Controllers take tens of
 * milliseconds and renew about once a second, so none is asked more often; many stand still, which
 * counters.c finds out. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ipmi.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "energy/internal.h"

enum {
    DCMI_NETFN = 0x2c,
    DCMI_POWER = 0x02,
    DCMI_GROUP = 0xdc,
    DCMI_BYTES = 19, /* code, group, four times two bytes, two times four, state */
    DCMI_ACTIVE = 0x40,
    WAIT_MS = 1000
};

static uint32_t little(const uint8_t *p, int n)
{
    uint32_t v = 0;
    for (int i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

bool sb_dcmi_parse(const uint8_t *p, size_t n, uint32_t *out_watts, uint32_t *out_period_ms)
{
    if (n < DCMI_BYTES || p[0] != 0 || p[1] != DCMI_GROUP || !(p[18] & DCMI_ACTIVE)) return false;
    *out_watts = little(p + 2, 2);
    *out_period_ms = little(p + 14, 4);
    return true;
}

static int receive(int fd, long id, uint8_t *out, size_t out_bytes)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct ipmi_addr from;
    struct ipmi_recv got = {.addr = (unsigned char *)&from,
                            .addr_len = sizeof from,
                            .msg = {.data = out, .data_len = (unsigned short)out_bytes}};
    for (int i = 0; i < 4; i++) { /* answers to what was given up come first */
        if (poll(&p, 1, WAIT_MS) != 1) {
            errno = ETIMEDOUT;
            return -1;
        }
        got.addr_len = sizeof from;
        got.msg.data_len = (unsigned short)out_bytes;
        if (ioctl(fd, IPMICTL_RECEIVE_MSG_TRUNC, &got) < 0) return -1;
        if (got.msgid == id) return got.msg.data_len;
    }
    errno = EPROTO;
    return -1;
}

static int kernel_open(void *ctx)
{
    (void)ctx;
    return open("/dev/ipmi0", O_RDWR | O_CLOEXEC);
}

static int kernel_ask(void *ctx, int fd, const sb_ipmi_request *rq, uint8_t *out, size_t out_bytes)
{
    sb_ipmi_request sent = *rq; /* the kernel's structure wants it writable */
    (void)ctx;
    struct ipmi_system_interface_addr to = {.addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE,
                                            .channel = IPMI_BMC_CHANNEL};
    struct ipmi_req ask = {.addr = (unsigned char *)&to,
                           .addr_len = sizeof to,
                           .msgid = (long)(sb_now_ns() & INT32_MAX),
                           .msg = {.netfn = sent.netfn,
                                   .cmd = sent.cmd,
                                   .data = sent.data,
                                   .data_len = (unsigned short)sent.n}};
    if (ioctl(fd, IPMICTL_SEND_COMMAND, &ask) < 0) return -1;
    return receive(fd, ask.msgid, out, out_bytes);
}

const sb_ipmi_calls *sb_ipmi_system(void)
{
    static const sb_ipmi_calls calls = {kernel_open, kernel_ask, NULL};
    return &calls;
}

static bool read_dcmi(const sb_counters *c, const sb_counter *z, uint64_t *out_uw)
{
    static const sb_ipmi_request ask = {DCMI_NETFN, DCMI_POWER, {DCMI_GROUP, 1, 0, 0}, 4};
    const sb_ipmi_calls *calls = c->ctx;
    uint8_t answer[64];
    uint32_t watts = 0, period_ms = 0;
    const int n = calls->ask(calls->ctx, z->fd, &ask, answer, sizeof answer);
    if (n < 0) return false;
    errno = ENODATA;
    if (!sb_dcmi_parse(answer, (size_t)n, &watts, &period_ms)) return false;
    *out_uw = (uint64_t)watts * 1000000;
    return true;
}

void sb_find_dcmi(sb_counters *c, sb_look *l)
{
    static const char name[] = "management controller";
    const sb_ipmi_calls *calls = l->roots->ipmi;
    sb_counters_init(c, SB_METER_DCMI, "IPMI", read_dcmi);
    if (!calls) return;
    c->ctx = (void *)(uintptr_t)calls; /* only ever read */
    c->dear_ns = c->step_ns;
    sb_counter z = {.fd = calls->open(calls->ctx),
                    .volts_fd = -1,
                    .kind = SB_COUNTER_SERVER,
                    .socket = -1,
                    .mirror_of = -1,
                    .watts = true};
    (void)snprintf(z.name, sizeof z.name, "%s", name);
    if (z.fd >= 0) c->v[c->n++] = z;
    const bool reads = z.fd >= 0 && sb_counters_start(c);
    const int why = errno;
    const bool some = reads && c->v[0].last_uw > 0;
    sb_meter_row *r = NULL;
    if (reads)
        r = sb_look_add(l, SB_METER_DCMI, some ? SB_METER_CHECK : SB_METER_IMPLAUSIBLE, name);
    else if (why != ENOENT && why != ENODEV && why != ENXIO)
        r = sb_look_fail(l, SB_METER_DCMI, why, name);
    if (r) r->watts = true, r->unit = "W";
    if (!some) sb_counters_close(c);
}
