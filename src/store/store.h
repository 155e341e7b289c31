/* SPDX-License-Identifier: Apache-2.0
 * store.h - the folder where models live, and how a name becomes a file.
 *
 * Purpose     HOME/models/NAME.gguf, one per model: a file, or a link to one that lies elsewhere
 *             (registered) or to the first of a set of shards. The folder itself is the index.
 * Names       1 to 64 of [a-z0-9._-], first a letter or digit, not ending in ".gguf". Whatever
 *             holds another character is a path.
 * Ownership   sb_store owns its strings; close with NULL is allowed.
 * Errors      SB_NOT_FOUND says the next step; SB_IO, SB_LIMIT, SB_NO_MEMORY.
 * Threads     Read-only after open. Other processes may add files at any moment. */
#ifndef SB_STORE_H
#define SB_STORE_H
#include "base/base.h"
#include "base/buf.h"

typedef struct sb_store sb_store;

typedef struct sb_store_item {
    char *name;     /* without .gguf */
    uint64_t bytes; /* of all its files */
    int64_t mtime_s;
    bool registered; /* lies elsewhere */
    bool missing;    /* registered, and no longer there */
} sb_store_item;

/* home: the folder, or NULL for $SOBRE_HOME, else $XDG_DATA_HOME/sobre, else ~/.local/share/sobre.
 * Nothing is created. */
sb_status sb_store_open(sb_store **out, const char *home, sb_error *err) SB_MUST_USE;
void sb_store_close(sb_store *s);
/* Borrowed: HOME and HOME/models. */
const char *sb_store_home(const sb_store *s);
const char *sb_store_models_dir(const sb_store *s);

bool sb_store_name_ok(const char *name);
/* Appends the path of model `name` of the store, whether or not it is there. */
sb_status sb_store_path(const sb_store *s, const char *name, sb_buf *out,
                        sb_error *err) SB_MUST_USE;
/* Appends the file that `what` means: a model of the store if it is a name and is there (of a set,
 * its first shard; of a registered file, where it lies), else the file itself. SB_NOT_FOUND tells
 * how to get it, or what has vanished. */
sb_status sb_store_resolve(const sb_store *s, const char *what, sb_buf *out,
                           sb_error *err) SB_MUST_USE;

/* Models of the store by name; *out is released with sb_store_list_free. No folder = no models. */
sb_status sb_store_list(const sb_store *s, sb_store_item **out, size_t *out_n,
                        sb_error *err) SB_MUST_USE;
/* What unfinished pulls left, by name: bytes is how much. Released likewise. */
sb_status sb_store_list_partial(const sb_store *s, sb_store_item **out, size_t *out_n,
                                sb_error *err) SB_MUST_USE;
void sb_store_list_free(sb_store_item *items, size_t n);
#endif
