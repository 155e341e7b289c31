/* SPDX-License-Identifier: Apache-2.0
 * tokenizer.c - builds the vocabulary from the arrays of a file, and answers questions about it.
 *
 * One pass checks and types every token and writes its piece into one block; then come the piece
 * table, the order of merges, and the tree of added tokens. Nothing is allocated per token: a
 * vocabulary of 262 144 must be ready in a few tens of milliseconds. */
#include "tokenizer/tokenizer.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"

#include <string.h>

static bool same(sb_str s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.p, text, s.n);
}

static bool is_all(sb_str s, char c)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != c) return false;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Value of "<0xXX>", or -1. */
static int byte_token(sb_str s)
{
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>') return -1;
    const int hi = hex_digit(s.p[3]), lo = hex_digit(s.p[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* [PADn] where n is the token's own id: a row that only fills the vocabulary up. */
static bool is_filler(sb_str s, int32_t id)
{
    if (s.n < 6 || memcmp(s.p, "[PAD", 4) != 0 || s.p[s.n - 1] != ']') return false;
    int64_t n = 0;
    for (size_t i = 4; i + 1 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || n > INT32_MAX) return false;
        n = n * 10 + (s.p[i] - '0');
    }
    return n == id;
}

/* Type of a token: the file's word, corrected where the text says better. */
static sb_status type_of(const sb_tokenizer *t, const sb_tokenizer_desc *d, int32_t id,
                         sb_tok_type *out, sb_error *err)
{
    const int32_t given = d->types ? d->types[id] : SB_TOK_NORMAL;
    if (given < SB_TOK_NORMAL || given > SB_TOK_BYTE)
        return SB_FAIL(err, SB_CORRUPT, "tokenizer: token %d has type %d (1..6)", id, given);
    *out = (sb_tok_type)given;
    if (!d->types) { // no word: at least its special ids must not come out of content
        if (id == d->bos || id == d->eos || id == d->eot) *out = SB_TOK_CONTROL;
        if (id == d->unk) *out = SB_TOK_UNKNOWN;
        if (t->spm && byte_token(d->tokens[id]) >= 0) *out = SB_TOK_BYTE;
    }
    if ((given == SB_TOK_USER || given == SB_TOK_UNKNOWN) && is_filler(d->tokens[id], id))
        *out = SB_TOK_UNUSED;
    return SB_OK;
}

/* Notes which bytes stand before a space inside a piece: elsewhere text may be cut there. */
static void note_inner_spaces(sb_tokenizer *t, sb_str piece)
{
    for (size_t i = 1; i < piece.n; i++) {
        if (piece.p[i] != ' ') continue;
        const uint8_t b = (uint8_t)piece.p[i - 1];
        t->before_space[b / 64] |= (uint64_t)1 << (b % 64);
    }
}

/* Writes the piece of a token of text s at out (room for s.n bytes); *n is its length. */
static sb_status write_piece(sb_tokenizer *t, int32_t id, sb_str s, char *out, size_t *n,
                             bool *mergeable, sb_error *err)
{
    const sb_tok_type type = sb_tok_type_of(t, id);
    *mergeable = false;
    if (t->spm && type == SB_TOK_BYTE) {
        const int b = byte_token(s);
        if (b < 0 || t->byte_id[b] >= 0)
            return SB_FAIL(err, SB_CORRUPT, "tokenizer: token %d is %s byte token", id,
                           b < 0 ? "no valid" : "a second equal");
        t->byte_id[b] = id;
        out[0] = (char)b;
        *n = 1;
        return SB_OK;
    }
    if (t->spm && (type == SB_TOK_NORMAL || type == SB_TOK_USER)) {
        *n = sb_tok_from_marks(s, out);
        *mergeable = type == SB_TOK_NORMAL || (t->scored && is_all((sb_str){out, *n}, ' '));
    } else if (!t->spm && type == SB_TOK_NORMAL && sb_tok_from_alphabet(s, out, n)) {
        *mergeable = true;
    } else { // added tokens, and mislabelled ones, stand for themselves
        memcpy(out, s.p, s.n);
        *n = s.n;
    }
    return SB_OK;
}

static sb_status build_token(sb_tokenizer *t, const sb_tokenizer_desc *d, int32_t id, sb_error *err)
{
    sb_tok_type type = SB_TOK_NORMAL;
    SB_TRY(type_of(t, d, id, &type, err));
    t->flags[id] = (uint8_t)type;
    size_t n = 0;
    bool mergeable;
    char *out = t->blob + t->off[id];
    SB_TRY(write_piece(t, id, d->tokens[id], out, &n, &mergeable, err));
    t->off[id + 1] = t->off[id] + (uint32_t)n;
    if (mergeable) {
        t->flags[id] |= SB_TOK_F_MERGE;
        if (n > t->max_merge_bytes) t->max_merge_bytes = n;
        if (t->spm && type == SB_TOK_NORMAL) note_inner_spaces(t, (sb_str){out, n});
        if (!t->spm && n == 1 && t->byte_id[(uint8_t)out[0]] < 0) t->byte_id[(uint8_t)out[0]] = id;
    } else if (type == SB_TOK_USER && !sb_tok_is_marker_shaped((sb_str){out, n})) {
        t->flags[id] |= SB_TOK_F_CONTENT;
    }
    return SB_OK;
}

/* Bytes all pieces may take: never more than the file's own. */
static sb_status measure(const sb_tokenizer_desc *d, size_t *out, sb_error *err)
{
    size_t sum = 0;
    for (int32_t i = 0; i < d->n_tok; i++) {
        const size_t n = d->tokens[i].n;
        if (n == 0) return SB_FAIL(err, SB_CORRUPT, "tokenizer: token %d is empty", i);
        if (n > SB_MAX_TOKEN_BYTES)
            return SB_FAIL(err, SB_LIMIT, "tokenizer: token %d has %zu bytes (at most %d)", i, n,
                           SB_MAX_TOKEN_BYTES);
        sum += n; // at most 2^24 * 2^16
    }
    if (sum > INT32_MAX)
        return SB_FAIL(err, SB_LIMIT, "tokenizer: %zu bytes of tokens (at most %d)", sum,
                       INT32_MAX);
    *out = sum;
    return SB_OK;
}

static sb_status build_tokens(sb_tokenizer *t, const sb_tokenizer_desc *d, sb_error *err)
{
    const size_t n = (size_t)d->n_tok;
    size_t bytes = 0;
    SB_TRY(measure(d, &bytes, err));
    t->blob = sb_alloc(bytes, 1);
    t->off = sb_alloc(n + 1, sizeof *t->off);
    t->flags = sb_alloc(n, 1);
    if (!t->blob || !t->off || !t->flags)
        return SB_FAIL(err, SB_NO_MEMORY, "tokenizer: no memory for %zu tokens", n);
    memset(t->byte_id, 0xFF, sizeof t->byte_id); // -1
    t->off[0] = 0;
    for (int32_t i = 0; i < d->n_tok; i++)
        SB_TRY(build_token(t, d, i, err));
    int n_bytes = 0;
    for (int b = 0; b < 256; b++)
        n_bytes += t->byte_id[b] >= 0;
    if (t->spm && n_bytes != 0 && n_bytes != 256)
        return SB_FAIL(err, SB_CORRUPT, "tokenizer: %d byte tokens (256 or none)", n_bytes);
    if (!t->spm && n_bytes == 0)
        return SB_FAIL(err, SB_CORRUPT, "tokenizer: a \"gpt2\" vocabulary without single bytes");
    t->drops = n_bytes != 256;
    return SB_OK;
}

static sb_status build_added(sb_tokenizer *t, sb_error *err)
{
    for (int32_t i = 0; i < t->n_tok; i++) {
        const sb_tok_type type = sb_tok_type_of(t, i);
        const bool added = type == SB_TOK_CONTROL || type == SB_TOK_UNKNOWN || type == SB_TOK_USER;
        if (!added || (t->flags[i] & SB_TOK_F_MERGE)) continue;
        const sb_str s = sb_tok_text(t, i);
        if (sb_utf8_valid(s.p, s.n) == s.n)
            SB_TRY(sb_tok_added_put(t, i, err)); // else never in text
    }
    return SB_OK;
}

static int32_t find_control(const sb_tokenizer *t, const char *text)
{
    const int32_t id = sb_tok_added_find(t, (sb_str){text, strlen(text)});
    return id >= 0 && sb_tok_type_of(t, id) == SB_TOK_CONTROL ? id : -1;
}

/* Tokens that end an answer. A vocabulary with both <|return|> and <|call|> speaks harmony: there
 * <|end|> only ends one message of an answer, and the frame of the messages is for the parser. */
static void build_ends(sb_tokenizer *t)
{
    static const char *const ends[] = {
#define X(text) text,
#include "tokenizer/ends.def"
#undef X
    };
    static const char *const frame[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};
    for (size_t i = 0; i < SB_ARRAY_LEN(ends); i++) {
        const int32_t id = find_control(t, ends[i]);
        if (id >= 0) t->flags[id] |= SB_TOK_F_END;
    }
    if (find_control(t, "<|return|>") >= 0 && find_control(t, "<|call|>") >= 0) {
        const int32_t end = find_control(t, "<|end|>");
        if (end >= 0) t->flags[end] &= (uint8_t)~SB_TOK_F_END;
        for (size_t i = 0; i < SB_ARRAY_LEN(frame); i++) {
            const int32_t id = find_control(t, frame[i]);
            if (id >= 0)
                t->flags[id] = SB_TOK_USER; // printed; marker-shaped, so never from content
        }
    }
    if (t->eos >= 0) t->flags[t->eos] |= SB_TOK_F_END;
    if (t->eot >= 0) t->flags[t->eot] |= SB_TOK_F_END;
}

/* The id a key gives, else the usual one of "llama" files if that token is special at all. */
static int32_t id_or(const sb_tokenizer *t, int32_t given, int32_t usual)
{
    if (given >= 0) return given;
    if (!t->scored || usual >= t->n_tok) return -1;
    const sb_tok_type type = sb_tok_type_of(t, usual);
    return type == SB_TOK_CONTROL || type == SB_TOK_UNKNOWN ? usual : -1;
}

static sb_status check_ids(const sb_tokenizer_desc *d, sb_error *err)
{
    static const char *const names[] = {"bos", "eos", "unknown", "padding", "eot"};
    const int32_t ids[] = {d->bos, d->eos, d->unk, d->pad, d->eot};
    for (size_t i = 0; i < SB_ARRAY_LEN(ids); i++)
        if (ids[i] < -1 || ids[i] >= d->n_tok)
            return SB_FAIL(err, SB_CORRUPT, "tokenizer: %s token %d is none of %d", names[i],
                           ids[i], d->n_tok);
    return SB_OK;
}

/* Finds the pre-tokenizer; a file that names none is split as most old ones were. */
static sb_status find_pre(sb_tokenizer *t, sb_str name, sb_error *err)
{
    t->pre_missing = name.n == 0;
    t->pre = t->pre_missing ? sb_pretok_find((sb_str){"default", 7}) : sb_pretok_find(name);
    if (!t->pre) {
        char known[72]; // the line also names the file, and has its limit
        sb_pretok_families(known, sizeof known);
        return SB_FAIL(err, SB_UNSUPPORTED, "pre-tokenizer '%.*s' is none of: %s",
                       (int)(name.n < 24 ? name.n : 24), name.p, known);
    }
    t->whole = t->pre->flags & SB_PRE_WHOLE;
    t->nfc = t->pre->flags & SB_PRE_NFC;
    t->spm = t->pre->flags & SB_PRE_CHARS;
    return SB_OK;
}

static sb_status check_desc(sb_tokenizer *t, const sb_tokenizer_desc *d, sb_error *err)
{
    const int model_n = (int)(d->model.n < 64 ? d->model.n : 64);
    if (d->n_tok < 2 || d->n_tok > SB_MAX_VOCAB || !d->tokens)
        return SB_FAIL(err, SB_CORRUPT, "tokenizer: %d tokens (2..%d)", d->n_tok, SB_MAX_VOCAB);
    if (model_n == 0) return SB_FAIL(err, SB_CORRUPT, "tokenizer: tokenizer.ggml.model is missing");
    t->n_tok = d->n_tok;
    SB_TRY(check_ids(d, err));
    if (same(d->model, "llama")) {
        t->spm = t->scored = true;
        return SB_OK;
    }
    if (same(d->model, "gemma4")) return find_pre(t, d->model, err);
    if (!same(d->model, "gpt2"))
        return SB_FAIL(err, SB_UNSUPPORTED,
                       "tokenizer: model '%.*s' is none of gpt2, llama, gemma4", model_n,
                       d->model.p);
    return find_pre(t, d->pre, err);
}

/* Tokens that take white space along. Files do not say which: what is known is known by name. */
static void build_strips(sb_tokenizer *t, const sb_tokenizer_desc *d)
{
    static const char *const masks[] = {"<mask>", "[MASK]"};
    for (size_t i = 0; t->pre && (t->pre->flags & SB_PRE_MASK) && i < SB_ARRAY_LEN(masks); i++) {
        const int32_t id = sb_tok_added_find(t, (sb_str){masks[i], strlen(masks[i])});
        if (id >= 0) t->flags[id] |= SB_TOK_F_LSTRIP;
    }
    static const char *const none[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (int32_t id = 0; d->rstrip_added && id < t->n_tok; id++) {
        const sb_tok_type type = sb_tok_type_of(t, id);
        bool strips = type == SB_TOK_CONTROL || type == SB_TOK_USER;
        for (size_t i = 0; i < SB_ARRAY_LEN(none); i++)
            strips = strips && !same(sb_tok_text(t, id), none[i]);
        if (strips) t->flags[id] |= SB_TOK_F_RSTRIP;
    }
}

static sb_status build(sb_tokenizer *t, const sb_tokenizer_desc *d, sb_error *err)
{
    SB_TRY(check_desc(t, d, err));
    SB_TRY(build_tokens(t, d, err));
    SB_TRY(sb_tok_table_fill(t, err));
    if (t->scored)
        SB_TRY(sb_tok_ranks_from_scores(t, d, err));
    else
        SB_TRY(sb_tok_ranks_from_merges(t, d, err));
    SB_TRY(build_added(t, err));
    t->unk = id_or(t, d->unk, 0);
    t->bos = id_or(t, d->bos, 1);
    t->eos = id_or(t, d->eos, 2);
    t->eot = d->eot;
    build_ends(t);
    build_strips(t, d);
    const bool usual = t->scored || (t->pre && (t->pre->flags & SB_PRE_BOS));
    t->add_bos = (d->add_bos < 0 ? usual : d->add_bos > 0) && t->bos >= 0;
    t->add_eos = d->add_eos > 0 && t->eos >= 0;
    t->space_prefix = t->scored && d->add_space_prefix != 0;
    return SB_OK;
}

sb_status sb_tokenizer_new(sb_tokenizer **out, const sb_tokenizer_desc *d, sb_error *err)
{
    sb_tokenizer *t = sb_calloc(1, sizeof *t);
    if (!t) return SB_FAIL(err, SB_NO_MEMORY, "tokenizer: out of memory");
    const sb_status s = build(t, d, err);
    if (s != SB_OK)
        sb_tokenizer_free(t);
    else
        *out = t;
    return s;
}

void sb_tokenizer_free(sb_tokenizer *t)
{
    if (!t) return;
    sb_free(t->blob);
    sb_free(t->off);
    sb_free(t->flags);
    sb_free(t->slots);
    sb_free(t->prio);
    sb_free(t->first_merge);
    sb_free(t->next_merge);
    sb_free(t->left_bytes);
    sb_free(t->leaves);
    sb_free(t);
}

const char *sb_tokenizer_warning(const sb_tokenizer *t)
{
    return t->pre_missing ? "the file names no pre-tokenizer (tokenizer.ggml.pre): its text is "
                            "split as 'default', answers may be poor; a newer file of this model "
                            "names it"
                          : NULL;
}

int32_t sb_tokenizer_n_tok(const sb_tokenizer *t)
{
    return t->n_tok;
}

int32_t sb_tokenizer_bos(const sb_tokenizer *t)
{
    return t->bos;
}

int32_t sb_tokenizer_eos(const sb_tokenizer *t)
{
    return t->eos;
}

bool sb_tokenizer_add_bos(const sb_tokenizer *t)
{
    return t->add_bos;
}

bool sb_tokenizer_add_eos(const sb_tokenizer *t)
{
    return t->add_eos;
}

bool sb_tokenizer_is_end(const sb_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_tok && (t->flags[id] & SB_TOK_F_END);
}

bool sb_tokenizer_is_control(const sb_tokenizer *t, int32_t id)
{
    if (id < 0 || id >= t->n_tok) return false;
    const sb_tok_type type = sb_tok_type_of(t, id);
    return type == SB_TOK_CONTROL || type == SB_TOK_UNKNOWN || type == SB_TOK_UNUSED;
}

int32_t sb_tokenizer_find(const sb_tokenizer *t, sb_str s)
{
    if (s.n == 0) return -1;
    const int32_t id = sb_tok_added_find(t, s);
    return id >= 0 ? id : sb_tok_table_find(t, s.p, s.n);
}

sb_str sb_tokenizer_piece(const sb_tokenizer *t, int32_t id, bool with_control)
{
    if (id < 0 || id >= t->n_tok || (!with_control && sb_tokenizer_is_control(t, id)))
        return (sb_str){"", 0};
    return sb_tok_text(t, id);
}
