/* SPDX-License-Identifier: Apache-2.0
 * hub.c - the listing of a repository as a table of files, and the choice among them.
 *
 * A name that is no sound relative path is left out while reading, so nothing behind this file can
 * meet one. */
#include "store/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/json_in.h"

static const char *const quants[] = {
#define X(tag) tag,
#include "store/quants.def"
#undef X
};

enum {
#define X(name, address, variable) HOST_##name,
#include "store/hosts.def"
#undef X
};

static const struct {
    const char *address, *variable;
} hosts[] = {
#define X(name, address, variable) {address, variable},
#include "store/hosts.def"
#undef X
};

void sb_hub_deinit(sb_hub_repo *r)
{
    sb_free(r->files);
    *r = (sb_hub_repo){0};
}

/* A sound relative path that ends in .gguf. */
static bool name_ok(const char *name)
{
    sb_source s;
    char word[SB_SOURCE_FILE_BYTES + 16];
    const size_t n = strlen(name);
    if (n < 6 || strcasecmp(name + n - 5, ".gguf") != 0) return false;
    const int k = snprintf(word, sizeof word, "hf:a/b:%s", name);
    return k > 0 && (size_t)k < sizeof word && sb_source_parse(&s, word, NULL) == SB_OK;
}

static bool read_sibling(const json_t *j, sb_hub_file *out)
{
    const json_t *lfs = json_object_get(j, "lfs");
    char hex[72];
    sb_json_copy(j, "rfilename", out->name, sizeof out->name);
    if (!name_ok(out->name)) return false;
    sb_json_copy(lfs, "sha256", hex, sizeof hex);
    if (!sb_source_sha256(hex, out->sha256)) out->sha256[0] = 0;
    out->bytes = sb_json_count(lfs, "size", sb_json_count(j, "size", UINT64_MAX));
    return true;
}

/* cardData.license, else the tag "license:...". */
static void read_licence(const json_t *j, char *out, size_t out_bytes)
{
    static const char prefix[] = "license:";
    const json_t *card = json_object_get(j, "cardData"), *tags = json_object_get(j, "tags");
    sb_json_copy(card, "license_name", out, out_bytes);
    if (!out[0]) sb_json_copy(card, "license", out, out_bytes);
    for (size_t i = 0; !out[0] && i < json_array_size(tags); i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        if (!tag || strncmp(tag, prefix, sizeof prefix - 1) != 0) continue;
        char shown[129];
        sb_path_escape(shown, sizeof shown, tag + sizeof prefix - 1);
        (void)snprintf(out, out_bytes, "%s", shown);
    }
}

static sb_status read_repo(const json_t *j, sb_hub_repo *out, sb_error *err)
{
    const json_t *siblings = json_object_get(j, "siblings");
    const size_t n = json_array_size(siblings);
    char commit[SB_SOURCE_WORD_BYTES];
    if (!json_is_array(siblings))
        return SB_FAIL(err, SB_CORRUPT, "the hub's list of files has no \"siblings\"");
    if (n > SB_MAX_HUB_FILES)
        return SB_FAIL(err, SB_LIMIT, "a repository of %zu files (limit %d)", n, SB_MAX_HUB_FILES);
    sb_hub_repo r = {0};
    r.files = sb_calloc(n + 1, sizeof *r.files);
    if (!r.files) return SB_FAIL(err, SB_NO_MEMORY, "list of %zu files: no memory", n);
    for (size_t i = 0; i < n; i++)
        if (read_sibling(json_array_get(siblings, i), &r.files[r.n_files])) r.n_files++;
    sb_json_copy(j, "sha", commit, sizeof commit);
    if (commit[0] && strspn(commit, "0123456789abcdef") == strlen(commit))
        memcpy(r.commit, commit, sizeof commit);
    read_licence(j, r.licence, sizeof r.licence);
    *out = r;
    return SB_OK;
}

sb_status sb_hub_parse(const char *text, size_t n, sb_hub_repo *out, sb_error *err)
{
    json_t *j = NULL;
    SB_TRY(sb_json_in(&j, text, n, "the hub's list of files", err));
    const sb_status s = read_repo(j, out, err);
    json_decref(j);
    return s;
}

static const char *last_segment(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* Not a model by itself: a later shard, a projector for images, an importance matrix. */
static bool is_companion(const char *name)
{
    int no = 1, count = 1;
    const char *last = last_segment(name);
    if (sb_source_shard(name, strlen(name), &no, &count) && no > 1) return true;
    return strncasecmp(last, "mmproj", 6) == 0 || strcasestr(last, "imatrix") != NULL;
}

/* Does `tag` stand at the end of the name, between marks: "x-Q4_0.gguf", "x.q4_0-00001-of-..."? */
static bool has_tag(const char *name, const char *tag)
{
    int no, count;
    const char *last = last_segment(name);
    const size_t n = strlen(last), k = strlen(tag);
    const size_t end = sb_source_shard(last, n, &no, &count) ? n - 20 : n - 5;
    if (end < k || strncasecmp(last + end - k, tag, k) != 0) return false;
    return end == k || strchr("-._", last[end - k - 1]) != NULL;
}

typedef bool (*fits_fn)(const char *name, const char *asked);

static bool is_path(const char *name, const char *asked)
{
    return strcmp(name, asked) == 0;
}

static bool is_last(const char *name, const char *asked)
{
    return strcmp(last_segment(name), asked) == 0;
}

static bool is_any(const char *name, const char *asked)
{
    (void)asked;
    return name[0] != 0;
}

/* Files that fit; *out_i is the first of them. */
static size_t count_fits(const sb_hub_repo *r, fits_fn fits, const char *asked, size_t *out_i)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_files; i++) {
        const char *name = r->files[i].name;
        if (!fits(name, asked) || (fits != is_path && is_companion(name))) continue;
        if (n++ == 0) *out_i = i;
    }
    return n;
}

