/* SPDX-License-Identifier: Apache-2.0
 * cmd_inspect.c - `sobre inspect`: everything a model file says of itself, before anyone runs it.
 *
 * The facts are gathered into one JSON object; the page for people is printed from the same object,
 * so the two cannot differ. A file of an architecture we cannot run is still shown; the reason is
 * the command's failure. Every text of the file is escaped before a terminal sees it. */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"
#include "model/model.h"
#include "store/digest.h"

typedef struct inspection {
    const sb_cli *c;
    sb_buf path;
    sb_model *model;     /* NULL: cannot be run */
    sb_gguf *own_gguf;   /* then: the container alone */
    const sb_gguf *gguf; /* of either */
    sb_error why_not;    /* can be read, but not run */
    json_t *all;
    bool ok; /* false: memory ran out on the way */
} inspection;

static void inspection_deinit(inspection *in)
{
    json_decref(in->all);
    sb_gguf_close(in->own_gguf);
    sb_model_close(in->model);
    sb_buf_deinit(&in->path);
}

static sb_status inspection_open(inspection *in, sb_error *err)
{
    SB_TRY(sb_cli_model_path(in->c->args->words[0], &in->path, err));
    const sb_status s = sb_model_open(&in->model, in->path.p, err);
    if (s == SB_OK) {
        in->gguf = in->model->gguf;
        return SB_OK;
    }
    if (s != SB_UNSUPPORTED) return s;
    if (err) in->why_not = *err;
    SB_TRY(sb_gguf_open(&in->own_gguf, in->path.p, err));
    in->gguf = in->own_gguf;
    return SB_OK;
}

static void put_str(inspection *in, const char *key, const char *gguf_key)
{
    sb_str s = {NULL, 0};
    if (sb_gguf_get_str(in->gguf, gguf_key, &s, NULL) == SB_OK && s.p)
        sb_json_put(in->all, key, sb_json_text(s), &in->ok);
}

/* [{path, bytes, sha256}] of every file of the set. */
static sb_status put_files(inspection *in, sb_error *err)
{
    json_t *files = json_array();
    for (int32_t i = 0; i < sb_gguf_n_shards(in->gguf); i++) {
        const sb_map *m = sb_gguf_map(in->gguf, i);
        char hex[SB_SHA256_HEX_BYTES];
        const sb_status s = sb_sha256_bytes(m->p, m->bytes, sb_stop_asked, NULL, hex, err);
        if (s != SB_OK) {
            json_decref(files);
            return s;
        }
        const char *path = sb_gguf_path(in->gguf, i);
        json_t *name = sb_json_text((sb_str){path, strlen(path)});
        if (json_array_append_new(files, json_pack("{s:o, s:I, s:s}", "path", name, "bytes",
                                                   (json_int_t)m->bytes, "sha256", hex)) != 0)
            in->ok = false;
    }
    sb_json_put(in->all, "files", files, &in->ok);
    return SB_OK;
}

/* [{format, tensors, elements, bytes}] in the order of formats.def, and the sum of elements. */
static void put_formats(inspection *in)
{
    struct {
        int64_t n, elements, bytes;
    } sum[SB_FORMAT_COUNT] = {0};
    const size_t n = sb_gguf_n_tensors(in->gguf);
    int64_t parameters = 0;
    for (size_t i = 0; i < n; i++) {
        const sb_gguf_tensor *t = sb_gguf_tensor_get(in->gguf, i);
        const int64_t elements =
            t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; /* checked by the reader */
        sum[t->format].n++;
        sum[t->format].elements += elements;
        sum[t->format].bytes += (int64_t)t->bytes;
        parameters += elements;
    }
    json_t *formats = json_array();
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        if (sum[f].n == 0) continue;
        if (json_array_append_new(formats, json_pack("{s:s, s:I, s:I, s:I}", "format",
                                                     sb_format_get((sb_format)f)->name, "tensors",
                                                     (json_int_t)sum[f].n, "elements",
                                                     (json_int_t)sum[f].elements, "bytes",
                                                     (json_int_t)sum[f].bytes)) != 0)
            in->ok = false;
    }
    sb_json_put(in->all, "parameters", json_integer((json_int_t)parameters), &in->ok);
    sb_json_put(in->all, "tensors", json_integer((json_int_t)n), &in->ok);
    sb_json_put(in->all, "formats", formats, &in->ok);
}

static void put_shape(inspection *in)
{
    const sb_hparams *h = &in->model->hp;
    json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "layers", h->n_layer,
                          "width", h->n_embd, "feed_forward", h->n_ff, "heads", h->n_head,
                          "kv_heads", h->n_kv_head, "head_width", h->head_dim, "vocabulary",
                          h->n_vocab, "context", h->n_ctx_train, "window", h->window);
    sb_json_put(in->all, "shape", o, &in->ok);
}

