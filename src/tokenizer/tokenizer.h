/* SPDX-License-Identifier: Apache-2.0
 * tokenizer.h - bytes to token ids and back: byte-level BPE and SentencePiece-style merging.
 *
 * Purpose     Works on arrays it is handed; knows no file. Equal to the reference tokenizers.
 * Safety      Text is tokenised with markers off unless asked: content can never become a control
 *             token. See sb_tok_mode.
 * Ownership   sb_tokenizer_new() copies what it needs; nothing of the description must outlive it.
 * Errors      SB_CORRUPT for arrays that do not fit together, SB_UNSUPPORTED for an unknown model
 *             or pre-tokenizer (named), SB_INVALID for text that is not UTF-8 where it must be,
 *             SB_LIMIT.
 * Cost        O(n log n) in the text at worst; no recursion.
 * Threads     Immutable after _new; encode and piece from any thread. */
#ifndef SB_TOKENIZER_H
#define SB_TOKENIZER_H
#include "base/base.h"
#include "base/buf.h"
#include "base/ids.h"

/* As stored in tokenizer.ggml.token_type. */
typedef enum sb_tok_type {
    SB_TOK_NORMAL = 1,
    SB_TOK_UNKNOWN,
    SB_TOK_CONTROL,
    SB_TOK_USER,
    SB_TOK_UNUSED,
    SB_TOK_BYTE
} sb_tok_type;

typedef enum sb_tok_mode {
    SB_TOK_CONTENT, /* what people and tools say: only user-defined tokens that are no markers */
    SB_TOK_LITERAL, /* what a template says: control, unknown and user-defined tokens match */
    SB_TOK_ALL      /* every added token anywhere, as the reference libraries do (--special) */
} sb_tok_mode;

typedef struct sb_tokenizer_desc {
    sb_str model; /* "gpt2", "llama" or "gemma4" */
    sb_str pre;   /* "gpt2": name of the pre-tokenizer; empty when the file does not say */
    int32_t n_tok;
    const sb_str *tokens; /* [n_tok] */
    const float *scores;  /* [n_tok] or NULL */
    const int32_t *types; /* [n_tok] or NULL (all normal) */
    int64_t n_merges;
    const sb_str *merges;                      /* [n_merges] "left right" */
    int32_t bos, eos, unk, pad, eot;           /* ids, -1 when none */
    int8_t add_bos, add_eos, add_space_prefix; /* 1, 0, or -1 when the file does not say */
    bool rstrip_added; /* added tokens take the white space behind them (Phi-3) */
} sb_tokenizer_desc;

typedef struct sb_tokenizer sb_tokenizer;

/* What a file does not say: "llama" has bos 1, eos 2, unk 0 where those are special tokens, adds
 * bos and puts a space before a text; "gpt2" does neither, but some pre-tokenizers add bos
 * (pretok.def). Of tokens with equal text the first counts; merges that make no token are idle. */
sb_status sb_tokenizer_new(sb_tokenizer **out, const sb_tokenizer_desc *d,
                           sb_error *err) SB_MUST_USE;
void sb_tokenizer_free(sb_tokenizer *t);

/* NULL, or a line that whoever opens the file should show: the vocabulary works, but not as its
 * maker meant it. */
const char *sb_tokenizer_warning(const sb_tokenizer *t);
int32_t sb_tokenizer_n_tok(const sb_tokenizer *t);
int32_t sb_tokenizer_bos(const sb_tokenizer *t); /* -1 when none */
int32_t sb_tokenizer_eos(const sb_tokenizer *t);
bool sb_tokenizer_add_bos(const sb_tokenizer *t); /* the model wants bos in front of a text */
bool sb_tokenizer_add_eos(const sb_tokenizer *t);
/* True for ids that end an answer: eos, eot, and control tokens known to end a turn. */
bool sb_tokenizer_is_end(const sb_tokenizer *t, int32_t id);
/* True for control, unknown and unused tokens, which print nothing. */
bool sb_tokenizer_is_control(const sb_tokenizer *t, int32_t id);
/* Id whose text is exactly s (added or normal), or -1. */
int32_t sb_tokenizer_find(const sb_tokenizer *t, sb_str s);

/* Strings a template prints literally and that are type "user-defined" are markers: content may not
 * forge them. Called after _new, before any encode, once for each literal of the template. Added
 * tokens of white space only, or of one character, stay what they are. */
sb_status sb_tokenizer_reserve_literal(sb_tokenizer *t, sb_str literal, sb_error *err) SB_MUST_USE;

/* Appends the ids of text[n]; adds neither bos nor eos. first: text starts the input (matters for
 * a leading space prefix). SB_INVALID names the first byte that is not UTF-8; on failure out is as
 * it was. What does not decode to itself: bytes that no token of a "gpt2" vocabulary holds vanish,
 * some models' text is composed (NFC), and in "llama" and "gemma4" U+2581 is a space; all as in the
 * reference. */
sb_status sb_tokenizer_encode(const sb_tokenizer *t, sb_str text, sb_tok_mode mode, bool first,
                              sb_ids *out, sb_error *err) SB_MUST_USE;

/* The same for a text of which some parts are a template's own words: spans touch and cover the
 * text in order (SB_INVALID when they do not). A control token or marker matches only inside spans
 * whose modes let it, neighbours counting as one; the other added tokens (runs of line breaks)
 * match also across spans. What lies between is encoded as one text: words do not break where spans
 * meet. */
typedef struct sb_tok_span {
    size_t bytes;
    sb_tok_mode mode;
} sb_tok_span;
sb_status sb_tokenizer_encode_spans(const sb_tokenizer *t, sb_str text, const sb_tok_span *spans,
                                    size_t n_spans, bool first, sb_ids *out,
                                    sb_error *err) SB_MUST_USE;

/* Bytes of one token as they appear in text; control tokens give their name when with_control,
 * else nothing. Returned bytes are borrowed from t. Never fails for 0 <= id < n_tok. */
sb_str sb_tokenizer_piece(const sb_tokenizer *t, int32_t id, bool with_control);

/* Streaming decode: hands out whole code points only. Each longest start of a code point that can
 * no longer become valid is replaced by one U+FFFD. Zero-initialise; the space that a model puts
 * before a text is then dropped from the first token. Set `started` when the ids go on a text. */
typedef struct sb_detok {
    char held[8]; /* [n_held] start of a code point, at most 3 bytes between calls */
    size_t n_held;
    bool started;
} sb_detok;
sb_status sb_detok_push(sb_detok *d, const sb_tokenizer *t, int32_t id, bool with_control,
                        sb_buf *out, sb_error *err) SB_MUST_USE;
/* Ends the text: what is still held becomes U+FFFD (or is dropped when `drop`). */
sb_status sb_detok_finish(sb_detok *d, bool drop, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
