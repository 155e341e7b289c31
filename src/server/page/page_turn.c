/* SPDX-License-Identifier: Apache-2.0
 * page_turn.c - what people do with messages: read a path, send, edit, ask again, stop, switch.
 *
 * A message and the empty answer below it are written in one transaction, and only then is anything
 * told or run: what a browser was told is on the disk. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "server/page/page_in.h"

enum { PAGE_ROWS = 200, TITLE_BYTES = 64 };

/* ---- reading ---- */

typedef struct part {
    sb_buf out; /* one message as JSON */
} part;

typedef struct path {
    sb_page_call *c;
    part parts[PAGE_ROWS + 1];
    int32_t n;
    int64_t parent; /* of the last one told */
} path;

static sb_status keep_msg(void *ctx, const sb_msg *m, sb_error *err)
{
    path *p = ctx;
    sb_buf *out = &p->parts[p->n++].out;
    sb_jw w;
    sb_buf_init(out, SB_MAX_REPLY_BYTES, "message");
    sb_jw_begin(&w, out, err);
    sb_page_put_msg(&w, p->c->page, m, SB_PAGE_CUT_BYTES, false);
    p->parent = m->parent;
    return sb_jw_end(&w);
}

/* The path comes last message first; people read it the other way round. */
static sb_status put_path(sb_page_call *c, path *p)
{
    sb_jw w;
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "messages", '[');
    for (int32_t i = p->n; i-- > 0;)
        sb_jw_raw(&w, (sb_str){p->parts[i].out.p, p->parts[i].out.n});
    sb_jw_close(&w, ']');
    char id[SB_PAGE_ID_TEXT_BYTES];
    (void)snprintf(id, sizeof id, "%lld", (long long)p->parent);
    if (p->parent)
        sb_jw_put_word(&w, "before", id);
    else
        sb_jw_put_null(&w, "before");
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* `before`: the message the page ends with, as the page above told it. */
sb_status sb_page_messages(sb_page_call *c)
{
    const int64_t n = sb_page_number(c, "limit", 40);
    const int32_t limit = (int32_t)(n < 1 ? 1 : n > PAGE_ROWS ? PAGE_ROWS : n);
    path p = {.c = c};
    sb_status st = sb_msg_path(sb_server_db(c->page->sv), c->who.owner, c->id,
                               sb_page_number(c, "before", 0), limit, keep_msg, &p, &c->w.err);
    if (st == SB_OK) st = put_path(c, &p);
    for (int32_t i = 0; i < p.n; i++)
        sb_buf_deinit(&p.parts[i].out);
    return st;
}

/* Where a message is written to, and how much of it. */
typedef struct writing {
    sb_page *page;
    sb_jw *w;
    size_t max_bytes;
} writing;

static sb_status put_one(void *ctx, const sb_msg *m, sb_error *err)
{
    (void)err;
    const writing *to = ctx;
    sb_page_put_msg(to->w, to->page, m, to->max_bytes, false);
    return SB_OK;
}

sb_status sb_page_message(sb_page_call *c)
{
    sb_jw w;
    writing to = {c->page, &w, SB_MAX_MESSAGE_BYTES};
    sb_jw_begin(&w, &c->out, &c->w.err);
    SB_TRY(sb_msg_get(sb_server_db(c->page->sv), c->who.owner, c->id, c->msg, put_one, &to,
                      &c->w.err));
    return sb_jw_end(&w);
}

/* ---- a title without a model ---- */

/* The first words of a text, without Markdown's signs, cut between words. */
static size_t make_title(sb_str s, char out[TITLE_BYTES + 4])
{
    size_t n = 0, word_end = 0;
    bool more = false;
    for (size_t i = 0; i < s.n && !more; i++) {
        const char ch = s.p[i];
        if (strchr("#*`>", ch) && ch) continue;
        const bool space = (unsigned char)ch <= ' ';
        if (space && (n == 0 || out[n - 1] == ' ')) continue;
        if (space) word_end = n;
        more = n == TITLE_BYTES;
        if (!more) out[n++] = space ? ' ' : ch;
    }
    if (more) n = word_end > TITLE_BYTES / 2 ? word_end : sb_utf8_whole(out, n);
    while (n && out[n - 1] == ' ')
        n--;
    if (more && n) {
        memcpy(out + n, "\xE2\x80\xA6", 3); // an ellipsis
        n += 3;
    }
    return n;
}

static sb_status has_title(void *ctx, const sb_conv *c, sb_error *err)
{
    (void)err;
    *(bool *)ctx = c->title.n > 0;
    return SB_OK;
}

/* ---- sending ---- */

typedef struct turn {
    sb_page_call *c;
    sb_db *db;
    sb_str text;
    bool has_user;        /* a message of people was added, too */
    int64_t user, answer; /* what was added */
    int64_t parent;       /* where: the message above */
} turn;

static sb_status add_answer(turn *t, int64_t parent)
{
    const sb_msg m = {.parent = parent, .role = SB_MSG_ASSISTANT, .state = SB_MSG_STREAMING};
    return sb_msg_add(t->db, t->c->who.owner, t->c->id, &m, &t->answer, &t->c->w.err);
}

static sb_status add_both(turn *t)
{
    sb_page_call *c = t->c;
    const sb_msg m = {
        .parent = t->parent, .role = SB_MSG_USER, .state = SB_MSG_DONE, .content = t->text};
    bool titled = true;
    char title[TITLE_BYTES + 4];
    SB_TRY(sb_conv_get(t->db, c->who.owner, c->id, has_title, &titled, &c->w.err));
    SB_TRY(sb_msg_add(t->db, c->who.owner, c->id, &m, &t->user, &c->w.err));
    SB_TRY(add_answer(t, t->user));
    if (titled) return SB_OK;
    const size_t n = make_title(t->text, title);
    return n ? sb_conv_change(t->db, c->who.owner, c->id, (sb_str){title, n}, (sb_str){NULL, 0},
                              &c->w.err)
             : SB_OK;
}

