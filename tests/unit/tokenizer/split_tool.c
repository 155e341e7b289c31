/* SPDX-License-Identifier: Apache-2.0
 * split_tool.c - where every split rule cuts, and what composing gives, against the reference.
 *
 * split_tool FILE.jsonl     checks lines {"text": "...", "nfc": "...", "smollm": [1, 5, 2], ...}:
 *                           the composed text (as it is, without nfc), and for pre-tokenizers the
 *                           bytes of each piece; last line: N passed, N failed
 * split_tool --pieces NAME  reads one JSON string a line, prints the bytes of its pieces
 * split_tool --nfc          reads one JSON string a line, prints it composed */
#include "base/limits.h"
#include "jsonl.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pretok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    const sb_pretok *pre;
    sb_nfc nfc;
    sb_buf text, want_text, got_text;
    sb_ids got, want;
    int n_pass, n_fail;
} job;

static sb_status split(job *j, const sb_pretok *pre, sb_error *err)
{
    sb_pretok_walk walk;
    sb_str piece;
    sb_ids_clear(&j->got);
    sb_pretok_begin(&walk, pre, (sb_str){j->text.p ? j->text.p : "", j->text.n});
    while (sb_pretok_next(&walk, &piece))
        SB_TRY(sb_ids_add(&j->got, (int32_t)piece.n, err));
    return SB_OK;
}

static sb_status compose(job *j, sb_error *err)
{
    sb_str s = {j->text.p ? j->text.p : "", j->text.n};
    sb_buf_clear(&j->got_text);
    SB_TRY(sb_nfc_compose(&j->nfc, &s, err));
    return sb_buf_add(&j->got_text, s.p, s.n, err);
}

static void judge(job *j, bool same, const char *name, const char *line)
{
    j->n_pass += same;
    j->n_fail += !same;
    if (same) return;
    printf("%s: %.100s\n got ", name, line);
    jsonl_print_ids(&j->got);
}

/* Checks what the line says of the text behind its name. */
static sb_status check_line(job *j, const char *line, sb_error *err)
{
    const char *text = strstr(line, "\"text\": "), *nfc = strstr(line, "\"nfc\": ");
    if (!text) return SB_FAIL(err, SB_INVALID, "no text in: %.60s", line);
    text += 8;
    SB_TRY(jsonl_read_string(&text, &j->text, err));
    SB_TRY(compose(j, err));
    sb_buf *want = nfc ? &j->want_text : &j->text; // composed already
    sb_buf_clear(&j->want_text);
    if (nfc) nfc += 7;
    if (nfc) SB_TRY(jsonl_read_string(&nfc, &j->want_text, err));
    judge(j, want->n == j->got_text.n && (!want->n || !memcmp(want->p, j->got_text.p, want->n)),
          "nfc", line);
    const sb_pretok *pre;
    for (size_t i = 0; (pre = sb_pretok_at(i)); i++) {
        char key[64];
        snprintf(key, sizeof key, "\"%s\": [", pre->name);
        const char *ids = strstr(text, key);
        if (!ids) continue;
        sb_ids_clear(&j->want);
        SB_TRY(jsonl_read_ids(ids + strlen(key), &j->want, err));
        SB_TRY(split(j, pre, err));
        judge(j,
              j->got.n == j->want.n &&
                  (!j->got.n || !memcmp(j->got.v, j->want.v, j->got.n * sizeof *j->got.v)),
              pre->name, line);
    }
    return SB_OK;
}

static sb_status run_lines(job *j, FILE *f, bool check, sb_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    sb_status s = SB_OK;
    while (s == SB_OK && getline(&line, &cap, f) > 0) {
        const char *p = line;
        sb_buf_clear(&j->text);
        if (check) {
            s = check_line(j, line, err);
            continue;
        }
        s = jsonl_read_string(&p, &j->text, err);
        if (s == SB_OK) s = j->pre ? split(j, j->pre, err) : compose(j, err);
        if (s == SB_OK && j->pre) jsonl_print_ids(&j->got);
        if (s == SB_OK && !j->pre) jsonl_print_string(&j->got_text);
    }
    free(line);
    return s;
}

int main(int argc, char **argv)
{
    const bool nfc = argc == 2 && !strcmp(argv[1], "--nfc");
    const bool pieces = argc == 3 && !strcmp(argv[1], "--pieces");
    if (!nfc && !pieces && (argc != 2 || argv[1][0] == '-')) {
        fprintf(stderr, "usage: %s FILE.jsonl | --pieces NAME | --nfc\n", argv[0]);
        return 2;
    }
    sb_error err = {0};
    job j = {.pre = pieces ? sb_pretok_find((sb_str){argv[2], strlen(argv[2])}) : NULL};
    sb_buf_init(&j.text, SB_MAX_PROMPT_BYTES, "text");
    sb_buf_init(&j.want_text, SB_MAX_PROMPT_BYTES, "text");
    sb_buf_init(&j.got_text, SB_MAX_PROMPT_BYTES, "text");
    sb_ids_init(&j.got, SB_MAX_PROMPT_BYTES);
    sb_ids_init(&j.want, SB_MAX_PROMPT_BYTES);
    const bool check = !nfc && !pieces;
    FILE *f = check ? fopen(argv[1], "r") : stdin;
    sb_status s = SB_OK;
    if (!f || (pieces && !j.pre))
        s = SB_FAIL(&err, SB_INVALID, "%s: no such %s", argv[argc - 1], f ? "row" : "file");
    else
        s = run_lines(&j, f, check, &err);
    if (s != SB_OK)
        fprintf(stderr, "%s\n", err.msg);
    else if (check)
        printf("%d passed, %d failed\n", j.n_pass, j.n_fail);
    if (check && f) fclose(f);
    sb_nfc_deinit(&j.nfc);
    sb_buf_deinit(&j.text);
    sb_buf_deinit(&j.want_text);
    sb_buf_deinit(&j.got_text);
    sb_ids_deinit(&j.got);
    sb_ids_deinit(&j.want);
    return s != SB_OK || j.n_fail > 0 || (check && j.n_pass == 0);
}
