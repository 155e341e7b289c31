/* SPDX-License-Identifier: Apache-2.0
 * cmd_show.c - `sobre show`: what a model is, where it came from, what it takes.
 *
 * The facts are gathered into one JSON object; the page for people is printed from it. A model that
 * is not here is shown as the catalogue knows it. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/advice.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "model/model.h"
#include "store/catalog.h"
#include "store/pin.h"

typedef struct showing {
    const sb_cli *c;
    const char *name;
    sb_store *store;
    sb_buf path;
    sb_model *model;   /* NULL: cannot be run */
    sb_gguf *own_gguf; /* then: the container alone */
    const sb_gguf *gguf;
    json_t *all;
    bool ok;
} showing;

static void showing_deinit(showing *s)
{
    json_decref(s->all);
    sb_gguf_close(s->own_gguf);
    sb_model_close(s->model);
    sb_buf_deinit(&s->path);
    sb_store_close(s->store);
}

static void put(showing *s, const char *key, json_t *value)
{
    sb_json_put(s->all, key, value, &s->ok);
}

static void put_text(showing *s, const char *key, const char *text)
{
    if (text[0]) put(s, key, sb_json_text((sb_str){text, strlen(text)}));
}

static void put_memory(showing *s, uint64_t need, const char *how)
{
    put(s, "memory_bytes", json_integer((json_int_t)need));
    put_text(s, "memory_is", how);
    put_text(s, "fits", sb_fit_word(sb_fit_of(need)));
}

static void put_catalog(showing *s, const sb_catalog_row *row)
{
    bool exact;
    const uint64_t bytes = sb_catalog_bytes(row, &exact);
    put_text(s, "model", row->display);
    put_text(s, "source", row->source ? row->source : row->parts[0].source);
    put_text(s, "licence", row->licence);
    if (row->terms) put_text(s, "terms", row->terms);
    put_text(s, "architecture", row->arch);
    put(s, "parameters", json_integer((json_int_t)(row->params_m * 1000000)));
    put(s, "bytes", json_integer((json_int_t)bytes));
    put(s, "exact", json_boolean(exact));
    put_memory(s, sb_catalog_memory(bytes), "estimate");
}

static void put_pin(showing *s)
{
    sb_pin pin;
    sb_catalog_row row;
    if (sb_pin_read(s->store, s->name, &pin, NULL) != SB_OK) {
        if (!sb_catalog_find(s->name, &row)) return;
        put_text(s, "licence", row.licence);
        return;
    }
    put_text(s, "source", pin.source);
    put_text(s, "revision", pin.revision);
    put_text(s, "licence", pin.licence);
    put_text(s, "pulled", pin.date);
    put_text(s, "hash_from", pin.checked);
    put_text(s, "registered", pin.registered);
    json_t *files = json_array();
    for (size_t i = 0; i < pin.n_files; i++)
        s->ok &=
            json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", pin.files[i].name,
                                                   "bytes", (json_int_t)pin.files[i].bytes,
                                                   "sha256", pin.files[i].sha256)) == 0;
    put(s, "files", files);
    sb_pin_deinit(&pin);
}

/* The format of most bytes, and the mean of all. */
static void put_weights(showing *s)
{
    uint64_t bytes[SB_FORMAT_COUNT] = {0}, all_bytes = 0;
    int64_t parameters = 0;
    size_t best = 0;
    for (size_t i = 0; i < sb_gguf_n_tensors(s->gguf); i++) {
        const sb_gguf_tensor *t = sb_gguf_tensor_get(s->gguf, i);
        bytes[t->format] += t->bytes;
        all_bytes += t->bytes;
        parameters += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; /* checked by the reader */
        if (bytes[t->format] > bytes[best]) best = (size_t)t->format;
    }
    put(s, "parameters", json_integer((json_int_t)parameters));
    put_text(s, "quantisation", sb_format_get((sb_format)best)->name);
    if (parameters > 0)
        put(s, "bits_per_weight", json_real(8.0 * (double)all_bytes / (double)parameters));
}

/* What the file itself recommends for drawing. */
static void put_sampling(showing *s)
{
    static const struct {
        const char *name, *key;
        double hi;
    } rows[] = {{"temperature", "general.sampling.temp", 10},
                {"top_k", "general.sampling.top_k", 1e9},
                {"top_p", "general.sampling.top_p", 1},
                {"min_p", "general.sampling.min_p", 1}};
    json_t *o = json_object();
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const sb_gguf_float want = {rows[i].key, 0, rows[i].hi, -1, false};
        double v = -1;
        if (sb_gguf_get_float(s->gguf, &want, &v, NULL) == SB_OK && v >= 0)
            sb_json_put(o, rows[i].name, json_real(v), &s->ok);
    }
    put(s, "recommended_sampling", o);
}

