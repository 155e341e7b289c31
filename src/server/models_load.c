/* SPDX-License-Identifier: Apache-2.0
 * models_load.c - the loader's thread: plans memory, opens models, lets idle ones go.
 *
 * One thread does all of it, so that two loads never plan with the same memory, and so that a
 * model's end and its next beginning cannot overlap. It sleeps until somebody waits, or until the
 * first model has been idle for long enough; without models in memory nothing wakes it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "server/models_in.h"
#include "server/threads.h"
#include "store/pin.h"
#include "base/machine.h"

enum {
    MAX_STREAMS_PER_THREAD = 8, /* more of them share a step without gaining by it */
    MAX_STREAMS = 64,
    SERVER_BYTES = 48 << 20, /* what the process takes beside its models */
    TELL_NS = 100000000
};

void sb_models_close_chat(sb_chat *chat, sb_pool *pool)
{
    sb_chat_close(chat);
    sb_pool_free(pool);
}

/* ---- letting go ---- */

/* Lock held; takes the model out and closes it without the lock. */
static void unload(sb_models *m, sb_held *e)
{
    sb_chat *chat = e->chat;
    sb_pool *pool = e->pool;
    e->chat = NULL;
    e->pool = NULL;
    e->state = SB_MODEL_ABSENT;
    (void)pthread_mutex_unlock(&m->lock);
    sb_chat_stop(chat);
    sb_models_close_chat(chat, pool);
    (void)pthread_mutex_lock(&m->lock);
    m->sum_planned -= e->planned_bytes;
    m->n_loaded--;
    e->planned_bytes = 0;
}

static bool is_idle(const sb_held *e)
{
    return e->state == SB_MODEL_LOADED && e->n_held == 0 && !e->first;
}

/* The idle model that was used longest ago, or NULL. */
static sb_held *oldest_idle(const sb_models *m)
{
    sb_held *oldest = NULL;
    for (size_t i = 0; i < m->n_entries; i++) {
        sb_held *e = m->entries[i];
        if (is_idle(e) && (!oldest || e->used_ns < oldest->used_ns)) oldest = e;
    }
    return oldest;
}

/* When an idle model goes; UINT64_MAX: never. */
static uint64_t deadline_of(const sb_held *e)
{
    if (!is_idle(e) || e->keep_s < 0 || e->keep_s > 1e9) return UINT64_MAX;
    return e->used_ns + (uint64_t)(e->keep_s * 1e9);
}

/* ---- planning ---- */

/* What one load is decided on. */
typedef struct plan {
    sb_engine_opts eo;
    uint64_t fixed_bytes, stream_bytes; /* of the model; of each stream */
    uint64_t mapped_bytes;              /* of the model when its weights are not packed */
} plan;

uint64_t sb_resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    char line[128];
    if (fgets(line, sizeof line, f)) {
        const char *p = strchr(line, ' ');
        while (p && *++p >= '0' && *p <= '9')
            pages = 10 * pages + (unsigned long long)(*p - '0');
    }
    (void)fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Bytes a further model may take. What models in memory were promised and have not touched yet is
 * theirs. */
static sb_status room_left(const sb_models *m, uint64_t *out, sb_error *err)
{
    if (m->o.max_mem) {
        const uint64_t used = m->sum_planned + SERVER_BYTES;
        *out = m->o.max_mem > used ? m->o.max_mem - used : 0;
        return SB_OK;
    }
    sb_machine_memory mem;
    SB_TRY(sb_machine_memory_read(NULL, &mem, err));
    const uint64_t resident = sb_resident_bytes();
    const uint64_t owed = m->sum_planned > resident ? m->sum_planned - resident : 0;
    const uint64_t free_bytes = sb_machine_spare_bytes(&mem);
    *out = free_bytes > owed ? free_bytes - owed : 0;
    return SB_OK;
}

