/* SPDX-License-Identifier: Apache-2.0
 * output_fuzz.c - libFuzzer entry: answers of models under every format.
 *
 * Byte 0 chooses the format, byte 1 what the prompt left open and whether there are tools, byte 2
 * where the text is cut; the rest is the answer. However it is cut, the events are the same; what
 * comes out as content and reasoning stands in the answer in that order; arguments are JSON
 * objects. */
#include "output/json_scan.h"
#include "output/output.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{"
    "\"type\":"
    "\"string\"},\"b\":{\"type\":\"integer\"},\"c\":{}}}}},{\"name\":\"g\"}]";

/* What came out: events of a kind put together, their kinds between them. */
typedef struct out {
    sb_buf text;  /* with marks, to compare */
    sb_buf plain; /* content and reasoning alone */
    int last;
} out;

static void check(bool good)
{
    if (!good) abort();
}

static sb_status on_event(void *ctx, const sb_output_event *e, sb_error *err)
{
    out *o = ctx;
    const bool is_text = e->kind == SB_OUTPUT_CONTENT || e->kind == SB_OUTPUT_REASONING;
    check(e->text.n > 0 || e->kind == SB_OUTPUT_CALL_END);
    if (!is_text || o->last != (int)e->kind)
        SB_TRY(sb_buf_addf(&o->text, err, "\n#%d ", (int)e->kind));
    o->last = (int)e->kind;
    if (e->kind == SB_OUTPUT_CALL_ARGS) check(e->text.p[0] == '{' && sb_json_is_value(e->text));
    if (is_text) SB_TRY(sb_buf_add(&o->plain, e->text.p, e->text.n, err));
    return e->text.n ? sb_buf_add(&o->text, e->text.p, e->text.n, err) : SB_OK;
}

/* The answer in pieces of `piece` bytes, the first of them `first` long. */
static void parse(out *o, const sb_output_opts *given, sb_str text, size_t first, size_t piece)
{
    sb_output *p = NULL;
    sb_output_opts opts = *given;
    *o = (out){.last = -1};
    sb_buf_init(&o->text, 1 << 26, "events");
    sb_buf_init(&o->plain, 1 << 26, "text");
    opts.on_event = on_event;
    opts.ctx = o;
    check(sb_output_new(&p, &opts, NULL) == SB_OK);
    for (size_t at = 0, len = first; at < text.n; at += len, len = piece) {
        if (len > text.n - at) len = text.n - at;
        check(sb_output_push(p, (sb_str){text.p + at, len}, NULL) == SB_OK);
    }
    check(sb_output_finish(p, NULL) == SB_OK);
    sb_output_free(p);
}

static void deinit(out *o)
{
    sb_buf_deinit(&o->plain);
    sb_buf_deinit(&o->text);
}

static void check_order(const out *o, sb_str text)
{
    size_t at = 0;
    for (size_t i = 0; i < o->plain.n; i++, at++) {
        while (at < text.n && text.p[at] != o->plain.p[i])
            at++;
        check(at < text.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const tails[] = {"", "<think>\n", "</think>", "<|channel|>final<|message|>"};
    if (n < 3) return 0;
    const char *tail = tails[data[1] & 3];
    const sb_output_opts opts = {.format =
                                     (sb_output_format)(1 + data[0] % (SB_OUTPUT_FORMAT_COUNT - 1)),
                                 .prompt_tail = {tail, strlen(tail)},
                                 .tools = {tools, data[1] & 4 ? 0 : sizeof tools - 1}};
    const sb_str text = {(const char *)data + 3, n - 3};
    out whole, two, bytes;
    parse(&whole, &opts, text, text.n, 1);
    parse(&two, &opts, text, 1 + data[2] % (text.n + 1), text.n + 1);
    parse(&bytes, &opts, text, 1, 1);
    check(whole.text.n == two.text.n && whole.text.n == bytes.text.n);
    check(whole.text.n == 0 || !memcmp(whole.text.p, two.text.p, whole.text.n));
    check(whole.text.n == 0 || !memcmp(whole.text.p, bytes.text.p, whole.text.n));
    check_order(&whole, text);
    deinit(&whole);
    deinit(&two);
    deinit(&bytes);
    return 0;
}
