/* SPDX-License-Identifier: Apache-2.0
 * page_in.h - what the files of the page share.
 *
 * Locks       sb_page.lock guards feeds, answers and pulls, and everything in an answer but what is
 *             said to be constant. Under it the page writes to exchanges and calls nothing that
 *             could wait. */
#ifndef SB_SERVER_PAGE_IN_H
#define SB_SERVER_PAGE_IN_H
#include "base/buf.h"
#include "server/page/page.h"
#include "server/run.h"
#include "server/wire/json_writer.h"
#include "store/conv.h"

#include <pthread.h>

enum {
    SB_PAGE_ID_TEXT_BYTES = 24,  /* a message's number as text */
    SB_PAGE_CUT_BYTES = 262144,  /* of a message that is shown with others */
    SB_PAGE_EVENT_BYTES = 32768, /* of a message told in an event */
    SB_PAGE_SAVE_MS = 1000,      /* an answer under way is saved about so often */
    SB_PAGE_NAME_BYTES = 129
};

/* One request of the page's routes, on its way through a worker or the loop. */
typedef struct sb_page_call {
    sb_task task;
    sb_page *page;
    sb_x *x;
    sb_caller who;
    sb_status (*run)(struct sb_page_call *c);
    char id[SB_PAGE_NAME_BYTES]; /* first `*`: conversation, or model */
    int64_t msg;                 /* second `*` */
    json_t *body;                /* POST and PATCH: an object */
    sb_buf out;                  /* the reply, when run returns SB_OK */
    const char *type;            /* of the reply; NULL: JSON */
    bool replied;                /* run has replied, or will */
    sb_wire_error w;             /* why, when it does not */
} sb_page_call;

typedef enum sb_page_phase {
    SB_PAGE_QUEUED,
    SB_PAGE_LOADING,
    SB_PAGE_PREFILL,
    SB_PAGE_ANSWER
} sb_page_phase;

/* An answer under way: a streaming message of the data base and the run that writes it. */
typedef struct sb_page_answer {
    struct sb_page_answer *next;
    sb_page *page;
    /* Constant: */
    sb_caller who;
    char conv[SB_DB_ID_BYTES];
    int64_t msg, parent;
    uint64_t begin_ns;
    /* Guarded: */
    sb_run *run; /* NULL until it was begun */
    sb_page_phase phase;
    int32_t place, n_cached, n_done, n_all; /* place: -1 = not known yet */
    uint64_t told_ns, saved_ns, first_ns;
    sb_buf text, reasoning; /* as they were told */
    size_t text_saved, reasoning_saved;
    char model[SB_PAGE_NAME_BYTES]; /* that answers */
    char receipt[SB_DB_ID_BYTES];   /* the run's id, by which its receipt is found */
    bool stop, saving, ended;       /* saving: save_task is under way; ended: it frees the answer */
    sb_task save_task, begin_task;
    /* The workers': */
    int n_begun;         /* runs so far */
    size_t budget_bytes; /* of the conversation that is handed to the model; 0: not known yet */
    int32_t n_left_out;  /* messages that did not fit */
} sb_page_answer;

/* A browser that listens. The loop's, but for the list. */
typedef struct sb_page_feed {
    struct sb_page_feed *next;
    sb_page *page;
    sb_x *x;
    sb_owner owner;
    char conv[SB_DB_ID_BYTES]; /* shown there, or "" */
} sb_page_feed;

/* A download that somebody on the page began. */
typedef struct sb_page_pull {
    struct sb_page_pull *next;
    sb_page *page;
    char name[SB_PAGE_NAME_BYTES];
    uint64_t id; /* for sb_server_unwatch */
    uint64_t done_bytes, all_bytes, told_ns;
} sb_page_pull;

typedef struct sb_page_revision {
    sb_owner owner;
    uint64_t n;
} sb_page_revision;

