/* SPDX-License-Identifier: Apache-2.0
 * local.c - two foreign layouts, read as their owners write them and trusted in nothing else. */
#include "store/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/hub.h"
#include "store/internal.h"
#include "store/json_in.h"

void sb_local_init(sb_local_file *f)
{
    *f = (sb_local_file){0};
    sb_buf_init(&f->path, SB_MAX_PATH_BYTES, "path of a model");
}

void sb_local_deinit(sb_local_file *f)
{
    sb_buf_deinit(&f->path);
}

/* The value of a variable that names a folder, or NULL. */
static const char *folder_of(const char *variable)
{
    const char *v = getenv(variable);
    return v && v[0] ? v : NULL;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The digest of the layer that is the model, from a manifest. */
static sb_status read_manifest(const char *path, char out_sha256[65], sb_error *err)
{
    json_t *j = NULL;
    bool found = false;
    SB_TRY(sb_json_read(&j, path, err));
    const json_t *layers = json_object_get(j, "layers");
    for (size_t i = 0; i < json_array_size(layers) && !found; i++) {
        static const char prefix[] = "sha256:", ending[] = ".model";
        char type[128], digest[96];
        sb_json_copy(json_array_get(layers, i), "mediaType", type, sizeof type);
        sb_json_copy(json_array_get(layers, i), "digest", digest, sizeof digest);
        const size_t n = strlen(type), k = sizeof ending - 1;
        if (n < k || strcmp(type + n - k, ending) != 0) continue;
        found = strncmp(digest, prefix, sizeof prefix - 1) == 0 &&
                sb_source_sha256(digest + sizeof prefix - 1, out_sha256);
    }
    json_decref(j);
    if (found) return SB_OK;
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, SB_CORRUPT, "'%s': no model layer in this manifest", shown);
}

/* DIR/manifests/ANY/NAMESPACE/MODEL/TAG, the first there is. */
static sb_status find_manifest(const char *dir, const sb_source *s, sb_buf *out, sb_error *err)
{
    sb_buf top;
    sb_buf_init(&top, SB_MAX_PATH_BYTES, "path of a manifest");
    sb_status st = sb_buf_addf(&top, err, "%s/manifests", dir);
    DIR *d = st == SB_OK ? opendir(top.p) : NULL;
    bool found = false;
    while (d && st == SB_OK && !found) {
        const struct dirent *e = readdir(d);
        if (!e) break;
        if (e->d_name[0] == '.') continue;
        sb_buf_clear(out);
        st = sb_buf_addf(out, err, "%s/%s/%s/%s/%s", top.p, e->d_name, s->owner, s->repo,
                         s->revision);
        found = st == SB_OK && is_file(out->p);
    }
    if (d) (void)closedir(d);
    sb_buf_deinit(&top);
    return st == SB_OK && !found ? SB_NOT_FOUND : st;
}

static sb_status try_ollama(const char *dir, const sb_source *s, sb_local_file *out, sb_error *err)
{
    sb_buf manifest;
    sb_buf_init(&manifest, SB_MAX_PATH_BYTES, "path of a manifest");
    sb_status st = find_manifest(dir, s, &manifest, err);
    if (st == SB_OK) st = read_manifest(manifest.p, out->sha256, err);
    sb_buf_clear(&out->path);
    if (st == SB_OK) st = sb_buf_addf(&out->path, err, "%s/blobs/sha256-%s", dir, out->sha256);
    sb_buf_deinit(&manifest);
    return st;
}

sb_status sb_local_ollama(const sb_source *s, sb_local_file *out, sb_error *err)
{
    const char *said = folder_of("OLLAMA_MODELS"), *home = folder_of("HOME");
    sb_buf own;
    sb_buf_init(&own, SB_MAX_PATH_BYTES, "path of Ollama's models");
    sb_status st = SB_OK;
    if (home && !said) st = sb_buf_addf(&own, err, "%s/.ollama/models", home);
    const char *const dirs[] = {said, own.p, said ? NULL : "/usr/share/ollama/.ollama/models"};
    if (st == SB_OK) st = SB_NOT_FOUND;
    for (size_t i = 0; i < SB_ARRAY_LEN(dirs) && st == SB_NOT_FOUND; i++)
        if (dirs[i]) st = try_ollama(dirs[i], s, out, err);
    sb_buf_deinit(&own);
    (void)snprintf(out->file, sizeof out->file, "%s-%s", s->repo, s->revision);
    if (st != SB_NOT_FOUND) return st;
    return SB_FAIL(err, SB_NOT_FOUND,
                   "Ollama has no model '%s/%s:%s' here: `ollama list` shows them (OLLAMA_MODELS "
                   "names its folder)",
                   s->owner, s->repo, s->revision);
}

