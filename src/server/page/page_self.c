/* SPDX-License-Identifier: Apache-2.0
 * page_self.c - who is here, what this server is, and what the hours took. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/page/page_in.h"
#include "sobre.h"
#include "store/sums.h"

enum { FILE_BYTES = 1000000, MAX_HOURS = 24 * 31 };

sb_status sb_page_hello(sb_page_call *c)
{
    sb_jw w;
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", SOBRE_VERSION_MAJOR, SOBRE_VERSION_MINOR,
                   SOBRE_VERSION_PATCH);
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "version", version);
    sb_jw_put_word(&w, "auth", sb_server_has_keys(c->page->sv) ? "key" : "none");
    sb_jw_put_word(&w, "owner", c->who.name);
    sb_jw_put_bool(&w, "may_manage", c->who.may_manage);
    sb_jw_put_open(&w, "limits", '{');
    sb_jw_put_int(&w, "file_bytes", FILE_BYTES);
    sb_jw_put_int(&w, "message_bytes", SB_MAX_MESSAGE_BYTES);
    sb_jw_close(&w, '}');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* The key comes once; from then on the browser shows a cookie that no script can read. */
sb_status sb_page_sign_in(sb_page_call *c)
{
    sb_str key;
    char cookie[SB_COOKIE_BYTES];
    sb_caller who;
    SB_TRY(sb_page_text(c, "key", &key));
    const sb_status st =
        sb_server_sign_in(c->page->sv, key, sb_x_request(c->x)->is_tls, cookie, &who, &c->w.err);
    if (st == SB_INVALID || st == SB_NOT_FOUND) {
        c->w.status = 401;
        c->w.code = "invalid_api_key";
        return st;
    }
    SB_TRY(st);
    sb_x_header(c->x, "set-cookie", cookie);
    return SB_OK;
}

sb_status sb_page_sign_out(sb_page_call *c)
{
    char cookie[SB_COOKIE_BYTES];
    sb_server_sign_out(sb_x_request(c->x)->is_tls, cookie);
    sb_x_header(c->x, "set-cookie", cookie);
    return SB_OK;
}

/* ---- receipts ---- */

/* The bytes as they were signed: what is exported can be verified. */
sb_status sb_page_receipt(sb_page_call *c)
{
    return sb_server_receipt_find(c->page->sv, &c->who, (sb_str){c->id, strlen(c->id)}, &c->out,
                                  &c->w.err);
}

/* ---- energy by the hour ---- */

typedef struct hour {
    int64_t n_answers, n_out, energy_uj;
    int64_t measured_uj; /* of energy_uj, what meters said */
} hour;

typedef struct hours {
    int64_t from, n;
    hour *v; /* [n] */
    hour sum;
} hours;

static void add(hour *h, const sb_sum *s)
{
    h->n_answers = sb_add_capped(h->n_answers, s->n_answers);
    h->n_out = sb_add_capped(h->n_out, s->n_out);
    h->energy_uj = sb_add_capped(h->energy_uj, s->energy_uj);
    if (s->source == SB_SUM_MEASURED) h->measured_uj = sb_add_capped(h->measured_uj, s->energy_uj);
}

static sb_status take_part(void *ctx, sb_owner owner, const sb_sum *s, sb_error *err)
{
    (void)err;
    hours *h = ctx;
    (void)owner;
    if (s->hour < h->from || s->hour - h->from >= h->n) return SB_OK;
    add(&h->v[s->hour - h->from], s);
    add(&h->sum, s);
    return SB_OK;
}

/* Measured is what is so in all its parts. Sums of before the source was asked promise no more than
 * an estimate. */
static void put_hour(sb_jw *w, const hour *h)
{
    const int64_t estimated_uj = h->energy_uj - h->measured_uj;
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "answers", h->n_answers);
    sb_jw_put_int(w, "tokens", h->n_out);
    sb_jw_put_open(w, "energy", '{');
    sb_jw_put_word(w, "source",
                   h->energy_uj == 0   ? "unavailable"
                   : estimated_uj == 0 ? "measured"
                                       : "estimated");
    if (h->energy_uj) {
        sb_jw_put_int(w, "energy_uj", h->energy_uj);
        sb_jw_put_int(w, "energy_uj_estimated", estimated_uj);
    }
    sb_jw_close(w, '}');
    sb_jw_close(w, '}');
}

static void put_budget(sb_jw *w, const sb_budget_state *b)
{
    if (b->limit_uj == 0) return;
    sb_jw_put_open(w, "budget", '{');
    sb_jw_put_int(w, "limit_uj", b->limit_uj);
    sb_jw_put_int(w, "left_uj", b->left_uj);
    sb_jw_put_int(w, "renews_s", b->retry_s);
    sb_jw_close(w, '}');
}

static sb_status put_hours(sb_page_call *c, hours *h)
{
    sb_budget_state budget;
    SB_TRY(sb_server_budget_today(c->page->sv, &c->who, &budget, &c->w.err));
    SB_TRY(sb_sum_each(sb_server_db(c->page->sv), c->who.owner, h->from, h->from + h->n, take_part,
                       h, &c->w.err));
    sb_jw w;
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "hours", '[');
    for (int64_t i = 0; i < h->n; i++)
        put_hour(&w, &h->v[i]);
    sb_jw_close(&w, ']');
    sb_jw_key(&w, "sum");
    put_hour(&w, &h->sum);
    put_budget(&w, &budget);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* ?from=SECONDS&hours=N: whole hours from that moment's on. */
sb_status sb_page_energy(sb_page_call *c)
{
    hours h = {.from = sb_page_number(c, "from", 0) / 3600, .n = sb_page_number(c, "hours", 24)};
    if (h.n < 1 || h.n > MAX_HOURS) h.n = 24;
    h.v = sb_calloc((size_t)h.n, sizeof *h.v);
    if (!h.v) return sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    const sb_status st = put_hours(c, &h);
    sb_free(h.v);
    return st;
}