static sb_status put_plan(showing *s, sb_error *err)
{
    const int32_t trained = s->model->hp.n_ctx_train, n_ctx = trained < 8192 ? trained : 8192;
    const sb_engine_opts o = sb_cli_engine_opts(s->c->args, n_ctx, SB_MAX_BATCH_ROWS);
    sb_memory_plan p;
    SB_TRY(sb_engine_plan_memory(s->model, &o, sb_cli_threads(s->c->args), &p, err));
    char how[64];
    (void)snprintf(how, sizeof how, "computed, with %d positions", (int)n_ctx);
    put(s, "context", json_integer(trained));
    put_memory(s, p.packed_bytes + p.kv_bytes + p.work_bytes, how);
    return SB_OK;
}

static sb_status put_model(showing *s, sb_error *err)
{
    sb_error why = {0};
    const sb_status opened = sb_model_open(&s->model, s->path.p, &why);
    if (opened == SB_UNSUPPORTED) {
        SB_TRY(sb_gguf_open(&s->own_gguf, s->path.p, err));
    } else if (opened != SB_OK) {
        if (err) *err = why;
        return opened;
    }
    s->gguf = s->model ? s->model->gguf : s->own_gguf;
    uint64_t bytes = 0;
    for (int32_t i = 0; i < sb_gguf_n_shards(s->gguf); i++)
        bytes += sb_gguf_map(s->gguf, i)->bytes;
    put_text(s, "path", s->path.p);
    put(s, "bytes", json_integer((json_int_t)bytes));
    put(s, "exact", json_true());
    static const struct {
        const char *name, *key;
    } texts[] = {{"model", "general.name"}, {"architecture", "general.architecture"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(texts); i++) {
        sb_str v = {NULL, 0};
        if (sb_gguf_get_str(s->gguf, texts[i].key, &v, NULL) == SB_OK && v.p)
            put(s, texts[i].name, sb_json_text(v));
    }
    put_weights(s);
    put(s, "chat_template", json_boolean(sb_gguf_kv_find(s->gguf, "tokenizer.chat_template")));
    put_sampling(s);
    put(s, "runs", json_boolean(s->model != NULL));
    if (!s->model) put_text(s, "why_not", why.msg);
    return s->model ? put_plan(s, err) : SB_OK;
}

static sb_status gather(showing *s, sb_error *err)
{
    sb_catalog_row row;
    s->all = json_object();
    s->ok = s->all != NULL;
    SB_TRY(sb_store_open(&s->store, NULL, err));
    const bool is_name = sb_store_name_ok(s->name);
    put_text(s, "name", s->name);
    const sb_status found = sb_store_resolve(s->store, s->name, &s->path, err);
    put(s, "here", json_boolean(found == SB_OK));
    if (found == SB_NOT_FOUND && is_name && sb_catalog_find(s->name, &row)) {
        put_catalog(s, &row);
        return SB_OK;
    }
    if (found != SB_OK) return found;
    if (is_name) put_pin(s);
    return put_model(s, err);
}

static void say_value(sb_out *o, const char *key, const json_t *v)
{
    if (json_is_object(v) && json_object_size(v) == 0) return;
    sb_out_addf(o, "%-20s ", key);
    if (json_is_string(v)) {
        sb_out_escaped(o, (sb_str){json_string_value(v), json_string_length(v)}, false);
    } else if (json_is_integer(v)) {
        const json_int_t n = json_integer_value(v);
        sb_out_addf(o, "%lld", (long long)n);
        if (n >= 1000000) sb_out_addf(o, " (%.1f M)", (double)n / 1e6);
    } else if (json_is_real(v)) {
        sb_out_addf(o, "%.2f", json_real_value(v));
    } else if (json_is_object(v)) {
        const char *k, *comma = "";
        json_t *e;
        json_object_foreach((json_t *)(uintptr_t)v, k, e)
        {
            sb_out_addf(o, "%s%s %g", comma, k, json_number_value(e));
            comma = ", ";
        }
    } else {
        sb_out_addf(o, "%s", json_is_true(v) ? "yes" : "no");
    }
    sb_out_add(o, "\n", 1);
}

static void say_page(const showing *s)
{
    const char *key;
    json_t *v;
    json_object_foreach(s->all, key, v)
    {
        if (!json_is_array(v)) {
            say_value(s->c->out, key, v);
            continue;
        }
        for (size_t i = 0; i < json_array_size(v); i++) {
            const json_t *f = json_array_get(v, i);
            const char *name = json_string_value(json_object_get(f, "name"));
            sb_out_addf(s->c->out, "%-20s %s  ", "sha256",
                        json_string_value(json_object_get(f, "sha256")));
            sb_out_escaped(s->c->out, (sb_str){name, strlen(name)}, false);
            sb_out_add(s->c->out, "\n", 1);
        }
    }
}

sb_status sb_cmd_show(const sb_cli *c, sb_error *err)
{
    showing s = {.c = c, .name = c->args->words[0]};
    sb_buf_init(&s.path, SB_MAX_PATH_BYTES, "path of a model");
    sb_status st = gather(&s, err);
    if (st == SB_OK && !s.ok) st = SB_FAIL(err, SB_NO_MEMORY, "show: no memory");
    if (st == SB_OK && c->args->v[SB_OPT_json].set)
        st = sb_json_print(c->out, json_incref(s.all), err);
    else if (st == SB_OK)
        say_page(&s);
    showing_deinit(&s);
    return st;
}
