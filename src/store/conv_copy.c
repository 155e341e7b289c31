/* SPDX-License-Identifier: Apache-2.0
 * conv_copy.c - a conversation as Markdown for people, and as JSON that comes back.
 *
 * Format      {"sobre_conversation": 1, "title", "settings": {}, "created_ms", "leaf",
 *              "messages": [{"id", "parent", "role", "state", "created_ms", "content", and where
 *              there is something: "reasoning", "calls": [], "files": [], "model", "finish",
 *              "usage": {}, "energy_uj", "n_in", "n_out"}]}
 * Ids count from 1 in the order of the list; a parent stands before its children, so a tree that
 * comes in can hold no cycle. Sampled ids are left out: they mean something to one model file only.
 * Each message is written as it is read; only what comes in is in memory as a whole. */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "store/conv_rows.h"
#include "store/json_in.h"

enum { FORM = 1 };

/* Where a walk appends to. */
typedef struct writing {
    sb_db *db;
    sb_buf *out;
    int64_t n;
} writing;

static sb_status add_str(sb_buf *out, sb_str s, sb_error *err)
{
    return s.n ? sb_buf_add(out, s.p, s.n, err) : SB_OK;
}

static sb_status markdown_head(void *ctx, const sb_conv *c, sb_error *err)
{
    writing *w = ctx;
    w->n = c->n_path;
    SB_TRY(sb_buf_addf(w->out, err, "# "));
    const sb_str none = {"sobre", 5};
    SB_TRY(add_str(w->out, c->title.n ? c->title : none, err));
    return sb_buf_addf(w->out, err, "\n");
}

static sb_status markdown_msg(void *ctx, const sb_msg *m, sb_error *err)
{
    const writing *w = ctx;
    SB_TRY(sb_buf_addf(w->out, err, "\n## %s", sb_msg_role_text(m->role)));
    if (m->model.n) SB_TRY(sb_buf_addf(w->out, err, " (%.*s)", (int)m->model.n, m->model.p));
    SB_TRY(sb_buf_addf(w->out, err, "\n\n"));
    if (m->reasoning.n) {
        SB_TRY(sb_buf_addf(w->out, err, "<details>\n\n"));
        SB_TRY(add_str(w->out, m->reasoning, err));
        SB_TRY(sb_buf_addf(w->out, err, "\n\n</details>\n\n"));
    }
    SB_TRY(add_str(w->out, m->content, err));
    if (m->calls.n) {
        SB_TRY(sb_buf_addf(w->out, err, "%s```json\n", m->content.n ? "\n\n" : ""));
        SB_TRY(add_str(w->out, m->calls, err));
        SB_TRY(sb_buf_addf(w->out, err, "\n```"));
    }
    return sb_buf_addf(w->out, err, "\n");
}

/* From the beginning to the leaf: the path is known from its end, so its ids are gathered first. */
static sb_status markdown(sb_db *db, int64_t conv, writing *w, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    bool there = true;
    SB_TRY(sb_conv_tell(db, conv, markdown_head, w, err));
    SB_TRY(SB_SQL(&st, db, err,
                  "WITH RECURSIVE up(id, parent) AS (SELECT id, parent FROM msg WHERE conv = ?1 AND"
                  " id = (SELECT leaf FROM conv WHERE seq = ?1) UNION ALL SELECT m.id, m.parent"
                  " FROM up JOIN msg m ON m.conv = ?1 AND m.id = up.parent)"
                  " SELECT id FROM up ORDER BY id",
                  sb_int(conv)));
    for (;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return SB_OK;
        SB_TRY(sb_msg_tell(db, conv, sqlite3_column_int64(st, 0), markdown_msg, w, NULL, err));
    }
}

/* A copy that broke off is taken out again: outputs are as they were. */
static sb_status whole_or_nothing(sb_buf *out, size_t n_before, sb_status s)
{
    if (s != SB_OK && out->p && out->n > n_before) {
        out->n = n_before;
        out->p[n_before] = 0;
    }
    return s;
}

sb_status sb_conv_markdown(sb_db *db, sb_owner owner, const char *id, sb_buf *out, sb_error *err)
{
    int64_t seq = 0;
    const size_t before = out->n;
    writing w = {.db = db, .out = out};
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_conv_find(db, owner, id, &seq, err);
    if (s == SB_OK) s = markdown(db, seq, &w, err);
    return sb_turn_done(db, whole_or_nothing(out, before, s));
}

static int append(const char *p, size_t n, void *ctx)
{
    writing *w = ctx;
    return sb_buf_add(w->out, p, n, NULL) == SB_OK ? 0 : -1;
}

/* Takes value over; NULL = no memory. */
static sb_status put(json_t *object, const char *key, json_t *value, sb_error *err)
{
    if (value && json_object_set_new(object, key, value) == 0) return SB_OK;
    return SB_FAIL(err, SB_NO_MEMORY, "export: no memory");
}

