/* SPDX-License-Identifier: Apache-2.0
 * jobs.c - cuts a plan into jobs, the work between two barriers.
 *
 * Steps that touch one row only are gathered, and the thread that finished a row also stores its
 * keys and values and quantises it for the product that follows: the data is hot, and two barriers
 * go. */
#include "base/alloc.h"
#include "engine/weights.h"

static bool is_row_local(sb_op op)
{
    switch (op) {
    case SB_OP_EMBED:
    case SB_OP_NORM:
    case SB_OP_HEAD_NORM:
    case SB_OP_ROPE:
    case SB_OP_GATE:
    case SB_OP_ADD:
        return true;
    case SB_OP_MATMUL:
    case SB_OP_ATTEND:
    case SB_OP_HEAD:
        return false;
    case SB_OP_COUNT:
        break;
    }
    sb_unreachable("every operation is listed");
}

static sb_job *add_job(sb_engine *e, sb_job_kind kind, int32_t first)
{
    sb_job *j = &e->jobs[e->n_jobs++];
    *j = (sb_job){.kind = kind, .first = first, .n = 1, .store = -1, .q_buf = -1};
    return j;
}

/* Whether one of a step's products reads quantised activations. */
static bool reads_quantised(const sb_engine *e, const sb_step *s)
{
    for (int c = 0; c < 3; c++)
        if (s->w[c] >= 0 && sb_engine_act(e, &e->model->weights[s->w[c]]) == SB_ACT_A8) return true;
    return false;
}

/* The attention's output can be quantised head group by head group when groups are whole blocks. */
static bool attend_can_quantise(const sb_step *s)
{
    return s->n_head / s->n_kv_head * s->head_dim % SB_ACT_BLOCK == 0;
}

/* Has the job before a product prepare its input; adds an empty ROWS job where none fits. */
static void prepare_input(sb_engine *e, const sb_step *s, int32_t i)
{
    const bool head = s->op == SB_OP_HEAD;
    if (head) e->head_kind = sb_engine_act(e, &e->model->weights[s->w[0]]);
    if (!head && !reads_quantised(e, s)) return;
    sb_job *last = e->n_jobs ? &e->jobs[e->n_jobs - 1] : NULL;
    const bool fits =
        last && last->q_buf < 0 &&
        (last->kind == SB_JOB_ROWS || (last->kind == SB_JOB_ATTEND && !head &&
                                       attend_can_quantise(&e->model->plan.steps[last->first])));
    if (!fits) {
        last = add_job(e, SB_JOB_ROWS, i);
        last->n = 0;
    }
    last->q_buf = s->in[0];
    last->for_head = head;
}

/* Keys and values are stored by the job that finished them. */
static void prepare_store(sb_engine *e, int32_t i)
{
    sb_job *last = e->n_jobs ? &e->jobs[e->n_jobs - 1] : NULL;
    if (!last || last->kind != SB_JOB_ROWS || last->store >= 0) {
        last = add_job(e, SB_JOB_ROWS, i);
        last->n = 0;
    }
    last->store = i;
}

static void link_products(sb_engine *e)
{
    int32_t then = 0;
    for (int32_t i = 2 * e->n_jobs - 1; i >= 0; i--) { // twice: the last one's is found first
        sb_job *j = &e->jobs[i % e->n_jobs];
        j->then = then;
        if (j->kind == SB_JOB_MATMUL || j->kind == SB_JOB_HEAD) then = i % e->n_jobs;
    }
}

sb_status sb_engine_make_jobs(sb_engine *e, sb_error *err)
{
    const sb_plan *p = &e->model->plan;
    e->jobs = sb_calloc((size_t)p->n_steps * 2, sizeof *e->jobs); /* a step adds at most two */
    if (!e->jobs) return SB_FAIL(err, SB_NO_MEMORY, "jobs: out of memory");
    for (int32_t i = 0; i < p->n_steps; i++) {
        const sb_step *s = &p->steps[i];
        if (is_row_local(s->op)) {
            sb_job *last = e->n_jobs ? &e->jobs[e->n_jobs - 1] : NULL;
            if (last && last->kind == SB_JOB_ROWS && last->q_buf < 0 && last->store < 0)
                last->n++;
            else
                (void)add_job(e, SB_JOB_ROWS, i);
            continue;
        }
        if (s->op == SB_OP_ATTEND)
            prepare_store(e, i);
        else
            prepare_input(e, s, i);
        (void)add_job(e,
                      s->op == SB_OP_ATTEND ? SB_JOB_ATTEND
                      : s->op == SB_OP_HEAD ? SB_JOB_HEAD
                                            : SB_JOB_MATMUL,
                      i);
    }
    link_products(e);
    return SB_OK;
}
