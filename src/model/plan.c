/* SPDX-License-Identifier: Apache-2.0
 * plan.c - the plan's builders. Errors are kept, not returned, so that architecture files read as a
 * list of operations; the alternative (a status per line) buried the model under its checks. */
#include "model/plan.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <math.h>
#include <string.h>

void sb_plan_init(sb_plan *p)
{
    memset(p, 0, sizeof *p);
}

void sb_plan_deinit(sb_plan *p)
{
    if (!p) return;
    for (int32_t i = 0; i < p->n_ropes; i++)
        sb_free(p->ropes[i].inv_freq);
    sb_free(p->steps);
    sb_free(p->kvs);
    memset(p, 0, sizeof *p);
}

static void fail(sb_plan *p, sb_status code, const char *what)
{
    if (p->failed == SB_OK) p->failed = SB_FAIL(&p->err, code, "plan: %s", what);
}

/* Grows *v (n used of *cap) by one element; false when memory is short. */
static bool grow(void **v, int32_t n, int32_t *cap, size_t size)
{
    if (n < *cap) return true;
    const int32_t want = *cap ? *cap * 2 : 64;
    void *p = sb_realloc(*v, (size_t)want, size);
    if (!p) return false;
    *v = p;
    *cap = want;
    return true;
}

int32_t sb_plan_buf_get(sb_plan *p, const char *name, int32_t width)
{
    for (int32_t i = 0; i < p->n_bufs; i++)
        if (strcmp(p->bufs[i].name, name) == 0) {
            if (p->bufs[i].width < width) p->bufs[i].width = width;
            return i;
        }
    if (p->n_bufs == SB_PLAN_MAX_BUFS) {
        fail(p, SB_LIMIT, "too many buffers");
        return 0;
    }
    p->bufs[p->n_bufs] = (sb_plan_buf){.name = name, .width = width};
    return p->n_bufs++;
}

/* YaRN's share of extrapolation for pair i: 1 below the low corner, 0 above the high one. */
static double yarn_ramp(const sb_rope_spec *s, int32_t i)
{
    const double two_pi = 6.283185307179586;
    double corner[2] = {s->beta_fast, s->beta_slow};
    for (int c = 0; c < 2; c++)
        corner[c] = s->n_rot * log(s->orig_ctx / (corner[c] * two_pi)) / (2 * log(s->base));
    const double low = fmax(0, floor(corner[0])), high = fmin(s->n_rot - 1, ceil(corner[1]));
    const double y = (i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, y));
}

/* What pair i's frequency is divided by. */
static double divisor(const sb_rope_spec *s, int32_t i)
{
    float d = 1;
    if (s->freq_factors) memcpy(&d, s->freq_factors + (size_t)i * sizeof d, sizeof d);
    return (double)d;
}

static bool rope_is_sound(const sb_rope_spec *s)
{
    if (s->n_rot < 2 || s->n_rot % 2) return false;
    for (int32_t i = 0; i < s->n_rot / 2; i++)
        if (!(divisor(s, i) > 0) || isinf(divisor(s, i))) return false;
    return true;
}

int32_t sb_plan_rope_add(sb_plan *p, const sb_rope_spec *s)
{
    if (p->n_ropes == SB_PLAN_MAX_ROPES || !rope_is_sound(s)) {
        fail(p, SB_CORRUPT, "rope: odd dimensions, or a divisor that is no positive number");
        return 0;
    }
    sb_rope *r = &p->ropes[p->n_ropes];
    *r = (sb_rope){.layout = s->layout, .n_pair = s->n_rot / 2};
    r->inv_freq = sb_alloc((size_t)r->n_pair, sizeof *r->inv_freq);
    if (!r->inv_freq) {
        fail(p, SB_NO_MEMORY, "out of memory");
        return 0;
    }
    for (int32_t i = 0; i < r->n_pair; i++) {
        const double extra = pow(s->base, -2.0 * i / s->n_rot) / divisor(s, i);
        double f = extra / s->factor;
        if (s->yarn) {
            const double mix = yarn_ramp(s, i) * s->ext_factor;
            f = f * (1 - mix) + extra * mix;
        }
        r->inv_freq[i] = (float)f;
    }
    double amplitude = s->attn_factor;
    if (s->yarn && s->ext_factor != 0) amplitude *= 1 + 0.1 * log(fmax(1, s->factor));
    r->amplitude = (float)amplitude;
    return p->n_ropes++;
}

