/* SPDX-License-Identifier: Apache-2.0
 * conv.h - conversations as trees of messages, each of one owner.
 *
 * Purpose     What the page shows: list, open, branch, search, rename, delete, export, import; and
 *             the answer under way, saved piece by piece so that a reload, a second browser or a
 *             kill finds what was acknowledged.
 * Tree        A message has a parent (0: it begins the conversation). Editing or regenerating makes
 *             a sibling; nothing is overwritten. The conversation's leaf is where its shown path
 *             ends; sb_msg_add moves it to the new message.
 * Order       An owner's conv.order and a conversation's msg.id (from 1) only grow; lists and paths
 *             go by them, never by the clock, and they tell nothing of other owners.
 * Invariants  Every call takes the owner and finds only that owner's rows: what belongs to another
 *             is SB_NOT_FOUND. A message's text changes only while it is streaming.
 * Limits      of limits.def: title, settings, bytes of a message, messages of a conversation;
 *             passing one is SB_INVALID.
 * Threads, ownership, errors as in db.h. Texts are UTF-8 (SB_INVALID else) and may hold NUL. */
#ifndef SB_STORE_CONV_H
#define SB_STORE_CONV_H
#include "base/buf.h"
#include "store/db.h"

typedef struct sb_conv {
    const char *id;
    int64_t order; /* of the last change; newest = greatest */
    int64_t created_ms, updated_ms;
    sb_str title;
    sb_str settings;     /* a JSON object: model, system prompt, sampling ...; "{}" when none */
    int64_t leaf;        /* 0: no message yet */
    int64_t n_path;      /* messages from the beginning to the leaf */
    int64_t n_messages;  /* all branches */
    int64_t energy_uj;   /* of all answers, also those of branches not shown */
    int64_t n_in, n_out; /* tokens likewise */
} sb_conv;
typedef sb_status (*sb_conv_row)(void *ctx, const sb_conv *c, sb_error *err);

typedef enum sb_msg_role { SB_MSG_SYSTEM, SB_MSG_USER, SB_MSG_ASSISTANT, SB_MSG_TOOL } sb_msg_role;
typedef enum sb_msg_state {
    SB_MSG_STREAMING,
    SB_MSG_DONE,
    SB_MSG_STOPPED,
    SB_MSG_ERROR
} sb_msg_state;
/* "user" ..., "streaming" ... */
const char *sb_msg_role_text(sb_msg_role r);
const char *sb_msg_state_text(sb_msg_state s);

/* Empty texts are {NULL, 0} or of no bytes; both are the same. */
typedef struct sb_msg {
    int64_t id, parent;
    sb_msg_role role;
    sb_msg_state state;
    int64_t created_ms;
    sb_str content, reasoning;
    sb_str calls;  /* JSON array of tool calls, or "" */
    sb_str files;  /* JSON array of attached files, or "" */
    sb_str model;  /* that answered */
    sb_str finish; /* a word of finish.def; "interrupted": the process was killed midway */
    sb_str usage;  /* JSON object as the answer carried it, or "" */
    sb_str ids;    /* the sampled ids as the caller's bytes, or "" */
    int64_t energy_uj, n_in, n_out; /* of usage, for sums */
    /* Set when read: */
    int64_t depth;                      /* messages before it on its path */
    int64_t i_sibling, n_siblings;      /* from 0, by id */
    int64_t prev_sibling, next_sibling; /* ids, 0 = none */
} sb_msg;
typedef sb_status (*sb_msg_row)(void *ctx, const sb_msg *m, sb_error *err);

/* settings "" = "{}". Writes the new id. */
sb_status sb_conv_add(sb_db *db, sb_owner owner, sb_str title, sb_str settings,
                      char out_id[SB_DB_ID_BYTES], sb_error *err) SB_MUST_USE;
sb_status sb_conv_get(sb_db *db, sb_owner owner, const char *id, sb_conv_row row, void *ctx,
                      sb_error *err) SB_MUST_USE;
/* Newest first, at most n, those with order < before (0: from the newest). */
sb_status sb_conv_list(sb_db *db, sb_owner owner, int64_t before, int32_t n, sb_conv_row row,
                       void *ctx, sb_error *err) SB_MUST_USE;
