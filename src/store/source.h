/* SPDX-License-Identifier: Apache-2.0
 * source.h - what the word after `sobre pull` means.
 *
 * Purpose     Sorts a word into its kind and cuts it up; asks neither network nor disk, except
 *             whether a catalogue name or a file of that name exists.
 * Words       NAME (of the catalogue) | hf:OWNER/REPO[@REVISION][:FILE] | http[s]://... |
 *             pypi:PACKAGE[==VERSION][:FILE] | ollama:NAME[:TAG] | a path.
 * Invariants  owner, repo, revision, package, model and tag have no character that means anything
 *             to a path, a URL or a shell; file has no segment that is empty, "." or "..".
 * Ownership   Everything is inside the struct.
 * Errors      SB_INVALID with one line that shows the form. */
#ifndef SB_STORE_SOURCE_H
#define SB_STORE_SOURCE_H
#include "base/base.h"

typedef enum sb_source_kind {
    SB_SOURCE_CATALOG,
    SB_SOURCE_HUB,
    SB_SOURCE_URL,
    SB_SOURCE_PYPI,
    SB_SOURCE_OLLAMA,
    SB_SOURCE_PATH
} sb_source_kind;

enum { SB_SOURCE_WORD_BYTES = 97, SB_SOURCE_FILE_BYTES = 513, SB_SOURCE_URL_BYTES = 4097 };

typedef struct sb_source {
    sb_source_kind kind;
    char owner[SB_SOURCE_WORD_BYTES],
        repo[SB_SOURCE_WORD_BYTES];      /* HUB; OLLAMA: namespace, model */
    char revision[SB_SOURCE_WORD_BYTES]; /* HUB ("main"), OLLAMA (tag, "latest"), PYPI ("" = any) */
    char file[SB_SOURCE_FILE_BYTES];     /* HUB, PYPI: asked for, or "" */
    char url[SB_SOURCE_URL_BYTES];       /* URL, PATH and CATALOG: the word itself */
} sb_source;

sb_status sb_source_parse(sb_source *out, const char *word, sb_error *err) SB_MUST_USE;
/* Appends the source as a pin and people see it: an address without its query. */
size_t sb_source_show(const sb_source *s, char *out, size_t out_bytes);
/* A name for the store from a file's name or address: its last segment without .gguf and shard
 * number, in lower case, other characters as '-'. False when nothing is left of it. */
bool sb_source_name(const char *file, char out[65]);
/* "-00001-of-00003.gguf" at the end of name: which one (from 1), of how many. */
bool sb_source_shard(const char *name, size_t n, int *out_no, int *out_count);
/* 64 hexadecimal digits, written in lower case. */
bool sb_source_sha256(const char *text, char out[65]);
#endif
