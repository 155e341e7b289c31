/* SPDX-License-Identifier: Apache-2.0
 * nonce.c - nonces.def at the front of a text. */
#include "server/wire/nonce.h"

#include <string.h>

static const struct {
    const char *name, *line;
} nonces[] = {
#define X(name, line) {name, line},
#include "server/wire/nonces.def"
#undef X
};

static void skip(sb_str *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

const char *sb_nonce_take(sb_str *s)
{
    const char *first = NULL;
    for (size_t i = 0; i < SB_ARRAY_LEN(nonces);) {
        const size_t n = strlen(nonces[i].line);
        if (s->n < n || memcmp(s->p, nonces[i].line, n) != 0) {
            i++;
            continue;
        }
        const char *end = memchr(s->p, '\n', s->n);
        skip(s, end ? (size_t)(end - s->p) : s->n);
        while (s->n && (s->p[0] == '\n' || s->p[0] == '\r'))
            skip(s, 1);
        if (!first) first = nonces[i].name;
        i = 0;
    }
    return first;
}
