/* SPDX-License-Identifier: Apache-2.0
 * setup.c - what run, perplexity, bench, tokenize and inspect have in common. */
#include "cli/setup.h"

#include "sobre.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/utf8.h"
#include "store/pin.h"
#include "store/store.h"

sb_status sb_cli_model_path(const char *what, sb_buf *out, sb_error *err)
{
    sb_store *store = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    const sb_status s = sb_store_resolve(store, what, out, err);
    sb_store_close(store);
    return s;
}

sb_status sb_cli_calibration_path(sb_buf *out, sb_error *err)
{
    sb_store *store = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    const sb_status s = sb_buf_addf(out, err, "%s/calibration.json", sb_store_home(store));
    sb_store_close(store);
    return s;
}

sb_status sb_cli_meter(sb_meter **out, sb_meter_roots *roots, sb_error *err)
{
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of the calibration");
    const bool known = sb_cli_calibration_path(&path, NULL) == SB_OK; /* no home: none */
    roots->calibration = known ? path.p : NULL;
    const sb_status s = sb_meter_open(out, roots, err);
    roots->calibration = NULL;
    sb_buf_deinit(&path);
    return s;
}

int sb_cli_threads(const sb_args *a)
{
    if (a->v[SB_OPT_threads].set) return (int)a->v[SB_OPT_threads].i;
    const int n = sb_cpu_count();
    return n < SB_MAX_THREADS ? n : SB_MAX_THREADS;
}

sb_status sb_cli_pool(const sb_args *a, sb_pool **out, sb_error *err)
{
    return sb_pool_new(out, sb_cli_threads(a), err);
}

static sb_kv_type kv_type(const sb_args *a)
{
    static const sb_kv_type in_order[] = {SB_KV_BF16, SB_KV_F32, SB_KV_I8}; /* of the option */
    return a->v[SB_OPT_kv].set ? in_order[a->v[SB_OPT_kv].i] : SB_KV_AUTO;
}

/* What a model may take, or 0 when nobody knows. */
static uint64_t memory_left(void)
{
    sb_machine_memory m;
    if (sb_machine_memory_read(getenv("SOBRE_SYSFS_ROOT"), &m, NULL) != SB_OK) return 0;
    return sb_machine_spare_bytes(&m);
}

sb_engine_opts sb_cli_engine_opts(const sb_args *a, int32_t n_ctx, int32_t n_rows)
{
    const sb_opt_value *v = a->v;
    return (sb_engine_opts){
        .precision = v[SB_OPT_precision].i ? SB_EXACT : SB_FAST,
        .kv = kv_type(a),
        .weights = (sb_weights)v[SB_OPT_weights].i, /* in the option's order */
        .memory_bytes = memory_left(),
        .cap = v[SB_OPT_cpu].set ? (sb_level)v[SB_OPT_cpu].i : (sb_level)(SB_LEVEL_COUNT - 1),
        .n_decode_threads = v[SB_OPT_eco].set ? 1 : 0,
        .no_guess = v[SB_OPT_no_guess].set,
        .n_ctx = n_ctx,
        .n_sessions = 1,
        .n_rows = n_rows,
    };
}

sb_status sb_cli_read_text(const char *word, sb_buf *out, sb_error *err)
{
    const bool from_stdin = strcmp(word, "-") == 0;
    if (from_stdin)
        SB_TRY(sb_term_read_all(out, err));
    else
        SB_TRY(sb_buf_add(out, word, strlen(word), err));
    const size_t good = sb_utf8_valid(out->p, out->n);
    if (good == out->n) return SB_OK;
    return SB_FAIL(err, SB_INVALID, "%s: byte %zu (0x%02x) is not UTF-8: convert the text first",
                   from_stdin ? "standard input" : "the text", good, (unsigned char)out->p[good]);
}

static void say_note(void *ctx, const char *line)
{
    (void)ctx;
    sb_term_say("%s", line);
}

sb_status sb_cli_governor(const sb_args *a, sb_governor **out, sb_error *err)
{
    char path[SB_MAX_PATH_BYTES], version[32];
    sb_store *store = NULL;
    *out = NULL;
    if (a->v[SB_OPT_governor].i == 0) return SB_OK;
    SB_TRY(sb_store_open(&store, NULL, err));
    (void)snprintf(path, sizeof path, "%s/governor", sb_store_home(store));
    sb_store_close(store);
    (void)snprintf(version, sizeof version, "%d.%d.%d", SOBRE_VERSION_MAJOR, SOBRE_VERSION_MINOR,
                   SOBRE_VERSION_PATCH);
    const sb_governor_opts o = {.roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")},
                                .path = path,
                                .version = version,
                                .latency_ms = a->v[SB_OPT_latency].f,
                                .say = say_note};
    return sb_governor_open(out, &o, err);
}

bool sb_cli_wants_pack_cache(const sb_args *a)
{
    const char *env = getenv("SOBRE_PACK_CACHE");
    return a->v[SB_OPT_pack_cache].set || a->v[SB_OPT_serve_pack_cache].set ||
           (env && env[0] && strcmp(env, "0") != 0);
}

sb_status sb_cli_pack_cache(const sb_args *a, const char *what, sb_buf *record, sb_engine_opts *o,
                            sb_error *err)
{
    sb_store *store = NULL;
    if (!sb_cli_wants_pack_cache(a)) return SB_OK;
    sb_buf_clear(record);
    SB_TRY(sb_store_open(&store, NULL, err));
    const sb_status s = sb_pin_record(store, what, record, err);
    sb_store_close(store);
    SB_TRY(s);
    o->cache = SB_CACHE_WRITE;
    o->pulled_as = record->n ? record->p : NULL;
    o->on_note = say_note;
    return SB_OK;
}

void sb_cli_weights_note(const sb_args *a, const sb_engine *e)
{
    if (sb_engine_is_mapped(e) && a->v[SB_OPT_weights].i == SB_WEIGHTS_AUTO)
        sb_term_say("a packed copy of the weights does not fit in memory: they are read from the "
                    "file in each step, more slowly");
}

void sb_cli_model_notes(const sb_model *m)
{
    const char *path = sb_gguf_path(m->gguf, 0);
    const uint64_t behind = sb_gguf_trailing_bytes(m->gguf);
    if (behind)
        sb_term_say("%s: %llu bytes behind the data are not used", path,
                    (unsigned long long)behind);
    if (m->n_unbound > 0)
        sb_term_say("%s: %d tensor%s unknown to this architecture, not used", path,
                    (int)m->n_unbound, m->n_unbound == 1 ? "" : "s");
}
