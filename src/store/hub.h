/* SPDX-License-Identifier: Apache-2.0
 * hub.h - a model hub's repositories: which files there are, which one is meant, where it lies.
 *
 * Purpose     Knows the shape of the hub's API and nothing of disks: text in, file names and
 *             addresses out. The host is the row HUB of hosts.def or what HF_ENDPOINT says.
 * API         GET ENDPOINT/api/models/OWNER/REPO/revision/REV?blobs=true - {sha, tags, cardData:
 *             {license}, siblings: [{rfilename, size, lfs: {sha256, size}}]};
 *             GET ENDPOINT/OWNER/REPO/resolve/REV/FILE - redirects to the bytes; X-Linked-Etag,
 *             X-Linked-Size and X-Repo-Commit on the way say what they are.
 * Ownership   sb_hub_repo owns its list, released by _deinit.
 * Errors      SB_CORRUPT (no such JSON), SB_NOT_FOUND, SB_INVALID (several files fit: lists them),
 *             SB_LIMIT, SB_NO_MEMORY.
 * Threads     Any. */
#ifndef SB_STORE_HUB_H
#define SB_STORE_HUB_H
#include "base/base.h"
#include "base/buf.h"
#include "store/source.h"

typedef struct sb_hub_file {
    char name[SB_SOURCE_FILE_BYTES];
    uint64_t bytes; /* UINT64_MAX = not said */
    char sha256[65];
} sb_hub_file;

typedef struct sb_hub_repo {
    char commit[SB_SOURCE_WORD_BYTES], licence[129];
    sb_hub_file *files; /* the .gguf files whose names are sound */
    size_t n_files;
} sb_hub_repo;

void sb_hub_deinit(sb_hub_repo *r);
sb_status sb_hub_parse(const char *text, size_t n, sb_hub_repo *out, sb_error *err) SB_MUST_USE;
/* The file that `asked` means: its path, its last segment, a quantisation ("Q4_K_M"), or "" for the
 * one that is recommended. Of a split model: its first shard. shown: the source, for errors. */
sb_status sb_hub_choose(const sb_hub_repo *r, const char *asked, const char *shown, size_t *out_i,
                        sb_error *err) SB_MUST_USE;
/* Index of shard no (from 1) of the split model whose first shard is files[i_first]. */
bool sb_hub_shard(const sb_hub_repo *r, size_t i_first, int no, size_t *out_i);

/* ENDPOINT without a slash at its end. */
sb_status sb_hub_endpoint(sb_buf *out, sb_error *err) SB_MUST_USE;
sb_status sb_hub_list_url(const sb_source *s, sb_buf *out, sb_error *err) SB_MUST_USE;
sb_status sb_hub_file_url(const sb_source *s, const char *revision, const char *file, sb_buf *out,
                          sb_error *err) SB_MUST_USE;
#endif
