/* SPDX-License-Identifier: Apache-2.0
 * routes_models.c - which models there are, as OpenAI, Anthropic and Ollama say it. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "model/model.h"
#include "prompt/prompt.h"
#include "server/look.h"
#include "server/server_in.h"
#include "server/wire/anthropic.h"
#include "server/wire/listing.h"
#include "server/wire/ollama.h"
#include "server/wire/ollama_list.h"
#include "store/pin.h"

enum { MAX_LISTED = SB_MAX_LISTED_MODELS };

/* All of them; the caller frees. NULL: out of memory. */
static sb_model_info *list(sb_server *sv, size_t *out_n)
{
    sb_model_info *all = sb_calloc(MAX_LISTED, sizeof *all);
    if (!all) return NULL;
    *out_n = sb_models_list(sv->models, all, MAX_LISTED);
    if (*out_n > MAX_LISTED) *out_n = MAX_LISTED;
    return all;
}

static void no_memory(sb_x *x)
{
    sb_error err;
    (void)SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
    sb_reply_failure(x, &err);
}

/* ---- OpenAI and Anthropic ---- */

static sb_listed_model openai_model(const sb_server *sv, const sb_model_info *m)
{
    static const char *const states[] = {[SB_MODEL_ABSENT] = "unloaded",
                                         [SB_MODEL_LOADING] = "loading",
                                         [SB_MODEL_LOADED] = "loaded"};
    return (sb_listed_model){.id = m->id,
                             .created_s = m->modified_s ? m->modified_s : sv->start_s,
                             .state = states[m->state],
                             .load_part = m->state == SB_MODEL_LOADING ? m->load_part : 0,
                             .arch = m->arch,
                             .format = m->format,
                             .licence = m->licence,
                             .source = m->source,
                             .n_params = m->n_params,
                             .file_bytes = m->file_bytes,
                             .memory_bytes = m->memory_bytes,
                             .n_ctx = m->n_ctx,
                             .n_ctx_train = m->n_ctx_train};
}

static void reply_openai(sb_server *sv, sb_x *x, const sb_model_info *all, size_t n)
{
    sb_listed_model *models = sb_calloc(n ? n : 1, sizeof *models);
    sb_buf body;
    sb_error err;
    if (!models) {
        no_memory(x);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        models[i] = openai_model(sv, &all[i]);
        models[i].is_default = i == 0 && all[i].given;
    }
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "list of models");
    const sb_status s = sb_models_body(&body, models, n, &err);
    sb_look_reply(x, &body, s, &err);
    sb_free(models);
}

static sb_anthropic_model anthropic_model(const sb_server *sv, const sb_model_info *m)
{
    return (sb_anthropic_model){.id = m->id,
                                .created_s = m->modified_s ? m->modified_s : sv->start_s,
                                .n_ctx = m->n_ctx ? m->n_ctx : m->n_ctx_train};
}

static void reply_anthropic(sb_server *sv, sb_x *x, const sb_model_info *all, size_t n)
{
    sb_anthropic_model *models = sb_calloc(n ? n : 1, sizeof *models);
    sb_buf body;
    sb_error err;
    if (!models) {
        no_memory(x);
        return;
    }
    for (size_t i = 0; i < n; i++)
        models[i] = anthropic_model(sv, &all[i]);
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "list of models");
    const sb_status s = sb_anthropic_models(&body, models, n, &err);
    sb_look_reply(x, &body, s, &err);
    sb_free(models);
}

static bool is_anthropic(const sb_x *x)
{
    return sb_http_header_find(sb_x_request(x), "anthropic-version").p != NULL;
}

static void look_models(sb_server *sv, sb_x *x, const sb_caller *who)
{
    size_t n = 0;
    (void)who;
    sb_model_info *all = list(sv, &n);
    if (!all)
        no_memory(x);
    else if (is_anthropic(x))
        reply_anthropic(sv, x, all, n);
    else
        reply_openai(sv, x, all, n);
    sb_free(all);
}

void sb_route_openai_models(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_models);
}

static void look_model(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_model_info m;
    char name[SB_MODEL_ID_BYTES + 8];
    const sb_str path = sb_x_request(x)->path;
    const size_t skip = strlen("/v1/models/");
    (void)who;
    (void)snprintf(name, sizeof name, "%.*s", (int)(path.n - skip), path.p + skip);
    if (!sb_models_find(sv->models, name, &m)) {
        sb_wire_error w = {.status = 404, .code = "model_not_found", .param = "model"};
        (void)SB_FAIL(&w.err, SB_NOT_FOUND, "there is no model of that name");
        sb_reply_error(x, &w);
    } else if (is_anthropic(x)) {
        const sb_anthropic_model a = anthropic_model(sv, &m);
        sb_buf body;
        sb_error err;
        sb_buf_init(&body, SB_MAX_REPLY_BYTES, "model");
        const sb_status s = sb_anthropic_model_body(&body, &a, &err);
        sb_look_reply(x, &body, s, &err);
    } else {
        const sb_listed_model o = openai_model(sv, &m);
        sb_buf body;
        sb_error err;
        sb_buf_init(&body, SB_MAX_REPLY_BYTES, "model");
        const sb_status s = sb_model_body(&body, &o, &err);
        sb_look_reply(x, &body, s, &err);
    }
}

