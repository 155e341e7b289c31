/* SPDX-License-Identifier: Apache-2.0
 * register.c - gives a file that is here already a name in the store; copies nothing.
 *
 * The file is opened by the same reader that will load it, so a damaged or half-downloaded one is
 * refused now; then it is hashed once, so that the pin says which bytes were meant. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "gguf/gguf.h"
#include "store/local.h"
#include "store/pull_kinds.h"

typedef struct registering {
    const sb_pulling *p;
    const char *path;   /* absolute, without links */
    const char *sha256; /* that the keeper names it by, or "" */
    const char *revision;
    const char *source;
    const char *called; /* a name is made of this */
    sb_gguf *gguf;
    sb_place place;
    sb_pin pin;
} registering;

static sb_status judge_file(registering *r, sb_error *err)
{
    sb_str arch = {NULL, 0};
    char name[65] = "";
    SB_TRY(sb_gguf_open(&r->gguf, r->path, err));
    SB_TRY(sb_gguf_get_str(r->gguf, "general.architecture", &arch, err));
    if (arch.n < sizeof name && arch.n > 0) memcpy(name, arch.p, arch.n);
    SB_TRY(sb_pull_judge_arch(r->p, name, err));
    sb_str licence = {NULL, 0};
    if (r->p->licence)
        (void)snprintf(r->pin.licence, sizeof r->pin.licence, "%s", r->p->licence);
    else if (sb_gguf_get_str(r->gguf, "general.license", &licence, NULL) == SB_OK &&
             licence.n > 0 && licence.n < 100) {
        char text[101];
        memcpy(text, licence.p, licence.n);
        text[licence.n] = 0;
        sb_path_escape(r->pin.licence, sizeof r->pin.licence, text);
    }
    return SB_OK;
}

static sb_status hash_files(registering *r, sb_error *err)
{
    const size_t n = r->pin.n_files;
    for (size_t i = 0; i < n; i++) {
        sb_pin_file *f = &r->pin.files[i];
        const char *path = sb_gguf_path(r->gguf, (int32_t)i);
        const char *slash = strrchr(path, '/');
        sb_path_escape(f->name, sizeof f->name, slash ? slash + 1 : path);
        SB_TRY(sb_place_hash(path, i, n, &r->p->rq->hooks, &f->bytes, f->sha256, err));
        r->pin.bytes += f->bytes;
    }
    const char *must = r->sha256;
    char hex[65];
    if (r->p->rq->sha256) {
        if (!sb_source_sha256(r->p->rq->sha256, hex) || n > 1)
            return SB_FAIL(err, SB_INVALID, "--sha256 takes 64 hexadecimal digits of one file");
        must = hex;
    }
    if (must[0] && strcmp(must, r->pin.files[0].sha256) != 0)
        return SB_FAIL(err, SB_CORRUPT,
                       "%.100s: SHA-256 is %.16s..., it should be %.16s...: not used", r->p->shown,
                       r->pin.files[0].sha256, must);
    (void)snprintf(r->pin.checked, sizeof r->pin.checked, "%s",
                   r->p->rq->sha256 ? "user"
                   : must[0]        ? "cache"
                                    : "first");
    return SB_OK;
}

static bool links_there(const registering *r)
{
    char target[SB_MAX_PATH_BYTES];
    const ssize_t n = readlink(r->place.final.p, target, sizeof target);
    return n > 0 && (size_t)n == strlen(r->path) && memcmp(target, r->path, (size_t)n) == 0;
}

static sb_status name_it(registering *r, bool *out_already, sb_error *err)
{
    const sb_pull_request *rq = r->p->rq;
    char name[65];
    bool there = false;
    SB_TRY(sb_pull_name(r->p, r->called, name, err));
    sb_pin made = r->pin; /* the licence; the rest is made now that the name is known */
    SB_TRY(sb_pin_init(&r->pin, name, (size_t)sb_gguf_n_shards(r->gguf), err));
    memcpy(r->pin.licence, made.licence, sizeof r->pin.licence);
    (void)snprintf(r->pin.source, sizeof r->pin.source, "%s", r->source);
    (void)snprintf(r->pin.revision, sizeof r->pin.revision, "%s", r->revision);
    sb_path_escape(r->pin.registered, sizeof r->pin.registered, r->path);
    SB_TRY(sb_place_begin(&r->place, r->p->store, name, &rq->hooks, err));
    SB_TRY(hash_files(r, err));
    SB_TRY(sb_place_check(&r->place, &r->pin, rq->update, &there, err));
    *out_already = there || links_there(r);
    return there ? SB_OK : sb_place_link(&r->place, r->path, &r->pin, err);
}

