/* SPDX-License-Identifier: Apache-2.0
 * spared.c - a sum of energy and tokens for each model, halved when it grows long. */
#include "server/spared.h"

#include <stdio.h>
#include <string.h>

__extension__ typedef __int128 wide;

enum { LONG_TOK = 1 << 16 };

void sb_spared_learn(sb_spared *s, const char *model, int64_t uj, int64_t n_tok)
{
    struct sb_spared_model *m = &s->v[0];
    if (uj <= 0 || n_tok < SB_SPARED_LEAST_TOK || !model[0]) return;
    for (int i = 0; i < SB_SPARED_MODELS; i++) {
        const bool same = strcmp(s->v[i].model, model) == 0;
        if (same || s->v[i].used < m->used) m = &s->v[i];
        if (same) break;
    }
    if (strcmp(m->model, model) != 0) {
        *m = (struct sb_spared_model){0};
        (void)snprintf(m->model, sizeof m->model, "%s", model);
    }
    m->used = ++s->n_learned;
    m->uj = sb_add_capped(m->uj, uj);
    m->n_tok = sb_add_capped(m->n_tok, n_tok);
    if (m->n_tok <= LONG_TOK) return;
    m->uj /= 2;
    m->n_tok /= 2;
}

int64_t sb_spared_uj(const sb_spared *s, const char *model, int64_t n_tok)
{
    for (int i = 0; i < SB_SPARED_MODELS && n_tok > 0; i++) {
        const struct sb_spared_model *m = &s->v[i];
        if (m->n_tok == 0 || strcmp(m->model, model) != 0) continue;
        const wide uj = (wide)m->uj * n_tok / m->n_tok;
        return uj > INT64_MAX ? INT64_MAX : (int64_t)uj;
    }
    return 0;
}
