/* SPDX-License-Identifier: Apache-2.0
 * page_end.c - the end of an answer as the data base keeps it: its text, what it took, and the sum
 * of the conversation. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "server/page/page_in.h"

static void put_stats(sb_jw *w, const sb_page_answer *a, const sb_turn *t)
{
    sb_jw_put_open(w, "stats", '{');
    sb_jw_put_int(w, "n_prompt", (int64_t)t->prompt_ids.n);
    sb_jw_put_int(w, "n_cached", t->n_cached);
    sb_jw_put_int(w, "n_out", (int64_t)t->ids.n);
    if (a->first_ns) sb_jw_put_real(w, "ttft_ms", (double)(a->first_ns - a->begin_ns) / 1e6);
    if (t->decode_ns)
        sb_jw_put_real(w, "tokens_per_s", (double)t->n_decoded * 1e9 / (double)t->decode_ns);
    sb_jw_put_real(w, "seconds", (double)(sb_now_ns() - a->begin_ns) / 1e9);
    if (a->n_left_out) sb_jw_put_int(w, "n_left_out", a->n_left_out);
    sb_jw_close(w, '}');
    sb_jw_key(w, "energy");
    sb_jw_energy(w, &t->energy);
    if (a->receipt[0]) sb_jw_put_word(w, "receipt", a->receipt);
}

static sb_status make_usage(sb_buf *out, const sb_page_answer *a, const sb_turn *t, const char *why,
                            sb_error *err)
{
    sb_jw w;
    sb_buf_init(out, SB_MAX_REPLY_BYTES, "usage");
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    if (t && t->prompt_ids.n) put_stats(&w, a, t);
    if (*why) sb_jw_put_word(&w, "error", why);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* ---- the sum ---- */

static int64_t number_of(const json_t *o, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(o, key));
}

/* Measured is a sum only while every part is; the range is the sum of the ranges. */
static sb_status add_sums(json_t *settings, const sb_energy *e, sb_error *err)
{
    const json_t *old = json_object_get(settings, "sums");
    const char *before = json_string_value(json_object_get(old, "source"));
    const bool measured =
        e->source == SB_ENERGY_MEASURED && (!before || strcmp(before, "measured") == 0);
    int64_t lo = 0, hi = 0;
    if (ckd_add(&lo, number_of(old, "energy_uj_low"), e->lo_uj)) lo = INT64_MAX;
    if (ckd_add(&hi, number_of(old, "energy_uj_high"), e->hi_uj)) hi = INT64_MAX;
    json_t *sums = json_pack("{s:s, s:I, s:I}", "source", measured ? "measured" : "estimated",
                             "energy_uj_low", (json_int_t)lo, "energy_uj_high", (json_int_t)hi);
    return json_object_set_new(settings, "sums", sums) == 0
               ? SB_OK
               : SB_FAIL(err, SB_NO_MEMORY, "sums: no memory");
}

static sb_status write_sums(sb_db *db, const sb_page_answer *a, const sb_energy *e, sb_error *err)
{
    json_t *settings = NULL;
    sb_buf text;
    SB_TRY(sb_conv_get(db, a->who.owner, a->conv, sb_page_read_settings, &settings, err));
    sb_buf_init(&text, SB_MAX_SETTINGS_BYTES, "settings");
    sb_status st =
        settings ? add_sums(settings, e, err) : SB_FAIL(err, SB_NO_MEMORY, "settings: no memory");
    if (st == SB_OK) {
        sb_jw w;
        sb_jw_begin(&w, &text, err);
        sb_jw_json(&w, settings);
        st = sb_jw_end(&w);
    }
    if (st == SB_OK)
        st = sb_conv_change(db, a->who.owner, a->conv, (sb_str){NULL, 0}, (sb_str){text.p, text.n},
                            err);
    sb_buf_deinit(&text);
    json_decref(settings);
    return st;
}

/* ---- the message ---- */

static sb_str text_of(const sb_buf *b)
{
    return (sb_str){b->p, b->n};
}

static sb_status write_both(sb_db *db, const sb_page_answer *a, const sb_turn *t, const sb_msg *m,
                            sb_error *err)
{
    SB_TRY(sb_msg_end(db, a->who.owner, a->conv, a->msg, m, err));
    if (!t || t->energy.source == SB_ENERGY_UNAVAILABLE) return SB_OK;
    return write_sums(db, a, &t->energy, err);
}

sb_status sb_page_write_end(sb_page_answer *a, const sb_turn *t, sb_msg_state state,
                            const char *why, sb_error *err)
{
    sb_db *db = sb_server_db(a->page->sv);
    const char *word = t ? sb_finish_word(t->finish) : "";
    sb_buf usage = {0};
    sb_msg m = {.state = state,
                .content = text_of(t && t->content.n ? &t->content : &a->text),
                .reasoning = text_of(t && t->reasoning.n ? &t->reasoning : &a->reasoning),
                .model = {a->model, strlen(a->model)},
                .finish = {word, strlen(word)}};
    if (t && t->prompt_ids.n) {
        m.energy_uj = t->energy.source == SB_ENERGY_UNAVAILABLE ? 0 : t->energy.energy_uj;
        m.n_in = (int64_t)t->prompt_ids.n;
        m.n_out = (int64_t)t->ids.n;
    }
    sb_status st = make_usage(&usage, a, t, why, err);
    m.usage = text_of(&usage);
    if (st == SB_OK) st = sb_db_begin(db, err);
    if (st == SB_OK) {
        st = write_both(db, a, m.n_in ? t : NULL, &m, err);
        const sb_status end = sb_db_end(db, st == SB_OK ? err : NULL);
        if (st == SB_OK) st = end;
    }
    sb_buf_deinit(&usage);
    return st;
}
