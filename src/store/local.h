/* SPDX-License-Identifier: Apache-2.0
 * local.h - models that other programs keep on this machine: Ollama's blobs, the hub's cache.
 *
 * Purpose     Finds the file; copies and changes nothing.
 * Ollama      DIR/manifests/HOST/NAMESPACE/MODEL/TAG is JSON with layers; the one whose media type
 *             ends in ".model" lies in DIR/blobs/sha256-HEX. DIR: $OLLAMA_MODELS, else
 *             ~/.ollama/models, else that of its system service.
 * Hub cache   DIR/models--OWNER--REPO/refs/REVISION holds a commit; snapshots/COMMIT/FILE links to
 *             a blob that is named by its SHA-256. DIR: $HF_HUB_CACHE, else $HF_HOME/hub, else
 *             $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub.
 * Errors      SB_NOT_FOUND, SB_CORRUPT (a manifest), SB_INVALID, SB_IO, SB_NO_MEMORY.
 * Threads     Any. */
#ifndef SB_STORE_LOCAL_H
#define SB_STORE_LOCAL_H
#include "base/base.h"
#include "base/buf.h"
#include "store/source.h"

typedef struct sb_local_file {
    sb_buf path;
    char sha256[65];                 /* that its keeper names it by; "" = none */
    char revision[97];               /* commit, or "" */
    char file[SB_SOURCE_FILE_BYTES]; /* as its source calls it */
} sb_local_file;

void sb_local_init(sb_local_file *f);
void sb_local_deinit(sb_local_file *f);
sb_status sb_local_ollama(const sb_source *s, sb_local_file *out, sb_error *err) SB_MUST_USE;
sb_status sb_local_cache(const sb_source *s, sb_local_file *out, sb_error *err) SB_MUST_USE;
#endif
