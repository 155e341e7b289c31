/* SPDX-License-Identifier: Apache-2.0
 * wire_rig.h - requests read and answers told without a server, for tests of dialects.
 *
 * Ownership   Texts that come back are the caller's to sb_free(). */
#ifndef WIRE_RIG_H
#define WIRE_RIG_H
#include "server/wire/voice.h"
#include "server/wire/wire.h"

/* All that a request asks for as text, a line each; equal texts, equal asks. Texts that may hold a
 * NUL are escaped. */
char *rig_ask_text(const sb_ask *a);

/* Reads a body that must be good; *a is to be sb_ask_deinit()ed. */
void rig_read(sb_ask *a, const sb_dialect *d, const char *body);
/* Reads a body that must be refused: with this status, param and code (NULL: not looked at). The
 * failure is left in *w, if that is not NULL. */
void rig_refused(const sb_dialect *d, const char *body, int status, const char *param,
                 const char *code, sb_wire_error *w);

/* A step of a scripted answer: an event and the ids its text took. */
typedef struct rig_step {
    sb_output_kind kind;
    const char *text;
    int n_ids;
    int32_t i_call; /* CALL_* */
} rig_step;

typedef struct rig_answer {
    const rig_step *steps; /* [n] */
    size_t n;
    sb_finish finish;
    int n_prompt, n_cached;
    int n_tail; /* ids after the last event */
} rig_answer;

/* How answers are told. piece_bytes: each step's text as it stands (0), or in pieces of this many
 * bytes, never cut inside a character. */
typedef struct rig_say {
    const rig_answer *answers; /* [n_turns], each choice in its turn */
    int piece_bytes;
    const sb_tokenizer *tok;
    const sb_wire_error *fail; /* instead of choice and end */
    bool progress;             /* one progress of each choice, 3 of 8 cached, 5 done */
} rig_say;

/* Tells the answers; gives all that was sent. NULL and *err: a voice failed. */
char *rig_tell(const sb_ask *a, const rig_say *say, sb_error *err);

/* A vocabulary of 256 bytes: id n is byte n; 256 is <|end|>. */
sb_tokenizer *rig_tokenizer(void);

/* Every "data: " line of a stream is JSON or [DONE], every event ends with a blank line, every
 * other line is a comment or an event's name. Gives the number of JSON objects. */
size_t rig_check_sse(const char *stream);
/* A JSON text that must be good; json_decref() it. */
json_t *rig_json(const char *text);
#endif
