/* SPDX-License-Identifier: Apache-2.0
 * voice_rig.h - plays a made-up turn through a dialect's voice and keeps what it sends.
 *
 * Use         rig_open(body), then say/call/args/close in the order of the turn, then rig_end; out
 *             holds all that was sent. A turn's ids are counted, not real, unless it has a text of
 *             the tokenizer's.
 * Golden      rig_golden() compares with a file of tests/golden/wire, byte for byte but for the
 *             digits of total_duration. `PROGRAM --remake DIR` writes the files instead. */
#ifndef VOICE_RIG_H
#define VOICE_RIG_H
#include "server/wire/voice.h"

typedef struct rig {
    sb_ask ask;
    sb_wire_error w;
    sb_voice *v;
    sb_turn t;
    sb_buf out;
    sb_error err;
} rig;

void assert_str(sb_str s, const char *want);

/* Where the golden files are, and whether they are to be written: from main's arguments. */
void rig_args(int argc, char **argv);

/* Reads a body and begins the answer, whose prompt has 30 tokens, 10 of them cached. opts may be
 * NULL. The test fails when the body is refused. */
void rig_open(rig *r, const sb_dialect *d, const char *body, const sb_wire_opts *opts);
/* An event that `n_ids` more tokens brought. */
void rig_say(rig *r, sb_output_kind kind, const char *text, size_t n_ids);
/* A whole call, its arguments in two pieces. */
void rig_call(rig *r, const char *id, const char *name, const char *args1, const char *args2);
void rig_end(rig *r, sb_finish finish);
/* rig_end's, with log probabilities: of every id but the last, two at each place. */
void rig_logprobs(rig *r, const sb_tokenizer *tok);
/* The answer breaks off. */
void rig_fail(rig *r, int status, sb_status code, const char *why);
void rig_close(rig *r);

void rig_golden(const sb_buf *out, const char *name);
/* The same without a rig's turn. */
void rig_golden_text(sb_str text, const char *name);
/* A file of tests/golden/wire; release with sb_free(). */
char *rig_file(const char *name);
/* The sb_status of reading a body, and in *w what is said of it; the ask is released. */
sb_status rig_refused(const sb_dialect *d, const char *body, sb_wire_error *w);
#endif