/* What a plan for one stream takes beside that stream. */
static uint64_t fixed_of(const sb_memory_plan *one, const plan *p)
{
    const uint64_t row_bytes = one->logits_bytes / (uint64_t)p->eo.n_rows;
    return one->packed_bytes + one->work_bytes + one->kv_bytes + row_bytes - p->stream_bytes;
}

static sb_status measure(const sb_models *m, const sb_model *model, plan *p, sb_error *err)
{
    sb_memory_plan one, two;
    p->eo = m->o.engine;
    if (p->eo.n_ctx == 0)
        p->eo.n_ctx = model->hp.n_ctx_train < SB_CHAT_CTX ? model->hp.n_ctx_train : SB_CHAT_CTX;
    if (p->eo.n_rows == 0) p->eo.n_rows = SB_MAX_BATCH_ROWS;
    if (p->eo.n_rows > p->eo.n_ctx) p->eo.n_rows = p->eo.n_ctx;
    sb_engine_opts eo = p->eo;
    eo.n_sessions = 1;
    SB_TRY(sb_engine_plan_memory(model, &eo, m->o.n_threads, &one, err));
    eo.n_sessions = 2;
    SB_TRY(sb_engine_plan_memory(model, &eo, m->o.n_threads, &two, err));
    const uint64_t row_bytes = one.logits_bytes / (uint64_t)p->eo.n_rows;
    p->stream_bytes = two.kv_bytes - one.kv_bytes + row_bytes;
    p->fixed_bytes = fixed_of(&one, p);
    eo.n_sessions = 1;
    eo.weights = SB_WEIGHTS_MAPPED;
    SB_TRY(sb_engine_plan_memory(model, &eo, m->o.n_threads, &one, err));
    p->mapped_bytes = fixed_of(&one, p);
    return SB_OK;
}

/* As many streams as memory and processors carry, when nobody said how many. */
static void choose_streams(const sb_models *m, uint64_t room, plan *p)
{
    int32_t n = p->eo.n_sessions;
    if (n > 0) return;
    n = m->o.n_threads * MAX_STREAMS_PER_THREAD;
    if (n > MAX_STREAMS) n = MAX_STREAMS;
    uint64_t left = room > p->fixed_bytes ? room - p->fixed_bytes : 0;
    if (!m->o.max_mem) left /= 2; /* nobody said how much: others want some, too */
    if (p->stream_bytes && left / p->stream_bytes < (uint64_t)n)
        n = (int32_t)(left / p->stream_bytes);
    p->eo.n_sessions = n > 1 ? n : 1;
}

static uint64_t needed(const plan *p)
{
    const uint64_t n = p->eo.n_sessions > 0 ? (uint64_t)p->eo.n_sessions : 1;
    return p->fixed_bytes + n * p->stream_bytes;
}

/* Lock held: lets idle models go, the oldest first, until p fits. A model that does not fit alone
 * is read from its file, when nobody said otherwise; beside others that are in use it waits. */
static sb_status make_room(sb_models *m, const sb_held *e, plan *p, sb_error *err)
{
    for (;;) {
        uint64_t room = 0;
        SB_TRY(room_left(m, &room, err));
        if (m->n_loaded < SB_MAX_LOADED && needed(p) <= room) {
            if (p->eo.weights == SB_WEIGHTS_AUTO) p->eo.weights = SB_WEIGHTS_PACKED;
            choose_streams(m, room, p);
            return SB_OK;
        }
        sb_held *old = oldest_idle(m);
        if (old) {
            unload(m, old);
            continue;
        }
        if (m->n_loaded > 0)
            return SB_FAIL(err, SB_BUSY,
                           "model '%.64s' needs %.2f GB and %.2f GB are left while others are in "
                           "use: try again later",
                           e->id, (double)needed(p) / 1e9, (double)room / 1e9);
        if (p->eo.weights == SB_WEIGHTS_AUTO) {
            p->eo.weights = SB_WEIGHTS_MAPPED;
            p->fixed_bytes = p->mapped_bytes;
            continue;
        }
        return SB_FAIL(err, SB_NO_MEMORY,
                       "model '%.64s' needs %.2f GB and there are %.2f GB: a smaller --ctx or "
                       "--parallel, --kv int8 or a smaller model helps",
                       e->id, (double)needed(p) / 1e9, (double)room / 1e9);
    }
}