static void put_tokenizer(inspection *in)
{
    const sb_tokenizer *t = in->model->tok;
    json_t *o = json_pack("{s:i, s:i, s:i, s:b, s:b}", "tokens", sb_tokenizer_n_tok(t), "bos",
                          sb_tokenizer_bos(t), "eos", sb_tokenizer_eos(t), "adds_bos",
                          sb_tokenizer_add_bos(t), "adds_eos", sb_tokenizer_add_eos(t));
    sb_str s = {NULL, 0};
    if (sb_gguf_get_str(in->gguf, "tokenizer.ggml.model", &s, NULL) == SB_OK && s.p)
        sb_json_put(o, "model", sb_json_text(s), &in->ok);
    s = (sb_str){NULL, 0};
    if (sb_gguf_get_str(in->gguf, "tokenizer.ggml.pre", &s, NULL) == SB_OK && s.p)
        sb_json_put(o, "splitter", sb_json_text(s), &in->ok);
    sb_json_put(in->all, "tokenizer", o, &in->ok);
}

/* The name under which this template is published, new lines at its end aside, or NULL. */
static sb_status find_published(sb_str text, const char **out, sb_error *err)
{
    static const char *const known[][2] = {
#define X(sha256, name) {sha256, name},
#include "cli/templates.def"
#undef X
    };
    char hex[SB_SHA256_HEX_BYTES];
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    SB_TRY(sb_sha256_bytes(text.p, text.n, NULL, NULL, hex, err));
    *out = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i][0], hex) == 0) *out = known[i][1];
    return SB_OK;
}

static sb_status put_template(inspection *in, sb_error *err)
{
    sb_str s = {NULL, 0};
    char hex[SB_SHA256_HEX_BYTES];
    if (sb_gguf_get_str(in->gguf, "tokenizer.chat_template", &s, NULL) != SB_OK || !s.p) {
        sb_json_put(in->all, "chat_template", json_null(), &in->ok);
        return SB_OK;
    }
    const char *published;
    SB_TRY(sb_sha256_bytes(s.p, s.n, NULL, NULL, hex, err));
    SB_TRY(find_published(s, &published, err));
    sb_json_put(in->all, "chat_template",
                json_pack("{s:s, s:I, s:s?, s:o}", "sha256", hex, "bytes", (json_int_t)s.n,
                          "published_as", published, "text", sb_json_text(s)),
                &in->ok);
    return SB_OK;
}

static sb_status put_memory(inspection *in, sb_error *err)
{
    const sb_args *a = in->c->args;
    const int32_t trained = in->model->hp.n_ctx_train;
    const int32_t n_ctx = a->v[SB_OPT_ctx].set ? (int32_t)a->v[SB_OPT_ctx].i
                          : trained < 8192     ? trained
                                               : 8192;
    const sb_engine_opts o =
        sb_cli_engine_opts(a, n_ctx, n_ctx < SB_MAX_BATCH_ROWS ? n_ctx : SB_MAX_BATCH_ROWS);
    sb_memory_plan p;
    SB_TRY(sb_engine_plan_memory(in->model, &o, sb_cli_threads(a), &p, err));
    sb_json_put(in->all, "memory",
                json_pack("{s:i, s:s, s:s, s:I, s:I, s:I}", "context", (int)n_ctx, "kv",
                          sb_kv_name(p.kv), "precision", o.precision == SB_EXACT ? "exact" : "fast",
                          "packed_bytes", (json_int_t)p.packed_bytes, "kv_bytes",
                          (json_int_t)p.kv_bytes, "work_bytes", (json_int_t)p.work_bytes),
                &in->ok);
    return SB_OK;
}

static sb_status gather(inspection *in, sb_error *err)
{
    in->all = json_object();
    in->ok = in->all != NULL;
    SB_TRY(put_files(in, err));
    sb_json_put(in->all, "gguf_version", json_integer(sb_gguf_version(in->gguf)), &in->ok);
    sb_json_put(in->all, "unexplained_bytes",
                json_integer((json_int_t)sb_gguf_trailing_bytes(in->gguf)), &in->ok);
    put_str(in, "architecture", "general.architecture");
    put_str(in, "name", "general.name");
    put_str(in, "licence", "general.license");
    put_formats(in);
    if (in->model) {
        put_shape(in);
        put_tokenizer(in);
    }
    SB_TRY(put_template(in, err));
    if (in->model) SB_TRY(put_memory(in, err));
    return in->ok ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "inspect: no memory");
}

/* ---- the page for people ---- */

static void say_bytes(sb_out *o, const char *label, json_int_t bytes)
{
    sb_out_addf(o, "  %-12s %14lld  (%.1f MB)\n", label, (long long)bytes, (double)bytes / 1e6);
}

