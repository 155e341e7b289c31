/* SPDX-License-Identifier: Apache-2.0
 * voice_rig.c - a turn by hand. */
#include "voice_rig.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char *folder = "tests/golden/wire";
static bool remake;

enum { N_PROMPT = 30, N_CACHED = 10, MAX_FILE = 1 << 20 };

void assert_str(sb_str s, const char *want)
{
    if (s.n != strlen(want) || memcmp(s.p, want, s.n) != 0)
        fail_msg("'%.*s' is not '%s'", (int)s.n, s.p, want);
}

void rig_args(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--remake") == 0)
            remake = true;
        else
            folder = argv[i];
}

static void must(sb_status s, const sb_error *err)
{
    if (s != SB_OK) fail_msg("%s", err->msg);
}

void rig_open(rig *r, const sb_dialect *d, const char *body, const sb_wire_opts *opts)
{
    *r = (rig){0};
    if (opts) r->ask.opts = *opts;
    sb_buf_init(&r->out, SB_MAX_REPLY_BYTES, "answer");
    sb_buf_init(&r->t.text, SB_MAX_PROMPT_BYTES, "text");
    sb_buf_init(&r->t.content, SB_MAX_PROMPT_BYTES, "content");
    sb_buf_init(&r->t.reasoning, SB_MAX_PROMPT_BYTES, "reasoning");
    sb_ids_init(&r->t.ids, SB_MAX_CTX);
    sb_ids_init(&r->t.prompt_ids, SB_MAX_CTX);
    if (sb_wire_read(&r->ask, d, (sb_str){body, strlen(body)}, &r->w) != SB_OK)
        fail_msg("%s: %s", r->w.param, r->w.err.msg);
    const sb_voice_facts facts = {.id = "2q7",
                                  .request_id = "req_1",
                                  .model = "smollm2-135m",
                                  .created_s = 1790000000,
                                  .created_ns = 42,
                                  .fingerprint = "fp_1",
                                  .load_ns = 5000000,
                                  .begin_ns = sb_now_ns()};
    r->v = sb_voice_new(&r->ask, &facts);
    assert_non_null(r->v);
    for (int32_t i = 0; i < N_PROMPT; i++)
        must(sb_ids_add(&r->t.prompt_ids, i, &r->err), &r->err);
    r->t.n_cached = N_CACHED;
    r->t.prefill_ns = 20000000;
    r->t.energy = (sb_energy){.source = SB_ENERGY_ESTIMATED,
                              .energy_uj = 1500000,
                              .lo_uj = 750000,
                              .hi_uj = 3000000,
                              .prefill_uj = 500000,
                              .estimated_uj = 1500000,
                              .split_lo_uj = 1400000,
                              .split_hi_uj = 1600000,
                              .concurrency = 1.5,
                              .settled = true,
                              .duration_ns = 500000000,
                              .cpu_ns = 900000000,
                              .ratio = 1,
                              .method = "cpu time",
                              .meter = "made up",
                              .scope = "nothing"};
    must(d->begin(r->v, &r->out, &r->err), &r->err);
    if (!d->progress) return;
    must(d->progress(r->v, 0, N_CACHED, 16, N_PROMPT, &r->out, &r->err), &r->err);
    must(d->progress(r->v, 0, N_CACHED, N_PROMPT, N_PROMPT, &r->out, &r->err), &r->err);
}

static void tell(rig *r, const sb_output_event *e)
{
    must(r->ask.dialect->event(r->v, 0, e, &r->t, &r->out, &r->err), &r->err);
}

void rig_say(rig *r, sb_output_kind kind, const char *text, size_t n_ids)
{
    sb_buf *to = kind == SB_OUTPUT_CONTENT ? &r->t.content : &r->t.reasoning;
    const sb_str s = {text, strlen(text)};
    for (size_t i = 0; i < n_ids; i++)
        must(sb_ids_add(&r->t.ids, 65 + (int32_t)(r->t.ids.n % 26), &r->err), &r->err);
    must(sb_buf_add(to, s.p, s.n, &r->err), &r->err);
    tell(r, &(sb_output_event){.kind = kind, .text = s});
}

static sb_str copy(const char *a, const char *b)
{
    sb_buf s;
    sb_buf_init(&s, SB_MAX_CALL_BYTES, "call");
    must(sb_buf_addf(&s, NULL, "%s%s", a, b), &(sb_error){.msg = "no memory"});
    return (sb_str){s.p, s.n};
}

