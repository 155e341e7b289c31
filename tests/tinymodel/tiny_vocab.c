/* SPDX-License-Identifier: Apache-2.0
 * tiny_vocab.c - small complete vocabularies: byte-level BPE for llama, SentencePiece-style for
 * gemma3.
 *
 * Every byte string can be encoded. Tokens beyond the necessary ones are letter groups that merges
 * (or scores) reach, in a fixed order, then unused ones, up to the wanted size. */
#include "base/alloc.h"
#include "base/utf8.h"
#include "tiny.h"

#include <stdio.h>
#include <string.h>

enum { TOKEN_BYTES = 24, N_LETTERS = 26 };
enum { NORMAL = 1, CONTROL = 3, UNUSED = 5, BYTE = 6 }; /* tokenizer.ggml.token_type */

typedef struct token {
    char text[TOKEN_BYTES];
    char merge[TOKEN_BYTES]; /* "a b", or empty */
    int32_t type;
    float score;
} token;

typedef struct vocab {
    token *v;
    int32_t n, max;
    token spare; /* takes what no longer fits */
} vocab;

static token *push(vocab *x, const char *text, int32_t type)
{
    token *t = x->n < x->max ? &x->v[x->n++] : &x->spare;
    *t = (token){.type = type, .score = -1000};
    (void)snprintf(t->text, sizeof(t->text), "%s", text);
    return t;
}

static void push_merged(vocab *x, const char *a, const char *b)
{
    char text[TOKEN_BYTES];
    (void)snprintf(text, sizeof(text), "%.10s%.10s", a, b);
    token *t = push(x, text, NORMAL);
    (void)snprintf(t->merge, sizeof(t->merge), "%.10s %.10s", a, b);
    t->score = -(float)x->n; // earlier is better
}

/* Groups of letters: space + letter, pairs, space + pair, triples. */
static void push_groups(vocab *x, const char *space)
{
    char a[16], b[16];
    for (int i = 0; i < N_LETTERS; i++) {
        (void)snprintf(b, sizeof(b), "%c", 'a' + i);
        push_merged(x, space, b);
    }
    for (int i = 0; i < N_LETTERS * N_LETTERS; i++) {
        (void)snprintf(a, sizeof(a), "%c", 'a' + i / N_LETTERS);
        (void)snprintf(b, sizeof(b), "%c", 'a' + i % N_LETTERS);
        push_merged(x, a, b);
    }
    for (int i = 0; i < N_LETTERS * N_LETTERS; i++) {
        (void)snprintf(a, sizeof(a), "%s%c", space, 'a' + i / N_LETTERS);
        (void)snprintf(b, sizeof(b), "%c", 'a' + i % N_LETTERS);
        push_merged(x, a, b);
    }
    for (int i = 0; i < N_LETTERS * N_LETTERS * N_LETTERS; i++) {
        (void)snprintf(a, sizeof(a), "%c%c", 'a' + i / (N_LETTERS * N_LETTERS),
                       'a' + i / N_LETTERS % N_LETTERS);
        (void)snprintf(b, sizeof(b), "%c", 'a' + i % N_LETTERS);
        push_merged(x, a, b);
    }
    while (x->n < x->max) {
        char name[TOKEN_BYTES];
        (void)snprintf(name, sizeof(name), "<unused%d>", (int)x->n);
        push(x, name, UNUSED);
    }
}

/* The code point that byte-level BPE writes for a byte: itself when printable, else 256 and up. */
static uint32_t byte_symbol(int byte)
{
    uint32_t next = 256;
    for (int b = 0; b < 256; b++) {
        const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        const uint32_t cp = printable ? (uint32_t)b : next++;
        if (b == byte) return cp;
    }
    return 0;
}

static void push_symbol(vocab *x, uint32_t cp)
{
    char text[5] = {0};
    text[sb_utf8_encode(cp, text)] = 0;
    push(x, text, NORMAL);
}

static void build_bpe(vocab *x)
{
    push(x, "<|endoftext|>", CONTROL);
    push(x, "<|im_start|>", CONTROL);
    push(x, "<|im_end|>", CONTROL);
    for (int b = 0; b < 256; b++) {
        push_symbol(x, byte_symbol(b));
    }
    push_groups(x, "\xc4\xa0"); // U+0120 stands for a space
}

static void build_spm(vocab *x)
{
    static const char *const controls[] = {"<pad>", "<eos>",           "<bos>",
                                           "<unk>", "<start_of_turn>", "<end_of_turn>"};
    for (size_t i = 0; i < SB_ARRAY_LEN(controls); i++) {
        push(x, controls[i], CONTROL);
    }
    for (int b = 0; b < 256; b++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "<0x%02X>", (unsigned)b);
        push(x, name, BYTE);
    }
    push(x, "\n", NORMAL);
    push(x, "\xe2\x96\x81", NORMAL); // U+2581 stands for a space
    for (uint32_t c = 0x21; c <= 0x7e; c++) {
        push_symbol(x, c);
    }
    push_groups(x, "\xe2\x96\x81");
}

int32_t sb_tiny_min_vocab(const char *arch)
{
    return strcmp(arch, "gemma3") == 0 ? 6 + 256 + 2 + 94 : 3 + 256;
}

