/* SPDX-License-Identifier: Apache-2.0
 * sobre.h - the public C API of libsobre: run open-weights language models on this machine.
 *
 * Concepts    A sobre_model is an opened file and its packed weights, ready to compute, with the
 *             threads it computes on. A sobre_session is one conversation's timeline on a model: a
 *             row of tokens that only grows (or is rewound). Feed tokens, then sample or read
 *             logits.
 * Same words  For the same model file, options and tokens, logits are the same to the last bit
 *             whatever the number of threads, the chunk sizes and the other sessions beside.
 * Ownership   What a _open function gives is released by its _close function; every _close accepts
 *             NULL. Sessions must be closed before their model. Pointers returned by functions are
 *             borrowed, for as long as their comment says.
 * Errors      Functions that can fail return 0 or a negative sobre_status and take `sobre_error
 *             *err` last (NULL is allowed): one line of text that names the thing, the value and
 *             the limit. On failure outputs and sessions are unchanged.
 * Threads     A model and all its sessions form one unit: call into it from one thread at a time.
 *             Different models are independent. sobre_model_n_vocab and the other plain getters may
 *             be called from any thread.
 * Units       Token counts are n_tok or n, bytes are _bytes, times are _ns (nanoseconds).
 * Stability   Structures that callers fill start with struct_bytes = sizeof(the structure), so that
 *             later versions can add fields; unset fields are 0 and mean the default. */
#ifndef SOBRE_H
#define SOBRE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOBRE_VERSION_MAJOR 0
#define SOBRE_VERSION_MINOR 1
#define SOBRE_VERSION_PATCH 0

#if defined(__GNUC__)
#define SOBRE_API __attribute__((visibility("default")))
#else
#define SOBRE_API
#endif

typedef enum sobre_status {
    SOBRE_OK = 0,
    SOBRE_INVALID = -1,     /* an argument is out of range */
    SOBRE_NOT_FOUND = -2,   /* no such file */
    SOBRE_UNSUPPORTED = -3, /* well formed, but not something this version runs */
    SOBRE_CORRUPT = -4,     /* a damaged file, or numbers that are not finite */
    SOBRE_IO = -5,
    SOBRE_NO_MEMORY = -6,
    SOBRE_BUSY = -7,
    SOBRE_CANCELLED = -8,
    SOBRE_LIMIT = -9 /* over a limit: context full, too many sessions */
} sobre_status;

typedef struct sobre_error {
    int status;        /* sobre_status of the failure */
    char message[240]; /* one line, NUL-terminated */
} sobre_error;

typedef struct sobre_model sobre_model;
typedef struct sobre_session sobre_session;

/* "0.1.0"; static storage. */
SOBRE_API const char *sobre_version(void);

/* How a model is opened. Zero means the default everywhere. */
typedef struct sobre_model_options {
    size_t struct_bytes;
    int32_t n_threads;  /* compute threads; default: the processors of this process */
    int32_t n_ctx;      /* positions one session may hold; default: the model's own, at most 8192 */
    int32_t n_sessions; /* sessions open at once; default 1 */
    int32_t exact;      /* 1: float32 on unpacked weights (slow, the reference) */
    int32_t kv_f32;     /* 1: keys and values in float32, for every model; 0: in float32 where the
                           model's matrices are floats or exact is set, else in bfloat16 */
    int32_t weights;    /* 1: a packed copy, the fastest; 2: none, each step reads the file;
                           default: packed where memory allows. The same words in any case */
} sobre_model_options;

/* Opens a GGUF file (or the first file of a split set) and packs its weights. options may be
 * NULL. */
SOBRE_API int sobre_model_open(sobre_model **out, const char *path,
                               const sobre_model_options *options, sobre_error *err);
