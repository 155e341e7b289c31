/* SPDX-License-Identifier: Apache-2.0
 * proxies.c - prefixes of addresses, and X-Forwarded-For read from the right. */
#include "server/http/proxies.h"

#include <arpa/inet.h>
#include <string.h>

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Bytes of an address that is nothing else. *is_v4: written as IPv4. */
static bool parse(sb_str text, unsigned char out[16], bool *is_v4)
{
    char s[SB_ADDRESS_BYTES];
    if (!text.n || text.n >= sizeof s || memchr(text.p, 0, text.n)) return false;
    memcpy(s, text.p, text.n);
    s[text.n] = 0;
    memcpy(out, mapped, sizeof mapped);
    *is_v4 = inet_pton(AF_INET, s, out + sizeof mapped) == 1;
    return *is_v4 || inet_pton(AF_INET6, s, out) == 1;
}

static bool parse_length(sb_str s, int max, int *out)
{
    int v = 0;
    if (!s.n || s.n > 3) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = v;
    return v <= max;
}

static bool parse_prefix(const char *text, sb_net_prefix *out)
{
    const char *slash = strchr(text, '/');
    const sb_str address = {text, slash ? (size_t)(slash - text) : strlen(text)};
    bool is_v4;
    if (!parse(address, out->bytes, &is_v4)) return false;
    out->n_bits = is_v4 ? 32 : 128;
    if (slash && !parse_length((sb_str){slash + 1, strlen(slash + 1)}, out->n_bits, &out->n_bits))
        return false;
    if (is_v4) out->n_bits += 96;
    return true;
}

sb_status sb_proxies_init(sb_proxies *p, const char *const *texts, size_t n, sb_error *err)
{
    *p = (sb_proxies){0};
    if (n > SB_MAX_PROXIES)
        return SB_FAIL(err, SB_LIMIT, "%zu trusted proxies: at most %d", n, SB_MAX_PROXIES);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(texts[i], "unix") == 0)
            p->has_unix = true;
        else if (parse_prefix(texts[i], &p->list[p->n]))
            p->n++;
        else
            return SB_FAIL(err, SB_INVALID, "trusted proxy '%s': not an address or prefix",
                           texts[i]);
    }
    return SB_OK;
}

static bool covers(const sb_net_prefix *x, const unsigned char a[16])
{
    const size_t whole = (size_t)x->n_bits / 8;
    if (memcmp(x->bytes, a, whole) != 0) return false;
    const int rest = x->n_bits % 8;
    return !rest || ((x->bytes[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

bool sb_proxies_trust(const sb_proxies *p, const char *address)
{
    unsigned char a[16];
    bool is_v4;
    if (!parse((sb_str){address, strlen(address)}, a, &is_v4))
        return p->has_unix && strcmp(address, "unix") == 0;
    for (size_t i = 0; i < p->n; i++)
        if (covers(&p->list[i], a)) return true;
    return false;
}

/* What is left of "[v6]:port", "v4:port" or an address alone. */
static sb_str bare(sb_str s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    if (s.n && *s.p == '[') {
        const char *end = memchr(s.p, ']', s.n);
        return end ? (sb_str){s.p + 1, (size_t)(end - s.p) - 1} : (sb_str){0};
    }
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
    const size_t behind = colon ? s.n - (size_t)(colon - s.p) - 1 : 0;
    if (colon && !memchr(colon + 1, ':', behind)) s.n = (size_t)(colon - s.p);
    return s;
}

bool sb_address_format(sb_str text, char out[SB_ADDRESS_BYTES])
{
    unsigned char a[16];
    bool is_v4;
    if (!parse(bare(text), a, &is_v4)) return false;
    const bool as_v4 = memcmp(a, mapped, sizeof mapped) == 0;
    return inet_ntop(as_v4 ? AF_INET : AF_INET6, as_v4 ? a + sizeof mapped : a, out,
                     SB_ADDRESS_BYTES) != NULL;
}

void sb_proxies_client(const sb_proxies *p, sb_str forwarded_for, const char *peer,
                       char out[SB_ADDRESS_BYTES])
{
    memcpy(out, peer, strlen(peer) + 1);
    size_t end = forwarded_for.n;
    while (end && sb_proxies_trust(p, out)) {
        size_t begin = end;
        while (begin && forwarded_for.p[begin - 1] != ',')
            begin--;
        char next[SB_ADDRESS_BYTES];
        if (!sb_address_format((sb_str){forwarded_for.p + begin, end - begin}, next)) return;
        memcpy(out, next, sizeof next);
        end = begin ? begin - 1 : 0;
    }
}
