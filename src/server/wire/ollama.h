/* SPDX-License-Identifier: Apache-2.0
 * ollama.h - what the two dialects of Ollama share: reading in ollama.c, answers in
 * ollama_voice.c. */
#ifndef SB_SERVER_OLLAMA_H
#define SB_SERVER_OLLAMA_H
#include "server/wire/voice.h"

/* The dialects' parses. A conversation without messages, and an empty prompt, ask for no answer:
 * the ask has no turn, only_load or only_unload is set. */
sb_status sb_ollama_chat_parse(sb_ask *a, sb_wire_error *w) SB_MUST_USE;
sb_status sb_ollama_generate_parse(sb_ask *a, sb_wire_error *w) SB_MUST_USE;

/* "10m", "1h30m", "-1s", or digits alone (seconds), as Go writes durations. False: it is none. A
 * negative one is INFINITY. */
bool sb_ollama_duration(sb_str s, double *out_s);

/* The small bodies of the other routes (show, pull, delete, copy, ps of one). */
typedef struct sb_ollama_small {
    sb_str model; /* `model`, or `name` as it was once called; without ":latest" */
    sb_str source, destination;
    bool stream; /* default true */
    bool verbose, insecure;
} sb_ollama_small;
/* Texts are borrowed from root. SB_INVALID names the field; what a route needs is the caller's to
 * ask. */
sb_status sb_ollama_small_read(sb_ollama_small *out, const json_t *root,
                               sb_wire_error *w) SB_MUST_USE;
#endif