SOBRE_API void sobre_model_close(sobre_model *m);
SOBRE_API int32_t sobre_model_n_vocab(const sobre_model *m);
/* Positions one session of this model may hold. */
SOBRE_API int32_t sobre_model_n_ctx(const sobre_model *m);
/* Architecture name ("llama"); borrowed until the model is closed. */
SOBRE_API const char *sobre_model_arch(const sobre_model *m);
/* Beginning-of-text id, or -1. */
SOBRE_API int32_t sobre_model_bos(const sobre_model *m);
/* 1 when the id ends an answer. */
SOBRE_API int sobre_model_is_end(const sobre_model *m, int32_t id);

enum {
    SOBRE_TOKENIZE_CONTROL =
        1, /* control tokens in the text match (template text, never what people say) */
    SOBRE_TOKENIZE_BOS = 2 /* begin with the model's bos where it wants one */
};

/* text[n_bytes] (UTF-8) to ids. Writes at most cap ids and sets *n_tok to how many there are; when
 * that is more than cap, returns SOBRE_LIMIT and ids holds the first cap. */
SOBRE_API int sobre_tokenize(const sobre_model *m, const char *text, size_t n_bytes, unsigned flags,
                             int32_t *ids, size_t cap, size_t *n_tok, sobre_error *err);
/* Bytes of one token as text; control tokens give none. *n_bytes is set; the pointer is borrowed
 * until the model is closed. A token may end inside a UTF-8 sequence: join tokens before showing
 * them. NULL when id is no token. */
SOBRE_API const char *sobre_token_text(const sobre_model *m, int32_t id, size_t *n_bytes);

typedef struct sobre_message {
    const char *role;    /* "system", "user", "assistant"; NUL-terminated */
    const char *content; /* NUL-terminated UTF-8; can never become a control token */
} sobre_message;

/* The model's own chat template over messages, ending where the assistant speaks, as ids. Writes as
 * sobre_tokenize does. SOBRE_NOT_FOUND when the file has no template. */
SOBRE_API int sobre_chat_ids(const sobre_model *m, const sobre_message *messages, size_t n_messages,
                             int32_t *ids, size_t cap, size_t *n_tok, sobre_error *err);

SOBRE_API int sobre_session_open(sobre_session **out, sobre_model *m, sobre_error *err);
SOBRE_API void sobre_session_close(sobre_session *s);
/* Positions held. */
SOBRE_API int32_t sobre_session_n_pos(const sobre_session *s);
/* Forgets the positions from n_pos on. */
SOBRE_API int sobre_session_rewind(sobre_session *s, int32_t n_pos, sobre_error *err);
/* Appends ids[n]. Afterwards sobre_session_logits() belongs to the last of them. SOBRE_LIMIT when
 * the context has no room; nothing is appended then. */
SOBRE_API int sobre_session_feed(sobre_session *s, const int32_t *ids, size_t n, sobre_error *err);
/* Logits after the last token fed, n_vocab floats, natural scale; borrowed until the next call that
 * feeds any session of the model. NULL before the first feed and after a rewind. */
SOBRE_API const float *sobre_session_logits(const sobre_session *s);

/* How the next token is chosen: temperature, then top-k, then top-p, then min-p, then one draw. */
typedef struct sobre_sampling {
    size_t struct_bytes;
    float temperature; /* 0 = greedy */
    int32_t top_k;     /* 0 = all */
    float top_p;       /* 0 or 1 = all */
    float min_p;       /* 0 = all */
    uint64_t seed;     /* the same seed gives the same draws */
} sobre_sampling;

/* Sets how this session samples and restarts its random numbers. Default: greedy. */
SOBRE_API int sobre_session_sampling(sobre_session *s, const sobre_sampling *p, sobre_error *err);
/* Chooses the next token from the session's logits (it is not fed). *logprob, if not NULL: natural
 * log of its probability at temperature 1. SOBRE_INVALID when there are no logits. */
SOBRE_API int sobre_session_sample(sobre_session *s, int32_t *id, double *logprob,
                                   sobre_error *err);

#ifdef __cplusplus
}
#endif
#endif
