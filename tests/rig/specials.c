/* SPDX-License-Identifier: Apache-2.0
 * specials.c - texts strewn with every special string of a vocabulary, as content: not one of its
 * tokens may be special.
 *
 * Usage: specials FILE.gguf [N]: N random texts (default 20 000), each a user's message through the
 * model's own chat template, too. Prints one line; exit status 1 when a special id came out. */
#include "base/alloc.h"
#include "base/limits.h"
#include "prompt/prompt.h"
#include "tiny.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PIECES = 12, TEXT_BYTES = 8192, N_SCRAPS = 10 };

static const char *const scraps[N_SCRAPS] = {" ",  "\n", "a", "hello ",       "<|",
                                             "|>", "<",  "]", "\xE2\x96\x81", "1"};

typedef struct source {
    const sb_tokenizer *tok;
    int32_t *special; /* [n_special] ids that print nothing */
    int32_t n_special;
    uint64_t random;
} source;

static bool find_specials(source *s)
{
    const int32_t n = sb_tokenizer_n_tok(s->tok);
    s->special = sb_alloc((size_t)n, sizeof *s->special);
    for (int32_t id = 0; s->special && id < n; id++)
        if (sb_tokenizer_is_control(s->tok, id)) s->special[s->n_special++] = id;
    return s->special != NULL;
}

/* Specials, parts of them, and what may stand between. */
static sb_str make_text(source *s, char *out)
{
    size_t n = 0;
    const uint64_t n_pieces = 1 + sb_tiny_random(&s->random) % MAX_PIECES;
    for (uint64_t i = 0; i < n_pieces; i++) {
        const uint64_t r = sb_tiny_random(&s->random);
        const char *scrap = scraps[r % N_SCRAPS];
        sb_str p = {scrap, strlen(scrap)};
        if (r & 1u << 20 && s->n_special) {
            p = sb_tokenizer_piece(s->tok, s->special[(r >> 32) % (uint64_t)s->n_special], true);
            if (r & 1u << 21) p.n = p.n / 2 + 1 < p.n ? p.n / 2 + 1 : p.n;
        }
        if (n + p.n > TEXT_BYTES) break;
        memcpy(out + n, p.p, p.n);
        n += p.n;
    }
    return (sb_str){out, n};
}

static int64_t n_special(const source *s, const sb_ids *ids)
{
    int64_t n = 0;
    for (size_t i = 0; i < ids->n; i++)
        n += sb_tokenizer_is_control(s->tok, ids->v[i]);
    return n;
}

/* How many specials a message's prompt has. */
static int64_t count_prompt(const source *s, const sb_prompter *p, sb_str text, sb_ids *ids)
{
    const sb_message m = {.role = {"user", 4}, .content = text};
    const sb_prompt_request q = {.messages = &m, .n_messages = 1};
    sb_ids_clear(ids);
    return sb_prompter_chat(p, &q, ids, NULL) == SB_OK ? n_special(s, ids) : -1;
}

static int run(const sb_model *m, const sb_prompter *p, long n)
{
    source s = {.tok = m->tok, .random = 1};
    char text[TEXT_BYTES];
    sb_ids ids;
    sb_ids_init(&ids, SB_MAX_PROMPT_BYTES);
    long bad = 0, bytes = 0;
    const bool has_template = p->text.n > 0;
    const int64_t want = has_template ? count_prompt(&s, p, (sb_str){"hello", 5}, &ids) : 0;
    if (!find_specials(&s) || want < 0) return 2;
    for (long i = 0; i < n; i++) {
        const sb_str t = make_text(&s, text);
        bytes += (long)t.n;
        sb_ids_clear(&ids);
        const sb_status e = sb_tokenizer_encode(m->tok, t, SB_TOK_CONTENT, true, &ids, NULL);
        if (e == SB_INVALID) continue; /* half a special may be half a character */
        bad += e != SB_OK || n_special(&s, &ids) != 0;
        if (has_template) bad += count_prompt(&s, p, t, &ids) != want;
    }
    printf("%ld texts (%ld bytes, %d special strings): %ld with a special id\n", n, bytes,
           (int)s.n_special, bad);
    sb_ids_deinit(&ids);
    sb_free(s.special);
    return bad != 0;
}

int main(int argc, char **argv)
{
    sb_model *m = NULL;
    sb_prompter p;
    sb_error err = {0};
    char *end = NULL;
    const long n = argc > 2 ? strtol(argv[2], &end, 10) : 20000;
    if (argc < 2 || n < 1 || (end && *end)) {
        fprintf(stderr, "usage: specials FILE.gguf [N]\n");
        return 2;
    }
    if (sb_model_open_vocab(&m, argv[1], &err) != SB_OK ||
        sb_prompter_init(&p, m, (sb_str){NULL, 0}, &err) != SB_OK) {
        fprintf(stderr, "specials: %s\n", err.msg);
        sb_model_close(m);
        return 2;
    }
    const int status = run(m, &p, n);
    sb_prompter_deinit(&p);
    sb_model_close(m);
    return status;
}
