/* SPDX-License-Identifier: Apache-2.0
 * ollama_list.c - models and their metadata as Ollama's clients read them. */
#include "server/wire/ollama_list.h"

#include "base/alloc.h"
#include "server/wire/json_writer.h"
#include "server/wire/wire_time.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

static sb_str text_of(const char *s)
{
    return (sb_str){s, s ? strlen(s) : 0};
}

static void put_time(sb_jw *w, const char *key, int64_t seconds)
{
    char at[SB_WIRE_TIME_BYTES];
    sb_wire_time(seconds, -1, at);
    sb_jw_put_word(w, key, at);
}

/* "7.6B", "134.52M": as the peers print them, for clients that sort by it. */
static void put_size(sb_jw *w, uint64_t n)
{
    char s[40] = "";
    if (n >= 1000000000)
        (void)snprintf(s, sizeof s, "%.1fB", (double)n / 1e9);
    else if (n >= 1000000)
        (void)snprintf(s, sizeof s, "%.2fM", (double)n / 1e6);
    else if (n)
        (void)snprintf(s, sizeof s, "%.2fK", (double)n / 1e3);
    for (char *p = s; *p; p++) // the locale may have a decimal comma
        if (*p == ',') *p = '.';
    sb_jw_put_word(w, "parameter_size", s);
}

static void put_details(sb_jw *w, const sb_ollama_model *m)
{
    const char *family = m->family ? m->family : "";
    sb_jw_put_open(w, "details", '{');
    sb_jw_put_word(w, "parent_model", "");
    sb_jw_put_word(w, "format", "gguf");
    sb_jw_put_word(w, "family", family);
    sb_jw_put_open(w, "families", '[');
    sb_jw_text(w, text_of(family));
    sb_jw_close(w, ']');
    put_size(w, m->n_params);
    sb_jw_put_word(w, "quantization_level", m->quant ? m->quant : "unknown");
    if (m->n_ctx > 0) sb_jw_put_int(w, "context_length", m->n_ctx);
    if (m->n_embd > 0) sb_jw_put_int(w, "embedding_length", m->n_embd);
    sb_jw_close(w, '}');
}

static void put_capabilities(sb_jw *w, const sb_ollama_model *m)
{
    sb_jw_put_open(w, "capabilities", '[');
    sb_jw_text(w, text_of("completion"));
    if (m->tools) sb_jw_text(w, text_of("tools"));
    if (m->thinking) sb_jw_text(w, text_of("thinking"));
    sb_jw_close(w, ']');
}

static void put_names(sb_jw *w, const sb_ollama_model *m)
{
    sb_jw_put_word(w, "name", m->name);
    sb_jw_put_word(w, "model", m->name);
}

static void put_digest(sb_jw *w, const char *digest)
{
    sb_jw_put_word(w, "digest",
                   digest ? digest
                          : "0000000000000000000000000000000000000000000000000000000000000000");
}

/* {"models": [...]}; put: the members of one. */
static sb_status list(sb_buf *out, const sb_ollama_model *models, size_t n,
                      void (*put)(sb_jw *w, const sb_ollama_model *m), sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "models", '[');
    for (size_t i = 0; i < n; i++) {
        sb_jw_open(&w, '{');
        put(&w, &models[i]);
        sb_jw_close(&w, '}');
    }
    sb_jw_close(&w, ']');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static void put_stored(sb_jw *w, const sb_ollama_model *m)
{
    put_names(w, m);
    put_time(w, "modified_at", m->modified_s);
    sb_jw_put_uint(w, "size", m->bytes);
    put_digest(w, m->digest);
    put_details(w, m);
    put_capabilities(w, m);
}

sb_status sb_ollama_tags(sb_buf *out, const sb_ollama_model *models, size_t n, sb_error *err)
{
    return list(out, models, n, put_stored, err);
}

static void put_loaded(sb_jw *w, const sb_ollama_model *m)
{
    put_names(w, m);
    sb_jw_put_uint(w, "size", m->memory_bytes);
    put_digest(w, m->digest);
    put_details(w, m);
    put_time(w, "expires_at", m->expires_s);
    sb_jw_put_uint(w, "size_vram", 0);
    sb_jw_put_int(w, "context_length", m->n_ctx_used);
}

