/* SPDX-License-Identifier: Apache-2.0
 * wire.h - what every dialect of the API is made of: a body read into a neutral ask, a voice that
 * says the answer.
 *
 * Purpose     A dialect (OpenAI chat, completions, Responses, Anthropic, Ollama, llama-server) is
 *             one const sb_dialect in one file. It knows JSON and the neutral types below; no
 *             socket, no model, no scheduler.
 *             json_writer.h, ask_fields.h, dialog.h, sampling_in.h and voice.h are what they
 *             share.
 * Fields      ask_fields.def says of each field of each dialect whether it is acted on, known and
 *             harmless, or changes the result and is not there yet (400 with `param`). What is not
 *             in the list is ignored and named in the ask's warnings.
 * Ownership   sb_ask owns its root, which all its texts borrow from, and its arena. A voice's state
 *             belongs to whoever called sb_voice_new().
 * Threads     An ask and a voice each belong to one thread at a time.
 * Errors      SB_INVALID with `param` filled (400), SB_UNSUPPORTED with `param` (400), SB_LIMIT
 *             (400; 413 where it is the body's size), SB_NO_MEMORY. sb_wire_status() maps. */
#ifndef SB_SERVER_WIRE_H
#define SB_SERVER_WIRE_H
#include "chat/chat.h"

#include <jansson.h>

typedef struct sb_dialect sb_dialect;

/* An error of a request as clients are told it. */
typedef struct sb_wire_error {
    int status;        /* HTTP */
    char param[128];   /* the field at fault, or "" */
    const char *code;  /* static: "context_length_exceeded", "invalid_api_key" ... or NULL */
    int retry_after_s; /* > 0: when to try again */
    sb_error err;
} sb_wire_error;

/* Gives what is stored of a response, and with `chain` of the one before it and so on, newest
 * first, to row: its object and the list of its own input items, both JSON text, borrowed for the
 * call. SB_NOT_FOUND: there is none (of this owner). id: with "resp_". */
typedef sb_status (*sb_wire_row)(void *row_ctx, sb_str object, sb_str items, sb_error *err);
typedef sb_status (*sb_wire_stored)(void *ctx, sb_str id, bool chain, sb_wire_row row,
                                    void *row_ctx, sb_error *err);

/* What the server decides of how requests are read. */
typedef struct sb_wire_opts {
    bool strict;      /* an unknown field is a 400, not a warning */
    bool keep_nonces; /* nonce lines stay in the prompt */
    bool count_only;  /* the prompt's tokens are asked for, no answer: max_tokens may be missing */
    sb_wire_stored
        stored; /* Responses: previous_response_id and item_reference; NULL: nothing is */
    void *stored_ctx;
} sb_wire_opts;

/* A request, read. What is not asked for is as sb_turn_request's zero or its stated default. */
typedef struct sb_ask {
    sb_wire_opts opts; /* set before sb_wire_read(), the rest zero */
    const sb_dialect *dialect;
    json_t *root;      /* the body */
    const char *model; /* as asked, or NULL */
    bool stream;
    bool include_usage; /* OpenAI: stream_options */
    bool want_progress; /* return_progress, or a dialect that always tells */
    /* [n_turns] one for each choice: of each prompt its n choices, which differ in their seed
     * (seed + i when the client gave one; see has_seed). */
    sb_turn_request *turns;
    size_t n_turns;
    bool has_seed; /* else the server draws one before it begins */
    bool ignore_eos;
    bool echo;     /* completions: the prompt goes before the answer */
    bool timings;  /* llama-server: `timings` in every piece, not in the last alone */
    bool want_ids; /* llama-server: return_tokens */
    bool one_call; /* at most one tool call is told (parallel_tool_calls false) */
    int32_t priority;
    double keep_alive_s; /* Ollama: seconds the model stays after this; NAN: as configured */
    /* Ollama: no generation, n_turns is 0; when that is done `end` is called with turns NULL. */
    bool only_load, only_unload;
    /* Ollama: [n_context] ids of the conversation before this prompt. They go in front of the
     * prompt's own ids, less a token of these that begins a text; an id over the vocabulary is a
     * 400. */
    const int32_t *context;
    size_t n_context;
    json_t *warnings;  /* list of texts, or NULL: none */
    json_t *kept;      /* what texts are borrowed from besides root (Responses: stored items) */
    size_t kept_bytes; /* of the texts that was read from */
    const char *previous_response_id; /* Responses, or NULL; its items are in the turn already */
    bool store;                       /* Responses: keep it */
    const char *nonce_removed;        /* name of the nonce line taken out of the prompt, or NULL */
    struct sb_ask_mem *mem;           /* what was made for it */
} sb_ask;
void sb_ask_deinit(sb_ask *a);
/* Memory that lives as long as the ask; NULL: out of memory. */
void *sb_ask_take(sb_ask *a, size_t n, size_t size);

