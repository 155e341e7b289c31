/* SPDX-License-Identifier: Apache-2.0
 * model.c - opening a model: container, architecture, keys, vocabulary, weights, plan, in this
 * order, so that the first thing wrong is the one named. */
#include "model/model.h"

#include "base/alloc.h"
#include "model/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const sb_arch *const archs[] = {
#define X(name) &sb_arch_##name,
#include "model/arch.def"
#undef X
};

const char *sb_model_arch_list(void)
{
    static const char list[] =
#define X(name) ", " #name
#include "model/arch.def"
#undef X
        ;
    return list + 2;
}

const char *sb_model_arch_name(const sb_model *m)
{
    return m->arch ? m->arch->name : "unknown";
}

static sb_status find_arch(sb_model *m, sb_error *err)
{
    sb_str name = {0};
    SB_TRY(sb_gguf_get_str(m->gguf, "general.architecture", &name, err));
    for (size_t i = 0; i < SB_ARRAY_LEN(archs); i++)
        if (strlen(archs[i]->name) == name.n && memcmp(archs[i]->name, name.p, name.n) == 0) {
            m->arch = archs[i];
            return SB_OK;
        }
    if (!name.n)
        return SB_FAIL(err, SB_CORRUPT, "%s: general.architecture is missing",
                       sb_gguf_path(m->gguf, 0));
    return SB_FAIL(err, SB_UNSUPPORTED, "%s: architecture '%.*s' is not supported (%s)",
                   sb_gguf_path(m->gguf, 0), (int)(name.n > 40 ? 40 : name.n), name.p,
                   sb_model_arch_list());
}

/* The file's own sampling advice and template, where it has them. */
static sb_status read_advice(sb_model *m, sb_error *err)
{
    const sb_gguf_float temp = {"general.sampling.temp", 0, 10, -1, false};
    double v = -1;
    SB_TRY(sb_gguf_get_float(m->gguf, &temp, &v, err));
    m->temp = (float)v;
    SB_TRY(sb_gguf_get_str(m->gguf, "tokenizer.chat_template", &m->chat_template, err));
    return sb_gguf_get_str(m->gguf, "tokenizer.chat_template.tool_use", &m->tool_template, err);
}

static sb_status open_all(sb_model *m, const char *path, bool only_vocab, sb_error *err)
{
    SB_TRY(sb_gguf_open(&m->gguf, path, err));
    const sb_status known = find_arch(m, err);
    if (known != SB_OK && !only_vocab) return known;
    if (!only_vocab) SB_TRY(sb_model_read_hparams(m, err));
    SB_TRY(sb_model_read_vocab(m, err));
    SB_TRY(read_advice(m, err));
    if (only_vocab) return SB_OK;
    SB_TRY(sb_model_bind(m, err));
    m->arch->plan(m, &m->plan);
    return sb_plan_finish(&m->plan, err);
}

static sb_status open_model(sb_model **out, const char *path, bool only_vocab, sb_error *err)
{
    sb_model *m = sb_calloc(1, sizeof *m);
    if (!m) return SB_FAIL(err, SB_NO_MEMORY, "%s: out of memory", path);
    sb_plan_init(&m->plan);
    sb_status s = open_all(m, path, only_vocab, err);
    if (m->gguf && s != SB_NO_MEMORY) { /* what is wrong in a file that changed is that it did */
        const sb_status changed = sb_gguf_check(m->gguf, err);
        if (changed != SB_OK) s = changed;
    }
    if (s == SB_OK)
        *out = m;
    else
        sb_model_close(m);
    return s;
}

sb_status sb_model_open(sb_model **out, const char *path, sb_error *err)
{
    return open_model(out, path, false, err);
}

sb_status sb_model_open_vocab(sb_model **out, const char *path, sb_error *err)
{
    return open_model(out, path, true, err);
}

void sb_model_close(sb_model *m)
{
    if (!m) return;
    sb_plan_deinit(&m->plan);
    sb_tokenizer_free(m->tok);
    sb_free(m->strs);
    sb_free(m->bound);
    sb_free(m->weights);
    sb_gguf_close(m->gguf);
    sb_free(m);
}

uint64_t sb_model_n_params(const sb_model *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < sb_gguf_n_tensors(m->gguf); i++) {
        const sb_gguf_tensor *t = sb_gguf_tensor_get(m->gguf, i);
        n += (uint64_t)t->ne[0] * (uint64_t)t->ne[1] * (uint64_t)t->ne[2] * (uint64_t)t->ne[3];
    }
    return n;
}

/* Rows follow one another without gaps: one run of whole blocks. */
static bool is_finite(const sb_weight *w)
{
    const int64_t n = w->k * w->n_row;
    enum { RUN = 256 }; /* whole blocks of every format */
    float v[RUN];
    for (int64_t i = 0; i < n; i += RUN) {
        const int64_t now = n - i < RUN ? n - i : RUN;
        sb_unpack_row(w->format, w->data + sb_format_row_bytes(w->format, i), v, now);
        for (int64_t k = 0; k < now; k++)
            if (!isfinite(v[k])) return false;
    }
    return true;
}

const sb_weight *sb_model_find_broken(const sb_model *m)
{
    for (int32_t i = 0; i < m->n_weights; i++)
        if (!is_finite(&m->weights[i])) return &m->weights[i];
    return NULL;
}