sb_status sb_ollama_ps(sb_buf *out, const sb_ollama_model *models, size_t n, sb_error *err)
{
    return list(out, models, n, put_loaded, err);
}

sb_status sb_ollama_version(sb_buf *out, const char *version, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "version", version);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* ---- show ---- */

/* What a file recommends for drawing, and Ollama's word for it. */
static const struct {
    const char *key, *word;
} recommended[] = {{"general.sampling.temp", "temperature"},
                   {"general.sampling.top_k", "top_k"},
                   {"general.sampling.top_p", "top_p"},
                   {"general.sampling.min_p", "min_p"}};

static sb_status put_parameters(sb_jw *w, const sb_gguf *g)
{
    sb_buf lines, number;
    sb_buf_init(&lines, 1024, "parameters");
    sb_buf_init(&number, 64, "parameter");
    sb_status s = SB_OK;
    for (size_t i = 0; s == SB_OK && i < SB_ARRAY_LEN(recommended); i++) {
        const sb_gguf_float want = {recommended[i].key, 0, 1e9, -1, false};
        double v = -1;
        if (sb_gguf_get_float(g, &want, &v, NULL) != SB_OK || v < 0) continue;
        sb_jw one;
        sb_buf_clear(&number);
        sb_jw_begin(&one, &number, w->err);
        if (v == (double)(int64_t)v)
            sb_jw_int(&one, (int64_t)v);
        else
            sb_jw_real(&one, (double)(float)v);
        s = sb_jw_end(&one);
        if (s == SB_OK)
            s = sb_buf_addf(&lines, w->err, "%s%-30s %s", lines.n ? "\n" : "", recommended[i].word,
                            number.p);
    }
    if (s == SB_OK) sb_jw_put_text(w, "parameters", (sb_str){lines.p, lines.n});
    sb_buf_deinit(&number);
    sb_buf_deinit(&lines);
    return s;
}

static bool is_whole(sb_gguf_type t)
{
    return t <= SB_GGUF_I32 || t == SB_GGUF_U64 || t == SB_GGUF_I64;
}

static bool is_real(sb_gguf_type t)
{
    return t == SB_GGUF_F32 || t == SB_GGUF_F64;
}

static sb_status put_texts(sb_jw *w, const sb_gguf *g, const sb_gguf_kv *kv)
{
    sb_str *v = sb_alloc((size_t)kv->count, sizeof *v);
    if (!v) return SB_FAIL(w->err, SB_NO_MEMORY, "model_info: out of memory");
    const sb_status s = sb_gguf_kv_strs(g, kv, v, kv->count, w->err);
    for (uint64_t i = 0; s == SB_OK && i < kv->count; i++)
        sb_jw_text(w, v[i]);
    sb_free(v);
    return s;
}

static sb_status put_reals(sb_jw *w, const sb_gguf *g, const sb_gguf_kv *kv)
{
    float *v = sb_alloc((size_t)kv->count, sizeof *v);
    if (!v) return SB_FAIL(w->err, SB_NO_MEMORY, "model_info: out of memory");
    const sb_status s = sb_gguf_kv_floats(g, kv, v, kv->count, w->err);
    for (uint64_t i = 0; s == SB_OK && i < kv->count; i++)
        sb_jw_real(w, (double)v[i]);
    sb_free(v);
    return s;
}

static sb_status put_array(sb_jw *w, const sb_gguf *g, const sb_gguf_kv *kv)
{
    sb_status s = SB_OK;
    sb_jw_open(w, '[');
    if (kv->elem == SB_GGUF_STR)
        s = put_texts(w, g, kv);
    else if (is_real(kv->elem))
        s = put_reals(w, g, kv);
    else
        for (uint64_t i = 0; s == SB_OK && i < kv->count; i++) {
            int64_t v = 0;
            if (sb_gguf_kv_int_at(g, kv, i, &v, NULL) != SB_OK)
                sb_jw_null(w);
            else if (kv->elem == SB_GGUF_BOOL)
                sb_jw_bool(w, v != 0);
            else
                sb_jw_int(w, v);
        }
    sb_jw_close(w, ']');
    return s;
}