struct sb_page {
    sb_server *sv;
    pthread_mutex_t lock;
    sb_page_feed *feeds;
    sb_page_answer *answers;
    sb_page_pull *pulls;
    sb_page_revision *revisions; /* [n_revisions] of owners that something happened to */
    size_t n_revisions;
    char boot[SB_DB_ID_BYTES]; /* of this process: revisions begin anew with it */
};

/* A method of the table above. */
#define X(method, path, handler, where) sb_status sb_page_##handler(sb_page_call *c);
#include "server/page/page_routes.def"
#undef X

/* page_files.c: `/`, and what lies under /sobre/page/. */
void sb_page_file(sb_x *x, sb_str name);

/* page.c */
sb_status sb_page_fail(sb_page_call *c, sb_status code, const char *param, const char *why);
/* The body's text member; empty when there is none, SB_INVALID when it is no text. */
sb_status sb_page_text(sb_page_call *c, const char *key, sb_str *out);
/* A number of the query; dflt without one. */
int64_t sb_page_number(const sb_page_call *c, const char *key, int64_t dflt);
/* Decimal digits alone, at most SB_PAGE_ID_TEXT_BYTES - 1 of them. False: no such number. */
bool sb_page_digits(sb_str s, int64_t *out);

/* page_feed.c: tells owner's feeds; conv NULL: all of them, else those that show it. data: JSON.
 * counts: something that a browser which was not there must ask for. Lock held. */
void sb_page_tell(sb_page *p, sb_owner owner, const char *conv, const char *event, sb_str data,
                  bool counts);
/* The same to one feed, or with only NULL to those that show conv. Lock held. */
void sb_page_tell_to(sb_page *p, sb_page_feed *only, sb_owner owner, const char *conv,
                     const char *event, sb_str data);
/* Tells every owner. Lock held. */
void sb_page_tell_all(sb_page *p, const char *event, sb_str data);

/* page_json.c */
/* A conversation's settings, for sb_conv_get(). settings: json_t **, whose object is the caller's
 * to free; NULL when they cannot be read. SB_OK always. */
sb_status sb_page_read_settings(void *settings, const sb_conv *c, sb_error *err);
void sb_page_put_conv(sb_jw *w, sb_page *p, sb_owner owner, const sb_conv *c);
/* Texts longer than max_bytes are cut, or with leave_out left out. Lock not held. */
void sb_page_put_msg(sb_jw *w, sb_page *p, const sb_msg *m, size_t max_bytes, bool leave_out);
/* A conversation as an object, told to feeds as `conversation`, and put after `key` where w is not
 * NULL. */
sb_status sb_page_conv_news(sb_page *p, sb_owner owner, const char *conv, sb_jw *w, sb_error *err);
/* A message told as `message`. */
sb_status sb_page_msg_news(sb_page *p, sb_owner owner, const char *conv, int64_t msg,
                           sb_error *err);

/* page_live.c: puts an answer under way for the message msg below parent, tells feeds of it (and of
 * its parent where that is new), and begins its run. What goes wrong later is told to the
 * message. */
sb_status sb_page_answer_begin(sb_page *p, const sb_caller *who, const char *conv, int64_t msg,
                               int64_t parent, bool parent_is_new, sb_error *err) SB_MUST_USE;
/* Where an answer stands before its first word, as an event. Lock held. */
void sb_page_tell_phase(sb_page_answer *a, sb_page_feed *only);
/* Stops an answer of a conversation, or all of them (msg 0). Lock not held. */
void sb_page_answers_stop(sb_page *p, sb_owner owner, const char *conv, int64_t msg);
/* page_prompt.c: the ask of an answer. */
sb_status sb_page_ask(sb_page_answer *a, sb_ask *out, sb_wire_error *w) SB_MUST_USE;
/* page_end.c: writes the end of an answer, and its energy to the conversation's. t: NULL when
 * nothing had begun. */
sb_status sb_page_write_end(sb_page_answer *a, const sb_turn *t, sb_msg_state state,
                            const char *why, sb_error *err) SB_MUST_USE;
#endif
