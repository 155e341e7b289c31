/* SPDX-License-Identifier: Apache-2.0
 * tinymodel.c - command line of the tiny-model maker; see tiny.h.
 *
 * Usage: tinymodel [--arch NAME] [--format F] [--kformat F] [--embd-format F] [--layers N]
 *        [--embd N] [--ff N] [--heads N] [--kv-heads N] [--head-dim N] [--vocab N] [--window N]
 *        [--ctx N] [--seed N] [--tied 0|1] OUT.gguf */
#include "tiny.h"

#include <stdio.h>
#include <string.h>

/* A plain decimal number up to nine digits. */
static bool parse_number(const char *s, int32_t *out)
{
    const size_t n = strlen(s);
    if (n < 1 || n > 9 || strspn(s, "0123456789") != n) return false;
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        *out = 10 * *out + (s[i] - '0');
    }
    return true;
}

static bool parse_format(const char *s, sb_format *out)
{
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        if (strcmp(sb_format_get((sb_format)f)->name, s) != 0) continue;
        *out = (sb_format)f;
        return true;
    }
    return false;
}

static bool parse_option(sb_tiny *o, const char *name, const char *value)
{
    const struct {
        const char *name;
        int32_t *v;
    } numbers[] = {
        {"--layers", &o->n_layers},   {"--embd", &o->n_embd},         {"--ff", &o->n_ff},
        {"--heads", &o->n_heads},     {"--kv-heads", &o->n_kv_heads}, {"--vocab", &o->n_vocab},
        {"--head-dim", &o->head_dim}, {"--window", &o->window},       {"--ctx", &o->n_ctx},
    };
    const struct {
        const char *name;
        sb_format *v;
    } formats[] = {
        {"--format", &o->format}, {"--kformat", &o->kformat}, {"--embd-format", &o->embd_format}};
    for (size_t i = 0; i < SB_ARRAY_LEN(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) return parse_number(value, numbers[i].v);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(formats); i++) {
        if (strcmp(name, formats[i].name) == 0) return parse_format(value, formats[i].v);
    }
    int32_t v;
    if (strcmp(name, "--arch") == 0) {
        o->arch = value;
        return true;
    }
    if (!parse_number(value, &v)) return false;
    if (strcmp(name, "--seed") == 0) {
        o->seed = (uint64_t)v;
        return true;
    }
    o->tied = v != 0;
    return strcmp(name, "--tied") == 0 && v <= 1;
}

int main(int argc, char **argv)
{
    sb_tiny o;
    sb_error err = {0};
    sb_tiny_defaults(&o);
    if (argc % 2 != 0) {
        fprintf(stderr, "usage: tinymodel [--OPTION VALUE]... OUT.gguf\n");
        return 2;
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        if (parse_option(&o, argv[i], argv[i + 1])) continue;
        fprintf(stderr, "tinymodel: bad option %s %s\n", argv[i], argv[i + 1]);
        return 2;
    }
    if (sb_tiny_write(&o, argv[argc - 1], &err) == SB_OK) return 0;
    fprintf(stderr, "tinymodel: %s\n", err.msg);
    return 1;
}