/* ---- loading ---- */

static bool on_pack(void *ctx, uint64_t done_bytes, uint64_t all_bytes)
{
    sb_held *e = ctx;
    const uint64_t now = sb_now_ns();
    if (now - e->told_ns >= TELL_NS) {
        e->told_ns = now;
        sb_models_tell_part(e, all_bytes ? (double)done_bytes / (double)all_bytes : 0);
    }
    return !atomic_load(&e->m->ending);
}

/* The format most of the weights' bytes are in. */
static const char *main_format(const sb_model *model)
{
    uint64_t bytes[SB_FORMAT_COUNT] = {0};
    int best = 0;
    for (int32_t i = 0; i < model->n_weights; i++)
        bytes[model->weights[i].format] += model->weights[i].bytes;
    for (int i = 1; i < SB_FORMAT_COUNT; i++)
        if (bytes[i] > bytes[best]) best = i;
    return sb_format_get((sb_format)best)->name;
}

/* Lock held. */
static void note_facts(sb_held *e, const sb_model *model)
{
    (void)snprintf(e->arch, sizeof e->arch, "%s", sb_model_arch_name(model));
    (void)snprintf(e->format, sizeof e->format, "%s", main_format(model));
    e->n_params = sb_model_n_params(model);
    e->n_ctx_train = model->hp.n_ctx_train;
}

static void enter_step(void *ctx)
{
    sb_turnstile_enter(ctx);
}

static void leave_step(void *ctx)
{
    sb_turnstile_leave(ctx);
}

/* Without the lock; *chat and *pool are the caller's to close on failure, too. */
static sb_status open_chat(sb_held *e, const char *path, const char *pulled_as, const plan *p,
                           sb_chat **chat, sb_pool **pool, sb_error *err)
{
    sb_models *m = e->m;
    SB_TRY(sb_pool_new(pool, m->o.n_threads, err));
    sb_engine_opts eo = p->eo;
    eo.on_pack = on_pack;
    eo.pack_ctx = e;
    eo.pulled_as = pulled_as;
    eo.on_note = m->o.on_note;
    eo.note_ctx = m->o.ctx;
    const sb_chat_opts o = {
        .engine = eo,
        .pool = *pool,
        .ledger = m->o.ledger,
        .rest = &m->rest,
        .governor = m->o.governor,
        .max_queue = m->o.max_queue,
        .batch_wait_ms = m->o.batch_wait_ms,
        .hooks = {.enter = enter_step, .leave = leave_step, .ctx = &m->turnstile}};
    SB_TRY(sb_chat_open(chat, path, &o, err));
    return sb_chat_start(*chat, err);
}

static sb_status plan_load(sb_held *e, const char *path, plan *p, sb_error *err)
{
    sb_model *model = NULL;
    SB_TRY(sb_model_open(&model, path, err));
    sb_status s = measure(e->m, model, p, err);
    (void)pthread_mutex_lock(&e->m->lock);
    if (s == SB_OK) note_facts(e, model);
    (void)pthread_mutex_unlock(&e->m->lock);
    sb_model_close(model);
    return s;
}

/* Loading is nobody's answer. */
static void note_energy(const sb_models *m, uint64_t begin_ns, uint64_t begin_cpu_ns)
{
    if (m->o.ledger)
        sb_ledger_system(m->o.ledger, sb_process_cpu_ns() - begin_cpu_ns, sb_now_ns() - begin_ns);
}

