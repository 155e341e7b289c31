/* SPDX-License-Identifier: Apache-2.0
 * model_job.h - a request that needs a model, but no answer of it: tokens are counted, a template
 * is shown.
 *
 * Purpose     Body read on a worker, the model brought into memory, the work done on a worker, one
 *             reply.
 * Ownership   The job and all in it live until its function has returned. */
#ifndef SB_SERVER_MODEL_JOB_H
#define SB_SERVER_MODEL_JOB_H
#include "server/models.h"
#include "server/serve.h"

typedef struct sb_model_job sb_model_job;
struct sb_model_job {
    sb_server *sv;
    sb_x *x;
    sb_caller who;
    const sb_dialect *dialect; /* the body is an ask of it; NULL: JSON alone */
    sb_ask ask;                /* its root is the JSON, either way */
    sb_held *model;
    /* On a worker, the model held: replies. */
    void (*fn)(sb_model_job *j);
};

/* Begins a job; d: the dialect that reads the body, or NULL. */
void sb_model_job_begin(sb_server *sv, sb_x *x, const sb_caller *who, const sb_dialect *d,
                        void (*fn)(sb_model_job *j));
#endif
