/* SPDX-License-Identifier: Apache-2.0
 * respond.h - the parts of the Responses dialect, and its bodies that are no answers.
 *
 * Purpose     respond_in.c reads a request, respond_items.c its items and those of stored
 *             responses, respond_voice.c says the answer, respond_body.c writes what else the
 *             routes send.
 * Stored      A response is kept as two JSON texts: its object, and the list of its own input
 *             items. Its earlier items are those of the response it names as previous, so a chain
 *             costs what was said, once. The items of an answer are called "msg_ID_N", "rs_ID_N"
 *             and "fc_ID_N", those of an input "msg_ID_inN" and so on, where "resp_ID" is the
 *             response: so a reference to an item leads to its response.
 * Errors      As wire.h. */
#ifndef SB_SERVER_RESPOND_H
#define SB_SERVER_RESPOND_H
#include "server/wire/dialog.h"
#include "server/wire/voice.h"

sb_status sb_respond_parse(sb_ask *a, sb_wire_error *w) SB_MUST_USE;

/* Appends a list of items to the conversation. path: where they stand in the request. */
sb_status sb_respond_items(sb_dialog *d, const json_t *items, const char *path) SB_MUST_USE;
/* Appends the items of the stored response `id` and of all before it. */
sb_status sb_respond_chain(sb_dialog *d, sb_str id) SB_MUST_USE;

/* After `end` or `fail` of a voice of this dialect: what a store keeps under "resp_" and the id of
 * its facts. Borrowed from the voice. */
typedef struct sb_respond_record {
    sb_str object, items;
    sb_str previous; /* the response that goes before, or empty */
} sb_respond_record;
sb_status sb_respond_get_record(sb_voice *v, sb_respond_record *out, sb_error *err) SB_MUST_USE;

/* GET /v1/responses/{id}/input_items */
typedef struct sb_respond_page {
    sb_str after;   /* id of the item before the page, or empty */
    int32_t limit;  /* 1..100; 0: 20 */
    bool ascending; /* oldest first */
} sb_respond_page;
/* SB_NOT_FOUND: there is no item `after`. */
sb_status sb_respond_item_list(sb_buf *out, sb_str items, const sb_respond_page *p,
                               sb_error *err) SB_MUST_USE;
/* DELETE /v1/responses/{id}; id: with "resp_". */
sb_status sb_respond_deleted(sb_buf *out, sb_str id, sb_error *err) SB_MUST_USE;
/* POST /v1/responses/input_tokens */
sb_status sb_respond_tokens(sb_buf *out, int64_t n_tok, sb_error *err) SB_MUST_USE;
/* "PREFIXID", or with i >= 0 "PREFIXID_MARKi". */
void sb_respond_id(char out[SB_CALL_ID_BYTES * 2], const char *prefix, const char *id,
                   const char *mark, int64_t i);
#endif
