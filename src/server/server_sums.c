/* SPDX-License-Identifier: Apache-2.0
 * server_sums.c - tokens and energy of each owner and model on their way to the data base.
 *
 * A commit for each answer would flush the disk for numbers that nobody was promised. They are held
 * for a few seconds while answers come, and written when the last one has ended: no timer. */
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "energy/receipt_kind.h"
#include "server/server_in.h"

enum { WRITE_S = 5 };

/* The store knows no meters, but it numbers their sources as they do. */
_Static_assert((int)SB_SUM_UNKNOWN == (int)SB_ENERGY_UNAVAILABLE &&
                   (int)SB_SUM_MEASURED == (int)SB_ENERGY_MEASURED &&
                   (int)SB_SUM_ESTIMATED == (int)SB_ENERGY_ESTIMATED &&
                   (int)SB_SUM_SOURCE_COUNT == (int)SB_ENERGY_SOURCE_COUNT,
               "sources have the same numbers");

/* With runs_lock held: takes what is held. */
static int take(sb_server *sv, sb_sum_held out[SB_SUMS_HELD])
{
    const int n = sv->n_sums;
    for (int i = 0; i < n; i++)
        out[i] = sv->sums[i];
    sv->n_sums = 0;
    sv->sums_ns = sb_now_ns();
    return n;
}

static void write_all(sb_server *sv, const sb_sum_held *sums, int n)
{
    if (n == 0 || sb_db_begin(sv->db, NULL) != SB_OK) return;
    for (int i = 0; i < n; i++) {
        const sb_sum s = {.hour = sb_sum_hour(sb_db_now_ms()),
                          .n_answers = sums[i].n_answers,
                          .n_in = sums[i].n_in,
                          .n_cached = sums[i].n_cached,
                          .n_out = sums[i].n_out,
                          .energy_uj = sums[i].energy_uj,
                          .n_wall = sums[i].n_wall,
                          .wall_uj = sums[i].wall_uj,
                          .model = {sums[i].model, strlen(sums[i].model)},
                          .source = sums[i].source};
        if (sb_sum_add(sv->db, sums[i].owner, &s, NULL) != SB_OK) break;
    }
    if (sb_db_end(sv->db, NULL) != SB_OK)
        return; /* the data base's state says so to whoever asks */
}

/* As much of a model's name as a row holds, whole characters. */
static void copy_name(char out[SB_SUM_MODEL_BYTES + 1], const char *name)
{
    const size_t n = strnlen(name, SB_SUM_MODEL_BYTES), good = sb_utf8_valid(name, n);
    memcpy(out, name, good);
    out[good] = 0;
}

static bool is_of(const sb_sum_held *s, const sb_sum_held *key)
{
    return s->owner == key->owner && s->source == key->source && strcmp(s->model, key->model) == 0;
}

/* With runs_lock held: the row of a key. *n > 0: full holds as many that are to be written. */
static sb_sum_held *row_of(sb_server *sv, const sb_sum_held *key, sb_sum_held full[SB_SUMS_HELD],
                           int *n)
{
    int i = 0;
    while (i < sv->n_sums && !is_of(&sv->sums[i], key))
        i++;
    if (i == SB_SUMS_HELD) {
        *n = take(sv, full);
        i = 0;
    }
    if (i == sv->n_sums) sv->sums[sv->n_sums++] = *key;
    return &sv->sums[i];
}

static int64_t known_uj(const sb_energy *e)
{
    return e->source != SB_ENERGY_UNAVAILABLE && e->energy_uj > 0 ? e->energy_uj : 0;
}

/* sign -1 takes it back. */
static void add_energy(sb_sum_held *s, const sb_energy *e, int sign)
{
    const sb_wall w = sb_energy_wall(e);
    s->energy_uj += sign * known_uj(e);
    s->n_wall += sign * (int)w.known;
    s->wall_uj = sb_add_capped(s->wall_uj, sign * w.uj);
}

void sb_server_sum(sb_server *sv, int64_t owner, const char *model, const sb_turn *t)
{
    sb_sum_held full[SB_SUMS_HELD], key = {.owner = owner};
    int n = 0;
    copy_name(key.model, model);
    key.source = (sb_sum_source)t->energy.source;
    (void)pthread_mutex_lock(&sv->runs_lock);
    sb_sum_held *s = row_of(sv, &key, full, &n);
    s->n_answers++;
    s->n_in += (int64_t)t->prompt_ids.n;
    s->n_cached += t->n_cached;
    s->n_out += (int64_t)t->ids.n;
    add_energy(s, &t->energy, 1);
    if (n == 0 && sb_now_ns() - sv->sums_ns > UINT64_C(1000000000) * WRITE_S) n = take(sv, full);
    (void)pthread_mutex_unlock(&sv->runs_lock);
    write_all(sv, full, n);
}

/* was, now: may be NULL. */
static void correct(sb_server *sv, sb_sum_held *key, sb_energy_source source, const sb_energy *was,
                    const sb_energy *now)
{
    sb_sum_held full[SB_SUMS_HELD];
    int n = 0;
    if ((!was || known_uj(was) == 0) && (!now || known_uj(now) == 0)) return;
    key->source = (sb_sum_source)source;
    (void)pthread_mutex_lock(&sv->runs_lock);
    sb_sum_held *s = row_of(sv, key, full, &n);
    if (was) add_energy(s, was, -1);
    if (now) add_energy(s, now, 1);
    (void)pthread_mutex_unlock(&sv->runs_lock);
    write_all(sv, full, n); /* nothing, unless 64 owners and models took part */
}

void sb_server_sum_settled(void *ctx, int64_t owner, const char *model, const sb_energy *was,
                           const sb_energy *now)
{
    sb_server *sv = ctx;
    sb_sum_held key = {.owner = owner};
    copy_name(key.model, model);
    sb_budget_settle(sv->budgets, owner, known_uj(now) - known_uj(was), sb_db_now_ms() / 1000);
    if (was->source == now->source) {
        correct(sv, &key, now->source, was, now);
        return;
    }
    correct(sv, &key, was->source, was, NULL);
    correct(sv, &key, now->source, NULL, now);
}

void sb_server_sum_flush(sb_server *sv)
{
    sb_sum_held held[SB_SUMS_HELD];
    (void)pthread_mutex_lock(&sv->runs_lock);
    const int n = take(sv, held);
    (void)pthread_mutex_unlock(&sv->runs_lock);
    write_all(sv, held, n);
}

/* What is held is written first. What another worker is just writing belongs to a pot that was
 * filled before it began. */
sb_status sb_server_sum_of_day(void *ctx, int64_t key, int64_t day, int64_t *out_uj, sb_error *err)
{
    enum { HOURS = 24 };
    sb_server *sv = ctx;
    sb_sum sum;
    sb_server_sum_flush(sv);
    SB_TRY(sb_sum_total(sv->db, key, day * HOURS, (day + 1) * HOURS, &sum, err));
    *out_uj = sum.energy_uj;
    return SB_OK;
}
