/* SPDX-License-Identifier: Apache-2.0
 * receipt_out.c - one answer's receipt, and a file of it. */
#include "cli/receipt_out.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/term.h"
#include "energy/receipt_key.h"
#include "store/db.h"
#include "store/store.h"

enum { LOOK_MS = 10, LOOKS = 300 };

static sb_status open_log(sb_receipt_out *r, const char *home, sb_meter *m, sb_error *err)
{
    sb_error why = {0};
    const sb_ledger_log_opts o = {.home = home};
    sb_status s = sb_ledger_log_open(&r->log, &o, &why);
    if (s == SB_OK) s = sb_ledger_log_start(r->log, m, &why);
    if (s == SB_BUSY) {
        sb_term_say("a server writes the energy ledger: the receipt is in no chain");
        s = SB_OK;
    } else if (s != SB_OK && err) {
        *err = why;
    }
    return s;
}

/* m NULL: without the log. */
static sb_status open_parts(sb_receipt_out *r, sb_meter *m, sb_error *err)
{
    sb_store *store = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    const char *home = sb_store_home(store);
    sb_status s = sb_receipt_keys_open(&r->keys, home, err);
    if (s == SB_OK && m) s = open_log(r, home, m, err);
    sb_store_close(store);
    return s;
}

sb_status sb_receipt_out_open(sb_receipt_out *r, sb_meter *m, sb_error *err)
{
    return open_parts(r, m, err);
}

sb_status sb_receipt_out_open_keys(sb_receipt_out *r, sb_error *err)
{
    return r->keys ? SB_OK : open_parts(r, NULL, err);
}

void sb_receipt_out_close(sb_receipt_out *r)
{
    sb_ledger_log_close(r->log);
    sb_receipt_keys_close(r->keys);
    *r = (sb_receipt_out){0};
}

void sb_receipt_out_on_tick(void *receipt_out, const sb_tick *t)
{
    const sb_receipt_out *r = receipt_out;
    if (r->log && sb_ledger_log_tick(r->log, t, NULL) != SB_OK) return; /* the next tick says so */
}

uint64_t sb_receipt_out_first_owner(const sb_receipt_out *r)
{
    return r->log ? sb_ledger_log_last_owner(r->log) : 0;
}

/* A tick closes when the meter has moved; one that never moves leaves what is known. */
static sb_energy settled(sb_ledger *l, const sb_receipt_answer *a)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
    sb_energy e = a->energy;
    for (int i = 0; !e.settled && i < LOOKS; i++) {
        if (sb_ledger_settled(l, a->owner, &e)) break;
        (void)nanosleep(&look, NULL);
    }
    return e;
}

sb_receipt_answer sb_receipt_answer_of(const sb_turn *t, const char *model, const sb_footprint *f)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (sb_receipt_answer){.model = model,
                               .owner = t->owner,
                               .energy = t->energy,
                               .time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                               .n_in = (int64_t)t->prompt_ids.n,
                               .n_cached = t->n_cached,
                               .n_out = (int64_t)t->ids.n,
                               .footprint = *f};
}

sb_status sb_receipt_write(const char *path, const json_t *receipt, sb_error *err)
{
    sb_buf b;
    char shown[96];
    sb_path_escape(shown, sizeof shown, path);
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    sb_status s = sb_canon_add(&b, receipt, err);
    if (s == SB_OK) s = sb_buf_add(&b, "\n", 1, err);
    const int fd = s == SB_OK ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (s == SB_OK && (fd < 0 || write(fd, b.p, b.n) != (ssize_t)b.n))
        s = SB_FAIL(err, SB_IO, "cannot write '%s': %s", shown, strerror(errno));
    if (fd >= 0) (void)close(fd);
    sb_buf_deinit(&b);
    return s;
}

sb_status sb_receipt_out_make(const sb_receipt_out *r, sb_ledger *l, const sb_receipt_answer *a,
                              json_t **out, sb_error *err)
{
    char id[SB_DB_ID_BYTES];
    const sb_footprint *by = &a->footprint;
    sb_energy e = settled(l, a);
    e.settled = true; /* what could be known is known */
    SB_TRY(sb_db_new_id(id, err));
    const sb_ledger_receipt x = {.energy = e,
                                 .facts = {.id = {id, strlen(id)},
                                           .model = {a->model, strlen(a->model)},
                                           .time_ms = a->time_ms,
                                           .grid = by->has_grid ? &by->grid : NULL,
                                           .tariff = by->has_tariff ? &by->tariff : NULL,
                                           .n_in = a->n_in,
                                           .n_cached = a->n_cached,
                                           .n_out = a->n_out},
                                 .owners = &a->owner,
                                 .n_owners = a->owner != 0,
                                 .keys = r->keys};
    return r->log ? sb_ledger_log_receipt(r->log, &x, out, err)
                  : sb_receipt_new_alone(out, &e, &x.facts, r->keys, err);
}
