/* SPDX-License-Identifier: Apache-2.0
 * ollama_list.h - the bodies of Ollama's API beside its answers: models, their details, progress of
 * a pull.
 *
 * Purpose     Plain structs to JSON. What exists, what is loaded and what is pulled is known to
 *             whoever calls.
 * Ownership   All is borrowed for the call.
 * Threads     Pure functions.
 * Errors      As sb_buf: SB_LIMIT, SB_NO_MEMORY; `out` is then as before. */
#ifndef SB_SERVER_OLLAMA_LIST_H
#define SB_SERVER_OLLAMA_LIST_H
#include "base/buf.h"
#include "gguf/gguf.h"

/* A model, on disk or loaded. */
typedef struct sb_ollama_model {
    const char *name;
    int64_t modified_s;    /* since 1970 */
    uint64_t bytes;        /* of its files */
    const char *digest;    /* SHA-256 in hex, or NULL: zeros, as clients cut it to twelve digits */
    const char *family;    /* its architecture */
    const char *quant;     /* the format of most weights ("Q8_0"), or NULL */
    uint64_t n_params;     /* 0: not known */
    int64_t n_ctx, n_embd; /* as trained; 0: not known */
    bool tools, thinking;  /* what it can do besides completing */
    /* While it is loaded: */
    int64_t expires_s;     /* when it goes; INT64_MAX: never */
    uint64_t memory_bytes; /* what it takes */
    int64_t n_ctx_used;    /* positions of one stream */
} sb_ollama_model;

/* GET /api/tags: what there is. */
sb_status sb_ollama_tags(sb_buf *out, const sb_ollama_model *models, size_t n,
                         sb_error *err) SB_MUST_USE;
/* GET /api/ps: what is loaded. */
sb_status sb_ollama_ps(sb_buf *out, const sb_ollama_model *models, size_t n,
                       sb_error *err) SB_MUST_USE;
/* GET /api/version */
sb_status sb_ollama_version(sb_buf *out, const char *version, sb_error *err) SB_MUST_USE;

typedef struct sb_ollama_show {
    sb_ollama_model model;
    const sb_gguf *gguf; /* its metadata becomes model_info and parameters */
    sb_str license, template_text;
    bool verbose; /* arrays and tensors, too */
} sb_ollama_show;

/* POST /api/show */
sb_status sb_ollama_show_body(sb_buf *out, const sb_ollama_show *s, sb_error *err) SB_MUST_USE;

/* One line of POST /api/pull, its line break included; "success" is the last. digest may be NULL;
 * total 0: not known, and then completed is not told either. */
sb_status sb_ollama_pull(sb_buf *out, const char *status, const char *digest, uint64_t total,
                         uint64_t completed, sb_error *err) SB_MUST_USE;
/* {"error": text}, with a line break where it ends a stream. */
sb_status sb_ollama_error(sb_buf *out, const char *text, bool in_stream, sb_error *err) SB_MUST_USE;
#endif
