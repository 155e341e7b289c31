/* SPDX-License-Identifier: Apache-2.0
 * store_fuzz.c - any bytes as what pull reads from others: a hub's listing and the choice from
 * it, a pin, and a word of the command line. The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/hub.h"
#include "store/pin.h"
#include "store/source.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

/* Stops the program, as the fuzzer wants, when a promise is broken. */
static void must(bool ok)
{
    if (!ok) abort();
}

/* No name that comes out leads out of a folder. */
static void must_be_relative(const char *name)
{
    must(name[0] && name[0] != '/' && !strstr(name, "//"));
    for (const char *s = name; s; s = strchr(s, '/') ? strchr(s, '/') + 1 : NULL)
        must(strncmp(s, "../", 3) != 0 && strcmp(s, "..") != 0 && strncmp(s, "./", 2) != 0);
}

static void read_listing(const char *text, size_t n)
{
    static const char *const asked[] = {"", "Q4_K_M", "a.gguf", "x/y.gguf"};
    sb_hub_repo r;
    sb_error err = {0};
    if (sb_hub_parse(text, n, &r, &err) != SB_OK) {
        must(err.msg[0] != 0);
        return;
    }
    must(!r.commit[0] || strspn(r.commit, "0123456789abcdef") == strlen(r.commit));
    for (size_t i = 0; i < r.n_files; i++) {
        char name[65];
        must_be_relative(r.files[i].name);
        if (sb_source_name(r.files[i].name, name)) must(sb_store_name_ok(name));
    }
    for (size_t k = 0; k < SB_ARRAY_LEN(asked); k++) {
        size_t i = SIZE_MAX, at = SIZE_MAX;
        if (sb_hub_choose(&r, asked[k], "fuzz", &i, &err) != SB_OK) continue;
        must(i < r.n_files);
        if (sb_hub_shard(&r, i, 2, &at)) must(at < r.n_files);
    }
    sb_hub_deinit(&r);
}

static void read_pin(const char *text, size_t n)
{
    sb_pin p;
    if (sb_pin_parse(text, n, "fuzz", &p, NULL) != SB_OK) return;
    must(p.n_files >= 1 && sb_pin_same(&p, &p));
    for (size_t i = 0; i < p.n_files; i++)
        must(p.files[i].name[0] && strlen(p.files[i].sha256) == 64);
    sb_pin_deinit(&p);
}

static void read_word(const char *word)
{
    sb_source s;
    char shown[64], name[65];
    if (sb_source_parse(&s, word, NULL) == SB_OK) {
        (void)sb_source_show(&s, shown, sizeof shown);
        must(strlen(shown) < sizeof shown);
        must(!strstr(s.owner, "..") && !strchr(s.owner, '/') && !strchr(s.repo, '/') &&
             !strchr(s.revision, '/'));
        if (s.file[0]) must_be_relative(s.file);
    }
    if (sb_source_name(word, name)) must(sb_store_name_ok(name));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    if (n == 0) return 0;
    char *text = sb_strdup_n((const char *)data + 1, n - 1);
    if (!text) return 0;
    if (data[0] == 'l')
        read_listing(text, n - 1);
    else if (data[0] == 'p')
        read_pin(text, n - 1);
    else
        read_word(text);
    sb_free(text);
    return 0;
}