/* A title or settings whose p is NULL stays as it is. */
sb_status sb_conv_change(sb_db *db, sb_owner owner, const char *id, sb_str title, sb_str settings,
                         sb_error *err) SB_MUST_USE;
/* The texts are overwritten on the disk, in the index and the log too. */
sb_status sb_conv_delete(sb_db *db, sb_owner owner, const char *id, sb_error *err) SB_MUST_USE;
/* All of one owner, or what is left of a revoked key; *out_n conversations. */
sb_status sb_conv_delete_all(sb_db *db, sb_owner owner, int64_t *out_n, sb_error *err) SB_MUST_USE;
/* Shows the branch that ends at message `leaf`, or with `down` the newest one below it. */
sb_status sb_conv_show(sb_db *db, sb_owner owner, const char *id, int64_t leaf, bool down,
                       sb_error *err) SB_MUST_USE;

/* Appends m below m->parent (0: as a beginning; -1: below the leaf); state, texts and model as m
 * says, id and created_ms are made. *out_id (may be NULL): its id. */
sb_status sb_msg_add(sb_db *db, sb_owner owner, const char *conv, const sb_msg *m, int64_t *out_id,
                     sb_error *err) SB_MUST_USE;
/* More text of a streaming message; costs what is added, not what there is. */
sb_status sb_msg_more(sb_db *db, sb_owner owner, const char *conv, int64_t msg, sb_str content,
                      sb_str reasoning, sb_error *err) SB_MUST_USE;
/* Ends a streaming message. m holds the whole of it as it is to stay: state, texts, finish, usage,
 * ids, sums; its id, parent, role are those of msg. */
sb_status sb_msg_end(sb_db *db, sb_owner owner, const char *conv, int64_t msg, const sb_msg *m,
                     sb_error *err) SB_MUST_USE;
sb_status sb_msg_get(sb_db *db, sb_owner owner, const char *conv, int64_t msg, sb_msg_row row,
                     void *ctx, sb_error *err) SB_MUST_USE;
/* From message `from` (0: the leaf) upwards, at most n: the last part of the path first. To go on,
 * pass the parent of the last one told. Costs n, not the conversation. */
sb_status sb_msg_path(sb_db *db, sb_owner owner, const char *conv, int64_t from, int32_t n,
                      sb_msg_row row, void *ctx, sb_error *err) SB_MUST_USE;
/* Messages with the parent `parent`, by id, at most SB_MAX_BRANCHES; their texts are left out. */
sb_status sb_msg_children(sb_db *db, sb_owner owner, const char *conv, int64_t parent,
                          sb_msg_row row, void *ctx, sb_error *err) SB_MUST_USE;

typedef struct sb_conv_hit {
    const char *conv;
    sb_str title;
    int64_t order; /* of the conversation */
    int64_t msg;   /* 0: the title */
    sb_msg_role role;
    sb_str snippet; /* what was found stands between U+0002 and U+0003 */
} sb_conv_hit;
typedef sb_status (*sb_conv_hit_row)(void *ctx, const sb_conv_hit *h, sb_error *err);
/* Messages and titles with all words of `text` (the last may be a beginning), any case, accents or
 * none, newest message first, titles before; at most n after skipping `skip`. */
sb_status sb_conv_search(sb_db *db, sb_owner owner, sb_str text, int32_t skip, int32_t n,
                         sb_conv_hit_row row, void *ctx, sb_error *err) SB_MUST_USE;

/* Appends the shown path as Markdown, or the whole tree as JSON (the form is in conv_copy.c). */
sb_status sb_conv_markdown(sb_db *db, sb_owner owner, const char *id, sb_buf *out,
                           sb_error *err) SB_MUST_USE;
sb_status sb_conv_json(sb_db *db, sb_owner owner, const char *id, sb_buf *out,
                       sb_error *err) SB_MUST_USE;
/* What sb_conv_json wrote, as a new conversation of owner. SB_INVALID or SB_CORRUPT says where. */
sb_status sb_conv_import(sb_db *db, sb_owner owner, sb_str json, char out_id[SB_DB_ID_BYTES],
                         sb_error *err) SB_MUST_USE;
#endif