/* One transaction around what is written. */
static sb_status commit(turn *t, sb_status (*add)(turn *t))
{
    SB_TRY(sb_db_begin(t->db, &t->c->w.err));
    const sb_status st = add(t);
    const sb_status end = sb_db_end(t->db, st == SB_OK ? &t->c->w.err : NULL);
    return st == SB_OK ? end : st;
}

/* Tells everyone, begins the run, and answers with what was made. */
static sb_status begin(turn *t)
{
    sb_page_call *c = t->c;
    sb_error *err = &c->w.err;
    SB_TRY(sb_page_answer_begin(c->page, &c->who, c->id, t->answer,
                                t->has_user ? t->user : t->parent, t->has_user, err));
    sb_jw w;
    writing to = {c->page, &w, SB_PAGE_CUT_BYTES};
    sb_jw_begin(&w, &c->out, err);
    sb_jw_open(&w, '{');
    sb_jw_key(&w, "conversation");
    SB_TRY(sb_page_conv_news(c->page, c->who.owner, c->id, &w, err));
    sb_jw_put_open(&w, "messages", '[');
    if (t->has_user) SB_TRY(sb_msg_get(t->db, c->who.owner, c->id, t->user, put_one, &to, err));
    SB_TRY(sb_msg_get(t->db, c->who.owner, c->id, t->answer, put_one, &to, err));
    sb_jw_close(&w, ']');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

typedef struct above {
    int64_t parent;
    sb_msg_role role;
} above;

static sb_status look_above(void *ctx, const sb_msg *m, sb_error *err)
{
    (void)err;
    *(above *)ctx = (above){m->parent, m->role};
    return SB_OK;
}

static sb_status message_number(sb_page_call *c, const char *key, int64_t dflt, int64_t *out)
{
    sb_str s;
    *out = dflt;
    SB_TRY(sb_page_text(c, key, &s));
    if (!s.p) return SB_OK;
    return sb_page_digits(s, out) ? SB_OK : sb_page_fail(c, SB_INVALID, key, "is no message's id");
}

static bool is_open(const sb_page_call *c)
{
    return sb_server_is_open(c->page->sv);
}

/* {text, parent} below the parent (absent: the end of what is shown), or {text, edit} beside a
 * message. */
sb_status sb_page_send(sb_page_call *c)
{
    turn t = {.c = c, .db = sb_server_db(c->page->sv), .has_user = true};
    int64_t edit = 0;
    if (!is_open(c)) return sb_page_fail(c, SB_BUSY, "", "the server is going down");
    SB_TRY(sb_page_text(c, "text", &t.text));
    if (t.text.n == 0) return sb_page_fail(c, SB_INVALID, "text", "there is no text");
    SB_TRY(message_number(c, "parent", -1, &t.parent));
    SB_TRY(message_number(c, "edit", 0, &edit));
    if (edit) {
        above a = {0, SB_MSG_USER};
        SB_TRY(sb_msg_get(t.db, c->who.owner, c->id, edit, look_above, &a, &c->w.err));
        if (a.role != SB_MSG_USER)
            return sb_page_fail(c, SB_INVALID, "edit", "only one's own messages can be edited");
        t.parent = a.parent;
    }
    SB_TRY(commit(&t, add_both));
    return begin(&t);
}

static sb_status add_again(turn *t)
{
    return add_answer(t, t->parent);
}

sb_status sb_page_again(sb_page_call *c)
{
    turn t = {.c = c, .db = sb_server_db(c->page->sv)};
    above a = {0, SB_MSG_USER};
    if (!is_open(c)) return sb_page_fail(c, SB_BUSY, "", "the server is going down");
    SB_TRY(sb_msg_get(t.db, c->who.owner, c->id, c->msg, look_above, &a, &c->w.err));
    if (a.role != SB_MSG_ASSISTANT || a.parent == 0)
        return sb_page_fail(c, SB_INVALID, "", "only an answer can be asked for again");
    t.parent = a.parent;
    SB_TRY(commit(&t, add_again));
    return begin(&t);
}

sb_status sb_page_stop_answer(sb_page_call *c)
{
    sb_page_answers_stop(c->page, c->who.owner, c->id, c->msg);
    return SB_OK;
}

static sb_status look_leaf(void *ctx, const sb_conv *c, sb_error *err)
{
    (void)err;
    *(int64_t *)ctx = c->leaf;
    return SB_OK;
}

sb_status sb_page_branch(sb_page_call *c)
{
    sb_db *db = sb_server_db(c->page->sv);
    int64_t msg = 0, leaf = 0;
    SB_TRY(message_number(c, "message", 0, &msg));
    if (!msg) return sb_page_fail(c, SB_INVALID, "message", "which message?");
    SB_TRY(sb_conv_show(db, c->who.owner, c->id, msg, true, &c->w.err));
    SB_TRY(sb_conv_get(db, c->who.owner, c->id, look_leaf, &leaf, &c->w.err));
    SB_TRY(sb_buf_addf(&c->out, &c->w.err, "{\"conversation\":\"%.*s\",\"leaf\":\"%lld\"}",
                       SB_DB_ID_BYTES - 1, c->id, (long long)leaf));
    pthread_mutex_lock(&c->page->lock);
    sb_page_tell(c->page, c->who.owner, c->id, "path", (sb_str){c->out.p, c->out.n}, true);
    pthread_mutex_unlock(&c->page->lock);
    return SB_OK;
}
