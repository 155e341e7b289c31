/* SPDX-License-Identifier: Apache-2.0
 * conv_import.c - a conversation comes in as the JSON of conv_copy.c, from anybody: each field is
 * checked as if a client had sent it, and it is stored in one transaction or not at all. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "store/conv_rows.h"
#include "store/json_in.h"

enum { FORM = 1, MOST_JSON_BYTES = 268435456 };

typedef struct coming {
    sb_db *db;
    int64_t conv;
    int64_t *depth;   /* [n] of the messages so far, by id - 1 */
    int32_t *n_below; /* [n + 1] children so far, by parent */
    size_t n;
} coming;

static sb_status wrong(size_t i, const char *field, sb_error *err)
{
    return SB_FAIL(err, SB_INVALID, "import: message %zu: '%s' is missing or wrong", i + 1, field);
}

static sb_str str_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? (sb_str){json_string_value(v), json_string_length(v)}
                             : (sb_str){NULL, 0};
}

/* A member that may be absent, else a string. */
static bool take_str(const json_t *object, const char *key, sb_str *out)
{
    const json_t *v = json_object_get(object, key);
    *out = str_of(object, key);
    return !v || json_is_string(v);
}

static bool take_int(const json_t *object, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(object, key);
    *out = json_is_integer(v) ? (int64_t)json_integer_value(v) : 0;
    return !v || json_is_integer(v);
}

/* Index of the word that `key` is, of n words; false when it is none. */
static bool take_word(const json_t *object, const char *key, const char *(*word)(int), int n,
                      int *out)
{
    const sb_str s = str_of(object, key);
    for (*out = 0; *out < n; (*out)++)
        if (strlen(word(*out)) == s.n && s.n && memcmp(word(*out), s.p, s.n) == 0) return true;
    return false;
}

static const char *role_word(int i)
{
    return sb_msg_role_text((sb_msg_role)i);
}

static const char *state_word(int i)
{
    return sb_msg_state_text((sb_msg_state)i);
}

/* JSON members as text; released with release(). */
typedef struct parts {
    char *calls, *files, *usage;
} parts;

static void release(parts *p)
{
    json_free_t give_back;
    json_get_alloc_funcs(NULL, &give_back);
    char *const all[] = {p->calls, p->files, p->usage};
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++)
        if (all[i]) give_back(all[i]);
}

static sb_status take_json(const json_t *object, const char *key, char **out, sb_str *out_text,
                           sb_error *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v) return SB_OK;
    *out = json_dumps(v, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    if (!*out) return SB_FAIL(err, SB_NO_MEMORY, "import: no memory");
    *out_text = (sb_str){*out, strlen(*out)}; // NUL is written \u0000
    return SB_OK;
}

static sb_status read_msg(const json_t *j, size_t i, sb_msg *m, parts *p, sb_error *err)
{
    int role = 0, state = 0;
    if (!take_int(j, "id", &m->id) || m->id != (int64_t)i + 1) return wrong(i, "id", err);
    if (!take_int(j, "parent", &m->parent) || m->parent < 0 || m->parent > (int64_t)i)
        return wrong(i, "parent", err);
    if (!take_word(j, "role", role_word, SB_MSG_TOOL + 1, &role)) return wrong(i, "role", err);
    if (!take_word(j, "state", state_word, SB_MSG_ERROR + 1, &state)) return wrong(i, "state", err);
    m->role = (sb_msg_role)role;
    // Nobody goes on with it here.
    m->state = state == SB_MSG_STREAMING ? SB_MSG_STOPPED : (sb_msg_state)state;
    if (!take_int(j, "created_ms", &m->created_ms)) return wrong(i, "created_ms", err);
    if (!take_str(j, "content", &m->content)) return wrong(i, "content", err);
    if (!take_str(j, "reasoning", &m->reasoning)) return wrong(i, "reasoning", err);
    if (!take_str(j, "model", &m->model)) return wrong(i, "model", err);
    if (!take_str(j, "finish", &m->finish)) return wrong(i, "finish", err);
    if (!take_int(j, "energy_uj", &m->energy_uj)) return wrong(i, "energy_uj", err);
    if (!take_int(j, "n_in", &m->n_in)) return wrong(i, "n_in", err);
    if (!take_int(j, "n_out", &m->n_out)) return wrong(i, "n_out", err);
    SB_TRY(take_json(j, "calls", &p->calls, &m->calls, err));
    SB_TRY(take_json(j, "files", &p->files, &m->files, err));
    return take_json(j, "usage", &p->usage, &m->usage, err);
}