static json_t *text_of(sb_str s)
{
    return json_stringn(s.n ? s.p : "", s.n);
}

static sb_status put_text(json_t *object, const char *key, sb_str s, sb_error *err)
{
    return s.n ? put(object, key, text_of(s), err) : SB_OK;
}

static sb_status put_json(json_t *object, const char *key, sb_str s, sb_error *err)
{
    json_t *j = NULL;
    if (s.n == 0) return SB_OK;
    SB_TRY(sb_json_in_nul(&j, s.p, s.n, key, err));
    return put(object, key, j, err);
}

static sb_status put_count(json_t *object, const char *key, int64_t n, sb_error *err)
{
    return n ? put(object, key, json_integer(n), err) : SB_OK;
}

/* Writes value and releases it. */
static sb_status dump(writing *w, json_t *value, size_t flags, sb_error *err)
{
    const size_t before = w->out->n;
    const int r = json_dump_callback(value, append, w, JSON_COMPACT | JSON_PRESERVE_ORDER | flags);
    json_decref(value);
    if (r == 0) return SB_OK;
    if (w->out->max - before < 64 || w->out->n > before)
        return SB_FAIL(err, SB_INVALID, "export: over the limit of %zu bytes", w->out->max);
    return SB_FAIL(err, SB_NO_MEMORY, "export: no memory");
}

static sb_status fill_msg(json_t *j, const sb_msg *m, sb_error *err)
{
    SB_TRY(put(j, "id", json_integer(m->id), err));
    SB_TRY(put(j, "parent", json_integer(m->parent), err));
    SB_TRY(put(j, "role", json_string(sb_msg_role_text(m->role)), err));
    SB_TRY(put(j, "state", json_string(sb_msg_state_text(m->state)), err));
    SB_TRY(put(j, "created_ms", json_integer(m->created_ms), err));
    SB_TRY(put(j, "content", text_of(m->content), err));
    SB_TRY(put_text(j, "reasoning", m->reasoning, err));
    SB_TRY(put_json(j, "calls", m->calls, err));
    SB_TRY(put_json(j, "files", m->files, err));
    SB_TRY(put_text(j, "model", m->model, err));
    SB_TRY(put_text(j, "finish", m->finish, err));
    SB_TRY(put_json(j, "usage", m->usage, err));
    SB_TRY(put_count(j, "energy_uj", m->energy_uj, err));
    SB_TRY(put_count(j, "n_in", m->n_in, err));
    return put_count(j, "n_out", m->n_out, err);
}

static sb_status json_msg(void *ctx, const sb_msg *m, sb_error *err)
{
    writing *w = ctx;
    json_t *j = json_object();
    sb_status s = j ? fill_msg(j, m, err) : SB_FAIL(err, SB_NO_MEMORY, "export: no memory");
    if (s == SB_OK && w->n++ > 0) s = sb_buf_addf(w->out, err, ",");
    if (s != SB_OK) {
        json_decref(j);
        return s;
    }
    return dump(w, j, 0, err);
}

static sb_status json_head(void *ctx, const sb_conv *c, sb_error *err)
{
    writing *w = ctx;
    json_t *j = json_object();
    sb_status s = j ? put(j, "sobre_conversation", json_integer(FORM), err)
                    : SB_FAIL(err, SB_NO_MEMORY, "export: no memory");
    if (s == SB_OK) s = put(j, "title", text_of(c->title), err);
    if (s == SB_OK) s = put_json(j, "settings", c->settings, err);
    if (s == SB_OK) s = put(j, "created_ms", json_integer(c->created_ms), err);
    if (s == SB_OK) s = put(j, "leaf", json_integer(c->leaf), err);
    if (s != SB_OK) {
        json_decref(j);
        return s;
    }
    return dump(w, j, JSON_EMBED, err);
}

static sb_status as_json(sb_db *db, int64_t conv, writing *w, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    bool there = true;
    SB_TRY(sb_buf_addf(w->out, err, "{"));
    SB_TRY(sb_conv_tell(db, conv, json_head, w, err));
    SB_TRY(sb_buf_addf(w->out, err, ",\"messages\":["));
    SB_TRY(SB_SQL(&st, db, err, "SELECT id FROM msg WHERE conv = ? ORDER BY id", sb_int(conv)));
    for (;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return sb_buf_addf(w->out, err, "]}");
        SB_TRY(sb_msg_tell(db, conv, sqlite3_column_int64(st, 0), json_msg, w, NULL, err));
    }
}

sb_status sb_conv_json(sb_db *db, sb_owner owner, const char *id, sb_buf *out, sb_error *err)
{
    int64_t seq = 0;
    const size_t before = out->n;
    writing w = {.db = db, .out = out};
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_conv_find(db, owner, id, &seq, err);
    if (s == SB_OK) s = as_json(db, seq, &w, err);
    return sb_turn_done(db, whole_or_nothing(out, before, s));
}