/* What is known when an answer begins, and when it is over. */
typedef struct sb_voice_facts {
    const char *id; /* without the dialect's prefix */
    const char *request_id;
    const char *model;  /* the name it is served under */
    int64_t created_s;  /* since 1970 */
    int64_t created_ns; /* the rest of it */
    const char *fingerprint;
    const sb_tokenizer *tok;    /* for logprobs */
    uint64_t load_ns, begin_ns; /* how long the model took to load; when the request came in */
} sb_voice_facts;

typedef struct sb_voice sb_voice; /* the state of one answer on its way */

/* All append what is to be sent to `out`, nothing when there is nothing yet. Without ask->stream
 * only `end` and `fail` send. */
struct sb_dialect {
    const char *name;        /* "openai-chat" ... */
    unsigned fields;         /* its bit in ask_fields.def: SB_FIELDS_CHAT ... */
    const char *type;        /* content type without stream */
    const char *stream_type; /* content type of a stream */
    const char *ping;        /* sent when nothing was for a while, "" = nothing may be sent */
    /* Reads a.root into a; w.param names the field. */
    sb_status (*parse)(sb_ask *a, sb_wire_error *w);
    size_t voice_bytes;  /* of the dialect's own state, zeroed; begins as voice.h says */
    size_t choice_bytes; /* of its state for each choice, zeroed: sb_voice_choice() */
    sb_status (*begin)(sb_voice *v, sb_buf *out, sb_error *err);
    sb_status (*progress)(sb_voice *v, int32_t i_choice, int32_t n_cached, int32_t n_done,
                          int32_t n_all, sb_buf *out, sb_error *err); /* or NULL */
    sb_status (*event)(sb_voice *v, int32_t i_choice, const sb_output_event *e, const sb_turn *t,
                       sb_buf *out, sb_error *err);
    /* A choice is over. */
    sb_status (*choice)(sb_voice *v, int32_t i_choice, const sb_turn *t, sb_buf *out,
                        sb_error *err);
    /* All choices are over; turns: [n_turns]. */
    sb_status (*end)(sb_voice *v, const sb_turn *turns, sb_buf *out, sb_error *err);
    /* The answer broke off after it began (stream). */
    sb_status (*fail)(sb_voice *v, const sb_wire_error *w, sb_buf *out, sb_error *err);
    void (*deinit)(sb_voice *v); /* or NULL */
    /* The body of an error before anything was sent. */
    sb_status (*refuse)(const sb_wire_error *w, const char *request_id, sb_buf *out, sb_error *err);
};

/* NULL: out of memory. */
sb_voice *sb_voice_new(const sb_ask *ask, const sb_voice_facts *facts);
void sb_voice_free(sb_voice *v, const sb_dialect *d);

#define X(name) extern const sb_dialect sb_dialect_##name;
#include "server/wire/dialects.def"
#undef X

/* Body to ask: JSON, then ask_fields.def, then the dialect's parse. *a is zero but for opts. On
 * failure w says what to send and *a is empty. */
sb_status sb_wire_read(sb_ask *a, const sb_dialect *d, sb_str body, sb_wire_error *w) SB_MUST_USE;
/* Bytes as JSON of any type: depth, duplicates, UTF-8, numbers; the message names the byte. */
sb_status sb_wire_json(json_t **out, sb_str body, sb_wire_error *w) SB_MUST_USE;
/* Sets w's status, code and retry_after_s from its err where they are not set yet (SB_INVALID 400,
 * SB_NOT_FOUND 404, SB_BUSY 503 ...). */
void sb_wire_status(sb_wire_error *w);
#endif