void rig_call(rig *r, const char *id, const char *name, const char *args1, const char *args2)
{
    const int32_t i = (int32_t)r->t.n_calls;
    sb_tool_call *p = sb_realloc(r->t.calls, r->t.n_calls + 1, sizeof *p);
    assert_non_null(p);
    r->t.calls = p;
    p[r->t.n_calls++] = (sb_tool_call){copy(id, ""), copy(name, ""), copy(args1, args2)};
    const sb_str key = {id, strlen(id)};
    const sb_output_event events[] = {
        {SB_OUTPUT_CALL_BEGIN, i, key, {name, strlen(name)}},
        {SB_OUTPUT_CALL_ARGS, i, key, {args1, strlen(args1)}},
        {SB_OUTPUT_CALL_ARGS, i, key, {args2, strlen(args2)}},
        {SB_OUTPUT_CALL_END, i, key, {"", 0}},
    };
    for (size_t k = 0; k < SB_ARRAY_LEN(events); k++)
        tell(r, &events[k]);
}

void rig_logprobs(rig *r, const sb_tokenizer *tok)
{
    ((sb_voice_head *)(void *)r->v)->facts.tok = tok;
    sb_token_logprob *l = sb_calloc(64, sizeof *l);
    assert_non_null(l);
    for (size_t i = 0; i < 64; i++)
        l[i] = (sb_token_logprob){
            .logprob = -0.25, .n_top = 2, .top_ids = {65, 66}, .top = {-0.25, -2.5}};
    r->t.logprobs = l;
}

void rig_end(rig *r, sb_finish finish)
{
    const sb_dialect *d = r->ask.dialect;
    r->t.finish = finish;
    r->t.decode_ns = 80000000;
    must(d->choice(r->v, 0, &r->t, &r->out, &r->err), &r->err);
    must(d->end(r->v, &r->t, &r->out, &r->err), &r->err);
}

void rig_fail(rig *r, int status, sb_status code, const char *why)
{
    r->w = (sb_wire_error){.status = status};
    (void)SB_FAIL(&r->w.err, code, "%s", why);
    must((r->ask.dialect->fail)(r->v, &r->w, &r->out, &r->err), &r->err);
}

void rig_close(rig *r)
{
    sb_voice_free(r->v, r->ask.dialect);
    sb_ask_deinit(&r->ask);
    sb_buf_deinit(&r->out);
    sb_buf_deinit(&r->t.text);
    sb_buf_deinit(&r->t.content);
    sb_buf_deinit(&r->t.reasoning);
    sb_ids_deinit(&r->t.ids);
    sb_ids_deinit(&r->t.prompt_ids);
    for (size_t i = 0; i < r->t.n_calls; i++) {
        sb_free((char *)r->t.calls[i].id.p);
        sb_free((char *)r->t.calls[i].name.p);
        sb_free((char *)r->t.calls[i].arguments.p);
    }
    sb_free(r->t.calls);
    sb_free(r->t.logprobs);
}

/* ---- files ---- */

static FILE *open_file(const char *name, const char *mode)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, mode);
    if (!f) fail_msg("%s: cannot be opened", path);
    return f;
}

char *rig_file(const char *name)
{
    FILE *f = open_file(name, "rb");
    char *p = sb_calloc(MAX_FILE, 1);
    assert_non_null(p);
    assert_true(fread(p, 1, MAX_FILE - 1, f) > 0);
    (void)fclose(f);
    return p;
}

/* The digits behind each "total_duration": become one 0. */
static char *without_time(sb_str s)
{
    static const char key[] = "\"total_duration\":";
    char *p = sb_strdup_n(s.p ? s.p : "", s.n);
    assert_non_null(p);
    for (char *at = p; (at = strstr(at, key));) {
        at += sizeof key - 1;
        const size_t n = strspn(at, "0123456789");
        *at++ = '0';
        memmove(at, at + n - 1, strlen(at + n - 1) + 1);
    }
    return p;
}

void rig_golden_text(sb_str text, const char *name)
{
    char *seen = without_time(text);
    if (remake) {
        FILE *f = open_file(name, "wb");
        (void)fwrite(seen, 1, strlen(seen), f);
        (void)fclose(f);
    } else {
        char *want = rig_file(name);
        assert_string_equal(seen, want);
        sb_free(want);
    }
    sb_free(seen);
}

void rig_golden(const sb_buf *out, const char *name)
{
    rig_golden_text((sb_str){out->p, out->n}, name);
}

sb_status rig_refused(const sb_dialect *d, const char *body, sb_wire_error *w)
{
    sb_ask a = {0};
    const sb_status s = sb_wire_read(&a, d, (sb_str){body, strlen(body)}, w);
    sb_ask_deinit(&a);
    return s;
}
