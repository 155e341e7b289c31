/* SPDX-License-Identifier: Apache-2.0
 * tiny.h - makes small valid GGUF models with random weights, for tests that need a whole model.
 *
 * Purpose     Same options, same bytes, on every machine. Weights are random blocks of the wanted
 *             format, scaled so that a row of k values has a standard deviation near 1/sqrt(k).
 * Formats     A matrix takes kformat when given and its rows fit (multiples of 256), else
 *             format; where that does not fit either it falls back to Q8_0, then F16, as real
 *             files do.
 * Errors      SB_INVALID for options that make no model; what the writer may return. */
#ifndef SB_TESTS_TINY_H
#define SB_TESTS_TINY_H
#include "gguf/writer.h"

/* One thing that a model shall have otherwise. Named is a key ("qwen2.block_count") or a tensor;
 * what the model has not is added. */
typedef struct sb_tiny_change {
    const char *name;
    enum {
        SB_TINY_DROP,  /* leave it out */
        SB_TINY_INT,   /* a key: `n` as `type` */
        SB_TINY_REAL,  /* a key: `real` as `type` */
        SB_TINY_TEXT,  /* a key: `text` */
        SB_TINY_TENSOR /* a tensor: ne[0] x ne[1] (0: a vector) values of `format` */
    } to;
    sb_gguf_type type;
    int64_t n;
    double real;
    const char *text;
    int64_t ne[2];
    sb_format format;
} sb_tiny_change;

typedef struct sb_tiny {
    const char *arch;      /* "llama", "gemma3", "qwen2", "qwen3" or "smollm3" */
    sb_format format;      /* of the matrices */
    sb_format kformat;     /* SB_FORMAT_COUNT: none */
    sb_format embd_format; /* of token_embd; SB_FORMAT_COUNT: as the matrices */
    int32_t n_layers, n_embd, n_ff, n_heads, n_kv_heads, head_dim, n_vocab, n_ctx;
    int32_t window; /* gemma3 only */
    bool tied;      /* no output.weight */
    uint64_t seed;
    const sb_tiny_change *changes; /* [n_changes], borrowed */
    size_t n_changes;
} sb_tiny;

/* llama, Q8_0, 2 layers, 64 wide, 4 heads of 16, 2 kv heads, ff 128, vocab 512, context 512,
 * tied. */
void sb_tiny_defaults(sb_tiny *o);
/* Matrices in f, and six heads on two with rows of whole blocks of f: 96 wide, or 256. */
void sb_tiny_in_format(sb_tiny *o, sb_format f);
/* Writes the model to path. */
sb_status sb_tiny_write(const sb_tiny *o, const char *path, sb_error *err) SB_MUST_USE;

/* Parts, for tests of their own. */

/* Least n_vocab of an architecture. */
int32_t sb_tiny_min_vocab(const char *arch);
/* Adds the tokenizer's keys. */
sb_status sb_tiny_add_vocab(sb_gguf_writer *w, const sb_tiny *o, sb_error *err) SB_MUST_USE;
/* Fills n_rows rows of k values with random blocks of standard deviation `dev`. state: any seed;
 * moved on. */
void sb_tiny_fill(sb_format f, unsigned char *out, int64_t k, int64_t n_rows, double dev,
                  uint64_t *state);
/* Uniform 64 bits (splitmix64). */
uint64_t sb_tiny_random(uint64_t *state);
/* Near normal, mean 0, deviation 1; by sums only, so the same everywhere. */
double sb_tiny_normal(uint64_t *state);
#endif
