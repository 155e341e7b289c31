/* SPDX-License-Identifier: Apache-2.0
 * source.c - prefixes decide; what has none is a catalogue name, else a path. */
#include "store/source.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "store/catalog.h"
#include "store/store.h"

_Static_assert(SB_SOURCE_URL_BYTES == SB_MAX_URL_BYTES + 1, "one limit");

static const char word_chars[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* Copies n bytes that are all of word_chars, begin with a letter or digit and hold no "..". */
static bool take_word(char *out, const char *p, size_t n)
{
    if (n == 0 || n >= SB_SOURCE_WORD_BYTES) return false;
    if (p[0] == '.' || p[0] == '-' || p[0] == '_') return false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0 || !strchr(word_chars, p[i])) return false;
        if (i > 0 && p[i] == '.' && p[i - 1] == '.') return false;
    }
    memcpy(out, p, n);
    out[n] = 0;
    return true;
}

/* Copies a relative path of sound segments; control bytes and broken UTF-8 are no part of one. */
static bool take_file(char *out, const char *p)
{
    const size_t n = strlen(p);
    if (n == 0 || n >= SB_SOURCE_FILE_BYTES || sb_utf8_valid(p, n) != n) return false;
    for (const char *s = p;;) {
        const size_t k = strcspn(s, "/");
        if (k == 0 || (k == 1 && s[0] == '.') || (k == 2 && s[0] == '.' && s[1] == '.'))
            return false;
        if (!s[k]) break;
        s += k + 1;
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == '\\') return false;
    memcpy(out, p, n + 1);
    return true;
}

static sb_status bad_form(const char *word, const char *form, sb_error *err)
{
    char shown[96];
    sb_path_escape(shown, sizeof shown, word);
    return SB_FAIL(err, SB_INVALID, "'%s' is not of the form %s", shown, form);
}

static sb_status parse_hub(sb_source *out, const char *word, sb_error *err)
{
    static const char form[] = "hf:OWNER/REPO[@REVISION][:FILE]";
    const char *p = word + strlen("hf:");
    const size_t n_owner = strcspn(p, "/:@");
    if (p[n_owner] != '/' || !take_word(out->owner, p, n_owner)) return bad_form(word, form, err);
    p += n_owner + 1;
    const size_t n_repo = strcspn(p, "/:@");
    if (!take_word(out->repo, p, n_repo)) return bad_form(word, form, err);
    p += n_repo;
    memcpy(out->revision, "main", 5);
    if (*p == '@') {
        const size_t n = strcspn(++p, "/:");
        if (!take_word(out->revision, p, n)) return bad_form(word, form, err);
        p += n;
    }
    if (*p == ':') {
        if (!take_file(out->file, p + 1)) return bad_form(word, form, err);
    } else if (*p) {
        return bad_form(word, form, err);
    }
    return SB_OK;
}

static sb_status parse_pypi(sb_source *out, const char *word, sb_error *err)
{
    static const char form[] = "pypi:PACKAGE[==VERSION][:FILE]";
    const char *p = word + strlen("pypi:");
    const size_t n = strcspn(p, "=:");
    if (!take_word(out->repo, p, n)) return bad_form(word, form, err);
    p += n;
    if (p[0] == '=') {
        if (p[1] != '=') return bad_form(word, form, err);
        const size_t k = strcspn(p += 2, ":");
        if (!take_word(out->revision, p, k)) return bad_form(word, form, err);
        p += k;
    }
    if (*p == ':' && !take_file(out->file, p + 1)) return bad_form(word, form, err);
    return SB_OK;
}

static sb_status parse_ollama(sb_source *out, const char *word, sb_error *err)
{
    static const char form[] = "ollama:[NAMESPACE/]NAME[:TAG]";
    const char *p = word + strlen("ollama:");
    const size_t n_first = strcspn(p, "/:");
    memcpy(out->owner, "library", 8);
    if (p[n_first] == '/') {
        if (!take_word(out->owner, p, n_first)) return bad_form(word, form, err);
        p += n_first + 1;
    }
    const size_t n = strcspn(p, "/:");
    if (!take_word(out->repo, p, n)) return bad_form(word, form, err);
    p += n;
    memcpy(out->revision, "latest", 7);
    if (!*p) return SB_OK;
    return *p == ':' && take_word(out->revision, p + 1, strlen(p + 1)) ? SB_OK
                                                                       : bad_form(word, form, err);
}

/* Address characters only, a host, and nobody's password in it. */
static sb_status parse_url(sb_source *out, const char *word, sb_error *err)
{
    const size_t n = strlen(word);
    if (n > SB_MAX_URL_BYTES)
        return SB_FAIL(err, SB_INVALID, "the address has %zu bytes (limit %d)", n,
                       SB_MAX_URL_BYTES);
    const char *host = strstr(word, "://") + 3;
    const size_t n_host = strcspn(host, "/?#");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)word[i] <= 0x20 || (unsigned char)word[i] >= 0x7f)
            return bad_form(word, "https://... (percent-encode other characters)", err);
    if (memchr(host, '@', n_host))
        return SB_FAIL(err, SB_INVALID, "an address with a user or password in it is not taken");
    if (n_host == 0 || !host[n_host])
        return bad_form(word, "https://... (a host, a slash, a file)", err);
    memcpy(out->url, word, n + 1);
    return SB_OK;
}

