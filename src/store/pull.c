/* SPDX-License-Identifier: Apache-2.0
 * pull.c - sorts a pull by the kind of its source, and judges what all kinds are judged by. */
#include "store/pull.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "gguf/probe.h"
#include "store/pull_kinds.h"

sb_status sb_pull_judge_arch(const sb_pulling *p, const char *arch, sb_error *err)
{
    const sb_pull_hooks *h = &p->rq->hooks;
    char shown[80];
    if (!h->arch_known || h->arch_known(h->ctx, arch)) return SB_OK;
    sb_path_escape(shown, sizeof shown, arch);
    return SB_FAIL(err, SB_UNSUPPORTED,
                   "%.80s: architecture '%s' cannot be run yet (%.60s can): nothing was pulled",
                   p->shown, shown, h->arch_list ? h->arch_list : "others");
}

sb_status sb_pull_judge_head(const sb_pulling *p, const unsigned char *head, size_t n,
                             bool *out_more, sb_error *err)
{
    sb_gguf_probe probe;
    const sb_status s = sb_gguf_probe_head(head, n, &probe, out_more, err);
    if (s != SB_OK) return sb_error_prefix(err, s, "%.90s", p->shown);
    return *out_more ? SB_OK : sb_pull_judge_arch(p, probe.arch, err);
}

sb_status sb_pull_name(const sb_pulling *p, const char *from, char out[65], sb_error *err)
{
    if (p->name && sb_store_name_ok(p->name)) {
        memcpy(out, p->name, strlen(p->name) + 1);
        return SB_OK;
    }
    if (!p->name && sb_source_name(from, out)) return SB_OK;
    char shown[80];
    sb_path_escape(shown, sizeof shown, p->name ? p->name : from);
    return SB_FAIL(err, SB_INVALID,
                   "'%s' gives no name for a model (1 to 64 of a-z 0-9 . _ -, first a letter or "
                   "digit): say one with --name",
                   shown);
}

/* The pin of a model whose bytes the catalogue itself vouches for. */
static sb_status pin_row(const sb_pulling *p, const sb_catalog_row *row, sb_pull_result *out,
                         sb_error *err)
{
    sb_pin pin;
    SB_TRY(sb_pin_init(&pin, row->name, 1, err));
    (void)snprintf(pin.source, sizeof pin.source, "%s", row->parts[0].source);
    (void)snprintf(pin.licence, sizeof pin.licence, "%s", row->licence);
    (void)snprintf(pin.checked, sizeof pin.checked, "catalogue");
    (void)snprintf(pin.files[0].name, sizeof pin.files[0].name, "%s", row->name);
    memcpy(pin.files[0].sha256, row->sha256, sizeof pin.files[0].sha256);
    pin.bytes = pin.files[0].bytes = row->bytes;
    const sb_status s = sb_pin_write(p->store, &pin, err);
    if (s == SB_OK)
        out->pin = pin;
    else
        sb_pin_deinit(&pin);
    return s;
}

static sb_status pull_parts(const sb_pulling *p, const sb_catalog_row *row, sb_pull_result *out,
                            sb_error *err)
{
    const sb_parts_request parts = {*row, p->rq->accept_terms, p->rq->hooks};
    sb_pin pin;
    if (p->rq->name && strcmp(p->rq->name, row->name) != 0)
        return SB_FAIL(err, SB_INVALID, "'%s' keeps its name of the catalogue: leave --name out",
                       row->name);
    SB_TRY(sb_parts_pull(p->store, &parts, &out->already, err));
    if (sb_pin_read(p->store, row->name, &pin, NULL) == SB_OK) {
        const bool right = pin.n_files == 1 && strcmp(pin.files[0].sha256, row->sha256) == 0;
        if (right && !pin.registered[0]) {
            out->pin = pin;
            return SB_OK;
        }
        sb_pin_deinit(&pin);
    }
    return pin_row(p, row, out, err);
}

static sb_status pull_row(sb_pulling *p, sb_pull_result *out, sb_error *err)
{
    sb_catalog_row row;
    if (!sb_catalog_find(p->source.url, &row))
        return SB_FAIL(err, SB_NOT_FOUND, "no model '%s' in the catalogue", p->source.url);
    if (row.terms && !p->rq->accept_terms)
        return SB_FAIL(err, SB_INVALID,
                       "'%s' comes under the %s: read them, then add --accept-license", row.name,
                       row.licence);
    if (row.n_part > 0) return pull_parts(p, &row, out, err);
    (void)snprintf(p->shown, sizeof p->shown, "%s", row.name);
    SB_TRY(sb_pull_judge_arch(p, row.arch, err));
    SB_TRY(sb_source_parse(&p->source, row.source, err));
    (void)sb_source_show(&p->source, p->shown, sizeof p->shown);
    if (!p->name) p->name = row.name;
    p->licence = row.licence;
    return sb_pull_net(p, out, err);
}

sb_status sb_store_pull(const sb_store *s, const sb_pull_request *rq, sb_pull_result *out,
                        sb_error *err)
{
    sb_pulling p = {.store = s, .rq = rq, .name = rq->name};
    sb_pull_result got = {0};
    sb_status st = sb_source_parse(&p.source, rq->what, err);
    if (st != SB_OK) return st;
    (void)sb_source_show(&p.source, p.shown, sizeof p.shown);
    switch (p.source.kind) {
    case SB_SOURCE_CATALOG:
        st = pull_row(&p, &got, err);
        break;
    case SB_SOURCE_HUB:
    case SB_SOURCE_URL:
        st = sb_pull_net(&p, &got, err);
        break;
    case SB_SOURCE_PYPI:
        st = sb_pull_pypi(&p, &got, err);
        break;
    case SB_SOURCE_OLLAMA:
    case SB_SOURCE_PATH:
        st = sb_pull_register(&p, &got, err);
        break;
    }
    if (st == SB_OK) *out = got;
    return st;
}

sb_status sb_store_remove(const sb_store *s, const char *name, bool partial, sb_error *err)
{
    static const sb_pull_hooks none = {0};
    sb_place place = {0};
    char shown[80];
    size_t n = 0;
    sb_path_escape(shown, sizeof shown, name);
    if (!sb_store_name_ok(name))
        return SB_FAIL(err, SB_INVALID,
                       "'%s' is no name of the store: files elsewhere are yours to remove", shown);
    sb_status st = sb_folder_exists(sb_store_models_dir(s)) ? SB_OK : SB_NOT_FOUND;
    if (st == SB_OK) st = sb_place_begin(&place, s, name, &none, err);
    if (st == SB_OK) st = sb_place_remove(&place, partial, &n, err);
    sb_place_end(&place);
    if (st == SB_OK && n == 0) st = SB_NOT_FOUND;
    if (st != SB_NOT_FOUND) return st;
    return SB_FAIL(err, SB_NOT_FOUND,
                   partial ? "nothing unfinished of '%s' is here"
                           : "no model '%s' is here: `sobre list` shows them",
                   shown);
}
