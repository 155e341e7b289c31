/* SPDX-License-Identifier: Apache-2.0
 * page_json.c - rows of the data base as the page reads them.
 *
 * A conversation's settings are one JSON object in its row: what people set (system, model,
 * sampling) and, under `sums`, the range of its answers' energy, which the row has no column for.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "server/page/page_in.h"

static void put_id(sb_jw *w, const char *key, int64_t id)
{
    char text[SB_PAGE_ID_TEXT_BYTES];
    if (id == 0) {
        sb_jw_put_null(w, key);
        return;
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)id);
    sb_jw_put_word(w, key, text);
}

static void put_text_member(sb_jw *w, const char *key, const json_t *v)
{
    sb_jw_put_text(w, key,
                   json_is_string(v) ? (sb_str){json_string_value(v), json_string_length(v)}
                                     : (sb_str){NULL, 0});
}

static void put_sums(sb_jw *w, const sb_conv *c, const json_t *sums)
{
    const json_t *lo = json_object_get(sums, "energy_uj_low");
    const json_t *hi = json_object_get(sums, "energy_uj_high");
    const char *source = json_string_value(json_object_get(sums, "source"));
    sb_jw_put_open(w, "energy", '{');
    sb_jw_put_word(w, "source", source ? source : c->energy_uj ? "estimated" : "unavailable");
    if (c->energy_uj) sb_jw_put_int(w, "energy_uj", c->energy_uj);
    if (json_is_integer(lo) && json_is_integer(hi)) {
        sb_jw_put_int(w, "energy_uj_low", json_integer_value(lo));
        sb_jw_put_int(w, "energy_uj_high", json_integer_value(hi));
    }
    sb_jw_close(w, '}');
}

sb_status sb_page_read_settings(void *settings, const sb_conv *c, sb_error *err)
{
    (void)err;
    *(json_t **)settings = json_loadb(c->settings.p ? c->settings.p : "{}",
                                      c->settings.p ? c->settings.n : 2, 0, NULL);
    return SB_OK;
}

void sb_page_put_conv(sb_jw *w, sb_page *p, sb_owner owner, const sb_conv *c)
{
    json_t *settings = NULL;
    (void)sb_page_read_settings(&settings, c, NULL);
    bool running = false;
    pthread_mutex_lock(&p->lock);
    for (const sb_page_answer *a = p->answers; a && !running; a = a->next)
        running = a->who.owner == owner && strcmp(a->conv, c->id) == 0;
    pthread_mutex_unlock(&p->lock);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "id", c->id);
    sb_jw_put_int(w, "order", c->order);
    sb_jw_put_text(w, "title", c->title);
    sb_jw_put_real(w, "created_s", (double)c->created_ms / 1e3);
    sb_jw_put_real(w, "updated_s", (double)c->updated_ms / 1e3);
    put_text_member(w, "system", json_object_get(settings, "system"));
    put_text_member(w, "model", json_object_get(settings, "model"));
    sb_jw_key(w, "sampling");
    const json_t *sampling = json_object_get(settings, "sampling");
    if (json_is_object(sampling))
        sb_jw_json(w, sampling);
    else
        sb_jw_raw(w, (sb_str){"{}", 2});
    put_id(w, "leaf", c->leaf);
    sb_jw_put_int(w, "n_messages", c->n_messages);
    sb_jw_put_int(w, "n_path", c->n_path);
    sb_jw_put_int(w, "n_in", c->n_in);
    sb_jw_put_int(w, "n_out", c->n_out);
    sb_jw_put_bool(w, "running", running);
    put_sums(w, c, json_object_get(settings, "sums"));
    sb_jw_close(w, '}');
    json_decref(settings);
}

/* A text, or as much of it as may be shown. */
static bool put_cut(sb_jw *w, const char *key, sb_str s, size_t max_bytes, bool leave_out)
{
    const bool cut = s.n > max_bytes;
    if (cut && leave_out) return true;
    if (cut) s.n = sb_utf8_whole(s.p, max_bytes);
    sb_jw_put_text(w, key, s);
    return cut;
}

/* One whose end could not be written (the disk was full) grows no more. */
static sb_msg_state state_of(sb_page *p, const sb_msg *m)
{
    if (m->state != SB_MSG_STREAMING) return m->state;
    pthread_mutex_lock(&p->lock);
    const sb_page_answer *a = p->answers;
    while (a && a->msg != m->id)
        a = a->next;
    pthread_mutex_unlock(&p->lock);
    return a ? SB_MSG_STREAMING : SB_MSG_STOPPED;
}