static sb_status several(const sb_hub_repo *r, fits_fn fits, const char *asked, const char *shown,
                         sb_error *err)
{
    char list[160];
    size_t at = 0;
    list[0] = 0;
    for (size_t i = 0; i < r->n_files; i++) {
        char name[96];
        if (!fits(r->files[i].name, asked) || is_companion(r->files[i].name)) continue;
        sb_path_escape(name, sizeof name, r->files[i].name);
        const int k = snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", name);
        if (k < 0 || (size_t)k >= sizeof list - at) {
            (void)snprintf(list + at, sizeof list - at, "%s", ", ...");
            break;
        }
        at += (size_t)k;
    }
    return SB_FAIL(err, SB_INVALID, "%.60s: several files fit: add :FILE, one of %s", shown, list);
}

sb_status sb_hub_choose(const sb_hub_repo *r, const char *asked, const char *shown, size_t *out_i,
                        sb_error *err)
{
    static const fits_fn by_name[] = {is_path, is_last, has_tag};
    for (size_t k = 0; asked[0] && k < SB_ARRAY_LEN(by_name); k++) {
        const size_t n = count_fits(r, by_name[k], asked, out_i);
        if (n == 1) return SB_OK;
        if (n > 1) return several(r, by_name[k], asked, shown, err);
    }
    if (asked[0]) {
        char name[96];
        sb_path_escape(name, sizeof name, asked);
        return SB_FAIL(err, SB_NOT_FOUND, "%.100s: no GGUF file '%s' in the repository", shown,
                       name);
    }
    const size_t n = count_fits(r, is_any, "", out_i);
    if (n == 1) return SB_OK;
    if (n == 0)
        return SB_FAIL(err, SB_NOT_FOUND,
                       "%.100s: the repository has no GGUF file: look for one whose name ends in "
                       "-GGUF",
                       shown);
    for (size_t q = 0; q < SB_ARRAY_LEN(quants); q++) {
        const size_t k = count_fits(r, has_tag, quants[q], out_i);
        if (k == 1) return SB_OK;
        if (k > 1) return several(r, has_tag, quants[q], shown, err);
    }
    return several(r, is_any, "", shown, err);
}

bool sb_hub_shard(const sb_hub_repo *r, size_t i_first, int no, size_t *out_i)
{
    const char *first = r->files[i_first].name;
    const size_t n = strlen(first);
    char number[8];
    if (n <= 20) return false;
    (void)snprintf(number, sizeof number, "-%05d", no % 100000);
    for (size_t i = 0; i < r->n_files; i++) {
        const char *name = r->files[i].name;
        if (strlen(name) != n || memcmp(name, first, n - 20) != 0) continue;
        if (memcmp(name + n - 20, number, 6) != 0 || strcmp(name + n - 14, first + n - 14) != 0)
            continue;
        *out_i = i;
        return true;
    }
    return false;
}

sb_status sb_hub_endpoint(sb_buf *out, sb_error *err)
{
    const char *said = getenv(hosts[HOST_HUB].variable);
    const char *e = said && said[0] ? said : hosts[HOST_HUB].address;
    size_t n = strlen(e);
    if (strncmp(e, "https://", 8) != 0 && strncmp(e, "http://", 7) != 0)
        return SB_FAIL(err, SB_INVALID, "HF_ENDPOINT must begin with https:// (or http://)");
    if (memchr(e, '@', n))
        return SB_FAIL(err, SB_INVALID, "HF_ENDPOINT with a user or password in it is not taken");
    while (n > 0 && e[n - 1] == '/')
        n--;
    return sb_buf_add(out, e, n, err);
}

sb_status sb_hub_list_url(const sb_source *s, sb_buf *out, sb_error *err)
{
    SB_TRY(sb_hub_endpoint(out, err));
    return sb_buf_addf(out, err, "/api/models/%s/%s/revision/%s?blobs=true", s->owner, s->repo,
                       s->revision);
}

sb_status sb_hub_file_url(const sb_source *s, const char *revision, const char *file, sb_buf *out,
                          sb_error *err)
{
    SB_TRY(sb_hub_endpoint(out, err));
    SB_TRY(sb_buf_addf(out, err, "/%s/%s/resolve/%s/", s->owner, s->repo, revision));
    for (const char *p = file; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || (c < 0x80 && strchr("-._~/", (int)c));
        if (plain)
            SB_TRY(sb_buf_add(out, p, 1, err));
        else
            SB_TRY(sb_buf_addf(out, err, "%%%02X", c));
    }
    return SB_OK;
}
