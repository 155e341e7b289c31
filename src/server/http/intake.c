/* SPDX-License-Identifier: Apache-2.0
 * intake.c - one whole request out of a run of bytes. The body grows as it comes: what a head
 * announces takes no memory. */
#include "server/http/intake.h"

#include "server/http/target.h"

void sb_intake_init(sb_intake *in)
{
    sb_head_init(&in->head);
    sb_buf_init(&in->path, SB_MAX_REQUEST_TARGET_BYTES, "path");
    sb_buf_init(&in->body, 0, "request's body");
    in->query = (sb_str){0};
    in->n_body = 0;
    in->in_body = in->drops = false;
    in->refusal = (sb_refusal){0};
}

void sb_intake_deinit(sb_intake *in)
{
    sb_head_deinit(&in->head);
    sb_buf_deinit(&in->path);
    sb_buf_deinit(&in->body);
}

static sb_intake_got refuse(sb_intake *in, sb_refusal why)
{
    in->refusal = why;
    return SB_INTAKE_REFUSED;
}

bool sb_intake_allow(sb_intake *in, uint64_t max_bytes)
{
    in->in_body = true;
    in->body.max = max_bytes < SIZE_MAX - 1 ? (size_t)max_bytes : SIZE_MAX - 1;
    sb_chunked_init(&in->chunked, max_bytes);
    if (in->head.length <= max_bytes) return true;
    in->refusal = (sb_refusal){413, "the body is too large"};
    return false;
}

void sb_intake_drop(sb_intake *in)
{
    in->drops = true;
    sb_buf_deinit(&in->body);
}

static sb_intake_got feed_head(sb_intake *in, const char *p, size_t n, size_t *used)
{
    const sb_feed got = sb_head_feed(&in->head, p, n, used);
    if (got == SB_FEED_MORE) return SB_INTAKE_MORE;
    if (got == SB_FEED_REFUSED) return refuse(in, in->head.refusal);
    const sb_refusal why = sb_target_parse(sb_head_target(&in->head), &in->path, &in->query);
    return why.status ? refuse(in, why) : SB_INTAKE_HEAD;
}

static bool keep(sb_intake *in, sb_str data)
{
    in->n_body += data.n;
    return !data.n || in->drops || sb_buf_add(&in->body, data.p, data.n, NULL) == SB_OK;
}

sb_intake_got sb_intake_feed(sb_intake *in, const char *p, size_t n, size_t *used)
{
    static const sb_refusal no_memory = {503, "no memory for the request"};
    *used = 0;
    if (!in->in_body) return feed_head(in, p, n, used);
    if (!in->head.chunked) {
        const uint64_t left = in->head.length - in->n_body;
        const sb_str data = {p, left < n ? (size_t)left : n};
        *used = data.n;
        if (!keep(in, data)) return refuse(in, no_memory);
        return in->n_body == in->head.length ? SB_INTAKE_WHOLE : SB_INTAKE_MORE;
    }
    sb_feed got = SB_FEED_MORE;
    while (got == SB_FEED_MORE && *used < n) {
        sb_str data;
        size_t k;
        got = sb_chunked_feed(&in->chunked, p + *used, n - *used, &k, &data);
        *used += k;
        if (!keep(in, data)) return refuse(in, no_memory);
    }
    if (got == SB_FEED_REFUSED) return refuse(in, in->chunked.refusal);
    return got == SB_FEED_DONE ? SB_INTAKE_WHOLE : SB_INTAKE_MORE;
}
