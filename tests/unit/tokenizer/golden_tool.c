/* SPDX-License-Identifier: Apache-2.0
 * golden_tool.c - a model file's own tokenizer against lines of text and ids.
 *
 * golden_tool MODEL.gguf FILE.jsonl      checks lines {"text": "...", "ids": [..], "mode": "all"}
 *                                        (mode: content when absent); last line: N passed, N failed
 * golden_tool MODEL.gguf --batch [MODE]  reads one JSON string a line, prints its ids as an array
 * golden_tool MODEL.gguf --decode        reads one array of ids a line, prints the text as a string
 * golden_tool MODEL.gguf --time          CPU milliseconds to build, and to encode 1 MB of one class
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "gguf/gguf.h"
#include "jsonl.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct vocab {
    sb_gguf *g;
    sb_str *strs;
    float *scores;
    int32_t *types;
    sb_tokenizer_desc d;
    sb_tokenizer *tok;
} vocab;

static void vocab_deinit(vocab *v)
{
    sb_tokenizer_free(v->tok);
    sb_free(v->types);
    sb_free(v->scores);
    sb_free(v->strs);
    sb_gguf_close(v->g);
}

static sb_status read_id(vocab *v, const char *key, int32_t *out, sb_error *err)
{
    const sb_gguf_int want = {key, 0, v->d.n_tok - 1, -1, false};
    int64_t id;
    SB_TRY(sb_gguf_get_int(v->g, &want, &id, err));
    *out = (int32_t)id;
    return SB_OK;
}

static sb_status read_flag(const sb_gguf *g, const char *key, int8_t *out, sb_error *err)
{
    bool b = false;
    *out = -1;
    if (!sb_gguf_kv_find(g, key)) return SB_OK;
    SB_TRY(sb_gguf_get_bool(g, key, false, &b, err));
    *out = b;
    return SB_OK;
}

static sb_status read_keys(vocab *v, sb_error *err)
{
    sb_tokenizer_desc *d = &v->d;
    SB_TRY(sb_gguf_get_str(v->g, "tokenizer.ggml.model", &d->model, err));
    SB_TRY(sb_gguf_get_str(v->g, "tokenizer.ggml.pre", &d->pre, err));
    sb_str arch = {NULL, 0};
    SB_TRY(sb_gguf_get_str(v->g, "general.architecture", &arch, err));
    d->rstrip_added = arch.n == 4 && !memcmp(arch.p, "phi3", 4);
    SB_TRY(read_id(v, "tokenizer.ggml.bos_token_id", &d->bos, err));
    SB_TRY(read_id(v, "tokenizer.ggml.eos_token_id", &d->eos, err));
    SB_TRY(read_id(v, "tokenizer.ggml.unknown_token_id", &d->unk, err));
    SB_TRY(read_id(v, "tokenizer.ggml.padding_token_id", &d->pad, err));
    SB_TRY(read_id(v, "tokenizer.ggml.eot_token_id", &d->eot, err));
    SB_TRY(read_flag(v->g, "tokenizer.ggml.add_bos_token", &d->add_bos, err));
    SB_TRY(read_flag(v->g, "tokenizer.ggml.add_eos_token", &d->add_eos, err));
    return read_flag(v->g, "tokenizer.ggml.add_space_prefix", &d->add_space_prefix, err);
}

static sb_status vocab_init(vocab *v, const char *path, sb_error *err)
{
    SB_TRY(sb_gguf_open(&v->g, path, err));
    const sb_gguf_kv *tokens = sb_gguf_kv_find(v->g, "tokenizer.ggml.tokens");
    const sb_gguf_kv *scores = sb_gguf_kv_find(v->g, "tokenizer.ggml.scores");
    const sb_gguf_kv *types = sb_gguf_kv_find(v->g, "tokenizer.ggml.token_type");
    const sb_gguf_kv *merges = sb_gguf_kv_find(v->g, "tokenizer.ggml.merges");
    if (!tokens) return SB_FAIL(err, SB_CORRUPT, "no tokens");
    const size_t n = (size_t)tokens->count, n_merges = merges ? (size_t)merges->count : 0;
    v->d.n_tok = (int32_t)n;
    v->d.n_merges = (int64_t)n_merges;
    v->strs = sb_alloc(n + n_merges, sizeof *v->strs);
    v->scores = scores ? sb_alloc(n, sizeof *v->scores) : NULL;
    v->types = types ? sb_alloc(n, sizeof *v->types) : NULL;
    SB_TRY(sb_gguf_kv_strs(v->g, tokens, v->strs, n, err));
    if (merges) SB_TRY(sb_gguf_kv_strs(v->g, merges, v->strs + n, n_merges, err));
    if (scores) SB_TRY(sb_gguf_kv_floats(v->g, scores, v->scores, n, err));
    if (types) SB_TRY(sb_gguf_kv_ints(v->g, types, v->types, n, err));
    v->d.tokens = v->strs;
    v->d.merges = v->strs + n;
    v->d.scores = v->scores;
    v->d.types = v->types;
    SB_TRY(read_keys(v, err));
    return sb_tokenizer_new(&v->tok, &v->d, err);
}

typedef struct job {
    const vocab *v;
    sb_buf text, back;
    sb_ids ids, want;
    int n_pass, n_fail;
} job;

static sb_status decode(job *j, const sb_ids *ids, bool with_control, sb_error *err)
{
    sb_detok d = {0};
    sb_buf_clear(&j->back);
    for (size_t i = 0; i < ids->n; i++)
        SB_TRY(sb_detok_push(&d, j->v->tok, ids->v[i], with_control, &j->back, err));
    return sb_detok_finish(&d, false, &j->back, err);
}

static sb_tok_mode mode_of(const char *s)
{
    return !s                     ? SB_TOK_CONTENT
           : strstr(s, "all")     ? SB_TOK_ALL
           : strstr(s, "literal") ? SB_TOK_LITERAL
                                  : SB_TOK_CONTENT;
}

static sb_status check_line(job *j, const char *line, sb_error *err)
{
    const char *text = strstr(line, "\"text\": "), *ids = strstr(line, "\"ids\": ");
    if (!text || !ids) return SB_FAIL(err, SB_INVALID, "no text or ids in: %.60s", line);
    text += 8;
    SB_TRY(jsonl_read_string(&text, &j->text, err));
    SB_TRY(jsonl_read_ids(ids + 7, &j->want, err));
    const sb_str s = {j->text.p ? j->text.p : "", j->text.n};
    SB_TRY(
        sb_tokenizer_encode(j->v->tok, s, mode_of(strstr(text, "\"mode\": ")), true, &j->ids, err));
    SB_TRY(decode(j, &j->ids, true, err));
    const bool same = j->ids.n == j->want.n &&
                      (j->ids.n == 0 || !memcmp(j->ids.v, j->want.v, j->ids.n * sizeof *j->ids.v));
    const bool lossy = strstr(text, "\"lossy\": true") != NULL;
    const bool back = lossy || (j->back.n == s.n && (s.n == 0 || !memcmp(j->back.p, s.p, s.n)));
    if (same && back) {
        j->n_pass++;
        return SB_OK;
    }
    j->n_fail++;
    printf("%s: %.100s\n got ", same ? "decodes to something else" : "other ids", line);
    jsonl_print_ids(&j->ids);
    return SB_OK;
}

static sb_status batch_line(job *j, const char *line, const char *mode, sb_error *err)
{
    SB_TRY(jsonl_read_string(&line, &j->text, err));
    const sb_str s = {j->text.p ? j->text.p : "", j->text.n};
    SB_TRY(sb_tokenizer_encode(j->v->tok, s, mode_of(mode), true, &j->ids, err));
    jsonl_print_ids(&j->ids);
    return SB_OK;
}

static sb_status decode_line(job *j, const char *line, sb_error *err)
{
    SB_TRY(jsonl_read_ids(line, &j->ids, err));
    SB_TRY(decode(j, &j->ids, true, err));
    jsonl_print_string(&j->back);
    return SB_OK;
}

static sb_status run_lines(job *j, FILE *f, const char *what, const char *mode, sb_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    sb_status s = SB_OK;
    while (s == SB_OK && getline(&line, &cap, f) > 0) {
        sb_buf_clear(&j->text);
        sb_ids_clear(&j->ids);
        sb_ids_clear(&j->want);
        if (!what)
            s = check_line(j, line, err);
        else if (!strcmp(what, "--batch"))
            s = batch_line(j, line, mode, err);
        else
            s = decode_line(j, line, err);
    }
    free(line);
    return s;
}

static sb_status run_times(job *j, sb_error *err)
{
    static const char *const units[] = {"x",
                                        " ",
                                        "\n",
                                        "7",
                                        "\xE4\xB8\xAD",
                                        "\xCC\x81",
                                        "\xF0\x9F\x91\xA9\xE2\x80\x8D",
                                        "ab ",
                                        "the cat sat on a mat. "};
    for (int i = 0; i < 5; i++) {
        sb_tokenizer *t;
        const uint64_t t0 = sb_thread_cpu_ns();
        SB_TRY(sb_tokenizer_new(&t, &j->v->d, err));
        printf("build %.2f ms\n", (double)(sb_thread_cpu_ns() - t0) * 1e-6);
        sb_tokenizer_free(t);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(units); i++) {
        sb_buf_clear(&j->text);
        sb_ids_clear(&j->ids);
        while (j->text.n < 1u << 20)
            SB_TRY(sb_buf_add(&j->text, units[i], strlen(units[i]), err));
        const uint64_t t0 = sb_thread_cpu_ns();
        const sb_str s = {j->text.p, j->text.n};
        SB_TRY(sb_tokenizer_encode(j->v->tok, s, SB_TOK_CONTENT, true, &j->ids, err));
        const uint64_t t1 = sb_thread_cpu_ns();
        SB_TRY(decode(j, &j->ids, false, err));
        printf("1 MB of '%s': %zu ids, encode %.1f ms, decode %.1f ms\n",
               units[i][0] < 32 ? "?" : units[i], j->ids.n, (double)(t1 - t0) * 1e-6,
               (double)(sb_thread_cpu_ns() - t1) * 1e-6);
    }
    return SB_OK;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf FILE.jsonl | --batch [MODE] | --decode | --time\n",
                argv[0]);
        return 2;
    }
    sb_error err = {0};
    vocab v = {0};
    job j = {.v = &v};
    sb_buf_init(&j.text, SB_MAX_PROMPT_BYTES, "text");
    sb_buf_init(&j.back, SB_MAX_PROMPT_BYTES, "text");
    sb_ids_init(&j.ids, SB_MAX_PROMPT_BYTES);
    sb_ids_init(&j.want, SB_MAX_PROMPT_BYTES);
    sb_status s = vocab_init(&v, argv[1], &err);
    const bool check = strncmp(argv[2], "--", 2) != 0;
    FILE *f = check ? fopen(argv[2], "r") : stdin;
    if (s == SB_OK && !f) s = SB_FAIL(&err, SB_IO, "%s: cannot be read", argv[2]);
    if (s == SB_OK && !strcmp(argv[2], "--time"))
        s = run_times(&j, &err);
    else if (s == SB_OK)
        s = run_lines(&j, f, check ? NULL : argv[2], argc > 3 ? argv[3] : NULL, &err);
    if (s != SB_OK)
        fprintf(stderr, "%s\n", err.msg);
    else if (check)
        printf("%d passed, %d failed\n", j.n_pass, j.n_fail);
    if (check && f) fclose(f);
    sb_buf_deinit(&j.text);
    sb_buf_deinit(&j.back);
    sb_ids_deinit(&j.ids);
    sb_ids_deinit(&j.want);
    vocab_deinit(&v);
    return s != SB_OK || j.n_fail > 0;
}
