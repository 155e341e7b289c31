/* SPDX-License-Identifier: Apache-2.0
 * respond_out.h - output items, the response object and stored items as JSON, for the voice of the
 * Responses dialect. */
#ifndef SB_SERVER_RESPOND_OUT_H
#define SB_SERVER_RESPOND_OUT_H
#include "server/wire/respond.h"

typedef enum sb_respond_kind {
    SB_RESPOND_NONE,
    SB_RESPOND_REASONING,
    SB_RESPOND_MESSAGE,
    SB_RESPOND_CALL
} sb_respond_kind;

/* An output item as it stands. */
typedef struct sb_respond_item {
    sb_respond_kind kind;
    bool as_summary;      /* reasoning: told as its summary */
    int64_t i;            /* its place in the output */
    sb_str text;          /* or a call's arguments */
    sb_str call_id, name; /* of a call */
    sb_str logprobs;      /* JSON items, of a message */
} sb_respond_item;

/* How a response ended. */
typedef struct sb_respond_end {
    const char *status;      /* of the response */
    const char *item_status; /* of an item that is open then */
    const char *event;       /* the last one of its stream */
    const char *code;        /* of its error, or NULL */
    const char *message;
    const char *detail; /* where the status does not say all, or NULL */
} sb_respond_end;
sb_respond_end sb_respond_end_of(const sb_turn *t);

/* "KEY": the id of output item i. */
void sb_respond_put_item_id(sb_jw *w, const sb_voice *v, const char *key, sb_respond_kind kind,
                            int64_t i);
/* "KEY": [ITEMS], items joined by commas. */
void sb_respond_put_list(sb_jw *w, const char *key, sb_str items);
/* The one part of a message or of a reasoning. */
void sb_respond_put_part(sb_jw *w, const sb_respond_item *it);
/* full: with what it holds; else as it begins. */
void sb_respond_put_item(sb_jw *w, const sb_voice *v, const sb_respond_item *it, const char *status,
                         bool full);
/* The object. items: of its output, joined by commas. e NULL: it is under way. t NULL: no sums are
 * known. */
void sb_respond_put_object(sb_jw *w, const sb_voice *v, sb_str items, const sb_respond_end *e,
                           const sb_turn *t);
/* The request's own input as a list of items, each with its id and type. */
void sb_respond_put_inputs(sb_jw *w, const sb_voice *v);
#endif
