/* SPDX-License-Identifier: Apache-2.0
 * ask.c - a request's body to an ask, its memory, and what a failure is called on the wire. */
#include "server/wire/wire.h"

#include "base/alloc.h"
#include "server/wire/ask_fields.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

enum { BLOCK_BYTES = 4096 };

/* Blocks, newest first, cut from the front. */
struct sb_ask_mem {
    struct sb_ask_mem *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char p[];
};

void *sb_ask_take(sb_ask *a, size_t n, size_t size)
{
    size_t bytes, all;
    if (ckd_mul(&bytes, n, size) || ckd_add(&all, bytes, 2 * alignof(max_align_t))) return NULL;
    bytes = SB_ALIGN_UP(bytes, alignof(max_align_t));
    if (!a->mem || a->mem->cap - a->mem->used < bytes) {
        const size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        struct sb_ask_mem *m = ckd_add(&all, cap, sizeof *m) ? NULL : sb_calloc(1, all);
        if (!m) return NULL;
        m->next = a->mem;
        m->cap = cap;
        a->mem = m;
    }
    void *p = a->mem->p + a->mem->used;
    a->mem->used += bytes;
    return p;
}

void sb_ask_deinit(sb_ask *a)
{
    if (!a) return;
    while (a->mem) {
        struct sb_ask_mem *next = a->mem->next;
        sb_free(a->mem);
        a->mem = next;
    }
    json_decref(a->kept);
    json_decref(a->warnings);
    json_decref(a->root);
    *a = (sb_ask){.opts = a->opts};
}

/* A budget of the request; its choices have equal parts of it. */
static sb_status read_budget(sb_ask *a, sb_wire_error *w)
{
    static const double least_j = 1e-6, most_j = 1e9;
    const sb_fields f = {.o = a->root, .path = "", .w = w};
    double j = 0;
    SB_TRY(sb_field_real(&f, "max_energy_j", least_j, most_j, &j));
    if (j <= 0 || a->n_turns == 0) return SB_OK;
    const int64_t each_uj = (int64_t)(j * 1e6 / (double)a->n_turns);
    for (size_t i = 0; i < a->n_turns; i++)
        a->turns[i].max_energy_uj = each_uj > 0 ? each_uj : 1;
    return SB_OK;
}

static sb_status read_body(sb_ask *a, const sb_dialect *d, sb_str body, sb_wire_error *w)
{
    SB_TRY(sb_wire_json(&a->root, body, w));
    if (!json_is_object(a->root))
        return SB_FAIL(&w->err, SB_INVALID, "body: byte 0: a JSON object is expected");
    a->dialect = d;
    a->keep_alive_s = NAN;
    SB_TRY(sb_fields_check(a, a->root, d->fields, "", w));
    SB_TRY(d->parse(a, w));
    return read_budget(a, w);
}

sb_status sb_wire_read(sb_ask *a, const sb_dialect *d, sb_str body, sb_wire_error *w)
{
    *w = (sb_wire_error){0};
    const sb_status s = read_body(a, d, body, w);
    if (s == SB_OK) return SB_OK;
    sb_ask_deinit(a);
    sb_wire_status(w);
    return s;
}

/* ---- failures ---- */

static const struct {
    int status;
    const char *code;
    int retry_after_s;
} of_status[] = {
    [SB_OK] = {200, NULL, 0},
    [SB_INVALID] = {400, "invalid_value", 0},
    [SB_NOT_FOUND] = {404, "not_found", 0},
    [SB_UNSUPPORTED] = {400, "unsupported_value", 0},
    [SB_CORRUPT] = {500, "damaged_data", 0},
    [SB_IO] = {500, "io_error", 0},
    [SB_NO_MEMORY] = {503, "out_of_memory", 1},
    [SB_BUSY] = {503, "overloaded", 1},
    [SB_CANCELLED] = {499, "cancelled", 0},
    [SB_LIMIT] = {400, "over_limit", 0},
};
_Static_assert(SB_ARRAY_LEN(of_status) == SB_STATUS_COUNT, "a row for each status");

/* What the rooms below say with the same few statuses, told apart by how their messages begin. */
static const struct {
    const char *begins;
    sb_status only; /* SB_OK: any */
    int status;
    const char *code, *param;
} of_message[] = {
    {"context_length", SB_OK, 400, "context_length_exceeded", "messages"},
    {"logit-bias", SB_OK, 400, "invalid_value", "logit_bias"},
    {"chat template", SB_LIMIT, 422, "template_budget", ""},
    {"chat template", SB_CORRUPT, 400, "template_error", ""},
    {"chat template", SB_INVALID, 400, "template_error", ""},
    {"the model has no chat template", SB_OK, 400, "no_chat_template", ""},
};

/* Messages that begin with the name of a field of the list name that field. */
static void by_field(sb_wire_error *w)
{
    size_t n;
    const sb_field_row *rows = sb_field_rows(&n);
    const char *end = strchr(w->err.msg, ':');
    const size_t len = end ? (size_t)(end - w->err.msg) : 0;
    for (size_t i = 0; len && i < n; i++) {
        if (strlen(rows[i].name) != len || memcmp(rows[i].name, w->err.msg, len) != 0) continue;
        memcpy(w->param, rows[i].name, len + 1);
        return;
    }
}

static void by_message(sb_wire_error *w)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(of_message); i++) {
        const char *begins = of_message[i].begins, *param = of_message[i].param;
        if (of_message[i].only != SB_OK && of_message[i].only != w->err.code) continue;
        if (strncmp(w->err.msg, begins, strlen(begins)) != 0) continue;
        if (!w->code) w->code = of_message[i].code;
        if (!w->status) w->status = of_message[i].status;
        if (!w->param[0]) memcpy(w->param, param, strlen(param) + 1);
        return;
    }
}

void sb_wire_status(sb_wire_error *w)
{
    by_message(w);
    if (!w->param[0] && (w->err.code == SB_INVALID || w->err.code == SB_LIMIT)) by_field(w);
    if (!w->code) w->code = of_status[w->err.code].code;
    if (!w->status) w->status = of_status[w->err.code].status;
    if (!w->retry_after_s && w->status == of_status[w->err.code].status)
        w->retry_after_s = of_status[w->err.code].retry_after_s;
}