static sb_status add_tokens(sb_gguf_writer *w, const vocab *x, sb_str *strs, sb_error *err)
{
    for (int32_t i = 0; i < x->n; i++) {
        strs[i] = (sb_str){.p = x->v[i].text, .n = strlen(x->v[i].text)};
    }
    return sb_gguf_add_strs(w, "tokenizer.ggml.tokens", strs, (uint64_t)x->n, err);
}

static sb_status add_merges(sb_gguf_writer *w, const vocab *x, sb_str *strs, sb_error *err)
{
    uint64_t n = 0;
    for (int32_t i = 0; i < x->n; i++) {
        const char *m = x->v[i].merge;
        if (*m) strs[n++] = (sb_str){.p = m, .n = strlen(m)};
    }
    return sb_gguf_add_strs(w, "tokenizer.ggml.merges", strs, n, err);
}

/* Four bytes a token: its type, or its score. */
static sb_status add_numbers(sb_gguf_writer *w, const vocab *x, bool scores, sb_error *err)
{
    unsigned char *p = sb_alloc((size_t)x->n, 4);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "vocabulary: no memory");
    for (int32_t i = 0; i < x->n; i++) {
        uint32_t u = (uint32_t)x->v[i].type;
        if (scores) memcpy(&u, &x->v[i].score, sizeof(u));
        for (int k = 0; k < 4; k++) {
            p[4 * i + k] = (unsigned char)(u >> (8 * k));
        }
    }
    const sb_status s =
        sb_gguf_add_array(w, scores ? "tokenizer.ggml.scores" : "tokenizer.ggml.token_type",
                          scores ? SB_GGUF_F32 : SB_GGUF_I32, p, (uint64_t)x->n, err);
    sb_free(p);
    return s;
}

static sb_status add_str(sb_gguf_writer *w, const char *key, const char *v, sb_error *err)
{
    return sb_gguf_add_str(w, key, (sb_str){.p = v, .n = strlen(v)}, err);
}

typedef struct special {
    const char *key;
    sb_gguf_type type;
    int64_t v;
} special;

static sb_status add_specials(sb_gguf_writer *w, const special *rows, size_t n, sb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        SB_TRY(sb_gguf_add_int(w, rows[i].key, rows[i].type, rows[i].v, err));
    }
    return SB_OK;
}

static sb_status add_bpe_keys(sb_gguf_writer *w, sb_error *err)
{
    static const special rows[] = {
        {"tokenizer.ggml.bos_token_id", SB_GGUF_U32, 1},
        {"tokenizer.ggml.eos_token_id", SB_GGUF_U32, 2},
        {"tokenizer.ggml.unknown_token_id", SB_GGUF_U32, 0},
        {"tokenizer.ggml.padding_token_id", SB_GGUF_U32, 2},
        {"tokenizer.ggml.add_space_prefix", SB_GGUF_BOOL, 0},
        {"tokenizer.ggml.add_bos_token", SB_GGUF_BOOL, 0},
    };
    SB_TRY(add_str(w, "tokenizer.ggml.model", "gpt2", err));
    SB_TRY(add_str(w, "tokenizer.ggml.pre", "smollm", err));
    SB_TRY(add_str(w, "tokenizer.chat_template",
                   "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
                   "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
                   "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
                   err));
    return add_specials(w, rows, SB_ARRAY_LEN(rows), err);
}

static sb_status add_spm_keys(sb_gguf_writer *w, sb_error *err)
{
    static const special rows[] = {
        {"tokenizer.ggml.bos_token_id", SB_GGUF_U32, 2},
        {"tokenizer.ggml.eos_token_id", SB_GGUF_U32, 1},
        {"tokenizer.ggml.unknown_token_id", SB_GGUF_U32, 3},
        {"tokenizer.ggml.padding_token_id", SB_GGUF_U32, 0},
        {"tokenizer.ggml.add_bos_token", SB_GGUF_BOOL, 1},
        {"tokenizer.ggml.add_eos_token", SB_GGUF_BOOL, 0},
        {"tokenizer.ggml.add_space_prefix", SB_GGUF_BOOL, 0},
    };
    SB_TRY(add_str(w, "tokenizer.ggml.model", "llama", err));
    SB_TRY(add_str(w, "tokenizer.ggml.pre", "default", err));
    return add_specials(w, rows, SB_ARRAY_LEN(rows), err);
}

sb_status sb_tiny_add_vocab(sb_gguf_writer *w, const sb_tiny *o, sb_error *err)
{
    const bool spm = strcmp(o->arch, "gemma3") == 0;
    vocab x = {.v = sb_calloc((size_t)o->n_vocab, sizeof(token)), .max = o->n_vocab};
    sb_str *strs = sb_calloc((size_t)o->n_vocab, sizeof(*strs));
    sb_status s = SB_OK;
    if (!x.v || !strs) {
        s = SB_FAIL(err, SB_NO_MEMORY, "vocabulary: no memory");
        goto done;
    }
    if (spm) {
        build_spm(&x);
    } else {
        build_bpe(&x);
    }
    s = add_tokens(w, &x, strs, err);
    if (s == SB_OK) s = add_numbers(w, &x, false, err);
    if (s == SB_OK) s = spm ? add_numbers(w, &x, true, err) : add_merges(w, &x, strs, err);
    if (s == SB_OK) s = spm ? add_spm_keys(w, err) : add_bpe_keys(w, err);
done:
    sb_free(strs);
    sb_free(x.v);
    return s;
}
