/* SPDX-License-Identifier: Apache-2.0
 * look.c - the memory of one such reply, from the loop to a worker. */
#include "server/look.h"

#include "base/alloc.h"

typedef struct look {
    sb_task task;
    sb_server *sv;
    sb_x *x;
    sb_caller who;
    void (*fn)(sb_server *sv, sb_x *x, const sb_caller *who);
} look;

static void run_look(sb_task *t)
{
    look *l = (look *)(void *)t;
    l->fn(l->sv, l->x, &l->who);
    sb_x_release(l->x);
    sb_free(l);
}

void sb_look_begin(sb_server *sv, sb_x *x, const sb_caller *who,
                   void (*fn)(sb_server *sv, sb_x *x, const sb_caller *who))
{
    look *l = sb_calloc(1, sizeof *l);
    if (!l) {
        sb_error err;
        (void)SB_FAIL(&err, SB_NO_MEMORY, "out of memory");
        sb_reply_failure(x, &err);
        sb_x_release(x);
        return;
    }
    *l = (look){.task = {.fn = run_look}, .sv = sv, .x = x, .who = *who, .fn = fn};
    sb_server_work(sv, &l->task);
}

void sb_look_reply(sb_x *x, sb_buf *body, sb_status s, const sb_error *err)
{
    if (s == SB_OK)
        sb_x_reply(x, 200, "application/json", (sb_str){body->p, body->n});
    else
        sb_reply_failure(x, err);
    sb_buf_deinit(body);
}
