/* SPDX-License-Identifier: Apache-2.0
 * serve.h - the server as its handlers see it: who asks, where work is done, what they share.
 *
 * Purpose     The one object that is handed to every route's handler, the page's included. What it
 *             is made of (models, keys, quotas, logs) stands behind functions.
 * Threads     A handler runs on the loop's thread and must not wait: JSON, the database, tokenizers
 *             and files belong on a worker (sb_server_work). sb_x_* and sb_run_* may be called from
 *             anywhere. All functions below: any thread, unless they say otherwise.
 * Ownership   The server outlives every exchange, run, task and pull. A handler gets its exchange
 *             with a hold of its own and gives it back by sb_x_release() when it is done, also
 *             after it has replied.
 * Errors      What a handler cannot do it tells the client: sb_reply_error(). */
#ifndef SB_SERVER_SERVE_H
#define SB_SERVER_SERVE_H
#include "server/budget.h"
#include "server/http/http.h"
#include "server/quota.h"
#include "server/wire/wire.h"
#include "server/workers.h"

typedef struct sb_server sb_server;
typedef struct sb_db sb_db;         /* store/db.h */
typedef struct sb_models sb_models; /* server/models.h */
typedef struct sb_store sb_store;   /* store/store.h */

/* Who asks: the key that came with the request, or nobody where no keys are set. Plain data. */
typedef struct sb_caller {
    int64_t owner;     /* sb_owner: whose conversations and caches these are; 0: no keys are set */
    char name[65];     /* of the key, for logs and metrics, or "" */
    bool signed_in;    /* a good key came, or none is needed */
    bool may_manage;   /* bring and delete models */
    bool may_pull_any; /* from anywhere, not from the catalogue alone: an admin key */
    int32_t priority;  /* 0 usual */
    sb_quota_limits limits;
    sb_budget_limits budget;
} sb_caller;

/* ---- handlers ---- */

/* On the loop's thread, after Host, Origin, key and limits were found good. */
typedef void (*sb_handler)(sb_server *sv, sb_x *x, const sb_caller *who); /* who: to be copied */

/* fn is called once the exchange is over, on the loop's thread, after everything of its watch: the
 * moment for a handler to let go of what the watch's ctx is. One for each exchange; inside the
 * handler only. (sb_x_user is the server's own.) */
void sb_server_at_done(sb_x *x, void (*fn)(void *ctx), void *ctx);

/* Whole replies. json is taken over; NULL means out of memory and becomes a 500. */
void sb_reply_json(sb_x *x, int status, json_t *json);
void sb_reply_text(sb_x *x, int status, const char *type, const char *text);
/* An error in the shape of the dialect the path belongs to ({"error": {...}} elsewhere). */
void sb_reply_error(sb_x *x, const sb_wire_error *w);
/* The same from a status of ours: its code and message. */
void sb_reply_failure(sb_x *x, const sb_error *err);

/* ---- work ---- */

/* fn runs on one of the server's workers, in order of coming. Never fails: the number of tasks is
 * bounded by the connections and runs there are. */
void sb_server_work(sb_server *sv, sb_task *t);
/* The same before all others: for what ends an answer. */
void sb_server_work_first(sb_server *sv, sb_task *t);
/* fn runs on the loop's thread. */
void sb_server_on_loop(sb_server *sv, sb_task *t);

/* ---- what handlers share ---- */

sb_db *sb_server_db(sb_server *sv);
sb_models *sb_server_models(sb_server *sv);
/* What the caller's key may use of energy today, and has left; limit 0: no limit. */
sb_budget_state sb_server_budget(sb_server *sv, const sb_caller *who);
/* The same also before the key's first answer of the day. Waits for the data base. */
sb_status sb_server_budget_today(sb_server *sv, const sb_caller *who, sb_budget_state *out,
                                 sb_error *err) SB_MUST_USE;
/* Appends the receipt of an answer of the caller's (receipts.h). May wait for the disk. */
sb_status sb_server_receipt_find(sb_server *sv, const sb_caller *who, sb_str id, sb_buf *out,
                                 sb_error *err) SB_MUST_USE;
/* Are there keys, so that a caller must have one? */
bool sb_server_has_keys(sb_server *sv);
/* False once the server drains: nothing long may begin. */
bool sb_server_is_open(sb_server *sv);

/* ---- signing in, for the page ---- */

enum { SB_COOKIE_BYTES = 192 };
/* Writes the value of a Set-Cookie header that stands for the key; SB_INVALID when the key is not
 * good. It holds until the key is revoked, at most 30 days. Waits for the database. */
sb_status sb_server_sign_in(sb_server *sv, sb_str key, bool is_tls, char out[SB_COOKIE_BYTES],
                            sb_caller *out_who, sb_error *err) SB_MUST_USE;
/* The header's value that ends it. */
void sb_server_sign_out(bool is_tls, char out[SB_COOKIE_BYTES]);

/* ---- bringing models ---- */

typedef struct sb_pull_news {
    const char *name;  /* of the model */
    const char *phase; /* "checking", "fetching", "unpacking" */
    uint32_t i_part, n_part;
    uint64_t done_bytes, total_bytes; /* total 0: not known */
} sb_pull_news;

/* On the loop's thread. */
typedef struct sb_pull_watch {
    void (*progress)(void *ctx, const sb_pull_news *n);
    /* The last call. err NULL: it is in the store. */
    void (*end)(void *ctx, const char *name, const sb_error *err);
    void *ctx;
} sb_pull_watch;

/* On the loop's thread. The helper process brings `what` (a name of the catalogue; with
 * who->may_pull_any any word of store/source.h). A second pull of the same thing watches the first.
 * *out_id is for sb_server_unwatch(). accept_terms: of models whose licence asks for it. */
sb_status sb_server_pull(sb_server *sv, const sb_caller *who, const char *what, bool accept_terms,
                         const sb_pull_watch *w, uint64_t *out_id, sb_error *err) SB_MUST_USE;
/* On the loop's thread: no more calls for this watcher. stop: the pull ends, too, if it was the
 * last one (what came stays, a later pull goes on from there). */
void sb_server_unwatch(sb_server *sv, uint64_t id, bool stop);

/* Takes a model of the store away; `end` as above. SB_BUSY while it is in use. */
sb_status sb_server_remove(sb_server *sv, const char *name, const sb_pull_watch *w,
                           uint64_t *out_id, sb_error *err) SB_MUST_USE;

/* ---- the page's own handler (server/page) ---- */

/* All paths of the page and of /sobre/v1/: method and path are the page's to judge. who is as
 * signed in; for the paths of routes.def that need no key it may be nobody (owner 0, key 0). */
void sb_page_handle(sb_server *sv, sb_x *x, const sb_caller *who);
#endif