void sb_route_openai_model(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_model);
}

/* ---- Ollama ---- */

static sb_ollama_model ollama_model(const sb_model_info *m)
{
    return (sb_ollama_model){.name = m->id,
                             .modified_s = m->modified_s,
                             .bytes = m->file_bytes,
                             .digest = m->sha256[0] ? m->sha256 : NULL,
                             .family = m->arch[0] ? m->arch : "unknown",
                             .quant = m->format[0] ? m->format : NULL,
                             .n_params = m->n_params,
                             .n_ctx = m->n_ctx_train,
                             .expires_s = m->expires_s ? m->expires_s : INT64_MAX,
                             .memory_bytes = m->memory_bytes,
                             .n_ctx_used = m->n_ctx};
}

static void reply_ollama(sb_server *sv, sb_x *x, bool loaded_only)
{
    size_t n = 0, k = 0;
    sb_model_info *all = list(sv, &n);
    sb_ollama_model *models = all ? sb_calloc(n ? n : 1, sizeof *models) : NULL;
    sb_buf body;
    sb_error err;
    if (!models) {
        sb_free(all);
        no_memory(x);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!loaded_only || all[i].state == SB_MODEL_LOADED) models[k++] = ollama_model(&all[i]);
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "list of models");
    const sb_status s =
        loaded_only ? sb_ollama_ps(&body, models, k, &err) : sb_ollama_tags(&body, models, k, &err);
    sb_look_reply(x, &body, s, &err);
    sb_free(models);
    sb_free(all);
}

static void look_tags(sb_server *sv, sb_x *x, const sb_caller *who)
{
    (void)who;
    reply_ollama(sv, x, false);
}

static void look_ps(sb_server *sv, sb_x *x, const sb_caller *who)
{
    (void)who;
    reply_ollama(sv, x, true);
}

void sb_route_ollama_tags(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_tags);
}

void sb_route_ollama_ps(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_ps);
}

void sb_route_ollama_version(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf body;
    sb_error err;
    (void)who;
    sb_buf_init(&body, 256, "version");
    const sb_status s = sb_ollama_version(&body, sv->o.version, &err);
    sb_look_reply(x, &body, s, &err);
    sb_x_release(x);
}

/* Opens the file beside the registry: what is shown needs no weights. */
static sb_status show(sb_server *sv, const sb_ollama_small *ask, const sb_model_info *info,
                      sb_buf *body, sb_error *err)
{
    sb_buf path;
    sb_model *m = NULL;
    sb_prompter p = {0};
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_status s = sb_models_path(sv->models, info->id, &path, err);
    if (s == SB_OK) s = sb_model_open(&m, path.p, err);
    if (s == SB_OK) s = sb_prompter_init(&p, m, (sb_str){NULL, 0}, err);
    if (s == SB_OK) {
        sb_ollama_show o = {.model = ollama_model(info),
                            .gguf = m->gguf,
                            .license = {info->licence, strlen(info->licence)},
                            .template_text = p.text,
                            .verbose = ask->verbose};
        o.model.family = sb_model_arch_name(m);
        o.model.n_params = sb_model_n_params(m);
        o.model.n_ctx = m->hp.n_ctx_train;
        o.model.n_embd = m->hp.n_embd;
        o.model.tools = p.tools || (p.text.n && memmem(p.text.p, p.text.n, "tools", 5));
        o.model.thinking = p.text.n && memmem(p.text.p, p.text.n, "think", 5);
        s = sb_ollama_show_body(body, &o, err);
    }
    sb_prompter_deinit(&p);
    sb_model_close(m);
    sb_buf_deinit(&path);
    return s;
}

static void look_show(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_wire_error w = {0};
    sb_ollama_small ask = {0};
    sb_model_info info;
    char name[SB_MODEL_ID_BYTES];
    json_t *root = NULL;
    sb_buf body;
    (void)who;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "model");
    sb_status s = sb_wire_json(&root, sb_x_request(x)->body, &w);
    if (s == SB_OK) s = sb_ollama_small_read(&ask, root, &w);
    (void)snprintf(name, sizeof name, "%.*s", (int)ask.model.n, ask.model.p ? ask.model.p : "");
    if (s == SB_OK &&
        (ask.model.n >= sizeof name || !name[0] || !sb_models_find(sv->models, name, &info)))
        s = SB_FAIL(&w.err, SB_NOT_FOUND, "model '%.64s' not found",
                    sb_store_name_ok(name) ? name : "?");
    if (s == SB_OK) s = show(sv, &ask, &info, &body, &w.err);
    json_decref(root);
    if (s != SB_OK) {
        sb_wire_status(&w);
        sb_reply_error(x, &w);
        sb_buf_deinit(&body);
        return;
    }
    sb_look_reply(x, &body, s, &w.err);
}

void sb_route_ollama_show(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_show);
}
