/* SPDX-License-Identifier: Apache-2.0
 * letters.c - three letters and the exchange between them. */
#include "server/letters.h"

#include <string.h>

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "two processes share no lock");

enum { NUMBER = 3, IS_NEW = 4 }; /* bits of `between` */

void sb_letters_init(sb_letters *l, sb_letters_side *out_writer, sb_letters_side *out_reader)
{
    *out_writer = 0;
    atomic_init(&l->between, 1);
    *out_reader = 2;
}

sb_letter *sb_letters_blank(sb_letters *l, sb_letters_side writer)
{
    return &l->v[writer];
}

/* Swaps one's own for the one between. Release: what one wrote is seen by who takes it; acquire:
 * what the other did with the one that is taken is over. */
static void swap(sb_letters *l, sb_letters_side *mine, uint32_t bits)
{
    const uint32_t got = atomic_exchange_explicit(&l->between, *mine | bits, memory_order_acq_rel);
    *mine = (got & NUMBER) % SB_ARRAY_LEN(l->v); /* the other's word is checked */
}

void sb_letters_post(sb_letters *l, sb_letters_side *writer)
{
    swap(l, writer, IS_NEW);
}

const sb_letter *sb_letters_newest(sb_letters *l, sb_letters_side *reader)
{
    if (atomic_load_explicit(&l->between, memory_order_relaxed) & IS_NEW) swap(l, reader, 0);
    return &l->v[*reader];
}

bool sb_letter_copy(const sb_letter *x, char *out, size_t out_bytes)
{
    const size_t n = *(const volatile uint32_t *)&x->n_bytes; /* read once: it is another's */
    if (n >= out_bytes || n > sizeof x->text) return false;
    memcpy(out, x->text, n);
    out[n] = 0;
    return true;
}
