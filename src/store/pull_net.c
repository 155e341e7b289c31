/* SPDX-License-Identifier: Apache-2.0
 * pull_net.c - a model from the hub or from any address, in one file or in shards.
 *
 * Before the first byte is kept, a look at the head of the file tells what it is, how long it is
 * and what its hash should be: one small request, which also learns whether the host knows
 * ranges. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/fetch.h"
#include "store/hub.h"
#include "store/pull_kinds.h"

enum { FIRST_LOOK_BYTES = 65536, SHARD_LOOK_BYTES = 1024 };

typedef struct net {
    const sb_pulling *p;
    sb_transfer *http;
    sb_buf endpoint, url;
    sb_hub_repo repo; /* HUB */
    size_t i_file;    /* HUB: of the first file */
    sb_pin want;
    sb_place place;
} net;

static void net_deinit(net *n)
{
    sb_place_end(&n->place);
    sb_pin_deinit(&n->want);
    sb_hub_deinit(&n->repo);
    sb_transfer_free(n->http);
    sb_buf_deinit(&n->endpoint);
    sb_buf_deinit(&n->url);
}

static sb_status net_init(net *n, const sb_pulling *p, sb_error *err)
{
    *n = (net){.p = p};
    sb_buf_init(&n->endpoint, SB_MAX_URL_BYTES, "HF_ENDPOINT");
    sb_buf_init(&n->url, SB_MAX_URL_BYTES, "an address");
    SB_TRY(sb_hub_endpoint(&n->endpoint, err));
    const sb_transfer_opts o = {.token = getenv("HF_TOKEN"),
                                .token_for = n->endpoint.p,
                                .stall_s = p->rq->stall_s,
                                .ctx = p->rq->hooks.ctx,
                                .cancelled = p->rq->hooks.cancelled};
    return sb_transfer_new(&n->http, &o, err);
}

/* Asks the hub what the repository holds and chooses. */
static sb_status list_repo(net *n, sb_error *err)
{
    sb_buf text;
    sb_transfer_head head;
    const sb_source *src = &n->p->source;
    sb_buf_init(&text, SB_MAX_HUB_LISTING_BYTES, "a list of files");
    sb_buf_clear(&n->url);
    sb_status s = sb_hub_list_url(src, &n->url, err);
    if (s == SB_OK)
        s = sb_fetch_text(&(sb_fetch_look){n->http, n->url.p, n->p->shown, false, &n->p->rq->hooks},
                          &text, &head, err);
    if (s == SB_OK) s = sb_hub_parse(text.p ? text.p : "", text.n, &n->repo, err);
    if (s == SB_OK) s = sb_hub_choose(&n->repo, src->file, n->p->shown, &n->i_file, err);
    sb_buf_deinit(&text);
    return s;
}

/* How many files the model has, by the name of its first. */
static sb_status count_shards(const char *name, size_t n_name, const char *shown, size_t *out_n,
                              sb_error *err)
{
    int no = 1, count = 1;
    *out_n = 1;
    if (!sb_source_shard(name, n_name, &no, &count)) return SB_OK;
    if (no != 1)
        return SB_FAIL(err, SB_INVALID, "%.100s: shard %d of %d: name the first, 00001", shown, no,
                       count);
    if (count > SB_MAX_SHARDS)
        return SB_FAIL(err, SB_LIMIT, "%.100s: %d shards (limit %d)", shown, count, SB_MAX_SHARDS);
    *out_n = (size_t)count;
    return SB_OK;
}

static sb_status want_hub(net *n, sb_error *err)
{
    const sb_pulling *p = n->p;
    const char *first = n->repo.files[n->i_file].name;
    char name[65];
    size_t count = 1;
    SB_TRY(count_shards(first, strlen(first), p->shown, &count, err));
    SB_TRY(sb_pull_name(p, first, name, err));
    SB_TRY(sb_pin_init(&n->want, name, count, err));
    for (size_t i = 0; i < count; i++) {
        size_t at = n->i_file;
        if (i > 0 && !sb_hub_shard(&n->repo, n->i_file, (int)i + 1, &at))
            return SB_FAIL(err, SB_NOT_FOUND, "%.100s: shard %zu of %zu is not in the repository",
                           p->shown, i + 1, count);
        const sb_hub_file *f = &n->repo.files[at];
        sb_pin_file *w = &n->want.files[i];
        memcpy(w->name, f->name, sizeof w->name);
        memcpy(w->sha256, f->sha256, sizeof w->sha256);
        w->bytes = f->bytes;
    }
    sb_source pinned = p->source; /* the pin names the file, whatever word led to it */
    memcpy(pinned.file, first, sizeof pinned.file);
    (void)sb_source_show(&pinned, n->want.source, sizeof n->want.source);
    (void)snprintf(n->want.revision, sizeof n->want.revision, "%s", n->repo.commit);
    (void)snprintf(n->want.licence, sizeof n->want.licence, "%s",
                   p->licence ? p->licence : n->repo.licence);
    return SB_OK;
}