static sb_status load(sb_held *e, sb_error *err)
{
    sb_models *m = e->m;
    sb_chat *chat = NULL;
    sb_pool *pool = NULL;
    sb_buf path, record;
    plan p = {0};
    const uint64_t begin_ns = sb_now_ns(), begin_cpu_ns = sb_process_cpu_ns();
    sb_models_tell_part(e, 0);
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&record, SB_MAX_PATH_BYTES * 32, "hashes of a model");
    sb_status s = sb_store_resolve(m->o.store, e->what, &path, err);
    if (s == SB_OK && m->o.engine.cache != SB_CACHE_NONE)
        s = sb_pin_record(m->o.store, e->what, &record, err);
    if (s == SB_OK) s = plan_load(e, path.p, &p, err);
    if (s == SB_OK) {
        (void)pthread_mutex_lock(&m->lock);
        s = make_room(m, e, &p, err);
        if (s == SB_OK) {
            e->planned_bytes = needed(&p);
            m->sum_planned += e->planned_bytes;
            m->n_loaded++;
        }
        (void)pthread_mutex_unlock(&m->lock);
        if (s == SB_OK) s = open_chat(e, path.p, record.n ? record.p : NULL, &p, &chat, &pool, err);
    }
    sb_buf_deinit(&record);
    sb_buf_deinit(&path);
    note_energy(m, begin_ns, begin_cpu_ns);
    (void)pthread_mutex_lock(&m->lock);
    if (s == SB_OK) {
        e->chat = chat;
        e->pool = pool;
        e->n_ctx = sb_chat_n_ctx(chat);
        e->n_streams = p.eo.n_sessions;
        e->load_ns = sb_now_ns() - begin_ns;
        e->used_ns = sb_now_ns();
    } else if (e->planned_bytes) {
        m->sum_planned -= e->planned_bytes;
        e->planned_bytes = 0;
        m->n_loaded--;
    }
    e->state = s == SB_OK ? SB_MODEL_LOADED : SB_MODEL_ABSENT;
    e->failed = s != SB_OK;
    m->starting = false; /* before anybody is told */
    (void)pthread_mutex_unlock(&m->lock);
    if (s != SB_OK) sb_models_close_chat(chat, pool);
    return s;
}

static void load_and_tell(sb_held *e)
{
    sb_error err;
    const sb_status s = load(e, &err);
    sb_models_tell(e, s == SB_OK ? NULL : &err);
    if (s != SB_OK && e->m->o.on_failed) e->m->o.on_failed(e->m->o.ctx, e->id, &err);
    if (s == SB_OK && e->m->o.on_loaded)
        e->m->o.on_loaded(e->m->o.ctx, e->id, e->load_ns, e->planned_bytes, e->n_streams);
}

/* ---- the thread ---- */

/* Lock held. At the start it is the first of the command line, whether or not somebody waits. */
static sb_held *next_wanted(const sb_models *m)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        sb_held *e = m->entries[i];
        if (e->state == SB_MODEL_ABSENT && (e->first || m->starting)) return e;
    }
    return NULL;
}

/* Lock held: waits for a change, or until the first idle model is to go, and takes it away then. */
static void rest(sb_models *m)
{
    sb_held *first = NULL;
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < m->n_entries; i++) {
        const uint64_t d = deadline_of(m->entries[i]);
        if (d >= at) continue;
        at = d;
        first = m->entries[i];
    }
    if (!first) {
        (void)pthread_cond_wait(&m->changed, &m->lock);
    } else if (at <= sb_now_ns()) {
        unload(m, first);
    } else {
        const struct timespec until = {.tv_sec = (time_t)(at / 1000000000),
                                       .tv_nsec = (long)(at % 1000000000)};
        (void)pthread_cond_timedwait(&m->changed, &m->lock, &until);
    }
}

void *sb_models_load_loop(void *registry)
{
    sb_models *m = registry;
    sb_thread_name("load");
    (void)pthread_mutex_lock(&m->lock);
    while (!atomic_load(&m->ending)) {
        sb_held *e = next_wanted(m);
        if (!e) {
            rest(m);
            continue;
        }
        e->state = SB_MODEL_LOADING;
        (void)pthread_mutex_unlock(&m->lock);
        load_and_tell(e);
        (void)pthread_mutex_lock(&m->lock);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return NULL;
}