sb_step sb_step_none(sb_op op, int32_t layer)
{
    sb_step s = {.op = op, .layer = layer, .rope = -1, .kv = -1};
    for (int i = 0; i < 3; i++)
        s.in[i] = s.out[i] = s.w[i] = s.b[i] = -1;
    return s;
}

void sb_plan_add(sb_plan *p, const sb_step *step)
{
    for (int i = 0; i < 3; i++)
        if (step->in[i] >= p->n_bufs || step->out[i] >= p->n_bufs) {
            fail(p, SB_INVALID, "a step names no buffer");
            return;
        }
    if (!grow((void **)&p->steps, p->n_steps, &p->cap_steps, sizeof *p->steps)) {
        fail(p, SB_NO_MEMORY, "out of memory");
        return;
    }
    p->steps[p->n_steps++] = *step;
}

sb_status sb_plan_finish(sb_plan *p, sb_error *err)
{
    if (p->failed == SB_OK && (p->n_steps == 0 || p->steps[p->n_steps - 1].op != SB_OP_HEAD))
        fail(p, SB_INVALID, "it does not end in a head");
    if (p->failed == SB_OK) return SB_OK;
    if (err) *err = p->err;
    return p->failed;
}

void sb_plan_embed(sb_plan *p, int32_t w, float scale, int32_t out)
{
    sb_step s = sb_step_none(SB_OP_EMBED, -1);
    s.w[0] = w, s.scale = scale, s.out[0] = out;
    sb_plan_add(p, &s);
}

void sb_plan_norm(sb_plan *p, int32_t layer, int32_t in, int32_t w, float eps, int32_t out)
{
    sb_step s = sb_step_none(SB_OP_NORM, layer);
    s.in[0] = in, s.w[0] = w, s.eps = eps, s.out[0] = out;
    sb_plan_add(p, &s);
}

void sb_plan_head_norm(sb_plan *p, int32_t layer, int32_t buf, int32_t w, float eps, int32_t n_head,
                       int32_t head_dim)
{
    sb_step s = sb_step_none(SB_OP_HEAD_NORM, layer);
    s.in[0] = s.out[0] = buf, s.w[0] = w, s.eps = eps, s.n_head = n_head, s.head_dim = head_dim;
    sb_plan_add(p, &s);
}

void sb_plan_matmul(sb_plan *p, int32_t layer, int32_t in, int32_t n, const int32_t *w,
                    const int32_t *b, const int32_t *out)
{
    sb_step s = sb_step_none(SB_OP_MATMUL, layer);
    s.in[0] = in, s.n = n;
    for (int32_t i = 0; i < n && i < 3; i++) {
        s.w[i] = w[i], s.out[i] = out[i];
        if (b) s.b[i] = b[i];
    }
    sb_plan_add(p, &s);
}

void sb_plan_rope(sb_plan *p, int32_t layer, int32_t rope, int32_t buf, int32_t n_head,
                  int32_t head_dim)
{
    sb_step s = sb_step_none(SB_OP_ROPE, layer);
    s.in[0] = s.out[0] = buf, s.rope = rope, s.n_head = n_head, s.head_dim = head_dim;
    sb_plan_add(p, &s);
}

void sb_plan_attend(sb_plan *p, const sb_step *a)
{
    if (!grow((void **)&p->kvs, p->n_kvs, &p->cap_kvs, sizeof *p->kvs)) {
        fail(p, SB_NO_MEMORY, "out of memory");
        return;
    }
    p->kvs[p->n_kvs] = (sb_kv_state){
        .layer = a->layer, .n_head = a->n_kv_head, .head_dim = a->head_dim, .window = a->window};
    sb_step s = *a;
    s.op = SB_OP_ATTEND;
    s.kv = p->n_kvs++;
    sb_plan_add(p, &s);
}

void sb_plan_gate(sb_plan *p, int32_t layer, sb_gate gate, int32_t in, int32_t up, int32_t out)
{
    sb_step s = sb_step_none(SB_OP_GATE, layer);
    s.gate = gate, s.in[0] = in, s.in[1] = up, s.out[0] = out;
    sb_plan_add(p, &s);
}

void sb_plan_residual(sb_plan *p, int32_t layer, int32_t in, int32_t out)
{
    sb_step s = sb_step_none(SB_OP_ADD, layer);
    s.in[0] = in, s.out[0] = out;
    sb_plan_add(p, &s);
}

void sb_plan_head(sb_plan *p, int32_t in, int32_t w, float softcap)
{
    sb_step s = sb_step_none(SB_OP_HEAD, -1);
    s.in[0] = in, s.w[0] = w, s.softcap = softcap;
    sb_plan_add(p, &s);
}