static sb_status want_url(net *n, sb_error *err)
{
    const sb_pulling *p = n->p;
    const size_t n_path = strcspn(p->source.url, "?#");
    char name[65];
    size_t count = 1;
    SB_TRY(count_shards(p->source.url, n_path, p->shown, &count, err));
    SB_TRY(sb_pull_name(p, p->source.url, name, err));
    SB_TRY(sb_pin_init(&n->want, name, count, err));
    for (size_t i = 0; i < count; i++) {
        n->want.files[i].bytes = UINT64_MAX;
        (void)snprintf(n->want.files[i].name, sizeof n->want.files[i].name, "%s-%05zu", name,
                       i + 1);
    }
    (void)snprintf(n->want.source, sizeof n->want.source, "%s", p->shown);
    return SB_OK;
}

/* The address of file i, into n->url. */
static sb_status url_of(net *n, size_t i, sb_error *err)
{
    const sb_source *src = &n->p->source;
    sb_buf_clear(&n->url);
    if (src->kind == SB_SOURCE_HUB)
        return sb_hub_file_url(src, n->want.revision[0] ? n->want.revision : src->revision,
                               n->want.files[i].name, &n->url, err);
    SB_TRY(sb_buf_addf(&n->url, err, "%s", src->url));
    if (i == 0) return SB_OK;
    char number[8];
    (void)snprintf(number, sizeof number, "%05zu", (i + 1) % 100000);
    memcpy(n->url.p + strcspn(src->url, "?#") - 19, number, 5); /* behind "-", before "-of-" */
    return SB_OK;
}

/* Takes what the headers say of file i; two words about one file must be the same. */
static sb_status take_head(net *n, size_t i, const sb_transfer_head *head, sb_error *err)
{
    sb_pin_file *w = &n->want.files[i];
    const uint64_t said[2] = {head->linked_bytes, head->total_bytes};
    for (size_t k = 0; k < 2; k++) {
        if (said[k] == UINT64_MAX) continue;
        if (w->bytes != UINT64_MAX && w->bytes != said[k])
            return SB_FAIL(err, SB_CORRUPT, "%.100s: the host gives two sizes: %llu and %llu bytes",
                           n->p->shown, (unsigned long long)w->bytes, (unsigned long long)said[k]);
        w->bytes = said[k];
    }
    if (!head->linked_sha256[0]) return SB_OK;
    if (w->sha256[0] && strcmp(w->sha256, head->linked_sha256) != 0)
        return SB_FAIL(err, SB_CORRUPT, "%.100s: the host gives two hashes: %.16s... and %.16s...",
                       n->p->shown, w->sha256, head->linked_sha256);
    memcpy(w->sha256, head->linked_sha256, sizeof w->sha256);
    return SB_OK;
}

/* Looks at the beginning of file i; of the first file, far enough to know its architecture. */
static sb_status look_at(net *n, size_t i, sb_error *err)
{
    sb_transfer_head head;
    bool more = true;
    sb_status s = url_of(n, i, err);
    for (size_t most = i ? SHARD_LOOK_BYTES : FIRST_LOOK_BYTES; s == SB_OK && more; most *= 8) {
        sb_buf text;
        sb_buf_init(&text, most < SB_MAX_HEAD_BYTES ? most : SB_MAX_HEAD_BYTES, "a file's head");
        s = sb_fetch_text(&(sb_fetch_look){n->http, n->url.p, n->p->shown, true, &n->p->rq->hooks},
                          &text, &head, err);
        more = false;
        const bool whole = text.n < text.max; /* the file ends here */
        if (s == SB_OK && i == 0)
            s = sb_pull_judge_head(n->p, (const unsigned char *)(text.p ? text.p : ""), text.n,
                                   &more, err);
        sb_buf_deinit(&text);
        if (s == SB_OK && more && (whole || most >= SB_MAX_HEAD_BYTES))
            s = SB_FAIL(err, SB_CORRUPT, "%.100s: no general.architecture in the first %zu bytes",
                        n->p->shown, most);
    }
    if (s == SB_OK && head.commit[0] && n->p->source.kind == SB_SOURCE_URL)
        memcpy(n->want.revision, head.commit, sizeof head.commit);
    return s == SB_OK ? take_head(n, i, &head, err) : s;
}