static sb_status cache_dir(sb_buf *out, sb_error *err)
{
    const char *v;
    if ((v = folder_of("HF_HUB_CACHE"))) return sb_buf_addf(out, err, "%s", v);
    if ((v = folder_of("HF_HOME"))) return sb_buf_addf(out, err, "%s/hub", v);
    if ((v = folder_of("XDG_CACHE_HOME"))) return sb_buf_addf(out, err, "%s/huggingface/hub", v);
    if ((v = folder_of("HOME"))) return sb_buf_addf(out, err, "%s/.cache/huggingface/hub", v);
    return SB_NOT_FOUND;
}

/* The commit that refs/REVISION holds; the revision itself when it is one. */
static sb_status read_ref(const char *repo, const char *revision, char out[97], sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a cache");
    sb_status st = sb_buf_addf(&path, err, "%s/refs/%s", repo, revision);
    const int fd = st == SB_OK ? open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    ssize_t n = fd >= 0 ? read(fd, out, 96) : -1;
    if (fd >= 0) (void)close(fd);
    sb_buf_deinit(&path);
    if (st != SB_OK) return st;
    if (n < 0) n = snprintf(out, 97, "%s", revision);
    out[n] = 0;
    out[strspn(out, "0123456789abcdef")] = 0;
    return out[0] ? SB_OK : SB_NOT_FOUND;
}

/* The .gguf files below a snapshot, as a repository's list. */
static sb_status list_snapshot(const char *dir, sb_hub_repo *out, sb_error *err)
{
    json_t *siblings = json_array(), *all = json_object();
    char *const roots[] = {(char *)(uintptr_t)dir, NULL}; /* fts_open does not write to them */
    FTS *w = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    const size_t n_dir = strlen(dir) + 1;
    const FTSENT *e;
    size_t n = 0;
    while (w && (e = fts_read(w)) && n < SB_MAX_HUB_FILES) {
        if (e->fts_level > 3 && e->fts_info == FTS_D)
            (void)fts_set(w, (FTSENT *)(uintptr_t)e, FTS_SKIP);
        if (e->fts_pathlen <= n_dir || e->fts_info == FTS_D || e->fts_info == FTS_DP) continue;
        n++; /* what is no sound name, or no UTF-8, makes no string and is left out */
        (void)json_array_append_new(siblings, json_pack("{s:s}", "rfilename", e->fts_path + n_dir));
    }
    if (w) (void)fts_close(w);
    sb_status st = SB_NO_MEMORY;
    if (json_object_set_new(all, "siblings", siblings) == 0) {
        char *text = json_dumps(all, 0);
        if (text) st = sb_hub_parse(text, strlen(text), out, err);
        json_free_t give_back;
        json_get_alloc_funcs(NULL, &give_back);
        if (text) give_back(text);
    }
    json_decref(all);
    return st;
}

/* A blob is named by the hash of its bytes. */
static void hash_by_name(const char *path, char out_sha256[65])
{
    char *real = realpath(path, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    out_sha256[0] = 0;
    if (slash) (void)sb_source_sha256(slash + 1, out_sha256);
    sb_free(real); /* realpath's memory is malloc's, as all of ours */
}

static sb_status choose_cached(const char *snapshot, const sb_source *s, sb_local_file *out,
                               sb_error *err)
{
    sb_hub_repo repo = {0};
    size_t i = 0;
    sb_status st = list_snapshot(snapshot, &repo, err);
    if (st == SB_OK && sb_hub_choose(&repo, s->file, "cache", &i, NULL) != SB_OK) st = SB_NOT_FOUND;
    sb_buf_clear(&out->path);
    if (st == SB_OK) {
        memcpy(out->file, repo.files[i].name, sizeof out->file);
        st = sb_buf_addf(&out->path, err, "%s/%s", snapshot, out->file);
    }
    if (st == SB_OK && !is_file(out->path.p)) st = SB_NOT_FOUND; /* a link that leads nowhere */
    if (st == SB_OK) hash_by_name(out->path.p, out->sha256);
    sb_hub_deinit(&repo);
    return st;
}

sb_status sb_local_cache(const sb_source *s, sb_local_file *out, sb_error *err)
{
    sb_buf dir;
    sb_buf_init(&dir, SB_MAX_PATH_BYTES, "path of a cache");
    sb_status st = cache_dir(&dir, err);
    if (st == SB_OK) st = sb_buf_addf(&dir, err, "/models--%s--%s", s->owner, s->repo);
    if (st == SB_OK) st = read_ref(dir.p, s->revision, out->revision, err);
    if (st == SB_OK) st = sb_buf_addf(&dir, err, "/snapshots/%s", out->revision);
    if (st == SB_OK)
        st = sb_folder_exists(dir.p) ? choose_cached(dir.p, s, out, err) : SB_NOT_FOUND;
    sb_buf_deinit(&dir);
    if (st != SB_NOT_FOUND) return st;
    return SB_FAIL(err, SB_NOT_FOUND, "hf:%s/%s is not in the cache", s->owner, s->repo);
}