static sb_status register_file(registering *r, sb_pull_result *out, sb_error *err)
{
    sb_status s = judge_file(r, err);
    if (s == SB_OK) s = name_it(r, &out->already, err);
    if (s == SB_OK) {
        out->pin = r->pin;
        r->pin = (sb_pin){0};
    }
    sb_place_end(&r->place);
    sb_pin_deinit(&r->pin);
    sb_gguf_close(r->gguf);
    return s;
}

static sb_status no_path(const char *path, int why, sb_error *err)
{
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    if (why == ENOENT || why == ENOTDIR)
        return SB_FAIL(err, SB_NOT_FOUND,
                       "no model of the catalogue and no file '%s': `sobre list` shows the names",
                       shown);
    return SB_FAIL(err, SB_IO, "'%s': %s", shown, strerror(why));
}

/* The absolute path without links, into out (begun here). The siblings of a shard are found by its
 * name, which a link to a blob would hide: there the last link stays. */
static sb_status real_path(const char *path, sb_buf *out, sb_error *err)
{
    int no, count;
    const size_t n = strlen(path);
    const bool shard = sb_source_shard(path, n, &no, &count);
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    sb_buf dir;
    sb_buf_init(&dir, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(out, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = sb_buf_addf(&dir, err, "%.*s.", (int)(last - path), path);
    if (s != SB_OK || access(path, F_OK) != 0) {
        const int why = errno;
        sb_buf_deinit(&dir);
        return s == SB_OK ? no_path(path, why, err) : s;
    }
    char *real = realpath(shard ? dir.p : path, NULL);
    const int why = errno;
    sb_buf_deinit(&dir);
    if (!real) return no_path(path, why, err);
    s = shard ? sb_buf_addf(out, err, "%s/%s", real, last) : sb_buf_addf(out, err, "%s", real);
    sb_free(real); /* realpath's memory is malloc's, as all of ours */
    return s;
}

static sb_status register_path(const sb_pulling *p, sb_pull_result *out, sb_error *err)
{
    sb_buf path, source;
    sb_buf_init(&source, SB_PIN_SOURCE_BYTES - 1, "a source");
    sb_status s = real_path(p->source.url, &path, err);
    char shown[SB_PIN_SOURCE_BYTES - 8];
    if (s == SB_OK) sb_path_escape(shown, sizeof shown, path.p);
    if (s == SB_OK) s = sb_buf_addf(&source, err, "file:%s", shown);
    if (s == SB_OK) {
        registering r = {.p = p,
                         .path = path.p,
                         .sha256 = "",
                         .revision = "",
                         .source = source.p,
                         .called = p->source.url};
        s = register_file(&r, out, err);
    }
    sb_buf_deinit(&path);
    sb_buf_deinit(&source);
    return s;
}

static sb_status register_local(const sb_pulling *p, const sb_local_file *f, const char *source,
                                sb_pull_result *out, sb_error *err)
{
    sb_buf path;
    sb_status s = real_path(f->path.p, &path, err);
    if (s == SB_OK) {
        registering r = {.p = p,
                         .path = path.p,
                         .sha256 = f->sha256,
                         .revision = f->revision,
                         .source = source,
                         .called = f->file};
        s = register_file(&r, out, err);
    }
    sb_buf_deinit(&path);
    return s;
}

sb_status sb_pull_register(const sb_pulling *p, sb_pull_result *out, sb_error *err)
{
    if (p->source.kind == SB_SOURCE_PATH) return register_path(p, out, err);
    sb_local_file f;
    sb_local_init(&f);
    sb_status s = sb_local_ollama(&p->source, &f, err);
    if (s == SB_OK) s = register_local(p, &f, p->shown, out, err);
    sb_local_deinit(&f);
    return s;
}

sb_status sb_pull_from_cache(const sb_pulling *p, bool *out_found, sb_pull_result *out,
                             sb_error *err)
{
    sb_local_file f;
    sb_local_init(&f);
    sb_status s = sb_local_cache(&p->source, &f, err);
    *out_found = s == SB_OK;
    if (s == SB_OK) {
        char source[SB_PIN_SOURCE_BYTES];
        sb_source pinned = p->source;
        memcpy(pinned.file, f.file, sizeof pinned.file);
        (void)sb_source_show(&pinned, source, sizeof source);
        s = register_local(p, &f, source, out, err);
        if (s == SB_CORRUPT) *out_found = false; /* damaged there: the hub has it whole */
    }
    sb_local_deinit(&f);
    return *out_found || (s != SB_NOT_FOUND && s != SB_CORRUPT) ? s : SB_OK;
}
