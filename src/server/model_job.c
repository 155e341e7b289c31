/* SPDX-License-Identifier: Apache-2.0
 * model_job.c - worker, registry, worker: one after the other. */
#include "server/model_job.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "server/route_answer.h"
#include "server/server_in.h"

typedef struct job {
    sb_task task;
    sb_waiter waiter;
    sb_model_job j;
} job;

static void end(job *b)
{
    sb_held_release(b->j.model, (double)NAN);
    sb_ask_deinit(&b->j.ask);
    sb_x_release(b->j.x);
    sb_free(b);
}

static void do_work(sb_task *t)
{
    job *b = (job *)(void *)t;
    b->j.fn(&b->j);
    end(b);
}

static void on_model(sb_waiter *w, sb_held *h, const sb_error *err)
{
    job *b = (job *)(void *)((char *)w - offsetof(job, waiter));
    b->j.model = h;
    if (h) {
        b->task.fn = do_work;
        sb_server_work(b->j.sv, &b->task);
        return;
    }
    sb_reply_failure(b->j.x, err);
    end(b);
}

static void read_body(sb_task *t)
{
    job *b = (job *)(void *)t;
    sb_model_job *j = &b->j;
    sb_wire_error w = {0};
    const sb_str body = sb_x_request(j->x)->body;
    const sb_answer_owner owner = {.sv = j->sv, .owner = j->who.owner};
    sb_status s = SB_OK;
    j->ask.opts = (sb_wire_opts){.strict = j->sv->o.strict,
                                 .keep_nonces = j->sv->o.keep_nonces,
                                 .count_only = true,
                                 .stored = sb_answer_stored,
                                 .stored_ctx = (void *)(uintptr_t)&owner};
    if (j->dialect) {
        s = sb_wire_read(&j->ask, j->dialect, body, &w);
    } else {
        s = sb_wire_json(&j->ask.root, body, &w);
        if (s == SB_OK && !json_is_object(j->ask.root))
            s = SB_FAIL(&w.err, SB_INVALID, "the body must be a JSON object");
        if (s == SB_OK) j->ask.model = json_string_value(json_object_get(j->ask.root, "model"));
    }
    j->ask.opts.stored = NULL;
    if (s != SB_OK) {
        sb_wire_status(&w);
        sb_reply_error(j->x, &w);
        end(b);
        return;
    }
    sb_models_want(j->sv->models, j->ask.model, j->sv->o.strict_models, &b->waiter);
}

void sb_model_job_begin(sb_server *sv, sb_x *x, const sb_caller *who, const sb_dialect *d,
                        void (*fn)(sb_model_job *j))
{
    job *b = sb_calloc(1, sizeof *b);
    if (!b) {
        sb_error err;
        (void)SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
        sb_reply_failure(x, &err);
        sb_x_release(x);
        return;
    }
    b->j = (sb_model_job){.sv = sv, .x = x, .who = *who, .dialect = d, .fn = fn};
    b->task.fn = read_body;
    b->waiter.done = on_model;
    sb_server_work(sv, &b->task);
}