void sb_page_put_msg(sb_jw *w, sb_page *p, const sb_msg *m, size_t max_bytes, bool leave_out)
{
    static const char *const states[] = {"running", "done", "stopped", "failed"};
    sb_jw_open(w, '{');
    put_id(w, "id", m->id);
    put_id(w, "parent", m->parent);
    sb_jw_put_word(w, "role", sb_msg_role_text(m->role));
    sb_jw_put_word(w, "state", states[state_of(p, m)]);
    sb_jw_put_real(w, "created_s", (double)m->created_ms / 1e3);
    bool cut = put_cut(w, "text", m->content, max_bytes, leave_out);
    cut = put_cut(w, "reasoning", m->reasoning, max_bytes, leave_out) || cut;
    sb_jw_put_int(w, "text_bytes", (int64_t)m->content.n);
    sb_jw_put_int(w, "reasoning_bytes", (int64_t)m->reasoning.n);
    sb_jw_put_bool(w, "cut", cut);
    if (m->calls.n) {
        sb_jw_key(w, "calls");
        sb_jw_raw(w, m->calls);
    }
    sb_jw_put_text(w, "model", m->model);
    sb_jw_put_text(w, "finish", m->finish);
    if (m->usage.n) {
        sb_jw_key(w, "usage");
        sb_jw_raw(w, m->usage);
    }
    sb_jw_put_open(w, "branch", '{');
    sb_jw_put_int(w, "i", m->i_sibling + 1);
    sb_jw_put_int(w, "n", m->n_siblings);
    put_id(w, "prev", m->prev_sibling);
    put_id(w, "next", m->next_sibling);
    sb_jw_close(w, '}');
    sb_jw_close(w, '}');
}

/* ---- told to feeds ---- */

typedef struct news {
    sb_page *page;
    sb_owner owner;
    const char *conv;
    sb_jw *more; /* a reply that gets the same object, or NULL */
    sb_buf out;
} news;

static sb_status tell_conv(void *ctx, const sb_conv *c, sb_error *err)
{
    news *n = ctx;
    sb_jw w;
    sb_jw_begin(&w, &n->out, err);
    sb_jw_open(&w, '{');
    sb_jw_key(&w, "conversation");
    sb_page_put_conv(&w, n->page, n->owner, c);
    sb_jw_close(&w, '}');
    if (n->more) sb_page_put_conv(n->more, n->page, n->owner, c);
    return sb_jw_end(&w);
}

static sb_status tell_msg(void *ctx, const sb_msg *m, sb_error *err)
{
    news *n = ctx;
    sb_jw w;
    sb_jw_begin(&w, &n->out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "conversation", n->conv);
    sb_jw_key(&w, "message");
    sb_page_put_msg(&w, n->page, m, SB_PAGE_EVENT_BYTES, true);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static void send_news(news *n, const char *conv, const char *event)
{
    pthread_mutex_lock(&n->page->lock);
    sb_page_tell(n->page, n->owner, conv, event, (sb_str){n->out.p, n->out.n}, true);
    pthread_mutex_unlock(&n->page->lock);
}

sb_status sb_page_conv_news(sb_page *p, sb_owner owner, const char *conv, sb_jw *w, sb_error *err)
{
    news n = {.page = p, .owner = owner, .conv = conv, .more = w};
    sb_buf_init(&n.out, SB_MAX_REPLY_BYTES, "event");
    const sb_status st = sb_conv_get(sb_server_db(p->sv), owner, conv, tell_conv, &n, err);
    if (st == SB_OK) send_news(&n, NULL, "conversation");
    sb_buf_deinit(&n.out);
    return st;
}

sb_status sb_page_msg_news(sb_page *p, sb_owner owner, const char *conv, int64_t msg, sb_error *err)
{
    news n = {.page = p, .owner = owner, .conv = conv};
    sb_buf_init(&n.out, SB_MAX_REPLY_BYTES, "event");
    const sb_status st = sb_msg_get(sb_server_db(p->sv), owner, conv, msg, tell_msg, &n, err);
    if (st == SB_OK) send_news(&n, conv, "message");
    sb_buf_deinit(&n.out);
    return st;
}
