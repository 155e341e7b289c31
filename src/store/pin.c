/* SPDX-License-Identifier: Apache-2.0
 * pin.c - pins to JSON and back; a pin that was edited badly is refused, never half believed. */
#include "store/pin.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "store/internal.h"
#include "store/json_in.h"
#include "store/source.h"

void sb_pin_deinit(sb_pin *p)
{
    sb_free(p->files);
    *p = (sb_pin){0};
}

sb_status sb_pin_init(sb_pin *p, const char *name, size_t n_files, sb_error *err)
{
    struct tm t;
    const time_t now = time(NULL);
    *p = (sb_pin){.n_files = n_files};
    p->files = sb_calloc(n_files + 1, sizeof *p->files);
    if (!p->files) return SB_FAIL(err, SB_NO_MEMORY, "'%s': no memory for its pin", name);
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    if (gmtime_r(&now, &t)) (void)strftime(p->date, sizeof p->date, "%Y-%m-%dT%H:%M:%SZ", &t);
    return SB_OK;
}

static bool read_file(const json_t *j, sb_pin_file *out)
{
    char hex[65];
    sb_json_copy(j, "name", out->name, sizeof out->name);
    sb_json_copy(j, "sha256", hex, sizeof hex);
    out->bytes = sb_json_count(j, "bytes", UINT64_MAX);
    return out->name[0] && out->bytes != UINT64_MAX && sb_source_sha256(hex, out->sha256);
}

static sb_status from_json(const json_t *j, const char *name, sb_pin *out, sb_error *err)
{
    const json_t *files = json_object_get(j, "files");
    const size_t n = json_array_size(files);
    sb_pin p;
    bool ok = n >= 1 && n <= SB_MAX_SHARDS;
    if (!ok) return SB_FAIL(err, SB_CORRUPT, "the pin of '%s' names no files", name);
    SB_TRY(sb_pin_init(&p, name, n, err));
    sb_json_copy(j, "source", p.source, sizeof p.source);
    sb_json_copy(j, "revision", p.revision, sizeof p.revision);
    sb_json_copy(j, "licence", p.licence, sizeof p.licence);
    sb_json_copy(j, "date", p.date, sizeof p.date);
    sb_json_copy(j, "checked", p.checked, sizeof p.checked);
    sb_json_copy(j, "registered", p.registered, sizeof p.registered);
    for (size_t i = 0; i < n && ok; i++) {
        ok = read_file(json_array_get(files, i), &p.files[i]);
        if (ok && ckd_add(&p.bytes, p.bytes, p.files[i].bytes)) ok = false;
    }
    if (!ok) {
        sb_pin_deinit(&p);
        return SB_FAIL(err, SB_CORRUPT,
                       "the pin of '%s' is damaged: `sobre pull --update` makes a new one", name);
    }
    *out = p;
    return SB_OK;
}

sb_status sb_pin_parse(const char *text, size_t n, const char *name, sb_pin *out, sb_error *err)
{
    json_t *j = NULL;
    SB_TRY(sb_json_in(&j, text, n, "a pin", err));
    const sb_status s = from_json(j, name, out, err);
    json_decref(j);
    return s;
}

static sb_status path_of(const sb_store *s, const char *name, sb_buf *out, sb_error *err)
{
    sb_buf_init(out, SB_MAX_PATH_BYTES, "path of a pin");
    return sb_buf_addf(out, err, "%s/%s.pin", sb_store_models_dir(s), name);
}

sb_status sb_pin_read(const sb_store *s, const char *name, sb_pin *out, sb_error *err)
{
    sb_buf path;
    json_t *j = NULL;
    sb_status st = path_of(s, name, &path, err);
    if (st == SB_OK) st = sb_json_read(&j, path.p, err);
    if (st == SB_OK) st = from_json(j, name, out, err);
    json_decref(j);
    sb_buf_deinit(&path);
    return st;
}

static json_t *to_json(const sb_pin *p)
{
    json_t *files = json_array();
    for (size_t i = 0; i < p->n_files; i++)
        if (json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", p->files[i].name,
                                                   "bytes", (json_int_t)p->files[i].bytes, "sha256",
                                                   p->files[i].sha256)) != 0) {
            json_decref(files);
            return NULL;
        }
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "name", p->name, "source", p->source,
                  "revision", p->revision, "licence", p->licence, "date", p->date, "checked",
                  p->checked, "bytes", (json_int_t)p->bytes, "files", files);
    if (j && p->registered[0] &&
        json_object_set_new(j, "registered", json_string(p->registered)) != 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

sb_status sb_pin_write(const sb_store *s, const sb_pin *p, sb_error *err)
{
    sb_buf path;
    sb_status st = path_of(s, p->name, &path, err);
    if (st == SB_OK) st = sb_json_write(path.p, to_json(p), err);
    sb_buf_deinit(&path);
    return st;
}

sb_status sb_pin_record(const sb_store *s, const char *name, sb_buf *out, sb_error *err)
{
    sb_pin p;
    sb_status st = SB_OK;
    if (!sb_store_name_ok(name) || sb_pin_read(s, name, &p, NULL) != SB_OK) return SB_OK;
    for (size_t i = 0; st == SB_OK && i < p.n_files; i++)
        st = sb_buf_addf(out, err, "%s ", p.files[i].sha256);
    sb_pin_deinit(&p);
    return st;
}

bool sb_pin_same(const sb_pin *a, const sb_pin *b)
{
    if (a->n_files != b->n_files) return false;
    for (size_t i = 0; i < a->n_files; i++)
        if (a->files[i].bytes != b->files[i].bytes ||
            strcmp(a->files[i].sha256, b->files[i].sha256) != 0)
            return false;
    return true;
}
