/* SPDX-License-Identifier: Apache-2.0
 * proxies.h - which peers may say who the client is, and what they say.
 *
 * Invariants  X-Forwarded-For is read from the right: each address was written by the hop to its
 *             right, so it counts only while that hop is trusted.
 * Errors      SB_INVALID names the address that is none, SB_LIMIT. */
#ifndef SB_SERVER_HTTP_PROXIES_H
#define SB_SERVER_HTTP_PROXIES_H
#include "base/base.h"
#include "base/limits.h"

enum { SB_ADDRESS_BYTES = 48 }; /* an address as text, with its NUL */

typedef struct sb_net_prefix {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    int n_bits;
} sb_net_prefix;

typedef struct sb_proxies {
    sb_net_prefix list[SB_MAX_PROXIES];
    size_t n;
    bool has_unix; /* peers of a unix socket are proxies */
} sb_proxies;

/* texts: "a.b.c.d", "a.b.c.d/len", IPv6 likewise, or "unix". */
sb_status sb_proxies_init(sb_proxies *p, const char *const *texts, size_t n,
                          sb_error *err) SB_MUST_USE;
bool sb_proxies_trust(const sb_proxies *p, const char *address);
/* The client's address by the header, or what stands in `peer` (trusted) when it does not say. */
void sb_proxies_client(const sb_proxies *p, sb_str forwarded_for, const char *peer,
                       char out[SB_ADDRESS_BYTES]);
/* An address as everybody writes it (IPv4 in IPv6 as IPv4); false: text is none. A port and
 * brackets are left out. */
bool sb_address_format(sb_str text, char out[SB_ADDRESS_BYTES]);
#endif
