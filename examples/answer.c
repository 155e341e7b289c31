/* SPDX-License-Identifier: Apache-2.0
 * answer.c - the smallest useful program on libsobre: one question, one answer, greedy.
 *
 * Usage: answer MODEL.gguf "What is the capital of France?" [MAX_TOKENS]
 * Build: cc answer.c $(pkg-config --cflags --libs sobre) -o answer */
#include <sobre.h>

#include <stdio.h>
#include <stdlib.h>

enum { MAX_PROMPT = 4096 };

static int fail(const sobre_error *err)
{
    fprintf(stderr, "answer: %s\n", err->message);
    return 1;
}

/* Writes tokens until the model ends its answer or `left` are written. */
static int write_answer(sobre_session *s, const sobre_model *m, long left, sobre_error *err)
{
    for (; left > 0; left--) {
        int32_t id;
        size_t n_bytes = 0;
        if (sobre_session_sample(s, &id, NULL, err) != SOBRE_OK) return fail(err);
        if (sobre_model_is_end(m, id)) break;
        const char *text = sobre_token_text(m, id, &n_bytes);
        fwrite(text, 1, n_bytes, stdout);
        fflush(stdout);
        if (sobre_session_feed(s, &id, 1, err) != SOBRE_OK) return fail(err);
    }
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: answer MODEL.gguf QUESTION [MAX_TOKENS]\n");
        return 2;
    }
    sobre_error err;
    sobre_model *m = NULL;
    sobre_session *s = NULL;
    static int32_t ids[MAX_PROMPT];
    size_t n = 0;
    const sobre_message question = {"user", argv[2]};
    int status = 1;
    if (sobre_model_open(&m, argv[1], NULL, &err) != SOBRE_OK ||
        sobre_chat_ids(m, &question, 1, ids, MAX_PROMPT, &n, &err) != SOBRE_OK ||
        sobre_session_open(&s, m, &err) != SOBRE_OK ||
        sobre_session_feed(s, ids, n, &err) != SOBRE_OK)
        fail(&err);
    else
        status = write_answer(s, m, argc > 3 ? strtol(argv[3], NULL, 10) : 256, &err);
    sobre_session_close(s);
    sobre_model_close(m);
    return status;
}