/* Every scalar of an object, escaped, one a line. */
static void say_scalars(sb_out *o, json_t *object, const char *indent)
{
    const char *key;
    json_t *v;
    json_object_foreach(object, key, v)
    {
        if (json_is_object(v) || json_is_array(v)) continue;
        if (strcmp(key, "text") == 0) continue; /* shown by itself */
        sb_out_addf(o, "%s%-18s ", indent, key);
        if (json_is_string(v))
            sb_out_escaped(o, (sb_str){json_string_value(v), json_string_length(v)}, false);
        else if (json_is_integer(v))
            sb_out_addf(o, "%lld", (long long)json_integer_value(v));
        else
            sb_out_addf(o, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "none");
        sb_out_add(o, "\n", 1);
    }
}

static void say_files(sb_out *o, const json_t *files)
{
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i), *path = json_object_get(f, "path");
        sb_out_addf(o, "file ");
        sb_out_escaped(o, (sb_str){json_string_value(path), json_string_length(path)}, false);
        sb_out_addf(o, "\n");
        say_bytes(o, "bytes", json_integer_value(json_object_get(f, "bytes")));
        sb_out_addf(o, "  sha-256      %s\n", json_string_value(json_object_get(f, "sha256")));
    }
}

static void say_template(sb_out *o, const json_t *t)
{
    if (!json_is_object(t)) return;
    const json_t *text = json_object_get(t, "text");
    sb_out_addf(o, "chat template, %lld bytes, SHA-256 %s\n",
                (long long)json_integer_value(json_object_get(t, "bytes")),
                json_string_value(json_object_get(t, "sha256")));
    const char *known = json_string_value(json_object_get(t, "published_as"));
    if (known)
        sb_out_say(o, "  published as %s", known);
    else
        sb_out_say(o, "  none of the published templates known here: read it before you trust it");
    sb_out_add(o, "\n", 1);
    sb_str rest = {json_string_value(text), json_string_length(text)};
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        const size_t n = end ? (size_t)(end - rest.p) : rest.n;
        sb_out_addf(o, "  | ");
        sb_out_escaped(o, (sb_str){rest.p, n}, false);
        sb_out_addf(o, "\n");
        const size_t step = n + (end ? 1 : 0);
        rest = (sb_str){rest.p + step, rest.n - step};
    }
}

static void say_page(const inspection *in)
{
    sb_out *o = in->c->out;
    json_t *all = in->all;
    say_files(o, json_object_get(all, "files"));
    say_scalars(o, all, "");
    json_t *shape = json_object_get(all, "shape"), *tok = json_object_get(all, "tokenizer");
    if (shape) say_scalars(o, shape, "  ");
    const json_t *formats = json_object_get(all, "formats");
    sb_out_addf(o, "formats\n");
    for (size_t i = 0; i < json_array_size(formats); i++) {
        const json_t *f = json_array_get(formats, i);
        const json_int_t bytes = json_integer_value(json_object_get(f, "bytes"));
        sb_out_addf(o, "  %-8s %6lld tensors %14lld elements %14lld bytes  (%.1f MB)\n",
                    json_string_value(json_object_get(f, "format")),
                    (long long)json_integer_value(json_object_get(f, "tensors")),
                    (long long)json_integer_value(json_object_get(f, "elements")), (long long)bytes,
                    (double)bytes / 1e6);
    }
    if (tok) {
        sb_out_addf(o, "tokenizer\n");
        say_scalars(o, tok, "  ");
    }
    say_template(o, json_object_get(all, "chat_template"));
    const json_t *memory = json_object_get(all, "memory");
    if (!memory) return;
    const json_int_t w = json_integer_value(json_object_get(memory, "packed_bytes"));
    const json_int_t k = json_integer_value(json_object_get(memory, "kv_bytes"));
    const json_int_t b = json_integer_value(json_object_get(memory, "work_bytes"));
    sb_out_addf(o, "memory for %lld positions, keys and values in %s, %s\n",
                (long long)json_integer_value(json_object_get(memory, "context")),
                json_string_value(json_object_get(memory, "kv")),
                json_string_value(json_object_get(memory, "precision")));
    say_bytes(o, "weights", w);
    say_bytes(o, "keys, values", k);
    say_bytes(o, "work", b);
    say_bytes(o, "together", w + k + b);
}

sb_status sb_cmd_inspect(const sb_cli *c, sb_error *err)
{
    inspection in = {.c = c};
    sb_buf_init(&in.path, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = inspection_open(&in, err);
    if (s == SB_OK) s = gather(&in, err);
    if (s == SB_OK && c->args->v[SB_OPT_json].set)
        s = sb_json_print(c->out, json_incref(in.all), err);
    else if (s == SB_OK)
        say_page(&in);
    if (s == SB_OK && !in.model) s = SB_FAIL(err, SB_UNSUPPORTED, "%s", in.why_not.msg);
    inspection_deinit(&in);
    return s;
}
