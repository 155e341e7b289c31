/* SPDX-License-Identifier: Apache-2.0
 * house.c - see house.h. */
#include "house.h"

#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[128];

int house_make_model(void **state)
{
    (void)state;
    sb_tiny t;
    sb_tiny_defaults(&t);
    t.arch = "gemma3", t.format = SB_F_Q4_1, t.n_layers = 7, t.n_embd = 64, t.n_ff = 128;
    t.n_heads = 4, t.n_kv_heads = 2, t.head_dim = 32, t.window = 70, t.n_vocab = HOUSE_VOCAB;
    (void)snprintf(path, sizeof path, "/tmp/sobre-house-%d.gguf", (int)getpid());
    sb_error err = {0};
    const sb_status s = sb_tiny_write(&t, path, &err);
    if (s != SB_OK) print_error("%s\n", err.msg);
    return s == SB_OK ? 0 : -1;
}

int house_drop_model(void **state)
{
    (void)state;
    return unlink(path);
}

const char *house_model(void)
{
    return path;
}

sb_engine_opts house_opts(int32_t n_sessions)
{
    sb_engine_opts o = sb_rig_opts(HOUSE_CTX);
    o.n_sessions = n_sessions;
    return o;
}

house house_open(const sb_engine_opts *eo, int n_threads, sb_sched_opts so)
{
    house h = {0};
    sb_error err = {0};
    sb_engine_opts one = *eo;
    one.n_sessions = 1;
    one.kv_bytes = one.cache_bytes = 0;
    one.n_rows = HOUSE_CTX;
    if (sb_rig_open(&h.rig, path, n_threads, eo, &err) != SB_OK) fail_msg("%s", err.msg);
    if (sb_rig_open(&h.solo, path, 1, &one, &err) != SB_OK) fail_msg("%s", err.msg);
    if (so.max_queue == 0) so.max_queue = 64;
    if (sb_sched_new(&h.sched, h.rig.engine, &so, &err) != SB_OK) fail_msg("%s", err.msg);
    return h;
}

void house_close(house *h)
{
    sb_sched_free(h->sched);
    sb_rig_close(&h->rig);
    sb_rig_close(&h->solo);
}

void house_begin(house *h, sb_rig_seq *r, const sb_seq_opts *o)
{
    sb_error err = {0};
    if (sb_rig_seq_begin(r, h->sched, o, &err) != SB_OK) fail_msg("%s", err.msg);
}

bool house_step(house *h)
{
    bool did = false;
    sb_sched_step(h->sched, &did);
    return did;
}

void house_drain(house *h)
{
    sb_rig_drain(h->sched);
}

void house_check_alone(house *h, const sb_rig_seq *r, const sb_seq_opts *o)
{
    static int32_t out[HOUSE_CTX];
    int32_t n = 0;
    sb_error err = {0};
    if (sb_rig_alone(h->solo.engine, o, out, &n, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(atomic_load(&r->n_ends), 1);
    if (r->why == SB_SEQ_FAILED) fail_msg("%s", r->err.msg);
    if (r->why == SB_SEQ_LENGTH || r->why == SB_SEQ_END_TOKEN) assert_int_equal(r->n_out, n);
    assert_true(r->n_out <= n);
    if (r->n_out && memcmp(r->out, out, (size_t)r->n_out * sizeof *out) != 0)
        fail_msg("a sequence of %d tokens differs from itself alone", r->n_ids);
}

void house_ids(int32_t *ids, int32_t n, uint64_t seed)
{
    sb_rig_ids(ids, n, HOUSE_VOCAB, seed);
}

int32_t house_once(house *h, const int32_t *ids, int32_t n, uint64_t scope)
{
    sb_rig_seq r;
    sb_seq_opts o = sb_rig_seq_opts(&r, ids, n, 12);
    o.scope = scope;
    house_begin(h, &r, &o);
    house_drain(h);
    house_check_alone(h, &r, &o);
    sb_rig_seq_end(&r);
    return r.n_cached;
}

int32_t house_end_id(const house *h)
{
    int32_t id = 0;
    while (!sb_tokenizer_is_end(h->rig.model->tok, id))
        id++;
    return id;
}