static bool begins(const char *word, const char *prefix)
{
    return strncmp(word, prefix, strlen(prefix)) == 0;
}

sb_status sb_source_parse(sb_source *out, const char *word, sb_error *err)
{
    static const struct {
        const char *prefix;
        sb_source_kind kind;
        sb_status (*parse)(sb_source *out, const char *word, sb_error *err);
    } known[] = {{"hf:", SB_SOURCE_HUB, parse_hub},
                 {"https://", SB_SOURCE_URL, parse_url},
                 {"http://", SB_SOURCE_URL, parse_url},
                 {"pypi:", SB_SOURCE_PYPI, parse_pypi},
                 {"ollama:", SB_SOURCE_OLLAMA, parse_ollama}};
    sb_source s = {0};
    for (size_t i = 0; i < SB_ARRAY_LEN(known); i++) {
        if (!begins(word, known[i].prefix)) continue;
        s.kind = known[i].kind;
        SB_TRY(known[i].parse(&s, word, err));
        *out = s;
        return SB_OK;
    }
    const size_t n = strlen(word);
    if (n == 0) return SB_FAIL(err, SB_INVALID, "an empty name");
    if (n >= sizeof s.url || n > SB_MAX_PATH_BYTES)
        return SB_FAIL(err, SB_INVALID, "a name or path of %zu bytes (limit %d)", n,
                       SB_MAX_PATH_BYTES);
    sb_catalog_row row;
    s.kind = sb_catalog_find(word, &row) ? SB_SOURCE_CATALOG : SB_SOURCE_PATH;
    memcpy(s.url, word, n + 1);
    *out = s;
    return SB_OK;
}

size_t sb_source_show(const sb_source *s, char *out, size_t out_bytes)
{
    int n = 0;
    switch (s->kind) {
    case SB_SOURCE_HUB:
        n = snprintf(out, out_bytes, "hf:%s/%s%s%s", s->owner, s->repo, s->file[0] ? ":" : "",
                     s->file);
        break;
    case SB_SOURCE_PYPI:
        n = snprintf(out, out_bytes, "pypi:%s%s%s%s%s", s->repo, s->revision[0] ? "==" : "",
                     s->revision, s->file[0] ? ":" : "", s->file);
        break;
    case SB_SOURCE_OLLAMA:
        n = snprintf(out, out_bytes, "ollama:%s/%s:%s", s->owner, s->repo, s->revision);
        break;
    case SB_SOURCE_URL: /* a query may be a secret */
        n = snprintf(out, out_bytes, "%.*s", (int)strcspn(s->url, "?#"), s->url);
        break;
    case SB_SOURCE_CATALOG:
    case SB_SOURCE_PATH:
        n = snprintf(out, out_bytes, "%s", s->url);
        break;
    }
    return n < 0 ? 0 : (size_t)n;
}

bool sb_source_shard(const char *name, size_t n, int *out_no, int *out_count)
{
    static const char shape[] = "-ddddd-of-ddddd.gguf";
    const size_t k = sizeof shape - 1;
    if (n <= k) return false;
    int v[2] = {0, 0};
    for (size_t i = 0; i < k; i++) {
        const char c = name[n - k + i];
        const bool digit = c >= '0' && c <= '9';
        if (shape[i] == 'd' ? !digit : shape[i] != c) return false;
        if (digit) v[i > 9] = 10 * v[i > 9] + (c - '0');
    }
    if (v[0] < 1 || v[1] < 1 || v[0] > v[1]) return false;
    *out_no = v[0];
    *out_count = v[1];
    return true;
}

/* Length of name without what sb_source_name drops. */
static size_t stem(const char *name, size_t n)
{
    int no, count;
    if (sb_source_shard(name, n, &no, &count)) return n - 20;
    static const char suffix[] = ".gguf";
    const size_t k = sizeof suffix - 1;
    bool same = n > k;
    for (size_t i = 0; same && i < k; i++)
        same = (name[n - k + i] | (i ? 0x20 : 0)) == suffix[i];
    return same ? n - k : n;
}

bool sb_source_name(const char *file, char out[65])
{
    const size_t end = strcspn(file, "?#");
    size_t from = end;
    while (from > 0 && file[from - 1] != '/')
        from--;
    const size_t n = stem(file + from, end - from);
    size_t k = 0;
    for (size_t i = 0; i < n && k < 64; i++) {
        char c = file[from + i];
        if (c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
        const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        const bool mark = c == '.' || c == '_' || c == '-';
        if (kept || (mark && k > 0))
            out[k++] = c;
        else if (k > 0 && out[k - 1] != '-')
            out[k++] = '-';
    }
    while (k > 0 && (out[k - 1] == '-' || out[k - 1] == '.' || out[k - 1] == '_'))
        k--;
    out[k] = 0;
    return sb_store_name_ok(out);
}

bool sb_source_sha256(const char *text, char out[65])
{
    char hex[65];
    for (size_t i = 0; i < 64; i++) {
        const char c = text[i];
        const bool upper = c >= 'A' && c <= 'F';
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !upper) return false;
        hex[i] = upper ? (char)(c | 0x20) : c;
    }
    if (text[64]) return false;
    hex[64] = 0;
    memcpy(out, hex, sizeof hex);
    return true;
}