/* The user's own hash against the host's word; and who vouches for what comes. */
static sb_status take_user_hash(net *n, sb_error *err)
{
    const char *asked = n->p->rq->sha256;
    sb_pin_file *w = &n->want.files[0];
    bool all = true;
    for (size_t i = 0; i < n->want.n_files; i++)
        all = all && n->want.files[i].sha256[0];
    (void)snprintf(n->want.checked, sizeof n->want.checked, "%s",
                   asked ? "user"
                   : all ? "host"
                         : "first");
    if (!asked) return SB_OK;
    char hex[65];
    if (!sb_source_sha256(asked, hex))
        return SB_FAIL(err, SB_INVALID, "--sha256 takes 64 hexadecimal digits");
    if (n->want.n_files > 1)
        return SB_FAIL(err, SB_INVALID, "--sha256 is of one file; this model has %zu",
                       n->want.n_files);
    if (w->sha256[0] && strcmp(w->sha256, hex) != 0)
        return SB_FAIL(err, SB_CORRUPT,
                       "%.100s: the host's file has SHA-256 %.16s..., not %.16s...", n->p->shown,
                       w->sha256, hex);
    memcpy(w->sha256, hex, sizeof hex);
    return SB_OK;
}

static sb_status fetch_files(net *n, sb_error *err)
{
    sb_buf part, notes;
    sb_buf_init(&part, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&notes, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = SB_OK;
    n->want.bytes = 0;
    for (size_t i = 0; i < n->want.n_files && s == SB_OK; i++) {
        sb_pin_file *w = &n->want.files[i];
        char hex[65];
        s = sb_place_part(&n->place, i, n->want.n_files, &part, &notes, err);
        if (s == SB_OK) s = url_of(n, i, err);
        if (s != SB_OK) break;
        const sb_fetch_job job = {.http = n->http,
                                  .url = n->url.p,
                                  .shown = n->p->shown,
                                  .part = part.p,
                                  .notes = notes.p,
                                  .bytes = w->bytes,
                                  .sha256 = w->sha256,
                                  .i_part = i,
                                  .n_part = n->want.n_files,
                                  .hooks = &n->p->rq->hooks};
        s = sb_fetch_file(&job, &w->bytes, hex, err);
        if (s == SB_OK) memcpy(w->sha256, hex, sizeof hex);
        if (s == SB_OK) n->want.bytes += w->bytes;
    }
    sb_buf_deinit(&part);
    sb_buf_deinit(&notes);
    return s;
}

/* All that is still to come must fit, not the next file alone. */
static sb_status check_room(const net *n, sb_error *err)
{
    uint64_t need = 0;
    sb_buf part, notes;
    sb_buf_init(&part, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&notes, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = SB_OK;
    for (size_t i = 0; i < n->want.n_files && s == SB_OK; i++) {
        const uint64_t bytes = n->want.files[i].bytes;
        s = sb_place_part(&n->place, i, n->want.n_files, &part, &notes, err);
        if (s != SB_OK || bytes == UINT64_MAX) continue;
        const uint64_t here = sb_folder_bytes(part.p);
        if (here < bytes && ckd_add(&need, need, bytes - here)) need = UINT64_MAX;
    }
    if (s == SB_OK) s = sb_folder_need(n->place.dir.p, need, err);
    sb_buf_deinit(&part);
    sb_buf_deinit(&notes);
    return s;
}

static sb_status pull_files(net *n, bool *out_already, sb_error *err)
{
    const sb_pull_request *rq = n->p->rq;
    SB_TRY(sb_place_begin(&n->place, n->p->store, n->want.name, &rq->hooks, err));
    for (size_t i = 0; i < n->want.n_files; i++)
        SB_TRY(look_at(n, i, err));
    SB_TRY(take_user_hash(n, err));
    SB_TRY(sb_place_check(&n->place, &n->want, rq->update, out_already, err));
    if (*out_already) {
        sb_pin pin;
        SB_TRY(sb_pin_read(n->p->store, n->want.name, &pin, err));
        sb_pin_deinit(&n->want);
        n->want = pin;
        return SB_OK;
    }
    SB_TRY(check_room(n, err));
    SB_TRY(fetch_files(n, err));
    return sb_place_finish(&n->place, &n->want, err);
}

/* Whoever has the model need not worry that its host is away. */
static sb_status say_it_is_here(const sb_pulling *p, sb_status why, sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    if (p->name && sb_store_name_ok(p->name) &&
        sb_store_resolve(p->store, p->name, &path, NULL) == SB_OK)
        (void)sb_error_prefix(err, why, "'%s' is here, but its source cannot be asked", p->name);
    sb_buf_deinit(&path);
    return why;
}

sb_status sb_pull_net(const sb_pulling *p, sb_pull_result *out, sb_error *err)
{
    const bool hub = p->source.kind == SB_SOURCE_HUB;
    bool found = false;
    if (hub && !p->rq->update) SB_TRY(sb_pull_from_cache(p, &found, out, err));
    if (found) return SB_OK;
    net n;
    sb_status s = net_init(&n, p, err);
    if (s == SB_OK && hub) s = list_repo(&n, err);
    if (s == SB_OK) s = hub ? want_hub(&n, err) : want_url(&n, err);
    if (s == SB_OK) s = pull_files(&n, &out->already, err);
    if (s == SB_OK) {
        out->pin = n.want;
        n.want = (sb_pin){0};
    }
    net_deinit(&n);
    return s == SB_IO ? say_it_is_here(p, s, err) : s;
}
