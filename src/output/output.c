/* SPDX-License-Identifier: Apache-2.0
 * output.c - the parser's life, and text on its way to events. */
#include "output/output.h"

#include "base/alloc.h"

struct sb_output {
    sb_output_opts o;
};

sb_status sb_output_new(sb_output **out, const sb_output_opts *o, sb_error *err)
{
    sb_output *p = sb_calloc(1, sizeof *p);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "answer: out of memory");
    p->o = *o;
    *out = p;
    return SB_OK;
}

void sb_output_free(sb_output *p)
{
    sb_free(p);
}

sb_status sb_output_push(sb_output *p, sb_str text, sb_error *err)
{
    const sb_output_event e = {.kind = SB_OUTPUT_CONTENT, .text = text};
    return text.n ? p->o.on_event(p->o.ctx, &e, err) : SB_OK;
}

sb_status sb_output_finish(sb_output *p, sb_error *err)
{
    (void)p, (void)err;
    return SB_OK;
}

int32_t sb_output_n_calls(const sb_output *p)
{
    (void)p;
    return 0;
}

bool sb_output_reads(sb_output_format f, sb_str control_token)
{
    (void)f, (void)control_token;
    return false;
}
