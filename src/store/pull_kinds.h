/* SPDX-License-Identifier: Apache-2.0
 * pull_kinds.h - what the files of one pull share: the pull under way, and one call for each kind
 * of source. All of them fill out->pin and out->already on success only. */
#ifndef SB_STORE_PULL_KINDS_H
#define SB_STORE_PULL_KINDS_H
#include "store/internal.h"
#include "store/place.h"
#include "store/source.h"

typedef struct sb_pulling {
    const sb_store *store;
    const sb_pull_request *rq;
    sb_source source;
    char shown[SB_PIN_SOURCE_BYTES]; /* the source, as pins and errors have it */
    const char *name;                /* asked for, or the catalogue's, or NULL */
    const char *licence;             /* the catalogue's, or NULL */
} sb_pulling;

sb_status sb_pull_net(const sb_pulling *p, sb_pull_result *out, sb_error *err) SB_MUST_USE;
sb_status sb_pull_pypi(const sb_pulling *p, sb_pull_result *out, sb_error *err) SB_MUST_USE;
/* A path, or an Ollama blob. */
sb_status sb_pull_register(const sb_pulling *p, sb_pull_result *out, sb_error *err) SB_MUST_USE;
/* The hub's cache on this machine. *out_found false: it is not there, and nothing was done. */
sb_status sb_pull_from_cache(const sb_pulling *p, bool *out_found, sb_pull_result *out,
                             sb_error *err) SB_MUST_USE;

/* Judges the first bytes of a file. *out_more: too few of them to tell. */
sb_status sb_pull_judge_head(const sb_pulling *p, const unsigned char *head, size_t n,
                             bool *out_more, sb_error *err) SB_MUST_USE;
sb_status sb_pull_judge_arch(const sb_pulling *p, const char *arch, sb_error *err) SB_MUST_USE;
/* p->name, else what sb_source_name() makes of `from`. */
sb_status sb_pull_name(const sb_pulling *p, const char *from, char out[65],
                       sb_error *err) SB_MUST_USE;
#endif
