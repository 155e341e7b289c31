/* SPDX-License-Identifier: Apache-2.0
 * page_models.c - the models a person can choose: those here, those of the catalogue, and
 * downloads. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "server/models.h"
#include "server/page/page_in.h"
#include "store/catalog.h"
#include "base/machine.h"

enum { MAX_LISTED = 256, PULL_MS = 250 };

/* Does so much memory fit: now, when others make room, or never. */
static const char *fit_of(uint64_t bytes, const sb_machine_memory *m)
{
    if (bytes <= m->available_bytes) return "yes";
    return bytes <= m->total_bytes ? "tight" : "no";
}

static void put_pull(sb_jw *w, sb_page *p, const char *name)
{
    uint64_t done = 0, all = 0;
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (const sb_page_pull *q = p->pulls; q && !found; q = q->next) {
        found = strcmp(q->name, name) == 0;
        done = q->done_bytes;
        all = q->all_bytes;
    }
    pthread_mutex_unlock(&p->lock);
    if (!found) return;
    sb_jw_put_open(w, "pull", '{');
    sb_jw_put_word(w, "name", name);
    sb_jw_put_word(w, "state", "running");
    sb_jw_put_int(w, "done", (int64_t)done);
    sb_jw_put_int(w, "all", (int64_t)all);
    sb_jw_close(w, '}');
}

static void put_here(sb_jw *w, sb_page *p, const sb_model_info *m, const sb_machine_memory *mem)
{
    sb_catalog_row row = {0};
    const bool known = sb_catalog_find(m->id, &row);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "name", m->id);
    sb_jw_put_word(w, "display", known ? row.display : m->id);
    sb_jw_put_word(w, "licence", *m->licence ? m->licence : known ? row.licence : "");
    sb_jw_put_bool(w, "here", true);
    sb_jw_put_bool(w, "given", m->given);
    sb_jw_put_bool(w, "loaded", m->state == SB_MODEL_LOADED);
    sb_jw_put_real(w, "params_m", known ? (double)row.params_m : (double)m->n_params / 1e6);
    sb_jw_put_int(w, "file_bytes", (int64_t)m->file_bytes);
    sb_jw_put_int(w, "memory_bytes", (int64_t)m->memory_bytes);
    sb_jw_put_word(w, "fits", m->state == SB_MODEL_LOADED ? "yes" : fit_of(m->memory_bytes, mem));
    if (m->n_ctx || m->n_ctx_train) sb_jw_put_int(w, "n_ctx", m->n_ctx ? m->n_ctx : m->n_ctx_train);
    put_pull(w, p, m->id);
    sb_jw_close(w, '}');
}

static void put_row(sb_jw *w, const sb_page_call *c, const sb_catalog_row *row,
                    const sb_machine_memory *mem)
{
    bool exact = false;
    const uint64_t bytes = sb_catalog_bytes(row, &exact);
    const uint64_t memory = sb_catalog_memory(bytes);
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "name", row->name);
    sb_jw_put_word(w, "display", row->display);
    sb_jw_put_word(w, "licence", row->licence);
    if (row->terms) sb_jw_put_word(w, "terms", row->terms);
    sb_jw_put_bool(w, "here", false);
    sb_jw_put_bool(w, "may_pull", c->who.may_manage);
    sb_jw_put_real(w, "params_m", (double)row->params_m);
    sb_jw_put_int(w, "file_bytes", (int64_t)bytes);
    sb_jw_put_int(w, "memory_bytes", (int64_t)memory);
    sb_jw_put_word(w, "fits", fit_of(memory, mem));
    put_pull(w, c->page, row->name);
    sb_jw_close(w, '}');
}

static bool is_listed(const sb_model_info *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].id, name) == 0) return true;
    return false;
}

static sb_status put_list(sb_page_call *c, sb_model_info *v)
{
    sb_machine_memory mem = {0, 0};
    SB_TRY(sb_machine_memory_read(NULL, &mem, &c->w.err));
    size_t n = sb_models_list(sb_server_models(c->page->sv), v, MAX_LISTED);
    if (n > MAX_LISTED) n = MAX_LISTED;
    sb_jw w;
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "models", '[');
    for (size_t i = 0; i < n; i++)
        put_here(&w, c->page, &v[i], &mem);
    for (size_t i = 0; i < sb_catalog_n(); i++) {
        const sb_catalog_row row = sb_catalog_get(i);
        if (!is_listed(v, n, row.name)) put_row(&w, c, &row, &mem);
    }
    sb_jw_close(&w, ']');
    sb_jw_put_open(&w, "machine", '{');
    sb_jw_put_int(&w, "memory_bytes", (int64_t)mem.total_bytes);
    sb_jw_put_int(&w, "free_bytes", (int64_t)mem.available_bytes);
    sb_jw_close(&w, '}');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_page_models(sb_page_call *c)
{
    sb_model_info *v = sb_calloc(MAX_LISTED, sizeof *v);
    if (!v) return sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    const sb_status st = put_list(c, v);
    sb_free(v);
    return st;
}