static sb_status store_msg(coming *c, size_t i, const sb_msg *m, sb_error *err)
{
    const sb_status s = sb_msg_check(m, err);
    if (s != SB_OK) return sb_error_prefix(err, s, "import: message %zu", i + 1);
    if (c->n_below[m->parent]++ >= SB_MAX_BRANCHES)
        return SB_FAIL(err, SB_INVALID, "import: more than %d branches at one message",
                       SB_MAX_BRANCHES);
    c->depth[i] = m->parent ? c->depth[m->parent - 1] + 1 : 0;
    return sb_msg_insert(c->db,
                         &(sb_msg_place){.conv = c->conv,
                                         .id = m->id,
                                         .parent = m->parent,
                                         .depth = c->depth[i],
                                         .created_ms = m->created_ms},
                         m, err);
}

static sb_status store_all(coming *c, const json_t *messages, sb_error *err)
{
    for (size_t i = 0; i < c->n; i++) {
        sb_msg m = {0};
        parts p = {0};
        sb_status s = read_msg(json_array_get(messages, i), i, &m, &p, err);
        if (s == SB_OK) s = store_msg(c, i, &m, err);
        release(&p);
        SB_TRY(s);
    }
    return SB_OK;
}

/* Head, then messages, then the leaf: one transaction. */
static sb_status store(coming *c, sb_owner owner, const json_t *root, char id[SB_DB_ID_BYTES],
                       sb_error *err)
{
    char *settings = NULL;
    sb_str text = {NULL, 0};
    int64_t leaf = 0, created = 0;
    if (!take_int(root, "leaf", &leaf) || leaf < 0 || leaf > (int64_t)c->n)
        return SB_FAIL(err, SB_INVALID, "import: 'leaf' is missing or wrong");
    if (!take_int(root, "created_ms", &created))
        return SB_FAIL(err, SB_INVALID, "import: 'created_ms' is missing or wrong");
    sb_status s = take_json(root, "settings", &settings, &text, err);
    if (s == SB_OK) s = sb_conv_add(c->db, owner, str_of(root, "title"), text, id, err);
    release(&(parts){.calls = settings});
    SB_TRY(s);
    SB_TRY(sb_conv_find(c->db, owner, id, &c->conv, err));
    SB_TRY(store_all(c, json_object_get(root, "messages"), err));
    return SB_SQL_RUN(c->db, err, "UPDATE conv SET leaf = ?, created_ms = ? WHERE seq = ?",
                      sb_int(leaf), sb_int(created), sb_int(c->conv));
}

static sb_status check_form(const json_t *root, size_t *out_n, sb_error *err)
{
    int64_t form = 0;
    const json_t *messages = json_object_get(root, "messages");
    if (!json_is_object(root) || !take_int(root, "sobre_conversation", &form) || form != FORM ||
        !json_is_array(messages))
        return SB_FAIL(err, SB_INVALID, "import: not a conversation that sobre exported");
    if (json_array_size(messages) > SB_MAX_MESSAGES)
        return SB_FAIL(err, SB_INVALID, "import: more than %d messages", SB_MAX_MESSAGES);
    *out_n = json_array_size(messages);
    return SB_OK;
}

static sb_status bring_in(coming *c, sb_owner owner, const json_t *root, char id[SB_DB_ID_BYTES],
                          sb_error *err)
{
    SB_TRY(check_form(root, &c->n, err));
    c->depth = sb_calloc(c->n, sizeof *c->depth);
    c->n_below = sb_calloc(c->n + 1, sizeof *c->n_below);
    if (!c->depth || !c->n_below) return SB_FAIL(err, SB_NO_MEMORY, "import: no memory");
    SB_TRY(sb_turn_write(c->db, err));
    return sb_turn_end(c->db, store(c, owner, root, id, err), err);
}

sb_status sb_conv_import(sb_db *db, sb_owner owner, sb_str json, char out_id[SB_DB_ID_BYTES],
                         sb_error *err)
{
    char id[SB_DB_ID_BYTES];
    json_t *root = NULL;
    coming c = {.db = db};
    if (json.n > MOST_JSON_BYTES)
        return SB_FAIL(err, SB_INVALID, "import: over the limit of %d bytes", MOST_JSON_BYTES);
    SB_TRY(sb_json_in_nul(&root, json.p, json.n, "import", err));
    const sb_status s = bring_in(&c, owner, root, id, err);
    if (s == SB_OK) memcpy(out_id, id, sizeof id);
    sb_free(c.depth);
    sb_free(c.n_below);
    json_decref(root);
    return s;
}