/* key: kv's, with a NUL. What no getter can read is null. */
static void put_scalar(sb_jw *w, const sb_gguf *g, const sb_gguf_kv *kv, const char *key)
{
    const sb_gguf_float want = {key, -DBL_MAX, DBL_MAX, 0, true};
    sb_str text;
    int64_t whole = 0;
    double real = 0;
    if (kv->type == SB_GGUF_STR && sb_gguf_get_str(g, key, &text, NULL) == SB_OK)
        sb_jw_text(w, text);
    else if (kv->type == SB_GGUF_BOOL && sb_gguf_kv_int_at(g, kv, 0, &whole, NULL) == SB_OK)
        sb_jw_bool(w, whole != 0);
    else if (is_whole(kv->type) && sb_gguf_kv_int_at(g, kv, 0, &whole, NULL) == SB_OK)
        sb_jw_int(w, whole);
    else if (is_real(kv->type) && sb_gguf_get_float(g, &want, &real, NULL) == SB_OK)
        sb_jw_real(w, real);
    else
        sb_jw_null(w);
}

/* The template has a member of its own. */
static sb_status put_info(sb_jw *w, const sb_gguf *g, bool verbose)
{
    static const char skipped[] = "tokenizer.chat_template";
    sb_status s = SB_OK;
    sb_jw_put_open(w, "model_info", '{');
    for (size_t i = 0; s == SB_OK && i < sb_gguf_n_kv(g); i++) {
        const sb_gguf_kv *kv = sb_gguf_kv_get(g, i);
        if (kv->key.n >= sizeof skipped - 1 && !memcmp(kv->key.p, skipped, sizeof skipped - 1))
            continue;
        char *key = sb_strdup_n(kv->key.p, kv->key.n);
        if (!key) return SB_FAIL(w->err, SB_NO_MEMORY, "model_info: out of memory");
        sb_jw_key_text(w, kv->key);
        if (kv->type != SB_GGUF_ARR)
            put_scalar(w, g, kv, key);
        else if (verbose)
            s = put_array(w, g, kv);
        else
            sb_jw_null(w);
        sb_free(key);
    }
    sb_jw_close(w, '}');
    return s;
}

static void put_tensors(sb_jw *w, const sb_gguf *g)
{
    sb_jw_put_open(w, "tensors", '[');
    for (size_t i = 0; i < sb_gguf_n_tensors(g); i++) {
        const sb_gguf_tensor *t = sb_gguf_tensor_get(g, i);
        sb_jw_open(w, '{');
        sb_jw_put_text(w, "name", t->name);
        sb_jw_put_word(w, "type", sb_format_get(t->format)->name);
        sb_jw_put_open(w, "shape", '[');
        for (int32_t k = 0; k < t->n_dims; k++)
            sb_jw_int(w, t->ne[k]);
        sb_jw_close(w, ']');
        sb_jw_close(w, '}');
    }
    sb_jw_close(w, ']');
}

sb_status sb_ollama_show_body(sb_buf *out, const sb_ollama_show *o, sb_error *err)
{
    const size_t before = out->n;
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_text(&w, "license", o->license);
    sb_jw_put_text(&w, "modelfile", (sb_str){0});
    sb_status s = put_parameters(&w, o->gguf);
    sb_jw_put_text(&w, "template", o->template_text);
    put_details(&w, &o->model);
    if (s == SB_OK) s = put_info(&w, o->gguf, o->verbose);
    if (o->verbose) put_tensors(&w, o->gguf);
    put_capabilities(&w, &o->model);
    put_time(&w, "modified_at", o->model.modified_s);
    sb_jw_close(&w, '}');
    if (s == SB_OK) return sb_jw_end(&w);
    if (out->p) out->p[out->n = before] = 0;
    return s;
}

/* ---- lines ---- */

sb_status sb_ollama_pull(sb_buf *out, const char *status, const char *digest, uint64_t total,
                         uint64_t completed, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "status", status);
    if (digest) sb_jw_put_word(&w, "digest", digest);
    if (total) {
        sb_jw_put_uint(&w, "total", total);
        sb_jw_put_uint(&w, "completed", completed);
    }
    sb_jw_close(&w, '}');
    sb_jw_bytes(&w, "\n");
    return sb_jw_end(&w);
}

sb_status sb_ollama_error(sb_buf *out, const char *text, bool in_stream, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "error", text);
    sb_jw_close(&w, '}');
    if (in_stream) sb_jw_bytes(&w, "\n");
    return sb_jw_end(&w);
}