/* ---- downloads; on the loop's thread ---- */

static sb_page_pull **find_pull(sb_page *p, const char *name)
{
    sb_page_pull **at = &p->pulls;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

/* Lock held. why: "" while it runs and when it is done. */
static void tell_pull(sb_page_pull *q, const char *state, const char *why)
{
    sb_jw w;
    sb_buf out;
    sb_buf_init(&out, SB_PAGE_EVENT_BYTES, "event");
    sb_jw_begin(&w, &out, NULL);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "name", q->name);
    sb_jw_put_word(&w, "state", state);
    sb_jw_put_int(&w, "done", (int64_t)q->done_bytes);
    sb_jw_put_int(&w, "all", (int64_t)q->all_bytes);
    if (*why) sb_jw_put_word(&w, "error", why);
    sb_jw_close(&w, '}');
    if (sb_jw_end(&w) == SB_OK) sb_page_tell_all(q->page, "pull", (sb_str){out.p, out.n});
    sb_buf_deinit(&out);
}

static void on_progress(void *ctx, const sb_pull_news *n)
{
    sb_page_pull *q = ctx;
    const uint64_t now = sb_now_ns();
    pthread_mutex_lock(&q->page->lock);
    q->done_bytes = n->done_bytes;
    q->all_bytes = n->total_bytes;
    if (now - q->told_ns > (uint64_t)PULL_MS * 1000000) {
        q->told_ns = now;
        tell_pull(q, "running", "");
    }
    pthread_mutex_unlock(&q->page->lock);
}

static void on_end(void *ctx, const char *name, const sb_error *err)
{
    (void)name;
    sb_page_pull *q = ctx;
    sb_page *p = q->page;
    pthread_mutex_lock(&p->lock);
    sb_page_pull **at = find_pull(p, q->name);
    *at = q->next;
    tell_pull(q, err ? "failed" : "done", err ? err->msg : "");
    pthread_mutex_unlock(&p->lock);
    sb_free(q);
}

static sb_status need_manager(sb_page_call *c)
{
    if (c->who.may_manage) return SB_OK;
    c->w.status = 403;
    return sb_page_fail(c, SB_INVALID, "", "this key may not bring models");
}

sb_status sb_page_pull_begin(sb_page_call *c)
{
    sb_page *p = c->page;
    SB_TRY(need_manager(c));
    pthread_mutex_lock(&p->lock);
    const bool runs = *find_pull(p, c->id) != NULL;
    pthread_mutex_unlock(&p->lock);
    if (runs) return SB_OK;
    sb_page_pull *q = sb_calloc(1, sizeof *q);
    if (!q) return sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    q->page = p;
    (void)snprintf(q->name, sizeof q->name, "%s", c->id);
    // In the list first: the pull may end inside the call that begins it.
    pthread_mutex_lock(&p->lock);
    q->next = p->pulls;
    p->pulls = q;
    pthread_mutex_unlock(&p->lock);
    const sb_pull_watch watch = {.progress = on_progress, .end = on_end, .ctx = q};
    uint64_t id = 0;
    const sb_status st = sb_server_pull(p->sv, &c->who, c->id,
                                        json_is_true(json_object_get(c->body, "accept_terms")),
                                        &watch, &id, &c->w.err);
    pthread_mutex_lock(&p->lock);
    sb_page_pull **at = find_pull(p, c->id);
    if (*at == q && st == SB_OK) {
        q->id = id;
    } else if (*at == q) {
        *at = q->next;
        sb_free(q);
    }
    pthread_mutex_unlock(&p->lock);
    return st;
}

sb_status sb_page_pull_stop(sb_page_call *c)
{
    sb_page *p = c->page;
    SB_TRY(need_manager(c));
    pthread_mutex_lock(&p->lock);
    sb_page_pull **at = find_pull(p, c->id);
    sb_page_pull *q = *at;
    if (q) *at = q->next;
    pthread_mutex_unlock(&p->lock);
    if (!q) return SB_OK;
    sb_server_unwatch(p->sv, q->id, true);
    pthread_mutex_lock(&p->lock);
    tell_pull(q, "stopped", "");
    pthread_mutex_unlock(&p->lock);
    sb_free(q);
    return SB_OK;
}
