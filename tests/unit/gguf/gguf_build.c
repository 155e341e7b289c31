/* SPDX-License-Identifier: Apache-2.0
 * gguf_build.c - bytes by hand for the tests of the gguf room. */
#include "gguf_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

raw *raw_new(void)
{
    raw *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    return r;
}

void raw_free(raw *r)
{
    if (!r) return;
    free(r->p);
    free(r);
}

static unsigned char *grow(raw *r, size_t n)
{
    if (r->n + n > r->cap) {
        r->cap = 2 * (r->n + n);
        r->p = realloc(r->p, r->cap);
        assert_non_null(r->p);
    }
    r->n += n;
    return r->p + r->n - n;
}

void raw_bytes(raw *r, const void *p, size_t n)
{
    if (n) memcpy(grow(r, n), p, n);
}

void raw_zeros(raw *r, size_t n)
{
    if (n) memset(grow(r, n), 0, n);
}

void raw_u8(raw *r, unsigned v)
{
    *grow(r, 1) = (unsigned char)v;
}

void raw_u32(raw *r, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        raw_u8(r, v >> (8 * i) & 255u);
}

void raw_u64(raw *r, uint64_t v)
{
    raw_u32(r, (uint32_t)v);
    raw_u32(r, (uint32_t)(v >> 32));
}

void raw_str(raw *r, const char *s)
{
    raw_u64(r, strlen(s));
    raw_bytes(r, s, strlen(s));
}

void raw_pad(raw *r, size_t a)
{
    raw_zeros(r, (a - r->n % a) % a);
}

void raw_head(raw *r, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    raw_bytes(r, "GGUF", 4);
    raw_u32(r, version);
    raw_u64(r, n_tensors);
    raw_u64(r, n_kv);
}

void raw_key(raw *r, const char *key, uint32_t type)
{
    raw_str(r, key);
    raw_u32(r, type);
}

void raw_kv_str(raw *r, const char *key, const char *v)
{
    raw_key(r, key, SB_GGUF_STR);
    raw_str(r, v);
}

void raw_kv_u32(raw *r, const char *key, uint32_t v)
{
    raw_key(r, key, SB_GGUF_U32);
    raw_u32(r, v);
}

void raw_arch(raw *r)
{
    raw_kv_str(r, "general.architecture", "llama");
}

void raw_info(raw *r, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
              uint64_t offset)
{
    raw_str(r, name);
    raw_u32(r, n_dims);
    for (uint32_t i = 0; i < n_dims && i < 8; i++)
        raw_u64(r, ne[i]);
    raw_u32(r, type);
    raw_u64(r, offset);
}

static char temp_dir[256];

const char *temp_path(const char *name)
{
    static char path[512];
    if (!temp_dir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(temp_dir, sizeof(temp_dir), "%.200s/sb-gguf-XXXXXX", base ? base : "/tmp");
        assert_non_null(mkdtemp(temp_dir));
    }
    snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
    return path;
}

void temp_remove(const char *name)
{
    (void)remove(temp_path(name));
}

int temp_cleanup(void **state)
{
    (void)state;
    return temp_dir[0] ? rmdir(temp_dir) : 0;
}

void write_file(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void assert_words(const sb_error *err, const char *words)
{
    char word[128];
    while (*words) {
        const size_t n = strcspn(words, "|");
        snprintf(word, sizeof(word), "%.*s", (int)n, words);
        if (!strstr(err->msg, word)) fail_msg("'%s' lacks '%s'", err->msg, word);
        words += n + (words[n] == '|');
    }
}

void expect_path_refused(const char *path, sb_status status, const char *words)
{
    sb_gguf *const untouched = (sb_gguf *)(void *)&temp_dir;
    sb_gguf *g = untouched;
    sb_error err = {0};
    const sb_status got = sb_gguf_open(&g, path, &err);
    if (got != status) fail_msg("status %d, expected %d: %s", got, status, err.msg);
    assert_int_equal(err.code, status);
    assert_ptr_equal(g, untouched);
    assert_null(strchr(err.msg, '\n'));
    assert_words(&err, words);
    assert_int_equal(sb_gguf_open(&g, path, NULL), status); // err may be NULL
}

void expect_refused(raw *r, sb_status status, const char *words)
{
    write_file(temp_path("bad.gguf"), r->n ? r->p : (const void *)"", r->n);
    raw_free(r);
    const char *path = temp_path("bad.gguf");
    expect_path_refused(path, status, "bad.gguf: byte ");
    expect_path_refused(path, status, words);
    temp_remove("bad.gguf");
}

sb_gguf *expect_opens(raw *r)
{
    sb_gguf *g = NULL;
    sb_error err = {0};
    write_file(temp_path("good.gguf"), r->p, r->n);
    raw_free(r);
    if (sb_gguf_open(&g, temp_path("good.gguf"), &err) != SB_OK) fail_msg("refused: %s", err.msg);
    temp_remove("good.gguf"); // the mapping keeps it
    return g;
}
